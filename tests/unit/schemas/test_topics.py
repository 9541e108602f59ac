"""The topics' files: each can be read, is complete, and its examples are what it carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas import control, observation, wire
from schemas.catalogue import MODELS
from schemas.topic import Cleanup, Encoding, Topic
from services.kit import topics

TOPICS = topics.load()
EXAMPLES = [
    pytest.param(topic, example.model, example.value, id=f"{name}-{example.model}") for name, topic in TOPICS.items() for example in topic.examples
]
ROOMS = {"ingest", "rules", "history", "alerts", "gateway"}
CAP_BYTES = 20 << 30
"""What `up` says that the embedded broker may take."""


@pytest.mark.parametrize(("topic", "name", "value"), EXAMPLES)
def test_an_example_is_what_the_topic_carries(topic: Topic, name: str, value: dict[str, Any]):
    assert name in topic.models
    model: BaseModel = TypeAdapter(MODELS[name]).validate_python(value)
    written = model.model_dump_json(by_alias=True)
    assert TypeAdapter(MODELS[name]).validate_json(written) == model


@pytest.mark.parametrize(("topic", "name", "value"), EXAMPLES)
def test_an_example_of_a_hot_topic_travels_in_its_compact_form(topic: Topic, name: str, value: dict[str, Any]):
    if topic.encoding is not Encoding.COMPACT:
        return
    model = TypeAdapter(MODELS[name]).validate_python(value)
    compact = {
        observation.Observation: wire.from_contract,
        control.Tick: wire.of_tick,
        control.SensorRecord: wire.of_sensor,
        control.RuleActivation: wire.of_activation,
    }[type(model)](model)
    assert wire.decode(wire.encode(compact)) == compact
    if isinstance(compact, wire.Observation):
        assert wire.to_contract(compact) == model


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_a_topic_names_who_writes_and_reads_it(topic: Topic):
    assert topic.writer in ROOMS | {"each its own"}
    assert set(topic.readers) <= ROOMS
    # A region's rules judge what streets' made; ingest lays out what it refused, and each of its nodes knows what another registered.
    assert topic.writer not in topic.readers or topic.name in {topics.DERIVED, topics.REJECTED, topics.SENSORS}


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_every_model_of_a_topic_is_published(topic: Topic):
    assert topic.models
    assert set(topic.models) <= MODELS.keys()


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_a_topic_is_bounded_or_compacted(topic: Topic):
    settings = topics.settings_of(topic)
    if topic.cleanup is Cleanup.COMPACT:
        assert (topic.retention, topic.retention_bytes) == (None, None)
        assert settings["cleanup.policy"] == "compact"
        return
    assert topic.retention_ms
    assert topic.retention_bytes
    assert settings["retention.ms"] == str(topic.retention_ms)
    assert int(settings["segment.bytes"]) * 4 <= max(topic.retention_bytes, 4 << 20)
    assert int(settings["max.message.bytes"]) <= int(settings["segment.bytes"])


def test_all_topics_together_stay_under_the_cap():
    assert sum((topic.retention_bytes or 0) * topic.partitions for topic in TOPICS.values()) <= CAP_BYTES


def test_every_name_in_the_kit_is_a_topic_and_every_topic_has_a_name_there():
    named = {value for name, value in vars(topics).items() if name.isupper() and isinstance(value, str)}
    assert named == TOPICS.keys()


def test_a_file_is_named_after_its_topic():
    folder = Path(__file__).parents[3] / "schemas" / "topics"
    assert {file.stem for file in folder.iterdir()} == TOPICS.keys()


@pytest.mark.parametrize(
    ("field", "value"),
    [("retention", "7"), ("retention", "7h"), ("retention_bytes", "640MB"), ("partitions", 0), ("cleanup", "never"), ("exmples", [])],
)
def test_what_a_file_may_not_say(field: str, value: object):
    good = TOPICS[topics.REJECTED].model_dump(mode="json")
    with pytest.raises(ValidationError):
        Topic.model_validate({**good, field: value})


def test_units():
    good = {**TOPICS[topics.REJECTED].model_dump(mode="json"), "retention": "2d", "retention_bytes": "3GiB"}
    topic = Topic.model_validate(good)
    assert topic.retention_ms == 2 * 24 * 3600 * 1000
    assert topic.retention_bytes == 3 * 1024**3
