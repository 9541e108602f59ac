"""`python -m services.alerts.watchdog`: tell the duty lead when the platform itself is silent.

A process of its own, which needs neither Kafka nor PostgreSQL to work: it looks every few seconds whether time goes on and alerts does its work
(`domain.watching`), tells the team `lead` of `alerting.yaml` by `lead_channels` itself, again and again while it lasts, and tells the end. While all
is well it calls a heartbeat URL, so that somebody elsewhere notices when it is itself away, or the whole machine.

A message is given up after the channel's `give_up`, or when a newer one is to be told. No address gets more than the channel's `flood`, however
often the platform comes and goes: what is over it waits, and the newest word takes the place of what waits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import asyncpg
import httpx
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics

from schemas.alerting import Alerting, Bucket, Channel, Team
from schemas.base import Name
from schemas.tiers import Tier
from services.alerts import contacts, policy, wording
from services.alerts.channels import Again, Sender, Sending, Taken, senders
from services.alerts.contacts import Contacts
from services.alerts.domain.duty import Override, people_on_duty
from services.alerts.domain.flood import Level, Waiting, plan
from services.alerts.domain.watching import Cause, Limits, Look, Outage, Verdict, Watch, begin, silence, step
from services.alerts.settings import WatchdogSettings, WatchingSettings
from services.kit import city, database, http, logs, room
from services.kit.clock import Clock, SystemClock
from services.kit.health import Check, Health

_log = logs.get(__name__)

NAMESPACE = UUID("5b0f8f5e-0f5e-5c0b-9b4e-6a8f0f6b2d11")
ANSWER_S = 5.0
"""PostgreSQL answers within that, or does not answer."""
LATE_S, LANE_LATE_S = 15.0, 60.0
"""A timer of alerts that is so late has been left waiting; so has something to send, of which a channel that is slow takes one after the other."""
HEARTBEAT_TIMEOUT_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
"""Before the second try of a message, and at most between two."""

_HINT = "alerting.yaml: lead, lead_channels; contacts.yaml: their addresses"
_TICKED = "select api_ingest.ticked()"
_BEHIND = """
select exists (select from alerts.alerts where closed_at is null and due_at < now() - make_interval(secs => $1)) or exists (
    select from alerts.lanes where due_at < now() - make_interval(secs => $2) and (leased_until is null or leased_until < now())
)
"""
_PULSE = "select part, at from alerts.pulse"
_OVERRIDES = """
select team, person, instead_of, since, until from alerts.overrides where team = $1 and until > clock_timestamp()
order by (body ->> 'at')::timestamptz, id
"""

_NO_ANSWER: tuple[type[BaseException], ...] = (*database.TRANSIENT, asyncpg.PostgresError)
"""Whatever PostgreSQL says instead of an answer: that it has no such table or knows no such password is no answer either."""


# What is seen


@dataclass(frozen=True, slots=True)
class Seen:
    """What PostgreSQL said."""

    ticked: datetime | None
    behind: bool
    beats: Mapping[str, datetime]
    overrides: tuple[Override, ...]


class Eyes:
    """Asks PostgreSQL, by a new connection each time: whoever needs one now gets none when we get none."""

    def __init__(self, dsn: str, lead: str | None) -> None:
        self._dsn = dsn
        self._lead = lead
        self._seldom = logs.Seldom(every_s=60)

    async def look(self, now: float) -> Seen | None:
        """Return what it says, None when it does not answer in `ANSWER_S`."""
        try:
            async with asyncio.timeout(ANSWER_S):
                seen = await self._ask()
        except _NO_ANSWER as error:
            database.end_if_cancelled(error)
            if self._seldom.due(now):
                _log.warning("database_unavailable", what="see whether time goes on", error=repr(error))
            return None
        self._seldom.over()
        return seen

    async def _ask(self) -> Seen:
        connection = await asyncpg.connect(self._dsn, server_settings={"application_name": "tongguan-watchdog"})
        try:
            async with connection.transaction(readonly=True):
                await connection.execute("set local role tongguan_reader")
                ticked = await connection.fetchval(_TICKED)
                await connection.execute("set local role none")
                behind = await connection.fetchval(_BEHIND, LATE_S, LANE_LATE_S)
                beats = {row["part"]: row["at"] for row in await connection.fetch(_PULSE)}
                overrides = await connection.fetch(_OVERRIDES, self._lead)
                return Seen(ticked, behind, beats, tuple(Override(*row) for row in overrides))
        finally:
            connection.terminate()


# Who is told


@dataclass(frozen=True)
class Lead:
    """The team that is told, and by what."""

    alerting: Alerting
    contacts: Contacts
    senders: dict[str, Sender]
    city: Name
    zone: ZoneInfo

    @property
    def team(self) -> Team | None:
        """The team itself."""
        return next((team for team in self.alerting.teams if team.id == self.alerting.lead), None)

    def ways(self, people: Iterable[str]) -> list[tuple[str, Channel]]:
        """Return by which channels which of some people can be told."""
        channels = [channel for channel in self.alerting.channels if channel.id in self.alerting.lead_channels]
        return [(person, channel) for person in people for channel in channels if channel.id in self.contacts.addresses(person)]

    def on_call(self, overrides: Sequence[Override], now: datetime) -> list[str]:
        """Return the ids of who is told: who is on duty, or the whole team when none of these can be."""
        team = self.team
        if team is None:
            return []
        duty = list(people_on_duty(team, self.alerting.calendar, overrides, now, self.zone))
        return duty if self.ways(duty) else sorted(team.members)


@dataclass(frozen=True)
class News:
    """One message of an outage, and who has it already."""

    outage: Outage
    ended_at: datetime | None = None
    done: frozenset[str] = field(default_factory=frozenset)
    """`<person>/<channel>`: it was taken, or given up."""
    told: frozenset[str] = field(default_factory=frozenset)
    """To whom this outage was told: they are told its end, on duty or not."""
    tried: frozenset[str] = field(default_factory=frozenset)
    """`<person>/<channel>`: a try is under way, or one may have been taken although no answer came."""

    def key(self, to: str) -> str:
        """Return what a channel knows it by: the same for whoever tells it."""
        return str(uuid5(NAMESPACE, f"{self.outage.began.isoformat()}\n{self.ended_at is not None or self.outage.round}\n{to}"))


@dataclass(frozen=True)
class Remembered:
    """What outlives the process."""

    news: News | None = None
    levels: Mapping[str, Level] = field(default_factory=dict)
    """What the flood limits still let through, by `<person>/<channel>`."""


class Memory:
    """Keeps what was told in a file, so that a restart tells nobody twice. A file that cannot be read or written is told in the log only."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def recall(self) -> Remembered:
        """Return what was kept last, nothing where there is none."""
        if self._file is None or not self._file.exists():
            return Remembered()
        try:
            return _remembered(json.loads(self._file.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("state_unreadable", file=str(self._file), error=type(error).__name__)
            return Remembered()

    def keep(self, remembered: Remembered) -> None:
        """Write what is to be remembered."""
        if self._file is None:
            return
        try:
            written = self._file.with_name(f".{self._file.name}.new")
            written.write_text(json.dumps(asdict(remembered), default=_plain), "utf-8")
            written.replace(self._file)
        except OSError as error:
            _log.warning("state_unwritable", file=str(self._file), error=error.strerror)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else sorted(value)


def _remembered(kept: Any) -> Remembered:
    """Return what a file holds; raises `ValueError`, `KeyError`, `TypeError` or `AttributeError` for what is none."""
    levels = {str(to): Level(float(level["tokens"]), _time(level["at"])) for to, level in kept["levels"].items()}
    return Remembered(None if kept["news"] is None else _news(kept["news"]), levels)


def _news(told: Any) -> News:
    known, ended = told["outage"], told["ended_at"]
    outage = Outage(_time(known["began"]), Cause(known["cause"]), int(known["round"]), _time(known["told_at"]))
    return News(outage, None if ended is None else _time(ended), *(frozenset(map(str, told[name])) for name in ("done", "told", "tried")))


def _time(text: object) -> datetime:
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


class Teller:
    """Tells news to all ways at once, each until it has it or is given up."""

    def __init__(self, lead: Lead, memory: Memory, tasks: asyncio.TaskGroup, clock: Clock, registry: CollectorRegistry) -> None:
        """`tasks` is where it sends. `recalled` is what a predecessor was telling."""
        self._lead = lead
        self._memory = memory
        self._tasks = tasks
        self._clock = clock
        self._people = {person.id: person for person in lead.alerting.people}
        self._running: list[asyncio.Task[None]] = []
        remembered = memory.recall()
        self.recalled = self._news = remembered.news
        self._levels = dict(remembered.levels)
        self._sent = Counter(
            "tongguan_watchdog_sendings", "Messages to the duty lead, by channel and result", ["channel", "result"], registry=registry
        )

    def tell(self, news: News, people: Iterable[str]) -> None:
        """Begin to tell, in the place of what was being told; an end also to all who were told of the outage."""
        self.stop()
        before = self._news.told if self._news is not None and self._news.outage.began == news.outage.began else frozenset()
        told = before | news.told
        people = [*people, *sorted(told)] if news.ended_at is not None else list(people)
        ways = [(person, channel) for person, channel in self._lead.ways(dict.fromkeys(people)) if f"{person}/{channel.id}" not in news.done]
        if not ways and not news.done:
            _log.error("nobody_to_tell", cause=news.outage.cause, hint=_HINT)
        self._note(replace(news, told=told | {person for person, _ in ways}))
        self._running = [self._tasks.create_task(self._deliver(person, channel, news)) for person, channel in ways]
        self._forget()

    def stop(self) -> None:
        """Leave off; what is not told yet stays in the memory."""
        for task in self._running:
            task.cancel()
        self._running = []

    async def _deliver(self, person: str, channel: Channel, news: News) -> None:
        to = f"{person}/{channel.id}"
        result = await self._try(person, channel, news, to)
        self._sent.labels(channel.id, result).inc()
        if self._news is not None:
            self._note(replace(self._news, done=self._news.done | {to}))
        self._running = [task for task in self._running if task is not asyncio.current_task()]
        self._forget()

    def _forget(self) -> None:
        """Once all have the end nothing is left to remember but how much was told."""
        if self._news is not None and self._news.ended_at is not None and not self._running:
            self._note(None)

    def _note(self, news: News | None) -> None:
        self._news = news
        self._memory.keep(Remembered(news, self._levels))

    def _note_try(self, to: str, *, may_have: bool) -> None:
        """Note whether somebody may have the message."""
        if self._news is not None:
            self._note(replace(self._news, tried=self._news.tried | {to} if may_have else self._news.tried - {to}))

    async def _try(self, person: str, channel: Channel, news: News, to: str) -> str:
        """Send until it is taken or given up; returns which.

        That a try is under way is noted before it is: after a kill the next one says that it may be a repetition, where the channel cannot tell.
        """
        sender = self._lead.senders[channel.id]
        wait, maybe = FIRST_WAIT_S, to in news.tried
        await self._admit(to, channel.flood)
        since = self._clock.monotonic()
        while True:
            self._note_try(to, may_have=True)
            receipt = await sender.send(self._sending(person, channel, news, news.key(to), again=maybe and not sender.idempotent))
            if isinstance(receipt, Taken):
                _log.info("told", person=person, channel=channel.id, round=news.outage.round, ended=news.ended_at is not None)
                return "taken"
            given_up = not isinstance(receipt, Again) or self._clock.monotonic() - since > channel.give_up.total_seconds()
            _log.warning("not_told", person=person, channel=channel.id, reason=receipt.reason, given_up=given_up)
            if given_up or not isinstance(receipt, Again):
                return "given_up"
            self._sent.labels(channel.id, "again").inc()
            maybe = maybe or receipt.maybe
            self._note_try(to, may_have=maybe)
            await asyncio.sleep(max(wait, receipt.after_s or 0))
            wait = min(wait * 2, LONGEST_WAIT_S)
            if receipt.maybe and not sender.idempotent:
                await self._admit(to, channel.flood)

    async def _admit(self, to: str, flood: Bucket) -> None:
        """Wait until an address may get one message more. What was surely not taken counts once, however often it is tried."""
        held_back = False
        while (later := self._later(to, flood, now := self._clock.now())) is not None:
            if not held_back:
                _log.warning("held_back", to=to, until=later.isoformat(), most=flood.most)
            held_back = True
            await asyncio.sleep(min(max((later - now).total_seconds(), 0.0), LONGEST_WAIT_S))

    def _later(self, to: str, flood: Bucket, now: datetime) -> datetime | None:
        """Take one from what an address may get; returns when to ask again where there is none, None when it is taken."""
        one = Waiting(NAMESPACE, Tier.RED.gravity, now, now)
        told, self._levels[to], _ = plan([one], self._levels.get(to), flood, None, None, digest=False, now=now)
        return None if told.now else told.later

    def _sending(self, person: str, channel: Channel, news: News, key: str, *, again: bool) -> Sending:
        known = self._people[person]
        ended, outage = news.ended_at, news.outage
        cause, now = (outage.cause, outage.told_at) if ended is None else (None, ended)
        text = wording.outage(self._lead.city, cause, outage.began, now, self._lead.zone, known.language, again=again)
        called = known.name.en if known.language == "en" else known.name.zh
        address = self._lead.contacts.addresses(person)[channel.id]
        return Sending(key=key, address=address, name=called, language=known.language, title=text.title, text=text.text)


# All of it


class Watchdog:
    """Looks, decides, has it told."""

    def __init__(self, settings: WatchdogSettings, eyes: Eyes, lead: Lead, teller: Teller, clock: Clock) -> None:
        self._settings = settings
        self._eyes = eyes
        self._lead = lead
        self._teller = teller
        self._clock = clock
        self._limits = Limits(settings.silence_s, settings.calm_s, settings.repeat)
        self._overrides: tuple[Override, ...] = ()
        self._recalled = recalled = teller.recalled
        self._watch = begin(clock.monotonic(), None if recalled is None or recalled.ended_at is not None else recalled.outage)
        self.verdict = Verdict.STARTING

    @property
    def well(self) -> bool:
        """Whether all is well, and was so not long ago: nobody is to hear that it is while it may not be."""
        return self.verdict is Verdict.WELL and self.silence_s < self._settings.silence_s / 2

    @property
    def silence_s(self) -> float:
        """For how long there has been no sign of life."""
        return silence(self._watch, self._clock.monotonic())

    @property
    def outage(self) -> bool:
        """Whether an outage was told and has not ended."""
        return self._watch.outage is not None

    async def run(self, check: Check) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            check.ok()
            await asyncio.sleep(self._settings.look_s)

    async def look(self) -> None:
        """Look once, and tell what is to be told: at first what a predecessor left. Overrides of the duty are those that PostgreSQL gave last."""
        seen = await self._eyes.look(self._clock.monotonic())
        now = self._clock.now()
        look = Look(self._clock.monotonic(), now, answered=False)
        if seen is not None:
            self._overrides = seen.overrides
            look = Look(look.at, now, answered=True, ticked=seen.ticked, behind=seen.behind, beats=seen.beats)
        before = self._watch
        self._watch, verdict = step(before, look, self._limits)
        if verdict is not self.verdict:
            _log.info("verdict", verdict=verdict, silence_s=round(silence(self._watch, look.at), 1))
        self.verdict = verdict
        left, self._recalled = self._recalled, None
        if (news := _to_tell(before, self._watch, verdict, now) or left) is not None:
            self._teller.tell(news, self._lead.on_call(self._overrides, now))


def _to_tell(before: Watch, after: Watch, verdict: Verdict, now: datetime) -> News | None:
    if verdict in {Verdict.BEGAN, Verdict.REPEATED} and after.outage is not None:
        return News(after.outage)
    if verdict is Verdict.ENDED and before.outage is not None:
        return News(before.outage, ended_at=now)
    return None


async def heartbeat(settings: WatchdogSettings, watchdog: Watchdog, registry: CollectorRegistry) -> None:
    """Call the monitor elsewhere while all is well, until cancelled."""
    called = Counter("tongguan_watchdog_heartbeats", "Calls of the monitor elsewhere, by result", ["result"], registry=registry)
    if settings.heartbeat_url is None:
        return
    url = settings.heartbeat_url.get_secret_value()
    async with httpx.AsyncClient(timeout=HEARTBEAT_TIMEOUT_S, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        while True:
            while not watchdog.well:
                await asyncio.sleep(min(settings.look_s, settings.heartbeat_s))
            problem = await _beat(client, settings.heartbeat_method, url)
            called.labels("failed" if problem else "taken").inc()
            if problem:
                _log.warning("heartbeat_failed", problem=problem)  # the URL may hold a token
            await asyncio.sleep(settings.heartbeat_s)


async def _beat(client: httpx.AsyncClient, method: str, url: str) -> str:
    """Return what went wrong, nothing when all went well."""
    try:
        async with asyncio.timeout(HEARTBEAT_TIMEOUT_S), client.stream(method, url) as answer:
            return "" if answer.is_success else f"HTTP {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        return type(error).__name__


def _lead(settings: WatchingSettings) -> Lead:
    place = city.load(settings.city)
    alerting, known = policy.load(settings.city, place), contacts.load(settings.alerts.contacts)
    lead = Lead(alerting, known, senders(alerting, known), place.city.name, ZoneInfo(place.city.timezone))
    team = lead.team
    if team is None or not lead.ways(sorted(team.members)):
        # Without contacts nobody has an address, and somebody meant it so: a trial on one machine.
        tell = _log.info if settings.alerts.contacts is None else _log.warning
        tell("nobody_would_be_told", hint=_HINT)
    return lead


async def serve(settings: WatchingSettings, stop: asyncio.Event) -> None:
    """Run until `stop`, then end at once: what is not told yet stands in the state file."""
    own, clock, registry = settings.watchdog, SystemClock(), CollectorRegistry()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    ProcessCollector(registry=registry)
    health = Health(clock)
    looking = health.check("looking", max_age=max(60.0, 3 * own.look_s), vital=True)
    lead = _lead(settings)
    async with asyncio.TaskGroup() as tasks:
        teller = Teller(lead, Memory(own.state), tasks, clock, registry)
        eyes = Eyes(settings.database, lead.alerting.lead)
        watchdog = Watchdog(own, eyes, lead, teller, clock)
        Gauge("tongguan_watchdog_silence_seconds", "Since the last sign of life", registry=registry).set_function(lambda: watchdog.silence_s)
        Gauge("tongguan_watchdog_outage", "Whether the platform is silent", registry=registry).set_function(lambda: watchdog.outage)
        works = (
            http.serve(http.admin(health, registry), host=settings.admin_bind, port=own.admin_port, stop=asyncio.Event()),
            watchdog.run(looking),
            heartbeat(own, watchdog, registry),
        )
        running = [tasks.create_task(work) for work in works]
        await stop.wait()
        for task in running:
            task.cancel()
        teller.stop()


if __name__ == "__main__":
    room.run("watchdog", WatchingSettings, serve)
