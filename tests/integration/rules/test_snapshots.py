"""State by pages in the real PostgreSQL: what a successor finds, however the writing was broken off, and what it does without any."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from schemas import wire
from services.kit import partitions
from services.rules.domain.state import VERSION
from services.rules.domain.step import Partition
from services.rules.store import Page, Store
from tests.integration.parts import eventually
from tests.integration.rules.workers import TP, Workers, batch, kept, position, posted, snapshots
from tests.unit.rules.histories import HERE, THERE, activation, reading, rule, sensor, tick, way

OFTEN = 1e-6
RULE = rule({"yellow": (way(80), way(70)), "red": (way(90, 2), way(85))})
SENSORS = [f"s{at}" for at in range(40)]
START: list[Any] = [*(sensor(one) for one in SENSORS), activation(RULE)]
BEGUN = len(START)


def round_of(second: int) -> list[wire.Record]:
    """Return readings of some sensors, so that not all pages change, and a tick."""
    return [
        *(reading(second, sensor=one, flow=95 if (second + at) % 3 else 10) for at, one in enumerate(SENSORS) if at % 4 == second % 4),
        tick(second),
    ]


ROUND = len(round_of(1))


def log(rounds: int) -> list[wire.Record]:
    return [*START, *(record for second in range(1, rounds + 1) for record in round_of(second))]


def undisturbed(records: Sequence[wire.Record]) -> list[bytes]:
    """Return what one partition tells that nothing happens to."""
    partition = Partition()
    return [one.json() for record in records for one in partition.step(wire.decode(wire.encode(record)))[1]]


async def tell(pool: asyncpg.Pool) -> list[bytes]:
    return [row["value"] for row in await posted(pool)]


async def test_a_successor_goes_on_from_the_newest_snapshot(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(OFTEN)
    await worker.assign([TP])
    await worker.work(batch(START))
    for second in range(1, 7):
        await workers.written(worker, BEGUN + (second - 1) * ROUND)
        await worker.work(batch(round_of(second), BEGUN + (second - 1) * ROUND))
    assert workers.metric("tongguan_rules_snapshot_pages_total") > len(SENSORS) / 2
    ends = BEGUN + 5 * ROUND
    assert (await snapshots(pool))[0] in {ends - ROUND, ends}
    successor = workers.new()
    position = (await successor.assign([TP]))[TP]
    assert position in {ends, ends + ROUND}, "the newest that was whole by then"
    await successor.work(batch((round_of(6) if position == ends else []) + round_of(7), position))
    assert await tell(pool) == undisturbed(log(7))


async def test_two_snapshots_are_kept_and_no_page_that_neither_needs(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(OFTEN)
    await worker.assign([TP])
    await worker.work(batch(START))
    for second in range(1, 9):
        await worker.work(batch(round_of(second), BEGUN + (second - 1) * ROUND))
        await workers.written(worker, BEGUN + second * ROUND)
    assert len(await pool.fetch("select from rules.snapshots")) == 2
    newest, older = await pool.fetch("select snapshot from rules.snapshots order by snapshot desc")
    needless = await pool.fetchval(
        "select count(*) from rules.pages g"
        " where exists (select from rules.pages n where n.page = g.page and n.snapshot > g.snapshot and n.snapshot <= $1)",
        older["snapshot"],
    )
    assert needless == 0
    assert await pool.fetchval("select count(*) from rules.pages where snapshot = $1", newest["snapshot"]) < len(SENSORS) / 2


async def test_the_older_snapshot_serves_where_the_newest_cannot_be_read(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(OFTEN)
    await worker.assign([TP])
    await worker.work(batch(START))
    for second in range(1, 3):
        await worker.work(batch(round_of(second), BEGUN + (second - 1) * ROUND))
        await workers.written(worker, BEGUN + second * ROUND)
    await pool.execute("update rules.pages set body = '\\xc1' where page = 0 and snapshot = (select max(snapshot) from rules.snapshots)")
    successor = workers.new(OFTEN)
    assert await successor.assign([TP]) == {TP: BEGUN + ROUND}
    # What could not be read must not come back in a page that the successor does not write again.
    await successor.work(batch(round_of(2) + round_of(3), BEGUN + ROUND))
    await workers.written(successor, BEGUN + 3 * ROUND)
    last = workers.new()
    assert await last.assign([TP]) == {TP: BEGUN + 3 * ROUND}
    await last.work(batch(round_of(4), BEGUN + 3 * ROUND))
    assert await tell(pool) == undisturbed(log(4))


class Dies(Exception):
    """As kill -9, as far as a worker can tell."""


class Interrupted(Store):
    """Dies in the middle of its second snapshot: before a write, after it, or before the snapshot counts."""

    at = ""

    async def begin(self, tp: TopicPartition, claim: partitions.Claim, next_offset: int) -> int:
        number = await super().begin(tp, claim, next_offset)
        await self._dies("begun", number)
        return number

    async def write(self, tp: TopicPartition, claim: partitions.Claim, snapshot: int, pages: Sequence[Page]) -> None:
        if snapshot == 2 and self.at == "half":
            pages = pages[: len(pages) // 2]
        await super().write(tp, claim, snapshot, pages)
        await self._dies("half", snapshot)
        await self._dies("written", snapshot)

    async def finish(self, tp: TopicPartition, claim: partitions.Claim, snapshot: int, next_offset: int) -> None:
        await self._dies("unfinished", snapshot)
        await super().finish(tp, claim, snapshot, next_offset)

    async def _dies(self, at: str, snapshot: int) -> None:
        if snapshot == 2 and self.at == at:
            self.died = True
            await asyncio.Event().wait()

    died = False


@pytest.mark.parametrize("at", ["begun", "half", "written", "unfinished"])
async def test_of_a_snapshot_that_was_not_finished_nothing_is_ever_read(pool: asyncpg.Pool, workers: Workers, at: str):
    stores: list[Interrupted] = []

    def interrupted(*parts: Any) -> Interrupted:
        stores.append(Interrupted(*parts))
        stores[0].at = at
        return stores[0]

    worker = workers.new(OFTEN, interrupted)
    await worker.assign([TP])
    await worker.work(batch(START))
    await workers.written(worker, BEGUN)
    await worker.work(batch(round_of(1), BEGUN))

    async def died() -> bool:
        await worker.work({})
        return stores[0].died

    await eventually(died, f"the writer to die when {at}")
    await worker.work(batch(round_of(2), BEGUN + ROUND))
    second = workers.new(OFTEN)
    assert await second.assign([TP]) == {TP: BEGUN}
    assert await pool.fetchval("select count(*) from rules.pages where snapshot > 1") == 0
    await second.work(batch([*round_of(1), *round_of(2), *round_of(3)], BEGUN))
    await workers.written(second, BEGUN + 3 * ROUND)
    third = workers.new()
    assert await third.assign([TP]) == {TP: BEGUN + 3 * ROUND}
    await third.work(batch(round_of(4), BEGUN + 3 * ROUND))
    assert await tell(pool) == undisturbed(log(4))


async def test_stepping_goes_on_while_the_writer_waits(pool: asyncpg.Pool, workers: Workers):
    """A lock holds the writer up as a slow disk would; what is stepped meanwhile changes nothing in the snapshot."""
    worker = workers.new(OFTEN)
    await worker.assign([TP])
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table rules.pages in exclusive mode")
        await worker.work(batch(START))
        for second in range(1, 6):
            await worker.work(batch(round_of(second), BEGUN + (second - 1) * ROUND))
        assert await tell(pool) == undisturbed(log(5))
        assert await snapshots(pool) == []
    await workers.written(worker, BEGUN)
    successor = workers.new()
    at = (await snapshots(pool))[-1]
    assert await successor.assign([TP]) == {TP: at}
    await successor.work(batch(log(6)[at:], at))
    assert await tell(pool) == undisturbed(log(6))


async def test_no_snapshot_stands_for_what_is_not_committed(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(OFTEN)
    await worker.assign([TP])
    await worker.work(batch(START))
    await workers.written(worker, BEGUN)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table rules.warnings in exclusive mode")
        working = asyncio.create_task(worker.work(batch(round_of(1), BEGUN)))

        async def waits() -> bool:
            return bool(await pool.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"))

        await eventually(waits, "the commit to wait")
        working.cancel()  # as kill -9 in the middle of a commit
        await asyncio.wait([working])
    successor = workers.new()
    assert await successor.assign([TP]) == {TP: BEGUN}
    await successor.work(batch(round_of(1), BEGUN))
    assert await tell(pool) == undisturbed(log(1))


@pytest.mark.parametrize("spoil", ["version = version + 1", "topic_epoch = gen_random_uuid()", "complete = false"])
async def test_a_snapshot_of_another_version_or_topic_or_an_unfinished_one_is_not_used(pool: asyncpg.Pool, workers: Workers, spoil: str):
    worker = workers.new(OFTEN)
    await worker.assign([TP])
    await worker.work(batch(log(1)))
    await workers.written(worker, BEGUN + ROUND)
    await pool.execute(f"update rules.snapshots set {spoil}")
    successor = workers.new(OFTEN)
    assert await successor.assign([TP]) == {TP: 0}
    assert await pool.fetchval("select count(*) from rules.pages") == 0
    await successor.work(batch(log(2)))
    await workers.written(successor, BEGUN + 2 * ROUND)
    assert await pool.fetchval("select max(version) from rules.snapshots") == VERSION
    assert await tell(pool) == undisturbed(log(2))


# Without a snapshot.


async def test_the_log_alone_rebuilds_it_and_tells_nothing_twice(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch(log(5)))
    before = await tell(pool)
    successor = workers.new()
    assert await successor.assign([TP]) == {TP: 0}
    await successor.work(batch(log(3)))
    await successor.work(batch(log(6)[BEGUN + 3 * ROUND :], BEGUN + 3 * ROUND))
    assert (await tell(pool))[: len(before)] == before
    assert await tell(pool) == undisturbed(log(6))


async def test_what_was_told_as_open_is_taken_over_where_the_log_no_longer_has_its_beginning(pool: asyncpg.Pool, workers: Workers):
    """Retention took the first records; ingest's daily records of sensors and rules came after."""
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch([*START, reading(1, sensor="s1", flow=81), reading(1, sensor="s2", flow=81), tick(2)]))
    opened = {json.loads(body)["subject"]: key for key, body in (await kept(pool)).items()}
    rest = BEGUN + 3
    successor = workers.new()
    await successor.assign([TP])
    await successor.work(batch([*START, reading(8, sensor="s1", flow=95), reading(9, sensor="s1", flow=95), reading(9, sensor="s2", flow=10)], rest))
    revisions = {key: json.loads(body) for key, body in (await kept(pool)).items()}
    assert {(key, one["change"]) for key, one in revisions.items() if key[1] == 2} == {
        ((opened["s1/flow"][0], 2), "raised"),
        ((opened["s2/flow"][0], 2), "recovered"),
    }
    assert len(revisions) == 4


async def test_open_episodes_of_other_partitions_are_not_taken_over(pool: asyncpg.Pool, workers: Workers):
    elsewhere = TopicPartition(TP.topic, next(at for at in range(24) if at != TP.partition))
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch([*START, reading(1, sensor="s1", flow=81)]))
    store = Store(pool, None)  # type: ignore[arg-type]  # it reads no clock here
    taken = await store.take([TP, elsewhere])
    (warning,) = await kept(pool)
    assert {tp: {str(each.warning.id) for each in one.told_open or ()} for tp, one in taken.items()} == {TP: {warning[0]}, elsewhere: set()}
    assert THERE != HERE


async def test_what_a_rebuild_decides_otherwise_is_told_at_the_committed_offset(pool: asyncpg.Pool, workers: Workers):
    """As after an upgrade whose engine sees the same log in another way: nothing stays open for ever, nothing open stays untold."""
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch([*START, reading(1, sensor="s1", flow=81), tick(2), tick(3), tick(4)]))
    ((opened, _),) = await kept(pool)
    await pool.execute("update rules.warnings set version = version - 1")
    await pool.execute("update rules.partitions set next_offset = $1", BEGUN + 4)
    other = [*START, reading(1, sensor="s2", flow=81), reading(2, sensor="s1", flow=81), reading(3, sensor="s1", flow=10), tick(4)]
    successor = workers.new()
    await successor.assign([TP])
    await successor.work(batch(other[: BEGUN + 3]))
    assert len(await kept(pool)) == 1
    await successor.work(batch([other[BEGUN + 3], tick(5)], BEGUN + 3))
    assert len(await kept(pool)) == 3
    revisions = [json.loads(body) for body in (await kept(pool)).values()]
    assert sorted((one["subject"], one["rev"], one["change"]) for one in revisions) == [
        ("s1/flow", 1, "opened"),
        ("s1/flow", 2, "recovered"),
        ("s2/flow", 1, "opened"),
    ]
    assert {one["id"] for one in revisions if one["subject"] == "s1/flow"} == {opened}
    assert await position(pool) == BEGUN + 5
