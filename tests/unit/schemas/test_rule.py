"""A rule as people write it: what is taken, what is refused and told, and what counts as the same meaning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.limit import Case, Dates, Limits
from schemas.measure import Value, Window
from schemas.rule import Direction, Rule, Way
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
def test_a_rule_survives_its_own_json(rule: Rule):
    assert Rule.model_validate_json(rule.model_dump_json(by_alias=True)) == rule


@given(rules(), st.data())
def test_limits_out_of_order_are_told_by_tier(rule: Rule, data: st.DataObject):
    """Each graver tier's way up lies as far out as the milder one's, or further."""
    present = [tier for tier in TIERS if tier in rule.tiers]
    if len(present) < 2:
        return
    at = data.draw(st.integers(1, len(present) - 1))
    sign = 1 if rule.direction is Direction.ABOVE else -1
    milder = rule.tiers[present[at - 1]].up.limit
    assert milder is not None
    limit = milder.default - sign
    text = rule.model_dump(mode="json", by_alias=True)
    text["tiers"][present[at]] = {"up": {"limit": limit}, "down": {"limit": limit - sign}}
    assert f"tiers.{present[at]}.up.limit" in told(text)


@given(rules(), st.data())
def test_a_way_down_on_the_bad_side_is_told(rule: Rule, data: st.DataObject):
    tier = data.draw(st.sampled_from(sorted(rule.tiers)))
    sign = 1 if rule.direction is Direction.ABOVE else -1
    text = rule.model_dump(mode="json", by_alias=True)
    up = rule.tiers[tier].up.limit
    assert up is not None
    text["tiers"][tier]["down"]["limit"] = up.default + sign
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
    assert rule.tiers[TIERS[1]].up == Way(limit=Limits(default=8), readings=1)
    assert rule.measure == Value()
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
        {"measure": {"kind": "rate", "over": "PT10M", "per": "PT1H"}},
        {"fresh": "PT1H"},
        {"flapping": {"within": "PT1H", "hold": "PT5M"}},
        {"timezone": "UTC"},
        {"tiers": {"yellow": {"up": {"limit": 8}, "down": {"limit": 10}}}},
        {"tiers": {**written()["tiers"], "yellow": {"up": {"limit": 8, "readings": 2}, "down": {"limit": 10}}}},
    ],
)
def test_anything_else_changes_the_meaning(change: dict[str, Any]):
    assert not Rule.model_validate(written()).means_the_same(Rule.model_validate(written(**change)))


def test_a_number_is_a_limit_without_cases():
    rule = Rule.model_validate(written())
    assert [step.up.limit for step in rule.tiers.values()] == [Limits(default=8), Limits(default=3)]


def test_a_limit_may_depend_on_sensor_hour_weekday_and_date():
    holidays = {"first": "2026-10-01", "last": "2026-10-07"}
    case = {"limit": 5, "attributes": {"phase": ["digging"]}, "hours": "22:00-06:00", "weekdays": ["sat"], "dates": [holidays]}
    up = {"limit": {"default": 8, "cases": [case]}}
    rule = Rule.model_validate(written(tiers={"yellow": {"up": up, "down": {"limit": 10}}}))
    limit = rule.tiers[TIERS[1]].up.limit
    assert limit is not None
    (one,) = limit.cases
    assert (one.limit, one.minutes, one.dates) == (5, (22 * 60, 6 * 60), (Dates.model_validate(holidays),))


@pytest.mark.parametrize(
    "case",
    [
        {"limit": 5},
        {"limit": 5, "hours": "6:00-22:00"},
        {"limit": 5, "hours": "06:00-06:00"},
        {"limit": 5, "hours": "06:00-24:60"},
        {"limit": 5, "weekdays": []},
        {"limit": 5, "weekdays": ["sonntag"]},
        {"limit": 5, "dates": [{"first": "2026-10-07", "last": "2026-10-01"}]},
        {"hours": "06:00-22:00"},
    ],
)
def test_what_is_no_case(case: dict[str, Any]):
    with pytest.raises(ValidationError):
        Case.model_validate(case)


@pytest.mark.parametrize(
    "window",
    [
        {"every": "PT10M", "length": "PT5M"},
        {"every": "PT7M", "length": "PT15M"},
        {"at_least": 0},
        {"at_least": 0, "every": "PT5M"},
        {"aggregate": "median"},
    ],
)
def test_what_is_no_window(window: dict[str, Any]):
    with pytest.raises(ValidationError):
        Window.model_validate({"kind": "window", "aggregate": "mean", "length": "PT15M", **window})


def combined(**changes: Any) -> dict[str, Any]:
    when = {"all": [{"above": 54}, {"any": [{"measure": "smoke", "above": 0.1}, {"not": {"measure": "smoke", "below": 0.05}}]}]}
    way = {"up": {"when": when}, "down": {"when": {"not": when}, "for": "PT1M"}}
    return written(direction="above", also={"smoke": {"metric": "smoke"}}, tiers={"red": way}, **changes)


def test_a_condition_joins_measures_of_one_sensor_and_survives_its_own_json():
    rule = Rule.model_validate(combined())
    assert Rule.model_validate_json(rule.model_dump_json(by_alias=True)) == rule
    assert [compare.measure for compare in rule.tiers[TIERS[3]].up.compares()] == ["main", "smoke", "smoke"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"also": {}}, "names the measures ['smoke']"),
        ({"also": {"main": {"metric": "smoke"}, "smoke": {"metric": "smoke"}}}, "give another name"),
        ({"also": {"smoke": {"metric": "smoke", "measure": {"kind": "absence"}}}}, "also.smoke.measure"),
        ({"measure": {"kind": "absence"}}, "not `absence`"),
        ({"measure": {"kind": "agreement", "past": 1, "within": "PT1M"}}, "not `agreement`"),
        ({"measure": {"kind": "window", "aggregate": "mean", "length": "PT5M", "every": "PT5M"}}, "windows without `every`"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(changes: dict[str, Any], expected: str):
    assert expected in told(combined() | changes)


@pytest.mark.parametrize(
    ("way", "expected"),
    [({}, "give either `limit` or `when`"), ({"limit": 1, "when": {"above": 2}}, "give either `limit` or `when`"), ({"when": {}}, "when")],
)
def test_a_way_has_a_limit_or_a_condition(way: dict[str, Any], expected: str):
    assert expected in told(written(tiers={"yellow": {"up": way, "down": {"limit": 10}}}))


def test_a_comparison_has_one_side():
    for sides in ({}, {"above": 1, "below": 2}):
        assert "give either `above` or `below`" in told(
            written(tiers={"yellow": {"up": {"when": {"measure": "main", **sides}}, "down": {"limit": 10}}})
        )


def silence(**changes: Any) -> dict[str, Any]:
    step = {"up": {"limit": 600}, "down": {"limit": 0, "readings": 2}}
    return written(measure={"kind": "absence"}, direction="above", unit="s", tiers={"blue": step | changes})


def test_a_silence_counts_seconds_up_and_readings_down():
    assert Rule.model_validate(silence())
    assert "direction: silence is bad when it is long" in told(
        silence() | {"direction": "below", "tiers": {"blue": {"up": {"limit": 0}, "down": {"limit": 600}}}}
    )
    for wrong in ({"up": {"limit": 600, "readings": 2}}, {"up": {"limit": 600, "for": "PT1M"}}, {"down": {"limit": 0, "for": "PT1M"}}):
        assert "of a silence" in told(silence(**wrong))
