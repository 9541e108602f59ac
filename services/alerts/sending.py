"""What waits goes out: lane by lane, within its flood limit, each message with a row that says so before it leaves.

A lane is one channel to one recipient. Whoever takes a lane leases it, marks what it sends and commits; then it sends; then it writes what became of
it. Killed in between, it leaves rows that are marked, and whoever comes after the lease sends the very same again under the same key. A channel that
knows keys delivers it once; of one that does not the result says `uncertain` and the text that it may be a repetition.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any
from uuid import UUID, uuid5

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram

from schemas.alerting import Alerting, Channel
from schemas.base import Name
from schemas.notification import Notification, Result, Why
from services.alerts.channels import Again, Never, Receipt, Sender, Sending, Taken
from services.alerts.contacts import Contacts
from services.alerts.desk import LANES, posting
from services.alerts.domain.flood import Level, Waiting, plan
from services.alerts.domain.message import NAMESPACE, Message
from services.alerts.domain.watching import SENDING
from services.alerts.pulse import Pulse
from services.alerts.reach import Reach
from services.alerts.store import ROOM
from services.alerts.undelivered import Undelivered
from services.alerts.wording import Words
from services.kit import database, links, logs, outbox, partitions
from services.kit.clock import Clock
from services.kit.health import Check
from services.kit.outbox import Relay

_log = logs.get(__name__)

OF_A_CHANNEL = 8
"""Lanes of a channel that are sent to at once: one that hangs holds up none of another."""
OF_A_LANE = 4
"""Messages that go out of a lane by one lease, which lasts for all their time-outs: so long the others wait when their sender is killed."""
IDLE_S = 0.5
"""How often it is looked for what waits without being woken."""
MARGIN = timedelta(seconds=5)
"""How long after the channel's own time-out a lease ends: for the commit of what became of it."""
GONE_AFTER = timedelta(minutes=10)
"""So long what is for a channel that the file does not name waits for one who mends the file."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=2)
"""Before the second try, and at most between two."""

_TAKE = """
select lane, channel, tokens, tokens_at, leased_until from alerts.lanes
where due_at <= $1 and (leased_until is null or leased_until <= $1) and channel <> all($2) and lane <> all($3)
order by due_at limit $4 for update skip locked
"""
MOST_READ = 200
"""Notifications of a lane that were not tried yet and are looked at together: the gravest, of equals the oldest."""
_WAITING = f"""
select
    n.id, n.lane, n.channel, n.recipient, n.gravity, n.decided_at, n.due_at, n.state, n.attempts, n.first_tried_at, n.sending, n.maybe, n.body,
    coalesce(n.said, m.body) as said, n.sending is null and n.place > {MOST_READ} as more
from (
    select *, row_number() over (partition by lane, sending is null order by gravity desc, decided_at, id) as place
    from alerts.notifications where lane = any($1) and state in ('waiting', 'sending')
) n left join alerts.messages m on m.alert = n.alert and m.number = n.message
where n.sending is not null or n.place <= {MOST_READ} + 1
"""  # noqa: S608 - a constant of ours
_MOVE = """
update alerts.notifications n set lane = t.lane, state = 'waiting', sending = null, due_at = $4
from unnest($2::text[], $3::text[]) as t (recipient, lane) where n.lane = $1 and n.recipient = t.recipient and n.state in ('waiting', 'sending')
"""
_BUCKETS = """
insert into alerts.buckets (channel, tokens, tokens_at) select t.channel, -1, $2 from unnest($1::text[]) as t (channel) order by t.channel
on conflict (channel) do nothing
"""
_HOLD_BUCKETS = "select channel, tokens, tokens_at from alerts.buckets where channel = any($1) order by channel for update"
_FILL = "update alerts.buckets set tokens = $2, tokens_at = $3 where channel = $1"
_LEASE = "update alerts.lanes set leased_until = $2, due_at = $2, tokens = $3, tokens_at = $4 where lane = $1"
_EMPTY = """
update alerts.lanes set due_at = (select min(n.due_at) from alerts.notifications n where n.lane = $1 and n.state in ('waiting', 'sending'))
where lane = $1
"""
_WAIT = "update alerts.lanes set due_at = $2, tokens = $3, tokens_at = $4 where lane = $1"
_MARK = """
update alerts.notifications set state = 'sending', sending = $2, attempts = attempts + 1, first_tried_at = coalesce(first_tried_at, $3)
where id = any($1)
"""
_UNSENT = """
update alerts.notifications set
    state = 'waiting', due_at = $2, attempts = attempts - 1, first_tried_at = case when attempts <= 1 then null else first_tried_at end
where id = any($1) and sending = $3 and state = 'sending'
"""
_DONE = "update alerts.notifications set state = $2, body = $3, due_at = null where id = $1 and sending = $4 and state = 'sending'"
_GONE = "update alerts.notifications set state = 'failed', body = $2, due_at = null where id = $1"
_LATER = (
    "update alerts.notifications set state = 'waiting', due_at = $2, maybe = maybe or $3 where id = any($1) and sending = $4 and state = 'sending'"
)
_RELEASE = """
update alerts.lanes set leased_until = null, tokens_at = greatest(tokens_at, $4), due_at = case when due_at < leased_until then due_at else (
    select case when bool_or(n.sending is null) then $2 else greatest($2, min(n.due_at)) end from alerts.notifications n
    where n.lane = $1 and n.state in ('waiting', 'sending')
) end
where lane = $1 and leased_until = $3
"""
"""What was due before the lease ended came in meanwhile, and waits for nobody. Tokens come back from now on: what was sent left until now."""
_AFTER = "update alerts.buckets set tokens_at = greatest(tokens_at, $2) where channel = $1"


@dataclass(frozen=True)
class Row:
    """A notification that waits. What it says is decoded when it is sent: most are looked at many times before."""

    id: UUID
    gravity: int
    decided_at: datetime
    due_at: datetime
    attempts: int
    first_tried_at: datetime | None
    maybe: bool
    body: str = field(repr=False)
    message: str = field(repr=False)

    @cached_property
    def one(self) -> Notification:
        return Notification.model_validate_json(self.body)

    @cached_property
    def said(self) -> Message:
        return _message.decode(self.message)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes out as one message."""

    key: UUID
    rows: tuple[Row, ...]
    maybe: bool
    """A try of it may have been taken already."""


@dataclass(frozen=True, slots=True)
class Leased:
    """A lane that is ours, with what goes out now."""

    lane: str
    channel: Channel
    until: datetime
    parcels: tuple[Parcel, ...]
    later: datetime | None


class Dispatch:
    """Sends what waits; `wakes` is set by whoever has something to send."""

    def __init__(
        self,
        *,
        pool: database.Pool,
        relay: Relay,
        alerting: Alerting,
        contacts: Contacts,
        senders: Mapping[str, Sender],
        words: Words,
        reach: Reach,
        undelivered: Undelivered,
        link_key: str | None,
        pages_url: str | None,
        wakes: asyncio.Event,
        clock: Clock,
        pulse: Pulse,
        check: Check,
        registry: CollectorRegistry,
    ) -> None:
        """`link_key` and `pages_url` make links to the pages; without them messages have none."""
        self._pool = pool
        self._relay = relay
        self._channels = {channel.id: channel for channel in alerting.channels}
        self._people = {person.id: person for person in alerting.people}
        self._contacts = contacts
        self._senders = senders
        self._words = words
        self._reach = reach
        self._undelivered = undelivered
        self._link_key = link_key
        self._pages_url = pages_url
        self._wakes = wakes
        self._clock = clock
        self._pulse = pulse
        self._check = check
        self._busy: dict[str, str] = {}
        """Lanes that are being sent to, each with its channel."""
        self._more = False
        """Whether other lanes may be due than those that were looked at last."""
        self._sent = Counter(
            "tongguan_alerts_sendings", "Messages sent, by channel and what became of them", ["channel", "result"], registry=registry
        )
        self._took = Histogram(
            "tongguan_alerts_until_told_seconds",
            "From the decision to the channel's answer",
            ["channel"],
            registry=registry,
            buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
        )

    async def run(self) -> None:
        """Send until cancelled; a database that is away is waited for. A channel that hangs holds up its own lanes only."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wakes.clear()
                leased = await database.retrying(self._lease, what="take what waits to be sent", check=self._check)
                await database.retrying(partial(self._pulse.beat, SENDING), what="say that sending works", check=self._check)
                self._check.ok()
                for lane in leased:
                    tasks.create_task(self._work(lane))
                if not leased and not self._more:
                    try:
                        async with asyncio.timeout(IDLE_S):
                            await self._wakes.wait()
                    except TimeoutError:
                        pass

    async def turn(self) -> int:
        """Send once what is due now; returns how many messages went out."""
        leased = await self._lease()
        for lane in leased:
            await self._work(lane)
        return sum(len(lane.parcels) for lane in leased)

    async def _work(self, lane: Leased) -> None:
        """Send what goes out of a lane, in order.

        1. (`_lease`) The lane is taken, what goes out is marked with the key of its message, and that commits.
        2. It is sent.
        3. What became of it is written with a posting, and the lane is given back.
        """
        try:
            for at, parcel in enumerate(lane.parcels):
                if self._clock.now() + lane.channel.timeout > lane.until:  # the database was away: another may have the lane before this is sent
                    await database.retrying(partial(self._leave, lane.parcels[at:]), what="leave what is not sent", check=self._check)
                    break
                receipt = await self._say(lane, parcel)
                await database.retrying(partial(self._write, lane, parcel, receipt), what="write what became of a message", check=self._check)
            await database.retrying(partial(self._release, lane), what="give a lane back", check=self._check)
        finally:
            del self._busy[lane.lane]
        self._relay.wake()
        self._wakes.set()

    # Taking

    async def _lease(self) -> list[Leased]:
        now = self._clock.now()
        full = [channel for channel, lanes in Tally(self._busy.values()).items() if lanes >= OF_A_CHANNEL]
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            lanes = await connection.fetch(_TAKE, now, full, list(self._busy), OF_A_CHANNEL)
            self._more = len(lanes) == OF_A_CHANNEL
            if not lanes:
                return []
            waiting: dict[str, list[Any]] = {row["lane"]: [] for row in lanes}
            for row in await connection.fetch(_WAITING, list(waiting)):
                waiting[row["lane"]].append(row)
            await self._relocate(connection, waiting, now)
            # Lanes of channels that are gone come last: they tell the lead, who may have a lane among the others.
            lanes = sorted(lanes, key=lambda row: row["channel"] not in self._channels)
            levels = await self._levels(connection, {row["channel"] for row in lanes}, now)
            leased = [one for row in lanes if (one := await self._take(connection, row, waiting[row["lane"]], levels, now)) is not None]
            for channel, level in levels.items():
                if level is not None:
                    await connection.execute(_FILL, channel, level.tokens, level.at)
        self._busy |= {lane.lane: lane.channel.id for lane in leased}
        return leased

    async def _relocate(self, connection: database.Connection, waiting: dict[str, list[Any]], now: datetime) -> None:
        """Move what waits for somebody whose address has changed to the lane of the new one."""
        for lane, those in waiting.items():
            to = {row["recipient"]: self._reach.lane(row["channel"], row["recipient"]) for row in those}
            moved = {recipient: there for recipient, there in to.items() if there != lane}
            if moved:
                await connection.execute(_MOVE, lane, list(moved), list(moved.values()), now)
                await connection.execute(LANES, list(moved.values()), [those[0]["channel"]] * len(moved), now)
                waiting[lane] = [row for row in those if row["recipient"] not in moved]

    async def _levels(self, connection: database.Connection, channels: set[str], now: datetime) -> dict[str, Level | None]:
        bounded = sorted(one for one in channels if one in self._channels and self._channels[one].bucket is not None)
        if not bounded:
            return {}
        await connection.execute(_BUCKETS, bounded, now)
        return {row["channel"]: _level(row) for row in await connection.fetch(_HOLD_BUCKETS, bounded)}

    async def _take(
        self, connection: database.Connection, row: Any, waiting: Sequence[Any], levels: dict[str, Level | None], now: datetime
    ) -> Leased | None:
        """Take a lane: decide what goes out of it now, mark that, and lease the lane for as long as it may take."""
        channel = self._channels.get(row["channel"])
        if not waiting:
            await connection.execute(_EMPTY, row["lane"])
            return None
        if channel is None:
            later = await self._give_up(connection, row["channel"], waiting, now)
            await connection.execute(_WAIT, row["lane"], later, row["tokens"], row["tokens_at"])
            return None
        parcels = {parcel.key: parcel for parcel in _parcels([one for one in waiting if not one["more"]])}
        old = any(one["sending"] for one in waiting)
        told, lane_level, level = plan(
            [_waiting(parcel) for parcel in parcels.values()],
            _level(row, row["leased_until"]),
            channel.flood,
            levels.get(channel.id),
            channel.bucket,
            channel.digest and not old,
            now,
        )
        out = tuple(_joined([parcels[key] for key in keys]) for keys in told.now[:OF_A_LANE])
        unsent = len(told.now) - len(out)
        lane_level = replace(lane_level, tokens=lane_level.tokens + unsent)
        if level is not None:
            levels[channel.id] = replace(level, tokens=level.tokens + unsent)
        if not out:
            await connection.execute(_WAIT, row["lane"], told.later, lane_level.tokens, lane_level.at)
            return None
        unsent += any(one["more"] for one in waiting)
        until = now + channel.timeout * len(out) + MARGIN
        await connection.execute(_LEASE, row["lane"], until, lane_level.tokens, lane_level.at)
        for parcel in out:
            await connection.execute(_MARK, [one.id for one in parcel.rows], parcel.key, now)
        return Leased(row["lane"], channel, until, out, now if unsent else told.later)

    async def _give_up(self, connection: database.Connection, channel: str, waiting: Sequence[Any], now: datetime) -> datetime | None:
        """Tell that what has waited for a channel that `alerting.yaml` has no more will not arrive; returns when to look again."""
        rows = [_row(one) for one in waiting]
        gone = [row for row in rows if now >= row.decided_at + GONE_AFTER]
        reason = "the channel is not in alerting.yaml any more"
        for row in gone:
            ended = row.one.model_copy(update={"result": Result.FAILED, "reason": reason})
            body = ended.model_dump_json()
            await connection.execute(_GONE, row.id, body)
            await outbox.post(connection, ROOM, [posting(ended, body)])
        await self._undelivered.tell(connection, [(row.one, row.said) for row in gone], channel, reason, now)
        if gone and any(one["more"] for one in waiting):
            return now
        return min((row.decided_at + GONE_AFTER for row in rows if row not in gone), default=None)

    # Sending

    async def _say(self, lane: Leased, parcel: Parcel) -> Receipt:
        sender = self._senders.get(lane.channel.id)
        if sender is None:
            return Never("refused: the channel cannot be used, see the log")
        name = parcel.rows[0].one.recipient.partition("/")[2]
        person = self._people.get(name)
        address = "" if lane.channel.group else self._contacts.addresses(name).get(lane.channel.id, "")
        if not lane.channel.group and not address:
            return Never("no address for this channel in contacts.yaml")
        language = person.language if person is not None else "zh"
        text = self._words.digest(
            list({(one.said.alert, one.said.number, one.said.failed): one.said for one in parcel.rows}.values()),
            lane.channel.id,
            language,
            self._link(parcel),
            again=parcel.maybe and not sender.idempotent,
        )
        called = (person.name if person is not None else lane.channel.name).model_dump()[language]
        return await sender.send(Sending(key=str(parcel.key), address=address, name=called, language=language, title=text.title, text=text.text))

    def _link(self, parcel: Parcel) -> str | None:
        """Return where somebody may answer: by the gravest notification, of one that somebody should answer."""
        if self._link_key is None or self._pages_url is None:
            return None
        to = parcel.rows[0].one.recipient
        lead = max((row for row in parcel.rows if row.one.recipient == to), key=lambda one: (one.gravity, one.decided_at))
        if lead.one.why is Why.UNDELIVERED or not lead.one.recipient.startswith("person/"):
            return None
        return f"{self._pages_url.rstrip('/')}/#/l/{links.make(self._link_key, lead.id)}"

    # What became of it

    async def _write(self, lane: Leased, parcel: Parcel, receipt: Receipt) -> None:
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            if isinstance(receipt, Again) and now < self._patience(lane, parcel, now):
                wait = max(timedelta(seconds=receipt.after_s or 0), min(FIRST_WAIT * 2 ** min(parcel.rows[0].attempts, 8), LONGEST_WAIT))
                again_at = min(now + wait, self._patience(lane, parcel, now))
                await connection.execute(_LATER, [one.id for one in parcel.rows], again_at, parcel.maybe or receipt.maybe, parcel.key)
                self._count(lane, "again")
                _log.info("not_taken", channel=lane.channel.id, reason=receipt.reason, again_in_s=round(wait.total_seconds(), 1))
                return
            ended = [self._ended(one, lane, parcel, receipt, now) for one in parcel.rows]
            bodies = [one.model_dump_json() for one in ended]
            written = [
                (one, body)
                for one, body in zip(ended, bodies, strict=True)
                if (await connection.execute(_DONE, one.id, one.result.value, body, parcel.key)).endswith(" 1")
            ]
            await outbox.post(connection, ROOM, [posting(one, body) for one, body in written])
            if not isinstance(receipt, Taken) and written:
                await self._undelivered.tell(connection, [(row.one, row.said) for row in parcel.rows], lane.channel.id, receipt.reason, now)
        self._count(lane, ended[0].result.value)
        for one in ended:
            self._took.labels(lane.channel.id).observe((now - one.decided_at).total_seconds())

    def _patience(self, lane: Leased, parcel: Parcel, now: datetime) -> datetime:
        """Return until when it is tried."""
        return min((one.first_tried_at or now for one in parcel.rows), default=now) + lane.channel.give_up

    def _ended(self, row: Row, lane: Leased, parcel: Parcel, receipt: Receipt, now: datetime) -> Notification:
        sender = self._senders.get(lane.channel.id)
        doubtful = parcel.maybe and sender is not None and not sender.idempotent
        update: dict[str, Any] = {"digest": len(parcel.rows)}
        if isinstance(receipt, Taken):
            update |= {"told_at": now, "result": Result.UNCERTAIN if doubtful else Result.DELIVERED}
            update |= {"reason": "it may have been told twice: a first try got no answer"} if doubtful else {}
        else:
            update |= {"result": Result.FAILED, "reason": receipt.reason}
        return row.one.model_copy(update=update)

    async def _release(self, lane: Leased) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            now = self._clock.now()
            await connection.execute(_RELEASE, lane.lane, lane.later or now, lane.until, now)
            if lane.channel.bucket is not None:
                await connection.execute(_AFTER, lane.channel.id, now)

    async def _leave(self, parcels: Sequence[Parcel]) -> None:
        """Let what was to be sent wait: it has not left."""
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            for parcel in parcels:
                await connection.execute(_UNSENT, [one.id for one in parcel.rows], self._clock.now(), parcel.key)

    def _count(self, lane: Leased, result: str) -> None:
        self._sent.labels(lane.channel.id, result).inc()


_message = msgspec.json.Decoder(Message, dec_hook=lambda kind, value: Name.model_validate(value) if kind is Name else value)


def _level(row: Any, sent_until: datetime | None = None) -> Level | None:
    """Return what a bucket held; of a lane whose sender was killed tokens come back from when its lease ended: it may have sent until then."""
    return None if row["tokens"] < 0 else Level(row["tokens"], max(row["tokens_at"], sent_until or row["tokens_at"]))


def _row(row: Any) -> Row:
    return Row(
        id=row["id"],
        gravity=row["gravity"],
        decided_at=row["decided_at"],
        due_at=row["due_at"],
        attempts=row["attempts"],
        first_tried_at=row["first_tried_at"],
        maybe=row["maybe"] or row["state"] == "sending",
        body=row["body"],
        message=row["said"],
    )


def _parcels(waiting: Sequence[Any]) -> list[Parcel]:
    """Return what waits: what was tried before in the parcels of then, so that a channel knows them; what is new one by one."""
    tried: dict[UUID, list[Row]] = {}
    for row in waiting:
        tried.setdefault(row["sending"] or uuid5(NAMESPACE, f"parcel\n{row['id']}"), []).append(_row(row))
    return [Parcel(key, tuple(rows), any(one.maybe for one in rows)) for key, rows in tried.items()]


def _waiting(parcel: Parcel) -> Waiting:
    of_it = parcel.rows
    return Waiting(parcel.key, max(one.gravity for one in of_it), min(one.decided_at for one in of_it), max(one.due_at for one in of_it))


def _joined(parcels: Sequence[Parcel]) -> Parcel:
    """Return several parcels as one, under the key of the first."""
    if len(parcels) == 1:
        return parcels[0]
    return Parcel(parcels[0].key, tuple(row for parcel in parcels for row in parcel.rows), maybe=False)
