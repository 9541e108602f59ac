"""Whose a partition is and how far it has come: in PostgreSQL, in the transaction of the effects."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from aiokafka import TopicPartition

from services.kit import partitions
from services.kit.database import TRANSIENT
from services.kit.errors import Fenced, Misconfigured
from services.kit.topics import OBSERVATIONS, WARNINGS

ROOM = "history"
A, B, C = TopicPartition(OBSERVATIONS, 0), TopicPartition(OBSERVATIONS, 1), TopicPartition(WARNINGS, 0)


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    await pool.execute("truncate history.partitions")
    await pool.execute("create table if not exists effects (what text)")
    await pool.execute("truncate effects")


async def offsets(pool: asyncpg.Pool) -> dict[TopicPartition, int]:
    rows = await pool.fetch("select topic, partition, next_offset from history.partitions")
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def claim(pool: asyncpg.Pool, *tps: TopicPartition) -> dict[TopicPartition, partitions.Claim]:
    async with pool.acquire() as connection:
        return await partitions.claim(connection, ROOM, tps)


async def advance(pool: asyncpg.Pool, claims: partitions.Claims, moved: dict[TopicPartition, int], what: str = "x") -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("insert into effects values ($1)", what)
        await partitions.advance(connection, ROOM, claims, moved)


async def test_a_partition_starts_at_0_and_goes_on_where_it_was(pool: asyncpg.Pool):
    first = await claim(pool, B, A)
    assert {tp: (one.epoch, one.next_offset) for tp, one in first.items()} == {A: (1, 0), B: (1, 0)}
    await advance(pool, first, {A: 7})
    second = await claim(pool, A, B, C)
    assert {tp: (one.epoch, one.next_offset) for tp, one in second.items()} == {A: (2, 7), B: (2, 0), C: (1, 0)}


async def test_offsets_never_move_back(pool: asyncpg.Pool):
    mine = await claim(pool, A)
    await advance(pool, mine, {A: 7})
    await advance(pool, mine, {A: 5})
    assert await offsets(pool) == {A: 7}


async def test_an_older_epoch_is_fenced_and_changes_nothing(pool: asyncpg.Pool):
    old = await claim(pool, A, B)
    await advance(pool, old, {A: 3, B: 3}, "old owner")
    new = await claim(pool, B)
    with pytest.raises(Fenced, match=r"city\.observations/1"):
        await advance(pool, old, {A: 9, B: 9}, "zombie")
    assert await offsets(pool) == {A: 3, B: 3}
    assert [row["what"] for row in await pool.fetch("select what from effects")] == ["old owner"]
    await advance(pool, old, {A: 4})
    await advance(pool, new, {B: 5})
    assert await offsets(pool) == {A: 4, B: 5}


async def test_a_zombie_that_commits_while_another_claims_is_fenced_or_first(pool: asyncpg.Pool):
    """Whoever's row lock comes first: the new owner starts after all that was committed, and nothing is committed after."""
    for turn in range(20):
        old = await claim(pool, A)
        at = (await offsets(pool))[A] + 1
        committed, claimed = await asyncio.gather(advance(pool, old, {A: at}, f"turn {turn}"), claim(pool, A), return_exceptions=True)
        assert isinstance(claimed, dict)
        if committed is None:
            assert (await offsets(pool))[A] == at
        else:
            assert isinstance(committed, Fenced)
        assert claimed[A].next_offset == (await offsets(pool))[A]


async def test_two_owners_at_once_get_different_epochs(pool: asyncpg.Pool):
    tps = [TopicPartition(OBSERVATIONS, partition) for partition in range(24)]
    claims = await asyncio.gather(*(claim(pool, *(tps if turn % 2 else reversed(tps))) for turn in range(6)))
    for tp in tps:
        assert sorted(one[tp].epoch for one in claims) == list(range(1, 7))


async def test_what_was_never_claimed_is_fenced(pool: asyncpg.Pool):
    mine = await claim(pool, A)
    with pytest.raises(Fenced, match=r"has not claimed \['city\.observations/1'\]"):
        await advance(pool, mine, {A: 1, B: 1})
    assert await offsets(pool) == {A: 0}


async def test_no_partition_is_no_work(pool: asyncpg.Pool):
    assert await claim(pool) == {}
    await advance(pool, {}, {})


async def test_a_topic_that_was_made_anew_is_read_from_its_start(pool: asyncpg.Pool):
    mine = await claim(pool, A, C)
    await advance(pool, mine, {A: 7, C: 7})
    await pool.execute("update kit.topics set epoch = gen_random_uuid() where name = $1", OBSERVATIONS)
    again = await claim(pool, A, C)
    assert (again[A].next_offset, again[C].next_offset) == (0, 7)
    assert again[A].topic_epoch != mine[A].topic_epoch
    assert again[A].epoch == 2


async def test_a_topic_that_nobody_has_made_is_told(pool: asyncpg.Pool):
    with pytest.raises(Misconfigured, match=r"topics \['no\.such'\] are not in kit\.topics"):
        await claim(pool, A, TopicPartition("no.such", 0))


async def test_an_owner_that_was_stopped_in_the_middle_of_a_commit_is_not_waited_for(pool: asyncpg.Pool):
    """As under SIGSTOP: its transaction is open, and it holds the rows that its successor claims."""
    old = await claim(pool, A)
    connection = await pool.acquire()
    await connection.execute("begin")
    await partitions.advance(connection, ROOM, old, {A: 7})
    new = await asyncio.wait_for(claim(pool, A), partitions.STOPPED_S + 5)
    assert new[A].next_offset == 0
    with pytest.raises(TRANSIENT):
        await connection.execute("commit")
    await pool.release(connection)
    assert await offsets(pool) == {A: 0}


async def test_nor_is_one_that_was_stopped_between_preparing_a_statement_and_executing_it(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch):
    """The server does not count it as idle then."""
    soon = partitions.STOPPED_S + 3
    longest = f"'{partitions.LONGEST_S}s'"
    assert longest in partitions._ADVANCE
    monkeypatch.setattr(partitions, "_ADVANCE", partitions._ADVANCE.replace(longest, f"'{soon}s'"))
    old = await claim(pool, A)
    connection = await pool.acquire()
    await connection.execute("begin")
    await partitions.advance(connection, ROOM, old, {A: 7})
    await connection.prepare("select 'not executed yet'")
    begun = asyncio.create_task(claim(pool, A))
    await asyncio.sleep(partitions.STOPPED_S + 1)
    assert not begun.done()
    await asyncio.wait_for(begun, soon + 5)
    with pytest.raises(TRANSIENT):
        await connection.execute("commit")
    await pool.release(connection)
    assert await offsets(pool) == {A: 0}


async def test_holding_a_partition_fails_once_another_has_it(pool: asyncpg.Pool):
    old = await claim(pool, A, B)
    new = await claim(pool, A)
    async with pool.acquire() as connection, connection.transaction():
        await partitions.hold(connection, ROOM, A, new[A])
        await partitions.hold(connection, ROOM, B, old[B])
        with pytest.raises(Fenced, match=r"no longer owns city\.observations/0"):
            await partitions.hold(connection, ROOM, A, old[A])
