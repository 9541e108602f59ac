"""The consumer on real servers: offsets are the database's, take-over loses and doubles nothing, a broker's loss is survived."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from prometheus_client import CollectorRegistry

from services.kit import brokers, partitions
from services.kit import consumer as kit_consumer
from services.kit.clock import SystemClock
from services.kit.consumer import SESSION_MS, Batches, Stalled, Subscription, consume
from services.kit.errors import Fenced, Misconfigured
from services.kit.health import Health
from services.kit.producer import Outgoing, Producer
from services.kit.progress import Progress
from tests.integration.parts import Server, Servers, eventually, make_topic

ROOM = "history"
PARTITIONS = 4


class Writer:
    """A worker that writes each record down with its offsets, in one transaction; a record written twice is an error."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.claims: Mapping[TopicPartition, partitions.Claim] = {}
        self.fenced = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.holding = asyncio.Event()
        self.failures: list[Exception] = []
        self.takes_s = 0.0
        self.assigned = 0

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.assigned += 1
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.sleep(self.takes_s)
        async with self._pool.acquire() as connection:
            self.claims = await partitions.claim(connection, ROOM, taken)
        return {tp: claim.next_offset for tp, claim in self.claims.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        claims = self.claims
        if batches:
            self.holding.set()
            await self.go_on.wait()
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await partitions.advance(connection, ROOM, claims, {tp: records[-1].offset + 1 for tp, records in batches.items()})
                rows = [(record.topic, record.partition, record.offset, record.value) for records in batches.values() for record in records]
                await connection.executemany("insert into written values ($1, $2, $3, $4)", rows)
        except Fenced:
            self.fenced += 1
            raise
        return {}


class Member:
    """A consumer with its worker, running in the background."""

    def __init__(self, bootstrap: str, topic: str, pool: asyncpg.Pool, stalled_s: float, of: type[Writer]) -> None:
        clock = SystemClock()
        self.writer = of(pool)
        self.health = Health(clock)
        self.progress = Progress(clock, CollectorRegistry())
        subscription = Subscription(
            bootstrap=bootstrap,
            group=f"group.{topic}",
            topics=[topic],
            progress=self.progress,
            alive=self.health.check("alive", max_age=60, vital=True),
            ready=self.health.check("assignment", max_age=10),
            stalled_s=stalled_s,
        )
        self.task = asyncio.create_task(consume(subscription, self.writer))

    async def ready(self) -> None:
        async def is_ready() -> bool:
            assert not self.task.done(), self.task.exception()
            return not self.health.unready()

        await eventually(is_ready, "an assignment")

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
async def topic(servers: Servers, pool: asyncpg.Pool) -> str:
    name = f"test.{secrets.token_hex(4)}"
    await make_topic(servers.kafka, name, PARTITIONS)
    await pool.execute("insert into kit.topics (name) values ($1)", name)
    await pool.execute("create table if not exists written (topic text, partition int, at bigint, value bytea, primary key (topic, partition, at))")
    return name


@contextlib.asynccontextmanager
async def member(servers: Servers, topic: str, pool: asyncpg.Pool, stalled_s: float = 30.0, of: type[Writer] = Writer) -> AsyncIterator[Member]:
    joined = Member(servers.kafka, topic, pool, stalled_s, of)
    try:
        yield joined
    finally:
        await joined.leave()


async def written(pool: asyncpg.Pool, topic: str) -> list[int]:
    return [int(row["value"]) for row in await pool.fetch("select value from written where topic = $1 order by partition, at", topic)]


async def publish(producer: Producer, topic: str, numbers: range, partition: int | None = None) -> None:
    await producer.publish(topic, [Outgoing(str(n).encode(), partition=n % PARTITIONS if partition is None else partition) for n in numbers])


async def until_written(pool: asyncpg.Pool, topic: str, numbers: range) -> None:
    async def all_there() -> bool:
        return set(await written(pool, topic)) >= set(numbers)

    await eventually(all_there, f"{len(numbers)} records")
    assert sorted(await written(pool, topic)) == list(numbers)


async def test_it_reads_from_the_database_s_offset_not_from_kafka_s(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    await publish(producer, topic, range(10), partition=0)
    await publish(producer, topic, range(100, 110), partition=1)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with pool.acquire() as connection:
        claims = await partitions.claim(connection, ROOM, [first])
        await partitions.advance(connection, ROOM, claims, {first: 7})
    kafka = AIOKafkaConsumer(**brokers.clients(servers.kafka), group_id=f"group.{topic}", enable_auto_commit=False)
    await kafka.start()
    kafka.assign([first, second])
    await kafka.commit({first: 2, second: 9})
    await kafka.stop()
    async with member(servers, topic, pool):
        await eventually(lambda: written_count(pool, topic, 13), "the records past the database's offsets")
    assert await written(pool, topic) == [*range(7, 10), *range(100, 110)]


async def written_count(pool: asyncpg.Pool, topic: str, count: int) -> bool:
    return len(await written(pool, topic)) >= count


async def test_a_second_member_shares_and_takes_over(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    async with member(servers, topic, pool) as first:
        await publish(producer, topic, range(100))
        await until_written(pool, topic, range(100))
        async with member(servers, topic, pool) as second:
            await second.ready()
            await eventually(lambda: shared(first, second), "two partitions each")
            await publish(producer, topic, range(100, 200))
            await until_written(pool, topic, range(200))
            await first.leave()
            await publish(producer, topic, range(200, 300))
            await until_written(pool, topic, range(300))
            assert len(second.writer.claims) == PARTITIONS
            assert second.progress.lag == 0


async def shared(*members: Member) -> bool:
    return all(len(one.writer.claims) == PARTITIONS // len(members) for one in members)


async def test_an_owner_that_hung_while_another_took_over_is_fenced_and_joins_again(
    servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str
):
    async with member(servers, topic, pool) as zombie:
        await zombie.ready()
        zombie.writer.go_on.clear()
        await publish(producer, topic, range(100))
        await asyncio.wait_for(zombie.writer.holding.wait(), 10)
        async with member(servers, topic, pool) as heir:
            await eventually(lambda: has_its_half(heir), "the heir's partitions")
            zombie.writer.go_on.set()
            await eventually(lambda: fenced(zombie), "the zombie's fencing")
            await until_written(pool, topic, range(100))
            await publish(producer, topic, range(100, 200))
            await until_written(pool, topic, range(200))


async def has_its_half(one: Member) -> bool:
    return len(one.writer.claims) == PARTITIONS // 2


async def fenced(one: Member) -> bool:
    return one.writer.fenced > 0


async def test_it_joins_again_after_the_broker_was_killed(servers: Servers, broker: Server, producer: Producer, pool: asyncpg.Pool, topic: str):
    async with member(servers, topic, pool) as only:
        await publish(producer, topic, range(50))
        await until_written(pool, topic, range(50))
        broker.kill()

        await broker.start()
        await publish_again(producer, topic, range(50, 100))
        await eventually(lambda: has(pool, topic, range(100)), "records after the restart", 60)
        assert not only.task.done()
        assert not only.health.dead()


async def publish_again(producer: Producer, topic: str, numbers: range) -> None:
    from services.kit.errors import Unavailable

    async def done() -> bool:
        try:
            await publish(producer, topic, numbers)
        except Unavailable:
            return False
        return True

    await eventually(done, "the broker to take records", 60)


async def has(pool: asyncpg.Pool, topic: str, numbers: range) -> bool:
    return set(await written(pool, topic)) >= set(numbers)


async def test_a_failed_assignment_is_tried_again(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    await publish(producer, topic, range(8))
    async with member(servers, topic, pool) as only:
        only.writer.failures += [TimeoutError("the database is slow"), Fenced("somebody was quicker")]
        await until_written(pool, topic, range(8))
        assert only.writer.failures == []


async def test_what_nobody_can_wait_out_ends_it(servers: Servers, pool: asyncpg.Pool, topic: str):
    await pool.execute("delete from kit.topics where name = $1", topic)
    async with member(servers, topic, pool) as only:
        with pytest.raises(Misconfigured, match="are not in"):
            await asyncio.wait_for(only.task, 20)


async def test_it_goes_on_after_records_that_retention_took(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    await publish(producer, topic, range(10), partition=0)
    admin = AIOKafkaAdminClient(**brokers.clients(servers.kafka))
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=4)})
    await admin.close()
    async with member(servers, topic, pool):
        await eventually(lambda: written_count(pool, topic, 6), "what is left")
    assert await written(pool, topic) == list(range(4, 10))


async def test_a_member_without_partitions_is_ready(servers: Servers, pool: asyncpg.Pool, topic: str):
    async with contextlib.AsyncExitStack() as stack:
        members = [await stack.enter_async_context(member(servers, topic, pool)) for _ in range(PARTITIONS + 1)]

        async def settled() -> bool:
            return sorted(len(one.writer.claims) for one in members) == [0, *[1] * PARTITIONS] and not any(one.health.unready() for one in members)

        await eventually(settled, "all to be ready", 60)


async def test_taking_over_for_longer_than_a_session_loses_no_membership(servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str):
    await publish(producer, topic, range(8))
    async with member(servers, topic, pool) as only:
        only.writer.takes_s = SESSION_MS / 1000 + 1
        await until_written(pool, topic, range(8))
        assert (only.writer.assigned, only.writer.fenced) == (1, 0)


class Hanging(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka gives no type
    """A client that now and then gives nothing any more, without a word, while its heartbeats go on (aiokafka#1154)."""

    how = ""
    """What hangs: `polls`, the records of one `partition`, or nothing."""
    hung = 0

    def _hangs(self) -> bool:
        return self._group_id is not None and Hanging.how != ""

    async def getmany(self, *partitions: TopicPartition, **options: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        if self._hangs() and Hanging.how == "polls" and self.assignment():
            Hanging.hung += 1
            await asyncio.Event().wait()
        found: dict[TopicPartition, list[ConsumerRecord]] = await super().getmany(*partitions, **options)
        if self._hangs() and Hanging.how == "partition":
            Hanging.hung += 1
            found = {tp: records for tp, records in found.items() if tp.partition != 0}
        return found


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> type[Hanging]:
    monkeypatch.setattr(kit_consumer, "AIOKafkaConsumer", Hanging)
    monkeypatch.setattr(Hanging, "how", "")
    monkeypatch.setattr(Hanging, "hung", 0)
    return Hanging


async def hangs(client: type[Hanging]) -> bool:
    return client.hung > 0


@pytest.mark.parametrize("how", ["polls", "partition"])
async def test_promise_14_a_consumer_that_hangs_silently_joins_again_and_the_second_time_ends(
    servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str, hanging: type[Hanging], how: str
):
    """Promise 14: a rule "runs" but is dead after an outage; a consumer hangs silently."""
    async with member(servers, topic, pool, stalled_s=1.5) as only:
        await only.ready()
        hanging.how = how
        await eventually(lambda: hangs(hanging), "the client to hang")
        await publish(producer, topic, range(40))
        await eventually(lambda: says(only, "records wait"), "the watchdog")
        assert not only.task.done()
        hanging.how = ""
        await until_written(pool, topic, range(40))
        await only.ready()

        hanging.how, hanging.hung = how, 0
        await eventually(lambda: hangs(hanging), "the client to hang")
        await publish(producer, topic, range(40, 80))
        with pytest.raises(Stalled, match=rf"{topic}/\d has stood at \d+ for \d s while 10 records wait"):
            await asyncio.wait_for(only.task, 30)
        assert await says(only, "records wait")


async def says(one: Member, words: str) -> bool:
    return any(words in problem for problem in one.health.unready())


async def test_what_waits_for_the_broker_or_the_worker_has_not_stalled(
    servers: Servers, broker: Server, producer: Producer, pool: asyncpg.Pool, topic: str
):
    async with member(servers, topic, pool, stalled_s=1.5) as only:
        await only.ready()
        only.writer.go_on.clear()
        await publish(producer, topic, range(100))
        await asyncio.wait_for(only.writer.holding.wait(), 10)
        await asyncio.sleep(3)  # twice what it may stand still
        broker.kill()
        await asyncio.sleep(3)
        assert not await says(only, "records wait")
        await broker.start()
        only.writer.go_on.set()
        await eventually(lambda: has(pool, topic, range(100)), "the records", 60)
        assert not only.task.done()


class Gatherer(Writer):
    """Writes down what it has gathered, one commit at a time."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.gathered: dict[TopicPartition, list[ConsumerRecord]] = {}
        self.committing = False
        self.beside = 0
        """Records stepped while a commit was under way."""

    async def step(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        for tp, records in batches.items():
            self.gathered.setdefault(tp, []).extend(records)
            self.beside += len(records) if self.committing else 0
        return {}

    async def commit(self) -> None:
        assert not self.committing
        taken, self.gathered, self.committing = self.gathered, {}, True
        try:
            await self.work(taken)
        finally:
            self.committing = False


async def test_a_stepper_goes_on_while_it_commits_but_not_for_ever(
    servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kit_consumer, "GATHERED", 4_000)
    monkeypatch.setattr(kit_consumer, "GATHERED_MOST", 9_000)
    numbers = range(40_000)
    await publish(producer, topic, numbers)
    async with member(servers, topic, pool, of=Gatherer) as only:
        gatherer = only.writer
        assert isinstance(gatherer, Gatherer)
        gatherer.go_on.clear()

        async def full() -> bool:
            return gatherer.beside >= 9_000

        await eventually(full, "polls beside the commit")
        await asyncio.sleep(0.5)
        assert gatherer.beside < 9_000 + 5_000
        assert await written(pool, topic) == []
        gatherer.go_on.set()
        await until_written(pool, topic, numbers)


async def test_a_stepper_that_is_fenced_joins_again_and_loses_and_doubles_nothing(
    servers: Servers, producer: Producer, pool: asyncpg.Pool, topic: str
):
    async with member(servers, topic, pool, of=Gatherer) as zombie:
        await zombie.ready()
        zombie.writer.go_on.clear()
        await publish(producer, topic, range(100))
        await asyncio.wait_for(zombie.writer.holding.wait(), 10)
        async with pool.acquire() as connection:
            await partitions.claim(connection, ROOM, [TopicPartition(topic, 0)])  # somebody else, who does nothing with it
        zombie.writer.go_on.set()
        await eventually(lambda: fenced(zombie), "the fencing")
        await until_written(pool, topic, range(100))
