"""`python -m schemas.compatibility --check | --release`: what was released can be read by what is here.

Compared are the JSON Schemas of what crosses time or organisations with those of the last release, which are kept in `schemas/released/`: the
models of topics, which stand there for up to 400 days, and what departments, authors of rules and cities give us. So are the structs of
`schemas.wire` (`wire.json`) and what may not change of a topic (`topics.json`). Answers of REST are not: their pages come with them.

*Backward* is an error: the new reader must take everything that the old schema allowed, and a field left out must mean the same. *Forward* is
told of topics' models and is no error: models refuse unknown fields, so a reader of the last release passes over (counted, logged) a record
with a new field or a new value. Hence one way to upgrade while running: first all rooms that read a topic, then the one that writes it; where
a room reads and another one writes both ways, stop both. The structs of `schemas.wire` need no order: readers skip fields at the end.

What validators of the models refuse beyond their schemas is not seen here; making one of them stricter is a new version of the type too.
`--release` writes the baseline anew, and refuses where something broke. To break on purpose, delete the baseline's file in the same commit.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from schemas import generate, wire
from schemas.topic import Topic

FOLDER = Path(__file__).parent / "released"
GIVEN = ("alerting.Alerting", "observation.Measurement", "report.Reported", "rule.Rule", "rule_test.RuleTests")
"""What departments, authors of rules and cities give."""
TOPICS = "topics"
WIRE = "wire"

Schema = Mapping[str, Any]


class Reason(StrEnum):
    """Why something is a break."""

    REQUIRED = "required"
    GONE = "gone"
    TYPE = "type"
    KIND = "kind"
    VALUES = "values"
    BOUND = "bound"
    PATTERN = "pattern"
    DEFAULT = "default"
    FIXED = "fixed"
    UNKNOWN = "unknown"


_NEW_TYPE = "keep it, or make a new version of the type (.v2) beside this one"
MEND = {
    Reason.REQUIRED: "give it a default",
    Reason.GONE: "keep it as optional, with a default, and read it no more",
    Reason.TYPE: "add a field of the new type, optional and with a default, beside the old one",
    Reason.KIND: "keep the kind, and write it no more",
    Reason.VALUES: "keep the value, and write it no more",
    Reason.BOUND: _NEW_TYPE,
    Reason.PATTERN: _NEW_TYPE,
    Reason.DEFAULT: "keep the default: who leaves the field out means the old one",
    Reason.FIXED: "put it back: what stands on topics was written by it",
    Reason.UNKNOWN: "teach schemas/compatibility.py to compare it",
}


@dataclass(frozen=True, order=True)
class Break:
    """Something that was taken and is not any more."""

    path: str
    """`<type>.<field>`; `[]` is any item of an array, `*` any key that has no field of its own."""
    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}; mend: {MEND[self.reason]}"


def breaks(old: Schema, new: Schema) -> list[Break]:
    """Return where a new schema refuses what an old one took; none only when everything that fits the old one fits the new one.

    Both are of dialect 2020-12 as pydantic writes it, with their `$defs`. What cannot be proven is a break: a pattern of other text, a union
    that only together takes what one schema took, an unknown keyword that has changed. `format` counts as a constraint, `oneOf` as `anyOf`.
    """
    return sorted(set(_Comparison(old, new).between(old, new, str(old.get("title", "$")))))


_ANYTHING: Schema = {}
_NAME: Schema = {"type": "string"}
_ANNOTATIONS = frozenset({"$defs", "$id", "$ref", "$schema", "default", "description", "discriminator", "examples", "title"})
_TEXT = ("format", "pattern")
_OBJECT = frozenset({"additionalProperties", "maxProperties", "minProperties", "patternProperties", "properties", "propertyNames", "required"})
_ARRAY = frozenset({"items", "maxItems", "minItems", "uniqueItems"})
_SCALAR = frozenset({
    *_TEXT, "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "maxLength", "maximum", "minLength", "minimum", "multipleOf", "type"
})  # fmt: skip
_KNOWN = _ANNOTATIONS | _OBJECT | _ARRAY | _SCALAR | {"anyOf", "oneOf"}


class _Comparison:
    """Of two documents; recursion ends where a pair of schemas meets itself, which is assumed to hold while it is looked at."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old: Schema = old.get("$defs", {})
        self._new: Schema = new.get("$defs", {})
        self._open: set[tuple[int, int]] = set()

    def between(self, old: Schema, new: Schema, path: str) -> list[Break]:
        """Return the breaks of one schema; of a definition, the path begins with its name."""
        while "$ref" in old:
            path = old["$ref"].rpartition("/")[2]
            old = self._old[path]
        while "$ref" in new:
            new = self._new[new["$ref"].rpartition("/")[2]]
        pair = id(old), id(new)
        if pair in self._open:
            return []
        self._open.add(pair)
        try:
            return list(self._either(old, new, path))
        finally:
            self._open.discard(pair)

    def _either(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        if branches := _branches(old):
            for branch in branches:
                yield from self.between(branch, new, path)
        elif branches := _branches(new):
            yield from self._among(old, branches, path)
        else:
            yield from self._all(old, new, path)

    def _among(self, old: Schema, branches: Sequence[Schema], path: str) -> Iterator[Break]:
        """Yield the breaks with the branch that is nearest; several values may each have a branch of their own."""
        if len(values := _values(old) or ()) > 1:
            for value in values:
                yield from self._among({"const": value}, branches, path)
            return
        near, far = min((_distance(self.between(old, branch, path), path) for branch in branches), key=lambda found: (len(found[1]), len(found[0])))
        yield from far or near

    def _all(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        for keyword in sorted(new.keys() - _KNOWN):
            if old.get(keyword) != new[keyword]:
                yield Break(path, Reason.UNKNOWN, f"{keyword} has changed")
        values = _values(old)
        if values is not None:
            kind = Reason.KIND if "const" in old else Reason.VALUES
            yield from (Break(path, kind, f"{value!r} is refused") for value in values if not _takes(value, new))
        elif (allowed := _values(new)) is not None:
            yield Break(path, Reason.VALUES, f"only {', '.join(map(repr, allowed))} may be")
        elif not _types(old) <= _types(new):
            yield Break(path, Reason.TYPE, f"was {_said(old)}, is {_said(new)}")
        else:
            yield from _narrowed(old, new, path)
            if "array" in _types(old):
                yield from self._items(old, new, path)
            if "object" in _types(old) and _OBJECT & new.keys():
                yield from self._fields(old, new, path)

    def _items(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        if new.get("uniqueItems") and not old.get("uniqueItems"):
            yield Break(path, Reason.BOUND, "an item may be there once only")
        if "items" in new:
            yield from self.between(old.get("items", _ANYTHING), new["items"], f"{path}[]")

    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        for name in new.get("required", ()):
            if name not in old.get("required", ()):
                yield Break(f"{path}.{name}", Reason.REQUIRED, "is required now")
        for name in {**old.get("properties", {}), **new.get("properties", {})}:
            was, now = _under(old, name), _under(new, name)
            if was is not None:
                yield from self._field(was, now, f"{path}.{name}")
        yield from self._keys(old, new, path)

    def _field(self, was: Schema, now: Schema | None, path: str) -> Iterator[Break]:
        if now is None:
            yield Break(path, Reason.GONE, "is refused")
            return
        if "default" in was and "default" in now and was["default"] != now["default"]:
            yield Break(path, Reason.DEFAULT, f"left out it meant {was['default']!r}, and means {now['default']!r}")
        yield from self.between(was, now, path)

    def _keys(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        """Yield the breaks of what has no field of its own."""
        path = f"{path}.*"
        were, are = old.get("patternProperties", {}), new.get("patternProperties", {})
        rest, remains = _others(old), _others(new)
        if more := are.keys() - were.keys():
            yield Break(path, Reason.PATTERN, f"keys were {' or '.join(were) or 'free'}, and are {' or '.join(more)}")
            return
        for pattern, was in were.items():
            yield from self._field(was, are.get(pattern, None if are else remains), path)
        if rest is not None:
            yield from self._field(rest, remains, path)
        if "propertyNames" in new:
            yield from self.between(old.get("propertyNames", _NAME), new["propertyNames"], path)


def _branches(schema: Schema) -> Sequence[Schema]:
    branches: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or ()
    return branches


def _distance(found: Sequence[Break], path: str) -> tuple[Sequence[Break], Sequence[Break]]:
    """Return the breaks with a branch, and those of them which say that it is of another type or kind, and has nothing to do with what was taken."""
    far = [one for one in found if one.path == path and one.reason in {Reason.TYPE, Reason.KIND, Reason.VALUES}]
    return found, far or [one for one in found if one.path.rpartition(".")[0] == path and one.reason is Reason.KIND]


def _values(schema: Schema) -> Sequence[Any] | None:
    """Return the values that a schema lists; None when it lists none."""
    if "const" in schema:
        return [schema["const"]]
    values: Sequence[Any] | None = schema.get("enum")
    return values


_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def _types(schema: Schema) -> frozenset[str]:
    """Return the types that a schema takes; a number may be an integer."""
    given = schema.get("type", _TYPES)
    types = frozenset([given] if isinstance(given, str) else given)
    return types | {"integer"} if "number" in types else types


def _said(schema: Schema) -> str:
    return str(schema.get("type", "anything"))


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", list: "array", dict: "object"}


def _takes(value: Any, schema: Schema) -> bool:
    """Say whether a schema without alternatives takes a scalar value."""
    allowed = _values(schema)
    if allowed is not None:
        return any(type(value) is type(one) and value == one for one in allowed)
    exact: dict[str, Any] = {"type": _JSON_TYPES[type(value)]}
    if isinstance(value, str):
        exact |= {"minLength": len(value), "maxLength": len(value)}
        if "pattern" in schema and re.search(schema["pattern"], value):
            exact["pattern"] = schema["pattern"]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        exact |= {"minimum": value, "maximum": value}
    return _types(exact) <= _types(schema) and not any(_narrowed(exact, schema, ""))


_AT_LEAST, _AT_MOST = ("minLength", "minItems", "minProperties"), ("maxLength", "maxItems", "maxProperties")


def _narrowed(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    """Yield what bounds refuse now."""
    for keyword in (*_TEXT, "multipleOf"):
        if keyword in new and old.get(keyword) != new[keyword]:
            yield Break(path, Reason.PATTERN, f"{keyword} was {old.get(keyword, 'free')}, is {new[keyword]}")
    for keyword in _AT_LEAST:
        if new.get(keyword, 0) > old.get(keyword, 0):
            yield Break(path, Reason.BOUND, f"{keyword} was {old.get(keyword, 0)}, is {new[keyword]}")
    for keyword in _AT_MOST:
        if new.get(keyword, math.inf) < old.get(keyword, math.inf):
            yield Break(path, Reason.BOUND, f"{keyword} was {old.get(keyword, 'none')}, is {new[keyword]}")
    if _lowest(new) > _lowest(old):
        yield Break(path, Reason.BOUND, "the least number is greater")
    if _greatest(new) < _greatest(old):
        yield Break(path, Reason.BOUND, "the greatest number is less")


def _lowest(schema: Schema) -> tuple[float, int]:
    return max((schema.get("minimum", -math.inf), 0), (schema.get("exclusiveMinimum", -math.inf), 1))


def _greatest(schema: Schema) -> tuple[float, int]:
    return min((schema.get("maximum", math.inf), 0), (schema.get("exclusiveMaximum", math.inf), -1))


def _under(schema: Schema, name: str) -> Schema | None:
    """Return the schema of what stands under a name; None when nothing may."""
    fields: Mapping[str, Schema] = schema.get("properties", {})
    if name in fields:
        return fields[name]
    for pattern, value in schema.get("patternProperties", {}).items():
        if re.search(pattern, name):
            found: Schema = value
            return found
    return _others(schema)


def _others(schema: Schema) -> Schema | None:
    """Return the schema of what has neither a field nor a pattern; None when nothing may be there."""
    others = schema.get("additionalProperties", True)
    if isinstance(others, bool):
        return _ANYTHING if others else None
    found: Schema = others
    return found


def structs() -> dict[str, Any]:
    """Return of each struct of `schemas.wire` its letter, its fields with their types in order, and how many have no default."""
    kinds = {name: kind for name, kind in vars(wire).items() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)}
    return {
        name: {
            "tag": kind.__struct_config__.tag,
            "fields": [f"{field}: {kind.__annotations__[field]}" for field in kind.__struct_fields__],
            "required": len(kind.__struct_fields__) - len(kind.__struct_defaults__),
        }
        for name, kind in kinds.items()
    }


def struct_breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Break]:
    """Return where `structs()` of now cannot read what those of then wrote: fields may be added at the end with a default only."""
    found = [Break(name, Reason.GONE, "the struct is gone") for name in old.keys() - new.keys()]
    for name in old.keys() & new.keys():
        was, now = old[name], new[name]
        if was["tag"] != now["tag"]:
            found.append(Break(name, Reason.FIXED, f"its letter was {was['tag']}, is {now['tag']}"))
        if now["required"] > was["required"]:
            found.append(Break(name, Reason.REQUIRED, f"{now['fields'][now['required'] - 1]!r} has no default"))
        for at, field in enumerate(was["fields"]):
            if now["fields"][at : at + 1] != [field]:
                found.append(Break(name, Reason.FIXED, f"item {at} was {field!r}"))
                break
    return sorted(found)


_OF_TOPIC = ("partitions", "key", "cleanup", "encoding", "models")


_SAYS_KEY = re.compile(r"[^,;(]+")


def fixed(topics: Mapping[str, Topic]) -> dict[str, Any]:
    """Return of each topic what may not change; of the text that says the key its first words, up to a comma, a semicolon or a bracket."""
    kept = {name: topic.model_dump(mode="json", include=set(_OF_TOPIC)) for name, topic in topics.items()}
    return {name: {**topic, "key": "".join(_SAYS_KEY.findall(topic["key"])[:1]).strip()} for name, topic in kept.items()}


def topic_breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Break]:
    """Return where `fixed()` of now is not that of then. A topic may carry more models, not fewer."""
    found = [Break(name, Reason.GONE, "the topic is gone") for name in old.keys() - new.keys()]
    for name in old.keys() & new.keys():
        was, now = old[name], new[name]
        changed = [field for field in _OF_TOPIC if field != "models" and was[field] != now[field]]
        found += [Break(f"{name}.{field}", Reason.FIXED, f"was {was[field]!r}, is {now[field]!r}") for field in changed]
        found += [Break(f"{name}.models", Reason.GONE, f"{model} is gone") for model in was["models"] if model not in now["models"]]
    return sorted(found)


def kept() -> dict[str, Any]:
    """Return all of now that is kept of a release, by the name of its file."""
    topics = generate.topics()
    names = sorted({*GIVEN, *(model for topic in topics.values() for model in topic.models)})
    return {**{name: generate.schema_of(name) for name in names}, TOPICS: fixed(topics), WIRE: structs()}


def released(folder: Path = FOLDER) -> dict[str, Any]:
    """Return what was kept of the last release, by the name of its file."""
    return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))}


def problems(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what of a release (`kept()` of then) is broken by now. What was not released yet may still change."""
    found = []
    for name, was in old.items():
        if name not in new:
            found.append(f"{name}: is neither on a topic nor given by others any more; mend: {MEND[Reason.GONE]}")
            continue
        compare = {TOPICS: topic_breaks, WIRE: struct_breaks}.get(name, breaks)
        found += [f"{name}: {one}" for one in compare(was, new[name])]
    return found


def unread(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what readers of the last release do not take of what topics carry now."""
    names = [name for name in old if name in new and name not in {TOPICS, WIRE, *GIVEN}]
    return [f"{name}: {one.path}: {one.detail}" for name in names for one in breaks(new[name], old[name])]


def write(new: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Keep what is now as the last release."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.json"):
        file.unlink()
    for name, value in new.items():
        (folder / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, or keep what is now; returns the exit code, 1 when something is broken."""
    parser = argparse.ArgumentParser(prog="python -m schemas.compatibility", description="Hold the schemas to those of the last release.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="exit with 1 when something is broken")
    what.add_argument("--release", action="store_true", help="the same, and keep what is now as the last release when nothing is")
    given = parser.parse_args(arguments)
    old, new = released(), kept()
    found = problems(old, new)
    sys.stderr.writelines(f"{line}\n" for line in found)
    if given.release and not found:
        write(new)
    elif given.check:
        sys.stdout.writelines(f"by readers of the last release (upgrade them first): {line}\n" for line in unread(old, new))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
