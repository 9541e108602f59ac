"""Rules' worker and store on the real PostgreSQL: what a poll commits, who may, and what is given out again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from schemas import wire
from schemas.envelope import EventType, to_headers
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.kit.errors import Fenced
from services.kit.partitions import claim
from services.kit.topics import DERIVED, WARNINGS
from services.rules.domain.revision import Forward
from services.rules.store import ROOM, SOURCE, Store
from tests.integration.parts import eventually
from tests.integration.rules.workers import OTHER, TP, Workers, batch, kept, position, posted, snapshots, told
from tests.unit.rules.histories import HERE, activation, reading, rule, sensor, tick, way

START: list[Any] = [sensor(), activation(rule({"yellow": (way(80), way(70)), "red": (way(90), way(85))}))]


async def test_a_poll_with_effects_moves_the_offset_and_one_without_does_not(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new()
    assert await worker.assign([TP]) == {TP: 0}
    assert await worker.work(batch([*START, reading(1, flow=10)])) == {}
    assert (await position(pool), await told(pool)) == (0, [])
    assert await worker.work(batch([reading(2, flow=81), tick(2)], 3)) == {TP: wire.from_micros(tick(2).time)}
    assert (await position(pool), await told(pool), len(await posted(pool))) == (5, [(1, "opened")], 1)
    assert await worker.work({}) == {}


async def test_what_is_posted_is_the_contract_s_warning_with_its_headers(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch([*START, reading(1, flow=81), reading(2, flow=91), reading(3, flow=10)]))
    rows = await posted(pool)
    warnings = [Warning.model_validate_json(row["value"]) for row in rows]
    assert [(one.rev, one.change, one.tier) for one in warnings] == [(1, "opened", "yellow"), (2, "raised", "red"), (3, "recovered", "red")]
    for row, one in zip(rows, warnings, strict=True):
        assert (row["topic"], row["key"], row["partition"]) == (WARNINGS, one.subject.encode(), None)
        headers = to_headers(id=f"{one.id}:{one.rev}", type=EventType.WARNING, source=SOURCE, subject=one.subject, time=one.changed_at)
        found = dict(json.loads(row["headers"]))
        assert found.pop("ce_time").replace("Z", "+00:00") == one.changed_at.isoformat()
        assert found == {key: value.decode() for key, value in headers if key != "ce_time"}
        assert json.loads((await kept(pool))[str(one.id), one.rev]) == json.loads(row["value"])
    assert await pool.fetch("select rev from rules.warnings where open and street = $1 order by rev", HERE) == [(1,), (2,)]


async def test_records_for_regions_are_posted_by_key_or_partition(pool: asyncpg.Pool):
    first, second = tick(1), reading(1, flow=1)
    store = Store(pool, None)  # type: ignore[arg-type]  # it reads no clock here
    async with pool.acquire() as connection:
        claims = await claim(connection, ROOM, [TP])
    await pool.execute("truncate rules.outbox")
    assert await store.commit(claims, {TP: 1}, [], [Forward(second, region="990100"), Forward(first, partition=7)]) == 0
    rows = await posted(pool)
    assert [(row["topic"], row["key"], row["partition"], row["headers"]) for row in rows] == [
        (DERIVED, b"990100", None, "[]"),
        (DERIVED, None, 7, "[]"),
    ]
    assert [wire.decode(row["value"]) for row in rows] == [second, first]


async def test_what_is_computed_again_is_kept_and_posted_once(pool: asyncpg.Pool, workers: Workers):
    log = [*START, reading(1, flow=81), reading(2, flow=91), reading(3, flow=10), reading(4, flow=81)]
    for upto in (4, 3, 6, 6):
        worker = workers.new()
        assert await worker.assign([TP]) == {TP: 0}
        await worker.work(batch(log[:upto]))
    assert await told(pool) == [(1, "opened"), (2, "raised"), (3, "recovered"), (1, "opened")]
    assert len(await posted(pool)) == 4
    assert await position(pool) == 6


async def test_outputs_of_records_below_the_committed_offset_are_not_given_out_again(pool: asyncpg.Pool, workers: Workers):
    """Not even where nothing else would fence them, as for what goes to regions."""
    log = [*START, reading(1, flow=81), reading(2, flow=10), reading(3, flow=81)]
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch(log[:4]))
    await pool.execute("truncate rules.warnings, rules.outbox")
    successor = workers.new()
    await successor.assign([TP])
    await successor.work(batch(log))
    assert await told(pool) == [(1, "opened")]
    (row,) = await posted(pool)
    assert json.loads(row["value"])["changed_at"].startswith(wire.from_micros(log[4].end).isoformat()[:19])


async def test_an_owner_of_an_older_epoch_is_fenced_and_changes_nothing(pool: asyncpg.Pool, workers: Workers):
    new = workers.new()
    old = workers.new(snapshot_s=1e-6)
    await old.assign([TP, OTHER])
    await old.work(batch(START))
    await workers.written(old, 2)
    before = await pool.fetch("select * from rules.pages order by 1, 2, 3, 4"), await position(pool)
    await new.assign([TP])
    with pytest.raises(Fenced):
        await old.work(batch([reading(1, flow=95)], 2))
    assert workers.metric("tongguan_rules_refused_commits_total") == 1
    with pytest.raises(Fenced):  # its state is dropped
        await old.work(batch([reading(2, flow=95)], 3))
    assert (await pool.fetch("select * from rules.pages order by 1, 2, 3, 4"), await position(pool)) == before
    assert (await told(pool), await posted(pool)) == ([], [])
    await new.work(batch([reading(1, flow=95)], 2))
    assert await told(pool) == [(1, "opened")]


async def test_an_owner_of_an_older_epoch_writes_no_snapshot(pool: asyncpg.Pool, workers: Workers):
    new = workers.new()
    old = workers.new(snapshot_s=1e-6)
    await old.assign([TP])
    await new.assign([TP])
    await old.work(batch(START))
    with pytest.raises(Fenced):
        await workers.written(old, 2)
    assert await snapshots(pool) == []
    assert await pool.fetchval("select count(*) from rules.pages") == 0


async def test_a_poll_of_which_one_partition_is_lost_commits_nothing_of_the_others(pool: asyncpg.Pool, workers: Workers):
    old, new = workers.new(), workers.new()
    await old.assign([TP, OTHER])
    await new.assign([OTHER])
    with pytest.raises(Fenced):
        await old.work(batch([*START, reading(1, flow=95)]) | batch([tick(1)], tp=OTHER))
    assert (await told(pool), await posted(pool), await position(pool)) == ([], [], 0)


async def test_records_of_a_partition_that_is_not_ours_are_refused(workers: Workers):
    worker = workers.new()
    await worker.assign([OTHER])
    with pytest.raises(Fenced):
        await worker.work(batch(START))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\xc1 no message", "undecodable"),
        (b"", "undecodable"),
        (None, "undecodable"),
        (wire.Sensor("s1", 2, "990100001", b"{}"), "bad_control"),
        (wire.Activation("r1", 2, b"{}"), "bad_control"),
    ],
)
async def test_a_record_that_only_a_fault_of_ours_could_write_harms_no_other(pool: asyncpg.Pool, workers: Workers, record: Any, reason: str):
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch([*START, record, reading(3, flow=10), reading(4, flow=91), reading(5, flow=1)]))
    assert await told(pool) == [(1, "opened"), (2, "recovered")]
    assert workers.metric("tongguan_rules_records_total", reason=reason) == 1


async def test_a_long_poll_is_worked_off_as_a_whole(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new()
    await worker.assign([TP])
    await worker.work(batch([*START, *(reading(second, flow=81 if second % 2 else 10) for second in range(1, 2_500))]))
    rows = await told(pool)
    assert (len(rows), await position(pool)) == (2_499, 2_501)
    assert len(await posted(pool)) == 2_499


async def waits_for_a_lock(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"))


async def test_stepping_goes_on_while_a_commit_waits_and_the_next_takes_all_of_it(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(snapshot_s=1e-6)
    await worker.assign([TP])
    await worker.step(batch([*START, reading(1, flow=81)]))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table rules.warnings in exclusive mode")
        committing = asyncio.create_task(worker.commit())
        await eventually(lambda: waits_for_a_lock(pool), "the commit to wait")
        await worker.step(batch([reading(2, flow=91)], 3))  # begins a snapshot, too
        await worker.step(batch([reading(3, flow=10)], 4))
        await asyncio.sleep(0.1)
        assert not committing.done()
        assert await snapshots(pool) == []
    await committing
    assert (await told(pool), await position(pool)) == ([(1, "opened")], 3)
    await worker.commit()
    assert (await told(pool), await position(pool)) == ([(1, "opened"), (2, "raised"), (3, "recovered")], 5)
    assert [json.loads(row["value"])["rev"] for row in await posted(pool)] == [1, 2, 3]


async def test_a_snapshot_counts_once_what_its_state_has_seen_is_committed(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new(snapshot_s=1e-6)
    await worker.assign([TP])
    await worker.step(batch([*START, reading(1, flow=81)]))

    async def written() -> bool:
        await worker.step({})
        return await pool.fetchval("select count(*) from rules.pages") > 0

    await eventually(written, "its pages")
    await asyncio.sleep(0.1)
    assert await snapshots(pool) == []
    await worker.commit()

    async def counts() -> bool:
        return await snapshots(pool) == [3]

    await eventually(counts, "the snapshot to count")


async def test_what_was_stepped_beside_a_commit_that_is_refused_is_never_committed(pool: asyncpg.Pool, workers: Workers):
    worker = workers.new()
    await worker.assign([TP, OTHER])
    await worker.step(batch([*START, reading(1, flow=81)]))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("update rules.partitions set epoch = epoch + 1 where topic = $1 and partition = $2", TP.topic, TP.partition)
        committing = asyncio.create_task(worker.commit())
        await eventually(lambda: waits_for_a_lock(pool), "the commit to wait")
        await worker.step(batch([*START, reading(1, flow=81)], tp=OTHER))  # still ours, and with effects
    with pytest.raises(Fenced):
        await committing
    await worker.commit()
    with pytest.raises(Fenced):
        await worker.step(batch([tick(2)], 3, tp=OTHER))
    assert (await told(pool), await posted(pool)) == ([], [])
    assert (await position(pool), await position(pool, OTHER)) == (0, 0)
