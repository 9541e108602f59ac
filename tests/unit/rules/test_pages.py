"""Snapshots: a partition restored from its pages goes on as if nothing had been, and pages are of one record however long they take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import wire
from schemas.rule import Rule
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.rules.domain.pages import HEAD, PAGES
from services.rules.domain.revision import Revision
from services.rules.domain.step import Partition
from tests.unit.rules.histories import HERE, START, THERE, activation, histories, random_history, reading, rule, sensor, tick, way
from tests.unit.rules.test_step import SIMPLE, feed, flows, started, story

RANDOM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=5)
SEEDS = range(6)


def whole(partition: Partition, at_most: int = 1 << 30) -> dict[int, bytes]:
    """Take all that has changed since the last snapshot."""
    partition.begin_snapshot()
    return dict(_all(partition, at_most))


def _all(partition: Partition, at_most: int) -> Iterator[tuple[int, bytes]]:
    while pages := partition.take_pages(at_most):
        yield from pages
    assert not partition.snapshotting


def outputs(partition: Partition, records: list[wire.Record]) -> list[list[Revision]]:
    """Return what is told of each record: of different warnings no order is promised, the revisions of one come in order."""
    told = [[one for one in partition.step(record)[1] if isinstance(one, Revision)] for record in records]
    for some in told:
        for id_ in {one.id for one in some}:
            revs = [one.rev for one in some if one.id == id_]
            assert revs == sorted(revs)
    return [sorted(some, key=lambda one: (one.id, one.rev)) for some in told]


def content(pages: dict[int, bytes]) -> dict[int, Any]:
    """What pages say, whatever the order in which they say it."""
    return {page: _sorted(msgspec.msgpack.decode(body)) for page, body in pages.items()}


def _sorted(value: Any) -> Any:
    return json.dumps(sorted((repr(one) for one in value) if isinstance(value, list) else [repr(value)]))


# A round trip.


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restored_partition_goes_on_as_the_one_that_was_never_stopped(seed: int):
    log, rng = random_history(seed, 200), Random(seed)
    for cut in rng.sample(range(len(log) + 1), 2):
        going, stopped = Partition(), Partition()
        outputs(going, log[:cut])
        outputs(stopped, log[:cut])
        restored = Partition.restore(whole(stopped))
        assert restored.now == going.now
        assert outputs(restored, log[cut:]) == outputs(going, log[cut:])


@RANDOM
@given(histories(), st.integers(3, 15))
def test_a_partition_stopped_again_and_again_tells_the_same(log: list[wire.Record], every: int):
    going, stopped = Partition(), Partition()
    pages: dict[int, bytes] = {}
    for at, record in enumerate(log):
        assert outputs(stopped, [record]) == outputs(going, [record]), at
        if at % every == 0:
            pages |= whole(stopped)
            stopped = Partition.restore(pages)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_restored_is_written_again_as_it_was(seed: int):
    partition = Partition()
    outputs(partition, random_history(seed, 200))
    pages = whole(partition)
    again = Partition.restore(pages)
    again.pages.changed = bytearray(b"\1" * PAGES)
    assert content({page: body for page, body in whole(again).items() if page in pages}) == content(pages)


# Copy on write.


@pytest.mark.parametrize("seed", SEEDS)
def test_a_snapshot_taken_while_records_go_on_is_of_the_record_at_which_it_began(seed: int):
    log, rng = random_history(seed, 200), Random(seed)
    begun = rng.randrange(40, 160)
    going, reference = Partition(), Partition()
    outputs(going, log[:begun])
    outputs(reference, log[:begun])
    going.begin_snapshot()
    taken: dict[int, bytes] = {}
    done = begun
    while going.snapshotting:
        pages = going.take_pages(1)
        assert not taken.keys() & dict(pages).keys(), "no page is handed out twice"
        taken |= dict(pages)
        for _ in range(rng.choice([0, 1, 3, 20])):
            if done < len(log):
                going.step(log[done])
                done += 1
    assert done > begun
    assert content(taken) == content(whole(reference))
    assert outputs(Partition.restore(taken), log[begun:]) == outputs(reference, log[begun:])


def test_a_page_is_written_before_the_record_that_changes_it_and_no_other_is():
    partition = started(rule(SIMPLE), sensors=[sensor(f"s{number}") for number in range(50)])
    whole(partition)
    feed(partition, tick(1), *(reading(1, flow=90, sensor=f"s{number}") for number in range(50)))
    partition.begin_snapshot()
    feed(partition, reading(2, flow=0, sensor="s7"))
    first, *_ = partition.take_pages(1)
    assert first[0] == partition.sensors["s7"].page
    assert sum(partition.pages.pending) == len({HEAD, *(one.page for one in partition.sensors.values())}) - 1
    dict(_all(partition, 1))


def test_pages_are_handed_out_at_least_one_at_a_time_and_none_once_all_are():
    partition = started(rule(SIMPLE), sensors=[sensor(f"s{number}") for number in range(50)])
    assert not partition.snapshotting
    partition.begin_snapshot()
    taken = []
    while pages := partition.take_pages(1):
        assert len(pages) == 1
        taken += pages
    assert len({page for page, _ in taken}) == len(taken) > 40
    assert (partition.take_pages(1), partition.snapshotting) == ([], False)


def test_a_second_snapshot_has_only_what_changed_since():
    partition = started(rule(SIMPLE), sensors=[sensor(f"s{number}") for number in range(50)])
    pages = whole(partition)
    feed(partition, reading(1, flow=90, sensor="s7"), reading(1, flow=90, sensor="s8"))
    second = whole(partition)
    assert second.keys() == {HEAD, partition.sensors["s7"].page, partition.sensors["s8"].page}
    assert whole(partition).keys() == {HEAD}
    restored = Partition.restore({**pages, **second})
    assert [one.subject for one in feed(restored, *(reading(2, flow=0, sensor=f"s{number}") for number in range(50)))] == ["s7/flow", "s8/flow"]


def test_what_changes_while_a_snapshot_is_taken_is_in_the_next_one():
    partition = started(rule(SIMPLE), sensors=[sensor("s7"), sensor("s8")])
    pages = whole(partition)
    feed(partition, reading(1, flow=50, sensor="s7"))
    partition.begin_snapshot()
    feed(partition, reading(2, flow=90, sensor="s7"), reading(2, flow=90, sensor="s8"))
    pages |= dict(_all(partition, 1))
    assert feed(Partition.restore(pages), reading(3, flow=0, sensor="s7"), reading(3, flow=0, sensor="s8")) == []
    pages |= whole(partition)
    assert len(feed(Partition.restore(pages), reading(3, flow=0, sensor="s7"), reading(3, flow=0, sensor="s8"))) == 2


def test_after_a_restore_only_what_changes_is_written():
    restored = Partition.restore(whole(started(rule(SIMPLE), sensors=[sensor("s7"), sensor("s8")])))
    assert whole(restored).keys() == {HEAD}
    feed(restored, reading(1, flow=50, sensor="s8"))
    assert whole(restored).keys() == {HEAD, restored.sensors["s8"].page}


AGREE: dict[str, Any] = {"measure": {"kind": "agreement", "past": 80, "within": 30}}


def test_a_place_is_written_before_a_member_changes_it():
    partition = started(rule({"red": (way(2), way(1))}, **AGREE), sensors=[sensor(), sensor("s2")])
    feed(partition, tick(0), reading(1, flow=90), reading(2, flow=90, sensor="s2"))
    partition.begin_snapshot()
    feed(partition, reading(3, flow=0, sensor="s2"))
    restored = Partition.restore(dict(_all(partition, 1)))
    assert story(feed(restored, reading(4, flow=0, sensor="s2"))) == [(2, "recovered", "red", 4)]


def test_of_a_place_that_is_gone_only_the_ids_that_it_gave_are_written():
    partition = started(rule({"red": (way(2), way(1))}, **AGREE), sensors=[sensor(), sensor("s2")])
    feed(partition, reading(1, flow=90), reading(2, flow=90, sensor="s2"))
    pages = whole(partition)
    (closed,) = feed(partition, sensor(version=2, street=THERE), sensor("s2", version=2, street=THERE))
    assert (closed.change, closed.street) == ("sensor_moved", HERE)
    restored = Partition.restore({**pages, **whole(partition)})
    (place,) = restored.places.values()
    assert (place.members, place.births, place.tracker, place.closed) == ({}, {}, None, (START + 2_000_000,))


# What cannot be used.


@pytest.mark.parametrize("spoiled", [b"", b"\xc1", b"\x93\x01", msgspec.msgpack.encode([["s", "s1"]]), msgspec.msgpack.encode(7)])
@pytest.mark.parametrize("page", [HEAD, 5])
def test_a_page_that_cannot_be_read_is_told_as_such(page: int, spoiled: bytes):
    pages = whole(started(rule(SIMPLE)))
    with pytest.raises(ValueError, match=r"."):
        Partition.restore({**pages, page: spoiled})


# Open warnings of a state that is lost.

TIERS: dict[str, Any] = {"blue": (way(60), way(50)), "yellow": (way(80), way(70)), "red": (way(95), way(90))}


def rebuilt(adopted: list[Warning], *rules: Rule) -> Partition:
    """Return a partition that has lost its state and takes over open warnings."""
    partition = Partition()
    partition.adopt(adopted)
    feed(partition, sensor(), *(activation(one) for one in rules), tick(100))
    return partition


@pytest.mark.parametrize(("tiers", "value"), [(SIMPLE, 90), (TIERS, 65), (TIERS, 90), (TIERS, 99)])
def test_an_adopted_warning_goes_on_and_ends_rightly(tiers: Any, value: float):
    (told,) = feed(started(rule(tiers)), reading(1, flow=value))
    partition = rebuilt([told], rule(tiers))
    assert feed(partition, reading(101, flow=value)) == [], "it is as it was told"
    (over,) = feed(partition, reading(102, flow=10))
    assert (over.id, over.rev, over.change, over.state) == (told.id, told.rev + 1, "recovered", "cleared")
    assert (over.began_at, over.peak, over.tier) == (told.began_at, told.peak, told.tier)
    (new,) = feed(partition, reading(103, flow=value))
    assert (new.id != told.id, new.rev, new.change) == (True, 1, "opened")


def test_an_adopted_warning_rises_and_falls():
    (told,) = feed(started(rule(TIERS)), reading(1, flow=90))
    partition = rebuilt([told], rule(TIERS))
    steps = feed(partition, *flows((101, 99), (102, 85), (103, 60), (104, 45)))
    assert {one.id for one in steps} == {told.id}
    assert [(one.rev, one.change, one.tier) for one in steps] == [
        (2, "raised", "red"),
        (3, "lowered", "yellow"),
        (4, "lowered", "blue"),
        (5, "recovered", "blue"),
    ]


def test_an_adopted_warning_survives_the_next_snapshot():
    (told,) = feed(started(rule(SIMPLE)), reading(1, flow=90))
    partition = rebuilt([told], rule(SIMPLE))
    feed(partition, reading(101, flow=90))
    (over,) = feed(Partition.restore(whole(partition)), reading(102, flow=10))
    assert (over.id, over.rev, over.change) == (told.id, 2, "recovered")


def test_late_data_do_not_reach_behind_an_adopted_warning():
    (told,) = feed(started(rule(SIMPLE)), reading(50, flow=90))
    partition = rebuilt([told], rule(SIMPLE))
    assert feed(partition, reading(101, flow=90), reading(40, flow=0), reading(50, flow=0)) == []


def test_an_adopted_warning_is_closed_by_what_closes_any():
    (told,) = feed(started(rule(SIMPLE)), reading(1, flow=90))
    for record, change in (
        (activation(rule(SIMPLE, version=2)), "rule_changed"),
        (activation(rule(SIMPLE, version=2, enabled=False)), "rule_changed"),
        (sensor(version=2, street=THERE), "sensor_moved"),
        (sensor(version=2, department="e"), "sensor_moved"),
    ):
        partition = rebuilt([told], rule(SIMPLE))
        (closed,) = feed(partition, reading(101, flow=90), record)
        assert (closed.id, closed.rev, closed.change, closed.state) == (told.id, 2, change, "cleared")


def test_what_ends_an_adopted_warning_ends_it_before_its_first_reading_too():
    (told,) = feed(started(rule(SIMPLE)), reading(1, flow=90))
    for record, change in (
        (activation(rule(SIMPLE, version=2)), "rule_changed"),
        (sensor(version=2, street=THERE), "sensor_moved"),
        (sensor(version=2, department="e"), "sensor_moved"),
    ):
        (closed,) = feed(rebuilt([told], rule(SIMPLE)), record)
        assert (closed.id, closed.rev, closed.change, closed.state) == (told.id, 2, change, "cleared")
        assert closed.evidence.clears is None
        assert closed.cleared_at == closed.changed_at


def test_an_adopted_warning_of_another_meaning_is_not_gone_on_with():
    (told,) = feed(started(rule(SIMPLE)), reading(1, flow=90))
    (new,) = feed(rebuilt([told], rule(SIMPLE, version=2)), reading(101, flow=90))
    assert (new.id != told.id, new.rev, new.meaning) == (True, 1, 2)


def test_silences_and_places_are_adopted_too():
    silent = rule({"blue": (way(10), way(0))}, "r1", measure={"kind": "absence"})
    agree = rule({"red": (way(2), way(1))}, "r2", **AGREE)
    partition = started(silent, agree, sensors=[sensor(), sensor("s2")])
    told = feed(partition, reading(1, flow=90), reading(2, flow=90, sensor="s2"), *(tick(second, {"http@n1": second}) for second in range(3, 14)))
    assert sorted(one.subject for one in told) == [f"{HERE}/flow", "s1/flow", "s2/flow"]
    again = Partition()
    again.adopt(told)
    ended = feed(again, sensor(), sensor("s2"), activation(silent), activation(agree), tick(20, {"http@n1": 20}), reading(21, flow=0))
    assert {(one.id, one.rev, one.change) for one in ended} == {(one.id, 2, "recovered") for one in told if one.subject != "s2/flow"}
