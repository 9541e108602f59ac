"""The AsyncAPI 3.0 document: the topics, what departments publish themselves, and the live protocol of the gateway.

It is written as `schemas/asyncapi.json` by `schemas.generate`. What stands in it of a topic comes from its file and its models. The schemas are
AsyncAPI's own, a superset of JSON Schema draft 7.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from schemas import live, wire
from schemas.catalogue import MODELS
from schemas.envelope import CONTENT_TYPE, SPEC_VERSION, EventType
from schemas.topic import Encoding, Example, Topic

FILE = Path(__file__).parent / "asyncapi.json"
MEDIA_TYPE = "application/vnd.aai.asyncapi+json;version=3.0.0"
VERSION = "1.0.0"
"""Of the interfaces, not of the product: the types of events end in `.v1`, the live protocol's number is 1."""

Part = dict[str, Any]
"""A part of the document."""

_TYPES = {
    "action.WarningActions": EventType.WARNING_ACTIONS,
    "audit.AuditEntry": EventType.AUDIT,
    "command.Command": EventType.COMMAND,
    "control.RuleActivation": EventType.RULE,
    "health.Heartbeat": EventType.HEALTH,
    "notification.Notification": EventType.NOTIFICATION,
    "observation.Measurement": EventType.OBSERVATION,
    "rejected.Rejected": EventType.REJECTED,
    "report.Report": EventType.REPORT,
    "report.Reported": EventType.REPORT,
    "sensor.Sensor": EventType.SENSOR,
    "warning.Warning": EventType.WARNING,
}
"""The CloudEvents type under which a model travels as JSON."""
_COMPACT: dict[str, Any] = {
    "control.RuleActivation": (wire.Activation, wire.of_activation),
    "control.SensorRecord": (wire.Sensor, wire.of_sensor),
    "control.Tick": (wire.Tick, wire.of_tick),
    "observation.Observation": (wire.Observation, wire.from_contract),
}
"""The struct by which a model travels on a hot topic, and what makes it."""
_STRUCTURED = "application/cloudevents+json"
_MESSAGE_PACK = "application/vnd.msgpack"
_GIVEN = ("observation.Measurement", "report.Reported")
_FRAMES = ("live.Hello", "live.Snapshot", "live.Delta", "live.Heartbeat")
_INBOUND = """\
What a department publishes itself, under its own rights, instead of by HTTP; ingest reads, validates and answers nothing: what it refuses stands \
with its reason on city.rejected. The key is free. CloudEvents 1.0 by the Kafka protocol binding, in structured mode (the event as JSON is the \
value, the header content-type says application/cloudevents+json) or in binary mode (ce_ headers, the value is the data). Batches are not taken. \
Kept for seven days."""


def document(topics: Iterable[Topic], *, generator: type[GenerateJsonSchema]) -> Part:
    """Return the document of these topics; `generator` makes the JSON Schemas of the models."""
    known = sorted(topics, key=lambda topic: topic.name)
    names = sorted({model for topic in known if topic.encoding is Encoding.JSON for model in topic.models} | {*_GIVEN, *_FRAMES})
    payloads, schemas = _schemas(names, generator)
    messages = {
        **{f"{topic.name}.{model}": _of_topic(topic, model, payloads) for topic in known for model in topic.models},
        **{f"inbound.{mode}.{model}": make(model, payloads[model]) for model in _GIVEN for mode, make in _MODES.items()},
        **{name: _message(name, payloads[name], "application/json") for name in _FRAMES},
    }
    return {
        "asyncapi": "3.0.0",
        "id": "urn:tongguan:events",
        "info": {"title": "Tongguan 统管", "version": VERSION, "description": inspect.cleandoc(__doc__), "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": {**{topic.name: _channel(topic) for topic in known}, "inbound": _inbound(), "live": _live()},
        "operations": {**dict(_operations(known)), **_LIVE_OPERATIONS},
        "components": {"schemas": schemas, "messages": messages, "securitySchemes": {"session": _SESSION}},
    }


_SERVERS: Part = {
    "kafka": {
        "host": "{brokers}",
        "protocol": "kafka-secure",
        "description": "The city's Kafka, with TLS or not (kafka). A department has rights on its own inbound topic; all others are the platform's.",
        "variables": {"brokers": {"default": "localhost:9092", "description": "Given by who runs the platform, with the means of signing in."}},
    },
    "gateway": {
        "host": "{gateway}",
        "protocol": "wss",
        "description": "The gateway's own origin, which serves REST, the pages and the live protocol; ws where it is reached without TLS.",
        "variables": {"gateway": {"default": "localhost:8800"}},
        "security": [{"$ref": "#/components/securitySchemes/session"}],
    },
}
_SESSION: Part = {
    "type": "httpApiKey",
    "in": "cookie",
    "name": "__Host-tongguan",
    "description": "A browser's session (`tongguan` without TLS). A machine has none: its token is in the hello.",
}


def _schemas(names: list[str], generator: type[GenerateJsonSchema]) -> tuple[dict[str, Part], dict[str, Part]]:
    """Return the payload of each model by its name, and the definitions that they refer to."""
    adapters = [(name, "validation", TypeAdapter[Any](MODELS[name])) for name in names]
    made, shared = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}", schema_generator=generator)  # type: ignore[arg-type]
    payloads = {name: _plain(made[name, "validation"]) for name in names}
    return payloads, {name: _plain(schema) for name, schema in shared["$defs"].items()}


def _plain(schema: Any) -> Any:
    """Return a schema without `discriminator`, which is another thing in AsyncAPI than in OpenAPI."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not (key == "discriminator" and isinstance(value, dict) and "oneOf" in schema)}
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema


def _message(name: str, payload: Part, content_type: str, **more: Any) -> Part:
    says = inspect.getdoc(MODELS[name])
    summary = {"summary": says.partition("\n")[0]} if isinstance(MODELS[name], type) and says else {}
    return {"name": name, "title": name.partition(".")[2], **summary, "contentType": content_type, "payload": payload, **more}


def _of_topic(topic: Topic, model: str, payloads: dict[str, Part]) -> Part:
    """Return the message by which a model stands on a topic."""
    bindings = {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}}
    examples = [example for example in topic.examples if example.model == model]
    if topic.encoding is Encoding.COMPACT:
        return _message(
            model, _array(model), _MESSAGE_PACK, bindings=bindings, **_examples({"payload": _compact_example(example)} for example in examples)
        )
    headers = _headers(_TYPES[model], ("subject", "time"))
    return _message(
        model, payloads[model], "application/json", headers=headers, bindings=bindings, **_examples({"payload": e.value} for e in examples)
    )


def _examples(found: Iterable[Part]) -> Part:
    examples = list(found)
    return {"examples": examples} if examples else {}


def _array(model: str) -> Part:
    """Return the schema of a compact value: an array by position, at whose end later versions may have more."""
    struct = _COMPACT[model][0]
    (made,) = msgspec.json.schema(struct)["$defs"].values()
    items = made["prefixItems"]
    for name, item in zip(("kind", *struct.__struct_fields__), items, strict=True):
        item["title"] = name
        if item.pop("contentEncoding", None):
            item |= {"contentMediaType": "application/json", "description": f"{model} as JSON, in MessagePack's bin."}
    return {"title": made["title"], "description": made["description"], "type": "array", "items": items, "minItems": made["minItems"]}


def _compact_example(example: Example) -> list[Any]:
    record = _COMPACT[example.model][1](TypeAdapter(MODELS[example.model]).validate_python(example.value))
    values = msgspec.msgpack.decode(wire.encode(record))
    return [value.decode() if isinstance(value, bytes) else value for value in values]


_CONTEXT: dict[str, Part] = {
    "id": {"type": "string", "minLength": 1, "description": "Unique with the source."},
    "source": {"type": "string", "minLength": 1, "format": "uri-reference"},
    "subject": {"type": "string", "minLength": 1},
    "time": {"type": "string", "format": "date-time"},
}
_TRACE: Part = {"type": "string", "description": "W3C Trace Context."}


def _headers(kind: EventType, required: Iterable[str]) -> Part:
    """Return the Kafka headers of a CloudEvent in binary mode; header names have a case, values are UTF-8 text."""
    attributes = {f"ce_{name}": schema for name, schema in _attributes(kind).items()}
    needed = [*(f"ce_{name}" for name in ("specversion", "type", "id", "source", *required)), "content-type"]
    content_type = {"type": "string", "const": CONTENT_TYPE.decode()}
    return {"type": "object", "required": needed, "properties": {**attributes, "content-type": content_type, "traceparent": _TRACE}}


def _attributes(kind: EventType) -> dict[str, Part]:
    return {"specversion": {"type": "string", "const": SPEC_VERSION}, "type": {"type": "string", "const": kind.value}, **_CONTEXT}


def _binary(model: str, payload: Part) -> Part:
    return _message(model, payload, "application/json", headers=_headers(_TYPES[model], ()))


def _structured(model: str, payload: Part) -> Part:
    event = {
        "type": "object",
        "required": ["specversion", "type", "id", "source", "data"],
        "properties": {
            **_attributes(_TYPES[model]),
            "datacontenttype": {"type": "string", "const": CONTENT_TYPE.decode()},
            "traceparent": _TRACE,
            "data": payload,
        },
    }
    content_type = {"type": "string", "pattern": r"^application/cloudevents\+json(;.*)?$"}
    headers = {"type": "object", "required": ["content-type"], "properties": {"content-type": content_type}}
    return _message(model, event, _STRUCTURED, headers=headers)


_MODES = {"binary": _binary, "structured": _structured}


def _channel(topic: Topic) -> Part:
    retention = {"retention.ms": topic.retention_ms, "retention.bytes": topic.retention_bytes}
    configuration = {"cleanup.policy": [topic.cleanup.value], **{name: value for name, value in retention.items() if value is not None}}
    return {
        "address": topic.name,
        "title": topic.name,
        "summary": topic.says,
        "description": topic.mapping,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {model: {"$ref": f"#/components/messages/{topic.name}.{model}"} for model in topic.models},
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": configuration, "bindingVersion": "0.5.0"}},
    }


def _inbound() -> Part:
    names = [f"{mode}.{model}" for model in _GIVEN for mode in _MODES]
    return {
        "address": "inbound.{department}",
        "title": "inbound.<department>",
        "summary": "What a department publishes itself.",
        "description": _INBOUND,
        "servers": [{"$ref": "#/servers/kafka"}],
        "parameters": {"department": {"description": "The department's code; one with a dot or a colon has no topic.", "examples": ["water"]}},
        "messages": {name: {"$ref": f"#/components/messages/inbound.{name}"} for name in names},
    }


def _live() -> Part:
    return {
        "address": "/v1/live",
        "title": "live",
        "summary": "What a region's dashboards show, live.",
        "description": inspect.cleandoc(live.__doc__ or ""),
        "servers": [{"$ref": "#/servers/gateway"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _FRAMES},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


def _operations(topics: Iterable[Topic]) -> Iterator[tuple[str, Part]]:
    """Yield what the platform's rooms do, by `<room>.<action>.<channel>`."""
    for topic in topics:
        writer = topic.writer if topic.writer.isidentifier() else "all"
        for room, action in ((writer, "send"), *((reader, "receive") for reader in topic.readers)):
            yield f"{room}.{action}.{topic.name}", _operation(room, action, topic.name, topic.models)
    given = [f"{mode}.{model}" for model in _GIVEN for mode in _MODES]
    yield "ingest.receive.inbound", _operation("ingest", "receive", "inbound", given)


def _operation(room: str, action: str, channel: str, messages: Iterable[str]) -> Part:
    return {
        "action": action,
        "title": f"{room} {'writes' if action == 'send' else 'reads'} {channel}",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"} for message in messages],
    }


_LIVE_OPERATIONS: Part = {
    "gateway.receive.live": {
        **_operation("gateway", "receive", "live", ["live.Hello"]),
        "reply": {"channel": {"$ref": "#/channels/live"}, "messages": [{"$ref": "#/channels/live/messages/live.Snapshot"}]},
    },
    "gateway.send.live": _operation("gateway", "send", "live", ["live.Delta", "live.Heartbeat"]),
}
