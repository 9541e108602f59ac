"""What departments see of their events and do about them, and reports, over REST: their own only.

Ingest and history are not at work here: what they keep is written as they write it, and commands are decided by hand.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
from pydantic import TypeAdapter

from schemas import wire
from schemas.command import Command, Discard, Patrol, ReopenDoor, SendAgain
from schemas.outcome import Decided
from schemas.rejected import Problem, Rejected
from schemas.report import Report
from schemas.rest import DeviceShown, DoorShown, EventFate, EventsSummary, PatrolShown, RefusalBody, RefusalShown, ReportShown
from schemas.tiers import Tier
from services.history.store import Logged
from services.history.store import Store as History
from services.ingest.refusals import Ledger
from services.kit.clock import SystemClock
from services.kit.producer import Outgoing, Producer
from services.kit.topics import COMMANDS, SENSORS
from tests.integration.gateway.people import Browser, browser
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_STREET, STREET, sensor, warning

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
D, E = "/v1/departments/d", "/v1/departments/e"
SECRET = "of-department-e"


def now() -> datetime:
    return SystemClock().now()


def refused(body: bytes, department: str = "d", *, ago: float = 60, code: str = "unknown_sensor", **fields: Any) -> Rejected:
    whole: dict[str, Any] = {
        "id": uuid4(),
        "department": department,
        "adapter": "http@n1",
        "address": "10.0.0.1",
        "content_type": "application/json",
        "received": now() - timedelta(seconds=ago),
        "problem": Problem(code=code, where="data.sensor", message="there is no sensor 'x9'", hint="register it"),
        "event": "e1",
        "sensor": "x9",
        "body": base64.b64encode(body).decode(),
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return Rejected.model_validate(whole | fields)


MINE = [
    refused(b'{"title": "\xe6\x9a\xb4\xe9\x9c\xb2"}', ago=30),
    refused(b"\xff\xfe", ago=20, code="malformed_json", adapter="hj212@n1", sensor="hj212:A1", event=None),
    refused(b"{}", ago=10, code="bad_time", event="e2"),
]
THEIRS = refused(SECRET.encode(), "e", event="e1", sensor=SECRET)


@pytest.fixture(scope="module", autouse=True)
def kept(database: str) -> None:
    """What ingest keeps."""
    asyncio.run(keep(database))


async def keep(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await Ledger().keep(connection, [*MINE, THEIRS])
        flow = "insert into ingest.flow values ($1, $2, date_trunc('minute', clock_timestamp()) - make_interval(mins => $3), $4, 1, 3, 2)"
        await connection.execute(flow, "d", "http@n1", 0, 500)
        await connection.execute(flow, "d", "http@n2", 0, 500)
        await connection.execute(flow, "d", "hj212@n1", 3_000, 7)
        await connection.execute(flow, "e", "http@n1", 0, 1_000_000)
        await connection.execute(
            "insert into ingest.doors values ('mqtt@n1', 'e', clock_timestamp(), clock_timestamp(), $1, null),"
            " ('http@n1', 'd', clock_timestamp(), clock_timestamp(), 'unknown_sensor', null)",
            SECRET,
        )
    finally:
        await connection.close()


@pytest.fixture
async def mine(gateway: Service) -> AsyncIterator[Browser]:
    """Somebody of department d."""
    async with browser(gateway, "department") as one:
        yield one


async def got(one: Browser, path: str, model: Any) -> Any:
    answer = await one.get(path)
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    return TypeAdapter(model).validate_json(answer.content)


def span(**ago: float) -> str:
    until = now() + timedelta(minutes=1)
    return f"since={(until - timedelta(**ago)).isoformat()}&until={until.isoformat()}".replace("+", "%2B")


async def test_a_department_sees_what_became_of_its_events_in_numbers(mine: Browser, pool: asyncpg.Pool):
    ours, others = warning(71, tier=Tier.RED), warning(72, department="e")
    await History(pool).commit({}, {}, [], [one.model_copy(update={"began_at": now()}) for one in (ours, others)])
    found: EventsSummary = await got(mine, f"{D}/summary?{span(hours=2)}", EventsSummary)
    assert (found.observations, found.reports, found.refused, found.late, found.left_out) == (1_000, 2, 6, 4, 0)
    assert {one.door for one in found.hours} == {"http"}
    assert {(one.code, one.state): one.count for one in found.reasons} == {(one.problem.code, "kept"): 1 for one in MINE}
    assert found.warned == {Tier.RED: 1}
    longer: EventsSummary = await got(mine, f"{D}/summary?{span(days=3)}", EventsSummary)
    assert {(one.door, one.observations) for one in longer.hours} == {("http", 1_000), ("hj212", 7)}
    assert (await mine.get(f"{D}/summary?{span(days=40)}")).status_code == 422
    for query in ("summary?until=0001-01-01T00:00:00Z", "refused?until=9999-12-31T23:59:59-14:00", "events?sensor=s1&at=9999-12-31T23:59:59Z"):
        assert (await mine.get(f"{D}/{query}")).status_code == 422, query  # the ends of all time


async def test_refusals_are_listed_by_what_they_are_page_by_page(mine: Browser):
    newest_first = [one.id for one in reversed(MINE)]

    async def listed(query: str) -> list[UUID]:
        found: list[RefusalShown] = await got(mine, f"{D}/refused?{query}", list[RefusalShown])
        return [one.id for one in found]

    assert await listed("") == newest_first
    first = await listed("limit=2")
    assert first + await listed(f"limit=2&before={first[-1]}") == newest_first
    for query, wanted in (
        ("reason=bad_time", [MINE[2]]),
        ("sensor=hj212:A1", [MINE[1]]),
        ("door=hj212", [MINE[1]]),
        ("state=discarded", []),
        ("text=暴露", [MINE[0]]),
        ("text=E2", [MINE[2]]),
        (f"text={SECRET}", []),
        (f"before={THEIRS.id}", []),
        (f"since={MINE[1].received.isoformat().replace('+', '%2B')}", [MINE[2], MINE[1]]),
    ):
        assert await listed(query) == [one.id for one in wanted], query


async def test_a_refusal_is_shown_as_it_came(mine: Browser):
    text: RefusalBody = await got(mine, f"{D}/refused/{MINE[0].id}", RefusalBody)
    assert (text.text, text.hex, text.refusal.kept, text.refusal.door) == ('{"title": "暴露"}', None, MINE[0].size, "http")
    binary: RefusalBody = await got(mine, f"{D}/refused/{MINE[1].id}", RefusalBody)
    assert (binary.text, binary.hex) == (None, "fffe")
    answer = await mine.get(f"{D}/refused/{MINE[1].id}/body")
    assert (answer.content, answer.headers["content-type"]) == (b"\xff\xfe", "application/octet-stream")
    assert answer.headers["content-disposition"].startswith("attachment")


PATHS = (
    "summary?" + "since=2026-11-22T08:00:00Z&until=2026-11-22T09:00:00Z",
    "refused",
    f"refused/{THEIRS.id}",
    f"refused/{THEIRS.id}/body",
    "doors",
)


async def test_nobody_sees_or_touches_what_is_anothers(mine: Browser, gateway: Service):
    lists = [*PATHS, "events?source=/a&id=e1", "events?sensor=s1&at=2026-11-22T08:00:00Z"]
    changes = [("refused/again", {"rejected": [str(THEIRS.id)]}), ("refused/discard", {"rejected": [str(THEIRS.id)]}), ("doors/mqtt/opening", None)]
    for who in ("department", "city", "street", "field", "auditor", "rule-author", "district-admin", "nobody"):
        async with browser(gateway, who) as one:
            for path in lists:
                answer = await one.get(f"{E}/{path}")
                assert (answer.status_code, SECRET in answer.text) == (403, False), (who, path)
            for path, body in changes:
                assert (await one.ask("POST", f"{E}/{path}", body)).status_code == 403, (who, path)
    async with httpx.AsyncClient(base_url=gateway.url, headers={"Authorization": "Bearer tgr_city"}) as machine:
        assert (await machine.get(f"{E}/refused")).status_code == 403
    assert (await mine.get(f"{D}/refused/{THEIRS.id}")).status_code == 404
    assert (await mine.get(f"{D}/refused/{THEIRS.id}/body")).status_code == 404
    async with browser(gateway, "admin") as admin:
        assert SECRET in (await admin.get(f"{E}/refused")).text
        assert (await admin.get("/v1/departments/nobodys/refused")).status_code == 404
        assert [one["id"] for one in (await admin.get("/v1/departments")).json()] == ["d", "e"]
    assert [one["id"] for one in (await mine.get("/v1/departments")).json()] == ["d"]


async def decided(servers: Servers, pool: asyncpg.Pool, work: Any, outcome: str, detail: dict[str, Any]) -> tuple[str, Command, Decided]:
    """Let somebody ask for something that ingest then decides; returns the key, the command and the answer."""
    tape = await Tape.of(servers.kafka, COMMANDS)
    task = asyncio.ensure_future(work)
    (record,) = await tape.until(len, "a command")
    command = _COMMAND.validate_json(record.value or b"")
    await pool.execute("insert into ingest.commands values ($1, clock_timestamp(), $2, $3)", command.id, outcome, json.dumps(detail))
    answer: httpx.Response = await task
    assert answer.status_code in {200, 202}, answer.text
    return (record.key or b"").decode(), command, Decided.model_validate_json(answer.content)


async def test_what_was_refused_is_sent_again_mended_and_discarded_by_commands(mine: Browser, servers: Servers, pool: asyncpg.Pool):
    ids = [str(one.id) for one in MINE[:2]]
    told = {"results": [{"rejected": ids[0], "became": "accepted"}]}
    key, command, answer = await decided(servers, pool, mine.ask("POST", f"{D}/refused/again", {"rejected": ids}), "applied", told)
    assert isinstance(command, SendAgain)
    assert (key, command.department, command.actor.id, command.mended) == ("rejected/d", "d", "department", None)
    assert list(map(str, command.rejected)) == ids
    assert answer.outcome is None or answer.detail == told  # None: it took this machine longer than a person waits
    _, command, _ = await decided(servers, pool, mine.ask("POST", f"{D}/refused/again", {"rejected": ids[:1], "mended": "新"}), "refused", {})
    assert isinstance(command, SendAgain)
    assert base64.b64decode(command.mended or "") == "新".encode()
    _, command, _ = await decided(servers, pool, mine.ask("POST", f"{D}/refused/discard", {"rejected": ids, "note": "试验"}), "applied", {})
    assert isinstance(command, Discard)
    key, command, _ = await decided(servers, pool, mine.ask("POST", f"{D}/doors/http/opening"), "applied", {})
    assert isinstance(command, ReopenDoor)
    assert (key, command.door, command.department) == ("door/http", "http", "d")
    actions = [
        row["a"] for row in await pool.fetch("select body ->> 'action' as a from gateway.audit where body ->> 'actor' = 'department' order by seq")
    ]
    assert [one for one in actions if one in {"events.send_again", "events.discard", "door.reopen"}] == [
        "events.send_again",
        "events.send_again",
        "events.discard",
        "door.reopen",
    ]
    for wrong in (
        {"rejected": ids, "mended": "x"},
        {"rejected": ids[:1], "mended_hex": "0g"},
        {"rejected": ids[:1], "mended": "x", "mended_hex": "00"},
    ):
        assert (await mine.ask("POST", f"{D}/refused/again", wrong)).status_code == 422


async def test_the_ways_in_say_whether_they_are_stopped(mine: Browser):
    found: list[DoorShown] = await got(mine, f"{D}/doors", list[DoorShown])
    assert [(one.protocol, one.heard_at is None, one.stopped_at is None, one.nodes) for one in found] == [
        ("hj212", False, True, ()),
        ("http", False, False, ("n1",)),
    ]


async def test_what_became_of_one_event_is_found_wherever_it_ended(mine: Browser, pool: asyncpg.Pool, producer: Producer, gateway: Service):
    await producer.publish(SENSORS, [Outgoing(sensor().model_dump_json().encode(), key=b"s1")])
    end = now() - timedelta(minutes=10)
    reading = wire.Observation(
        "r1", "/scada", "d", "s1", STREET, "water", *(wire.to_micros(end),) * 2, "instant", {"flow": 500.0}, {"flow": "implausible"}, "real", 0
    )
    others = wire.Observation("r1", "/scada", "e", "s2", STREET, "water", *(wire.to_micros(end),) * 2, "instant", {"flow": 1.0}, {}, "real", 0)
    told = warning(73, tier=Tier.ORANGE)
    told = told.model_copy(update={"changed_at": end + timedelta(seconds=9), "evidence": told.evidence.model_copy(update={"observed_at": end})})
    report = Report.model_validate(
        {"id": "e1", "source": "/12345", "department": "d", "region": STREET, "matter": "greening", "kind": "fallen-tree", "title": "t"}
        | {"description": "", "occurred": now(), "longitude": None, "latitude": None, "origin": "real", "received": now()}
    )
    minute = msgspec.structs.replace(reading, start=wire.to_micros(end - timedelta(minutes=1)), statistic="mean")
    await History(pool).commit(
        {},
        {},
        [Logged(reading, 0, 1), Logged(others, 0, 2), Logged(minute, 0, 3)],
        [told, told.model_copy(update={"id": UUID(int=74), "department": "e"})],
        [report],
    )

    async def fate(query: str) -> EventFate:
        found: EventFate = await got(mine, f"{D}/events?{query}", EventFate)
        return found

    async def known() -> bool:
        return bool((await fate("source=/scada&id=r1")).accepted)

    await eventually(known, "the sensor in the gateway's view")
    at = end.isoformat().replace("+", "%2B")
    for query in ("source=/scada&id=r1", "source=/scada&id=r1&sensor=s1", f"sensor=s1&at={at}"):
        found = await fate(query)
        one, _ = sorted(found.accepted, key=lambda each: each.statistic)
        assert (one.event, one.end, one.values["flow"].value, one.values["flow"].quality) == ("r1", end, 500.0, "implausible"), query
        assert [each.id for each in found.warned] == [told.id], query
    assert (await fate(f"sensor=s2&at={at}")).accepted == ()
    reported = await fate("source=/12345&id=e1")
    assert reported.report is not None
    assert reported.report.report == report
    assert [one.id for one in reported.refused] == [MINE[0].id]
    assert (await mine.get(f"{D}/events?source=/scada")).status_code == 422


async def test_reports_are_listed_by_region_for_whoever_may_watch_them(gateway: Service, pool: asyncpg.Pool, mine: Browser):
    fields = {"matter": "greening", "kind": "fallen-tree", "description": "", "longitude": None, "latitude": None, "origin": "real"}
    some = [
        Report.model_validate(
            {
                "id": f"{region}-{of}",
                "source": "/list",
                "department": of,
                "region": region,
                "title": f"{region}-{of}",
                "occurred": now(),
                "received": now(),
            }
            | fields
        )
        for region in (STREET, OTHER_STREET)
        for of in "de"
    ]
    await History(pool).commit({}, {}, [], [], some)

    async def titles(one: Browser, region: str) -> set[str]:
        found: list[ReportShown] = await got(one, f"/v1/regions/{region}/reports?matter=greening&text={region[:3]}", list[ReportShown])
        return {each.report.title for each in found}

    assert await titles(mine, CITY) == {f"{STREET}-d", f"{OTHER_STREET}-d"}
    async with browser(gateway, "district") as district, browser(gateway, "auditor") as auditor:
        listed: list[ReportShown] = await got(district, f"/v1/regions/{DISTRICT}/reports", list[ReportShown])
        assert {one.report.title for one in listed} >= {f"{STREET}-d", f"{STREET}-e"}
        assert not {one.report.title for one in listed} & {f"{OTHER_STREET}-d", f"{OTHER_STREET}-e"}
        assert (await district.get(f"/v1/regions/{OTHER_STREET}/reports")).status_code == 403
        assert (await auditor.get(f"/v1/regions/{CITY}/reports")).status_code == 403
        theirs = next(one for one in listed if one.report.department == "e")
        assert (await district.get(f"/v1/reports/{theirs.id}")).status_code == 200
    assert (await mine.get(f"/v1/reports/{theirs.id}")).status_code == 404
    assert (await mine.get(f"/v1/regions/{CITY}/reports?before={theirs.id}")).json() == []  # nor where it stands in time
    assert (await mine.get("/v1/kinds")).json() == []  # the small city takes any


async def test_devices_say_whether_they_are_connected_and_somebody_on_duty_is_called(mine: Browser, servers: Servers, pool: asyncpg.Pool):
    linked = "insert into ingest.sensors (id, version, street, body) values ($1, 1, $2, $3)"
    for number, (department, device) in enumerate([("d", "0a0000000001"), ("d", "0a0000000002"), ("e", "0b0000000001")]):
        body = {"id": f"fire-{number}", "department": department, "link": {"protocol": "gb26875", "device": device}}
        await pool.execute(linked, f"fire-{number}", STREET, json.dumps(body))
    await pool.execute("insert into ingest.adapters values ('gb26875@n1', clock_timestamp(), clock_timestamp())")
    await pool.execute(
        "insert into ingest.devices select 'gb26875', unnest($1::text[]), 'n1', '10.0.0.9', clock_timestamp(), clock_timestamp(), null, 1.5",
        ["0a0000000001", "0b0000000001"],
    )
    heard, unheard = await got(mine, f"{D}/devices", list[DeviceShown])
    assert (heard.device, heard.connected, heard.address, heard.sensors, heard.skew_s) == ("0a0000000001", True, "10.0.0.9", 1, 1.5)
    assert (unheard.device, unheard.connected, unheard.last_at) == ("0a0000000002", False, None)

    key, command, _ = await decided(servers, pool, mine.ask("POST", f"{D}/devices/{heard.device}/patrols", {"within_s": 60}), "applied", {})
    assert isinstance(command, Patrol)
    assert (key, command.device, command.department, command.within_s) == (f"device/{heard.device}", heard.device, "d", 60)
    asked = "insert into ingest.patrols (id, device, department, asked_by, asked_at, within_s, until) values ($1, $2, $3, 'x', $4, 60, $5)"
    for department, device in (("d", "0a0000000001"), ("e", "0b0000000001")):
        await pool.execute(asked, uuid4(), device, department, now(), now() + timedelta(seconds=60))
    (shown,) = await got(mine, f"{D}/patrols", list[PatrolShown])
    assert (shown.device, shown.state) == ("0a0000000001", "asked")
    for path in ("devices", "patrols"):
        assert (await mine.get(f"{E}/{path}")).status_code == 403
    assert (await mine.ask("POST", f"{E}/devices/0b0000000001/patrols", {})).status_code == 403
