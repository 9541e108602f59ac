"""The topics are made once, as their files say, and an old position is never used on a new topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from services.kit import brokers, topics
from services.kit.errors import Misconfigured
from services.kit.topics import HEALTH, REJECTED
from tests.integration.conftest import quiet
from tests.integration.parts import Servers, delete_topics, eventually, make_topic


@pytest.fixture
def whole(servers: Servers, database: str) -> Iterator[None]:
    """Whatever a test breaks, the session's topics are there afterwards."""
    yield
    asyncio.run(topics.apply(servers.kafka, database, quiet))


def epochs(dsn: str) -> dict[str, str]:
    with psycopg.connect(dsn) as connection:
        return {name: str(epoch) for name, epoch in connection.execute("select name, epoch from kit.topics")}


async def test_a_second_time_changes_nothing(servers: Servers, database: str):
    before = epochs(database)
    assert before.keys() == topics.load().keys()
    told: list[str] = []
    await topics.apply(servers.kafka, database, told.append)
    assert told == []
    assert epochs(database) == before


async def test_the_broker_keeps_them_as_their_files_say(servers: Servers, database: str):
    admin = AIOKafkaAdminClient(**brokers.clients(servers.kafka))
    await admin.start()
    described = {told["topic"]: told for told in await admin.describe_topics(list(topics.load()))}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in topics.load()])
    await admin.close()
    kept = {entry[3]: {setting[0]: setting[1] for setting in entry[4]} for answer in answers for entry in answer.resources}
    for name, topic in topics.load().items():
        assert len(described[name]["partitions"]) == topic.partitions
        wanted = topics.settings_of(topic)
        assert {setting: kept[name][setting] for setting in wanted} == wanted


async def test_each_department_gets_a_topic_of_its_own_if_its_id_can_name_one(servers: Servers, database: str):
    departments, name = ("water", "water.north"), "inbound.water"
    assert topics.inbound(departments) == {"water": name}
    await topics.apply(servers.kafka, database, quiet, departments=departments)
    admin = AIOKafkaAdminClient(**brokers.clients(servers.kafka))
    await admin.start()

    async def is_there() -> list[object]:
        (told,) = await admin.describe_topics([name])
        return list(told["partitions"])

    assert len(await eventually(is_there, name)) == topics.INBOUND_PARTITIONS
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    await admin.close()
    kept = {setting[0]: setting[1] for setting in answer.resources[0][4]}
    assert topics.INBOUND_SETTINGS.items() <= kept.items()
    assert epochs(database).keys() == {*topics.load(), name}
    await delete_topics(servers.kafka, name)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from kit.topics where name = %s", (name,))


async def test_a_topic_that_went_is_made_anew_with_a_new_epoch(servers: Servers, database: str, whole: None):
    before = epochs(database)
    await delete_topics(servers.kafka, HEALTH)
    told: list[str] = []
    await topics.apply(servers.kafka, database, told.append)
    assert told == ["1 topics"]
    after = epochs(database)
    assert after.pop(HEALTH) != before.pop(HEALTH)
    assert after == before


async def test_a_crash_between_making_and_noting_leaves_no_old_epoch(servers: Servers, database: str, whole: None, monkeypatch: pytest.MonkeyPatch):
    before = epochs(database)[HEALTH]
    await delete_topics(servers.kafka, HEALTH)
    create = topics._create

    async def create_and_die(*arguments: object) -> None:
        await create(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(topics, "_create", create_and_die)
    with pytest.raises(KeyboardInterrupt):
        await topics.apply(servers.kafka, database, quiet)
    monkeypatch.undo()
    await topics.apply(servers.kafka, database, quiet)
    assert epochs(database)[HEALTH] != before


async def test_topics_that_are_there_are_noted_in_a_new_database(servers: Servers, database: str):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from kit.topics where name = %s", (REJECTED,))
    await topics.apply(servers.kafka, database, quiet)
    assert REJECTED in epochs(database)


async def test_another_number_of_partitions_is_refused(servers: Servers, database: str, whole: None):
    before = epochs(database)
    await delete_topics(servers.kafka, HEALTH)
    await make_topic(servers.kafka, HEALTH, 2)
    with pytest.raises(Misconfigured, match=r"topic city\.health has 2 partitions, schemas/topics/city\.health\.yaml says 1; .* use an empty broker"):
        await topics.apply(servers.kafka, database, quiet)
    assert epochs(database) == before
    await delete_topics(servers.kafka, HEALTH)
