"""What is told when two things meet, come late, or are changed underneath: nobody is forgotten and nobody is told for nothing."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry

from schemas.action import Deed, WarningActions
from schemas.command import Acknowledge, AnswerAlert, Clear, HandOver
from schemas.tiers import Tier
from services.alerts.consumer import AlertsWorker
from services.alerts.contacts import Contacts
from services.alerts.pulse import Pulse
from services.alerts.roster import Roster
from services.kit.clock import SystemClock
from services.kit.health import Health
from services.kit.progress import Progress
from services.kit.topics import COMMANDS, WARNINGS
from tests.integration.alerts.rooms import ZONE, NoRelay, Room, W, red
from tests.unit.alerts.policies import WIDE, alerting, asked
from tests.unit.gateway.city import CITY, DISTRICT, NOW, STREET, warning


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'alerts'")
    await pool.execute(f"truncate {', '.join(f'alerts.{row[0]}' for row in tables)} cascade")


@pytest.fixture
def room(pool: asyncpg.Pool) -> Room:
    return Room(pool)


def seen(kind: Any, number: int, rev: int, tier: Tier = Tier.RED, **fields: Any) -> Any:
    return asked(kind, number, warning=UUID(int=1), street=STREET, department="d", seen_rev=rev, tier=tier, **fields)


async def record(pool: asyncpg.Pool, number: int = 1) -> WarningActions:
    return WarningActions.model_validate_json(await pool.fetchval("select body from alerts.actions where warning = $1", UUID(int=number)))


# Two at a time


@pytest.mark.parametrize("storm", [False, True])
async def test_what_begins_anew_while_its_alert_is_being_ended_is_told(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, *, storm: bool):
    rule = {"id": "s", "more_than": 2, "within": "PT10M", "calm": 60, "interval": 60, "escalation": "standard"}
    room = Room(pool, alerting(storms=[rule] if storm else []))
    numbers = range(1, 5)
    await room.take(*(red(number) for number in numbers))
    await room.people()
    room.clock.go(minutes=1)
    await room.take(*(red(number, 2, state="cleared") for number in numbers))
    room.clock.go(minutes=30)
    gathering = room.store._gathering
    write = gathering._write

    async def slowly(*given: Any) -> None:
        await room.desk.turn()  # by another connection, between what the store has read and what it writes
        await write(*given)

    monkeypatch.setattr(gathering, "_write", slowly)
    await room.take(red(1, 3))
    monkeypatch.undo()
    why = {why for _ in range(10) for _, why in await room.people(minutes=2)}
    assert {"opened", "changed", "escalated"} & why


# Answers


async def test_an_answer_that_has_run_out_can_be_given_again(room: Room):
    await room.take(red())
    await room.people()
    await room.take(commands=[seen(Acknowledge, 1, 1, at=room.clock.now())])
    await room.people()
    assert ("person/li", "changed") in await room.people(minutes=121)
    assert "li的响应已到期" in await room.pool.fetchval("select body #>> '{text,zh}' from alerts.notifications order by decided_at desc limit 1")
    await room.take(commands=[seen(Acknowledge, 2, 1, at=room.clock.now())])
    assert [told for _ in range(11) for told in await room.people(minutes=10)] == []
    assert await room.people(minutes=15) != []


async def test_an_answer_by_a_message_holds_for_what_has_changed_since_and_is_no_graver(room: Room, pool: asyncpg.Pool):
    await room.take(red())
    await room.people()
    await room.take(red(rev=2))
    await room.take(commands=[seen(Acknowledge, 1, 2, at=room.clock.now())])
    await room.people()
    assert ("person/li", "changed") in await room.people(minutes=121)
    alert = await pool.fetchrow("select id, message from alerts.alerts")
    assert alert is not None
    await room.take(commands=[asked(AnswerAlert, 2, alert=alert["id"], message=alert["message"], deed=Deed.ARRIVED, at=room.clock.now())])
    assert [told for _ in range(11) for told in await room.people(minutes=10)] == []


async def test_what_is_said_after_the_end_stands_in_the_trail(room: Room, pool: asyncpg.Pool):
    await room.take(red())
    await room.people()
    alert = await pool.fetchrow("select id, message from alerts.alerts")
    assert alert is not None
    await room.take(red(rev=2, state="cleared"))
    assert ("person/li", "ended") in await room.people(minutes=10)
    given = {"alert": alert["id"], "message": alert["message"], "note": "阀门已关", "at": room.clock.now()}
    await room.take(
        commands=[asked(AnswerAlert, 20, deed=Deed.DONE, photos=("a" * 64,), **given), asked(AnswerAlert, 21, deed=Deed.COMMENT, **given)]
    )
    trail = (await record(pool)).trail
    assert [(one.deed, one.outcome, one.note, one.photos) for one in trail] == [
        ("done", "too_late", "阀门已关", 1),
        ("comment", "applied", "阀门已关", 0),
    ]
    assert await room.people(minutes=60) == []


async def test_who_saw_it_when_it_was_milder_is_noted_and_answers_for_nothing(room: Room, pool: asyncpg.Pool):
    await room.take(warning(1, tier="orange"))
    await room.people(minutes=2)
    alert = await pool.fetchrow("select id, message from alerts.alerts")
    assert alert is not None
    await room.take(warning(1, 2, tier="orange", state="cleared"), warning(1, 3, tier="orange"))
    await room.people(minutes=10)
    answer = asked(AnswerAlert, 5, alert=alert["id"], message=1, deed=Deed.ACKNOWLEDGE, note="知道了", at=room.clock.now())
    await room.take(commands=[answer])
    kept = await record(pool)
    assert [(one.outcome, one.note) for one in kept.trail] == [("stale", "知道了")]
    assert kept.acknowledged is None
    assert await pool.fetchval("select outcome from alerts.commands where id = $1", answer.id) == "stale"


async def test_a_warning_that_a_clearing_out_of_date_lays_open_again_is_told(room: Room, pool: asyncpg.Pool):
    def clear(number: int, rev: int, tier: Tier) -> Any:
        return seen(Clear, number, rev, tier, note="误报")

    await room.take(warning(1, tier="orange"))
    await room.people(minutes=2)
    await room.take(commands=[clear(1, 1, Tier.ORANGE)])
    await room.people(minutes=6)
    await room.take(warning(1, 2, tier="yellow"))
    await room.take(warning(1, 3, tier="orange"))
    await room.take(commands=[clear(2, 2, Tier.YELLOW)])
    kept = await record(pool)
    assert (kept.trail[-1].outcome, kept.cleared) == ("stale", None)
    assert (f"region/{STREET}", "opened") in await room.people(minutes=2)


# Who is told


async def test_a_repetition_wakes_who_is_on_duty_by_then(pool: asyncpg.Pool):
    shifts = [{"name": WIDE, "since": "08:00", "until": "20:00"}, {"name": WIDE, "since": "20:00", "until": "08:00"}]
    rotation = {"shifts": shifts, "crews": [["li"], ["wang"]], "turn": "shift", "begins": "2026-11-01"}
    teams = [{"id": "street-field", "name": WIDE, "region": STREET, "role": "field", "rotations": [rotation]}]
    others = [("district-lead", DISTRICT, "lead"), ("city-supervisor", CITY, "supervisor")]
    teams += [{"id": id_, "name": WIDE, "region": region, "role": role, "always": ["zhao"]} for id_, region, role in others]
    room = Room(pool, alerting(teams=teams))
    await room.take(red())  # at four in the afternoon
    told = [(room.clock.now(), who) for _ in range(60) for who, _ in await room.people(minutes=10)]
    evening = NOW + timedelta(hours=4)
    assert {who for at, who in told if at < evening and who in {"person/li", "person/wang"}} == {"person/li"}
    assert {who for at, who in told if at > evening and who in {"person/li", "person/wang"}} == {"person/wang"}


async def test_who_was_told_hears_the_rise_and_the_end_though_another_alert_tells_of_it(pool: asyncpg.Pool):
    mild = {"yellow": {"steps": [{"after": 0, "tell": [{"role": "field", "level": "street"}]}]}}
    grave = {"red": {"steps": [{"after": 0, "tell": [{"role": "lead", "level": "district"}]}]}}
    routes = {
        "id": "all",
        "group_by": ["street"],
        "wait": 0,
        "interval": 300,
        "urgent": "red",
        "escalation": "mild",
        "routes": [{"id": "red", "match": {"tiers": ["red"]}, "group_by": ["subject"], "escalation": "grave"}],
    }
    room = Room(pool, alerting(routes=routes, escalations=[{"id": "mild", "plans": mild}, {"id": "grave", "plans": grave}]))
    await room.take(warning(1, tier="yellow"))
    assert await room.people(seconds=1) == [("person/li", "opened")]
    await room.take(red(1, 2))
    assert await room.people(minutes=1) == [("person/li", "opened"), ("person/wang", "opened")]
    await room.take(red(1, 3, state="cleared"))
    assert await room.people(minutes=10) == [("person/li", "ended"), ("person/wang", "ended")]


async def test_who_was_told_hears_on_over_an_alert_that_was_never_told(pool: asyncpg.Pool):
    def tells(role: str, level: str) -> Any:
        return {"yellow": {"steps": [{"after": 0, "tell": [{"role": role, "level": level}]}]}}

    routes = {
        "id": "all",
        "group_by": ["warning"],
        "wait": 0,
        "interval": 60,
        "urgent": "red",
        "escalation": "field",
        "routes": [
            {"id": "orange", "match": {"tiers": ["orange"]}, "wait": 300},
            {"id": "red", "match": {"tiers": ["red"]}, "escalation": "lead"},
        ],
    }
    plans = [{"id": "field", "plans": tells("field", "street")}, {"id": "lead", "plans": tells("lead", "district")}]
    room = Room(pool, alerting(routes=routes, escalations=plans))
    await room.take(warning(1, tier="yellow"))
    assert await room.people() == [("person/li", "opened")]
    await room.take(warning(1, 2, tier="orange"))
    assert await room.people(seconds=5) == []
    await room.take(red(1, 3))
    assert await room.people(seconds=5) == [("person/li", "opened"), ("person/wang", "opened")]
    await room.take(red(1, 4, state="cleared"))
    assert await room.people(minutes=10) == [("person/li", "ended"), ("person/wang", "ended")]


async def test_nobody_was_told_of_what_joined_after_the_message(room: Room, pool: asyncpg.Pool):
    await room.take(warning(1, tier="red", subject="s/flow"))
    await room.people()
    await room.take(warning(2, tier="red", subject="s/flow"))
    assert await room.people(minutes=1) == []
    assert await pool.fetch("select body from api_alerts.told($1, 10)", UUID(int=2)) == []
    assert len(await pool.fetch("select body from api_alerts.told($1, 10)", UUID(int=1))) > 0
    await room.people(minutes=5)
    assert len(await pool.fetch("select body from api_alerts.told($1, 10)", UUID(int=2))) > 0


async def test_a_phone_gets_what_waits_for_an_answer_before_all_else(pool: asyncpg.Pool):
    for number in range(1, 6):
        alert = UUID(int=number)
        await pool.execute(
            "insert into alerts.alerts (id, key, route, escalation, region, origin, opened_at, hold_until, gravity, unanswered, closed_at)"
            " values ($1, $2, 'a', 'e', $3, 'real', $4, $4, $5, $6, $7)",
            *(alert, str(number), STREET, NOW, number % 4 + 1, number == 5, NOW + timedelta(hours=1) if number == 3 else None),
        )
        await pool.execute(
            "insert into alerts.notifications (id, alert, message, warning, recipient, street, department, channel, gravity, decided_at, state, body)"
            " values ($1, $2, 1, $2, 'person/li', $3, 'd', 'in_app', 1, $4, 'delivered', '{}')",
            *(uuid.uuid4(), alert, STREET, NOW + timedelta(minutes=number)),
        )
    order = [row["alert"].int for row in await pool.fetch("select alert from api_alerts.field('li', $1, 4)", NOW)]
    assert order == [5, 2, 1, 4]


async def test_after_an_edit_of_the_policy_what_is_open_goes_on_by_the_new_one(pool: asyncpg.Pool):
    def by(*after: int) -> Any:
        targets = ({"screen": "street"}, {"screen": "district"}, {"screen": "city"})
        steps = [{"after": seconds, "tell": [target]} for seconds, target in zip(after, targets, strict=False)]
        return alerting(escalations=[{"id": "standard", "plans": {"red": {"steps": steps, "repeat": 3600}}}])

    room = Room(pool, by(0, 60, 120))
    await room.take(red())
    await room.people()
    await room.people(minutes=3)
    shorter = Room(pool, by(0, 60), clock=room.clock)
    await shorter.desk.look_at_all()
    assert {why for _, why in await shorter.people(minutes=61)} >= {"repeated"}
    longer = Room(pool, by(0, 60, 7200), clock=room.clock)
    await longer.desk.look_at_all()
    assert (f"region/{CITY}", "escalated") in await longer.people(minutes=70)


async def test_what_has_had_its_time_is_deleted_and_what_is_open_is_not(pool: asyncpg.Pool):
    room = Room(pool)
    await room.take(red(1), red(2), commands=[seen(Acknowledge, 1, 1)])
    await room.people()
    await room.take(red(1, 2, state="cleared"))
    await room.people(minutes=10)
    await pool.execute("update alerts.commands set decided_at = $1", room.clock.now())
    room.clock.go(days=100)
    roster = Roster(pool, alerting(), Contacts(), ZONE, room.clock, Health(room.clock).check("roster", max_age=60))
    for _ in range(2):
        await roster.write()
        await roster.tidy()
    assert [row["id"].int for row in await pool.fetch("select id from alerts.warnings")] == [2]
    counts = {table: await pool.fetchval(f"select count(*) from alerts.{table}") for table in ("alerts", "members", "commands", "teams")}
    assert counts == {"alerts": 1, "members": 1, "commands": 0, "teams": 3}


# What the database does not take


async def test_one_record_that_cannot_be_kept_harms_no_other(pool: asyncpg.Pool):
    room, started = Room(pool), Health(SystemClock())
    registry = CollectorRegistry()
    progress = Progress(SystemClock(), registry)
    nothing: Any = lambda: None  # noqa: E731 - a function that does nothing
    pulse = Pulse(pool, SystemClock())
    worker = AlertsWorker(room.store, NoRelay(), progress, pulse, started.check("writes", max_age=60), registry, looked=nothing, staffed=nothing)  # type: ignore[arg-type]
    await worker.assign([W])
    bad = asked(HandOver, 5, region=CITY, day=NOW.date(), note="n", open=0, unanswered=0).model_dump_json().replace('"n"', '"\\u0001"')
    year_one = asked(AnswerAlert, 6, alert=UUID(int=9), message=1, deed=Deed.DONE, position={"longitude": 1, "latitude": 1})
    early = year_one.model_dump_json().replace(NOW.isoformat().replace("+00:00", "Z"), "0001-01-01T00:00:00+14:00")
    assert "0001-01-01" in early

    def kept(topic: str, offset: int, value: str) -> Any:
        return ConsumerRecord(topic, 0, offset, 0, 0, b"k", value.encode(), None, 0, len(value), ())

    commands = [kept(COMMANDS, 0, bad), kept(COMMANDS, 1, early)]
    tp = W._replace(topic=COMMANDS)
    await worker.assign([W, tp])
    await worker.work({tp: commands, W: [kept(WARNINGS, 0, red().model_dump_json())]})
    assert await pool.fetchval("select count(*) from alerts.warnings") == 1
    assert await pool.fetchval("select next_offset from alerts.partitions where topic = $1", COMMANDS) == 2


async def test_any_code_may_be_a_tag(room: Room, pool: asyncpg.Pool):
    await room.take(red(tags=["null", "pump"]))
    assert await pool.fetchval("select tags from alerts.warnings") == ["null", "pump"]
    await room.take(commands=[seen(Acknowledge, 1, 1)])
    assert (await record(pool)).acknowledged is not None
