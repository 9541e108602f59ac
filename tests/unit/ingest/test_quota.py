"""Quotas by a clock that is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.quota import Bucket


def test_a_quiet_department_may_send_its_burst_at_once_and_then_its_rate():
    bucket = Bucket(per_s=100, burst=500, now=0)
    assert bucket.wait(0) == 0
    bucket.charge(500, 0)
    assert bucket.wait(0) == pytest.approx(0, abs=1e-4)
    assert bucket.wait(0.01) == 0


def test_a_batch_larger_than_what_is_left_is_paid_for_afterwards():
    bucket = Bucket(per_s=100, burst=50, now=0)
    bucket.charge(1_050, 0)
    assert bucket.wait(0) == pytest.approx(10, abs=1e-3)
    assert bucket.wait(4) == pytest.approx(6, abs=1e-3)
    assert bucket.wait(10.01) == 0


def test_quiet_hours_are_not_saved_up():
    bucket = Bucket(per_s=100, burst=50, now=0)
    bucket.charge(51, 3_600)
    assert bucket.wait(3_600) > 0


@given(st.floats(0.1, 1e5), st.integers(1, 10**6), st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**4)), max_size=20))
def test_who_waits_as_told_is_let_in_and_never_more_is_let_in_than_is_allowed(per_s: float, burst: int, turns: list[tuple[float, int]]):
    bucket, now, sent, last = Bucket(per_s, burst, 0), 0.0, 0, 0
    for pause, events in turns:
        now += pause
        if wait := bucket.wait(now):
            now += wait * (1 + 1e-9)
            assert bucket.wait(now) == 0
        bucket.charge(events, now)
        sent, last = sent + events, events
    assert sent - last <= burst + per_s * now + 1e-3 * len(turns) + 1
