"""The notation of series: what it says at which interval."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.observation import Quality
from schemas.rule_test import RuleTests, Said, length, parse, slots


def values(text: str) -> list[tuple[int, float]]:
    return [(one.slot, one.value) for one in parse(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", [(0, 5)]),
        ("5x3", [(0, 5), (1, 5), (2, 5), (3, 5)]),
        ("1 _ 2", [(0, 1), (2, 2)]),
        ("_x3 2", [(3, 2)]),
        ("0.1+0.1x2", [(0, 0.1), (1, 0.2), (2, 0.3)]),
        ("5-2x2 7", [(0, 5), (1, 3), (2, 1), (3, 7)]),
        ("-5+2x1", [(0, -5), (1, -3)]),
        ("-1.5e1 .5 +3", [(0, -15), (1, 0.5), (2, 3)]),
        ("5x0", [(0, 5)]),
        ("  1\n 2 ", [(0, 1), (1, 2)]),
    ],
)
def test_values_stand_in_their_slots(text: str, expected: list[tuple[int, float]]):
    assert values(text) == expected


def test_quality_delay_and_corrections_stand_behind():
    assert parse("1!fault 2@+PT90S 3!maintenance@+PT1M 4/5@+PT2M/6!fault@+PT3M") == [
        Said(0, 1, Quality.FAULT),
        Said(1, 2, delay=timedelta(seconds=90)),
        Said(2, 3, Quality.MAINTENANCE, timedelta(minutes=1)),
        Said(3, 4),
        Said(3, 5, delay=timedelta(minutes=2)),
        Said(3, 6, Quality.FAULT, timedelta(minutes=3)),
    ]
    assert parse("1x1!fault") == [Said(0, 1, Quality.FAULT), Said(1, 1, Quality.FAULT)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "without values"),
        ("m", "`m` is no part"),
        ("1 2 x3", "`x3` is no part"),
        ("5x", "`5x` is no part"),
        ("5-1", "`5-1` is no part"),
        ("1.2.3", "is no part"),
        ("_!fault", "is no part"),
        ("5!broken", "no quality `broken`; there are good, stopped"),
        ("5@PT3S", "in this order"),
        ("5@+PTX", "in this order"),
        ("5@+PT", "is no length of time"),
        ("5/", "in this order"),
        ("5x99999999999", "more than 100000"),
        ("5x60000 5x60000", "more than 100000"),
    ],
)
def test_what_is_no_series_names_the_part(text: str, said: str):
    with pytest.raises(ValueError, match=said):
        parse(text)


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(0, 5), st.integers(-9, 9)), min_size=1, max_size=10))
def test_a_part_has_one_slot_more_than_its_repetitions(parts: list[tuple[int, int, int]]):
    text = " ".join(f"{value}{step:+}x{times}" for value, times, step in parts)
    expected = [value + step * at for value, times, step in parts for at in range(times + 1)]
    assert values(text) == list(enumerate(map(float, expected)))
    assert slots(text) == len(expected)


@given(st.text(st.sampled_from("0159.+-x_!@/ PTSMeE"), max_size=30))
def test_no_text_crashes_it(text: str):
    try:
        said = parse(text)
    except ValueError:
        return
    assert all(one.slot < slots(text) for one in said)


def test_a_test_goes_on_until_the_last_that_is_said_or_expected():
    def lasting(series: str, at: str) -> float:
        test = {"name": "n", "begin": "2026-11-22T08:00:00+08:00", "series": {"m": series}, "expect": [{"at": at, "tier": "none"}]}
        tests = RuleTests.model_validate({"rules": ["r.yaml"], "tests": [test]})
        return length(tests.tests[0], tests.interval).total_seconds()

    assert lasting("1x3", "PT0S") == 30
    assert lasting("1 _x3", "PT0S") == 30
    assert lasting("1@+PT5M", "PT0S") == 300
    assert lasting("1", "PT1H") == 3600


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"series": None}, "give `sensor` with `series`"),
        ({"sensors": [{"id": "a"}]}, "give `sensor` with `series`"),
        ({"series": None, "sensors": [{}, {}]}, "is given twice"),
        ({"sensor": {"series": {"m": "1"}}}, "not at both places"),
        ({"sensor": {"statistic": "mean"}}, "each other statistic has one"),
        ({"away": [{"since": "PT2S", "until": "PT1S"}]}, "must be after `since`"),
        ({"ticks": 6}, "less than or equal to 5 seconds"),
        ({"begin": "2026-11-22T08:00:00"}, "timezone"),
        ({"expect": []}, "at least 1"),
        ({"expect": [{"at": 1, "tier": "purple"}]}, "'none'"),
    ],
)
def test_what_is_no_test(changes: dict[str, object], said: str):
    test = {"name": "n", "begin": "2026-11-22T08:00:00+08:00", "series": {"m": "1"}, "expect": [{"at": 1, "tier": "none"}]}
    with pytest.raises(ValueError, match=said):
        RuleTests.model_validate({"rules": ["r.yaml"], "tests": [{**test, **changes}]})
