"""How fast and how soon rules decide, beside Kafka Streams and plain Python: `./tongguan bench rules [--n N] [--runs R] [--quick] [--full]`.

All sides read the same topic of `--n` observations in the product's encoding and must find the same changes of tier; else the exit
code is 1. Ours is the rules service itself with PostgreSQL as its commit log, timed from its assignment to the last warning on
`city.warnings` (the last record of each partition makes one); the others from their first record. Runs alternate; figures are
medians, ratios are medians of those of the pairs. Then latency at a steady rate, and what is measured of the engine alone, in
processes of its own. Progress goes to stderr, one JSON line to stdout at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib.metadata
import json
import logging
import os
import platform
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas import wire
from services.cli.folder import cache, program_version
from services.kit import brokers
from services.kit.embedded import jars, postgres
from services.kit.topics import OBSERVATIONS, WARNINGS, load
from tests.bench.peers import java
from tests.bench.peers.ground import (
    APPENDED,
    PARTITIONS,
    BenchError,
    Ground,
    Process,
    Rules,
    Seen,
    Watch,
    assigned,
    fill,
    first,
    now,
    opened,
    renew,
    say,
)
from tests.bench.peers.workload import CLOSING, SECOND, Change, World, changes_of, compare, filling, ladder_rule, write_city
from tests.integration.parts import make_topic

OURS, STREAMS, PLAIN = "rules", "kafka-streams", "plain-aiokafka"
WARM_S = 5.0
"""Of the latency's run, left out."""
MILLION = 1_000_000
ENGINE_S = 3_600.0
KEYS = {
    "throughput": (
        "ratio_kafka_streams",
        "cpu_ratio_kafka_streams",
        "events_per_s",
        "cpu_s_per_million",
        "kafka_streams_events_per_s",
        "kafka_streams_cpu_s_per_million",
        "ratio_plain_aiokafka",
        "warnings",
    ),
    "latency": ("p99_ms", "p50_ms"),
    "owner": ("ready_again_s",),
    "engine": ("evaluations_per_s", "state_bytes_per_sensor", "state_gib_per_million_sensors", "longest_step_ms"),
}
PARTS = tuple(KEYS)
"""By part, what is always told; null, with a reason, where it could not be measured."""
SLOWEST = 2_000
"""Observations a second below which a run is given up."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; `argv` is what follows `bench rules`."""
    parser = argparse.ArgumentParser(prog="tongguan bench rules")
    parser.add_argument("--n", type=int, help="observations of a run (1,000,000)")
    parser.add_argument("--runs", type=int, help="runs of each side (3)")
    parser.add_argument("--quick", action="store_true", help="all of it, small: about a minute")
    parser.add_argument("--full", action="store_true", help="also fill a million sensors with an hour of readings: some GiB, many minutes")
    parser.add_argument("--streams-writes", choices=("all", "changed"), default="all", help="which states the Kafka Streams peer puts")
    parser.add_argument("--only", choices=PARTS, action="append", help="parts to run (all)")
    options = parser.parse_args(argv)
    plan = Plan.of(options)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of every retry on a topic that is a moment old
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    bench = _Bench(plan)
    try:
        result = asyncio.run(bench.run())
    except KeyboardInterrupt:
        say("stopped")
        return 130
    print(json.dumps(result))
    return 1 if bench.failed else 0


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    n: int
    runs: int
    sensors: int
    eps: int
    seconds: float
    evaluations: int
    memory_sensors: int
    many_sensors: int
    """Of the partition that is restored, and of the one that is written down while it steps."""
    readings: int
    """Of each sensor in these three: an hour of one a minute."""
    few_readings: int
    """Where memory is measured first: what each of a million sensors says in the hour that is kept, when all of them make 5,000/s."""
    full: bool
    streams_writes: str
    parts: frozenset[str]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Plan:
        """Return what the command line asks for."""
        parts = frozenset(options.only or PARTS)
        small = cls(
            n=40_000,
            runs=1,
            sensors=1_000,
            eps=1_000,
            seconds=5,
            evaluations=20_000,
            memory_sensors=2_000,
            many_sensors=2_000,
            readings=10,
            few_readings=3,
            full=options.full,
            streams_writes=options.streams_writes,
            parts=parts,
        )
        usual = dataclasses.replace(
            small,
            n=1_000_000,
            runs=3,
            sensors=10_000,
            eps=5_000,
            seconds=20,
            evaluations=200_000,
            memory_sensors=100_000,
            many_sensors=50_000,
            readings=60,
            few_readings=18,
        )
        plan = small if options.quick else usual
        return dataclasses.replace(plan, n=options.n or plan.n, runs=options.runs or plan.runs)


@dataclass(frozen=True)
class Run:
    """What one run of one side took."""

    wall_s: float
    cpu_s: float
    database_cpu_s: float
    rss_mib: float


class _Bench:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._result: dict[str, Any] = {}
        self._reasons: dict[str, str] = {}
        self.failed = False
        self._load = os.getloadavg()[0]
        self._ground: Ground
        self._city: Path

    async def run(self) -> dict[str, Any]:
        """Run all parts; `failed` says whether one went wrong, which is told on stderr and among the reasons."""
        served = {"throughput": self._throughput, "latency": self._latency, "owner": self._ready_again}
        if self._plan.parts & served.keys():
            say("starting Kafka and PostgreSQL in a fresh folder …")
            async with opened() as self._ground:
                self._city = write_city(self._ground.path / "city")
                for part, run in served.items():
                    await self._part(part, run)
        await self._part("engine", self._engine)
        return self._told()

    async def _part(self, part: str, run: Callable[[], Awaitable[None]]) -> None:
        if part not in self._plan.parts:
            return
        try:
            await run()
        except BenchError as error:
            self.failed = True
            self._reasons |= {key: f"{part} failed: {str(error).splitlines()[0]}" for key in KEYS[part] if key not in self._result}
            say(f"FAILED: {error}")

    # Throughput

    async def _throughput(self) -> None:
        plan = self._plan
        world = World(plan.sensors, PARTITIONS)
        begun = time.monotonic()
        records = await fill(self._ground.kafka, OBSERVATIONS, filling(world, plan.n))
        expected = world.changes
        took = time.monotonic() - begun
        say(f"{plan.n:,} observations in {records:,} records written in {took:.0f} s; {len(expected):,} changes of tier are expected")
        sides = [OURS, PLAIN]
        if await self._make_streams():
            sides.insert(1, STREAMS)
        runs: dict[str, list[Run]] = {side: [] for side in sides}
        for at in range(plan.runs):
            for side in sides[at % len(sides) :] + sides[: at % len(sides)]:
                runs[side].append(run := await self._run(side, expected))
                say(
                    f"  {side}: {plan.n / run.wall_s:,.0f} observations/s, {run.cpu_s / plan.n * 1e6:.2f} CPU-s a million"
                    f" (PostgreSQL {run.database_cpu_s / plan.n * 1e6:.2f}), {run.rss_mib:.0f} MiB"
                )
        self._tell_throughput(runs, len(expected))

    def _tell_throughput(self, runs: dict[str, list[Run]], warnings: int) -> None:
        n, ours = self._plan.n, runs[OURS]

        def median(of: Callable[[Run], float], side: str) -> float:
            return statistics.median(of(run) for run in runs[side])

        def ratio(of: Callable[[Run], float], side: str) -> float:
            return round(statistics.median(of(mine) / of(theirs) for mine, theirs in zip(ours, runs[side], strict=True)), 3)

        def speed(run: Run) -> float:
            return n / run.wall_s

        def used(run: Run) -> float:
            return run.cpu_s / n * 1e6

        self._result |= {
            "warnings": warnings,
            "agreed": True,
            "events_per_s": round(median(speed, OURS)),
            "cpu_s_per_million": round(median(used, OURS), 2),
            "rss_mib": round(median(lambda run: run.rss_mib, OURS)),
            "postgres_cpu_s_per_million": round(median(lambda run: run.database_cpu_s / n * 1e6, OURS), 2),
            "plain_aiokafka_events_per_s": round(median(speed, PLAIN)),
            "plain_aiokafka_cpu_s_per_million": round(median(used, PLAIN), 2),
            "ratio_plain_aiokafka": ratio(speed, PLAIN),
        }
        if STREAMS in runs:
            self._result |= {
                "kafka_streams_events_per_s": round(median(speed, STREAMS)),
                "kafka_streams_cpu_s_per_million": round(median(used, STREAMS), 2),
                "kafka_streams_rss_mib": round(median(lambda run: run.rss_mib, STREAMS)),
                "ratio_kafka_streams": ratio(speed, STREAMS),
                "cpu_ratio_kafka_streams": ratio(used, STREAMS),
            }

    async def _make_streams(self) -> bool:
        process = Process(
            "kafka-streams-make", (sys.executable, "-P", "-m", "tests.bench.peers.java", str(cache())), self._ground.path, dict(os.environ)
        )
        if (wrong := await process.ended(300)) is None:
            return True
        for key in ("ratio_kafka_streams", "cpu_ratio_kafka_streams", "kafka_streams_events_per_s", "kafka_streams_cpu_s_per_million"):
            self._reasons[key] = wrong
        say(f"without Kafka Streams: {wrong}")
        return False

    async def _run(self, side: str, expected: Sequence[Change]) -> Run:
        """Run one side over the whole topic; raises `BenchError` when what it finds is not what is expected."""
        if side != OURS:
            sink = await self._sink(side)
            async with Watch.on(self._ground.kafka, sink, PARTITIONS) as watch:
                process = self._peer(side, OBSERVATIONS, sink)
                try:
                    return await self._measured(process, first, watch, expected)
                finally:
                    process.stop()
        with self._ground.database() as dsn:
            async with Watch.on(self._ground.kafka, WARNINGS, load()[WARNINGS].partitions) as watch:
                process = Rules(self._ground, dsn, self._city)
                try:
                    run = await self._measured(process, assigned, watch, expected)
                finally:
                    process.stop()
            await self._check_offsets(dsn)
            return run

    async def _measured(self, process: Process, said: Callable[[str], float | None], watch: Watch, expected: Sequence[Change]) -> Run:
        begun = await process.began(said)
        cpu, database = process.cpu(), self._ground.database_cpu()
        await watch.until(len(expected), 60 + self._plan.n / SLOWEST, process)
        cpu, database, memory = process.cpu() - cpu, self._ground.database_cpu() - database, process.memory()
        await asyncio.sleep(1)  # whatever is told twice comes now
        _agree(process.name, expected, watch.seen)
        return Run(max(one.appended for one in watch.seen) - begun, cpu, database, memory / (1 << 20))

    async def _check_offsets(self, dsn: str) -> None:
        """Raise `BenchError` unless the whole topic is committed."""
        consumer = AIOKafkaConsumer(**brokers.clients(self._ground.kafka))
        await consumer.start()
        try:
            ends = await consumer.end_offsets([TopicPartition(OBSERVATIONS, partition) for partition in range(PARTITIONS)])
        finally:
            await consumer.stop()
        with psycopg.connect(dsn) as connection:
            rows = connection.execute("select partition, next_offset from rules.partitions where topic = %s", (OBSERVATIONS,)).fetchall()
        committed: dict[int, int] = dict(rows)
        if committed != (wanted := {tp.partition: end for tp, end in ends.items() if end}):
            raise BenchError(f"the rules service committed the offsets {committed}, not {wanted}")

    async def _sink(self, side: str) -> str:
        name = f"bench-{side}-{secrets.token_hex(4)}"
        await make_topic(self._ground.kafka, name, PARTITIONS, **APPENDED)
        return name

    def _peer(self, side: str, source: str, sink: str) -> Process:
        if side == STREAMS:
            work = self._ground.path / sink
            work.mkdir()
            return Process(side, java.command(cache(), work, self._ground.kafka, (source, sink), sink, writes=self._plan.streams_writes), work)
        return Process(side, (sys.executable, "-P", "-m", "tests.bench.peers.plain", self._ground.kafka, source, sink, sink), self._ground.path)

    # Latency

    async def _latency(self) -> None:
        for side, suffix in ((OURS, ""), (PLAIN, "_plain_aiokafka")):
            p50, p99, count = await self._latency_of(side)
            say(f"  {side}: p50 {p50:.1f} ms, p99 {p99:.1f} ms of {count:,} warnings at {self._plan.eps:,} observations/s")
            self._result |= {f"p50_ms{suffix}": round(p50, 1), f"p99_ms{suffix}": round(p99, 1), f"latencies{suffix}": count}

    async def _latency_of(self, side: str) -> tuple[float, float, int]:
        bootstrap, world = self._ground.kafka, World(self._plan.sensors, PARTITIONS)
        await renew(bootstrap, OBSERVATIONS)
        sink = WARNINGS if side == OURS else await self._sink(side)
        await fill(bootstrap, OBSERVATIONS, world.controls([ladder_rule()]))
        with self._ground.database() as dsn:
            async with Watch.on(bootstrap, sink, load()[WARNINGS].partitions if side == OURS else PARTITIONS) as watch:
                process = Rules(self._ground, dsn, self._city) if side == OURS else self._peer(side, OBSERVATIONS, sink)
                try:
                    await process.began(assigned if side == OURS else first)
                    counted = await self._pace(world)
                    await watch.until(len(world.changes), 60, process)
                    await asyncio.sleep(0.5)
                finally:
                    process.stop()
        _agree(process.name, world.changes, watch.seen)
        changes = changes_of([json.loads(one.value) for one in watch.seen])
        took = zip(watch.seen, changes, strict=True)
        latencies = sorted((one.received - change.end / SECOND) * 1000 for one, change in took if change.end >= counted)
        cuts = statistics.quantiles(latencies, n=100, method="inclusive")
        return cuts[49], cuts[98], len(latencies)

    async def _pace(self, world: World) -> int:
        """Publish at a steady rate, each reading of the moment at which it is sent; return the event time from which it counts."""
        producer = AIOKafkaProducer(**brokers.clients(self._ground.kafka), linger_ms=1, acks="all")
        await producer.start()
        eps, total = self._plan.eps, round(self._plan.eps * (WARM_S + self._plan.seconds))
        order, sent, ticked, begun = world.order(), 0, 0, now()
        while sent < total:
            due = min(total, int((now() - begun) * eps))
            for _ in range(due - sent):
                partition, reading = world.reading(next(order), int(now() * SECOND))
                await producer.send(OBSERVATIONS, wire.encode(reading), partition=partition)
            sent = due
            if now() - begun >= ticked:
                ticked += 1
                for partition, tick in world.ticks(int(now() * SECOND)):
                    await producer.send(OBSERVATIONS, wire.encode(tick), partition=partition)
            await asyncio.sleep(0.001)
        await producer.stop()
        return int((begun + WARM_S) * SECOND)

    # A partition that gets a new owner

    async def _ready_again(self) -> None:
        """Measure from the assignment of a partition with many sensors to the first warning of its new readings."""
        await renew(self._ground.kafka, OBSERVATIONS)
        plan, world = self._plan, World(self._plan.many_sensors, 1)
        with self._ground.database() as dsn:
            told = await self._alone("snapshot", sensors=plan.many_sensors, readings=plan.readings, database=dsn)
            news = [world.reading(0, int(told["newest"]) + at * SECOND, value) for at, value in enumerate(CLOSING)]
            await fill(self._ground.kafka, OBSERVATIONS, news)
            async with Watch.on(self._ground.kafka, WARNINGS, load()[WARNINGS].partitions) as watch:
                process = Rules(self._ground, dsn, self._city)
                try:
                    begun = await process.began(assigned, ENGINE_S)
                    taking = process.metric("tongguan_rules_take_over_seconds_sum")
                    await watch.until(1, 60, process)
                    rss = process.memory()
                finally:
                    process.stop()
        took = watch.seen[0].appended - begun + taking
        say(f"  ready again after {took:.2f} s, of which {taking:.2f} s to take over {plan.many_sensors:,} sensors ({told['mib']} MiB)")
        self._result |= {"ready_again_s": round(took, 2), "take_over_s": round(taking, 2), "restored_mib": told["mib"], "restored_rss_mib": rss >> 20}

    # The engine alone

    async def _engine(self) -> None:
        plan = self._plan
        say("the engine alone …")
        told = await self._alone("evaluations", sensors=plan.sensors, count=plan.evaluations)
        self._result["evaluations_per_s"] = told["evaluations_per_s"]
        for suffix, readings in (("", plan.few_readings), ("_of_readings_each_minute", plan.readings)):
            told = await self._alone("memory", sensors=plan.memory_sensors, readings=readings)
            self._result["state_bytes_per_sensor" + suffix] = told["bytes_per_sensor"]
            if plan.full:
                told = await self._alone("memory", sensors=MILLION, readings=readings)
            self._result["state_gib_per_million_sensors" + suffix] = round(told["bytes_per_sensor"] * MILLION / (1 << 30), 2)
        self._result["us_per_step_of_an_hour"] = told["us_per_step"]
        told = await self._alone("longest", sensors=plan.many_sensors, readings=plan.readings)
        self._result |= {key: told[key] for key in ("longest_step_ms", "longest_without_snapshot_ms", "snapshot_s", "snapshot_mib")}

    async def _alone(self, measure: str, **given: object) -> dict[str, Any]:
        """Run one measure of `tests.bench.peers.engine` in a process of its own."""
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        argv = (sys.executable, "-P", "-m", "tests.bench.peers.engine", measure, *words)
        with tempfile.TemporaryDirectory(prefix="tongguan-bench-") as folder:
            process = Process(measure, argv, Path(folder))
            try:
                if (wrong := await process.ended(ENGINE_S)) is not None:
                    raise BenchError(f"{measure}: {wrong}")
            finally:
                process.kill()
            told: dict[str, Any] = json.loads(process.tail().splitlines()[-1])
        say(f"  {measure}: {told}")
        return told

    def _told(self) -> dict[str, Any]:
        plan = self._plan
        keys = [key for part in KEYS.values() for key in part]
        missing = {key: "this part was not asked for (--only)" for key in keys if key not in self._result and key not in self._reasons}
        return {
            "bench": "rules",
            **{key: self._result.get(key) for key in keys},
            **{key: value for key, value in self._result.items() if key not in keys},
            "reasons": self._reasons | missing,
            "conditions": {
                "cores": os.cpu_count(),
                "load_before": round(self._load, 2),
                "machine": platform.machine(),
                "n": plan.n,
                "runs": plan.runs,
                "sensors": plan.sensors,
                "partitions": PARTITIONS,
                "latency_eps": plan.eps,
                "latency_s": plan.seconds,
                "memory_sensors": plan.memory_sensors,
                "million_measured": plan.full,
                "restored_sensors": plan.many_sensors,
                "readings_each": plan.readings,
                "readings_each_where_memory_is_measured_first": plan.few_readings,
                "kafka_streams_writes": plan.streams_writes,
                "versions": {
                    "python": platform.python_version(),
                    "tongguan": program_version(),
                    "kafka": jars.KAFKA,
                    "kafka_streams": java.KAFKA_STREAMS,
                    "aiokafka": importlib.metadata.version("aiokafka"),
                    "postgresql": f"{postgres.MAJOR}",
                },
            },
        }


def _agree(name: str, expected: Sequence[Change], seen: Sequence[Seen]) -> None:
    """Raise `BenchError` unless these warnings tell the expected changes, each once."""
    how = compare(expected, changes_of([json.loads(one.value) for one in seen]))
    if not how.good:
        raise BenchError(
            f"{name} does not agree: {len(how.missing)} changes of tier are missing, {len(how.extra)} too many, {how.doubled} told twice; "
            f"first missing {how.missing[:3]}, first too many {how.extra[:3]}"
        )
