"""The JSON Schemas that are committed are those of the models, and say the same as the models of good and of bad values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from schemas import generate
from schemas.catalogue import MODELS
from services.kit import topics
from tests.unit.schemas.events import observations, rules

FILES = {name: json.loads((generate.FOLDER / f"{name}.json").read_text("utf-8")) for name in MODELS}
EXAMPLES = [
    pytest.param(example.model, example.value, id=f"{topic.name}-{example.model}") for topic in topics.load().values() for example in topic.examples
]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(FILES[name], format_checker=Draft202012Validator.FORMAT_CHECKER)


def kinds(name: str) -> list[dict[str, Any]]:
    """Return the objects that a schema takes: one, or those of a union by `kind`."""
    whole = FILES[name]
    return [whole["$defs"][one["$ref"].rpartition("/")[2]] for one in whole["oneOf"]] if "oneOf" in whole else [whole]


def test_they_have_not_drifted():
    assert generate.problems() == [], "run: python -m schemas.generate"


@pytest.mark.parametrize("name", FILES)
def test_each_is_a_json_schema_of_the_dialect_it_names(name: str):
    assert FILES[name]["$schema"] == generate.DIALECT
    Draft202012Validator.check_schema(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_each_says_what_it_is_and_takes_no_unknown_field(name: str):
    assert FILES[name]["description"]
    assert all(one["description"] and one["additionalProperties"] is False for one in kinds(name))


@pytest.mark.parametrize(("name", "value"), EXAMPLES)
def test_the_examples_of_the_topics_fit(name: str, value: dict[str, Any]):
    assert list(validator(name).iter_errors(value)) == []


@pytest.mark.parametrize(("name", "value"), EXAMPLES)
def test_an_example_without_a_required_field_or_with_one_more_does_not(name: str, value: dict[str, Any]):
    (kind,) = (one for one in kinds(name) if len(kinds(name)) == 1 or one["properties"]["kind"]["const"] == value["kind"])
    for field in kind["required"]:
        assert not validator(name).is_valid({key: other for key, other in value.items() if key != field})
    assert not validator(name).is_valid({**value, "surprise": 1})


@given(observations())
def test_what_the_model_writes_fits_an_observation(event: Any):
    assert validator("observation.Observation").is_valid(json.loads(event.model_dump_json()))


@given(rules())
def test_what_the_model_writes_fits_a_rule(rule: Any):
    assert validator("rule.Rule").is_valid(json.loads(rule.model_dump_json(by_alias=True)))


BAD = [
    {"sensor": "a b", "values": {"flow": 1}},
    {"sensor": "a", "values": {}},
    {"sensor": "a", "values": {"flow": "1"}},
    {"sensor": "a", "values": {"flow": True}},
    {"sensor": "a", "values": {"fl ow": 1}},
    {"sensor": "a", "values": {"flow": 1}, "quality": {"flow": "fine"}},
    {"sensor": "a", "values": {"flow": 1}, "statistic": "median"},
    {"sensor": "a", "values": {"flow": 1}, "origin": "Real"},
    {"sensor": "a", "values": {"flow": 1}, "vaules": {}},
    {"values": {"flow": 1}},
    {"sensor": "a", "values": {f"m{n}": 1 for n in range(65)}},
    {"sensor": "a", "values": {"flow": 1}, "end": 1_790_000_000},
]


@pytest.mark.parametrize("value", BAD, ids=str)
def test_what_the_model_refuses_the_schema_refuses(value: dict[str, Any]):
    with pytest.raises(ValidationError):
        TypeAdapter(MODELS["observation.Measurement"]).validate_json(json.dumps(value))
    assert not validator("observation.Measurement").is_valid(value)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sensor", "values", "flow", "region", "x"]), inner, max_size=4),
    max_leaves=8,
)


@given(JUNK)
def test_whatever_the_model_takes_the_schema_takes(value: Any):
    """The other way round it cannot be: that flags have values, a schema cannot say."""
    try:
        TypeAdapter(MODELS["observation.Measurement"]).validate_json(json.dumps(value))
    except ValidationError:
        return
    assert validator("observation.Measurement").is_valid(value)
