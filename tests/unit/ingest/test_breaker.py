"""When a door is stopped for a department, against a plain reading of the rule over the whole past."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.domain.breaker import ITEMS, LASTING_S, PROBE_S, RECENT, REMEMBERED, Admission, Breaker, Turn

Delivery = tuple[float, int, int]
"""Seconds since the one before, accepted, refused."""

DELIVERIES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 5.0, 40.0]), st.sampled_from([0, 0, 0, 1, 3, 60]), st.sampled_from([0, 1, 30, 99, 250])),
    max_size=25,
)


def plainly_stops(past: list[Delivery]) -> bool:
    """Look for the run at the end of a past: every beginning of it has at most 1 % accepted, and no delivery before it could belong to it."""
    at, begun = 0.0, 0.0
    before_accepted = before_refused = 0
    run: list[tuple[int, int]] = []
    for wait, accepted, refused in past:
        at += wait
        if not accepted + refused:
            continue
        begun = begun if run else at
        run.append((accepted, refused))
        if sum(one for one, _ in run) > sum(one + other for one, other in run) / 100:
            before_accepted += sum(one for one, _ in run)
            before_refused += sum(other for _, other in run)
            run = []
    return sum(one + other for one, other in run) >= ITEMS and at - begun >= LASTING_S and before_accepted > before_refused


@given(DELIVERIES)
@settings(max_examples=300)
def test_a_door_is_stopped_when_it_refuses_all_that_it_took_before(past: list[Delivery]):
    breaker, now, taken = Breaker(), 0.0, list[Delivery]()
    for wait, accepted, refused in past:
        if sum(one + other for _, one, other in taken) + accepted + refused > REMEMBERED:
            return  # the oldest would count half
        now += wait
        taken.append((wait, accepted, refused))
        assert breaker.admits(accepted, refused, now) is Admission.OPEN
        turn = breaker.count(accepted, refused, now)
        assert breaker.stopped == (plainly_stops(taken) and bool(accepted + refused))
        assert turn is (Turn.STOPPED if breaker.stopped else None)
        if breaker.stopped:
            return


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 2_000)), max_size=30))
@settings(max_examples=100)
def test_whoever_sent_rubbish_from_the_start_is_never_stopped(past: list[tuple[float, int]]):
    breaker, now = Breaker(accepted=3, refused=10_000), 0.0
    for wait, refused in past:
        now += wait
        assert breaker.admits(0, refused, now) is Admission.OPEN
        assert breaker.count(0, refused, now) is None


def stopped(now: float = 0.0) -> Breaker:
    breaker = Breaker(accepted=1_000_000, refused=100)
    assert breaker.count(0, ITEMS, now) is None
    assert breaker.count(0, 1, now + LASTING_S) is Turn.STOPPED
    return breaker


def test_a_new_release_is_stopped_by_what_the_old_one_accepted():
    assert stopped().admits(0, 1, LASTING_S) is Admission.STOPPED
    assert Breaker().admits(0, 1, 0) is Admission.OPEN


@given(st.lists(st.floats(0, 30), min_size=1, max_size=50))
@settings(max_examples=100)
def test_of_what_a_stopped_door_would_refuse_it_takes_one_delivery_a_minute(waits: list[float]):
    breaker, now, probes = stopped(), LASTING_S, list[float]()
    for wait in waits:
        now += wait
        due = breaker.retry_after(now) == 0
        assert breaker.admits(0, 7, now) is (Admission.PROBE if due else Admission.STOPPED)
        if due:
            probes.append(now)
            assert breaker.count(0, 7, now) is None
    assert all(later - earlier >= PROBE_S for earlier, later in zip([LASTING_S, *probes], probes, strict=False))
    assert len(probes) >= (now - LASTING_S) // (PROBE_S + 30)


def test_a_stopped_door_opens_with_a_good_batch_and_is_stopped_again_when_all_is_refused_again():
    breaker = stopped()
    assert breaker.admits(1, 500, 40) is Admission.STOPPED  # one by chance
    assert breaker.admits(450, 50, 40) is Admission.OPEN
    assert breaker.count(450, 50, 40) is Turn.REOPENED
    assert breaker.admits(0, 1, 41) is Admission.OPEN
    assert breaker.count(0, ITEMS, 100) is None
    assert breaker.count(0, 1, 100 + LASTING_S) is Turn.STOPPED


def test_one_device_that_is_understood_among_many_that_are_not_is_taken_and_opens_nothing():
    breaker = stopped()
    for second in range(40, 80):
        assert breaker.admits(1, 0, second) is Admission.OPEN
        assert breaker.count(1, 0, second) is None
        assert all(breaker.admits(0, 1, second) is Admission.STOPPED for _ in range(3))
    good = 0
    while breaker.count(1, 0, 81) is not Turn.REOPENED:
        good += 1
    assert good < RECENT


def test_a_door_that_was_opened_by_hand_refuses_as_ever_until_most_was_accepted_again():
    breaker = stopped()
    breaker.reopen()
    for second in range(0, 300, 10):
        assert breaker.admits(0, 1_000, second) is Admission.OPEN
        assert breaker.count(0, 1_000, second) is None
    for _ in range(4):
        breaker.count(REMEMBERED, 0, 300)
    assert breaker.count(0, ITEMS, 400) is None
    assert breaker.count(0, 1, 400 + LASTING_S) is Turn.STOPPED
