"""The AsyncAPI document is whole, of the version it names, and says of messages what is written and taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from jsonschema import Draft7Validator
from jsonschema.validators import validator_for

from schemas import asyncapi, control, envelope, generate, observation, wire
from schemas.topic import Encoding
from services.gateway import live
from tests.unit.schemas.events import SENSOR_RECORDS, TICKS, observations

DOCUMENT: dict[str, Any] = json.loads(generate.asyncapi_text())
CHANNELS, OPERATIONS, COMPONENTS = DOCUMENT["channels"], DOCUMENT["operations"], DOCUMENT["components"]
MESSAGES = COMPONENTS["messages"]
TOPICS = generate.topics()
ON_TOPICS = [(topic, model) for topic in TOPICS.values() for model in topic.models]
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def fits(place: str, value: Any) -> bool:
    """Say whether a value is what the schema at a place of the document says; its references are within the document."""
    return Draft7Validator({**DOCUMENT, "$ref": f"#/{place}"}, format_checker=Draft7Validator.FORMAT_CHECKER).is_valid(value)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def found(reference: str) -> Any:
    part = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def test_it_has_not_drifted():
    assert asyncapi.FILE.read_text("utf-8") == generate.asyncapi_text(), "run: python -m schemas.generate"


def test_drift_is_told_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(asyncapi, "FILE", tmp_path / "asyncapi.json")
    monkeypatch.setattr(generate, "problems", list)
    monkeypatch.setattr(generate, "write", lambda: None)
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith("schemas/asyncapi.json: differs")
    assert generate.main([]) == generate.main(["--check"]) == 0


# The form, by AsyncAPI 3.0.0; its official parser is JavaScript's

FIELDS = {
    "": {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"},
    "servers": {"host", "protocol", "pathname", "title", "description", "variables", "security", "bindings"},
    "channels": {"address", "messages", "title", "summary", "description", "servers", "parameters", "bindings"},
    "operations": {"action", "channel", "title", "summary", "description", "messages", "reply", "bindings"},
    "components/messages": {"headers", "payload", "contentType", "name", "title", "summary", "description", "bindings", "examples"},
}


@pytest.mark.parametrize("place", FIELDS)
def test_every_object_has_only_the_fields_that_the_specification_names(place: str):
    parts = found(f"#/{place}").values() if place else [DOCUMENT]
    assert parts
    for part in parts:
        assert part.keys() <= FIELDS[place]
    assert DOCUMENT["asyncapi"] == "3.0.0"


def test_every_reference_leads_somewhere():
    for reference in set(references(DOCUMENT)):
        assert found(reference), reference


def test_every_schema_is_one_of_draft_7_and_names_no_place_of_another_document():
    schemas = [*COMPONENTS["schemas"].values(), *(part for message in MESSAGES.values() for part in (message["payload"], message.get("headers", {})))]
    for schema in schemas:
        Draft7Validator.check_schema(schema)
        assert "discriminator" not in schema
        assert "$defs" not in schema
    assert validator_for({"$schema": "http://json-schema.org/draft-07/schema#"}) is Draft7Validator


def test_an_operation_handles_messages_of_its_channel():
    for operation in OPERATIONS.values():
        assert operation["action"] in {"send", "receive"}
        assert operation["messages"]
        assert all(one["$ref"].startswith(f"{operation['channel']['$ref']}/messages/") for one in operation["messages"])


def test_every_part_of_an_address_is_described():
    for channel in CHANNELS.values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == channel.get("parameters", {}).keys()


# The topics


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_is_a_channel_with_what_its_file_says(name: str):
    topic, channel = TOPICS[name], CHANNELS[name]
    kafka = channel["bindings"]["kafka"]
    assert (channel["address"], kafka["partitions"]) == (name, topic.partitions)
    assert kafka["topicConfiguration"].get("retention.ms") == topic.retention_ms
    assert channel["messages"].keys() == set(topic.models)
    writers = [one for one, operation in OPERATIONS.items() if operation["action"] == "send" and operation["channel"]["$ref"] == f"#/channels/{name}"]
    assert len(writers) == 1
    assert {f"{reader}.receive.{name}" for reader in topic.readers} <= OPERATIONS.keys()


@pytest.mark.parametrize(("topic", "model"), ON_TOPICS, ids=[f"{topic.name}-{model}" for topic, model in ON_TOPICS])
def test_the_examples_of_a_topic_are_what_the_document_says(topic: Any, model: str):
    message = MESSAGES[f"{topic.name}.{model}"]
    assert len(message.get("examples", [])) == sum(example.model == model for example in topic.examples)
    for example in message.get("examples", []):
        assert fits(f"components/messages/{topic.name}.{model}/payload", example["payload"])
    assert not fits(f"components/messages/{topic.name}.{model}/payload", {"surprise": 1})


@pytest.mark.parametrize(("topic", "model"), ON_TOPICS, ids=[f"{topic.name}-{model}" for topic, model in ON_TOPICS])
def test_a_record_has_the_headers_that_are_written(topic: Any, model: str):
    message = MESSAGES[f"{topic.name}.{model}"]
    if topic.encoding is Encoding.COMPACT:
        assert "headers" not in message
        assert message["contentType"] == "application/vnd.msgpack"
        return
    kind = envelope.EventType(message["headers"]["properties"]["ce_type"]["const"])
    assert f"type {kind.value}," in topic.mapping
    headers = {name: value.decode() for name, value in envelope.to_headers(id="a", type=kind, source="/b", subject="c", time=NOW)}
    place = f"components/messages/{topic.name}.{model}/headers"
    assert fits(place, headers)
    assert not any(fits(place, {other: value for other, value in headers.items() if other != name}) for name in headers)
    assert not fits(place, {**headers, "ce_type": "cn.tongguan.other.v1"})


def written(record: wire.Record) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in msgspec.msgpack.decode(wire.encode(record))]


@settings(max_examples=20)
@given(observations(), TICKS, SENSOR_RECORDS)
def test_a_compact_record_is_what_the_document_says(event: observation.Observation, tick: control.Tick, sensor: control.SensorRecord):
    for model, record in (
        ("observation.Observation", wire.from_contract(event)),
        ("control.Tick", wire.of_tick(tick)),
        ("control.SensorRecord", wire.of_sensor(sensor)),
    ):
        place = f"components/messages/city.observations.{model}/payload"
        assert fits(place, written(record))
        assert fits(place, [*written(record), "of a later version"])
        assert not fits(place, ["x", *written(record)[1:]])


# What departments publish, and the live protocol

EVENT = {
    "specversion": "1.0",
    "type": "cn.tongguan.observation.v1",
    "id": "7f3c",
    "source": "/departments/water/scada",
    "time": "2026-11-22T08:00:00+08:00",
    "data": {"sensor": "lz-water-dma-01", "values": {"flow": 12.5}},
}


def test_an_event_in_structured_mode_is_the_whole_event():
    place = "components/messages/inbound.structured.observation.Measurement"
    assert fits(f"{place}/payload", EVENT)
    assert fits(f"{place}/payload", {**EVENT, "extension": 1})
    assert not fits(f"{place}/payload", EVENT["data"])
    assert not fits(f"{place}/payload", {**EVENT, "data": {"sensor": "a"}})
    assert not any(fits(f"{place}/payload", {key: value for key, value in EVENT.items() if key != field}) for field in EVENT if field != "time")
    assert fits(f"{place}/headers", {"content-type": "application/cloudevents+json; charset=utf-8"})
    assert not fits(f"{place}/headers", {"content-type": "application/cloudevents-batch+json"})


def test_an_event_in_binary_mode_is_headers_and_data():
    place = "components/messages/inbound.binary.observation.Measurement"
    headers = {f"ce_{name}": EVENT[name] for name in ("specversion", "type", "id", "source")} | {"content-type": "application/json"}
    assert fits(f"{place}/headers", headers)
    assert not fits(f"{place}/headers", {**headers, "ce_type": "cn.tongguan.report.v1"})
    assert fits(f"{place}/payload", EVENT["data"])
    assert not fits(f"{place}/payload", EVENT)


def test_the_live_protocol_is_there_as_the_gateway_speaks_it():
    channel = CHANNELS["live"]
    assert channel["address"] == live.PATH
    for code in (live.GOING_AWAY, live.TOO_SLOW, live.BAD_HELLO, live.UNAUTHORISED, live.FORBIDDEN, live.NO_HELLO):
        assert str(code) in channel["description"]
    assert fits("components/messages/live.Hello/payload", {"type": "hello", "protocol": 1, "region": "620102"})
    assert not fits("components/messages/live.Hello/payload", {"type": "hello"})
    assert OPERATIONS["gateway.receive.live"]["reply"]["messages"] == [{"$ref": "#/channels/live/messages/live.Snapshot"}]
