"""A rule as people write it: what is taken, what is refused and told, and what counts as the same meaning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.rule import Direction, Rule, Threshold, Way
from schemas.tiers import TIERS
from tests.unit.schemas.events import rules


def written(**changes: Any) -> dict[str, Any]:
    return {
        "id": "water.flow.low",
        "version": 1,
        "name": {"zh": "低", "en": "low"},
        "applies": {"metric": "flow"},
        "direction": "below",
        "unit": "L/s",
        "tiers": {"yellow": {"up": {"limit": 8}, "down": {"limit": 10}}, "red": {"up": {"limit": 3}, "down": {"limit": 5}}},
        **changes,
    }


def told(rule: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as raised:
        Rule.model_validate(rule)
    return str(raised.value)


@given(rules())
def test_a_rule_survives_its_own_json(rule: Threshold):
    assert Rule.model_validate_json(rule.model_dump_json(by_alias=True)) == rule


@given(rules(), st.data())
def test_limits_out_of_order_are_told_by_tier(rule: Threshold, data: st.DataObject):
    """Each graver tier's way up lies as far out as the milder one's, or further."""
    present = [tier for tier in TIERS if tier in rule.tiers]
    if len(present) < 2:
        return
    at = data.draw(st.integers(1, len(present) - 1))
    sign = 1 if rule.direction is Direction.ABOVE else -1
    limit = rule.tiers[present[at - 1]].up.limit - sign
    text = rule.model_dump(mode="json", by_alias=True)
    text["tiers"][present[at]] = {"up": {"limit": limit}, "down": {"limit": limit - sign}}
    assert f"tiers.{present[at]}.up.limit" in told(text)


@given(rules(), st.data())
def test_a_way_down_on_the_bad_side_is_told(rule: Threshold, data: st.DataObject):
    tier = data.draw(st.sampled_from(sorted(rule.tiers)))
    sign = 1 if rule.direction is Direction.ABOVE else -1
    text = rule.model_dump(mode="json", by_alias=True)
    text["tiers"][tier]["down"]["limit"] = rule.tiers[tier].up.limit + sign
    assert f"tiers.{tier}: the way down must lie on the good side" in told(text)


def test_equal_limits_are_in_order():
    step = {"up": {"limit": 8}, "down": {"limit": 8}}
    assert Rule.model_validate(written(tiers={"yellow": step, "red": step}))


def test_both_dwells_at_once_are_refused():
    both = {"limit": 8, "readings": 3, "for": "PT2M"}
    assert "give either `readings` or `for`, not both" in told(written(tiers={"yellow": {"up": both, "down": {"limit": 10}}}))


@pytest.mark.parametrize(
    "way",
    [
        {"limit": 8, "readings": 0},
        {"limit": 8, "readings": 10_001},
        {"limit": 8, "for": "PT0S"},
        {"limit": 8, "for": "P8D"},
        {"limit": float("nan")},
        {},
    ],
)
def test_what_is_no_way(way: dict[str, Any]):
    with pytest.raises(ValidationError):
        Way.model_validate(way)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tiers": {}}, "tiers"),
        ({"tiers": {"purple": {"up": {"limit": 8}, "down": {"limit": 9}}}}, "purple"),
        ({"kind": "trend"}, "kind"),
        ({"version": 0}, "version"),
        ({"aplies": {}}, "aplies"),
        ({"applies": {"metric": "flow", "sensor": ["x"]}}, "applies.sensor"),
        ({"direction": "sideways"}, "direction"),
    ],
)
def test_what_is_refused_is_named(changes: dict[str, Any], expected: str):
    assert expected in told(written(**changes))


def test_what_is_left_out():
    rule = Rule.model_validate(written())
    assert rule.enabled
    assert rule.kind == "threshold"
    assert rule.tiers[TIERS[1]].up == Way(limit=8, readings=1)
    assert rule.applies.sensors is None


def test_texts_alone_keep_the_meaning():
    first = Rule.model_validate(written())
    for texts in ({"version": 2}, {"name": {"zh": "新", "en": "new"}}, {"standard": "GB 1, 2.3"}):
        assert first.means_the_same(Rule.model_validate(written(**texts)))


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"direction": "above", "tiers": {"yellow": {"up": {"limit": 8}, "down": {"limit": 7}}}},
        {"unit": "m3/h"},
        {"applies": {"metric": "flow", "department": "water"}},
        {"applies": {"metric": "flow", "tags": ["dma"]}},
        {"tiers": {"yellow": {"up": {"limit": 8}, "down": {"limit": 10}}}},
        {"tiers": {**written()["tiers"], "yellow": {"up": {"limit": 8, "readings": 2}, "down": {"limit": 10}}}},
    ],
)
def test_anything_else_changes_the_meaning(change: dict[str, Any]):
    assert not Rule.model_validate(written()).means_the_same(Rule.model_validate(written(**change)))
