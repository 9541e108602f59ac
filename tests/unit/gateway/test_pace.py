"""Everybody may go so many times in any minute, and no more."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain import pace as module
from services.gateway.domain.pace import WINDOW_S, Pace


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 25)), max_size=80))
def test_one_goes_when_they_have_not_gone_too_often_within_a_minute(most: int, drawn: list[tuple[str, float]]):
    pace, now = Pace(most), 0.0
    went: defaultdict[str, list[float]] = defaultdict(list)
    for who, after in drawn:
        now += after
        lately = [at for at in went[who] if now - at < WINDOW_S]
        wait = pace.wait(who, now)
        assert (wait == 0) is (len(lately) < most)
        assert 0 <= wait <= WINDOW_S
        if wait == 0:
            went[who].append(now)


def test_who_waits_as_long_as_they_are_told_goes_on():
    pace = Pace(2)
    assert [pace.wait("a", at) for at in (0, 10, 20)] == [0, 0, 40]
    assert pace.wait("a", 59) == 1
    assert pace.wait("a", 60) == 0
    assert pace.wait("a", 61) == 9


def test_the_memory_is_bounded_and_who_is_long_gone_makes_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    pace = Pace(2)
    assert [pace.wait(who, at) for at, who in enumerate("abcd")] == [0, 0, 0, WINDOW_S]
    assert pace.wait("a", 4) == 0
    assert pace.wait("d", 60) == WINDOW_S
    assert pace.wait("d", 61) == 0
    assert len(pace._went) == 3
