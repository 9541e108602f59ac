"""The topics: read from `schemas/topics/`, made on the broker where they are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import Any

import psycopg
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from schemas.topic import Cleanup, Topic
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


async def apply(bootstrap: str, dsn: str, report: Callable[[str], None], *, replication: int = 1) -> None:
    """Make the topics that are missing, and note a new epoch (`kit.topics`) for each that is made.

    Positions that services keep are of one epoch, so that none is used on a topic that was made anew. Raises `Misconfigured` when a topic
    has another number of partitions than its file says: keys would change their partition; `Unavailable` when the broker cannot tell.
    """
    topics = load()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        present = _present(await admin.describe_topics(list(topics)))
        _refuse_other_partitions(topics.values(), present)
        missing = [topic for topic in topics.values() if topic.name not in present]
        # First the epochs: were they noted after, a crash in between would leave old positions in force on new topics.
        _note_epochs(dsn, [topic.name for topic in missing], list(present))
        if missing:
            report(f"{len(missing)} topics")
            await _create(admin, missing, replication)
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


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], replication: int) -> None:
    new = [NewTopic(topic.name, topic.partitions, replication, topic_configs=settings_of(topic)) for topic in topics]
    answer = await admin.create_topics(new, timeout_ms=20_000)
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
