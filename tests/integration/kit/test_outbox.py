"""The outbox and its relay on real servers: in sequence, at least once, one relay at a time."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.kit import database as kit_database
from services.kit import outbox
from services.kit.clock import SystemClock
from services.kit.errors import RecordTooLarge, Unavailable
from services.kit.health import Health
from services.kit.outbox import RELAY_ROWS, Posting, Relay
from services.kit.producer import BATCH_BYTES, RECORD_OVERHEAD, Outgoing, Producer
from tests.integration.parts import Servers, Tape, eventually, gate_to, make_topic

ROOM = "ingest"


@pytest.fixture
async def topic(servers: Servers, pool: asyncpg.Pool) -> str:
    name = f"test.{secrets.token_hex(4)}"
    await make_topic(servers.kafka, name, 2)
    await pool.execute("truncate ingest.outbox")
    return name


@contextlib.asynccontextmanager
async def relaying(pool: asyncpg.Pool, producer: Producer) -> AsyncIterator[tuple[Relay, Health]]:
    health = Health(SystemClock())
    relay = Relay(pool, producer, ROOM, health.check("outbox", max_age=30), CollectorRegistry())
    task = asyncio.create_task(relay.run())
    try:
        yield relay, health
    finally:
        task.cancel()
        await asyncio.wait([task])


async def post(pool: asyncpg.Pool, topic: str, numbers: range) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await outbox.post(connection, ROOM, [Posting(topic, Outgoing(str(n).encode(), key=b"one key")) for n in numbers])


async def published(servers: Servers, topic: str) -> list[int]:
    return [int(record.value) for record in await (await Tape.of(servers.kafka, topic, from_the_start=True)).records()]


async def waiting(pool: asyncpg.Pool) -> int:
    return int(await pool.fetchval("select count(*) from ingest.outbox"))


async def test_what_was_committed_is_published_in_sequence(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    count = RELAY_ROWS * 2 + 500
    async with relaying(pool, producer) as (relay, health):
        for start in range(0, count, 700):
            await post(pool, topic, range(start, min(start + 700, count)))
            relay.wake()
        await asyncio.wait_for(relay.emptied(), 30)
        assert await published(servers, topic) == list(range(count))
        assert health.unready() == []
    assert await waiting(pool) == 0


async def test_a_predecessor_s_rows_go_first_without_waking(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    await post(pool, topic, range(10))
    async with relaying(pool, producer) as (relay, _):
        await post(pool, topic, range(10, 20))
        await asyncio.wait_for(relay.emptied(), 30)
    assert await published(servers, topic) == list(range(20))


async def test_what_was_rolled_back_is_not_published(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    with contextlib.suppress(ZeroDivisionError):
        async with pool.acquire() as connection, connection.transaction():
            await outbox.post(connection, ROOM, [Posting(topic, Outgoing(b"0"))])
            raise ZeroDivisionError
    async with relaying(pool, producer) as (relay, _):
        await post(pool, topic, range(1, 2))
        await asyncio.wait_for(relay.emptied(), 30)
    assert await published(servers, topic) == [1]


async def test_a_record_comes_out_as_it_was_posted(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    given = [
        Outgoing("统管".encode(), key=b"\x00\xff", headers=[("ce_id", "统".encode()), ("ce_type", b"t")]),
        Outgoing(b"\x00\xff", partition=1),
        Outgoing(b"", partition=1, headers=[("a", b"1"), ("a", b"2")]),
    ]
    async with pool.acquire() as connection:
        await outbox.post(connection, ROOM, [Posting(topic, record) for record in given])
    async with relaying(pool, producer) as (relay, _):
        await asyncio.wait_for(relay.emptied(), 30)
    found = {record.value: record for record in await (await Tape.of(servers.kafka, topic, from_the_start=True)).records()}
    for record in given:
        assert (found[record.value].key, found[record.value].headers) == (record.key, tuple(record.headers))
    assert [found[record.value].partition for record in given[1:]] == [1, 1]


async def test_what_kafka_never_takes_does_not_get_into_the_sequence(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    async with relaying(pool, producer) as (relay, _):
        async with pool.acquire() as connection:
            with pytest.raises(RecordTooLarge):
                await outbox.post(connection, ROOM, [Posting(topic, Outgoing(b"0")), Posting(topic, Outgoing(bytes(BATCH_BYTES)))])
        largest = Outgoing(b"1".rjust(BATCH_BYTES - RECORD_OVERHEAD))
        async with pool.acquire() as connection:
            await outbox.post(connection, ROOM, [Posting(topic, largest)])
        await asyncio.wait_for(relay.emptied(), 30)
    assert await published(servers, topic) == [1]


class DiesAfterwards(Producer):
    """Publishes, and then the process dies as far as the relay can tell."""

    deaths = 2

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        await super().publish(topic, records)
        if self.deaths:
            self.deaths -= 1
            raise Unavailable("killed between Kafka's acknowledgement and the row's deletion")


async def test_what_was_acknowledged_but_not_deleted_is_published_again_in_order(servers: Servers, pool: asyncpg.Pool, topic: str):
    await post(pool, topic, range(100))
    async with DiesAfterwards(servers.kafka, CollectorRegistry()) as dying, relaying(pool, dying) as (relay, _):
        await asyncio.wait_for(relay.emptied(), 30)
    assert await published(servers, topic) == [*range(100)] * 3
    assert await waiting(pool) == 0


async def test_two_relays_at_once_publish_each_row_once_and_in_sequence(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    async with Producer(servers.kafka, CollectorRegistry()) as other, relaying(pool, producer) as (first, _), relaying(pool, other) as (second, _):
        for start in range(0, 5000, 100):
            await post(pool, topic, range(start, start + 100))
            first.wake()
            second.wake()
        await asyncio.wait_for(asyncio.gather(first.emptied(), second.emptied()), 30)
        assert await published(servers, topic) == list(range(5000))


async def test_emptied_waits_for_what_was_committed_before_it_was_called(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    async with relaying(pool, producer) as (relay, _):
        for number in range(30):
            await post(pool, topic, range(number, number + 1))
            await asyncio.wait_for(relay.emptied(), 30)
            assert await waiting(pool) == 0
    assert await published(servers, topic) == list(range(30))


async def test_a_database_that_is_away_is_waited_for_and_told(servers: Servers, producer: Producer, pool: asyncpg.Pool, database: str, topic: str):
    async with gate_to(database) as (gate, through):
        behind = await kit_database.open_pool(through, size=2)
        async with relaying(behind, producer) as (relay, health):
            await eventually(lambda: well(health), "the first turn")
            await gate.shut()
            await post(pool, topic, range(5))
            await eventually(lambda: told(health), "the check to fail")
            await gate.open()
            await asyncio.wait_for(relay.emptied(), 30)
            assert health.unready() == []
        behind.terminate()
    assert await published(servers, topic) == list(range(5))


async def well(health: Health) -> bool:
    return not health.unready()


async def told(health: Health) -> bool:
    return any("cannot publish the outbox" in problem for problem in health.unready())
