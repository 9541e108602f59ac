"""The engine against the oracle: what is told, that it depends on the log alone, and that the histories have all in them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import wire
from schemas.warning import Change
from services.rules.domain.step import Partition
from tests.unit.rules.histories import histories
from tests.unit.rules.oracle import Told
from tests.unit.rules.rounds import compare, history, rounds, shortest, shown, told

RANDOM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def test_two_hundred_rounds_with_crashes_tell_what_the_oracle_tells_and_every_change_occurs():
    changes: Counter[str] = Counter()
    for seed, difference, counted in rounds(range(200)):
        changes += counted
        assert difference is None, f"seed {seed}: {difference}"
    assert changes.keys() == {change.value for change in Change}


@pytest.mark.parametrize("seed", [598, 989, 2273])
def test_places_whose_sensors_change_hands_or_come_too_late_tell_what_the_oracle_tells(seed: int):
    ((_, difference, _),) = rounds([seed], shapes=("agreement",))
    assert difference is None, difference


@settings(RANDOM, max_examples=25)
@given(histories(), st.randoms(use_true_random=False))
def test_a_drawn_history_with_crashes_tells_what_the_oracle_tells(log: list[wire.Record], rng: Any):
    assert (difference := compare(log, rng)) is None, difference


@settings(RANDOM, max_examples=25)
@given(histories())
def test_revisions_have_no_gap_and_each_is_the_whole_state(log: list[wire.Record]):
    partition = Partition()
    by_id: dict[str, list[Told]] = {}
    for record in log:
        for one in told(partition, record):
            by_id.setdefault(one["id"], []).append(one)
    for revisions in by_id.values():
        assert [one["rev"] for one in revisions] == list(range(1, len(revisions) + 1))
        assert [one["change"] == "opened" for one in revisions] == [one["rev"] == 1 for one in revisions]
        assert len({(one["rule"], one["meaning"], one["subject"], one["origin"]) for one in revisions}) == 1
        for one in revisions:
            over = one["state"] == "cleared"
            assert over == (one["cleared_at"] is not None) == (one["evidence"]["clears"] is None)
            assert over == (
                one["change"] in {"recovered", "retracted", "merged", "rule_changed", "sensor_moved"} or (over and one["change"] == "revised")
            )


def test_a_history_is_the_same_for_a_seed_and_is_shown_and_shortened():
    log = history(7)
    assert log == history(7) != history(8)
    assert all(shown(record) for record in log)


class Deaf(Partition):
    """An engine with a fault, to see that rounds can fail."""

    def step(self, record: wire.Record) -> Any:
        reason, outputs = super().step(record)
        return reason, [one for one in outputs if getattr(one, "change", "") != "raised"]


def test_a_fault_is_found_and_its_history_made_short():
    seed = next(seed for seed in range(100) if "raised" in str(compare(history(seed), engine=Deaf)))
    log, found = shortest(history(seed), None, Deaf)
    assert "raised" in str(found)
    assert len(log) <= 8
