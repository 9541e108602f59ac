"""The shared producer on a real broker: order, concurrency, bounds, and that nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict

import pytest
from prometheus_client import CollectorRegistry

from schemas.partitioner import partition_of
from services.kit import producer as kit_producer
from services.kit.errors import Overloaded, RecordTooLarge, Unavailable
from services.kit.producer import BATCH_BYTES, LANE_BYTES, Outgoing, Producer
from tests.integration.parts import Server, Servers, Tape, make_topic

PARTITIONS = 4


@pytest.fixture
async def topic(servers: Servers) -> str:
    name = f"test.{secrets.token_hex(4)}"
    await make_topic(servers.kafka, name, PARTITIONS)
    return name


async def values(bootstrap: str, topic: str) -> list[bytes]:
    return [record.value for record in await (await Tape.of(bootstrap, topic, from_the_start=True)).records()]


async def test_records_of_a_key_stay_in_order_in_the_key_s_partition(servers: Servers, producer: Producer, topic: str):
    keys = [f"street-{number}".encode() for number in range(10)]
    for start in range(0, 1000, 250):
        await producer.publish(topic, [Outgoing(str(n).encode(), key=keys[n % 10]) for n in range(start, start + 250)])
    found: dict[bytes, list[int]] = defaultdict(list)
    for record in await (await Tape.of(servers.kafka, topic, from_the_start=True)).records():
        assert record.partition == partition_of(record.key, PARTITIONS)
        found[record.key].append(int(record.value))
    assert found == {key: list(range(at, 1000, 10)) for at, key in enumerate(keys)}


async def test_a_record_arrives_as_it_was_given(servers: Servers, producer: Producer, topic: str):
    given = Outgoing(b"value", key=b"key", partition=3, headers=[("ce_id", b"1"), ("traceparent", b"\x00\xff")], timestamp_ms=1_790_000_000_000)
    await producer.publish(topic, [given, Outgoing(b"bare", partition=3)])
    first, second = await (await Tape.of(servers.kafka, topic, from_the_start=True)).records()
    assert (first.key, first.value, first.partition, first.headers, first.timestamp) == (
        b"key",
        b"value",
        3,
        tuple(given.headers),
        given.timestamp_ms,
    )
    assert (second.key, second.value, second.headers) == (None, b"bare", ())


async def test_many_callers_of_one_partition_each_keep_their_order(servers: Servers, producer: Producer, topic: str):
    async def caller(name: int) -> None:
        for turn in range(10):
            await producer.publish(topic, [Outgoing(f"{name} {turn} {n}".encode(), partition=0) for n in range(5)])

    await asyncio.gather(*(caller(name) for name in range(50)))
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for value in await values(servers.kafka, topic):
        name, turn, number = value.decode().split()
        found[name].append((turn, number))
    assert found == {str(name): [(str(turn), str(n)) for turn in range(10) for n in range(5)] for name in range(50)}


async def test_a_call_of_many_batches_is_whole_when_it_returns(servers: Servers, producer: Producer, topic: str):
    sent = [secrets.token_bytes(100_000) for _ in range(4 * BATCH_BYTES // 100_000)]
    await producer.publish(topic, [Outgoing(value, partition=1) for value in sent])
    assert await values(servers.kafka, topic) == sent


async def test_a_record_that_never_fits_is_refused_with_its_call_and_harms_no_other(servers: Servers, producer: Producer, topic: str):
    with pytest.raises(RecordTooLarge, match=str(BATCH_BYTES)):
        await producer.publish(topic, [Outgoing(b"small", partition=0), Outgoing(bytes(BATCH_BYTES), partition=1)])
    await producer.publish(topic, [Outgoing(secrets.token_bytes(BATCH_BYTES - 1000), partition=1)])
    await producer.publish(topic, [Outgoing(b"after", partition=1)])
    assert [len(value) for value in await values(servers.kafka, topic)] == [BATCH_BYTES - 1000, 5]


async def test_a_full_lane_refuses_at_once_and_takes_again_when_it_has_room(servers: Servers, producer: Producer, topic: str):
    large = secrets.token_bytes(BATCH_BYTES - 1000)
    filling = asyncio.create_task(producer.publish(topic, [Outgoing(large, partition=0)] * (LANE_BYTES // BATCH_BYTES)))
    await producer.publish(topic, [Outgoing(b"another lane", partition=1)])
    with pytest.raises(Overloaded, match="16 MiB wait"):
        await producer.publish(topic, [Outgoing(large, partition=0)] * 4)
    await filling
    await producer.publish(topic, [Outgoing(b"again", partition=0)])
    assert len(await values(servers.kafka, topic)) == LANE_BYTES // BATCH_BYTES + 2


async def test_cancelling_takes_back_what_was_not_sent(servers: Servers, producer: Producer, topic: str):
    waiting = asyncio.create_task(producer.publish(topic, [Outgoing(secrets.token_bytes(BATCH_BYTES // 2), partition=0)] * 24))
    lane = producer._lane(topic, 0)
    while not lane._chunks:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await producer.publish(topic, [Outgoing(b"after", partition=0)])
    assert (lane._bytes, len(lane._chunks)) == (0, 0)
    found = await values(servers.kafka, topic)
    assert len(found) < 24
    assert found[-1] == b"after"


async def test_nothing_to_publish_is_no_work(producer: Producer):
    await producer.publish("no.such.topic", [])


async def test_closing_tells_who_waits_and_who_comes_later(servers: Servers, topic: str):
    before = asyncio.all_tasks()
    async with Producer(servers.kafka, CollectorRegistry()) as closing:
        await closing.publish(topic, [Outgoing(b"first", partition=0)])
        waiting = asyncio.create_task(closing.publish(topic, [Outgoing(secrets.token_bytes(BATCH_BYTES // 2), partition=0)] * 24))
        while not closing._lane(topic, 0)._chunks:
            await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await closing.publish(topic, [Outgoing(b"later", partition=0)])
    assert asyncio.all_tasks() == before


# A broker that dies


async def test_nothing_acknowledged_is_lost_when_the_broker_is_killed_and_started_again(servers: Servers, broker: Server):
    topic = f"test.{secrets.token_hex(4)}"
    await make_topic(servers.kafka, topic, PARTITIONS)
    acknowledged: list[bytes] = []
    restarted = asyncio.Event()

    async def caller(name: int, producer: Producer) -> None:
        turn = after = 0
        while after < 20:
            value = f"{name} {turn}".encode()
            try:
                await producer.publish(topic, [Outgoing(value, key=str(name).encode())])
            except Unavailable:
                await asyncio.sleep(0.1)
                continue
            acknowledged.append(value)
            turn += 1
            after += restarted.is_set()

    async with Producer(servers.kafka, CollectorRegistry()) as producer:
        callers = [asyncio.create_task(caller(name, producer)) for name in range(8)]
        while len(acknowledged) < 200:
            await asyncio.sleep(0.01)
        broker.kill()
        await broker.start()
        restarted.set()
        await asyncio.gather(*callers)
    found = await values(servers.kafka, topic)
    assert set(acknowledged) <= set(found)
    for name in range(8):
        turns = [int(value.split()[1]) for value in dict.fromkeys(found) if value.split()[0] == str(name).encode()]
        assert turns == sorted(turns)


async def test_a_broker_that_stays_away_is_told_and_leaves_nothing_behind(servers: Servers, broker: Server, monkeypatch: pytest.MonkeyPatch):
    """What was given up is not delivered later, and no task of the old connection goes on."""
    monkeypatch.setattr(kit_producer, "REQUEST_TIMEOUT_MS", 1_000)
    topic = f"test.{secrets.token_hex(4)}"
    await make_topic(servers.kafka, topic, PARTITIONS)
    before = asyncio.all_tasks()
    async with Producer(servers.kafka, CollectorRegistry()) as producer:
        await producer.publish(topic, [Outgoing(b"before", partition=partition) for partition in range(PARTITIONS)])
        connection = await producer.kafka()
        broker.kill()
        for partition in range(PARTITIONS):
            with pytest.raises(Unavailable):
                await producer.publish(topic, [Outgoing(b"given up", partition=partition)])
        assert connection._sender.sender_task.done()
        await broker.start()

        async def publish() -> None:
            while True:
                try:
                    await producer.publish(topic, [Outgoing(b"after", partition=partition) for partition in range(PARTITIONS)])
                except Unavailable:
                    await asyncio.sleep(0.1)
                else:
                    return

        await asyncio.wait_for(publish(), 30)
    assert asyncio.all_tasks() == before
    found = await values(servers.kafka, topic)
    assert found.count(b"before") == PARTITIONS
    assert set(found) == {b"before", b"after"}
