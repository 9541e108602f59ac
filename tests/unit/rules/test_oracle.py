"""`step` against the oracle, on random histories: what is told, and that it depends on the log alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import wire
from schemas.warning import Change, Warning, WarningState  # noqa: A004 - the field's own word
from services.rules.domain.state import State
from services.rules.domain.step import Partition
from tests.unit.rules.histories import histories
from tests.unit.rules.oracle import Oracle, Told

RANDOM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def told(partition: Partition, record: wire.Record) -> list[Told]:
    return [warning.model_dump(mode="json") for warning in partition.step(record)[1]]


def in_order(warnings: list[Told]) -> list[Told]:
    """Of different warnings no order is promised."""
    return sorted(warnings, key=lambda warning: warning["id"])


def restored(partition: Partition) -> Partition:
    """As a snapshot is written and read."""
    return Partition(msgspec.msgpack.decode(msgspec.msgpack.encode(partition.state), type=State))


@settings(RANDOM, max_examples=300)
@given(histories())
def test_what_is_told_is_what_the_oracle_tells(log: list[wire.Record]):
    partition, oracle = Partition(), Oracle()
    for record in log:
        assert in_order(told(partition, record)) == in_order(oracle.take(record))


@settings(RANDOM, max_examples=60)
@given(histories(), st.data())
def test_a_snapshot_at_any_point_changes_nothing_and_a_replay_tells_the_same(log: list[wire.Record], data: Any):
    at = data.draw(st.integers(0, len(log)))
    whole, first = Partition(), Partition()
    without = [told(whole, record) for record in log]
    assert [told(first, record) for record in log[:at]] == without[:at]
    snapshot = msgspec.msgpack.encode(first.state)
    for _ in range(2):
        again = Partition(msgspec.msgpack.decode(snapshot, type=State))
        assert [told(again, record) for record in log[at:]] == without[at:]
        assert again.state == whole.state


@settings(RANDOM, max_examples=100)
@given(histories())
def test_revisions_have_no_gap_no_two_have_one_identity_and_times_never_go_back(log: list[wire.Record]):
    partition = Partition()
    warnings = [warning for record in log for warning in partition.step(record)[1]]
    by_id: dict[UUID, list[Warning]] = {}
    by_life: dict[tuple[str, str], list[Warning]] = {}
    for warning in warnings:
        by_id.setdefault(warning.id, []).append(warning)
        by_life.setdefault((warning.rule, warning.subject), []).append(warning)
    for revisions in by_id.values():
        assert [revision.rev for revision in revisions] == list(range(1, len(revisions) + 1))
        assert [revision.change is Change.OPENED for revision in revisions] == [revision.rev == 1 for revision in revisions]
        assert all(revision.state is WarningState.OPEN for revision in revisions[:-1])
        assert len({(revision.began_at, revision.origin, revision.meaning) for revision in revisions}) == 1
    for revisions in by_life.values():
        assert all(before.changed_at <= after.changed_at for before, after in pairwise(revisions))
        assert all(before.id == after.id or before.state is WarningState.CLEARED for before, after in pairwise(revisions))


@settings(RANDOM, max_examples=60)
@given(histories())
def test_what_waits_for_ticks_is_bounded_by_tiers_and_changes(log: list[wire.Record]):
    partition = Partition()
    changes = 0
    for record in log:
        partition.step(record)
        changes += isinstance(record, wire.Sensor | wire.Activation)
        series = [series for sensor in partition.state.sensors.values() for series in sensor.series.values()]
        latches = sum(len(tracker.latches) for one in series for tracker in one.trackers.values())
        # An entry of a tracker that a change has dropped goes when its time comes.
        assert len(partition.state.dues) <= latches + 4 * 4 * changes
