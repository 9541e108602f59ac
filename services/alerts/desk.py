"""The desk: looks at the alerts whose time has come and writes down who is told, a row for each before anything is sent.

Any number of desks may work: each takes alerts that no other holds (`skip locked`). All that a look decides commits at once with the alert's new
state, so a desk that is killed has either told or not. The timers are the rows' `due_at`: they survive everything that the database survives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from prometheus_client import CollectorRegistry, Counter

from schemas.alerting import Alerting, Inhibition, Match
from schemas.base import Name
from schemas.envelope import EventType, to_headers
from schemas.notification import IN_APP, Notification, Result
from schemas.regions import RegionTree
from schemas.tiers import TIERS
from services.alerts import overrides, rows
from services.alerts.domain.alert import Look, Member, State, look
from services.alerts.domain.duty import people_on_duty
from services.alerts.domain.known import Known
from services.alerts.domain.message import NAMESPACE, Message
from services.alerts.domain.muting import Silenced, Sources, in_force, mute, on
from services.alerts.domain.recipients import Directory, Recipients
from services.alerts.domain.telling import leading, message, place_of
from services.alerts.domain.watching import DESK
from services.alerts.gathering import Gathering
from services.alerts.pulse import Pulse
from services.alerts.reach import Reach
from services.alerts.store import ROOM, SOURCE
from services.alerts.wording import Words
from services.kit import database, logs, outbox, partitions
from services.kit.clock import Clock
from services.kit.health import Check
from services.kit.outbox import Relay
from services.kit.producer import Outgoing
from services.kit.topics import NOTIFICATIONS

_log = logs.get(__name__)

AT_ONCE = 200
"""Alerts that one look takes together: a transaction costs about as much as twenty of them."""
IDLE_S = 0.2
"""How often it is looked for what is due without being woken."""
CACHED = 300_000
"""Warnings kept in mind between looks, so that a large alert is not read anew at each of them; at about a kilobyte each."""
RELOOK = timedelta(seconds=30)
"""How soon an alert is looked at again that is muted until something happens that nobody tells us."""

_DUE = """
select id, route, escalation, storm, state, opened_at, inherits from alerts.alerts where due_at <= $1 and closed_at is null
order by due_at limit $2 for update skip locked
"""
_ALL = "update alerts.alerts set due_at = least(due_at, $1) where closed_at is null and message > 0"
_MEMBERS = """
select m.alert, m.warning, m.told, m.told_rev, w.xmin
from alerts.members m join alerts.warnings w on w.id = m.warning where m.alert = any($1)
"""
_AUDIENCES = "select id, state from alerts.alerts where id = any($1) and state is not null"
_WARNINGS = f"select {rows.NAMES}, xmin from alerts.warnings where id = any($1)"  # noqa: S608 - columns of ours
_ANSWERED = "select warning, body #> '{acknowledged,by,name}' as name from alerts.actions where warning = any($1)"
_SILENCES = "select body from alerts.silences where since <= $1 and until > $1"
_SOURCES = f"select {rows.NAMES} from alerts.warnings where open and gravity = any($1) order by changed_at desc limit 20000"  # noqa: S608 - columns of ours
_SAVE = """
update alerts.alerts a set
    state = t.state, due_at = t.due_at, hold_until = t.hold_until, gravity = t.gravity, peak = t.peak, message = t.message,
    unanswered = t.unanswered, region = t.region, department = t.department, closed_at = t.closed_at,
    inherits = '{}'
from unnest(
    $1::uuid[], $2::jsonb[], $3::timestamptz[], $4::timestamptz[], $5::smallint[], $6::smallint[], $7::int[], $8::boolean[], $9::text[], $10::text[],
    $11::timestamptz[]
) as t (id, state, due_at, hold_until, gravity, peak, message, unanswered, region, department, closed_at)
where a.id = t.id
"""
_TOLD = """
update alerts.members m set
    told = t.told, told_rev = t.rev, told_message = case when t.worse then t.message else m.told_message end,
    first_message = case when m.first_message = 0 then t.message else m.first_message end
from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::int[], $5::int[], $6::boolean[]) as t (alert, warning, told, rev, message, worse)
where m.alert = t.alert and m.warning = t.warning
"""
_SAY = "insert into alerts.messages (alert, number, body) select * from unnest($1::uuid[], $2::int[], $3::jsonb[]) on conflict do nothing"
_NOTIFY = """
insert into alerts.notifications
    (id, alert, message, warning, recipient, street, department, channel, gravity, decided_at, state, lane, due_at, said, body)
select * from unnest(
    $1::uuid[], $2::uuid[], $3::int[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::timestamptz[],
    $11::text[], $12::text[], $13::timestamptz[], $14::jsonb[], $15::jsonb[]
) on conflict do nothing
"""
LANES = """
insert into alerts.lanes as l (lane, channel, due_at, tokens, tokens_at)
select distinct on (t.lane) t.lane, t.channel, $3, -1, $3 from unnest($1::text[], $2::text[]) as t (lane, channel)
order by t.lane
on conflict (lane) do update set due_at = least(l.due_at, excluded.due_at)
"""

_NOTHING: tuple[int, None] = (0, None)
_state = msgspec.json.Decoder(State)
_encoder = msgspec.json.Encoder(enc_hook=lambda value: value.model_dump())
encode = _encoder.encode
"""For what holds names."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An alert that is due."""

    id: UUID
    route: str
    escalation: str
    storm: str | None
    state: State
    members: list[Member]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of it."""

    found: _Found
    look: Look
    message: Message | None
    to: Recipients


class Desk:
    """Looks at alerts; `wake` it after a commit that may have made one due."""

    def __init__(
        self,
        *,
        pool: database.Pool,
        relay: Relay,
        tree: RegionTree,
        alerting: Alerting,
        gathering: Gathering,
        words: Words,
        reach: Reach,
        zone: ZoneInfo,
        clock: Clock,
        pulse: Pulse,
        check: Check,
        registry: CollectorRegistry,
    ) -> None:
        self._pool = pool
        self._relay = relay
        self._tree = tree
        self._alerting = alerting
        self._escalations = {one.id: one for one in alerting.escalations}
        self._gathering = gathering
        self._words = words
        self._reach = reach
        self._zone = zone
        self._clock = clock
        self._pulse = pulse
        self._check = check
        self._wake = asyncio.Event()
        self._cache: dict[UUID, tuple[int, Known]] = {}
        """Warnings as they were read last, each with the version of its row."""
        self.sends = asyncio.Event()
        """Set when something waits to be sent."""
        self._looks = Counter("tongguan_alerts_looks", "Looks at alerts, by what was decided", ["reason"], registry=registry)
        self._told = Counter("tongguan_alerts_notifications", "Notifications decided", ["channel", "result"], registry=registry)
        self._muted = Counter("tongguan_alerts_muted", "Warnings that were not told at a look, by why", ["reason"], registry=registry)
        self._nobody = Counter("tongguan_alerts_nobody_on_duty", "Times that nobody was on duty who should be told", registry=registry)

    def wake(self) -> None:
        """Say that something may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled; a database that is away is waited for."""
        while True:
            self._wake.clear()
            looked = await database.retrying(self.turn, what="look at alerts", check=self._check)
            await database.retrying(partial(self._pulse.beat, DESK), what="say that the desk works", check=self._check)
            self._check.ok()
            if looked < AT_ONCE:
                try:
                    async with asyncio.timeout(IDLE_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def look_at_all(self) -> None:
        """Have all open alerts looked at: the policy may be another than when they were looked at last. Looking too early changes nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            await connection.execute(_ALL, self._clock.now())

    async def turn(self) -> int:
        """Look at what is due now; returns how many alerts that were.

        1. Due alerts are taken that no other desk holds, with their warnings.
        2. What is muted is found out, and what is due is decided.
        3. Messages and notifications become rows, with a posting each; what goes outside waits in its lane.
        4. The alerts' states and next looks are written. All of it commits at once.
        """
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            found = await connection.fetch(_DUE, now, AT_ONCE)
            if not found:
                return 0
            alerts = await self._members(connection, found, now)
            directory = await self._directory(connection, now)
            looked = await self._with_names(connection, [self._look(one, directory, now) for one in alerts])
            notifications = [notification for one in looked for notification in self._notifications(one, now)]
            await self._write(connection, looked, now)
            await keep(connection, notifications, self._reach, now)
        self._relay.wake()
        if any(one.result is Result.WAITING for one in notifications):
            self.sends.set()
        for one in looked:
            self._looks.labels(one.look.reason.value).inc()
            self._nobody.inc(len(one.to.nobody))
        for notification in notifications:
            self._told.labels(notification.channel, notification.result.value).inc()
        return len(found)

    # What is there

    async def _members(self, connection: database.Connection, found: Sequence[asyncpg.Record], now: datetime) -> list[_Found]:
        of: dict[UUID, list[tuple[Known, int, int]]] = {row["id"]: [] for row in found}
        light = await connection.fetch(_MEMBERS, list(of))
        cache = self._cache
        missing = [warning for _, warning, _, _, version in light if cache.get(warning, _NOTHING)[0] != version]
        for row in await connection.fetch(_WARNINGS, missing) if missing else ():
            cache[row["id"]] = (row["xmin"], rows.known(row, self._tree))  # maybe newer than what we have just seen
        for alert, warning, told, told_rev, _ in light:
            of[alert].append((cache[warning][1], told, told_rev))
        if len(self._cache) > CACHED:
            self._cache.clear()
        members = await self._muting(connection, of, now)
        inherited = [one for row in found for one in row["inherits"]]
        left = {row["id"]: _state.decode(row["state"]) for row in await connection.fetch(_AUDIENCES, inherited)} if inherited else {}
        return [_Found(row["id"], row["route"], row["escalation"], row["storm"], _state_of(row, left), members[row["id"]]) for row in found]

    async def _muting(
        self, connection: database.Connection, of: Mapping[UUID, Sequence[tuple[Known, int, int]]], now: datetime
    ) -> dict[UUID, list[Member]]:
        """Return the members of alerts, each with what mutes it."""
        silences = in_force((_silenced(row["body"]) for row in await connection.fetch(_SILENCES, now)), now)
        windows, inhibitions = on(self._alerting.windows, now, self._zone), self._alerting.inhibitions
        if not (silences or windows or inhibitions):
            return {alert: [Member(one, told, told_rev) for one, told, told_rev in warnings] for alert, warnings in of.items()}
        sources = Sources(await self._open(connection, inhibitions)) if inhibitions else Sources(())
        members: dict[UUID, list[Member]] = {}
        for alert, warnings in of.items():
            members[alert] = []
            for one, told, told_rev in warnings:
                found = mute(one, silences, windows, inhibitions, sources) if one.live else None
                if found is not None:
                    self._muted.labels(found.reason.value).inc()
                until = None if found is None else min(found.until or now + RELOOK, now + RELOOK)
                members[alert].append(Member(one, told, told_rev, until, muted=found is not None))
        return members

    async def _open(self, connection: database.Connection, inhibitions: Iterable[Inhibition]) -> list[Known]:
        """Return open warnings that may inhibit others."""
        gravities = {tier.gravity for one in inhibitions for tier in one.source.tiers or TIERS}
        return [rows.known(row, self._tree) for row in await connection.fetch(_SOURCES, sorted(gravities))]

    async def _directory(self, connection: database.Connection, now: datetime) -> Directory:
        standing_in = await overrides.later_than(connection, now)
        calendar = self._alerting.calendar
        return Directory(self._alerting.teams, self._tree, lambda team: people_on_duty(team, calendar, standing_in, now, self._zone))

    # What is decided

    def _look(self, one: _Found, directory: Directory, now: datetime) -> _Looked:
        way = self._gathering.way(one.route)
        escalation = self._escalations.get(one.escalation) or self._escalations[way.escalation]
        decided = look(one.state, one.members, way, escalation, now)
        to = Recipients()
        if decided.due is None:
            return _Looked(one, decided, None, to)
        if decided.due.audience:
            for recipient, channels in one.state.audience.items():
                to.add(recipient, channels)
        place = place_of(one.members)
        for target, channels in decided.due.to:
            directory.add(target, channels, place, to)
        audience = {**one.state.audience, **to.channels}
        decided = replace(decided, state=replace(decided.state, audience=audience))
        said = message(one.id, decided, one.members, self._tree, storm=one.storm is not None, now=now)
        return _Looked(one, decided, said, to)

    @staticmethod
    async def _with_names(connection: database.Connection, looked: list[_Looked]) -> list[_Looked]:
        """Return looks whose messages say whose answer has run out."""
        ran_out = [one.look.ran_out for one in looked if one.message is not None and one.look.ran_out is not None]
        if not ran_out:
            return looked
        names = {row["warning"]: Name.model_validate_json(row["name"]) for row in await connection.fetch(_ANSWERED, ran_out) if row["name"]}
        return [
            replace(one, message=replace(one.message, answered_by=names.get(one.look.ran_out)))
            if one.message is not None and one.look.ran_out
            else one
            for one in looked
        ]

    def _notifications(self, one: _Looked, now: datetime) -> list[Notification]:
        if one.message is None:
            return []
        lead, text = leading(one.found.members), self._words.text(one.message)
        made = []
        for recipient, channels in one.to.channels.items():
            kind, _, name = recipient.partition("/")
            ways = (name,) if kind == "chat" else (IN_APP, *(self._ways(name, channels) if kind == "person" else ()))
            made += [self._notification(one.message, lead, text, recipient, channel, now) for channel in ways]
        return made

    def _ways(self, person: str, channels: Sequence[str]) -> Sequence[str]:
        """Return the channels by which somebody can be told; all of them of whom none can be, which the lead will hear of."""
        return [channel for channel in channels if self._reach.has(channel, person)] or channels

    def _notification(self, said: Message, lead: Known, text: Name, recipient: str, channel: str, now: datetime) -> Notification:
        result, reason = self._reach.result(said.origin, recipient, channel)
        return Notification.model_construct(
            id=uuid5(NAMESPACE, f"{said.alert}\n{said.number}\n{channel}\n{recipient}"),
            alert=said.alert,
            message=said.number,
            warning=lead.id,
            warning_rev=lead.rev,
            warnings=said.count,
            recipient=recipient,
            street=lead.street,
            department=lead.department,
            channel=channel,
            result=result,
            reason=reason,
            why=said.why,
            tier=said.tier,
            text=text,
            origin=said.origin,
            decided_at=now,
            told_at=now if result is Result.DELIVERED else None,
            digest=1,
        )

    # What is written

    async def _write(self, connection: database.Connection, looked: Sequence[_Looked], now: datetime) -> None:
        said = [one.message for one in looked if one.message is not None]
        if said:
            await connection.execute(_SAY, [one.alert for one in said], [one.number for one in said], [encode(one).decode() for one in said])
        told = [values for one in looked for values in _told(one)]
        if told:
            await connection.execute(_TOLD, *map(list, zip(*told, strict=True)))
        await connection.execute(_SAVE, *map(list, zip(*(self._saved(one, now) for one in looked), strict=True)))

    def _saved(self, one: _Looked, now: datetime) -> tuple[Any, ...]:
        state, way = one.look.state, self._gathering.way(one.found.route)
        asking = [member.known.gravity for member in one.found.members if member.asks]
        place = place_of(one.found.members) if one.found.members else None
        hold = state.opened_at + way.wait if state.told_at is None else state.told_at + way.interval
        return (
            one.found.id,
            encode(state).decode(),
            one.look.again_at,
            hold,
            max(asking, default=0),
            state.peak,
            state.messages,
            one.look.unanswered,
            place.path[0] if place else self._tree.root.code,
            (place.department or None) if place else None,
            now if state.closed else None,
        )


async def keep(
    connection: database.Connection, notifications: Sequence[Notification], reach: Reach, now: datetime, *, said: Message | None = None
) -> None:
    """Write notifications in the caller's transaction, with their postings; what is to go out waits in its lane.

    `said` is what they say, where that is not the message of their alert.
    """
    if not notifications:
        return
    bodies = [one.model_dump_json() for one in notifications]
    own = None if said is None else encode(said).decode()
    lanes = [reach.lane(one.channel, one.recipient) if one.result is Result.WAITING else None for one in notifications]
    values = [_row(one, body, lane, own, now) for one, body, lane in zip(notifications, bodies, lanes, strict=True)]
    await connection.execute(_NOTIFY, *map(list, zip(*values, strict=True)))
    waiting = [(lane, one.channel) for one, lane in zip(notifications, lanes, strict=True) if lane is not None]
    if waiting:
        await connection.execute(LANES, *map(list, zip(*waiting, strict=True)), now)
    await outbox.post(connection, ROOM, [posting(one, body) for one, body in zip(notifications, bodies, strict=True)])


def posting(one: Notification, body: str) -> outbox.Posting:
    """Return the record of a notification for `city.notifications`."""
    key = str(one.warning)
    headers = to_headers(id=f"{one.id}:{one.result}", type=EventType.NOTIFICATION, source=SOURCE, subject=key, time=one.told_at or one.decided_at)
    return outbox.Posting(NOTIFICATIONS, Outgoing(body.encode(), key=key.encode(), headers=headers))


def _row(one: Notification, body: str, lane: str | None, said: str | None, now: datetime) -> tuple[Any, ...]:
    return (
        one.id,
        one.alert,
        one.message,
        one.warning,
        one.recipient,
        one.street,
        one.department,
        one.channel,
        one.tier.gravity,
        one.decided_at,
        one.result.value,
        lane,
        now if lane is not None else None,
        said,
        body,
    )


def _state_of(row: Any, left: Mapping[UUID, State]) -> State:
    """Return the state of an alert, its audience with those of the alerts that its warnings have left."""
    state = _state.decode(row["state"]) if row["state"] else State(row["opened_at"])
    heard = {recipient: by for one in row["inherits"] if one in left for recipient, by in left[one].audience.items()}
    return replace(state, audience={**heard, **state.audience}) if heard else state


def _told(one: _Looked) -> list[tuple[UUID, UUID, int, int, int, bool]]:
    """Return what members were told as, where a message told of all that is new."""
    if not one.look.fresh:
        return []
    number = one.look.state.messages
    return [
        (one.found.id, member.known.id, member.known.gravity if member.asks else 0, member.known.rev, number, member.asks and member.worse)
        for member in one.found.members
        if (member.asks and (member.worse or member.known.gravity != member.told)) or (not member.known.live and member.told)
    ]


class _SilenceBody(msgspec.Struct):
    id: UUID
    region: str
    match: dict[str, Any]
    since: datetime
    until: datetime


_silence = msgspec.json.Decoder(_SilenceBody)


def _silenced(body: str) -> Silenced:
    one = _silence.decode(body)
    return Silenced(one.id, one.region, Match.model_validate(one.match), one.since, one.until)
