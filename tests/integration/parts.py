"""The parts of the platform one by one, for tests that start, break and mend them: servers, gates, topics, services."""

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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.cli.folder import cache
from services.cli.layout import MODULES
from services.cli.ports import PortPlan
from services.kit import brokers
from services.kit.embedded import jars, kafka, postgres
from services.kit.embedded.command import Command, _tether, run_logged
from tests.lanes import free_plan

ROOT = Path(__file__).parents[2]
WAIT_S = 30.0
"""For anything that should happen soon: long, so that a busy machine fails no test."""
T = TypeVar("T")


async def eventually(condition: Callable[[], Awaitable[T]], what: str, seconds: float = WAIT_S) -> T:
    """Return what the condition returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.05)
    return found


# Gates


class Gate:
    """A way to a server that can be shut: it cuts whoever is through, and lets nobody in until it is opened."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = free_plan().database

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._through, "127.0.0.1", self.port)

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            there, back = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_pump(reader, back))
                    tasks.create_task(_pump(there, writer))
            finally:
                back.transport.abort()
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise EOFError  # one end has left: so does the other


@contextlib.asynccontextmanager
async def gate_to(dsn: str) -> AsyncIterator[tuple[Gate, str]]:
    """Yield an open gate to a database, and the address through it."""
    address = urlsplit(dsn)
    assert address.hostname
    assert address.port
    gate = Gate(address.hostname, address.port)
    await gate.open()
    try:
        yield gate, urlunsplit(address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{gate.port}"))
    finally:
        await gate.shut()


# Servers


class Server:
    """An embedded server, to be killed and started again on the same data and ports."""

    def __init__(self, name: str, data: Path, prepare: Callable[[], Awaitable[Command]], ready: Callable[[], Awaitable[bool]]) -> None:
        self._name = name
        self._log = data / f"{name}.log"
        self._prepare = prepare
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Return once it serves."""
        if self._process is None:
            self._process = _spawned(await self._prepare(), self._log)
        await eventually(self._ready, f"{self._name} ({self._log})", 90)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _spawned(command: Command, log: Path) -> subprocess.Popen[bytes]:
    user = command.user
    privileges: dict[str, Any] = {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    with log.open("ab") as output:
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=dict(command.env),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_tether(command.orphaned),  # noqa: PLW1509 - it only asks the kernel to end it with us
            **privileges,
        )


class Servers:
    """A real Kafka and PostgreSQL in a data folder."""

    def __init__(self, data: Path) -> None:
        ports = free_plan()
        self._data = data
        self._kafka = kafka.KafkaPlan(data / "kafka", ports.kafka, ports.controller, cache(), secrets.token_urlsafe(24))
        self._postgres = postgres.PostgresPlan(data / "postgres", ports.database)
        self.kafka = self._kafka.address
        self.broker = Server("kafka", data, lambda: kafka.prepare(self._kafka, self._run), lambda: kafka.ready(self._kafka))
        self.postgres = Server("postgres", data, lambda: postgres.prepare(self._postgres, self._run), lambda: postgres.ready(self._postgres))

    async def start(self) -> None:
        """Return once both serve, PostgreSQL with our role."""
        if jars.missing(self._kafka.cache):
            await self._run(kafka.fetch_command(self._kafka.cache))
        await asyncio.gather(self.broker.start(), self.postgres.start())
        await postgres.make_database(self._postgres)

    def kill(self) -> None:
        """End both; their data are thrown away."""
        self.broker.kill()
        self.postgres.kill()

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Yield the address of a new, empty database; it goes at the end, with whoever is connected."""
        name = f"test_{secrets.token_hex(6)}"
        owned = urlsplit(postgres.dsn(self._postgres))
        password = postgres.passwords(self._postgres.folder)["postgres"]
        administrator = urlunsplit(owned._replace(netloc=f"postgres:{password}@{owned.hostname}:{owned.port}", path="/postgres"))
        with psycopg.connect(administrator, autocommit=True) as connection:
            connection.execute(f"create database {name} owner {owned.username}".encode())
            try:
                yield urlunsplit(owned._replace(path=f"/{name}"))
            finally:
                connection.execute(f"drop database {name} with (force)".encode())

    async def _run(self, command: Command) -> None:
        await run_logged(command, self._data / f"{command.name}.log")


# Topics


async def make_topic(bootstrap: str, name: str, partitions: int = 1, **settings: str) -> None:
    """Make a topic and wait until it can be written to."""
    admin = AIOKafkaAdminClient(**brokers.clients(bootstrap))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])

        async def has_leaders() -> bool:
            (told,) = await admin.describe_topics([name])
            return not told["error_code"] and all(partition["leader"] >= 0 for partition in told["partitions"])

        await eventually(has_leaders, f"topic {name}")
    finally:
        await admin.close()


async def delete_topics(bootstrap: str, *names: str) -> None:
    """Delete topics and wait until they are gone."""
    admin = AIOKafkaAdminClient(**brokers.clients(bootstrap))
    await admin.start()
    try:
        await admin.delete_topics(list(names))

        async def are_gone() -> bool:
            return all(told["error_code"] for told in await admin.describe_topics(list(names)))

        await eventually(are_gone, f"topics {names} to go")
    finally:
        await admin.close()


class Tape:
    """What is written to a topic from here on."""

    def __init__(self, bootstrap: str, topic: str, starts: Mapping[TopicPartition, int]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._starts = starts

    @classmethod
    async def of(cls, bootstrap: str, topic: str, *, from_the_start: bool = False) -> Tape:
        """Begin at the topic's present end, or at its start."""
        async with _reading(bootstrap) as consumer:
            tps = await _partitions(consumer, topic)
            starts = await (consumer.beginning_offsets if from_the_start else consumer.end_offsets)(tps)
        return cls(bootstrap, topic, starts)

    async def records(self) -> list[ConsumerRecord]:
        """Return all of it up to now, partition by partition in order."""
        found: list[ConsumerRecord] = []
        async with _reading(self._bootstrap) as consumer:
            consumer.assign(list(self._starts))
            ends = await consumer.end_offsets(list(self._starts))
            for tp, start in self._starts.items():
                consumer.seek(tp, start)
            while [tp for tp in ends if await consumer.position(tp) < ends[tp]]:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))

    async def until(self, enough: Callable[[list[ConsumerRecord]], object], what: str, seconds: float = WAIT_S) -> list[ConsumerRecord]:
        """Return all of it once it is enough."""
        found: list[ConsumerRecord] = []

        async def complete() -> bool:
            found[:] = await self.records()
            return bool(enough(found))

        await eventually(complete, what, seconds)
        return found


@contextlib.asynccontextmanager
async def _reading(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**brokers.clients(bootstrap), auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=50)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await consumer._client.add_topic(topic)

    async def known() -> set[int] | None:
        partitions: set[int] | None = consumer.partitions_for_topic(topic)
        return partitions

    return [TopicPartition(topic, partition) for partition in sorted(await eventually(known, f"partitions of {topic}") or set())]


# Services


class Service:
    """One service as a process of its own, as `up` starts it."""

    def __init__(self, room: str, folder: Path, environment: Mapping[str, str], ports: PortPlan | None = None, module: str | None = None) -> None:
        """`environment` gives what differs from a service of that room on free ports in the city of Lanzhou; `module` what runs instead of it."""
        self.room = room
        self.ports = ports or free_plan()
        self._log = folder / f"{room}-{self.ports.base}.log"
        told = {
            "TONGGUAN_CITY": str(ROOT / "cities" / "620100"),
            f"TONGGUAN_{room.upper()}__PORT": str(getattr(self.ports, room, 0)),
            f"TONGGUAN_{room.upper()}__ADMIN_PORT": str(self.ports.admin(room)),
            **environment,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TONGGUAN_")}
        argv = (sys.executable, "-P", "-m", module or MODULES[room])
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(argv, cwd=folder, env={**inherited, **told}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def url(self) -> str:
        """Of its public port."""
        return f"http://127.0.0.1:{getattr(self.ports, self.room)}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.admin(self.room)}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the lines of its log, or those of one event."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if name in (None, line["event"])]

    def problems(self, page: str = "/readyz") -> list[str] | None:
        """Return what a health page says is wrong; None when there is no answer."""
        try:
            answer = httpx.get(self.admin_url + page, timeout=5)
        except httpx.TransportError:
            return None
        problems: list[str] = answer.json()["problems"]
        assert answer.status_code == (503 if problems else 200)
        return problems

    async def ready(self, seconds: float = 60) -> None:
        """Return once it says that it is ready."""
        deadline = time.monotonic() + seconds
        while (problems := await asyncio.to_thread(self.problems)) != []:
            assert self.process.poll() is None, f"{self.room} ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"{self.room} is not ready: {problems}\n{self.log}"
            await asyncio.sleep(0.05)

    def metric(self, line: str) -> float:
        """Return the value of one line of its metrics, 0 when there is none."""
        for found in httpx.get(self.admin_url + "/metrics").text.splitlines():
            name, _, value = found.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0

    def stop(self) -> int:
        """Ask it to end, as the supervisor does; returns the exit code, -9 when it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
