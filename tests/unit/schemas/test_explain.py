"""A warning in words: whatever it is, both languages say what was measured, which limit it met, by which rule, and what would clear it."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Name
from schemas.explain import explain
from schemas.observation import Statistic
from schemas.rule import Direction
from schemas.tiers import Tier
from schemas.warning import Change, Clearing, Part, Warning  # noqa: A004 - the field's own word
from tests.unit.gateway.city import name, warning
from tests.unit.schemas.events import CODES, FINITE, TEXTS

CLEARS = Clearing(limit=8, direction=Direction.BELOW, readings=None, dwell_s=60)


def of(*, change: str = "opened", tier: str = "orange", **evidence: Any) -> Warning:
    made = warning(change=change, tier=tier, rule_name=Name(zh="高流量", en="High flow"), sensor_name=Name(zh="一号井", en="Well 1"))
    return made.model_copy(update={"evidence": made.evidence.model_copy(update=evidence)})


def en(**fields: Any) -> str:
    return explain(of(**fields)).en


def test_a_plain_warning_is_told_with_all_there_is():
    told = explain(of(readings=2, standard=Name(zh="国标一", en="GB 1"), clears=CLEARS))
    assert told.en == (
        "A warning of the orange tier began: at 2026-11-22 16:00:00 flow at Well 1 was 12.5 L/s, at or above the limit of 10 L/s, 2 in a row."
        " By rule “High flow” (r1, version 1); GB 1. This tier is left at 8 L/s or below, for 1 min."
    )
    assert told.zh == (
        "橙色预警开始：2026-11-22 16:00:00 一号井的flow为 12.5 L/s，不低于限值 10 L/s，连续 2 次。"
        "依据规则“高流量”（r1 第 1 版）；国标一。不高于 8 L/s，持续 1 分钟时，本级解除。"
    )


def test_times_are_of_the_zone_that_is_asked_for():
    assert "2026-11-22 08:00:00" in explain(of(), UTC).en


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ({"statistic": Statistic.MEAN, "period_s": 3600}, "the 1 h mean of flow at Well 1 was 12.5 L/s"),
        ({"measure": "rate", "window_s": 600, "unit": "L/s/h"}, "the rate of change of flow (10 min) at Well 1 was 12.5 L/s/h"),
        ({"measure": "window", "window_s": 5400}, "the figure of flow (1 h 30 min) at Well 1 was 12.5 L/s"),
        (
            {"measure": "exceedances", "value": 12, "unit": "1"},
            "the number of exceedances of flow today at Well 1 was 12, at or above",
        ),
        (
            {"measure": "absence", "value": 930, "limit": 900, "unit": "s"},
            "Well 1 had been silent on flow for 15 min 30 s, at or above the limit of 15 m",
        ),
        (
            {"measure": "agreement", "value": 3, "limit": 2, "sensors": ("a", "b", "c")},
            "3 sensors at Well 1 were past the limit of flow together (a, b, c), at",
        ),
        ({"measure": "agreement", "value": 7, "limit": 2, "sensors": tuple("abcdefg")}, "(a, b, c, d, e and 2 more)"),
        ({"measure": "regional", "window_s": 3600}, "the region's figure of flow (1 h) at Well 1 was 12.5 L/s"),
        ({"measure": "background", "background": 150.0, "unit": "ug/m3"}, "was 12.5 µg/m³ after 150 µg/m³ of background were subtracted"),
        ({"dwell_s": 900.0}, "at or above the limit of 10 L/s, for 15 min."),
        ({"direction": Direction.BELOW, "value": 9}, "was 9 L/s, at or below the limit of 10 L/s"),
        ({"unit": "Cel"}, "was 12.5 ℃"),
    ],
)
def test_each_kind_has_its_words(evidence: dict[str, Any], said: str):
    assert said in en(**evidence)


def test_a_condition_is_told_by_its_parts():
    parts = (
        Part(measure="main", metric="smoke", value=0.4, direction=Direction.ABOVE, limit=0.3, holds=True),
        Part(measure="heat", metric="temperature", value=70, direction=Direction.BELOW, limit=48, holds=False),
        Part(measure="gas", metric="gas", value=None, direction=Direction.ABOVE, limit=25, holds=None),
    )
    told = en(measure="condition", limit=None, parts=parts, clears=Clearing(limit=None, direction=Direction.BELOW, readings=2, dwell_s=None))
    assert "smoke 0.4 (at or above the limit of 0.3), temperature 70 (at or above the limit of 48), gas unknown" in told
    assert told.endswith("This tier is left when the rule's condition for it holds, 2 in a row.")


def test_the_way_down_is_told_from_its_side():
    assert "was 7 L/s, at or below the limit of 8 L/s" in en(change="recovered", value=7, limit=8)
    assert "was 8 L/s, at or below the limit of 8 L/s" in en(change="lowered", value=8, limit=8)
    assert "was 8 L/s, at or above the limit of 8 L/s" in en(change="raised", value=8, limit=8)
    assert "was heard again on flow" in en(change="recovered", measure="absence", value=0, limit=0, unit="s")
    assert "This tier is left when the sensor is heard again, 2 in a row." in en(
        measure="absence", value=930, limit=900, clears=Clearing(limit=0, direction=Direction.BELOW, readings=2, dwell_s=None)
    )


@pytest.mark.parametrize("change", Change)
def test_each_change_has_its_words(change: Change):
    made = of(change=change.value).model_copy(update={"merged_into": UUID(int=7)})
    told = explain(made)
    others = [explain(of(change=other.value)).zh.partition("：")[0] for other in Change if other is not change]
    assert told.zh.partition("：")[0] not in others
    assert (str(UUID(int=7)) in told.zh and str(UUID(int=7)) in told.en) is (change is Change.MERGED)


@given(
    st.sampled_from(Change),
    st.sampled_from(Tier),
    st.sampled_from(["value", "rate", "window", "exceedances", "absence", "agreement", "regional", "background", "condition", "something new"]),
    st.sampled_from(Statistic),
    st.sampled_from(Direction),
    FINITE,
    st.none() | FINITE,
    TEXTS,
    st.none() | st.integers(1, 9),
    st.none() | st.floats(0, 1e9),
    st.lists(CODES, max_size=8),
    st.booleans(),
)
def test_whatever_a_warning_is_it_is_explained(change, tier, measure, statistic, direction, value, limit, unit, readings, dwell, sensors, closed):
    evidence = {"measure": measure, "statistic": statistic, "direction": direction, "value": value, "limit": limit, "unit": unit}
    evidence |= {"readings": readings, "dwell_s": dwell, "window_s": dwell, "sensors": tuple(sensors), "standard": name("GB 1"), "background": limit}
    evidence["clears"] = None if closed else Clearing(limit=limit, direction=direction, readings=readings, dwell_s=dwell)
    told = explain(of(change=change.value, tier=tier.value, **evidence))
    for text, rule, place in ((told.zh, "高流量", "一号井"), (told.en, "High flow", "Well 1")):
        assert rule in text
        assert place in text
        assert "None" not in text.replace(unit, "")
        assert "{" not in text.replace(unit, "")
        assert "GB 1" in text
