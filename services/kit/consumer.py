"""The consumer: pause, take over in the loop, seek to the offsets in the database, resume; then poll and work, for ever.

Kafka's group protocol only says which partitions are whose (dynamic members: a static id makes a stopped owner and its successor steal
from each other). Where to read from, and that an effect happened, is the worker's to say, in its own database transaction.

aiokafka sends no heartbeat while its listener runs, so the listener only pauses: state of any size is loaded by the loop, which
heartbeats do not wait for. One task takes over and works, so that no assignment changes a worker's state under a poll.

A worker that is a `Stepper` goes on while its effects commit: one commit is under way at a time, and takes with it all that was stepped
before it began. So no record waits for more than the commit under way and its own. After a small poll
the commit is waited for: what comes meanwhile could not leave sooner, and a poll has its price.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, KafkaError

from services.kit import brokers, logs
from services.kit.errors import Fenced, KitError
from services.kit.health import Check
from services.kit.progress import Progress

_log = logs.get(__name__)

Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]

SESSION_MS = 6_000
"""After kill -9 another owner takes over in under this."""
HEARTBEAT_MS = 1_000
POLL_MS = 200
"""How long a poll waits when nothing comes: also the resolution of what workers do in between."""
STALLED_AGAIN_S = 600.0
"""A second stall within this ends the process: joining again has not helped, a new process may."""
FETCH_WAIT_MS = 100
"""How long a fetch may wait for its first byte: bounds what a partition with news waits for those without, at ten requests a second when idle."""
GATHERED = 20_000
"""While polls come full, so many records are stepped for one commit: a commit costs about as much as 500 of them, whatever is in it."""
SMALL = 1_000
"""A poll of fewer is one of a consumer that is not behind."""
GATHERED_MOST = 60_000
"""So many are stepped while a commit is under way; then the next poll waits for it."""
SLOW_S = 5.0
"""A commit that takes longer counts as the worker's: `alive` is not renewed meanwhile."""
CLOSE_S = 5.0
"""How long a task of ours that is cancelled is waited for."""
_LOOKS = 6
"""How often the watchdog looks before it judges; one look at which the broker is away, or the worker is busy, begins the count anew."""


class Read(msgspec.Struct, gc=False):
    """A record as aiokafka gives it to everybody in a process with a consumer of ours, without what nobody here asks for.

    Its own class costs 0.8 µs a record more, a fifth of what rules need for one: a dataclass of eleven fields, in the collector's sight.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class _Unpacked(fetcher.PartitionRecords):  # type: ignore[misc] # aiokafka gives no type
    """What a fetch brought of a partition, unpacked cheaply.

    aiokafka has no seam for this; `tests/unit/kit/test_consumer.py` holds what it relies on.
    """

    next_fetch_offset: int

    def __iter__(self) -> Iterator[Read]:
        records: Iterator[Read] = self._records_iterator
        return records

    def _unpack_records(self) -> Iterator[Any]:
        if self._isolation_level == fetcher.READ_COMMITTED:
            yield from super()._unpack_records()  # nobody of ours writes or reads in transactions of Kafka
            return
        topic, partition = self._tp
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            for record in () if batch.is_control_batch else batch:
                offset, headers = record.offset, record.headers
                if offset >= self.next_fetch_offset:
                    self.next_fetch_offset = offset + 1
                    yield Read(topic, partition, offset, record.timestamp, record.key, record.value, tuple(headers) if headers else ())
            self.next_fetch_offset = batch.next_offset

    def _consumer_record(self, tp: TopicPartition, record: Any) -> Read:
        return Read(tp.topic, tp.partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


fetcher.PartitionRecords = _Unpacked


class Stalled(KitError):
    """Records wait, the broker answers, and the consumer gets none of them."""


class Worker(Protocol):
    """What a room does with its records."""

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions, dropping all state of before; return from where to read each. Never runs beside `work`."""
        ...

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Work off a poll, its effects committed when this returns; `batches` may be empty.

        Returns the event time that each partition has come to, where the records say so. Raises `Fenced` when it no longer owns them.
        """
        ...


@runtime_checkable
class Stepper(Worker, Protocol):
    """A worker that may go on while its effects commit. `step` is never called beside itself, nor `commit`, nor either beside `assign`."""

    async def step(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """As `work`, but the effects are only gathered."""
        ...

    async def commit(self) -> None:
        """Commit what was gathered when this was called, in order; raises `Fenced`, and then nothing gathered is ever committed."""
        ...


@dataclass(frozen=True)
class Subscription:
    """What to read, and who is told how it goes.

    `alive` is renewed as long as the loop turns, `ready` as long as partitions are assigned and polls succeed.
    """

    bootstrap: str
    group: str
    topics: Sequence[str]
    progress: Progress
    alive: Check
    ready: Check
    max_records: int = 5_000
    stalled_s: float = 30.0
    """So long a partition may stand still while records wait on it."""


async def consume(subscription: Subscription, worker: Worker) -> None:
    """Consume until cancelled, joining the group again after a broker's loss, when fenced, and when it stood still.

    Raises `Stalled` when it stands still again within `STALLED_AGAIN_S`: whoever supervises the process should start it anew.
    """
    wait, stalled_at = 0.2, float("-inf")
    seldom = logs.Seldom()
    loop = asyncio.get_running_loop()
    while True:
        subscription.alive.ok()
        begun, reason = loop.time(), "not in the group"
        try:
            await _session(subscription, worker)
        except Fenced as error:
            _log.warning("fenced", group=subscription.group, error=str(error))
        except Stalled as error:
            reason = str(error)
            _log.error("consumer_stalled", group=subscription.group, error=reason)
            if loop.time() - stalled_at < STALLED_AGAIN_S:
                subscription.ready.fail(reason)
                raise
            stalled_at = loop.time()
        except (KafkaError, OSError, TimeoutError) as error:
            if seldom.due(loop.time()):
                _log.warning("kafka_unavailable", group=subscription.group, error=repr(error))
        subscription.ready.fail(reason)
        wait = 0.2 if loop.time() - begun > SESSION_MS / 1000 else min(wait * 2, 2.0)
        await asyncio.sleep(wait)


async def _session(subscription: Subscription, worker: Worker) -> None:
    """Be a member of the group until something goes wrong, which is raised."""
    consumer = AIOKafkaConsumer(
        **brokers.clients(subscription.bootstrap),
        group_id=subscription.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        # aiokafka has one fetch under way at a broker: while that waits for partitions at their end, the others get nothing.
        fetch_max_wait_ms=FETCH_WAIT_MS,
        fetch_max_bytes=16 << 20,
        max_partition_fetch_bytes=4 << 20,
        metadata_max_age_ms=60_000,
        request_timeout_ms=15_000,
        retry_backoff_ms=100,
    )
    try:
        async with asyncio.timeout(20):
            await consumer.start()
        member = _Member(consumer, worker, subscription)
        consumer.subscribe(subscription.topics, listener=member)
        await _first(member.run(), member.commit(), member.watch())
    finally:
        await _close(consumer)


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, and raise what that raised; the others are cancelled then, as they are when the caller is."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        # Bounded, as a client that hangs may keep its caller even from being cancelled.
        await asyncio.wait(tasks, timeout=CLOSE_S)


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(2):
            await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        _log.debug("consumer_stop", error=repr(error))


Busy = Literal["work", "commit"]


async def _committed() -> None:
    """A `work` that has returned has committed its effects itself."""


@dataclass(frozen=True, slots=True)
class _Stepped:
    """How far a poll brought a partition."""

    tp: TopicPartition
    position: int
    records: int
    reached: datetime | None


class _Member(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka gives no type
    """One membership of the group."""

    def __init__(self, consumer: AIOKafkaConsumer, worker: Worker, subscription: Subscription) -> None:
        self._consumer = consumer
        self._worker = worker
        self._subscription = subscription
        self._step, self._commit = (worker.step, worker.commit) if isinstance(worker, Stepper) else (worker.work, _committed)
        self._due: list[TopicPartition] | None = None
        """Assigned by the group and paused; to be taken over by the loop."""
        self._in_group = False
        self._positions: dict[TopicPartition, int] = {}
        """Up to where each partition was stepped."""
        self._busy_since: dict[Busy, float] = {}
        self._gathered: list[_Stepped] = []
        """Stepped, of no commit yet."""
        self._records = 0
        """Of these."""
        self._wanted = asyncio.Event()
        """A commit."""
        self._turned = asyncio.Event()
        """Set whenever a commit has begun or ended."""

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        self._in_group = False

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        # First of all, with no await before it: otherwise `getmany` delivers from the wrong place.
        self._consumer.pause(*assigned)
        self._due = sorted(assigned)
        self._in_group = True

    async def run(self) -> None:
        """Take over what is assigned, poll and work, until something is raised."""
        at_most = self._subscription.max_records
        while True:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=at_most)
            if asyncio.get_running_loop().time() - self._busy_since.get("commit", float("inf")) < SLOW_S:
                self._subscription.alive.ok()
            if self._due is not None:
                await self._take_over(self._due)
            else:
                await self._work(batches, sum(map(len, batches.values())), at_most)
            if self._in_group and self._due is None:
                self._subscription.ready.ok()

    async def commit(self) -> None:
        """Commit what was stepped, one commit after another, until something is raised."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            done, self._gathered, self._records = self._gathered, [], 0
            with self._busy("commit"):
                self._turned.set()
                try:
                    await self._commit()
                except Fenced as error:
                    self._lost(error)
                else:
                    for one in done:
                        self._subscription.progress.done(one.tp, one.position, one.records, one.reached)
            self._turned.set()

    def _is_committed(self) -> bool:
        return not self._wanted.is_set() and "commit" not in self._busy_since

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._turned.clear()
            await self._turned.wait()

    async def _take_over(self, due: list[TopicPartition]) -> None:
        self._positions = {}
        with self._busy("work"):
            # No commit may end beside `assign`. What is of none yet is dropped with its state, and stepped again by whoever owns it.
            await self._until(self._is_committed)
            self._gathered, self._records = [], 0
            positions = await self._worker.assign(due)
        starts = await self._consumer.beginning_offsets(due) if due else {}
        if self._due is not due:
            return  # assigned anew meanwhile: that is taken over next
        for tp, position in positions.items():
            if position < starts[tp]:
                _log.error("records_lost_to_retention", topic=tp.topic, partition=tp.partition, wanted=position, oldest=starts[tp])
            self._positions[tp] = max(position, starts[tp])
            self._consumer.seek(tp, self._positions[tp])
        self._subscription.progress.assign(positions)
        self._consumer.resume(*due)
        self._due = None
        _log.info("assigned", partitions=len(due))

    async def _work(self, batches: Batches, size: int, full: int) -> None:
        """Step through a poll and have it committed; while polls are `full`, several at once."""
        with self._busy("work"):
            try:
                reached = await self._step(batches)
            except Fenced as error:
                self._lost(error)
                return
            for tp, records in batches.items():
                self._positions[tp] = records[-1].offset + 1
                self._gathered.append(_Stepped(tp, self._positions[tp], len(records), reached.get(tp)))
                self._records += len(records)
            if self._gathered and (size < full or self._records >= GATHERED):
                self._wanted.set()
            await self._until(self._is_committed if size < SMALL else lambda: self._records < GATHERED_MOST)

    def _lost(self, error: Fenced) -> None:
        """Raise what a worker was refused, unless it is known what we have instead: taking that over drops all state."""
        if self._due is None:
            raise error
        _log.info("reassigned", group=self._subscription.group, error=str(error))

    @contextlib.contextmanager
    def _busy(self, what: Busy) -> Iterator[None]:
        self._busy_since[what] = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            del self._busy_since[what]

    async def watch(self) -> None:
        """Raise `Stalled` when a partition stands still for `stalled_s` while records wait on it and the broker answers.

        What the worker takes for a poll does not count: it may wait for the database, and when it hangs `alive` says so.
        """
        loop = asyncio.get_running_loop()
        every = self._subscription.stalled_s / _LOOKS
        still: dict[TopicPartition, tuple[int, float]] = {}
        while True:
            await asyncio.sleep(every)
            now = loop.time()
            busy = any(now - since >= every for since in self._busy_since.values())
            positions = {} if busy or self._due is not None or not self._in_group else dict(self._positions)
            still = {tp: (at, _since(still, tp, at, now)) for tp, at in positions.items()}
            suspects = [tp for tp, (_, since) in still.items() if since < now]
            ends = await _ends(self._subscription.bootstrap, suspects, every) if suspects else {}
            for tp in suspects:
                at, since = still[tp]
                if ends.get(tp, at) <= at:  # nothing waits, or the broker does not say so
                    still[tp] = (at, now)
                elif now - since >= self._subscription.stalled_s and self._positions.get(tp) == at:
                    raise Stalled(f"{tp.topic}/{tp.partition} has stood at {at} for {now - since:.0f} s while {ends[tp] - at} records wait")


def _since(still: Mapping[TopicPartition, tuple[int, float]], tp: TopicPartition, position: int, now: float) -> float:
    before = still.get(tp)
    return before[1] if before is not None and before[0] == position else now


async def _ends(bootstrap: str, tps: Sequence[TopicPartition], within_s: float) -> Mapping[TopicPartition, int]:
    """Return where some partitions end, asked for by a client of its own; nothing when the broker does not say."""
    client = AIOKafkaConsumer(**brokers.clients(bootstrap), request_timeout_ms=10_000)
    try:
        async with asyncio.timeout(max(within_s, 1.0)):
            await client.start()
            ends: Mapping[TopicPartition, int] = await client.end_offsets(list(tps))
    except (KafkaError, OSError, TimeoutError):
        return {}
    finally:
        await _close(client)
    return ends
