"""Nobody talks to the broker unknown, and a department writes and reads its own topic and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.conn import create_conn
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import CreateTopicsRequest

from services.kit import brokers, rights, topics
from services.kit.errors import Misconfigured
from services.kit.topics import OBSERVATIONS
from tests.integration.conftest import quiet
from tests.integration.parts import Server, Servers, delete_topics, eventually

PASSWORDS = {"water": "w" * 24, "fire": "f" * 24}
OWN, OTHERS = "inbound.water", "inbound.fire"
SHUT = [OTHERS, OBSERVATIONS]


@pytest.fixture(scope="module")
def let_in(servers: Servers, database: str) -> Iterator[Servers]:
    """The broker with the topics and rights of two departments."""
    asyncio.run(topics.apply(servers.kafka, database, quiet, departments=PASSWORDS))
    rights.grant(servers.kafka, PASSWORDS, quiet)
    asyncio.run(_until_let_in(servers))
    yield servers
    rights.grant(servers.kafka, {}, quiet)
    asyncio.run(delete_topics(servers.kafka, OWN, OTHERS))


def department(servers: Servers, name: str = "water", password: str | None = None) -> str:
    return f"scram://{rights.user_of(name)}:{password or PASSWORDS[name]}@{servers.kafka.rpartition('@')[2]}"


@contextlib.asynccontextmanager
async def administering(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**brokers.clients(address))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def write(address: str, topic: str, **options: object) -> None:
    producer = AIOKafkaProducer(**brokers.clients(address), **options)
    try:
        async with asyncio.timeout(20):
            await producer.start()
            await producer.send_and_wait(topic, b"{}")
    finally:
        await producer.stop()


async def read(address: str, topic: str, group: str) -> bytes:
    consumer = AIOKafkaConsumer(**brokers.clients(address), group_id=group, auto_offset_reset="earliest")
    consumer.subscribe([topic])
    try:
        async with asyncio.timeout(20):
            await consumer.start()
            return bytes((await consumer.getone()).value)
    finally:
        await consumer.stop()


async def _until_let_in(servers: Servers, name: str = "water") -> None:
    """A broker learns what its controller knows a moment later."""

    async def is_in() -> bool:
        try:
            await write(department(servers, name), f"inbound.{name}")
        except KafkaError:
            return False
        return True

    await eventually(is_in, f"{name} to be let in")


async def test_a_department_writes_its_own_topic_and_reads_it_with_its_own_groups(let_in: Servers):
    await write(department(let_in), OWN, enable_idempotence=True)
    assert await read(department(let_in), OWN, "water.check") == b"{}"


@pytest.mark.parametrize("topic", SHUT)
async def test_it_cannot_write_to_another_topic(let_in: Servers, topic: str):
    with pytest.raises(TopicAuthorizationFailedError):
        await write(department(let_in), topic)


@pytest.mark.parametrize("topic", SHUT)
async def test_it_cannot_read_another_topic(let_in: Servers, topic: str):
    with pytest.raises(TopicAuthorizationFailedError):
        await read(department(let_in), topic, "water.check")


@pytest.mark.parametrize("group", ["fire.check", "rules", "water", "waterworks"])
async def test_it_cannot_join_a_group_of_others(let_in: Servers, group: str):
    with pytest.raises(GroupAuthorizationFailedError):
        await read(department(let_in), OWN, group)


async def test_it_sees_and_makes_no_other_topics(let_in: Servers):
    async with administering(department(let_in)) as admin:
        assert await admin.list_topics() == [OWN]
        assert {told["error_code"] for told in await admin.describe_topics(SHUT)} == {TopicAuthorizationFailedError.errno}
        made = await admin.create_topics([NewTopic("inbound.water2", 1, 1)])
        assert [for_code(code) for _, code, *_ in made.topic_errors] == [TopicAuthorizationFailedError]
        gone = await admin.delete_topics([OWN])
        assert [for_code(code) for _, code in gone.topic_error_codes] == [TopicAuthorizationFailedError]


async def test_it_cannot_give_itself_rights(let_in: Servers):
    with pytest.raises(Misconfigured, match=r"did not set the rights of departments: CLUSTER_AUTHORIZATION_FAILED; our user") as raised:
        await asyncio.to_thread(rights.grant, department(let_in), {"housing": "h" * 24}, quiet)
    assert PASSWORDS["water"] not in str(raised.value)


@pytest.mark.parametrize(
    "way",
    [
        lambda servers: department(servers, password="wrong" * 5),
        lambda servers: department(servers, "drainage", "d" * 24),
        lambda servers: department(servers).replace("scram://", "plain://"),
        lambda servers: f"plain://tongguan:{'x' * 32}@{servers.kafka.rpartition('@')[2]}",
        lambda servers: f"scram://tongguan:{'x' * 32}@{servers.kafka.rpartition('@')[2]}",
        lambda servers: servers.kafka.rpartition("@")[2],
    ],
    ids=["a wrong password", "an unknown department", "a department by PLAIN", "a wrong one of ours", "ours by SCRAM", "nobody"],
)
async def test_who_is_not_known_is_refused(let_in: Servers, way: Callable[[Servers], str]):
    with pytest.raises(KafkaConnectionError):
        await write(way(let_in), OWN)


async def test_nobody_comes_in_by_the_controller(let_in: Servers):
    """The platform's user does, which shows that the others are refused for who they are."""
    port = let_in._kafka.controller_port

    async def make(address: str) -> None:
        told = {name: value for name, value in brokers.clients(address).items() if name != "bootstrap_servers"}
        connection = await create_conn("127.0.0.1", port, request_timeout_ms=5000, **told)
        try:
            await connection.send(CreateTopicsRequest([("by.the.controller", 1, 1, [], [])], 5000, True))
        finally:
            connection.close()

    await make(let_in.kafka)
    for address in (department(let_in), department(let_in).replace("scram://", "plain://"), "nobody:1"):
        with pytest.raises((KafkaError, OSError)):
            await make(address)


async def test_what_a_department_may_do_outlives_the_broker(let_in: Servers, broker: Server):
    broker.kill()
    await broker.start()
    await write(department(let_in), OWN)
    with pytest.raises(TopicAuthorizationFailedError):
        await write(department(let_in), OTHERS)


async def test_a_department_that_went_away_is_shut_out_and_another_password_takes_the_place_of_the_old(let_in: Servers):
    rights.grant(let_in.kafka, {"water": "n" * 24}, quiet)
    await _until_refused(lambda: write(department(let_in, "fire"), OTHERS))
    await _until_refused(lambda: write(department(let_in), OWN))
    await write(department(let_in, password="n" * 24), OWN)
    rights.grant(let_in.kafka, {"water": None, "fire": PASSWORDS["fire"]}, quiet)
    await write(department(let_in, password="n" * 24), OWN)
    rights.grant(let_in.kafka, PASSWORDS, quiet)
    for name in PASSWORDS:
        await _until_let_in(let_in, name)


async def _until_refused(attempt: Callable[[], Awaitable[None]]) -> None:
    async def is_refused() -> bool:
        try:
            await attempt()
        except (KafkaConnectionError, TopicAuthorizationFailedError):
            return True
        return False

    await eventually(is_refused, "the department to be refused")


def test_a_department_whose_id_cannot_be_part_of_a_topic_is_told(let_in: Servers):
    told: list[str] = []
    rights.grant(let_in.kafka, {**PASSWORDS, "water.north": "n" * 24}, told.append)
    assert told == ["no topic to publish to for water.north: an id with a dot or a colon cannot be part of its name"]


def test_where_nobody_signs_in_no_rights_are_given_and_that_is_told():
    told: list[str] = []
    rights.grant("127.0.0.1:1", PASSWORDS, told.append)
    assert told == ["Kafka at 127.0.0.1:1 is reached without a user: departments get no rights of their own there"]
