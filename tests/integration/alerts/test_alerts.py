"""Polls taken in and alerts looked at, on a real database, by a clock that is set by hand."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition

from schemas.action import Deed, WarningActions
from schemas.command import Acknowledge, AnswerAlert, Clear, Silence
from schemas.tiers import Tier
from services.alerts.store import Polled
from services.kit.errors import Fenced
from services.kit.topics import ACTIONS, WARNINGS
from tests.integration.alerts.rooms import Room, W, red
from tests.unit.alerts.policies import alerting, asked
from tests.unit.gateway.city import CITY, DISTRICT, NOW, SIBLING, STREET, warning

V = TopicPartition(WARNINGS, 1)


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'alerts'")
    await pool.execute(f"truncate {', '.join(f'alerts.{row[0]}' for row in tables)} cascade")


@pytest.fixture
def room(pool: asyncpg.Pool) -> Room:
    return Room(pool)


async def test_a_red_warning_is_told_at_once_and_escalates_until_it_is_acknowledged(room: Room):
    await room.take(red())
    assert await room.told() == [
        ("person/li", "in_app", "opened", 1, "delivered"),
        ("person/li", "sms", "opened", 1, "waiting"),
        (f"region/{STREET}", "in_app", "opened", 1, "delivered"),
    ]
    assert await room.people(minutes=4) == []
    assert await room.people(minutes=2) == [("person/wang", "escalated"), (f"region/{DISTRICT}", "escalated")]
    assert await room.people(minutes=10) == [("person/zhao", "escalated"), (f"region/{CITY}", "escalated")]
    everybody = [f"person/{one}" for one in ("li", "wang", "zhao")] + [f"region/{one}" for one in sorted((CITY, DISTRICT, STREET))]
    assert await room.people(minutes=10) == [(one, "repeated") for one in sorted(everybody)]
    await room.take(
        commands=[asked(Acknowledge, 1, warning=UUID(int=1), street=STREET, department="d", seen_rev=1, tier=Tier.RED, at=room.clock.now())]
    )
    assert await room.people(minutes=60) == []
    again = await room.people(minutes=61)  # the answer has run out
    assert ("person/li", "changed") in again


async def test_who_was_told_is_told_the_end(room: Room):
    await room.take(red())
    await room.people()
    await room.take(red(rev=2, state="cleared"))
    assert await room.people() == []
    assert await room.people(minutes=5) == [("person/li", "ended"), (f"region/{STREET}", "ended")]
    assert await room.pool.fetchval("select count(*) from alerts.alerts where closed_at is null") == 0


async def test_what_is_over_before_it_is_told_is_told_nobody(room: Room):
    await room.take(warning(1))
    await room.take(warning(1, 2, state="cleared"))
    assert await room.people(minutes=5) == []


async def test_mild_warnings_of_a_street_are_one_alert(room: Room):
    await room.take(*(warning(number, subject=f"s{number}/flow") for number in range(1, 8)), warning(9, street=SIBLING))
    assert await room.people(seconds=30) == []
    room.clock.go(seconds=31)
    assert [(recipient, count) for recipient, _, _, count, _ in await room.told()] == [(f"region/{STREET}", 7), (f"region/{SIBLING}", 1)]
    await room.take(warning(10, subject="s10/flow"))
    assert await room.people(minutes=1) == []
    room.clock.go(minutes=4)
    assert [(recipient, why, count) for recipient, _, why, count, _ in await room.told()] == [(f"region/{STREET}", "changed", 8)]


async def test_a_poll_of_an_older_owner_changes_nothing(room: Room, pool: asyncpg.Pool):
    await room.store.take([W])
    old = await room.store.take([W, V])
    await room.store.take([V])
    with pytest.raises(Fenced):
        await room.store.commit(old, {W: 1, V: 1}, Polled([red()]))
    assert await pool.fetchval("select count(*) from alerts.warnings") == 0


async def test_a_storm_over_an_area_is_one_alert_that_says_how_many(pool: asyncpg.Pool):
    """Promise 15 (alerta#1560)."""
    storm = {"id": "s", "more_than": 20, "within": "PT10M", "calm": "PT15M", "interval": "PT1M", "escalation": "standard"}
    room = Room(pool, alerting(storms=[storm]))
    early = [red(number, street=STREET) for number in range(1, 4)]
    await room.take(*early)
    assert len([why for _, why in await room.people()]) == 6  # each of the first is told alone: to its street's screen and to who is on duty
    await room.take(*(red(number, street=(STREET, SIBLING)[number % 2]) for number in range(4, 500)))
    found = [(recipient, why, count) for recipient, channel, why, count, _ in await room.told() if channel == "in_app"]
    assert found == [(f"region/{DISTRICT}", "opened", 496)]
    await room.take(*(red(number, street=STREET) for number in range(500, 600)))
    assert await room.people(seconds=30) == []
    room.clock.go(seconds=31)
    assert {(why, count) for _, channel, why, count, _ in await room.told() if channel == "in_app"} == {("changed", 596)}


async def test_what_waits_when_a_storm_begins_is_told_as_part_of_it(pool: asyncpg.Pool):
    storm = {"id": "s", "more_than": 5, "within": "PT10M", "calm": "PT15M", "interval": "PT1M", "escalation": "standard"}
    room = Room(pool, alerting(storms=[storm]))
    await room.take(*(warning(number, subject=f"s{number}/flow") for number in range(1, 4)))
    await room.take(*(warning(number, subject=f"s{number}/flow") for number in range(4, 9)))
    assert [(why, count) for _, _, why, count, _ in await room.told()] == [("opened", 8)]
    assert await room.people(minutes=3) == []


async def test_a_silence_mutes_what_it_matches_and_tells_when_it_is_over(room: Room):
    until = room.clock.at.replace(minute=20)
    match = {"domains": ["water"]}
    await room.take(commands=[asked(Silence, 1, region=STREET, match=match, since=NOW, until=until, reason="清洗管网")])
    await room.take(red(), red(2, domain="fire"), red(3, street=SIBLING))
    told = {(recipient, count) for recipient, channel, _, count, _ in await room.told() if channel == "in_app"}
    assert told == {("person/li", 1), (f"region/{STREET}", 1), (f"region/{SIBLING}", 1)}
    told = await room.people(minutes=21)
    assert (f"region/{STREET}", "opened") in told


async def test_an_answer_to_an_alert_answers_for_what_its_message_told(room: Room, pool: asyncpg.Pool):
    await room.take(*(warning(number, tier="orange", subject=f"s{number}/flow") for number in (1, 2)))
    await room.people(minutes=2)
    (alert,) = await pool.fetch("select id, message from alerts.alerts")
    await room.take(warning(3, tier="orange", subject="s3/flow"))
    done = asked(AnswerAlert, 9, alert=alert["id"], message=alert["message"], deed=Deed.ACKNOWLEDGE, at=room.clock.now())
    await room.take(commands=[done, done])
    rows = await pool.fetch("select value from alerts.outbox where topic = $1", ACTIONS)
    told = [WarningActions.model_validate_json(row["value"]) for row in rows]
    assert sorted((one.warning.int, one.outcome.value) for one in told) == [(1, "applied"), (2, "applied")]
    assert await pool.fetchval("select outcome from alerts.commands where id = $1", done.id) == "applied"


async def test_a_clearing_by_hand_ends_the_telling_and_a_rise_begins_it_anew(room: Room, pool: asyncpg.Pool):
    await room.take(warning(1, tier="orange"))
    await room.people(minutes=2)
    clear = asked(Clear, 1, warning=UUID(int=1), street=STREET, department="d", seen_rev=1, tier=Tier.ORANGE, note="误报")
    await room.take(commands=[clear])
    assert [why for _, why in await room.people(minutes=6)] == ["ended", "ended"]
    await room.take(red(1, 2, change="raised"))
    assert ("person/li", "opened") in await room.people()
    rows = await pool.fetch("select value from alerts.outbox where topic = $1 order by seq", ACTIONS)
    assert [WarningActions.model_validate_json(row["value"]).trail[-1].deed for row in rows] == [Deed.CLEAR, Deed.REOPEN]


async def test_what_is_not_real_leaves_the_app_for_those_only_who_are_there_for_tests(pool: asyncpg.Pool):
    room = Room(pool)
    await room.take(red(origin="exercise"))
    assert [result for _, channel, _, _, result in await room.told() if channel == "sms"] == ["withheld"]
    room = Room(pool, alerting(tests=["li"]))
    room._offset = 1
    await room.take(red(2, origin="simulated"))
    assert [result for _, channel, _, _, result in await room.told() if channel == "sms"][-1] == "waiting"


async def test_two_desks_tell_each_alert_once(pool: asyncpg.Pool):
    """Promise 16 (alertmanager#2222): no duplicates between replicas."""
    room, other = Room(pool), Room(pool)
    await room.take(*(red(number) for number in range(1, 401)))
    while any(await asyncio.gather(room.desk.turn(), other.desk.turn())):
        pass
    assert await pool.fetchval("select count(*) from alerts.notifications where channel = 'sms'") == 400
    assert await pool.fetchval("select count(*) from alerts.alerts where message <> 1") == 0
