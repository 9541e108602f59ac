"""What people write of rules: the published JSON Schemas take all that the models take, and the cities' rules pass their own tests."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from schemas import generate
from schemas.rule import Rule
from schemas.rule_test import RuleTests
from services.cli import rule_check, rule_tests
from services.cli.findings import Grade
from tests.unit.schemas.events import rules

CITIES = Path(__file__).parents[2] / "cities"
RULES = sorted(CITIES.glob("*/rules/*.yaml"))
TESTS = sorted(CITIES.glob("*/rule-tests/*.yaml"))
SPANS = {"for", "fresh", "period", "over", "per", "length", "every", "within", "hold"}
"""Fields that hold lengths of time; `over` may be a limit, too."""


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((generate.FOLDER / f"{name}.json").read_text("utf-8")))


RULE, RULE_TESTS = validator("rule.Rule"), validator("rule_test.RuleTests")


def as_json(value: Any) -> Any:
    """Return what YAML has read as JSON has it: times are text there."""
    if isinstance(value, dict):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else value


def label(path: Path) -> str:
    return f"{path.parents[1].name}/{path.stem}"


@pytest.mark.parametrize("path", RULES, ids=label)
def test_a_city_s_rule_fits_the_schema(path: Path):
    value = as_json(yaml.safe_load(path.read_text("utf-8")))
    assert [error.message for error in RULE.iter_errors(value)] == []


@pytest.mark.parametrize("path", TESTS, ids=label)
def test_a_city_s_rule_test_fits_the_schema(path: Path):
    value = as_json(yaml.safe_load(path.read_text("utf-8")))
    assert [error.message for error in RULE_TESTS.iter_errors(value)] == []


def in_seconds(value: Any, key: str = "") -> Any:
    """Return a rule with its lengths of time as seconds."""
    if isinstance(value, dict):
        return {name: in_seconds(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [in_seconds(inner) for inner in value]
    is_span = key in SPANS and isinstance(value, str)
    return TypeAdapter(dt.timedelta).validate_python(value).total_seconds() if is_span else value


@given(rules(), st.booleans())
def test_lengths_of_time_may_be_iso_8601_or_seconds(rule: Rule, as_seconds: bool):  # noqa: FBT001 - drawn
    value = json.loads(rule.model_dump_json(by_alias=True))
    value = in_seconds(value) if as_seconds else value
    assert Rule.model_validate(value) == rule
    assert [error.message for error in RULE.iter_errors(value)] == []


@given(rules(), st.data())
def test_whatever_the_model_takes_of_a_changed_rule_the_schema_takes(rule: Rule, data: st.DataObject):
    value = json.loads(rule.model_dump_json(by_alias=True))
    at = value
    for _ in range(data.draw(st.integers(0, 3))):
        inner = [one for one in (at.values() if isinstance(at, dict) else at) if isinstance(one, dict | list) and one]
        if not inner:
            break
        at = data.draw(st.sampled_from(inner))
    key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
    at[key] = data.draw(st.sampled_from([None, 2, 0.5, 120, "PT2M", "a", [], {}, ["a", "a"], {"zh": "a", "en": "a"}, {"kind": "value"}]))
    try:
        Rule.model_validate(value)
    except ValidationError:
        return
    assert [error.message for error in RULE.iter_errors(value)] == []


def test_every_city_has_tests_of_its_rules():
    assert {path.parents[1].name for path in TESTS} == {path.parents[1].name for path in RULES}


@pytest.mark.parametrize("path", TESTS, ids=label)
def test_the_cities_rules_do_what_their_tests_say(path: Path):
    results = rule_tests.run(path)
    assert results
    assert [result.name for result in results if not result.ok] == []


def test_nothing_is_wrong_with_the_cities_rules():
    noted = rule_check.check(RULES)
    assert [(note.file.name, str(note.problem)) for note in noted if note.grade is Grade.BAD] == []


def test_the_models_are_the_ones_that_are_published():
    assert generate.MODELS["rule.Rule"] is Rule
    assert generate.MODELS["rule_test.RuleTests"] is RuleTests


GUIDE = (CITIES.parent / "docs" / "rules.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: re.search(r"^id: (.*)$", text, re.MULTILINE)[1])
def test_the_guide_s_examples_can_be_used(text: str, tmp_path: Path):
    rule = yaml.safe_load(text)
    file = tmp_path / f"{rule['id']}.yaml"
    file.write_text(text, "utf-8")
    said = [str(note.problem) for note in rule_check.check([file])]
    assert [problem for problem in said if "`standard` is missing" not in problem] == []
    assert [error.message for error in RULE.iter_errors(as_json(rule))] == []


def test_the_guide_has_an_example_of_every_kind():
    kinds = {yaml.safe_load(text).get("measure", {}).get("kind", "value") for text in EXAMPLES}
    assert kinds == {branch["$ref"].rpartition("/")[2].lower() for branch in RULE.schema["properties"]["measure"]["oneOf"]}


def test_the_guide_s_test_is_one_of_the_city_s():
    (text,) = re.findall(r"```yaml tests\n(.*?)```", GUIDE, re.DOTALL)
    (story,) = yaml.safe_load(text)["tests"]
    assert story in yaml.safe_load((CITIES / "620100" / "rule-tests" / "fire-smoke.yaml").read_text("utf-8"))["tests"]
