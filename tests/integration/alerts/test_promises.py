"""What we promise, because elsewhere people complain of it: the promises that alerts keeps and no other test names."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition

from schemas.action import Decision, WarningActions
from schemas.command import Acknowledge
from schemas.notification import Notification
from schemas.tiers import Tier
from services.alerts.store import Polled
from services.kit.topics import ACTIONS, COMMANDS
from tests.integration.alerts.rooms import Room, W, red
from tests.unit.alerts.policies import alerting, asked
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_STREET, SIBLING, STREET, warning

C = TopicPartition(COMMANDS, 0)


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'alerts'")
    await pool.execute(f"truncate {', '.join(f'alerts.{row[0]}' for row in tables)} cascade")


async def messages(pool: asyncpg.Pool, recipient: str) -> list[Notification]:
    rows = await pool.fetch("select body from alerts.notifications where recipient = $1 and channel = 'in_app' order by decided_at", recipient)
    return [Notification.model_validate_json(row["body"]) for row in rows]


def acknowledged(number: int, *, rev: int, at: Any, tier: Tier = Tier.RED) -> Any:
    return asked(Acknowledge, number, warning=UUID(int=number), street=STREET, department="d", seen_rev=rev, tier=tier, at=at)


async def test_promise_8_the_regions_above_are_told_and_the_numbers_are_right(pool: asyncpg.Pool):
    """thingsboard#12307, #15654: a parent is not told; #11738, #12204: counts wrong."""
    plan = {"steps": [{"after": 0, "tell": [{"screen": "street"}, {"screen": "district"}, {"screen": "city"}]}], "answer": False}
    route = {"id": "all", "group_by": ["domain"], "wait": 0, "interval": 60, "escalation": "all"}
    room = Room(pool, alerting(routes=route, escalations=[{"id": "all", "plans": {"yellow": plan}}]))
    await room.take(*(warning(number, street=STREET) for number in (1, 2, 3)), *(warning(number, street=SIBLING) for number in (4, 5)))
    await room.look()
    (told,) = await messages(pool, f"region/{DISTRICT}")
    assert (told.warnings, f"{STREET} 3 条" in told.text.zh, f"{SIBLING} 2 条" in told.text.zh) == (5, True, True)
    assert [one.warnings for one in await messages(pool, f"region/{CITY}")] == [5]
    await room.take(warning(6, street=OTHER_STREET), warning(2, 2, state="cleared"))
    room.clock.go(minutes=2)
    await room.look()
    assert [one.warnings for one in await messages(pool, f"region/{CITY}")] == [5, 5]
    assert "990100 4 条" in (await messages(pool, f"region/{CITY}"))[-1].text.zh


async def test_promise_12_flapping_does_not_flood_and_stops_nothing_else(pool: asyncpg.Pool):
    """jetlinks-community#8: flapping floods; #411: one rule stops others; #566: not started after a restart."""
    room = Room(pool)
    for rev in range(1, 121):
        await room.take(warning(1, rev, state="open" if rev % 2 else "cleared", change="opened" if rev % 2 else "recovered"))
        if rev == 60:
            await room.take(warning(2, street=SIBLING, rule="r2", subject="s2/flow"))
            room = Room(pool, clock=room.clock)
            room._offset = 200
        await room.look()
        room.clock.go(seconds=30)
    times = [one.decided_at for one in await messages(pool, f"region/{STREET}")]
    assert times
    assert all(later - before >= timedelta(minutes=1) for before, later in pairwise(times))
    assert len(times) <= 15  # in an hour, at an interval of five minutes: each is told at most when it begins and when it ends
    assert len(await messages(pool, f"region/{SIBLING}")) == 1


async def test_promise_15_no_transition_is_lost_when_two_meet(pool: asyncpg.Pool):
    """alerta#2071: a transition is lost on a conflict in the database."""
    warnings, commands = Room(pool), Room(pool)
    of_warnings, of_commands = await warnings.store.take([W]), await commands.store.take([C])
    numbers = range(1, 41)
    await warnings.store.commit(of_warnings, {W: 1}, Polled([warning(number, tier="orange") for number in numbers]))
    await asyncio.gather(
        *(warnings.store.commit(of_warnings, {W: 1 + number}, Polled([red(number, 2, change="raised")])) for number in numbers),
        *(
            commands.store.commit(of_commands, {C: number}, Polled(commands=[acknowledged(number, rev=2, at=commands.clock.now())]))
            for number in numbers
        ),
        return_exceptions=False,
    )
    rows = await pool.fetch("select rev, gravity, acked_gravity, acked_rev from alerts.warnings")
    assert [tuple(row) for row in rows] == [(2, 4, 4, 2)] * len(numbers)


async def test_promise_16_what_is_inhibited_stays_so_after_a_restart(pool: asyncpg.Pool):
    """alertmanager#4064: inhibited alerts fire on a restart."""
    inhibition = {"id": "i", "source": {"tiers": ["red"]}, "target": {"tiers": ["yellow"]}, "equal": ["street"]}
    policy = alerting(inhibitions=[inhibition])
    room = Room(pool, policy)
    await room.take(red(1), warning(2, tier="yellow", subject="s2/flow"), warning(3, tier="yellow", street=SIBLING, subject="s3/flow"))
    for _ in range(6):
        room = Room(pool, policy, clock=room.clock)
        room.clock.go(seconds=31)
        await room.look()
    told = {(one.warning.int, one.tier) for one in await messages(pool, f"region/{STREET}")}
    assert told == {(1, Tier.RED)}
    assert len(await messages(pool, f"region/{SIBLING}")) == 1
    room._offset = 9
    await room.take(red(1, 2, state="cleared"))
    room.clock.go(minutes=1)
    await room.look()
    assert 2 in {one.warning.int for one in await messages(pool, f"region/{STREET}")}, "what inhibited it is over"


@pytest.mark.parametrize("first", ["warning", "command"])
async def test_promise_17_an_acknowledgement_that_races_a_resolve_reopens_nothing(pool: asyncpg.Pool, first: str):
    """oncall#3161."""
    room = Room(pool)
    await room.take(red())
    await room.look()
    over, late = red(rev=2, state="cleared"), acknowledged(1, rev=1, at=room.clock.now())
    for one in ("warning", "command") if first == "warning" else ("command", "warning"):
        await (room.take(over) if one == "warning" else room.take(commands=[late]))
    for _ in range(8):
        room.clock.go(minutes=5)
        await room.look()
    assert [one.why for one in await messages(pool, f"region/{STREET}")] == ["opened", "ended"]
    assert await pool.fetchval("select count(*) from alerts.alerts where closed_at is null") == 0
    assert await pool.fetchval("select open from alerts.warnings") is False
    (row,) = await pool.fetch("select value from alerts.outbox where topic = $1", ACTIONS)
    told = WarningActions.model_validate_json(row["value"])
    assert told.outcome is (Decision.TOO_LATE if first == "warning" else Decision.APPLIED)


async def test_promise_17_a_window_silences_one_kind_and_another_is_still_told(pool: asyncpg.Pool):
    """goalert#3230."""
    window = {"id": "w", "match": {"domains": ["water"]}, "since": "00:00", "until": "00:00", "reason": {"zh": "检修", "en": "maintenance"}}
    room = Room(pool, alerting(windows=[window]))
    await room.take(red(1), red(2, domain="fire"))
    for _ in range(5):
        await room.look()
        room.clock.go(minutes=10)
    assert {one.warning.int for one in await messages(pool, "person/li")} == {2}
