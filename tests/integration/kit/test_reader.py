"""The reader of whole topics without a group."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from services.kit import brokers, topics
from services.kit import reader as kit_reader
from services.kit.clock import SystemClock
from services.kit.errors import Unavailable
from services.kit.health import Health
from services.kit.producer import Outgoing, Producer
from services.kit.reader import Reader
from tests.integration.parts import Server, Servers, eventually, make_topic

PARTITIONS = 3


@pytest.fixture
async def topic(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"test.{secrets.token_hex(4)}"
    await make_topic(servers.kafka, name, PARTITIONS, **{"cleanup.policy": "compact"})
    known = {**topics.load(), name: topics.load()[topics.SENSORS].model_copy(update={"name": name, "partitions": PARTITIONS})}
    monkeypatch.setattr(kit_reader, "load", lambda: known)
    return name


class Listening:
    """A reader that runs in the background, and what it took."""

    def __init__(self, servers: Servers, topic: str, positions: dict[TopicPartition, int], **options: Any) -> None:
        self.taken: list[ConsumerRecord] = []
        self.health = Health(SystemClock())
        self.reader = Reader(servers.kafka, {topic: self.take}, self.health.check("reader", max_age=30), **options)
        self.task = asyncio.create_task(self.reader.run(positions))

    async def take(self, record: ConsumerRecord) -> None:
        if record.value == b"poison":
            raise ZeroDivisionError
        self.taken.append(record)

    @property
    def numbers(self) -> list[int]:
        return sorted(int(record.value) for record in self.taken)

    async def until(self, numbers: range, seconds: float = 30) -> None:
        async def there() -> bool:
            assert not self.task.done()
            return set(self.numbers) >= set(numbers)

        await eventually(there, f"{numbers}", seconds)
        assert self.numbers == list(numbers)


@contextlib.asynccontextmanager
async def listening(servers: Servers, topic: str, positions: dict[TopicPartition, int] | None = None, **options: Any) -> AsyncIterator[Listening]:
    one = Listening(servers, topic, positions or {}, **options)
    try:
        yield one
    finally:
        one.task.cancel()
        await asyncio.wait([one.task])


async def publish(producer: Producer, topic: str, numbers: range) -> None:
    await producer.publish(topic, [Outgoing(str(n).encode(), key=b"k%d" % n, partition=n % PARTITIONS) for n in numbers])


async def test_it_reads_all_that_is_there_and_then_what_comes(servers: Servers, producer: Producer, topic: str):
    await publish(producer, topic, range(30))
    async with listening(servers, topic) as one:
        await asyncio.wait_for(one.reader.caught_up.wait(), 30)
        assert one.numbers == list(range(30))
        assert one.health.unready() == []
        await publish(producer, topic, range(30, 60))
        await one.until(range(60))


async def test_an_empty_topic_is_caught_up_with(servers: Servers, topic: str):
    async with listening(servers, topic) as one:
        await asyncio.wait_for(one.reader.caught_up.wait(), 30)


async def test_it_catches_up_where_the_last_offsets_hold_no_record(servers: Servers, topic: str):
    """As after compaction: here the end is a transaction's marker."""
    kafka = AIOKafkaProducer(**brokers.clients(servers.kafka), transactional_id=topic)
    await kafka.start()
    async with kafka.transaction():
        for number in range(3):
            await kafka.send(topic, str(number).encode(), key=b"k%d" % number, partition=0)
    await kafka.stop()
    async with listening(servers, topic) as one:
        await asyncio.wait_for(one.reader.caught_up.wait(), 30)
        assert one.numbers == [0, 1, 2]


async def test_it_begins_where_it_is_told(servers: Servers, producer: Producer, topic: str):
    await publish(producer, topic, range(9))
    async with listening(servers, topic, {TopicPartition(topic, 0): 2, TopicPartition(topic, 1): 3}) as one:
        await asyncio.wait_for(one.reader.caught_up.wait(), 30)
        assert one.numbers == [2, 5, 6, 8]
        assert one.reader.positions == {TopicPartition(topic, partition): 3 for partition in range(PARTITIONS)}


async def test_a_tail_begins_at_the_end(servers: Servers, producer: Producer, topic: str):
    await publish(producer, topic, range(9))
    async with listening(servers, topic, tail=frozenset([topic])) as one:
        await asyncio.wait_for(one.reader.caught_up.wait(), 30)
        assert one.numbers == []
        await publish(producer, topic, range(9, 18))
        await one.until(range(9, 18))


async def test_after_each_poll_the_caller_is_told(servers: Servers, producer: Producer, topic: str):
    seen: list[int] = []
    await publish(producer, topic, range(9))
    async with listening(servers, topic, after=lambda: seen.append(1)) as one:
        await asyncio.wait_for(one.reader.caught_up.wait(), 30)
        assert seen


async def test_it_goes_on_where_it_was_after_the_broker_was_killed(servers: Servers, broker: Server, producer: Producer, topic: str):
    await publish(producer, topic, range(30))
    async with listening(servers, topic) as one:
        await one.until(range(30))
        broker.kill()
        await broker.start()

        async def taken() -> bool:
            try:
                await publish(producer, topic, range(30, 60))
            except Unavailable:
                return False
            return True

        await eventually(taken, "the broker to take records", 60)
        await eventually(lambda: complete(one, range(60)), "records after the restart", 60)
        first_time = [record.value for record in one.taken if int(record.value) < 30]
        assert len(first_time) == len(set(first_time)), "what it had taken before is not taken again"


async def complete(one: Listening, numbers: range) -> bool:
    assert not one.task.done()
    return set(one.numbers) >= set(numbers)


async def test_what_the_caller_raises_ends_it(servers: Servers, producer: Producer, topic: str):
    async with listening(servers, topic) as one:
        await producer.publish(topic, [Outgoing(b"poison", key=b"k")])
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(one.task, 30)
