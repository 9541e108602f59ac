"""The plainest Python that does the rule: aiokafka, msgspec and a dictionary; at least once, nothing written down.

Arguments: address of Kafka, topic in, topic out, group.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import wire
from services.kit import brokers
from tests.bench.peers.workload import DOWN, FRESH, READINGS, UP

BATCH = 4_000
FETCH_WAIT_MS = 20


class Warned(msgspec.Struct):
    """What it publishes; as the Kafka Streams peer does."""

    sensor: str
    domain: str
    metric: str
    before: int = msgspec.field(name="from")
    after: int = msgspec.field(name="to")
    value: float
    end: int
    street: str
    cause: str


def rising(on: int) -> tuple[float, float]:
    """Return the band in which nothing happens to latches that have no run: above the first, below the second."""
    above = max((DOWN[at] for at in range(4) if on >> at & 1), default=float("-inf"))
    return above, min((UP[at] for at in range(4) if not on >> at & 1), default=float("inf"))


BANDS = [rising(on) for on in range(16)]
CALM = (0, None, 0)
State = tuple[int, tuple[int, ...] | None, int]
"""Which latches are on, the lengths of their runs (None: no run), and the newest end."""


def step(state: State, end: int, value: float) -> State:
    """Return the state after a reading."""
    on, runs, last = state
    above, below = BANDS[on]
    if runs is None and above < value < below:
        return state
    counts = list(runs) if runs is not None and end - last <= FRESH else [0, 0, 0, 0]
    for latch in range(4):
        up = not on >> latch & 1
        counts[latch] = counts[latch] + 1 if (value >= UP[latch] if up else value <= DOWN[latch]) else 0
        if counts[latch] and (not up or counts[latch] >= READINGS):
            on ^= 1 << latch
            counts[latch] = 0
    return on, tuple(counts) if any(counts) else None, end


class Rule:
    """The states of all sensors."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def warnings(self, read: wire.Observation) -> Iterator[Warned]:
        """Take an observation; yield the changes of tier that it makes."""
        for metric, value in read.values.items():
            before = self._states.get(read.sensor, CALM)
            after = step(before, read.end, value)
            if after is before:
                continue
            self._states[read.sensor] = after
            if (old := before[0].bit_length()) != (new := after[0].bit_length()):
                yield Warned(read.sensor, read.domain, metric, old, new, value, read.end, read.street, read.id)


async def main(bootstrap: str, source: str, sink: str, group: str) -> None:
    """Consume for ever; prints FIRST with the time of its first record."""
    consumer = AIOKafkaConsumer(
        source,
        **brokers.clients(bootstrap),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_bytes=16 << 20,
        # aiokafka has one fetch under way at a broker: while it waits for partitions at their end, the others get nothing.
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    producer = AIOKafkaProducer(**brokers.clients(bootstrap), linger_ms=0, max_batch_size=131_072, acks="all")
    await consumer.start()
    await producer.start()
    encode = msgspec.json.Encoder().encode
    rule = Rule()
    begun = False
    while True:
        polled = await consumer.getmany(timeout_ms=200, max_records=BATCH)
        if polled and not begun:
            begun = True
            print(f"FIRST {time.time()}", flush=True)  # noqa: TID251 - compared with Kafka's own times
        read = (wire.decode(record.value) for records in polled.values() for record in records)
        warnings = [warned for one in read if type(one) is wire.Observation for warned in rule.warnings(one)]
        if warnings:
            await asyncio.gather(*[await producer.send(sink, encode(warned), warned.sensor.encode()) for warned in warnings])
        if polled:
            await consumer.commit({tp: records[-1].offset + 1 for tp, records in polled.items()})


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:5]))
