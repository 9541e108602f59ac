"""Observations a second durable in Kafka for one process, by each way in: `./tongguan bench ingest [--parts http,inbound] [--n N] [--runs R]`.

One process of ingest, on a broker and a database of its own, and beside it in the same run what aiokafka does with the same bytes: `send`, every
record of a chunk awaited at its end, and `send_batch`, both idempotent with acks=all, packed as ours are, to a topic of as many partitions. An event
has 541 bytes and 4 metrics. HTTP: batches of 500 over several connections of one load process, until the last answer. Inbound: its topic is
full before ingest starts; timed from the first twentieth on, as starting is not measured. What is counted is read from the topic: what is missing
there fails the run. A measured process has a core to itself where there are two, other processes of ours the rest; servers are left to the machine.
Figures `*_cpu_s` are CPU seconds of the measured process for a million. Progress goes to stderr, one JSON line comes last.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.partitioner import partition_of
from services.cli.folder import program_version
from services.ingest.domain.cloudevents import BATCHED, STRUCTURED
from services.kit import brokers, topics
from services.kit.producer import BATCH_BYTES, Outgoing, Producer
from services.kit.topics import INBOUND_PARTITIONS, OBSERVATIONS
from tests.bench import ingest_hj212
from tests.bench.peers.ground import BenchError, Ground, Process, opened, say
from tests.integration.parts import delete_topics, make_topic
from tests.lanes import free_plan
from tests.load import METRICS, write_city

SENSORS = 1_200
BYTES = 541
BATCH = 500
CONNECTIONS = 6
RAW = "bench.raw"
INBOUND = "inbound.water"
PARTITIONS = 24
CHUNK = 5_000
DISTINCT = 20_000
"""Events that differ; they are sent again and again, which is all the same to ingest."""
WAIT_S = 180.0
KEY = "tgk_bench"


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    n: int
    runs: int


@dataclass
class Bench:
    """What the parts share."""

    ground: Ground
    dsn: str
    environment: Mapping[str, str]
    plan: Plan
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, **figures: float) -> None:
        """Keep figures of one run."""
        for name, figure in figures.items():
            self.figures.setdefault(name, []).append(figure)
        say("  " + ", ".join(f"{name} {figure:,.2f}" if figure < 100 else f"{name} {figure:,.0f}" for name, figure in figures.items()))

    def middle(self, name: str) -> float | None:
        """Return the median of the runs, None where nothing was measured."""
        return statistics.median(self.figures[name]) if name in self.figures else None


Part = Callable[[Bench], Awaitable[None]]


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; `argv` is what follows `bench ingest`."""
    parser = argparse.ArgumentParser(prog="tongguan bench ingest")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured, separated by commas")
    parser.add_argument("--n", type=int, help="observations of a run (400,000)")
    parser.add_argument("--runs", type=int, help="runs (3)")
    parser.add_argument("--quick", action="store_true", help="all of it, small: about half a minute")
    options = parser.parse_args(argv)
    wanted = options.parts.split(",")
    if unknown := [part for part in wanted if part not in PARTS]:
        parser.error(f"there are no parts {unknown}; there are {', '.join(PARTS)}")
    plan = Plan(options.n or (40_000 if options.quick else 400_000), options.runs or (1 if options.quick else 3))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of every retry on a topic that is a moment old
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        result = asyncio.run(_run(plan, wanted))
    except BenchError as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    print(json.dumps(result))
    return 0


async def _run(plan: Plan, parts: Sequence[str]) -> dict[str, Any]:
    async with opened() as ground:
        write_city(ground.path / "city", SENSORS)
        (ground.path / "secrets.json").write_text(json.dumps({"department_keys": {"water": KEY}}))
        await _topics(ground.kafka)
        with ground.database() as dsn:
            with psycopg.connect(dsn) as connection:
                connection.execute("insert into kit.topics (name) values (%s)", (INBOUND,))
            bench = Bench(ground, dsn, _environment(ground, dsn), plan)
            for number in range(plan.runs):
                order = [(name, PARTS[name]) for name in parts] + [("raw", raw)]
                for name, part in order if number % 2 == 0 else reversed(order):
                    say(f"run {number + 1}: {name}")
                    await part(bench)
    return _result(bench, parts)


def _result(bench: Bench, parts: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in sorted(bench.figures):
        middle = bench.middle(name)
        told[name] = None if middle is None else round(middle) if name.endswith("_per_s") else round(middle, 2)
    http, send = bench.middle("http_per_s"), bench.middle("send_per_s")
    if http is not None and send is not None:
        told["http_ratio"] = round(statistics.median(a / b for a, b in zip(bench.figures["http_per_s"], bench.figures["send_per_s"], strict=True)), 3)
    runs = {name: [round(one) for one in figures] for name, figures in bench.figures.items() if name.endswith("_per_s")}
    return {**told, "observations": bench.plan.n, "parts": list(parts), "runs": runs, "cores": os.cpu_count(), "version": program_version()}


# What is measured; each part notes its figures


async def http(bench: Bench) -> None:
    """Batches over HTTP."""
    async with _ingest(bench) as ingest:
        before = await _ends(bench.ground.kafka, OBSERVATIONS, PARTITIONS)
        load = _helper(bench.ground, "load", "--url", ingest.url, "--n", str(bench.plan.n))
        used = ingest.cpu()
        told = await _told(load)
        used = ingest.cpu() - used
        await _check(bench, before)
        bench.note(http_per_s=bench.plan.n / told["seconds"], http_cpu_s=used / bench.plan.n * 1e6, http_load_cpu_s=told["cpu"] / bench.plan.n * 1e6)


async def inbound(bench: Bench) -> None:
    """The department's own topic."""
    kafka, n = bench.ground.kafka, bench.plan.n
    await _fill(kafka, n)
    before = await _ends(kafka, OBSERVATIONS, PARTITIONS)
    async with _ingest(bench, wait=False) as ingest:
        seconds, used, counted = await _watched(bench, before, ingest)
    await _check(bench, before)
    bench.note(inbound_per_s=counted / seconds, inbound_cpu_s=used / counted * 1e6)


async def raw(bench: Bench) -> None:
    """What aiokafka does with the same bytes."""
    for way in ("send", "send_batch"):
        told = await _told(_helper(bench.ground, way, "--kafka", bench.ground.kafka, "--n", str(bench.plan.n), measured=True))
        bench.note(**{f"{way}_per_s": bench.plan.n / told["seconds"], f"{way}_cpu_s": told["cpu"] / bench.plan.n * 1e6})


async def hj212(bench: Bench) -> None:
    """5,000 monitors, each of which sends a packet every 30 s; in a database of its own, since each is a sensor."""
    with bench.ground.database() as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("insert into kit.topics (name) values (%s)", (INBOUND,))
        bench.note(**await ingest_hj212.measure(bench.ground, dsn))


PARTS: dict[str, Part] = {"http": http, "inbound": inbound, "hj212": hj212}
"""By the names that `--parts` takes."""


# Ingest, and how it is watched


class Ingest(Process):
    """The ingest service, started as the platform does, on a core of its own."""

    def __init__(self, bench: Bench) -> None:
        ports = free_plan()
        self.url = f"http://127.0.0.1:{ports.ingest}"
        self.admin = ports.admin("ingest")
        told = {"TONGGUAN_INGEST__PORT": str(ports.ingest), "TONGGUAN_INGEST__ADMIN_PORT": str(ports.admin("ingest"))}
        super().__init__("ingest", (sys.executable, "-P", "-m", "services.ingest"), bench.ground.path, {**bench.environment, **told})
        _place(self.pid, measured=True)


@contextlib.asynccontextmanager
async def _ingest(bench: Bench, *, wait: bool = True) -> AsyncIterator[Ingest]:
    process = Ingest(bench)
    try:
        if wait:
            await process.ready(process.admin)
        yield process
    finally:
        process.stop()


def _environment(ground: Ground, dsn: str) -> dict[str, str]:
    return {
        "TONGGUAN_KAFKA": ground.kafka,
        "TONGGUAN_DATABASE": dsn,
        "TONGGUAN_CITY": str(ground.path / "city"),
        "TONGGUAN_SECRETS": str(ground.path / "secrets.json"),
        "TONGGUAN_INGEST__QUOTA_PER_S": "1000000",
        "TONGGUAN_INGEST__QUOTA_BURST": "100000000",
    }


def _place(pid: int, *, measured: bool) -> None:
    """Give a process that is measured the last core, and any other the rest."""
    cores = list(range(os.cpu_count() or 1))
    if len(cores) > 1:
        psutil.Process(pid).cpu_affinity(cores[-1:] if measured else cores[:-1])


async def _topics(kafka: str) -> None:
    """Make the observations' topic with its own number of partitions, and those of the benchmark."""
    await delete_topics(kafka, OBSERVATIONS)
    await make_topic(kafka, OBSERVATIONS, topics.load()[OBSERVATIONS].partitions)
    await make_topic(kafka, RAW, PARTITIONS)
    await make_topic(kafka, INBOUND, INBOUND_PARTITIONS)


async def _watched(bench: Bench, before: Mapping[TopicPartition, int], ingest: Ingest) -> tuple[float, float, int]:
    """Return seconds, CPU seconds and observations from the first twentieth on until all are on the topic."""
    n, deadline = bench.plan.n, time.monotonic() + WAIT_S
    begun: tuple[float, float, int] | None = None
    async with _reader(bench.ground.kafka) as consumer:
        while True:
            ends = await consumer.end_offsets(list(before))
            found = sum(ends.values()) - sum(before.values())
            at = time.monotonic()
            if begun is None and found >= n // 20 + SENSORS + PARTITIONS:
                begun = at, ingest.cpu(), found
            if begun is not None and found >= n:
                return at - begun[0], ingest.cpu() - begun[1], found - begun[2]
            ingest.check()
            if at > deadline:
                raise BenchError(f"{found} of {n} observations in {WAIT_S:g} s:\n{ingest.tail()}")
            await asyncio.sleep(0.02)


async def _check(bench: Bench, before: Mapping[TopicPartition, int]) -> None:
    """Raise `BenchError` unless all that was sent is on the topic."""
    deadline = time.monotonic() + WAIT_S
    found = 0
    async with _reader(bench.ground.kafka) as consumer:
        consumer.assign(list(before))
        for tp, offset in before.items():
            consumer.seek(tp, offset)
        while found < bench.plan.n:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += sum(type(wire.decode(record.value)) is wire.Observation for record in records)
            if time.monotonic() > deadline:
                raise BenchError(f"{found} of {bench.plan.n} observations are on the topic")


@contextlib.asynccontextmanager
async def _reader(kafka: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**brokers.clients(kafka), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _ends(kafka: str, topic: str, partitions: int) -> Mapping[TopicPartition, int]:
    async with _reader(kafka) as consumer:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets([TopicPartition(topic, partition) for partition in range(partitions)])
        return ends


async def _fill(kafka: str, n: int) -> None:
    """Write the department's events, as a client does that says their mode."""
    headers = [("content-type", STRUCTURED.encode())]
    events = _events()
    async with Producer(kafka, CollectorRegistry()) as producer:
        for first in range(0, n, CHUNK):
            at = range(first, min(first + CHUNK, n))
            records = [Outgoing(events[i % DISTINCT], partition=i // 100 % INBOUND_PARTITIONS, headers=headers) for i in at]
            await producer.publish(INBOUND, records)


# The same bytes for all


def _events() -> list[bytes]:
    """Return events of `BYTES` bytes that differ as real ones do."""
    dice, now = random.Random(7), datetime.now(UTC)  # noqa: TID251 - what devices would write
    return [_event(dice, number, now - timedelta(milliseconds=number % 1_000)) for number in range(DISTINCT)]


def _event(dice: random.Random, number: int, end: datetime) -> bytes:
    sensor = f"s{number % SENSORS:05d}"
    data = {"sensor": sensor, "values": {metric: round(dice.uniform(0, 60), 3) for metric in METRICS}, "origin": "exercise"}
    event = {
        "specversion": "1.0",
        "id": f"{sensor}-{dice.getrandbits(64):016x}",
        "source": "/departments/water/scada/collector-01",
        "type": "cn.tongguan.observation.v1",
        "datacontenttype": "application/json",
        "subject": sensor,
        "time": end.isoformat(timespec="milliseconds"),
        "data": data,
        "comment": "",
    }
    event["comment"] = "x" * (BYTES - len(json.dumps(event)))
    return json.dumps(event).encode()


def _street(number: int) -> bytes:
    """Return a key as ingest gives one: `write_city` has 48 streets."""
    return f"99{number % 4 + 1:02d}00{number // 4 % 12 + 1:03d}".encode()


# Helpers: this very file as a process, which prints one JSON line


def _helper(ground: Ground, what: str, *options: str, measured: bool = False) -> Process:
    process = Process(f"bench-{what}", (sys.executable, "-P", "-m", "tests.bench.ingest", what, *options), ground.path)
    _place(process.pid, measured=measured)
    return process


async def _told(process: Process) -> dict[str, float]:
    problem = await process.ended(WAIT_S)
    if problem is not None:
        raise BenchError(problem)
    told: dict[str, float] = json.loads(process.tail().strip().splitlines()[-1])
    return told


def _help(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["send", "send_batch", "load"])
    parser.add_argument("--kafka", default="")
    parser.add_argument("--url", default="")
    parser.add_argument("--n", type=int)
    options = parser.parse_args(argv)
    events = _events()
    work = _load(options.url, options.n, events) if options.what == "load" else _raw(options.what, options.kafka, options.n, events)
    seconds, used = uvloop.run(work)
    print(json.dumps({"seconds": seconds, "cpu": used}))


async def _load(url: str, n: int, events: Sequence[bytes]) -> tuple[float, float]:
    """Post all in batches over some connections; return seconds and our CPU seconds."""
    bodies = [b"[" + b",".join(events[first : first + BATCH]) + b"]" for first in range(0, DISTINCT, BATCH)]
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {BATCHED}\r\n"
    requests = iter([f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies] * (-(-n // DISTINCT)))
    left = iter([next(requests) for _ in range(n // BATCH)])
    begun, used = time.monotonic(), time.process_time()
    await asyncio.gather(*(_post(host, int(port), left) for _ in range(CONNECTIONS)))
    return time.monotonic() - begun, time.process_time() - used


async def _post(host: str, port: int, requests: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for request in requests:
        writer.write(request)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        lines = dict(line.lower().split(": ", 1) for line in answer.decode().strip().split("\r\n")[1:])
        body = await reader.readexactly(int(lines["content-length"]))
        if not answer.startswith(b"HTTP/1.1 202"):
            raise SystemExit(f"ingest answered {answer!r} {body[:500]!r}")
    writer.close()


async def _raw(way: str, kafka: str, n: int, events: Sequence[bytes]) -> tuple[float, float]:
    """Publish the same bytes by aiokafka alone; return seconds and our CPU seconds."""
    producer = AIOKafkaProducer(
        **brokers.clients(kafka), enable_idempotence=True, acks="all", compression_type="lz4", max_batch_size=BATCH_BYTES, linger_ms=5
    )
    await producer.start()
    try:
        await producer.send_and_wait(RAW, events[0])  # it knows the topic now
        begun, used = time.monotonic(), time.process_time()
        await (_send if way == "send" else _send_batch)(producer, n, events)
        return time.monotonic() - begun, time.process_time() - used
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, n: int, events: Sequence[bytes]) -> None:
    for first in range(0, n, CHUNK):
        sent = [await producer.send(RAW, events[i % DISTINCT], key=_street(i)) for i in range(first, min(first + CHUNK, n))]
        await asyncio.gather(*sent)


async def _send_batch(producer: AIOKafkaProducer, n: int, events: Sequence[bytes]) -> None:
    for first in range(0, n, CHUNK):
        batches = [producer.create_batch() for _ in range(PARTITIONS)]
        for i in range(first, min(first + CHUNK, n)):
            key = _street(i)
            if batches[partition_of(key, PARTITIONS)].append(key=key, value=events[i % DISTINCT], timestamp=None) is None:
                raise SystemExit("a chunk is larger than its batches")
        sent = [await producer.send_batch(batch, RAW, partition=at) for at, batch in enumerate(batches) if batch.record_count()]
        await asyncio.gather(*sent)


if __name__ == "__main__":
    _help(sys.argv[1:])
