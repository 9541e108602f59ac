"""Rules' worker as a process has it, driven by hand; and what it leaves in the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry

from schemas import wire
from services.kit import database
from services.kit.clock import Clock, SystemClock
from services.kit.health import Health
from services.kit.outbox import Relay
from services.kit.producer import Producer
from services.kit.topics import OBSERVATIONS
from services.rules.consumer import RulesWorker
from services.rules.snapshots import Snapshots
from services.rules.store import Store
from tests.integration.parts import eventually
from tests.integration.rooms import partition_for
from tests.unit.rules.histories import HERE, START

TP = TopicPartition(OBSERVATIONS, partition_for(HERE))
OTHER = TopicPartition(OBSERVATIONS, (TP.partition + 1) % 24)
TABLES = "rules.partitions, rules.outbox, rules.snapshots, rules.pages, rules.warnings"
NEVER = 1e9

StoreOf = Callable[[database.Pool, Clock], Store]


class Workers:
    """Makes workers as processes have them, each with a registry of its own."""

    def __init__(self, pool: asyncpg.Pool, producer: Producer, tasks: asyncio.TaskGroup) -> None:
        self._pool = pool
        self._producer = producer
        self._tasks = tasks
        self._running: list[asyncio.Task[None]] = []
        self.registry = CollectorRegistry()

    def new(self, snapshot_s: float = NEVER, store: StoreOf = Store) -> RulesWorker:
        self.registry = CollectorRegistry()
        clock = SystemClock()
        check = Health(clock).check("commits", max_age=1e9)
        relay = Relay(self._pool, self._producer, "rules", check, self.registry)
        opened = store(self._pool, clock)
        snapshots = Snapshots(opened, clock, check, self.registry, snapshot_s)
        self._running.append(self._tasks.create_task(snapshots.run()))
        return RulesWorker(opened, snapshots, relay, clock, check, self.registry)

    def metric(self, name: str, **labels: str) -> float:
        """Return a figure of the newest worker's."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        for task in self._running:
            task.cancel()

    async def written(self, worker: RulesWorker, next_offset: int, tp: TopicPartition = TP) -> None:
        """Turn a worker until it has a complete snapshot of an offset."""

        async def complete() -> bool:
            await worker.work({})
            return next_offset in await snapshots(self._pool, tp)

        await eventually(complete, f"a snapshot at {next_offset}")


@contextlib.asynccontextmanager
async def workers_of(pool: asyncpg.Pool, producer: Producer) -> AsyncIterator[Workers]:
    await pool.execute(f"truncate {TABLES}")
    async with asyncio.TaskGroup() as tasks:
        made = Workers(pool, producer, tasks)
        try:
            yield made
        finally:
            made.stop()


def batch(records: Sequence[wire.Record | bytes | None], first: int = 0, tp: TopicPartition = TP) -> dict[TopicPartition, list[ConsumerRecord]]:
    """Return a poll, its records produced when what they tell of was."""
    values = [(_produced_ms(record), wire.encode(record) if isinstance(record, wire.Record) else record) for record in records]
    return {
        tp: [ConsumerRecord(tp.topic, tp.partition, first + at, ms, 0, None, value, None, 0, 0, ()) for at, (ms, value) in enumerate(values)],
    }


def _produced_ms(record: wire.Record | bytes | None) -> int:
    match record:
        case wire.Observation():
            return record.received // 1000
        case wire.Tick():
            return record.time // 1000
        case _:
            return START // 1000


async def told(pool: asyncpg.Pool) -> list[tuple[int, str]]:
    """Return (rev, change) of all that is kept, by event time."""
    rows = await pool.fetch("select rev, body->>'change' as change from rules.warnings order by body->>'changed_at', rev")
    return [(row["rev"], row["change"]) for row in rows]


async def kept(pool: asyncpg.Pool) -> dict[tuple[str, int], str]:
    """Return the JSON of all that is kept."""
    return {(str(row["id"]), row["rev"]): row["body"] for row in await pool.fetch("select id, rev, body from rules.warnings")}


async def posted(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    rows: list[Any] = await pool.fetch("select topic, key, partition, headers, value from rules.outbox order by seq")
    return rows


async def position(pool: asyncpg.Pool | asyncpg.Connection, tp: TopicPartition = TP) -> int:
    at: int = await pool.fetchval("select next_offset from rules.partitions where topic = $1 and partition = $2", tp.topic, tp.partition)
    return at


async def snapshots(pool: asyncpg.Pool, tp: TopicPartition = TP) -> list[int]:
    """Return the offsets of the snapshots that count, the oldest first."""
    rows = await pool.fetch(
        "select next_offset from rules.snapshots where topic = $1 and partition = $2 and complete order by snapshot", tp.topic, tp.partition
    )
    return [row["next_offset"] for row in rows]
