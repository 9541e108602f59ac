"""The rules of the replayed pipe on the whole recording, by a plain evaluation that shares nothing with services.rules."""

from pathlib import Path

import pytest
import yaml

from feeds.water_flow import START, load, locate
from schemas.rule import Direction, Rule
from schemas.tiers import TIERS

RULES = Path(__file__).parents[3] / "cities" / "620100" / "rules"


@pytest.fixture(scope="module")
def flows():
    return [row.flow for row in load(locate()).rows]


def rule(name):
    return Rule.model_validate(yaml.safe_load((RULES / f"{name}.yaml").read_text(encoding="utf-8")))


def story(rule, values):
    """Return (row, `up` or `down`, tier) in order. Looks back over the last values instead of counting as they come."""
    sign = 1 if rule.direction is Direction.ABOVE else -1
    state = dict.fromkeys(rule.tiers, (-1, False))  # the row of the last change, and whether the tier is latched
    told = []
    for at in range(len(values)):
        for tier in (tier for tier in TIERS if tier in rule.tiers):
            since, latched = state[tier]
            way = rule.tiers[tier].down if latched else rule.tiers[tier].up
            side = -sign if latched else sign
            window = values[max(since + 1, at + 1 - way.readings) : at + 1]
            if len(window) == way.readings and all(side * (value - way.limit.default) >= 0 for value in window):
                state[tier] = (at, not latched)
                told.append((at, "down" if latched else "up", tier.value))
    return told


def warnings(told):
    """Return (first row, last row, gravest tier) of each warning: from the first latch to the last release."""
    found, open_tiers, began, peak = [], set(), 0, ""
    for at, change, tier in told:
        if not open_tiers:
            began, peak = at, tier
        if change == "up":
            open_tiers.add(tier)
            peak = max(peak, tier, key=[str(one) for one in TIERS].index)
        else:
            open_tiers.remove(tier)
        if not open_tiers:
            found.append((began, at, peak))
    assert not open_tiers
    return found


LOW = [
    (95, "up", "blue"),
    (96, "up", "yellow"),
    (99, "up", "orange"),
    (101, "up", "red"),
    (108, "down", "red"),
    (109, "down", "orange"),
    (111, "down", "yellow"),
    (113, "down", "blue"),
    (213, "up", "blue"),
    (214, "up", "yellow"),
    (215, "up", "orange"),
    (217, "up", "red"),
    (220, "down", "red"),
    (221, "down", "orange"),
    (224, "down", "yellow"),
    (226, "down", "blue"),
    (873, "up", "blue"),
    (875, "up", "yellow"),
    (877, "up", "orange"),
    (879, "up", "red"),
    (885, "down", "red"),
    (886, "down", "orange"),
    (887, "down", "yellow"),
    (890, "down", "blue"),
]


def test_the_described_low_flow_moments_warn_in_all_tiers_and_nothing_else_does(flows):
    told = story(rule("water-pipe-low-flow"), flows)
    assert told == LOW
    assert warnings(told) == [(95, 113, "red"), (213, 226, "red"), (873, 890, "red")]


def test_the_described_peak_warns_once_and_nothing_else_does(flows):
    told = story(rule("water-pipe-high-flow"), flows)
    assert told == [(329, "up", "blue"), (332, "down", "blue")]


@pytest.mark.parametrize("name", ["water-pipe-low-flow", "water-pipe-high-flow"])
def test_a_second_pass_tells_the_same(flows, name):
    once = story(rule(name), flows)
    assert story(rule(name), flows * 2) == once + [(at + len(flows), change, tier) for at, change, tier in once]


def test_the_default_start_is_in_order_and_the_first_warning_comes_within_a_minute(flows):
    told = story(rule("water-pipe-low-flow"), flows[START:])
    assert told == [(at - START, change, tier) for at, change, tier in LOW]
    assert 20 <= told[0][0] < 60


def test_a_single_slip_of_the_meter_warns_of_no_low_flow(flows):
    assert story(rule("water-pipe-low-flow"), [*flows[:20], 0.0, *flows[20:80]]) == []


def test_the_comment_in_the_rule_is_true(flows):
    flanks = {row for first, last in ((93, 114), (211, 224), (872, 889)) for row in range(first, last + 1)}
    ordinary = [flow for row, flow in enumerate(flows) if row not in flanks]
    assert min(ordinary) == 99.39
    assert sorted(ordinary)[-2:] == [107.26, 109.68]
