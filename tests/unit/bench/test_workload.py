"""What `bench rules` compares by: its log, its expectation, the plain peer, and the engine on a small log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from schemas.partitioner import partition_of
from services.rules.domain.revision import Revision
from services.rules.domain.step import Partition
from tests.bench import rules
from tests.bench.peers import plain
from tests.bench.peers.ground import BenchError, Seen
from tests.bench.peers.workload import DOWN, FRESH, SECOND, UP, Change, Ladder, World, changes_of, compare, filling

PARTITIONS = 4
VALUES = sorted({*UP, *DOWN, *(limit - 0.01 for limit in UP), *(limit + 0.01 for limit in DOWN), 5.0, 60.0})


def log(n: int = 4_000, sensors: int = 100) -> tuple[World, list[tuple[int, wire.Record]]]:
    world = World(sensors, PARTITIONS)
    return world, list(filling(world, n))


def test_the_same_seed_gives_the_same_log_and_the_same_expectation():
    (one, records), (other, again) = log(), log()
    assert records == again
    assert one.changes == other.changes
    assert len(one.changes) > 20


def test_the_log_has_as_many_observations_as_asked_for_each_in_its_streets_partition():
    _, records = log(3_000)
    observations = [(partition, record) for partition, record in records if isinstance(record, wire.Observation)]
    assert len(observations) == 3_000
    assert all(partition == partition_of(record.street.encode(), PARTITIONS) for partition, record in observations)


def test_the_last_record_of_each_partition_changes_a_tier():
    world, records = log()
    last = dict(records)
    changed = {(change.sensor, change.end) for change in world.changes}
    assert len(last) == PARTITIONS
    assert all(isinstance(record, wire.Observation) and (record.sensor, record.end) in changed for record in last.values())


def test_the_engine_tells_what_is_expected():
    world, records = log(12_000)
    partitions = [Partition() for _ in range(PARTITIONS)]
    told: list[dict[str, Any]] = []
    for at, record in records:
        told += [json.loads(output.json()) for output in partitions[at].step(record)[1] if isinstance(output, Revision)]
    assert compare(world.changes, changes_of(told)).good
    assert compare(world.changes, changes_of(told[::-1])).good  # in whatever order partitions are read


readings = st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from([SECOND, FRESH, FRESH + 1])), max_size=40)


@given(readings)
def test_the_plain_peer_steps_as_the_expectation_does(given_readings: list[tuple[float, int]]):
    ladder, state, end = Ladder(), plain.CALM, 0
    for value, gap in given_readings:
        end += gap
        before, state = state[0].bit_length(), plain.step(state, end, value)
        after = state[0].bit_length()
        assert ladder.observe("s", end, value) == (Change("s", end, before, after) if after != before else None)


def test_what_is_missing_too_many_or_told_twice_is_no_agreement():
    one, other = Change("a", 1, 0, 1), Change("a", 2, 1, 2)
    assert compare([one, other], [other, one]).good
    assert compare([one, other], [one]).missing == [other]
    assert compare([one], [one, other]).extra == [other]
    assert compare([one], [one, one]).doubled == 1
    assert not compare([one], [one, one]).good


def test_a_side_that_does_not_agree_ends_the_benchmark():
    change = Change("a", 1, 0, 1)
    seen = Seen(json.dumps({"sensor": "a", "end": 1, "from": 0, "to": 2}).encode(), 0.0, 0.0)
    with pytest.raises(BenchError, match="1 changes of tier are missing, 1 too many"):
        rules._agree("a peer", [change], [seen])
