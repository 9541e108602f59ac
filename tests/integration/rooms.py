"""What tests of rules, history, alerts and gateway share: topics and a database of their own, a small city, and what others would publish."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import wire
from schemas.partitioner import partition_of
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.kit import brokers, migrations, topics
from services.kit.producer import Outgoing, Producer
from services.kit.topics import OBSERVATIONS, WARNINGS
from tests.integration.parts import Servers, delete_topics, eventually
from tests.unit.gateway.city import CITY, DISTRICT, STREET, TREE, name

TOKENS = {CITY: "tgr_city", DISTRICT: "tgr_district", STREET: "tgr_street"}


@pytest.fixture(name="database", scope="module")
def fresh_database(servers: Servers) -> Iterator[str]:
    """A new, migrated database of this module, with all topics made anew: what services read is what the module wrote."""
    with made_anew(servers) as dsn:
        yield dsn


@contextlib.contextmanager
def made_anew(servers: Servers) -> Iterator[str]:
    """Yield the address of a new, migrated database, with all topics made anew."""
    with servers.database() as dsn:
        migrations.migrate(dsn, _quiet)
        asyncio.run(_delete_all(servers.kafka))
        asyncio.run(topics.apply(servers.kafka, dsn, _quiet))
        asyncio.run(_settled(servers.kafka))
        yield dsn


def _quiet(_: str) -> None:
    """Report nothing."""


async def _delete_all(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(**brokers.clients(bootstrap))
    await admin.start()
    try:
        present = set(await admin.list_topics()) & topics.load().keys()
    finally:
        await admin.close()
    if present:
        await delete_topics(bootstrap, *present)


async def _settled(bootstrap: str) -> None:
    """Wait until all topics can be written to: a client that asks too early knows of none for a minute."""
    admin = AIOKafkaAdminClient(**brokers.clients(bootstrap))
    await admin.start()
    try:

        async def have_leaders() -> bool:
            told = await admin.describe_topics(list(topics.load()))
            return all(not one["error_code"] and all(partition["leader"] >= 0 for partition in one["partitions"]) for one in told)

        await eventually(have_leaders, "the topics")
    finally:
        await admin.close()


def write_city(folder: Path, rules: Sequence[dict[str, Any]] = ()) -> Path:
    """Write the folder of the small city of `tests.unit.gateway.city`."""
    (folder / "rules").mkdir(parents=True)
    head = {
        "code": CITY,
        "name": name("试验市").model_dump(),
        "timezone": "Asia/Shanghai",
        "demo_regions": list(TOKENS),
        "departments": [{"id": each, "name": name(f"部门 {each}").model_dump()} for each in ("d", "e")],
    }
    regions = [region.model_dump(mode="json") for region in TREE]
    for file, content in (("city.yaml", head), ("regions.yaml", regions), ("sensors.yaml", [])):
        (folder / file).write_text(yaml.safe_dump(content, allow_unicode=True))
    for rule in rules:
        (folder / "rules" / f"{rule['id']}.yaml").write_text(yaml.safe_dump(rule, allow_unicode=True))
    return folder


def write_secrets(file: Path, users: Sequence[dict[str, Any]] = ()) -> Path:
    """Write the tokens of `TOKENS`, and users to begin with."""
    file.write_text(json.dumps({"department_keys": {}, "region_tokens": TOKENS, "users": users, "session_key": "k" * 32}))
    return file


def partition_for(street: str) -> int:
    """Return the partition of `city.observations` of a street."""
    return partition_of(street.encode(), topics.load()[OBSERVATIONS].partitions)


async def publish_records(producer: Producer, partition: int, records: Iterable[wire.Record | bytes]) -> None:
    """Write to a partition of `city.observations`; what is no record goes as it is."""
    values = [wire.encode(record) if isinstance(record, wire.Record) else record for record in records]
    await producer.publish(OBSERVATIONS, [Outgoing(value, partition=partition) for value in values])


async def publish_warnings(producer: Producer, warnings: Iterable[Warning | bytes]) -> None:
    """Write to `city.warnings` as rules does."""
    outgoing = [
        Outgoing(one.model_dump_json().encode(), key=one.subject.encode()) if isinstance(one, Warning) else Outgoing(one, key=b"s1/flow")
        for one in warnings
    ]
    await producer.publish(WARNINGS, outgoing)


def all_partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in range(topics.load()[topic].partitions)]
