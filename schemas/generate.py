"""`python -m schemas.generate [--check]`: write what is made of the models of `schemas.catalogue` and of the topics.

That is the JSON Schema of every model in `schemas/json/`, and the AsyncAPI document in `schemas/asyncapi.json`. With `--check` nothing is
written: it names what differs, is missing or belongs to no model, and exits with 1 when there is any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas import asyncapi
from schemas.catalogue import MODELS
from schemas.topic import Topic

HERE = Path(__file__).parent
FOLDER = HERE / "json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Closed(GenerateJsonSchema):
    """Refuses keys that do not match, as the models do; pydantic's own only says what a matching key's value is."""

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        closed = super().dict_schema(schema)
        return {**closed, "additionalProperties": False} if "patternProperties" in closed else closed


class _Written(_Closed):
    """Of what people write in YAML: lengths of time may be seconds, and what is given twice in a set is there once."""

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        return {"anyOf": [super().timedelta_schema(schema), {"type": "number"}]}

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        return _without(super().set_schema(schema), "uniqueItems")

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        return _without(super().frozenset_schema(schema), "uniqueItems")


def _without(schema: JsonSchemaValue, key: str) -> JsonSchemaValue:
    return {name: value for name, value in schema.items() if name != key}


WRITTEN = frozenset({"alerting.Alerting", "mqtt.Mappings", "rule.Rule", "rule_test.RuleTests"})
"""Files that people write."""


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a model by its name in the catalogue."""
    generator = _Written if name in WRITTEN else _Closed
    return {"$schema": DIALECT, "$id": f"urn:tongguan:schema:{name}", **TypeAdapter(MODELS[name]).json_schema(schema_generator=generator)}


def rendered() -> dict[str, str]:
    """Return the text of every file by its name; the same models give the same bytes."""
    return {f"{name}.json": _text(schema_of(name)) for name in MODELS}


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def topics() -> dict[str, Topic]:
    """Return all topics by name; raises `pydantic.ValidationError` where a file does not fit."""
    found = [Topic.model_validate(yaml.safe_load(file.read_text("utf-8"))) for file in sorted((HERE / "topics").glob("*.yaml"))]
    return {topic.name: topic for topic in found}


def asyncapi_text() -> str:
    """Return the text of the AsyncAPI document; the same models and topics give the same bytes."""
    return _text(asyncapi.document(topics().values(), generator=_Closed))


def problems(folder: Path = FOLDER) -> list[str]:
    """Return what in a folder is not as the models say."""
    wanted = rendered()
    present = {file.name: file.read_text("utf-8") for file in folder.glob("*")}
    return [
        *(f"{name}: missing" for name in sorted(wanted.keys() - present.keys())),
        *(f"{name}: belongs to no model" for name in sorted(present.keys() - wanted.keys())),
        *(f"{name}: differs from the model" for name in sorted(wanted.keys() & present.keys()) if wanted[name] != present[name]),
    ]


def write(folder: Path = FOLDER) -> None:
    """Make a folder as the models say."""
    folder.mkdir(exist_ok=True)
    wanted = rendered()
    for file in folder.glob("*"):
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write, or check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description="Write the JSON Schemas and the AsyncAPI document.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is not as the models say")
    if not parser.parse_args(arguments).check:
        write()
        asyncapi.FILE.write_text(asyncapi_text(), "utf-8")
        return 0
    found = [f"json/{problem}" for problem in problems()]
    if not asyncapi.FILE.is_file() or asyncapi.FILE.read_text("utf-8") != asyncapi_text():
        found.append("asyncapi.json: differs from the topics and models")
    for problem in found:
        sys.stderr.write(f"schemas/{problem}\n")
    if found:
        sys.stderr.write("run: python -m schemas.generate\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
