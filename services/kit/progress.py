"""How far a service has come, and how far behind it is: figures that go on growing when the consumer stops.

Ends of partitions are asked for by a client of their own, every 2 s and after an assignment, and ages are counted when they are read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.kit import brokers
from services.kit.clock import Clock

PROBE_S = 2.0


class Progress(Collector):
    """Positions, ends and event times by partition; exported as `tongguan_lag_records` and `tongguan_event_age_seconds`."""

    def __init__(self, clock: Clock, registry: CollectorRegistry) -> None:
        self._clock = clock
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._event_times: dict[TopicPartition, datetime] = {}
        self._assigned = asyncio.Event()
        """Set while there are partitions whose ends were not asked for yet."""
        self._records = Counter("tongguan_consumed_records", "Records worked off", ["topic"], registry=registry)
        registry.register(self)

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Take over partitions."""
        self._positions = dict(positions)
        self._event_times = {}
        self._ends = {tp: end for tp, end in self._ends.items() if tp in self._positions}
        self._assigned.set()

    def done(self, tp: TopicPartition, position: int, count: int, event_time: datetime | None) -> None:
        """Note that a partition was worked off up to a position; one that went to another owner meanwhile is his to count."""
        self._records.labels(tp.topic).inc(count)
        if tp not in self._positions:
            return
        self._positions[tp] = position
        if event_time is not None:
            self._event_times[tp] = event_time

    @property
    def lag(self) -> int:
        """Records that wait on all partitions, as far as is known."""
        return sum(max(0, end - self._positions.get(tp, 0)) for tp, end in self._ends.items())

    @property
    def is_at_end(self) -> bool:
        """Whether all that was there when it was last asked is worked off; not while it is unknown of a partition."""
        return self._positions.keys() <= self._ends.keys() and self.lag == 0

    @property
    def event_time(self) -> datetime | None:
        """The oldest of the partitions' event times, of those that have said one; None when none has."""
        return min(self._event_times.values(), default=None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the figures of this moment."""
        lag = GaugeMetricFamily("tongguan_lag_records", "Records that wait to be worked off", labels=["topic", "partition"])
        for tp, end in list(self._ends.items()):
            lag.add_metric([tp.topic, str(tp.partition)], max(0, end - self._positions.get(tp, 0)))
        yield lag
        age = GaugeMetricFamily("tongguan_event_age_seconds", "Age of the newest event or tick worked off", labels=["topic", "partition"])
        now = self._clock.now()
        for tp, event_time in list(self._event_times.items()):
            age.add_metric([tp.topic, str(tp.partition)], (now - event_time).total_seconds())
        yield age

    async def probe(self, bootstrap: str) -> None:
        """Ask for the ends of the assigned partitions until cancelled; while Kafka is away the last ends stand."""
        while True:
            client = AIOKafkaConsumer(**brokers.clients(bootstrap), request_timeout_ms=10_000)
            try:
                async with asyncio.timeout(20):
                    await client.start()
                while True:
                    self._assigned.clear()
                    if self._positions:
                        self._ends = dict(await client.end_offsets(list(self._positions)))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(PROBE_S):
                            await self._assigned.wait()
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(PROBE_S)
            finally:
                await _stop(client)


async def _stop(client: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(2):
            await client.stop()
    except (KafkaError, OSError, TimeoutError):
        return
