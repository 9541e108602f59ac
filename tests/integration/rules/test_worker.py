"""Rules' worker and store on the real PostgreSQL: what a poll commits, who may, and what a successor finds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry

from schemas import wire
from services.kit.clock import SystemClock
from services.kit.errors import Fenced
from services.kit.health import Health
from services.kit.outbox import Relay
from services.kit.producer import Producer
from services.kit.topics import OBSERVATIONS
from services.rules.consumer import RulesWorker
from services.rules.domain.state import VERSION
from services.rules.store import Store
from tests.integration.parts import eventually
from tests.unit.rules.histories import activation, reading, rule, sensor, tick, way

TP, OTHER = TopicPartition(OBSERVATIONS, 3), TopicPartition(OBSERVATIONS, 4)
START: list[Any] = [sensor(), activation(rule({"yellow": (way(80), way(70)), "red": (way(90), way(85))}))]


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    await pool.execute("truncate rules.partitions, rules.outbox, rules.snapshots, rules.warnings")


class Workers:
    """Makes workers as processes have them, each with a registry of its own."""

    def __init__(self, pool: asyncpg.Pool, producer: Producer) -> None:
        self._pool = pool
        self._producer = producer
        self.registry = CollectorRegistry()

    def new(self, snapshot_s: float = 1e9) -> RulesWorker:
        self.registry = CollectorRegistry()
        clock = SystemClock()
        check = Health(clock).check("commits", max_age=1e9)
        relay = Relay(self._pool, self._producer, "rules", check, self.registry)
        return RulesWorker(Store(self._pool, clock), relay, clock, check, self.registry, snapshot_s)

    def count(self, reason: str) -> float:
        """Return how many records the newest worker has counted under a reason."""
        return self.registry.get_sample_value("tongguan_rules_records_total", {"reason": reason}) or 0.0


@pytest.fixture
def workers(pool: asyncpg.Pool, producer: Producer) -> Workers:
    return Workers(pool, producer)


def batch(records: Sequence[wire.Record | bytes | None], first: int = 0, tp: TopicPartition = TP) -> dict[TopicPartition, list[ConsumerRecord]]:
    """Return a poll."""
    values = [wire.encode(record) if isinstance(record, wire.Record) else record for record in records]
    return {
        tp: [ConsumerRecord(tp.topic, tp.partition, first + at, 0, 0, None, value, None, 0, 0, ()) for at, value in enumerate(values)],
    }


async def told(pool: asyncpg.Pool) -> list[tuple[int, str]]:
    """Return (rev, change) of all that is kept, by event time."""
    rows = await pool.fetch("select rev, body->>'change' as change from rules.warnings order by body->>'changed_at', rev")
    return [(row["rev"], row["change"]) for row in rows]


async def posted(pool: asyncpg.Pool) -> int:
    count: int = await pool.fetchval("select count(*) from rules.outbox")
    return count


async def position(pool: asyncpg.Pool) -> int:
    at: int = await pool.fetchval("select next_offset from rules.partitions where partition = 3")
    return at


async def test_a_poll_with_effects_moves_the_offset_and_one_without_does_not(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new()
    assert await worker.assign([TP]) == {TP: 0}
    assert await worker.work(batch([*START, reading(1, flow=10)])) == {}
    assert (await position(pool), await told(pool)) == (0, [])
    assert await worker.work(batch([reading(2, flow=81), tick(2)], 3)) == {TP: wire.from_micros(tick(2).time)}
    assert (await position(pool), await told(pool), await posted(pool)) == (5, [(1, "opened")], 1)
    assert await worker.work({}) == {}


async def test_what_is_computed_again_is_kept_and_posted_once(pool: asyncpg.Pool, workers: Workers):
    log = [*START, reading(1, flow=81), reading(2, flow=91), reading(3, flow=10), reading(4, flow=81)]
    for upto in (4, 3, 6, 6):
        worker = workers.new()
        assert await worker.assign([TP]) == {TP: 0}
        await worker.work(batch(log[:upto]))
    assert await told(pool) == [(1, "opened"), (2, "raised"), (3, "recovered"), (1, "opened")]
    assert await posted(pool) == 4
    assert await position(pool) == 6


async def test_an_owner_of_an_older_epoch_is_fenced_and_changes_nothing(pool: asyncpg.Pool, workers: Workers):
    old, new = workers.new(snapshot_s=0), workers.new()
    await old.assign([TP, OTHER])
    await old.work(batch(START))
    before = await pool.fetch("select * from rules.snapshots"), await position(pool)
    await new.assign([TP])
    with pytest.raises(Fenced):
        await old.work(batch([reading(1, flow=95)], 2))
    with pytest.raises(Fenced):  # without a warning there is a snapshot to write
        await old.work(batch([reading(2, flow=95)], 3))
    assert (await pool.fetch("select * from rules.snapshots"), await position(pool)) == before
    assert (await told(pool), await posted(pool)) == ([], 0)
    await new.work(batch([reading(1, flow=95)], 2))
    assert await told(pool) == [(1, "opened")]


async def test_a_poll_of_which_one_partition_is_lost_commits_nothing_of_the_others(pool: asyncpg.Pool, workers: Workers):
    old, new = workers.new(), workers.new()
    await old.assign([TP, OTHER])
    await new.assign([OTHER])
    with pytest.raises(Fenced):
        await old.work(batch([*START, reading(1, flow=95)]) | batch([tick(1)], tp=OTHER))
    assert (await told(pool), await posted(pool), await position(pool)) == ([], 0, 0)


async def test_records_of_a_partition_that_is_not_ours_are_refused(workers: Workers):
    worker = workers.new()
    await worker.assign([OTHER])
    with pytest.raises(Fenced):
        await worker.work(batch(START))


async def test_a_successor_goes_on_from_the_newest_snapshot(pool: asyncpg.Pool, workers: Workers):
    log = [*START, reading(1, flow=81), tick(1), reading(2, flow=95), tick(2), reading(3, flow=10)]
    worker = workers.new(snapshot_s=0)
    await worker.assign([TP])
    for at in range(0, 6, 2):
        await worker.work(batch(log[at : at + 2], at))
    slots = await pool.fetch("select slot, next_offset from rules.snapshots where partition = 3 order by next_offset")
    assert [row["next_offset"] for row in slots] == [4, 6]
    successor = workers.new()
    assert await successor.assign([TP]) == {TP: 6}
    await successor.work(batch(log[6:], 6))
    assert await told(pool) == [(1, "opened"), (2, "raised"), (3, "recovered")]


async def test_no_snapshot_stands_for_what_is_not_committed(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(snapshot_s=0)
    await worker.assign([TP])
    await worker.work(batch(START))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table rules.warnings in exclusive mode")
        working = asyncio.create_task(worker.work(batch([reading(1, flow=95)], 2)))

        async def waits() -> bool:
            return bool(await pool.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"))

        await eventually(waits, "the commit to wait")
        working.cancel()  # as kill -9 in the middle of a commit
        await asyncio.wait([working])
    successor = workers.new()
    assert await successor.assign([TP]) == {TP: 2}
    await successor.work(batch([reading(1, flow=95)], 2))
    assert await told(pool) == [(1, "opened")]


@pytest.mark.parametrize("spoil", ["update rules.snapshots set version = version + 1", "update rules.snapshots set topic_epoch = gen_random_uuid()"])
async def test_a_snapshot_of_another_version_or_of_a_topic_made_anew_is_not_used(pool: asyncpg.Pool, workers: Workers, spoil: str):
    worker = workers.new(snapshot_s=0)
    await worker.assign([TP])
    await worker.work(batch([*START, reading(1, flow=81)]))
    await pool.execute(spoil)
    assert await workers.new().assign([TP]) == {TP: 0}


async def test_a_usable_snapshot_is_found_behind_one_of_a_topic_made_anew(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(snapshot_s=0)
    await worker.assign([TP])
    await worker.work(batch([*START, reading(1, flow=81)]))
    await worker.work(batch([reading(2, flow=81)], 3))
    await pool.execute("update rules.snapshots set topic_epoch = gen_random_uuid(), next_offset = 900 where next_offset = 4")
    assert await workers.new().assign([TP]) == {TP: 3}
    assert await pool.fetchval("select max(version) from rules.snapshots") == VERSION


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\xc1 no message", "undecodable"),
        (b"", "undecodable"),
        (None, "undecodable"),
        (wire.Sensor("s1", 2, "990100001", b"{}"), "bad_control"),
        (wire.Activation("r1", 2, b"{}"), "bad_control"),
        (reading(2, flow=float("nan")), "failed"),
    ],
)
async def test_a_record_that_only_a_fault_of_ours_could_write_harms_no_other(pool: asyncpg.Pool, workers: Workers, record: Any, reason: str):
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch([*START, record, reading(3, flow=10), reading(4, flow=91), reading(5, flow=1)]))
    assert await told(pool) == [(1, "opened"), (2, "recovered")]
    assert workers.count(reason) == 1
