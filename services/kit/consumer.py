"""The consumer: pause, seek to the offsets in the database, resume; then poll and work, for ever.

Kafka's group protocol only says which partitions are whose (dynamic members: a static id makes a stopped owner and its successor steal
from each other). Where to read from, and that an effect happened, is the worker's to say, in its own database transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.kit import logs
from services.kit.errors import Fenced
from services.kit.health import Check
from services.kit.progress import Progress

_log = logs.get(__name__)

Batches = Mapping[TopicPartition, Sequence[ConsumerRecord]]

SESSION_MS = 6_000
"""After kill -9 another owner takes over in under this."""
HEARTBEAT_MS = 1_000
POLL_MS = 200
"""How long a poll waits when nothing comes: also the resolution of what workers do in between."""


class Worker(Protocol):
    """What a room does with its records."""

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions, dropping all state of before; return from where to read each."""
        ...

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Work off a poll, its effects committed when this returns; `batches` may be empty.

        Returns the event time that each partition has come to, where the records say so. Raises `Fenced` when it no longer owns them.
        """
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


async def consume(subscription: Subscription, worker: Worker) -> None:
    """Consume until cancelled, joining the group again after a broker's loss or when fenced."""
    wait = 0.2
    seldom = logs.Seldom()
    loop = asyncio.get_running_loop()
    while True:
        subscription.alive.ok()
        begun = loop.time()
        try:
            await _session(subscription, worker)
        except Fenced as error:
            _log.warning("fenced", group=subscription.group, error=str(error))
        except (KafkaError, OSError, TimeoutError) as error:
            if seldom.due(loop.time()):
                _log.warning("kafka_unavailable", group=subscription.group, error=repr(error))
        subscription.ready.fail("not in the group")
        wait = 0.2 if loop.time() - begun > SESSION_MS / 1000 else min(wait * 2, 2.0)
        await asyncio.sleep(wait)


async def _session(subscription: Subscription, worker: Worker) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=subscription.bootstrap,
        group_id=subscription.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        fetch_max_wait_ms=500,
        fetch_max_bytes=16 << 20,
        max_partition_fetch_bytes=4 << 20,
        metadata_max_age_ms=60_000,
        request_timeout_ms=15_000,
        retry_backoff_ms=100,
    )
    try:
        async with asyncio.timeout(20):
            await consumer.start()
        listener = _Listener(consumer, worker, subscription.progress)
        consumer.subscribe(subscription.topics, listener=listener)
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=subscription.max_records)
            subscription.alive.ok()
            listener.raise_failure()
            reached = await worker.work(batches)
            for tp, records in batches.items():
                subscription.progress.done(tp, records[-1].offset + 1, len(records), reached.get(tp))
            if listener.assigned:
                subscription.ready.ok()
    finally:
        await _close(consumer)


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(2):
            await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        _log.debug("consumer_stop", error=repr(error))


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka gives no type
    def __init__(self, consumer: AIOKafkaConsumer, worker: Worker, progress: Progress) -> None:
        self._consumer = consumer
        self._worker = worker
        self._progress = progress
        self._failure: Exception | None = None
        self.assigned = False

    def raise_failure(self) -> None:
        """Raise what went wrong in the coordinator's task, which only logs it."""
        if self._failure is not None:
            raise self._failure

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        self.assigned = False

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        # First of all, with no await before it: otherwise `getmany` delivers from the wrong place.
        self._consumer.pause(*assigned)
        try:
            positions = await self._worker.assign(list(assigned))
            starts = await self._consumer.beginning_offsets(list(assigned)) if assigned else {}
            for tp, position in positions.items():
                if position < starts[tp]:
                    _log.error("records_lost_to_retention", topic=tp.topic, partition=tp.partition, wanted=position, oldest=starts[tp])
                self._consumer.seek(tp, max(position, starts[tp]))
            self._progress.assign(positions)
        except Exception as error:  # noqa: BLE001 - handed to the loop, which decides
            self._failure = error
            return
        self._consumer.resume(*assigned)
        self.assigned = True
        _log.info("assigned", partitions=len(assigned))
