"""What the benchmark stands on: servers of its own, topics, processes that are measured, and a watch on what they publish."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry

from schemas import wire
from services.cli import folder
from services.kit import brokers, migrations, topics
from services.kit.embedded.command import Command, base_environment
from services.kit.producer import Outgoing, Producer
from services.kit.topics import OBSERVATIONS, WARNINGS
from tests.integration.parts import Servers, _spawned, delete_topics, eventually, make_topic
from tests.lanes import free_plan

ROOT = Path(__file__).parents[3]
PARTITIONS = 8
CHUNK = 20_000
APPENDED = {"message.timestamp.type": "LogAppendTime"}


class BenchError(Exception):
    """The benchmark cannot go on; what it says is for people."""


def say(text: str) -> None:
    """Tell how it goes."""
    print(text, file=sys.stderr, flush=True)


def now() -> float:
    """Return the machine's time, which Kafka's own times are compared with."""
    return time.time()  # noqa: TID251


# Servers and topics


@dataclass(frozen=True)
class Ground:
    """Servers and a folder for everything else."""

    servers: Servers
    path: Path

    @property
    def kafka(self) -> str:
        """The address of Kafka."""
        return self.servers.kafka

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Yield the address of a new database, migrated, that knows the topics and no position on them."""
        with self.servers.database() as dsn:
            migrations.migrate(dsn, lambda _: None)
            with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
                cursor.executemany("insert into kit.topics (name) values (%s) on conflict do nothing", [(name,) for name in topics.load()])
            yield dsn

    def database_cpu(self) -> float:
        """Return the CPU seconds that PostgreSQL has used."""
        server = self.servers.postgres._process
        return cpu(server.pid) if server else 0.0


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Ground]:
    """Start both servers in a throwaway folder; both are gone afterwards, however it ends."""
    data = folder.open_throwaway()
    servers = Servers(data.path)
    try:
        await servers.start()
        await _make_topics(servers.kafka)
        yield Ground(servers, data.path)
    finally:
        servers.kill()
        data.close()


async def _make_topics(bootstrap: str) -> None:
    """Make the platform's topics: the observations' with the city's number of partitions, the warnings' saying when each was written."""
    new = []
    for name, topic in topics.load().items():
        settings = topics.settings_of(topic) | (APPENDED if name == WARNINGS else {})
        new.append(NewTopic(name, PARTITIONS if name == OBSERVATIONS else topic.partitions, 1, topic_configs=settings))
    admin = AIOKafkaAdminClient(**brokers.clients(bootstrap))
    await admin.start()
    try:
        await admin.create_topics(new)

        async def have_leaders() -> bool:
            told = await admin.describe_topics(list(topics.load()))
            return all(not one["error_code"] and all(partition["leader"] >= 0 for partition in one["partitions"]) for one in told)

        await eventually(have_leaders, "the topics")
    finally:
        await admin.close()


async def renew(bootstrap: str, topic: str) -> None:
    """Empty a topic of observations."""
    await delete_topics(bootstrap, topic)
    await make_topic(bootstrap, topic, PARTITIONS)


async def fill(bootstrap: str, topic: str, records: Iterable[tuple[int, wire.Record]]) -> int:
    """Write records to their partitions; return how many."""
    written = 0
    async with Producer(bootstrap, CollectorRegistry()) as producer:
        chunk: list[Outgoing] = []
        for partition, record in records:
            key = record.street.encode() if type(record) is wire.Observation else None
            chunk.append(Outgoing(wire.encode(record), key=key, partition=partition))
            if len(chunk) == CHUNK:
                await producer.publish(topic, chunk)
                written += len(chunk)
                chunk = []
        await producer.publish(topic, chunk)
    return written + len(chunk)


# Processes


class Process:
    """A process that is measured. It ends with us, whatever ends us."""

    def __init__(self, name: str, argv: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._log = cwd / f"{name}-{secrets.token_hex(4)}.log"
        inherited = {**base_environment(), "PYTHONPATH": str(ROOT)}
        command = Command(name, tuple(argv), cwd, {**inherited, **(environment or {})})
        self._process: subprocess.Popen[bytes] = _spawned(command, self._log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu(self) -> float:
        """Return the CPU seconds that it and its children have used."""
        return cpu(self._process.pid)

    def memory(self) -> int:
        """Return its resident bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    async def began(self, said: Callable[[str], float | None], seconds: float = 90) -> float:
        """Return the time that a line of its log tells, as `said` reads it."""
        deadline = time.monotonic() + seconds
        at = 0
        while True:
            text = self._log.read_text(errors="replace")[at:]
            whole, newline, _ = text.rpartition("\n")
            for line in whole.splitlines():
                if (found := said(line)) is not None:
                    return found
            at += len(whole) + len(newline)
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} read nothing in {seconds:g} s:\n{self.tail()}")
            await asyncio.sleep(0.005)

    async def ready(self, admin: int, seconds: float = 60) -> None:
        """Return once a service says on its admin port that it does its work."""
        deadline = time.monotonic() + seconds
        async with httpx.AsyncClient() as client:
            while True:
                self.check()
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{admin}/readyz")).status_code == httpx.codes.OK:
                        return
                if time.monotonic() > deadline:
                    raise BenchError(f"{self.name} was not ready:\n{self.tail()}")
                await asyncio.sleep(0.05)

    def check(self) -> None:
        """Raise `BenchError` when it has ended."""
        if self._process.poll() is not None:
            raise BenchError(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")

    async def ended(self, seconds: float) -> str | None:
        """Wait until it ends; return its last words when it ended badly, None when well."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        code = self._process.poll()
        self.kill()
        return None if code == 0 else self.tail().strip() or f"{self.name} ended with {code}"

    def tail(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End it in order, or at once when that takes long."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Rules(Process):
    """The rules service, started as the platform does."""

    def __init__(self, ground: Ground, dsn: str, city: Path) -> None:
        self._admin = free_plan().admin("rules")
        told = {
            "TONGGUAN_KAFKA": ground.kafka,
            "TONGGUAN_DATABASE": dsn,
            "TONGGUAN_CITY": str(city),
            "TONGGUAN_RULES__ADMIN_PORT": str(self._admin),
        }
        super().__init__("rules", (sys.executable, "-P", "-m", "services.rules"), ground.path, told)

    def metric(self, name: str) -> float:
        """Return the value of one of its metrics."""
        told = httpx.get(f"http://127.0.0.1:{self._admin}/metrics").text
        return next(float(line.rpartition(" ")[2]) for line in told.splitlines() if line.rpartition(" ")[0] == name)


def assigned(line: str) -> float | None:
    """Return when a rules service had taken over its partitions, by a line of its log: just before its first record."""
    if not line.startswith("{"):
        return None
    told = json.loads(line)
    return datetime.fromisoformat(told["timestamp"]).timestamp() if told["event"] == "assigned" else None


def first(line: str) -> float | None:
    """Return when a peer got its first record, by a line of its output."""
    return float(line.removeprefix("FIRST ")) if line.startswith("FIRST ") else None


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process and its children."""
    used = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                used += times.user + times.system
    return float(used)


# What they publish


class Seen(NamedTuple):
    """A record of the topic that is watched."""

    value: bytes
    appended: float
    """Seconds: Kafka's time of the writing."""
    received: float


@dataclass
class Watch:
    """Reads what is written to a topic from here on; only what is committed."""

    seen: list[Seen] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, bootstrap: str, topic: str, partitions: int) -> AsyncIterator[Watch]:
        """Watch within the block."""
        watch = cls()
        consumer = AIOKafkaConsumer(**brokers.clients(bootstrap), enable_auto_commit=False, isolation_level="read_committed", fetch_max_wait_ms=100)
        await consumer.start()
        try:
            tps = [TopicPartition(topic, partition) for partition in range(partitions)]
            consumer.assign(tps)
            for tp, end in (await consumer.end_offsets(tps)).items():
                consumer.seek(tp, end)
            task = asyncio.create_task(watch._read(consumer))
            yield watch
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            await consumer.stop()

    async def until(self, count: int, seconds: float, process: Process) -> None:
        """Return once so many records were seen; raises `BenchError` when that takes too long or the process ends."""
        deadline = time.monotonic() + seconds
        while len(self.seen) < count:
            process.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{process.name} published {len(self.seen)} of {count} warnings in {seconds:g} s:\n{process.tail()}")
            await asyncio.sleep(0.02)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                at = now()
                self.seen += [Seen(record.value, record.timestamp / 1000, at) for record in records]
