"""Quality control: what is doubted of values, in whatever order they come, and that nothing else is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Domain, Name
from schemas.sensor import Metric, Sensor
from services.ingest.domain.quality import Memory, checks_of, doubts, remember

SECOND = 1_000_000


def checks(**told: Any) -> Any:
    metric = Metric(unit="m", name=Name(zh="量", en="m"), **told)
    return checks_of(Sensor(id="s", name=Name(zh="点", en="s"), domain=Domain.WATER, department="d", street="x", metrics={"m": metric}))


def flags(readings: list[tuple[int, float]], **told: Any) -> list[str | None]:
    """Return what is doubted of instants, (second, value), in the order in which they come."""
    known, memory = checks(**told), Memory()
    return [doubts(known, memory, {"m": value}, {}, at * SECOND, at * SECOND).get("m") for at, value in readings]


def test_what_the_instrument_cannot_say_is_implausible_and_its_ends_are_not():
    assert flags([(1, -0.1), (2, 0.0), (3, 10.0), (4, 10.1)], low=0, high=10) == ["implausible", None, None, "implausible"]


def test_a_lone_jump_is_a_spike_and_one_that_stays_is_true_from_its_second_reading_on():
    assert flags([(1, 1.0), (2, 9.0), (3, 1.1)], spike=2) == [None, "spike", None]
    assert flags([(1, 1.0), (2, 9.0), (3, 9.5), (4, 9.4)], spike=2) == [None, "spike", None, None]


def test_a_value_that_stays_the_very_same_for_too_long_is_stuck_until_it_moves():
    told = flags([(0, 5.0), (30, 5.0), (60, 5.0), (61, 5.0), (90, 5.1), (91, 5.1)], stuck=timedelta(seconds=60))
    assert told == [None, None, None, "stuck", None, None]


@pytest.mark.parametrize(("told", "readings"), [({"spike": 2}, [(1, 1.0), (2, 9.0)]), ({"stuck": timedelta(seconds=5)}, [(1, 1.0), (9, 1.0)])])
def test_a_reading_that_comes_again_is_flagged_alike(told: dict[str, Any], readings: list[tuple[int, float]]):
    first, doubted = flags(readings, **told)
    assert first is None
    assert doubted is not None
    assert flags([*readings, readings[-1], readings[-1]], **told)[1:] == [doubted] * 3


@pytest.mark.parametrize(
    ("told", "readings"),
    [
        ({"spike": 2}, [(1, 1.0), (2, 9.0), (3, 1.1), (4, 1.2)]),
        ({"spike": 2}, [(1, 1.0), (2, 9.0), (3, 9.1), (4, 9.2)]),
        ({"stuck": timedelta(seconds=5)}, [(second, 1.0) for second in range(0, 20, 2)]),
    ],
)
def test_a_batch_that_comes_again_is_flagged_alike(told: dict[str, Any], readings: list[tuple[int, float]]):
    """As one does that Kafka did not acknowledge: it may be the first time that anybody else hears of it."""
    once = flags(readings, **told)
    assert set(once) > {None}
    assert flags(readings * 2, **told) == once * 2


def test_what_came_flagged_is_not_doubted_and_teaches_nothing():
    known, memory = checks(low=0, high=10, spike=1), Memory()
    assert doubts(known, memory, {"m": 99.0}, {"m": "fault"}, SECOND, SECOND) == {}
    assert doubts(known, memory, {"m": 5.0}, {}, 2 * SECOND, 2 * SECOND) == {}


def test_means_are_held_against_the_range_only():
    known, memory = checks(low=0, high=10, spike=1), Memory()
    told = [doubts(known, memory, {"m": value}, {}, 0, at * 60 * SECOND) for at, value in enumerate([1.0, 9.0, 11.0], 1)]
    assert told == [{}, {}, {"m": "implausible"}]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-100, 100)), max_size=30))
def test_without_checks_nothing_is_doubted_and_with_wide_ones_neither(readings: list[tuple[int, float]]):
    assert checks() == {}
    assert set(flags(readings, low=-1000, high=1000, spike=1000, stuck=timedelta(days=1))) <= {None}


@given(st.lists(st.floats(0, 10), min_size=2, max_size=30))
def test_of_two_readings_in_a_row_that_agree_the_second_is_never_a_spike(values: list[float]):
    told = flags(list(enumerate(values)), spike=1)
    for before, value, flag in zip(values, values[1:], told[1:], strict=False):
        if abs(before - value) <= 1:
            assert flag is None


def test_gaps_lateness_and_skew_are_noted():
    memory = Memory()
    for end, received in ((0, 1), (60, 61), (400, 401), (410, 600)):
        remember(memory, values=2, bad=1, start=end * SECOND, end=end * SECOND, received=received * SECOND, every_us=60 * SECOND)
    assert (memory.readings, memory.values, memory.bad, memory.late) == (4, 8, 4, 1)
    assert (memory.gaps, memory.gap_us) == (1, 340 * SECOND)
    assert memory.skew_us == pytest.approx(-SECOND)
