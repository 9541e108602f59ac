"""A reader of whole topics without a group: for what each node must know by itself (compacted topics, live views).

It reads all partitions from given offsets (from the oldest record where none is given), reconnects by itself and goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.kit import brokers, logs
from services.kit.health import Check
from services.kit.topics import load

_log = logs.get(__name__)

Take = Callable[[ConsumerRecord], Awaitable[None]]


class Reader:
    """Reads topics; `caught_up` is set once all that was there at the start has been taken."""

    def __init__(
        self,
        bootstrap: str,
        topics: Mapping[str, Take],
        check: Check,
        *,
        after: Callable[[], None] = lambda: None,
        tail: frozenset[str] = frozenset(),
    ) -> None:
        """`after` is called after each poll, with all its records taken; topics in `tail` are read from their end at the start."""
        self._bootstrap = bootstrap
        self._topics = topics
        self._check = check
        self._after = after
        self._tail = tail
        self._targets: dict[TopicPartition, int] | None = None
        self.positions: dict[TopicPartition, int] = {}
        self.caught_up = asyncio.Event()

    async def run(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read until cancelled. What `take` raises ends it."""
        self.positions = dict(positions)
        wait = 0.2
        while True:
            consumer = AIOKafkaConsumer(
                **brokers.clients(self._bootstrap),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=500,
                retry_backoff_ms=100,
            )
            try:
                async with asyncio.timeout(20):
                    await consumer.start()
                    await self._place(consumer)
                wait = 0.2
                await self._read(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                self._check.fail(f"cannot read Kafka: {error!r}")
                _log.warning("kafka_unavailable", error=repr(error))
            finally:
                await _close(consumer)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 2.0)

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        tps = [TopicPartition(topic, partition) for topic in self._topics for partition in range(load()[topic].partitions)]
        consumer.assign(tps)
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        for tp in tps:
            first = ends[tp] if tp.topic in self._tail else 0
            at = max(self.positions.get(tp, first), starts[tp])
            self.positions[tp] = at
            consumer.seek(tp, at)
        if self._targets is None:
            self._targets = dict(ends)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            polled = await consumer.getmany(timeout_ms=200, max_records=5_000)
            for tp, records in polled.items():
                take = self._topics[tp.topic]
                for record in records:
                    await take(record)
                self.positions[tp] = records[-1].offset + 1
            self._after()
            self._check.ok()
            if not self.caught_up.is_set():
                await self._compare(consumer)

    async def _compare(self, consumer: AIOKafkaConsumer) -> None:
        """See whether the start's ends are reached; a position may pass over records that compaction took away."""
        targets = self._targets or {}
        for tp, end in targets.items():
            if self.positions[tp] < end and await consumer.position(tp) < end:
                return
        self.caught_up.set()


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(2):
            await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        _log.debug("consumer_stop", error=repr(error))
