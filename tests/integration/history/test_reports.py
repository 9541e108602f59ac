"""Reports in history: the first of an identity stands, and whoever reads gets what is theirs, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from schemas.access import Grant, Role
from schemas.report import Report, identity
from services.gateway.archive import Archive, Asked
from services.gateway.domain.access import Principal, Scope
from services.gateway.errors import Forbidden
from services.gateway.reads import ROLE
from services.history.consumer import HistoryWorker
from services.history.store import Store
from services.kit import database as kit_database
from services.kit.clock import SystemClock
from services.kit.consumer import Read
from services.kit.health import Health
from services.kit.topics import REPORTS
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_STREET, SIBLING, STREET, TREE, name

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
FIRST = TopicPartition(REPORTS, 0)


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    await pool.execute("truncate history.reports, history.partitions")


@pytest.fixture
async def worker(pool: asyncpg.Pool) -> HistoryWorker:
    one = HistoryWorker(Store(pool), Health(SystemClock()).check("writes", max_age=10), CollectorRegistry())
    await one.assign([FIRST])
    return one


@pytest.fixture
async def archive(database: str):
    """With the role of those who read."""
    opened = await kit_database.open_pool(database, role=ROLE)
    yield Archive(opened)
    opened.terminate()


def report(id_: str = "r1", minutes: int = 0, **fields: Any) -> Report:
    whole = {
        "id": id_,
        "source": "/12345",
        "department": "d",
        "region": STREET,
        "matter": "utilities",
        "kind": "burst-pipe",
        "title": "管道漏水",
        "description": "路口\n东侧",
        "occurred": NOW + timedelta(minutes=minutes),
        "longitude": None,
        "latitude": None,
        "origin": "real",
        "received": NOW,
    }
    return Report.model_validate(whole | fields)


async def take(worker: HistoryWorker, some: Sequence[Report | bytes], first: int = 0) -> None:
    values = [one.model_dump_json().encode() if isinstance(one, Report) else one for one in some]
    await worker.work({FIRST: [Read(REPORTS, 0, first + at, 0, None, value, ()) for at, value in enumerate(values)]})  # type: ignore[list-item]


def scope(*grants: tuple[Role, str, frozenset[str] | None]) -> Scope:
    given = tuple(Grant(role=role, region=region, departments=departments) for role, region, departments in grants)
    return Scope(Principal("p", name("p"), given), TREE)


DESK = scope((Role.CITY, CITY, None))


async def listed(archive: Archive, of: Scope = DESK, region: str = CITY, **asked: Any) -> list[str]:
    return [one.report.id for one in await archive.reports(region, Asked(**asked), of, None, 100)]


async def test_the_first_of_an_identity_stands_and_identities_are_a_departments_own(worker: HistoryWorker, archive: Archive):
    first = report(title="first")
    await take(worker, [first, report(title="again"), b"{}", b"\xff", report(department="e", title="another's")])
    await take(worker, [report(title="later")], first=5)
    assert {one.report.title for one in await archive.reports(CITY, Asked(), DESK, None, 100)} == {"first", "another's"}
    found = await archive.report(identity(first))
    assert found is not None
    assert found.report == first
    of_event = await archive.report_of("d", "/12345", "r1")
    assert of_event is not None
    assert of_event.id == identity(first)
    assert await archive.report_of("e", "/12346", "r1") is None


async def test_a_record_of_the_last_release_is_read(worker: HistoryWorker, archive: Archive):
    await take(worker, [report().model_dump_json(exclude={"channel", "address"}).encode()])
    (one,) = await archive.reports(CITY, Asked(channel="department"), DESK, None, 100)
    assert one.report == report()


async def test_pages_follow_each_other_without_a_gap_whatever_occurred_together(worker: HistoryWorker, archive: Archive):
    await take(worker, [report(f"r{at}", minutes=at // 3) for at in range(10)])
    found: list[UUID] = []
    while page := await archive.reports(CITY, Asked(), DESK, found[-1] if found else None, 4):
        found += [one.id for one in page]
    assert len(found) == len(set(found)) == 10
    assert set(found) == {identity(report(f"r{at}")) for at in range(10)}


async def test_whoever_asks_gets_the_reports_of_their_regions_and_departments(worker: HistoryWorker, archive: Archive):
    places = {"a": STREET, "b": SIBLING, "c": OTHER_STREET, "d": DISTRICT}
    await take(worker, [report(f"{at}-{of}", region=region, department=of) for at, region in places.items() for of in "de"])
    assert len(await listed(archive)) == 8
    assert set(await listed(archive, region=DISTRICT)) == {f"{at}-{of}" for at in "abd" for of in "de"}
    assert set(await listed(archive, scope((Role.STREET, STREET, None)), STREET)) == {"a-d", "a-e"}
    department = scope((Role.DEPARTMENT, CITY, frozenset("e")))
    assert set(await listed(archive, department)) == {"a-e", "b-e", "c-e", "d-e"}
    assert await listed(archive, department, department="d") == []
    both = scope((Role.DEPARTMENT, CITY, frozenset("e")), (Role.STREET, STREET, None))
    assert set(await listed(archive, both)) == {"a-d", "a-e", "b-e", "c-e", "d-e"}
    with pytest.raises(Forbidden):
        await listed(archive, scope((Role.STREET, STREET, None)), SIBLING)


async def test_reports_are_found_by_what_they_are(worker: HistoryWorker, archive: Archive):
    await take(
        worker,
        [
            report("r1", channel="hotline", address="酒泉路 1 号"),
            report("r2", minutes=5, matter="greening", kind="fallen-tree"),
            report("r3", minutes=9, title="Broken LAMP", department="e"),
        ],
    )
    assert await listed(archive) == ["r3", "r2", "r1"]
    for asked, wanted in (
        ({"matter": "greening"}, ["r2"]),
        ({"kind": "burst-pipe"}, ["r3", "r1"]),
        ({"channel": "hotline"}, ["r1"]),
        ({"department": "e"}, ["r3"]),
        ({"text": "lamp"}, ["r3"]),
        ({"text": "酒泉路"}, ["r1"]),
        ({"since": NOW + timedelta(minutes=5)}, ["r3", "r2"]),
        ({"until": NOW + timedelta(minutes=5)}, ["r1"]),
    ):
        assert await listed(archive, **asked) == wanted, asked
