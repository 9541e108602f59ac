"""What was released can be read: each kind of break is found, what is harmless is not, and where none is found none is."""

from __future__ import annotations

import copy
import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas import compatibility
from schemas.compatibility import Break, Reason, breaks

KEPT = compatibility.kept()
NAME = {"type": "string", "pattern": "^[a-z]+$"}
RECORD: dict[str, Any] = {
    "$defs": {
        "Tier": {"enum": ["red", "blue"], "type": "string"},
        "Tree": {
            "type": "object",
            "properties": {"left": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]}, "name": dict(NAME)},
            "additionalProperties": False,
        },
        "Walk": {"type": "object", "properties": {"kind": {"const": "walk"}, "steps": {"type": "integer"}}, "required": ["kind"]},
        "Ride": {"type": "object", "properties": {"kind": {"const": "ride"}, "km": {"type": "number"}}, "required": ["kind"]},
    },
    "title": "Record",
    "type": "object",
    "properties": {
        "id": dict(NAME),
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "text": {"type": "string", "minLength": 1, "maxLength": 5},
        "at": {"type": "string", "format": "date-time"},
        "tier": {"$ref": "#/$defs/Tier", "default": "blue"},
        "tags": {"type": "array", "items": dict(NAME), "maxItems": 3},
        "values": {"type": "object", "patternProperties": {"^[a-z]+$": {"type": "number"}}, "additionalProperties": False, "minProperties": 1},
        "notes": {"type": "object", "propertyNames": {"$ref": "#/$defs/Tier"}, "additionalProperties": {"type": "string"}},
        "maybe": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}], "default": None},
        "tree": {"$ref": "#/$defs/Tree"},
        "way": {
            "oneOf": [{"$ref": "#/$defs/Walk"}, {"$ref": "#/$defs/Ride"}],
            "discriminator": {"propertyName": "kind", "mapping": {"walk": "#/$defs/Walk", "ride": "#/$defs/Ride"}},
        },
        "any": {},
    },
    "required": ["id"],
    "additionalProperties": False,
}


def at(document: Any, path: str) -> Any:
    for step in path.split("/"):
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the record with another value at a path; None takes what is there away."""
    new = copy.deepcopy(RECORD)
    place, _, key = path.rpartition("/")
    holder = at(new, place) if place else new
    if value is None:
        del holder[int(key) if isinstance(holder, list) else key]
    else:
        holder[key] = value
    return new


def takes(schema: dict[str, Any], value: Any) -> bool:
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(value)


BREAKING = [
    ("required", ["id", "count"], {"id": "a"}, "Record.count", Reason.REQUIRED),
    ("properties/text", None, {"id": "a", "text": "b"}, "Record.text", Reason.GONE),
    ("properties/count/type", "string", {"id": "a", "count": 1}, "Record.count", Reason.TYPE),
    ("properties/share/type", "integer", {"id": "a", "share": 0.5}, "Record.share", Reason.TYPE),
    ("properties/any", {"type": "string"}, {"id": "a", "any": 1}, "Record.any", Reason.TYPE),
    ("properties/count/minimum", 1, {"id": "a", "count": 0}, "Record.count", Reason.BOUND),
    ("properties/count/exclusiveMinimum", 0, {"id": "a", "count": 0}, "Record.count", Reason.BOUND),
    ("properties/count/maximum", 8, {"id": "a", "count": 9}, "Record.count", Reason.BOUND),
    ("properties/share/exclusiveMaximum", 0.9, {"id": "a", "share": 0.9}, "Record.share", Reason.BOUND),
    ("properties/text/minLength", 2, {"id": "a", "text": "b"}, "Record.text", Reason.BOUND),
    ("properties/text/maxLength", 4, {"id": "a", "text": "abcde"}, "Record.text", Reason.BOUND),
    ("properties/text/pattern", "^a", {"id": "a", "text": "b"}, "Record.text", Reason.PATTERN),
    ("properties/id/pattern", "^[a-y]+$", {"id": "z"}, "Record.id", Reason.PATTERN),
    ("properties/text/format", "date", {"id": "a", "text": "b"}, "Record.text", Reason.PATTERN),
    ("properties/count/multipleOf", 2, {"id": "a", "count": 1}, "Record.count", Reason.PATTERN),
    ("properties/text/enum", ["a"], {"id": "a", "text": "b"}, "Record.text", Reason.VALUES),
    ("$defs/Tier/enum", ["red"], {"id": "a", "tier": "blue"}, "Tier", Reason.VALUES),
    ("properties/tags/items", {"type": "integer"}, {"id": "a", "tags": ["b"]}, "Record.tags[]", Reason.TYPE),
    ("properties/tags/maxItems", 2, {"id": "a", "tags": ["a", "b", "c"]}, "Record.tags", Reason.BOUND),
    ("properties/tags/minItems", 1, {"id": "a", "tags": []}, "Record.tags", Reason.BOUND),
    ("properties/tags/uniqueItems", True, {"id": "a", "tags": ["a", "a"]}, "Record.tags", Reason.BOUND),
    ("properties/values/minProperties", 2, {"id": "a", "values": {"a": 1}}, "Record.values", Reason.BOUND),
    ("properties/values/maxProperties", 1, {"id": "a", "values": {"a": 1, "b": 2}}, "Record.values", Reason.BOUND),
    ("properties/values/patternProperties", {"^[a-y]+$": {"type": "number"}}, {"id": "a", "values": {"z": 1}}, "Record.values.*", Reason.PATTERN),
    ("properties/values/patternProperties/^[a-z]+$/type", "integer", {"id": "a", "values": {"z": 0.5}}, "Record.values.*", Reason.TYPE),
    ("properties/values/propertyNames", {"maxLength": 1}, {"id": "a", "values": {"zz": 1}}, "Record.values.*", Reason.BOUND),
    ("properties/notes/propertyNames", {"enum": ["red"]}, {"id": "a", "notes": {"blue": ""}}, "Tier", Reason.VALUES),
    ("properties/notes/additionalProperties", False, {"id": "a", "notes": {"blue": ""}}, "Record.notes.*", Reason.GONE),
    ("properties/notes/additionalProperties/type", "null", {"id": "a", "notes": {"blue": ""}}, "Record.notes.*", Reason.TYPE),
    ("properties/maybe/anyOf", [{"type": "string"}], {"id": "a", "maybe": None}, "Record.maybe", Reason.TYPE),
    ("properties/maybe/anyOf/0/maxLength", 4, {"id": "a", "maybe": "abcde"}, "Record.maybe", Reason.BOUND),
    ("$defs/Tree/properties/name/pattern", "^a$", {"id": "a", "tree": {"left": {"left": {"name": "b"}}}}, "Tree.name", Reason.PATTERN),
    ("properties/way/oneOf/1", None, {"id": "a", "way": {"kind": "ride"}}, "Ride.kind", Reason.KIND),
    ("$defs/Ride/properties/kind/const", "drive", {"id": "a", "way": {"kind": "ride"}}, "Ride.kind", Reason.KIND),
    ("$defs/Ride/properties/km/type", "integer", {"id": "a", "way": {"kind": "ride", "km": 0.5}}, "Ride.km", Reason.TYPE),
    ("properties/id/not", {"const": "b"}, {"id": "b"}, "Record.id", Reason.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "witness", "where", "reason"), BREAKING, ids=[f"{row[0]}={row[1]}" for row in BREAKING])
def test_what_was_taken_and_is_refused_is_a_break(path: str, value: Any, witness: Any, where: str, reason: Reason):
    new = changed(path, value)
    assert (takes(RECORD, witness), takes(new, witness)) == (True, False)
    assert [(one.path, one.reason) for one in breaks(RECORD, new)] == [(where, reason)]


def test_a_default_that_means_something_else_is_a_break():
    assert breaks(RECORD, changed("properties/tier/default", "red")) == [
        Break("Record.tier", Reason.DEFAULT, "left out it meant 'blue', and means 'red'")
    ]


HARMLESS = [
    ("title", "Renamed"),
    ("properties/more", {"type": "string", "default": ""}),
    ("required", []),
    ("properties/count/minimum", -1),
    ("properties/count/maximum", None),
    ("properties/count/type", "number"),
    ("properties/share/exclusiveMinimum", -1),
    ("properties/share", {"type": "number", "minimum": 0, "maximum": 1}),
    ("properties/text/maxLength", 6),
    ("properties/text/minLength", 0),
    ("properties/text", {"anyOf": [{"type": "null"}, {"type": "string"}]}),
    ("properties/id/pattern", None),
    ("properties/id/description", "Its name."),
    ("properties/at/format", None),
    ("properties/any", {"description": "whatever"}),
    ("$defs/Tier/enum", ["red", "blue", "grey"]),
    ("$defs/Tier", {"type": "string", "pattern": "^[a-z]+$", "maxLength": 9}),
    ("$defs/Tier", {"anyOf": [{"const": "red"}, {"enum": ["blue", "grey"]}]}),
    ("properties/tags/uniqueItems", False),
    ("properties/tags/items", None),
    ("properties/values/patternProperties", None),
    ("properties/values/additionalProperties", {"type": "number"}),
    ("properties/notes/propertyNames", {"type": "string"}),
    ("properties/maybe/anyOf/0/maxLength", None),
    ("properties/way/discriminator", None),
    ("properties/way/oneOf", [{"$ref": "#/$defs/Ride"}, {"type": "null"}, {"$ref": "#/$defs/Walk"}]),
    ("$defs/Tree/properties/right", {"$ref": "#/$defs/Tree"}),
    ("additionalProperties", True),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), HARMLESS, ids=[f"{path}={value}" for path, value in HARMLESS])
def test_what_takes_all_that_was_taken_is_no_break(path: str, value: Any):
    if path == "properties/values/patternProperties":
        new = changed("properties/values", {"type": "object", "minProperties": 1})
    else:
        new = changed(path, value)
    assert breaks(RECORD, new) == []


def test_nothing_changed_is_no_break_in_any_schema_there_is():
    for name, schema in KEPT.items():
        if name not in {compatibility.TOPICS, compatibility.WIRE}:
            assert breaks(schema, schema) == [], name


KEYS = ["a", "b", "ab"]
SCALARS = [None, True, False, 0, 1, 2, 0.5, "", "a", "b", "ab"]
VALUES = [None, 0, 2, "a", "ab", {"a": 0}]
OBJECTS = [
    dict(zip(keys, values, strict=True))
    for size in range(3)
    for keys in itertools.combinations(KEYS, size)
    for values in itertools.product(VALUES, repeat=size)
]
POOL: list[Any] = [*SCALARS, *([*items] for size in range(3) for items in itertools.product([0, "a", None], repeat=size)), *OBJECTS]


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keywords)


SMALL = st.integers(0, 2)
PATTERNS = st.sampled_from(["^a", "b$"])
LEAVES = (
    st.builds(lambda rest: {"type": "string", **rest}, some(minLength=SMALL, maxLength=SMALL, pattern=PATTERNS))
    | st.builds(
        lambda type_, rest: {"type": type_, **rest},
        st.sampled_from(["integer", "number"]),
        some(minimum=SMALL, maximum=SMALL, exclusiveMinimum=SMALL, exclusiveMaximum=SMALL),
    )
    | st.sampled_from([{"type": "null"}, {"type": "boolean"}, {}])
    | st.builds(lambda value: {"const": value}, st.sampled_from(["a", "b", 0, 1, None]))
    | st.builds(lambda values: {"enum": values}, st.lists(st.sampled_from(["a", "b", "ab", 0]), min_size=1, max_size=3, unique=True))
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    closed = st.booleans() | inner
    fields = some(
        properties=st.dictionaries(st.sampled_from(KEYS), inner, max_size=2),
        required=st.lists(st.sampled_from(KEYS), max_size=1),
        additionalProperties=closed,
        minProperties=SMALL,
        maxProperties=SMALL,
    )
    keyed = some(patternProperties=st.dictionaries(PATTERNS, inner, max_size=1), additionalProperties=closed, propertyNames=LEAVES)
    return (
        st.builds(lambda rest: {"type": "object", **rest}, fields | keyed)
        | st.builds(lambda rest: {"type": "array", **rest}, some(items=inner, minItems=SMALL, maxItems=SMALL, uniqueItems=st.booleans()))
        | st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=2))
    )


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=4)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return two schemas, of which the second is often made of the first, by one keyword that is gone or another's."""
    old = draw(SCHEMAS)
    new = copy.deepcopy(old)
    other = draw(SCHEMAS)
    if keywords := sorted(new.keys() - {"type", "anyOf"}):
        keyword = draw(st.sampled_from(keywords))
        del new[keyword]
        if other.get("type") == new.get("type") and keyword in other:
            new[keyword] = other[keyword]
    return old, draw(st.sampled_from([new, {"anyOf": [other, new]}, other]))


@settings(max_examples=100)
@given(pairs())
def test_where_no_break_is_found_whatever_fitted_fits(pair: tuple[Any, Any]):
    old, new = pair
    if not breaks(old, new):
        before, after = Draft202012Validator(old), Draft202012Validator(new)
        assert [value for value in POOL if before.is_valid(value) and not after.is_valid(value)] == []


@settings(max_examples=50)
@given(SCHEMAS)
def test_a_schema_is_compatible_with_itself_and_with_one_more_alternative(schema: dict[str, Any]):
    assert breaks(schema, schema) == []
    assert breaks(schema, {"anyOf": [{"type": "null"}, schema]}) == []


# The structs of the wire

STRUCT = {"Tick": {"tag": "t", "fields": ["time: Micros", "node: str", "leap: bool"], "required": 2}}


@pytest.mark.parametrize(
    ("new", "reasons"),
    [
        ({"tag": "t", "fields": ["time: Micros", "node: str", "leap: bool", "more: int"], "required": 2}, []),
        ({"tag": "t", "fields": ["time: Micros", "node: str", "leap: bool", "more: int"], "required": 4}, [Reason.REQUIRED]),
        ({"tag": "t", "fields": ["time: Micros", "node: str", "leap: bool"], "required": 3}, [Reason.REQUIRED]),
        ({"tag": "t", "fields": ["time: Micros", "node: str"], "required": 2}, [Reason.FIXED]),
        ({"tag": "t", "fields": ["node: str", "time: Micros", "leap: bool"], "required": 2}, [Reason.FIXED]),
        ({"tag": "t", "fields": ["time: Micros", "node: int", "leap: bool"], "required": 2}, [Reason.FIXED]),
        ({"tag": "T", "fields": ["time: Micros", "node: str", "leap: bool"], "required": 2}, [Reason.FIXED]),
        (None, [Reason.GONE]),
    ],
    ids=["added", "added-without-default", "default-lost", "removed", "moved", "type", "letter", "gone"],
)
def test_fields_of_a_struct_are_added_at_the_end_with_a_default(new: Any, reasons: list[Reason]):
    assert [one.reason for one in compatibility.struct_breaks(STRUCT, {"Tick": new} if new else {})] == reasons


def test_the_structs_are_those_of_the_wire():
    assert compatibility.structs()["Sensor"] == {"tag": "s", "fields": ["sensor: str", "version: int", "street: str", "body: bytes"], "required": 4}


# Topics

TOPICS: dict[str, Any] = KEPT[compatibility.TOPICS]


@pytest.mark.parametrize(("field", "value"), [("partitions", 12), ("key", "sensor id"), ("cleanup", "compact"), ("encoding", "compact")])
def test_what_may_not_change_of_a_topic(field: str, value: object):
    new = {**TOPICS, "city.warnings": {**TOPICS["city.warnings"], field: value}}
    (found,) = compatibility.topic_breaks(TOPICS, new)
    assert (found.path, found.reason) == (f"city.warnings.{field}", Reason.FIXED)


def test_a_topic_may_carry_more_and_not_less():
    more = {**TOPICS, "city.warnings": {**TOPICS["city.warnings"], "models": ["warning.Warning", "warning.More"]}, "city.new": {}}
    less = {name: topic for name, topic in TOPICS.items() if name != "city.audit"} | {"city.warnings": {**TOPICS["city.warnings"], "models": []}}
    assert compatibility.topic_breaks(TOPICS, more) == []
    assert [(one.path, one.reason) for one in compatibility.topic_breaks(TOPICS, less)] == [
        ("city.audit", Reason.GONE),
        ("city.warnings.models", Reason.GONE),
    ]


def test_the_key_may_be_explained_in_other_words():
    assert TOPICS["city.warnings"]["key"] == "subject"
    assert TOPICS["city.observations"]["key"] == "street code"


# The release


def test_what_is_here_can_read_what_was_released():
    assert compatibility.main(["--check"]) == 0


def test_what_stands_on_topics_and_what_others_give_is_kept_and_answers_of_rest_are_not():
    assert {"warning.Warning", "control.Tick", "observation.Measurement", "rule.Rule", "topics", "wire"} <= KEPT.keys()
    assert not [name for name in KEPT if name.startswith(("rest.", "live."))]
    assert compatibility.released().keys() <= KEPT.keys()


def test_each_break_is_named_with_its_file_and_how_to_mend_it():
    measurement = copy.deepcopy(KEPT["observation.Measurement"])
    measurement["required"].append("end")
    new = {name: value for name, value in KEPT.items() if name != "rule.Rule"} | {"observation.Measurement": measurement}
    assert compatibility.problems(KEPT, new) == [
        "observation.Measurement: Measurement.end: is required now; mend: give it a default",
        "rule.Rule: is neither on a topic nor given by others any more; mend: keep it as optional, with a default, and read it no more",
    ]


def test_what_readers_of_the_last_release_do_not_take_is_told_of_topics_only():
    new = copy.deepcopy(KEPT)
    for name in ("sensor.Sensor", "observation.Measurement"):
        new[name]["properties"]["more"] = {"type": "string"}
    assert compatibility.problems(KEPT, new) == []
    assert compatibility.unread(KEPT, new) == ["sensor.Sensor: Sensor.more: is refused"]


def test_a_release_is_kept_unless_something_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    kept = {"rule.Rule": RECORD}
    monkeypatch.setattr(compatibility, "kept", lambda: kept)
    monkeypatch.setattr(compatibility, "released", partial(compatibility.released, tmp_path))
    monkeypatch.setattr(compatibility, "write", partial(compatibility.write, folder=tmp_path))
    assert compatibility.main(["--release"]) == 0
    assert json.loads((tmp_path / "rule.Rule.json").read_text()) == RECORD
    kept["rule.Rule"] = changed("properties/text", None)
    assert compatibility.main(["--check"]) == compatibility.main(["--release"]) == 1
    assert capsys.readouterr().err.startswith("rule.Rule: Record.text: is refused; mend: keep it as optional")
    assert json.loads((tmp_path / "rule.Rule.json").read_text()) == RECORD
    (tmp_path / "rule.Rule.json").unlink()
    assert compatibility.main(["--release"]) == 0
    assert json.loads((tmp_path / "rule.Rule.json").read_text()) == kept["rule.Rule"]
