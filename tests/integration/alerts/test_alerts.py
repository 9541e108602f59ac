"""Alerts as a process and its tables: whoever should be told of a revision is told once, through kill -9."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition
from asyncpg.exceptions import InsufficientPrivilegeError

from schemas.action import Actor, WarningActions
from schemas.base import Name
from schemas.command import Acknowledge
from schemas.notification import Notification
from schemas.tiers import TIERS, Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.domain.routing import route
from services.alerts.store import Polled, Store
from services.gateway.reads import ROLE
from services.kit import database as kit_database
from services.kit.errors import Fenced
from services.kit.producer import Outgoing, Producer
from services.kit.topics import ACTIONS, COMMANDS, NOTIFICATIONS, WARNINGS
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import publish_warnings, write_city
from tests.unit.gateway.city import CITY, DISTRICT, NOW, OTHER_STREET, STREET, STREETS, TREE, warning

W, V, C = TopicPartition(WARNINGS, 0), TopicPartition(WARNINGS, 1), TopicPartition(COMMANDS, 0)
ROUNDS = 60


def notified(one: Warning, gravest: int) -> Iterator[Notification]:
    return route(one, gravest, TREE, NOW)


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    await pool.execute("truncate alerts.notifications, alerts.warnings, alerts.partitions, alerts.outbox, alerts.actions, alerts.commands")


async def kept(pool: asyncpg.Pool) -> dict[UUID, Notification]:
    rows = await pool.fetch("select id, body from alerts.notifications")
    return {row["id"]: Notification.model_validate_json(row["body"]) for row in rows}


async def test_each_revision_is_told_once_whenever_alerts_is_killed(
    servers: Servers, pool: asyncpg.Pool, database: str, producer: Producer, start: Callable[..., Service], tmp_path: Path
):
    city = write_city(tmp_path / "city")
    run: Callable[[], Service] = lambda: start(  # noqa: E731
        "alerts", TONGGUAN_KAFKA=servers.kafka, TONGGUAN_DATABASE=database, TONGGUAN_CITY=str(city)
    )
    dice = random.Random(5)
    streets = (*STREETS, "123456")
    warnings: dict[tuple[UUID, int], Warning] = {}
    tape = await Tape.of(servers.kafka, NOTIFICATIONS)

    async def publish() -> None:
        peaks: dict[int, Tier] = {}
        for at in range(ROUNDS):
            told = []
            for number in range(1, 9):
                tier = dice.choice(TIERS)
                peak = peaks[number] = max(tier, peaks.get(number, tier), key=TIERS.index)
                told.append(warning(number, at + 1, street=streets[number % 4], tier=tier, peak=peak, change="raised" if at else "opened"))
            warnings.update({(one.id, one.rev): one for one in told})
            await publish_warnings(producer, [*told, b"no warning", *dice.choices(list(warnings.values()), k=4)])
            await asyncio.sleep(0.2)

    first = run()
    await first.ready()
    publishing = asyncio.create_task(publish())
    await asyncio.sleep(dice.uniform(0.5, 2))
    first.kill()
    second = run()
    await second.ready()
    await asyncio.sleep(dice.uniform(0.1, 1))
    second.kill()
    await publishing
    last = run()
    expected = {one.id: one for each in warnings.values() for one in notified(each, each.peak.gravity)}

    async def complete() -> bool:
        counts = "select (select count(*) from alerts.notifications) as kept, (select count(*) from alerts.outbox) as waiting"
        row = await pool.fetchrow(counts)
        return row is not None and (row["kept"], row["waiting"]) == (len(expected), 0)

    await eventually(complete, f"{len(expected)} notifications")
    rows = await kept(pool)
    assert {id_: one.model_copy(update={"decided_at": NOW}) for id_, one in rows.items()} == expected
    published: dict[UUID, Notification] = {}
    for record in await tape.records():
        one = Notification.model_validate_json(record.value or b"")
        assert record.key == str(one.warning).encode()
        assert published.setdefault(one.id, one) == one
    assert published == rows
    assert last.problems() == []
    assert last.stop() == 0
    assert last.events("crashed") == []


async def test_a_revision_that_is_not_newer_is_told_to_nobody(pool: asyncpg.Pool):
    store = Store(pool)
    claims = await store.take([W])
    assert await store.commit(claims, {W: 1}, Polled([warning(1, 2, tier="red"), warning(1, 1)]), notified) == 3
    assert await store.commit(claims, {W: 2}, Polled([warning(1, 2, tier="red"), warning(1, 1), warning(2, 1)]), notified) == 1
    assert {(one.warning.int, one.warning_rev) for one in (await kept(pool)).values()} == {(1, 2), (2, 1)}
    assert await pool.fetchval("select count(*) from alerts.outbox") == 4


async def test_who_was_told_is_told_how_it_ends_and_a_changed_past_is_told_nobody(pool: asyncpg.Pool):
    """Late data may lower a warning's peak; the city, which was told of red, hears of the withdrawal nevertheless."""
    store = Store(pool)
    claims = await store.take([W])
    revised = warning(1, 2, tier="yellow", peak="yellow", change="revised")
    over = warning(1, 3, tier="yellow", peak="yellow", state="cleared", change="retracted")
    assert await store.commit(claims, {W: 1}, Polled([warning(1, 1, tier="red")]), notified) == 3
    assert await store.commit(claims, {W: 2}, Polled([revised]), notified) == 0
    assert await store.commit(claims, {W: 3}, Polled([over]), notified) == 3
    told = {(one.recipient, one.change) for one in (await kept(pool)).values()}
    assert told == {(f"region/{code}", change) for code in (STREET, DISTRICT, CITY) for change in ("opened", "retracted")}


async def test_a_warning_of_before_the_upgrade_is_told_by_its_peak(pool: asyncpg.Pool):
    store = Store(pool)
    claims = await store.take([W])
    await pool.execute("insert into alerts.warnings (id, rev) values ($1, 1)", warning(1).id)
    over = warning(1, 2, tier="yellow", peak="red", state="cleared", change="recovered")
    assert await store.commit(claims, {W: 1}, Polled([over]), notified) == 3


async def test_a_poll_of_an_older_owner_tells_nobody(pool: asyncpg.Pool):
    store = Store(pool)
    old = await store.take([W, V])
    await store.take([V])
    with pytest.raises(Fenced):
        await store.commit(old, {W: 1, V: 1}, Polled([warning()]), notified)
    for table in ("notifications", "warnings", "outbox"):
        assert await pool.fetchval(f"select count(*) from alerts.{table}") == 0


async def test_readers_see_their_desks_and_streets_only_and_no_table(pool: asyncpg.Pool, database: str):
    store = Store(pool)
    claims = await store.take([W])
    await store.commit(claims, {W: 1}, Polled([warning(at, tier="red", street=street) for at, street in enumerate(STREETS, 1)]), notified)
    reader = await kit_database.open_pool(database, role=ROLE)
    try:

        async def seen(recipient: str, streets: list[str], most: int = 200) -> set[tuple[str, str]]:
            rows = await reader.fetch("select body from api_alerts.notifications($1, $2, $3)", [f"region/{recipient}"], streets, most)
            found = [json.loads(row["body"]) for row in rows]
            return {(one["recipient"], one["street"]) for one in found}

        assert await seen(CITY, list(STREETS)) == {(f"region/{CITY}", street) for street in STREETS}
        assert await seen(CITY, [STREET]) == {(f"region/{CITY}", STREET)}
        assert await seen(STREET, [STREET]) == {(f"region/{STREET}", STREET)}
        assert await seen(STREET, [OTHER_STREET]) == set()
        assert await seen(DISTRICT, []) == set()
        assert len(await seen(CITY, list(STREETS), 2)) == 2
        for table in ("alerts.notifications", "alerts.warnings", "alerts.outbox"):
            with pytest.raises(InsufficientPrivilegeError):
                await reader.fetch(f"select * from {table}")
    finally:
        reader.terminate()


async def test_a_command_is_decided_once_and_told_with_its_outcome(pool: asyncpg.Pool):
    store = Store(pool)
    claims = await store.take([C])
    first, again, graver = acknowledge(1, Tier.ORANGE, "li"), acknowledge(2, Tier.ORANGE, "wang"), acknowledge(3, Tier.RED, "wang", rev=2)
    await store.commit(claims, {C: 2}, Polled(commands=[first, first, again]), notified)
    await store.commit(claims, {C: 4}, Polled(commands=[again, graver]), notified)
    rows = await pool.fetch("select value from alerts.outbox where topic = $1 order by seq", ACTIONS)
    told = [WarningActions.model_validate_json(row["value"]) for row in rows]
    assert [(one.rev, one.command, one.acknowledged.by.id if one.acknowledged else None) for one in told] == [
        (1, first.id, "li"),
        (2, again.id, "li"),  # the first one's of this revision
        (3, graver.id, "wang"),
    ]


async def test_readers_get_the_newest_actions_of_the_warnings_they_ask_for(pool: asyncpg.Pool, database: str):
    store = Store(pool)
    claims = await store.take([C])
    commands = [acknowledge(1, Tier.BLUE, "li"), acknowledge(2, Tier.RED, "wang"), acknowledge(3, Tier.RED, "li", warning=8)]
    await store.commit(claims, {C: 3}, Polled(commands=commands), notified)
    reader = await kit_database.open_pool(database, role=ROLE)
    try:
        found = await reader.fetch("select body from api_alerts.actions($1)", [UUID(int=7), UUID(int=9)])
        assert [(one.rev, one.warning) for one in (WarningActions.model_validate_json(row["body"]) for row in found)] == [(2, UUID(int=7))]
        with pytest.raises(InsufficientPrivilegeError):
            await reader.fetch("select * from alerts.actions")
    finally:
        reader.terminate()


async def test_a_command_goes_its_whole_way_by_the_topics(
    servers: Servers, database: str, producer: Producer, start: Callable[..., Service], tmp_path: Path
):
    tape = await Tape.of(servers.kafka, ACTIONS)
    service = start("alerts", TONGGUAN_KAFKA=servers.kafka, TONGGUAN_DATABASE=database, TONGGUAN_CITY=str(write_city(tmp_path / "city")))
    commands = [acknowledge(number, Tier.RED, "li", warning=number) for number in range(40, 60)]
    bodies = [b"no command", *(one.model_dump_json().encode() for one in (*commands, *commands))]
    await producer.publish(COMMANDS, [Outgoing(body, key=body[-9:]) for body in bodies])

    async def answered() -> bool:
        records = await tape.records()
        return {WarningActions.model_validate_json(record.value or b"").command for record in records} == {one.id for one in commands}

    await eventually(answered, "the outcomes")
    assert len(await tape.records()) == len(commands)
    assert service.stop() == 0
    assert service.events("crashed") == []


def acknowledge(number: int, tier: Tier, who: str, warning: int = 7, rev: int = 1) -> Acknowledge:
    actor = Actor(id=who, name=Name(zh=who, en=who))
    return Acknowledge(id=UUID(int=number), warning=UUID(int=warning), street=STREET, department="d", seen_rev=rev, tier=tier, actor=actor, at=NOW)
