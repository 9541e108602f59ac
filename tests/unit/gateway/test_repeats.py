"""Refusals that come again are counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.base import Code
from services.gateway.domain import repeats as module
from services.gateway.domain.repeats import OF_ONE, SYSTEM, UNKNOWN, VARIOUS, WINDOW_S, Act, Repeats


def act(number: int = 0, address: str = "10.0.0.1") -> Act:
    return Act("somebody", "region.refuse", f"region/{number}", address)


def test_the_first_is_told_and_the_rest_is_counted():
    repeats = Repeats()
    assert [repeats.first(act(), at) for at in range(4)] == [True, False, False, False]
    assert list(repeats.over(WINDOW_S - 0.1)) == []
    assert list(repeats.over(WINDOW_S)) == [(act(), 3)]
    assert list(repeats.over(WINDOW_S * 9)) == []
    assert repeats.first(act(), WINDOW_S)


def test_who_tries_all_doors_is_counted_together_and_others_are_still_told():
    repeats = Repeats()
    assert [repeats.first(act(door), 0) for door in range(OF_ONE + 5)] == [True] * OF_ONE + [False] * 5
    assert repeats.first(act(address="10.0.0.2"), 0)
    ((together, times),) = repeats.over(WINDOW_S)
    assert (together.action, together.address, times) == ("various.refuse", "10.0.0.1", 5)
    assert repeats.first(act(), WINDOW_S)


def test_what_a_principal_is_refused_is_told_whatever_others_are_at_their_address_and_is_bounded_wherever_they_are():
    repeats = Repeats()
    for door in range(OF_ONE + 1):
        repeats.first(act(door), 0)
    theirs = [Act("li-wei", "region.refuse", f"region/{door}", f"10.0.0.{1 + door % 3}", proven=True) for door in range(OF_ONE + 4)]
    assert [repeats.first(each, 0) for each in theirs] == [True] * OF_ONE + [False] * 4
    assert repeats.first(Act("wang", "region.refuse", "region/0", "10.0.0.1", proven=True), 0)
    told = {(each.actor, each.proven): times for each, times in repeats.over(WINDOW_S)}
    assert told == {(VARIOUS, False): 1, ("li-wei", True): 4}


def test_who_only_says_that_they_are_somebody_uses_up_nothing_of_theirs():
    repeats = Repeats()
    for at in range(OF_ONE + 1):
        assert repeats.first(Act("li-wei", "session.refuse", "user/li-wei", f"10.0.2.{at}"), 0)
    assert repeats.first(Act("li-wei", "region.refuse", "region/0", "10.0.0.1", proven=True), 0)


def test_all_addresses_of_a_network_are_one():
    repeats = Repeats()
    assert [repeats.first(act(door, f"2001:db8::{door:x}"), 0) for door in range(OF_ONE + 2)] == [True] * OF_ONE + [False] * 2
    ((together, times),) = repeats.over(WINDOW_S)
    assert (together.address, times) == ("2001:db8::/64", 2)


@pytest.mark.parametrize("actor", [SYSTEM, UNKNOWN, VARIOUS])
def test_nobody_can_bear_the_name_of_an_actor_of_the_audits_own(actor: str):
    with pytest.raises(ValidationError):
        TypeAdapter(Code).validate_python(actor)


def test_the_memory_is_bounded_however_many_there_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "IN_ALL", 10)
    repeats = Repeats()
    for at in range(100):
        repeats.first(act(address=f"10.0.1.{at}"), 0)
    assert len(repeats._runs) <= 2 * 10 + 1
    assert sum(times for _, times in repeats.over(WINDOW_S)) == 90
    assert not repeats._runs
    assert not repeats._told


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.floats(0, 40)), max_size=60))
def test_each_is_told_or_counted(drawn: list[tuple[int, str, float]]):
    repeats, now = Repeats(), 0.0
    came: Counter[Act] = Counter()
    told: Counter[Act] = Counter()
    for number, address, wait in drawn:
        now += wait
        told.update(dict(repeats.over(now)))
        came[act(number, address)] += 1
        told[act(number, address)] += repeats.first(act(number, address), now)
    told.update(dict(repeats.over(float("inf"))))
    assert told == came
