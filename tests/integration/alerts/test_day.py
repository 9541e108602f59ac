"""A day of a city in some minutes: alerts as a process by a clock of the test's, killed with -9 at random, its channels failing by turns.

Time is stepped, and goes on only when alerts has done all that is due: what is told when does not depend on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import yaml
from prometheus_client import CollectorRegistry

from schemas.base import Origin
from schemas.command import Acknowledge
from schemas.notification import IN_APP, Notification, Result, Why
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.kit import city as city_folder
from services.kit import database as kit_database
from services.kit.producer import Outgoing, Producer
from services.kit.topics import COMMANDS, WARNINGS
from tests.integration.alerts import day
from tests.integration.alerts.quick import VARIABLE, FileClock
from tests.integration.parts import ROOT, Servers, Service
from tests.takers import Taken, Takers

CITY = ROOT / "cities" / "620100"
STEP = timedelta(minutes=2)
SLACK = timedelta(minutes=8)
"""How late at most something is decided: a kill takes up to five minutes of the day."""
LONGEST_OFF = timedelta(minutes=5)
KILLS = 10
WAIT_S = 120.0
"""For alerts to do what is due at one time."""
SEED = 6

_STANDS = """
select
    (select coalesce(sum(next_offset), 0) from alerts.partitions where topic = 'city.warnings') as warnings,
    (select coalesce(sum(next_offset), 0) from alerts.partitions where topic = 'city.commands') as commands,
    (select count(*) from alerts.alerts where due_at <= $1 and closed_at is null) as looks,
    (select count(*) from alerts.lanes where due_at <= $1 and (leased_until is null or leased_until <= $1)) as lanes,
    (select coalesce(array_agg(lane), '{}') from alerts.lanes where leased_until > $1) as leased
"""
_MARK = re.compile(r"#([0-9a-f-]{36})\.(\d+)\.([a-z]+)#")
_MORE = re.compile(r"另有 (\d+) 条")


@dataclass(frozen=True)
class Sent:
    """A row of the ledger that was to go out."""

    one: Notification
    parcel: UUID | None
    attempts: int
    maybe: bool

    @property
    def mark(self) -> str:
        return f"{self.one.alert}.{self.one.message}.{self.one.why.value}"

    @property
    def address(self) -> str:
        """As the takers know it."""
        person = self.one.recipient.partition("/")[2]
        return {"dingtalk": "t0kent0ken", "mail": f"mail-{person}@example.org"}.get(self.one.channel, f"{self.one.channel}-{person}")


@dataclass
class Day:
    """What is left when the day is over."""

    scenario: day.Scenario
    told: list[Notification]
    sent: list[Sent]
    taken: list[Taken]
    times: list[tuple[float, datetime]]
    """Since when it was what time."""
    groups: dict[UUID, tuple[str, bool]]
    """Each alert's key, and whether it is a storm's."""
    members: dict[UUID, list[int]]
    """The warnings of each alert that were told."""
    kills: int
    strange: list[str]

    def when(self, taken: Taken) -> datetime:
        """Return what time it was when a message was taken."""
        return self.times[max(bisect_right(self.times, taken.at, key=lambda one: one[0]) - 1, 0)][1]

    def alerts_of(self, number: int) -> set[UUID]:
        return {alert for alert, numbers in self.members.items() if number in numbers}


class Conductor:
    """Lets the day pass."""

    def __init__(self, servers: Servers, dsn: str, folder: Path, takers: Takers, pool: asyncpg.Pool) -> None:
        self._folder = folder
        self._takers = takers
        self._pool = pool
        self._servers = servers
        self._dice = random.Random(SEED)
        self._clock = FileClock(folder / "clock")
        self._published = {WARNINGS: 0, COMMANDS: 0}
        self._orphaned: set[str] = set()
        self.times: list[tuple[float, datetime]] = []
        self.kills = 0
        tree = city_folder.load(CITY).regions
        making = day.Making(tree, SEED)
        self.scenario = making.scenario()
        self._told = self._write(dsn, making.districts)
        self._set(day.BEGINS)
        self._service = self._start()

    def _write(self, dsn: str, districts: list[str]) -> dict[str, str]:
        city, contacts = self._folder / "city", self._folder / "contacts.yaml"
        city.mkdir()
        for file in ("city.yaml", "regions.yaml", "sensors.yaml"):
            (city / file).write_bytes((CITY / file).read_bytes())
        (city / "alerting.yaml").write_text(yaml.safe_dump(day.policy(self._takers, districts), allow_unicode=True))
        contacts.write_text(yaml.safe_dump(day.contacts(districts)))
        contacts.chmod(0o600)
        return {
            "TONGGUAN_KAFKA": self._servers.kafka,
            "TONGGUAN_DATABASE": dsn,
            "TONGGUAN_CITY": str(city),
            "TONGGUAN_ALERTS__CONTACTS": str(contacts),
            "PYTHONPATH": str(ROOT),
            VARIABLE: str(self._folder / "clock"),
        }

    def _start(self) -> Service:
        return Service("alerts", self._folder, self._told, module="tests.integration.alerts.quick")

    async def pass_by(self) -> None:
        """Let the day pass, and the rest after it."""
        await self._service.ready()
        deaths = sorted(self._dice.uniform(0.5, 23.5) for _ in range(KILLS))
        async with Producer(self._servers.kafka, CollectorRegistry()) as producer:
            events, at, now = self.scenario.events, 0, day.BEGINS
            while now < day.BEGINS + day.LENGTH + day.REST:
                now += STEP
                dies = bool(deaths) and now >= day.BEGINS + timedelta(hours=deaths[0])
                if dies:
                    deaths.pop(0)
                    self._set(now)
                    at = await self._publish(producer, events, at, now)
                    now = await self._die(now)
                self._set(now)
                at = await self._publish(producer, events, at, now)
                if dies:
                    self._service = self._start()
                    await self._service.ready()
                await self._done(now)
        assert at == len(events)
        assert self._service.stop() == 0, self._service.log

    async def _die(self, now: datetime) -> datetime:
        """Kill alerts in the midst of its work; returns what time it is when it comes back."""
        await asyncio.sleep(self._dice.uniform(0, 0.15))
        self._service.kill()
        self.kills += 1
        self._orphaned = set((await self._stands(now))["leased"])
        return now + self._dice.random() * LONGEST_OFF

    def _set(self, now: datetime) -> None:
        """Say what time it is, and let the channels fail that fail then."""
        hour = (now - day.BEGINS) / timedelta(hours=1)
        faults = {channel: fault for since, until, channel, fault in day.FAULTS if since <= hour < until}
        for channel in self._takers.faults.keys() - faults.keys():
            del self._takers.faults[channel]
        self._takers.faults.update(faults)
        self.times.append((time.monotonic(), now))
        self._clock.set(now)

    async def _publish(self, producer: Producer, events: Sequence[tuple[datetime, Any]], at: int, now: datetime) -> int:
        """Publish what happens until a time; returns the first event that comes later."""
        records: dict[str, list[Outgoing]] = {WARNINGS: [], COMMANDS: []}
        while at < len(events) and events[at][0] <= now:
            one = events[at][1]
            topic, key = (WARNINGS, one.subject) if isinstance(one, Warning) else (COMMANDS, f"warning/{one.warning}")
            records[topic].append(Outgoing(one.model_dump_json().encode(), key=key.encode()))
            at += 1
        for topic, outgoing in records.items():
            if outgoing:
                await producer.publish(topic, outgoing)
                self._published[topic] += len(outgoing)
        return at

    async def _stands(self, now: datetime) -> asyncpg.Record:
        found = await self._pool.fetchrow(_STANDS, now)
        assert found is not None
        return found

    async def _done(self, now: datetime) -> None:
        """Wait until alerts has done what is due; what it had leased when it was killed waits for the lease to end."""
        deadline = time.monotonic() + WAIT_S
        while True:
            stands = await self._stands(now)
            self._orphaned &= set(stands["leased"])
            taken = (int(stands["warnings"]), int(stands["commands"])) == (self._published[WARNINGS], self._published[COMMANDS])
            if taken and not stands["looks"] and not stands["lanes"] and set(stands["leased"]) <= self._orphaned:
                return
            assert time.monotonic() < deadline, f"{now}: {dict(stands)} of {self._published}\n{self._service.log[-4_000:]}"
            assert self._service.process.poll() is None, self._service.log[-4_000:]
            await asyncio.sleep(0.005)

    async def ledger(self) -> Day:
        """Return what is left of the day."""
        rows = await self._pool.fetch("select body, sending, attempts, maybe from alerts.notifications order by decided_at, message")
        whole = [(Notification.model_validate_json(row["body"]), row) for row in rows]
        alerts = await self._pool.fetch("select id, key, storm is not null as storm from alerts.alerts")
        members: dict[UUID, list[int]] = defaultdict(list)
        for row in await self._pool.fetch("select alert, warning from alerts.members where told_message > 0"):
            members[row["alert"]].append(row["warning"].int)
        return Day(
            scenario=self.scenario,
            told=[one for one, _ in whole],
            sent=[Sent(one, row["sending"], row["attempts"], row["maybe"]) for one, row in whole if one.channel != IN_APP],
            taken=list(self._takers.taken),
            times=self.times,
            groups={row["id"]: (row["key"], row["storm"]) for row in alerts},
            members=members,
            kills=self.kills,
            strange=list(self._takers.strange),
        )


@pytest.fixture(scope="module")
def over(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The day, when it is over."""

    async def run(takers: Takers) -> Day:
        pool = await kit_database.open_pool(database, size=2)
        conductor = Conductor(servers, database, tmp_path_factory.mktemp("day"), takers, pool)
        try:
            await conductor.pass_by()
            return await conductor.ledger()
        finally:
            conductor._service.kill()
            pool.terminate()

    with Takers() as takers:
        yield asyncio.run(run(takers))


pytestmark = pytest.mark.timeout(900)
LAST_MINUTES = timedelta(minutes=10)


def test_the_day_was_as_it_should_be(over: Day):
    assert over.kills == KILLS
    assert not over.strange
    numbers = {one.id.int for _, one in over.scenario.events if isinstance(one, Warning)}
    assert len(numbers) == day.WARNINGS
    # A reminder that fell due in the last minutes may still wait for its address to have room.
    settled = [one.one for one in over.sent if one.one.decided_at < over.times[-1][1] - LAST_MINUTES or one.one.result is not Result.WAITING]
    results = Counter(one.result for one in settled)
    assert results.keys() == {Result.DELIVERED, Result.UNCERTAIN, Result.FAILED, Result.WITHHELD}, "nothing waits, and each end was met"
    assert any(one.one.digest > 1 for one in over.sent)


def test_every_red_warning_is_acknowledged_or_over_or_escalated_to_the_top(over: Day):
    answered = {one.warning.int for _, one in over.scenario.events if isinstance(one, Acknowledge) and one.tier == "red"}
    cleared = {one.id.int for _, one in over.scenario.events if isinstance(one, Warning) and one.state == "cleared"}
    red = {one.id.int for _, one in over.scenario.events if isinstance(one, Warning) and one.tier == "red"}
    top = {one.alert for one in over.told if one.recipient == "person/supervisor" and one.why in {Why.ESCALATED, Why.OPENED, Why.CHANGED}}
    waiting = red - answered - cleared
    assert len(red) > 200
    assert len(waiting) > 30
    assert [number for number in waiting if not over.alerts_of(number) & top] == []


def test_each_step_of_each_red_warning_tells_who_is_on_duty_and_no_step_comes_after_its_end(over: Day):
    told: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for one in over.sent:
        to_somebody = one.one.recipient.startswith("person/")  # a group that was told of a milder warning hears of it, too, when it has become red
        if to_somebody and one.one.why in {Why.OPENED, Why.ESCALATED} and one.one.warning.int in over.scenario.reds:
            told[one.one.warning.int].add((one.one.recipient.removeprefix("person/"), one.one.channel))
    for red in over.scenario.reds.values():
        must, may = day.due_steps(red, SLACK)
        least = {each for step in must for each in day.step_recipients(red, step, red.at + day.STEPS[step])}
        most = {each for step in may for late in (timedelta(0), SLACK) for each in day.step_recipients(red, step, red.at + day.STEPS[step] + late)}
        shift = {each for step in must for each in day.step_recipients(red, step, red.at + day.STEPS[step] + SLACK)}
        if least == shift:  # at the change of a shift either is right
            assert least <= told[red.number], red
        assert told[red.number] <= most, red
    assert all(one.one.result is Result.WITHHELD for one in over.sent if one.one.origin is not Origin.REAL)


def test_what_the_channels_received_is_what_the_ledger_says_that_they_were_sent(over: Day):
    parcels: dict[tuple[str, str, UUID], list[Sent]] = defaultdict(list)
    for one in over.sent:
        if one.parcel is not None:
            parcels[one.one.channel, one.address, one.parcel].append(one)
    unknown, came = [], Counter[tuple[str, str, UUID]]()
    by_marks = {
        (channel, address, frozenset(Counter(one.mark for one in rows).items())): (channel, address, key)
        for (channel, address, key), rows in parcels.items()
    }
    for taken in over.taken:
        found = _parcel_of(taken, parcels, by_marks)
        if found is None:
            unknown.append(taken)
        else:
            came[found] += 1
    assert unknown == []
    for parcel, rows in parcels.items():
        keyed, times = parcel[0] in {"sms", "webhook"}, came[parcel]
        (result,) = {one.one.result for one in rows}
        if result is Result.DELIVERED and (parcel[0] == "sms" or not keyed):
            assert times == 1, rows
        elif result in {Result.DELIVERED, Result.UNCERTAIN}:
            assert 1 <= times <= rows[0].attempts, rows
        elif not any(one.maybe for one in rows):
            assert times == 0, rows
    assert not any(one.parcel for one in over.sent if one.one.result is Result.WITHHELD)
    assert not any(one.one.result is Result.UNCERTAIN for one in over.sent if one.one.channel in {"sms", "webhook"})


def _parcel_of(taken: Taken, parcels: dict[tuple[str, str, UUID], list[Sent]], by_marks: dict[Any, Any]) -> tuple[str, str, UUID] | None:
    """Return the parcel that a message was: by its key where it has one, else by all that it tells."""
    marks = Counter(".".join(found) for found in _MARK.findall(taken.text))
    if not taken.key:
        return _by_marks(taken, marks, parcels, by_marks)
    key = (taken.channel, taken.address, UUID(taken.key))
    rows = parcels.get(key, [])
    more = _MORE.search(taken.text)
    whole = Counter(one.mark for one in rows)
    return key if marks <= whole and marks.total() + int(more[1] if more else 0) == len(rows) > 0 else None


def _by_marks(taken: Taken, marks: Counter[str], parcels: dict[tuple[str, str, UUID], list[Sent]], by_marks: dict[Any, Any]) -> Any:
    more = _MORE.search(taken.text)
    if more is None:
        return by_marks.get((taken.channel, taken.address, frozenset(marks.items())))
    count = marks.total() + int(more[1])
    return next(
        (
            key
            for key, rows in parcels.items()
            if key[:2] == (taken.channel, taken.address) and len(rows) == count and marks <= Counter(one.mark for one in rows)
        ),
        None,
    )


def test_nobody_gets_more_than_a_flood_limit(over: Day):
    times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for taken in over.taken:
        times[taken.channel, taken.address].append(over.when(taken))
    within, fullest = timedelta(minutes=29), 0
    for came in times.values():
        came.sort()
        for index, at in enumerate(came):
            fullest = max(fullest, bisect_right(came, at + within) - index)
    assert 8 <= fullest <= day.FLOOD["most"], "the limit was reached, and held"


def test_what_did_not_arrive_is_told_to_the_lead(over: Day):
    failed = {(one.one.alert, one.one.message) for one in over.sent if one.one.result is Result.FAILED and one.one.why is not Why.UNDELIVERED}
    told = {(one.alert, one.message) for one in over.told if one.why is Why.UNDELIVERED and one.recipient == "person/lead" and one.channel == IN_APP}
    assert failed
    assert failed <= told


def test_a_storm_is_one_alert_that_says_how_many(over: Day):
    storms = [alert for alert, (_, storm) in over.groups.items() if storm]
    assert len(storms) == len(day.STORMS)
    inside = [sum(number in over.scenario.stormy for number in over.members[alert]) for alert in storms]
    assert all(count >= day.STORM - day.MORE_THAN for count in inside), "all but those that began before it was one"
    most = max(Counter((one.alert, one.recipient) for one in over.told if one.alert in storms).values())
    assert most <= 40
    assert all(max(one.warnings for one in over.told if one.alert == alert) >= 100 for alert in storms)


def test_what_flaps_is_told_no_more_often_than_its_interval(over: Day):
    said: dict[str, dict[datetime, set[Why]]] = defaultdict(dict)
    for one in over.told:
        key, storm = over.groups[one.alert]
        if not storm and one.tier != "red" and one.why is not Why.UNDELIVERED:
            said[key].setdefault(one.decided_at, set()).add(one.why)
    close = {
        (key, before, later): (times[before], times[later])
        for key, times in said.items()
        for before, later in pairwise(sorted(times))
        if later - before < timedelta(minutes=2)
    }
    assert not close, "a new alert waits before it is told, one that was told for its interval"
    flapped = [key for alert, (key, _) in over.groups.items() if set(over.members[alert]) & over.scenario.flapping for key in (key,)]
    assert len(flapped) > 20


def test_whatever_lasts_is_told(over: Day):
    opened: dict[int, datetime] = {}
    lasting = set()
    for at, one in over.scenario.events:
        if isinstance(one, Warning):
            if one.state == "open":
                opened.setdefault(one.id.int, at)
            elif at - opened[one.id.int] > timedelta(minutes=12) + SLACK and one.id.int not in over.scenario.flapping:
                lasting.add(one.id.int)
    told = {number for numbers in over.members.values() for number in numbers}
    assert len(lasting) > 1_000
    assert lasting <= told
