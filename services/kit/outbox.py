"""The outbox: what is to be published is a row, written in the transaction of the effect it tells of; the relay publishes it after that.

Each room that publishes has a table `<room>.outbox` (made by its own migration with the columns used here). One relay a room works at a time
(an advisory lock), in sequence, a predecessor's rows first. A row is deleted after Kafka's acknowledgement: after a crash in between
it is published again, which consumers ignore by its identity. So the deletion need not be on disk when the next turn begins: of those that a
server's crash takes back, all after the first come again, too, in sequence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.kit import logs
from services.kit.database import TRANSIENT, Connection, Pool, end_if_cancelled
from services.kit.errors import RecordTooLarge, Unavailable
from services.kit.health import Check
from services.kit.producer import BATCH_BYTES, Outgoing, Producer

_log = logs.get(__name__)

RELAY_ROWS = 2_000
"""Rows published in one go."""
WAIT_FOR: tuple[type[BaseException], ...] = (Unavailable, *TRANSIENT)
"""What the relay waits out."""
IDLE_S = 1.0
"""How often the relay looks without being woken: finds what a predecessor left."""
SHARED_S = 0.05
"""How soon it looks again when another process of its room is publishing: what was committed meanwhile may not be among that one's rows."""
COUNT_S = 5.0
"""How often the rows that wait are counted."""
STOPPED_S = 25
"""A relay that does nothing for so long, longer than Kafka may take, was stopped (SIGSTOP, a frozen machine): the server ends its turn."""
LONGEST_S = 50
"""So does it with a turn that takes so long: see `services.kit.partitions`."""

_TAKE_TURN = f"""
with armed as (
    select
        set_config('idle_in_transaction_session_timeout', '{STOPPED_S}s', true),
        set_config('transaction_timeout', '{LONGEST_S}s', true),
        set_config('synchronous_commit', 'off', true)
)
select pg_try_advisory_xact_lock(hashtext($1)) from armed
"""  # noqa: S608 - a constant of ours

_TAKE_OUT = f"""
with gone as (
    delete from {{room}}.outbox where seq = any(array(select seq from {{room}}.outbox order by seq limit {RELAY_ROWS}))
    returning seq, topic, key, partition, headers, value
)
select topic, key, partition, headers, value from gone order by seq
"""  # noqa: S608 - a constant of ours


@dataclass(frozen=True, slots=True)
class Posting:
    """A record to publish once the transaction has committed."""

    topic: str
    record: Outgoing


async def post(connection: Connection, room: str, postings: Sequence[Posting]) -> None:
    """Write postings in the caller's transaction; wake the relay after the commit.

    Raises `RecordTooLarge` for what Kafka would never take: it must not get into the sequence that others wait behind.
    """
    for posting in postings:
        if (size := posting.record.size) > BATCH_BYTES:
            raise RecordTooLarge(f"a record of {size} bytes for {posting.topic}; the limit is {BATCH_BYTES}")
    records = [posting.record for posting in postings]
    await connection.execute(
        f"insert into {room}.outbox (topic, key, partition, headers, value)"  # noqa: S608 - the room's own name
        " select topic, key, partition, headers, value from unnest($1::text[], $2::bytea[], $3::int[], $4::jsonb[], $5::bytea[])"
        " with ordinality as t (topic, key, partition, headers, value, at) order by at",
        [posting.topic for posting in postings],
        [record.key for record in records],
        [record.partition for record in records],
        [headers_text(record.headers) for record in records],
        [record.value for record in records],
    )


def headers_text(headers: Sequence[tuple[str, bytes]]) -> str:
    """Return headers as the outbox keeps them."""
    return _encode([(name, value.decode()) for name, value in headers]).decode()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[str, str]]).decode


class Relay:
    """Publishes a room's outbox; `wake` it after a commit that posted."""

    def __init__(self, pool: Pool, producer: Producer, room: str, check: Check, registry: CollectorRegistry) -> None:
        self._pool = pool
        self._producer = producer
        self._room = room
        self._check = check
        self._wake = asyncio.Event()
        self._begun = 0
        self._finished = 0
        self._turned = asyncio.Event()
        self._seldom = logs.Seldom()
        self._relayed = Counter("tongguan_outbox_relayed", "Outbox rows published", registry=registry)
        self._rows = Gauge("tongguan_outbox_rows", "Outbox rows that wait to be published", registry=registry)

    def wake(self) -> None:
        """Say that there is something to publish."""
        self._wake.set()

    async def run(self) -> None:
        """Relay until cancelled; a database or broker that is away is waited for."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._count())
            await self._run()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._begun = turn = self._begun + 1
            try:
                while (published := await self._relay()) == RELAY_ROWS:
                    pass
                self._check.ok()
            except WAIT_FOR as error:
                end_if_cancelled(error)
                self._check.fail(f"cannot publish the outbox: {error!r}")
                if self._seldom.due(asyncio.get_running_loop().time()):
                    _log.warning("outbox_waits", room=self._room, error=repr(error))
                await asyncio.sleep(0.5)
                continue
            self._seldom.over()
            if published is not None:
                self._finished = turn
                self._turned.set()
            try:
                async with asyncio.timeout(SHARED_S if published is None else IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _count(self) -> None:
        """Keep the gauge; while the database is away the last figure stands."""
        while True:
            try:
                self._rows.set(await self._pool.fetchval(f"select count(*) from {self._room}.outbox"))  # noqa: S608 - the room's own name
            except WAIT_FOR as error:
                end_if_cancelled(error)
                _log.debug("outbox_not_counted", room=self._room, error=repr(error))
            await asyncio.sleep(COUNT_S)

    async def emptied(self) -> None:
        """Return once all that was committed before the call is published."""
        turn = self._begun + 1  # one under way may have looked before that commit
        self._wake.set()
        while self._finished < turn:
            self._turned.clear()
            await self._turned.wait()

    async def _relay(self) -> int | None:
        """Publish a first part of the outbox; return its rows, None when another relay is at work."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_TAKE_TURN, f"{self._room}.outbox"):
                return None
            # Deleted for good only with the commit, which Kafka's acknowledgement comes before.
            rows = await connection.fetch(_TAKE_OUT.format(room=self._room))
            if not rows:
                return 0
            await self._publish([(row["topic"], _outgoing(row["key"], row["partition"], row["headers"], row["value"])) for row in rows])
        self._relayed.inc(len(rows))
        return len(rows)

    async def _publish(self, rows: Sequence[tuple[str, Outgoing]]) -> None:
        """Publish in sequence by topic; rows of one topic and key keep their order."""
        by_topic: dict[str, list[Outgoing]] = {}
        for topic, record in rows:
            by_topic.setdefault(topic, []).append(record)
        for topic, records in by_topic.items():
            await self._producer.publish(topic, records)


def _outgoing(key: bytes | None, partition: int | None, headers: str, value: bytes) -> Outgoing:
    return Outgoing(value=value, key=key, partition=partition, headers=[(name, text.encode()) for name, text in _decode(headers)])
