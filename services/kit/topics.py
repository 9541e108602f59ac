"""The topics: read from `schemas/topics/`, and one for each department to publish to, made on the broker where they are missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import psycopg
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from schemas.topic import Cleanup, Topic
from services.kit import brokers
from services.kit.errors import Misconfigured, Unavailable

OBSERVATIONS = "city.observations"
DERIVED = "city.derived"
SENSORS = "city.sensors"
RULES = "city.rules"
WARNINGS = "city.warnings"
NOTIFICATIONS = "city.notifications"
REPORTS = "city.reports"
REJECTED = "city.rejected"
HEALTH = "city.health"
COMMANDS = "city.commands"
ACTIONS = "city.warning.actions"
AUDIT = "city.audit"

INBOUND_PARTITIONS = 6
"""Of a department's topic: its own key decides where a record goes, and six readers of ours are enough for the busiest."""
INBOUND_SETTINGS: Mapping[str, str] = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048576",
    "retention.ms": str(7 * 86_400_000),
    # Of each partition, so 192 MiB a department: a week of an event each second or two. What ingest has taken in is kept by it.
    "retention.bytes": str(32 << 20),
    "segment.bytes": str(8 << 20),
}
_NAMED = re.compile(r"[A-Za-z0-9_-]+")
"""An id that can be part of a topic's name, and after which a dot ends a department's part of it."""

_UNKNOWN_TOPIC = 3
_ALREADY_EXISTS = 36


@cache
def load() -> dict[str, Topic]:
    """Return all topics by name; raises `pydantic.ValidationError` where a file does not fit."""
    files = sorted((resources.files("schemas") / "topics").iterdir(), key=lambda file: file.name)
    topics = [Topic.model_validate(yaml.safe_load(file.read_text("utf-8"))) for file in files if file.name.endswith(".yaml")]
    return {topic.name: topic for topic in topics}


def settings_of(topic: Topic) -> dict[str, str]:
    """Return the settings with which the broker keeps a topic."""
    settings = {"cleanup.policy": topic.cleanup.value, "max.message.bytes": "1048576"}
    if topic.retention_ms is not None:
        settings["retention.ms"] = str(topic.retention_ms)
    if topic.retention_bytes is not None:
        settings["retention.bytes"] = str(topic.retention_bytes)
        settings["segment.bytes"] = str(min(max(topic.retention_bytes // 4, 1 << 20), 1 << 30))
    if topic.cleanup is Cleanup.COMPACT:
        settings |= {"min.cleanable.dirty.ratio": "0.1", "segment.ms": "3600000"}
    return settings


def inbound(departments: Iterable[str]) -> dict[str, str]:
    """Return the topic to which each of these departments publishes; none for one whose id has a dot or a colon."""
    return {department: f"inbound.{department}" for department in departments if _NAMED.fullmatch(department)}


def wanted(departments: Iterable[str], replication: int) -> dict[str, NewTopic]:
    """Return all topics by name, as they are made."""
    ours = [NewTopic(topic.name, topic.partitions, replication, topic_configs=settings_of(topic)) for topic in load().values()]
    theirs = [NewTopic(name, INBOUND_PARTITIONS, replication, topic_configs=dict(INBOUND_SETTINGS)) for name in inbound(departments).values()]
    return {topic.name: topic for topic in (*ours, *theirs)}


async def apply(address: str, dsn: str, report: Callable[[str], None], *, departments: Iterable[str] = (), replication: int = 1) -> None:
    """Make the topics that are missing, those of the departments, too, and note a new epoch (`kit.topics`) for each that is made.

    Positions that services keep are of one epoch, so that none is used on a topic that was made anew. Raises `Misconfigured` when a topic
    has another number of partitions than its file says: keys would change their partition; `Unavailable` when the broker cannot tell.
    """
    topics = wanted(departments, replication)
    admin = AIOKafkaAdminClient(**brokers.clients(address))
    await admin.start()
    try:
        present = _present(await admin.describe_topics(list(topics)))
        _refuse_other_partitions(load().values(), present)
        missing = [topic for name, topic in topics.items() if name not in present]
        # First the epochs: were they noted after, a crash in between would leave old positions in force on new topics.
        _note_epochs(dsn, [topic.name for topic in missing], list(present))
        if missing:
            report(f"{len(missing)} topics")
            await _create(admin, missing)
    finally:
        await admin.close()


def _present(described: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return the partitions of the topics that are there. A topic of which the broker cannot tell now is not taken for one that is missing."""
    present: dict[str, int] = {}
    for entry in described:
        if entry["error_code"] not in (0, _UNKNOWN_TOPIC):
            raise Unavailable(f"Kafka cannot describe topic {entry['topic']} now: {for_code(entry['error_code']).__name__}")
        if not entry["error_code"]:
            present[entry["topic"]] = len(entry["partitions"])
    return present


def _refuse_other_partitions(topics: Iterable[Topic], present: dict[str, int]) -> None:
    for topic in topics:
        if topic.name in present and present[topic.name] != topic.partitions:
            raise Misconfigured(
                f"topic {topic.name} has {present[topic.name]} partitions, schemas/topics/{topic.name}.yaml says {topic.partitions}; "
                "partitions are fixed when a topic is made: use an empty broker, or set the file to what is there"
            )


async def _create(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> None:
    answer = await admin.create_topics(topics, timeout_ms=20_000)
    for name, code, *message in answer.topic_errors:
        if code not in (0, _ALREADY_EXISTS):
            raise Misconfigured(f"Kafka did not make topic {name}: {for_code(code).__name__} {message}")


def _note_epochs(dsn: str, made: list[str], present: list[str]) -> None:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        for name in made:
            connection.execute(
                "insert into kit.topics (name) values (%s) on conflict (name) do update set epoch = gen_random_uuid(), made_at = now()", (name,)
            )
        for name in present:
            connection.execute("insert into kit.topics (name) values (%s) on conflict do nothing", (name,))
