"""What is measured of the engine alone: `python -m tests.bench.peers.engine MEASURE [--sensors N] [--readings N] [--count N]`.

Each runs in a process of its own and prints one JSON object. Records are decoded from the wire first, as a worker does, so that what the engine keeps
of them is what it keeps there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import time
from itertools import islice

import psutil
from aiokafka import TopicPartition

from schemas import wire
from services.kit import database
from services.kit.clock import SystemClock
from services.kit.topics import OBSERVATIONS
from services.rules.domain.step import Partition
from services.rules.store import Store
from tests.bench.peers.workload import BASE, SECOND, World, activation, ladder_rule, sensor_record

MINUTE = 60 * SECOND
RULES, MET = 200, 8
"""Installed, and met by each series: of 25 groups of eight rules, told apart by metric and tag."""
GROUPS = RULES // MET
METRICS = 5
BETWEEN = 500
"""Records between two looks at the snapshot, as in a worker's poll."""
PIECE = 64 << 10
"""Bytes of pages asked for at each look."""


def evaluations(sensors: int, count: int) -> dict[str, float]:
    """Return evaluations a second: rules met by a value, values of one metric an observation, 200 rules installed."""
    partition = Partition()
    noise = random.Random(7)
    for at in range(RULES):
        group = at // MET
        rule = ladder_rule(f"bench.rule-{at}", f"m{group % METRICS}", frozenset({f"t{group // METRICS}"}), raised=at % MET * 0.25)
        _take(partition, activation(rule))
    groups = [noise.randrange(GROUPS) for _ in range(sensors)]
    world = World(sensors, 1, judged=False)
    for place, group in zip(world.places, groups, strict=True):
        _take(partition, sensor_record(place.name, place.street, f"m{group % METRICS}", frozenset({f"t{group // METRICS}"})))
    order = world.order()
    warm, told = 2 * sensors, 0
    records = [_again(world.reading(at, BASE + n * 200, metric=f"m{groups[at] % METRICS}")[1]) for n, at in enumerate(islice(order, warm + count))]
    step = partition.step
    for record in records[:warm]:
        step(record)
    timed = records[warm:]
    gc.collect()
    gc.freeze()  # as the worker does with what has come to stay
    begun, used = time.perf_counter(), time.process_time()
    for record in timed:
        told += len(step(record)[1])
    took, used = time.perf_counter() - begun, time.process_time() - used
    return {"evaluations_per_s": round(count * MET / used), "wall_evaluations_per_s": round(count * MET / took), "revisions": told}


def memory(sensors: int, readings: int) -> dict[str, float]:
    """Return how much a process grows by an hour of readings, one a minute, under one rule of four tiers."""
    world = World(sensors, 1, judged=False)
    gc.collect()
    before = psutil.Process().memory_info().rss
    partition, steps, took = _filled(world, readings)
    gc.collect()
    grown = psutil.Process().memory_info().rss - before
    return {
        "bytes_per_sensor": round(grown / sensors),
        "gib": round(grown / (1 << 30), 3),
        "us_per_step": round(took / steps * 1e6, 3),
        "now": partition.now,
    }


def longest(sensors: int, readings: int) -> dict[str, float]:
    """Return the longest time between two steps, at full speed, while a partition is written down."""
    world = World(sensors, 1, judged=False)
    partition, *_ = _filled(world, readings)
    order = world.order()
    start = BASE + readings * MINUTE
    records = [_again(world.reading(at, start + n * 200)[1]) for n, at in enumerate(islice(order, max(4 * sensors, 20_000)))]
    gc.collect()
    step, clock = partition.step, time.perf_counter_ns
    before, quiet = clock(), 0
    for record in records[: len(records) // 2]:
        step(record)
        after = clock()
        quiet, before = max(quiet, after - before), after
    partition.begin_snapshot()
    gaps, size, pages = 0, 0, 0
    begun = before = clock()
    taken = clock()
    n = len(records) // 2
    while partition.snapshotting and n < len(records):
        for record in records[n : n + BETWEEN]:
            step(record)
            after = clock()
            gaps, before = max(gaps, after - before), after
        n += BETWEEN
        for _, body in partition.take_pages(PIECE):
            size += len(body)
            pages += 1
        taken = clock()
    if partition.snapshotting:
        raise SystemExit("the snapshot was not finished")
    return {
        "longest_step_ms": round(gaps / 1e6, 2),
        "longest_without_snapshot_ms": round(quiet / 1e6, 2),
        "snapshot_s": round((taken - begun) / 1e9, 2),
        "snapshot_mib": round(size / (1 << 20), 1),
        "pages": pages,
    }


async def snapshot(sensors: int, readings: int, dsn: str) -> dict[str, float]:
    """Write such a partition down as partition 0 of `city.observations`, before its first offset, as an owner would."""
    partition, *_ = _filled(World(sensors, 1, judged=False), readings)
    tp = TopicPartition(OBSERVATIONS, 0)
    pool = await database.open_pool(dsn)
    store = Store(pool, SystemClock())
    claim = (await store.take([tp]))[tp].claim
    partition.begin_snapshot()
    number, size = await store.begin(tp, claim, 0), 0
    while pages := partition.take_pages(1 << 20):
        await store.write(tp, claim, number, pages)
        size += sum(len(body) for _, body in pages)
    await store.finish(tp, claim, number, 0)
    await pool.close()
    return {"newest": BASE + readings * MINUTE, "mib": round(size / (1 << 20), 1)}


def _filled(world: World, readings: int) -> tuple[Partition, int, float]:
    """Return a partition after so many readings of each sensor, one a minute; with the steps and the seconds that they took."""
    partition = Partition()
    for _, control in world.controls([ladder_rule()]):
        _take(partition, control)
    steps, took = 0, 0.0
    for minute in range(readings):
        now = BASE + minute * MINUTE
        _take(partition, wire.Tick(time=now, node="bench", adapters={"http": now}))
        for first in range(0, len(world.places), 1000):
            some = range(first, min(first + 1000, len(world.places)))
            records = [_again(world.reading(at, now + at * MINUTE // len(world.places))[1]) for at in some]
            begun = time.perf_counter()
            for record in records:
                partition.step(record)
            took += time.perf_counter() - begun
            steps += len(records)
    return partition, steps, took


def _again(record: wire.Record) -> wire.Record:
    return wire.decode(wire.encode(record))


def _take(partition: Partition, record: wire.Record) -> None:
    partition.step(_again(record))


def main() -> None:
    """Run one measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("measure", choices=("evaluations", "memory", "longest", "snapshot"))
    parser.add_argument("--sensors", type=int, default=10_000)
    parser.add_argument("--readings", type=int, default=60)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--database")
    given = parser.parse_args()
    if given.measure == "evaluations":
        told = evaluations(given.sensors, given.count)
    elif given.measure == "snapshot":
        told = asyncio.run(snapshot(given.sensors, given.readings, given.database))
    else:
        told = {"memory": memory, "longest": longest}[given.measure](given.sensors, given.readings)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
