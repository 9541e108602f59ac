"""`python -m schemas.generate [--check]`: write the JSON Schema of every model of `schemas.catalogue` into `schemas/json/`.

With `--check` nothing is written: it names what differs, is missing or belongs to no model, and exits with 1 when there is any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas.catalogue import MODELS

FOLDER = Path(__file__).parent / "json"
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


WRITTEN = frozenset({"alerting.Alerting", "rule.Rule", "rule_test.RuleTests"})
"""Files that people write."""


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a model by its name in the catalogue."""
    generator = _Written if name in WRITTEN else _Closed
    return {"$schema": DIALECT, "$id": f"urn:tongguan:schema:{name}", **TypeAdapter(MODELS[name]).json_schema(schema_generator=generator)}


def rendered() -> dict[str, str]:
    """Return the text of every file by its name; the same models give the same bytes."""
    return {f"{name}.json": json.dumps(schema_of(name), ensure_ascii=False, indent=2, sort_keys=True) + "\n" for name in MODELS}


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
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description="Write the JSON Schemas of the events.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is not as the models say")
    if not parser.parse_args(arguments).check:
        write()
        return 0
    found = problems()
    for problem in found:
        sys.stderr.write(f"schemas/json/{problem}\n")
    if found:
        sys.stderr.write("run: python -m schemas.generate\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
