"""`step` by examples: what each kind of record does, what a warning says, and what late data change of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest

from schemas import wire
from schemas.base import Domain, Origin
from schemas.grace import grace
from schemas.observation import Statistic
from schemas.partitioner import partition_of
from schemas.rule import Direction, Rule
from schemas.tiers import Tier
from schemas.warning import Change, Clearing, Evidence, Warning, WarningState  # noqa: A004 - the field's own word
from schemas.wire import from_micros
from services.rules.domain.core import MOST_READINGS
from services.rules.domain.episodes import identity
from services.rules.domain.outcome import Reason
from services.rules.domain.revision import Revision
from services.rules.domain.state import series_key
from services.rules.domain.step import Partition
from tests.unit.rules.histories import HERE, START, THERE, activation, at, changed, name, reading, rule, sensor, tick, way

SIMPLE: dict[str, Any] = {"yellow": (way(80), way(70))}
HOUR = 3600


def feed(partition: Partition, *records: wire.Record) -> list[Warning]:
    outputs = [one for record in records for one in partition.step(record)[1]]
    return [Warning.model_validate_json(one.json()) for one in outputs if isinstance(one, Revision)]


def started(*rules: Rule, sensors: Iterable[wire.Sensor] = (sensor(),)) -> Partition:
    partition = Partition()
    feed(partition, *sensors, *(activation(one) for one in rules))
    return partition


def seconds(time: Any) -> float:
    """Return seconds after the start."""
    return round((wire.to_micros(time) - START) / 1e6, 6)


def story(warnings: Iterable[Warning]) -> list[tuple[int, str, str, float]]:
    """Return (rev, change, tier, seconds) of each."""
    return [(one.rev, one.change.value, one.tier.value, seconds(one.changed_at)) for one in warnings]


def flows(*pairs: tuple[float, float], **fields: Any) -> list[wire.Observation]:
    return [reading(end, flow=value, **fields) for end, value in pairs]


def outcome(partition: Partition, record: wire.Record) -> tuple[Reason, list[Any]]:
    reason, outputs = partition.step(record)
    return reason, list(outputs)


# What a warning says.


def test_a_warning_says_all_of_itself():
    limits = rule(SIMPLE, standard="GB 1", unit="mg/m3", name=name("浓度"))
    partition = started(limits, sensors=[sensor(name=name("测点"))])
    one = reading(3, flow=81.5)
    (warning,) = feed(partition, one)
    assert warning == Warning(
        id=identity("r1", 1, "s1/flow", at(3)),
        rev=1,
        rule="r1",
        rule_version=1,
        meaning=1,
        rule_name=name("浓度"),
        subject="s1/flow",
        sensor="s1",
        sensor_name=name("测点"),
        street=HERE,
        domain=Domain.WATER,
        department="d",
        state=WarningState.OPEN,
        tier=Tier.YELLOW,
        peak=Tier.YELLOW,
        change=Change.OPENED,
        began_at=from_micros(at(3)),
        changed_at=from_micros(at(3)),
        origin=Origin.REAL,
        evidence=Evidence(
            metric="flow",
            value=81.5,
            unit="mg/m3",
            limit=80,
            direction=Direction.ABOVE,
            readings=1,
            statistic=Statistic.INSTANT,
            period_s=0,
            standard=name("GB 1"),
            clears_at=70,
            clears=Clearing(limit=70, direction=Direction.BELOW, readings=1, dwell_s=None),
            observation=one.id,
            observed_at=from_micros(at(3)),
            received_at=from_micros(at(3.1)),
        ),
    )


def test_an_identity_is_for_ever():
    assert identity("r1", 1, "s1/flow", at(3)) == UUID("2b4a6f6b-7551-5b51-98ff-40aaeaf30c99")


def test_evidence_names_the_limit_of_the_tier_entered_or_left_and_what_would_end_the_present_one():
    partition = started(rule({"blue": (way(60), way(55)), "yellow": (way(70, 2), way(65, 2)), "red": (way(90), way(85))}))
    warnings = feed(partition, *flows((1, 61), (2, 91), (3, 75), (4, 60), (5, 60), (6, 50)))
    assert story(warnings) == [
        (1, "opened", "blue", 1),
        (2, "raised", "red", 2),
        (3, "lowered", "yellow", 3),
        (4, "lowered", "blue", 5),
        (5, "recovered", "blue", 6),
    ]
    told = [(one.evidence.limit, one.evidence.clears_at, one.evidence.value, one.evidence.readings) for one in warnings]
    # At 3 s yellow is entered and red is left: what counts is the tier that is no more.
    assert told == [(60, 55, 61, 1), (90, 85, 91, 1), (85, 65, 75, 1), (65, 55, 60, 2), (55, None, 50, 1)]
    assert [one.evidence.clears and one.evidence.clears.readings for one in warnings] == [1, 1, 2, 1, None]
    assert {one.peak for one in warnings[1:]} == {Tier.RED}
    assert warnings[-1].cleared_at == warnings[-1].changed_at
    assert len({one.id for one in warnings}) == 1


def test_what_decided_earlier_than_the_record_is_not_told_as_its_observation():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}))
    feed(partition, *flows((1, 90), (5, 91)))
    (warning,) = feed(partition, tick(16))
    assert (warning.evidence.observation, warning.evidence.received_at, seconds(warning.evidence.observed_at)) == (None, None, 5)


# What each record does.


def test_of_each_record_a_reason_is_told():
    partition = started(rule(SIMPLE))
    feed(partition, tick(0))
    expected = [
        (reading(5, flow=1), Reason.EVALUATED),
        (reading(5, flow=1), Reason.REPEATED),
        (reading(5, flow=2), Reason.CORRECTED),
        (reading(4, flow=2), Reason.LATE),
        (reading(-HOUR - 5.1, flow=99), Reason.TOO_LATE),
        (reading(6, level=99), Reason.NOT_WATCHED),
        (reading(6, flow=99, period=60), Reason.NOT_WATCHED),
        (reading(6, flow=99, sensor="s9"), Reason.UNKNOWN_SENSOR),
        (reading(6, flow=99, street=THERE), Reason.ELSEWHERE),
        (reading(6, flow=99, quality={"flow": "stopped"}), Reason.NOT_GOOD),
        (sensor(), Reason.OLD_VERSION),
        (activation(rule(SIMPLE)), Reason.OLD_VERSION),
        (changed(sensor(version=2), body=b"{"), Reason.BAD_CONTROL),
        (changed(activation(rule(SIMPLE, version=2)), body=b'{"rule": null}'), Reason.BAD_CONTROL),
        (sensor(version=2), Reason.APPLIED),
        (activation(rule(SIMPLE, version=2), meaning=1), Reason.APPLIED),
        (tick(1), Reason.TICK),
        (tick(1), Reason.LATE_TICK),
        (tick(0.5), Reason.LATE_TICK),
    ]
    for record, reason in expected:
        assert outcome(partition, record) == (reason, []), record
    assert partition.now == at(1)


def test_of_an_observation_with_values_of_several_fates_the_most_telling_is_told():
    partition = started(rule(SIMPLE), rule(SIMPLE, "r2", applies={"metric": "level"}))
    feed(partition, reading(5, level=1))
    assert partition.step(reading(4, flow=1, level=1))[0] is Reason.EVALUATED
    assert partition.step(reading(4.5, level=1, flow=1))[0] is Reason.EVALUATED


def test_only_good_values_count_and_each_for_itself():
    partition = started(rule({"yellow": (way(80, 2), way(70))}))
    feed(partition, reading(1, flow=90))
    assert outcome(partition, reading(2, flow=10, level=1, quality={"flow": "fault"})) == (Reason.NOT_GOOD, [])
    assert len(feed(partition, reading(3, flow=90, level=1, quality={"level": "fault"}))) == 1


def test_a_flag_that_comes_later_takes_no_good_value_back():
    partition = started(rule(SIMPLE))
    feed(partition, reading(1, flow=90))
    assert outcome(partition, reading(1, flow=10, quality={"flow": "fault"})) == (Reason.NOT_GOOD, [])


def test_a_dwell_in_time_is_decided_by_a_tick_a_grace_after_it_was_due_and_by_the_last_reading_of_its_run():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70, dwell=20))}))
    assert feed(partition, *flows((1, 85), (9, 95), (11, 40)), tick(15.9)) == []
    (warning,) = feed(partition, tick(16))
    assert story([warning]) == [(1, "opened", "yellow", 11)]
    assert (warning.evidence.value, warning.evidence.dwell_s, warning.evidence.readings) == (95, 10, None)
    assert feed(partition, tick(35.9)) == []
    assert story(feed(partition, tick(36))) == [(2, "recovered", "yellow", 31)]


@pytest.mark.parametrize(("period", "wait"), [(0, 5), (1, 120), (60, 120), (3599, 120), (3600, 900), (86_400, 900)])
def test_the_grace_goes_by_the_period(period: int, wait: int):
    assert grace(period) == wait * 1_000_000
    watched = {"metric": "flow", "statistic": "mean" if period else "instant"}
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}, applies=watched))
    feed(partition, reading(1, flow=90, period=period))
    assert feed(partition, tick(11 + wait - 0.1)) == []
    assert len(feed(partition, tick(11 + wait))) == 1


def test_a_devices_clock_moves_no_time():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}))
    assert feed(partition, tick(0), *(reading(end, flow=90) for end in range(1, 2000))) == []
    assert len(feed(partition, tick(16))) == 1


def test_tiers_due_at_one_moment_are_one_revision_and_what_waited_comes_after():
    partition = started(rule({"blue": (way(60, dwell=10), way(55)), "yellow": (way(70, dwell=10), way(65))}))
    feed(partition, *flows((0, 75), (12, 50)))
    assert story(feed(partition, tick(60))) == [(1, "opened", "yellow", 10), (2, "recovered", "yellow", 12)]


def test_two_dwells_are_decided_in_order_of_time_and_what_turns_at_one_time_is_one_transition():
    partition = started(rule({"blue": (way(60, dwell=10), way(55)), "yellow": (way(70, dwell=10), way(65))}))
    feed(partition, *flows((0, 65), (3, 75), (13, 50)))
    # At 13 s yellow is due and the reading of that time ends both: yellow turns on and off, and blue off, at one time.
    assert story(feed(partition, tick(60))) == [(1, "opened", "blue", 10), (2, "recovered", "blue", 13)]


def test_readings_that_wait_for_ticks_are_bounded_and_the_oldest_are_settled():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70, dwell=10))}))
    feed(partition, tick(0), *(reading(end / 10, flow=90 if end < 110 else 0) for end in range(MOST_READINGS + 10)))
    (series,) = partition.sensors["s1"].series.values()
    assert len(series.ends) <= MOST_READINGS
    assert partition.step(reading(0.1, flow=0))[0] is Reason.TOO_LATE
    assert [one.change for one in feed(partition, tick(2 * MOST_READINGS))] == [Change.OPENED, Change.RECOVERED]


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_readings_are_forgotten_in_whatever_order_a_device_brings_them(batch: int):
    """Several at a time, newest first: no newest one is ever the last that makes a round number."""
    partition = started(rule({"yellow": (way(80), way(70))}))
    for begin in range(0, 4 * MOST_READINGS, batch):
        feed(partition, tick(begin), *(reading(begin + at + 1, flow=50) for at in reversed(range(batch))))
    (series,) = partition.sensors["s1"].series.values()
    assert len(series.ends) <= MOST_READINGS


# Late data, corrections, duplicates.


def test_late_data_open_at_their_own_time_and_say_so():
    partition = started(rule(SIMPLE))
    feed(partition, tick(3000), reading(3000, flow=0))
    assert outcome(partition, reading(2000, flow=1))[0] is Reason.LATE
    warnings = feed(partition, reading(1000, flow=90))
    assert story(warnings) == [(1, "opened", "yellow", 1000), (2, "recovered", "yellow", 2000)]
    assert [one.evidence.observation for one in warnings] == ["s1@1000:[('flow', 90)]", None]


def test_a_repetition_tells_nothing_whenever_it_comes():
    partition = started(rule(SIMPLE))
    told = flows((1, 90), (2, 60), (3, 90), (4, 91))
    feed(partition, *told)
    assert [outcome(partition, one) for one in (*told, *reversed(told))] == [(Reason.REPEATED, [])] * 8


def test_of_a_correction_the_newer_record_wins():
    partition = started(rule(SIMPLE))
    (first,) = feed(partition, reading(1, flow=90))
    (second,) = feed(partition, reading(1, flow=10))
    assert (second.id, second.rev, second.change, second.state) == (first.id, 2, Change.RETRACTED, WarningState.CLEARED)
    (third,) = feed(partition, reading(1, flow=90))
    assert (third.id, third.rev, third.change) == (first.id, 3, Change.REOPENED)


def test_an_earlier_beginning_revises_and_keeps_the_id():
    partition = started(rule(SIMPLE))
    (first,) = feed(partition, *flows((5, 0), (10, 90)))
    (second,) = feed(partition, reading(7, flow=90))
    assert (second.id, second.rev, second.change, seconds(second.began_at)) == (first.id, 2, Change.REVISED, 7)


def test_a_late_good_reading_splits_and_a_late_bad_one_merges():
    partition = started(rule(SIMPLE))
    one, _ = feed(partition, *flows((10, 90), (20, 90), (30, 60)))
    split = feed(partition, reading(15, flow=60))
    assert story(split) == [(3, "revised", "yellow", 15), (1, "opened", "yellow", 20), (2, "recovered", "yellow", 30)]
    merged, revised = feed(partition, reading(15, flow=90))
    assert story([merged, revised]) == [(3, "merged", "yellow", 30), (4, "revised", "yellow", 30)]
    assert (merged.id, merged.merged_into, revised.id, merged.state) == (split[1].id, one.id, one.id, WarningState.CLEARED)
    again = feed(partition, reading(15, flow=60))
    assert [(told.id, told.change) for told in again[1:]] == [(split[1].id, Change.REOPENED), (split[1].id, Change.RECOVERED)]


def test_what_was_told_as_over_is_reopened_when_it_is_not():
    partition = started(rule(SIMPLE))
    first, over = feed(partition, *flows((1, 90), (2, 60)))
    (again,) = feed(partition, reading(2, flow=75))
    assert (again.id, again.rev, again.change, again.state, again.cleared_at) == (first.id, over.rev + 1, Change.REOPENED, WarningState.OPEN, None)


def test_a_dwell_that_a_late_reading_breaks_is_retracted_and_a_later_run_tells_its_own():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}))
    (first,) = feed(partition, *flows((1, 90), (11, 90)), tick(16))
    assert seconds(first.began_at) == 11
    (retracted,) = feed(partition, reading(5, flow=50))
    assert story([retracted]) == [(2, "retracted", "yellow", 16)]
    (second,) = feed(partition, tick(26))
    assert (second.id != first.id, seconds(second.began_at)) == (True, 21)


def test_late_data_reach_an_hour_back_and_no_further():
    partition = started(rule(SIMPLE))
    feed(partition, tick(HOUR + 10))
    assert outcome(partition, reading(4.9, flow=90)) == (Reason.TOO_LATE, [])
    (warning,) = feed(partition, reading(5, flow=90))
    assert story([warning]) == [(1, "opened", "yellow", 5)]


def test_the_order_of_arrival_does_not_show_in_the_end():
    readings = flows((1, 90), (2, 60), (3, 90), (4, 90), (5, 60), (6, 90))

    def ends(records: list[wire.Observation]) -> set[Any]:
        partition = started(rule(SIMPLE))
        newest = {one.id: one for one in feed(partition, *records)}
        kept = [one for one in newest.values() if one.change not in {Change.RETRACTED, Change.MERGED}]
        return {(one.began_at, one.cleared_at, one.tier, one.state) for one in kept}

    expected = ends(readings)
    assert len(expected) == 3
    for turn in range(6):
        assert ends(readings[turn:] + readings[:turn]) == expected
        assert ends([*readings[turn:][::-1], *readings[:turn]]) == expected


# The flapping guard.


def test_the_guard_holds_what_flaps_open_until_it_was_calm():
    partition = started(rule(SIMPLE, flapping={"begins": 2, "within": 60, "hold": 20}))
    told = feed(partition, *flows((0, 90), (5, 60), (10, 90), (15, 60), (35, 90), (36, 60)), tick(60))
    assert story(told) == [(1, "opened", "yellow", 0), (2, "recovered", "yellow", 5), (1, "opened", "yellow", 10)]
    (over,) = feed(partition, tick(61))
    assert story([over]) == [(2, "recovered", "yellow", 56)]


def test_the_guard_counts_only_what_began_within_its_time():
    partition = started(rule(SIMPLE, flapping={"begins": 2, "within": 60, "hold": 20}))
    told = feed(partition, *flows((0, 90), (5, 60), (60, 90), (65, 60)))
    assert [one.change for one in told] == [Change.OPENED, Change.RECOVERED] * 2


def test_under_the_guard_a_rise_to_another_tier_is_told():
    partition = started(rule({**SIMPLE, "red": (way(95), way(85))}, flapping={"begins": 2, "within": 60, "hold": 20}))
    told = feed(partition, *flows((0, 90), (5, 60), (10, 90), (15, 60), (20, 96)))
    assert story(told)[2:] == [(1, "opened", "yellow", 10), (2, "raised", "red", 20)]


# Changes of rules and sensors.


def test_a_rule_with_another_text_goes_on_under_its_new_name():
    partition = started(rule(SIMPLE))
    first, second = feed(partition, reading(1, flow=90), activation(rule(SIMPLE, version=2, name=name("new")), meaning=1), reading(2, flow=0))
    assert (second.id, second.rev, second.change) == (first.id, 2, Change.RECOVERED)
    assert (second.rule_version, second.rule_name.zh, second.meaning) == (2, "new", 1)


def test_a_rule_with_another_meaning_closes_and_may_open_anew():
    partition = started(rule(SIMPLE), sensors=[sensor(), sensor("s2")])
    opened = feed(partition, reading(1, flow=90), reading(2, flow=90, sensor="s2"), tick(3))
    closed = feed(partition, activation(rule({"yellow": (way(85), way(70))}, version=2)))
    assert {(one.id, one.rev, one.change, one.state, one.rule_version) for one in closed} == {
        (one.id, 2, Change.RULE_CHANGED, WarningState.CLEARED, 1) for one in opened
    }
    assert {one.changed_at for one in closed} == {from_micros(at(3))}
    assert all(one.evidence.clears_at is None and one.evidence.clears is None and one.evidence.value == 90 for one in closed)
    (again,) = feed(partition, reading(4, flow=90))
    assert (again.rev, again.meaning, again.rule_version) == (1, 2, 2)


def test_of_a_new_meaning_only_what_comes_from_then_on_counts():
    partition = started(rule(SIMPLE))
    feed(partition, *flows((1, 90), (5, 60)), activation(rule({"yellow": (way(50), way(40))}, version=2)))
    assert feed(partition, reading(5, flow=90), reading(4, flow=90)) == []
    (warning,) = feed(partition, reading(6, flow=60))
    assert (warning.meaning, seconds(warning.began_at)) == (2, 6)


def test_a_rule_that_is_not_enabled_closes_and_raises_none_and_others_go_on():
    partition = started(rule(SIMPLE), rule(SIMPLE, "r2"))
    feed(partition, reading(1, flow=90))
    (closed,) = feed(partition, activation(rule(SIMPLE, version=2, enabled=False)))
    assert (closed.rule, closed.change) == ("r1", Change.RULE_CHANGED)
    assert [(one.rule, one.change) for one in feed(partition, *flows((2, 0), (3, 90)))] == [("r2", Change.RECOVERED), ("r2", Change.OPENED)]
    assert [one.rule for one in feed(partition, activation(rule(SIMPLE, version=3)), reading(4, flow=90))] == ["r1"]


@pytest.mark.parametrize("spoiled", [b"", b"{}", b'{"rule": {"id": "r0"}, "meaning": 1}', b"\xff"])
def test_a_rule_that_cannot_be_read_stops_no_other(spoiled: bytes):
    partition = started(rule(SIMPLE))
    assert outcome(partition, wire.Activation("r0", 1, spoiled)) == (Reason.BAD_CONTROL, [])
    assert outcome(partition, wire.Activation("r1", 9, spoiled)) == (Reason.BAD_CONTROL, [])
    assert [one.rule for one in feed(partition, reading(1, flow=90))] == ["r1"]


def test_a_rule_in_a_zone_that_nobody_knows_stops_no_other():
    night = {"default": 80, "cases": [{"limit": 60, "hours": "22:00-06:00"}]}
    partition = started(rule(SIMPLE))
    try:
        nowhere = activation(rule({"yellow": (way(night), way(50))}, "r0", timezone="Nowhere/Nope"))
    except ValueError:
        return  # it is refused before it is a rule at all
    feed(partition, nowhere)
    assert [one.rule for one in feed(partition, reading(1, flow=90))] == ["r1"]


def test_a_sensor_that_moves_closes_in_its_old_street_and_begins_in_the_new_one():
    old, new = started(rule(SIMPLE)), started(rule(SIMPLE), sensors=[])
    moved = sensor(version=2, street=THERE)
    (opened,) = feed(old, reading(1, flow=90))
    (closed,) = feed(old, moved)
    assert (closed.id, closed.rev, closed.change, closed.street) == (opened.id, 2, Change.SENSOR_MOVED, HERE)
    assert outcome(old, reading(2, flow=90)) == (Reason.ELSEWHERE, [])
    assert feed(new, moved) == []
    (again,) = feed(new, reading(3, flow=90, street=THERE))
    assert (again.street, again.rev) == (THERE, 1)
    assert again.id != opened.id


def test_a_sensor_that_is_given_to_another_department_closes_for_the_old_one_and_begins_for_the_new_one():
    partition = started(rule(SIMPLE))
    (opened,) = feed(partition, reading(1, flow=90))
    (closed,) = feed(partition, sensor(version=2, department="e"))
    assert (closed.id, closed.rev, closed.change, closed.department) == (opened.id, 2, Change.SENSOR_MOVED, "d")
    (again,) = feed(partition, reading(2, flow=90))
    assert (again.department, again.rev, again.id == opened.id) == ("e", 1, False)


def test_an_id_is_never_given_twice_even_to_a_tracker_that_begins_anew_in_the_past():
    partition = started(rule(SIMPLE))
    (opened,) = feed(partition, reading(10, flow=90))
    feed(partition, sensor(version=2, department="e"), sensor(version=3))
    (again,) = feed(partition, reading(10.000001, flow=90))
    assert again.id != opened.id
    assert again.rev == 1


def test_a_rule_no_longer_applies_to_a_sensor_that_was_changed():
    partition = started(rule(SIMPLE, applies={"metric": "flow", "tags": ["site"]}), sensors=[sensor(tags=["site"])])
    feed(partition, reading(1, flow=90))
    assert feed(partition, sensor(version=2, tags=["site", "more"])) == []
    (closed,) = feed(partition, sensor(version=3))
    assert (closed.change, closed.rev) == (Change.RULE_CHANGED, 2)
    assert outcome(partition, reading(2, flow=90)) == (Reason.NOT_WATCHED, [])


def test_what_lies_before_a_change_of_the_sensor_is_revised_no_more():
    partition = started(rule({"yellow": (way({"default": 80, "cases": [{"limit": 60, "attributes": {"phase": ["digging"]}}]}), way(50))}))
    (first,) = feed(partition, *flows((1, 90), (5, 90)))
    assert feed(partition, sensor(version=2, attributes={"phase": "digging"})) == []
    assert feed(partition, *flows((3, 0), (5, 0))) == []
    (over,) = feed(partition, reading(6, flow=10))
    assert (over.id, over.change, over.rev) == (first.id, Change.RECOVERED, 2)
    (again,) = feed(partition, reading(7, flow=65))
    assert again.evidence.limit == 60


def test_a_run_goes_on_over_a_change_of_the_sensor():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}))
    feed(partition, *flows((1, 90), (8, 90)), sensor(version=2, name=name("new")))
    (warning,) = feed(partition, reading(2, flow=0), tick(16))
    assert (story([warning]), warning.sensor_name.zh) == ([(1, "opened", "yellow", 11)], "new")


# What is kept apart.


def test_a_drill_neither_clears_an_alarm_nor_makes_one_an_exercise():
    partition = started(rule(SIMPLE))
    drill = {"origin": "exercise"}
    warnings = feed(
        partition,
        reading(1, flow=90),
        changed(reading(2, flow=0), **drill),
        changed(reading(3, flow=90), **drill),
        reading(4, flow=0),
        changed(reading(5, flow=0), **drill),
    )
    assert [(one.origin, one.subject, one.change) for one in warnings] == [
        (Origin.REAL, "s1/flow", Change.OPENED),
        (Origin.EXERCISE, "s1/flow@exercise", Change.OPENED),
        (Origin.REAL, "s1/flow", Change.RECOVERED),
        (Origin.EXERCISE, "s1/flow@exercise", Change.RECOVERED),
    ]


def test_rules_and_series_do_not_mix():
    other = rule({"blue": (way(50), way(40))}, "r2")
    mean = rule({"red": (way(10), way(5))}, "r3", applies={"metric": "flow", "statistic": "mean"})
    partition = started(rule(SIMPLE), other, mean)
    warnings = feed(partition, reading(1, flow=60), reading(2, flow=60, period=60), reading(3, flow=90), reading(3, flow=20, period=3600))
    assert [(one.rule, one.subject, one.rev) for one in warnings] == [
        ("r2", "s1/flow", 1),
        ("r3", "s1/flow/mean.60s", 1),
        ("r1", "s1/flow", 1),
        ("r3", "s1/flow/mean.3600s", 1),
    ]


def test_the_key_of_a_series_names_what_it_is_unless_an_instant_or_real():
    assert series_key("flow", "instant", 0, "real") == "flow"
    assert series_key("flow", "instant", 0, "replayed") == "flow@replayed"
    assert series_key("flow", "mean", 0, "real") == "flow/mean.0s"
    assert series_key("flow", "mean", 3600, "exercise") == "flow/mean.3600s@exercise"


# Sensors that move between partitions, and what is adopted.


def whole(partition: Partition) -> dict[int, bytes]:
    """Return all pages of a partition."""
    partition.begin_snapshot()
    pages: dict[int, bytes] = {}
    while taken := partition.take_pages(1 << 20):
        pages |= dict(taken)
    return pages


PARTS = 24


def part_of(street: str, *rules: Rule) -> Partition:
    partition = Partition(source=partition_of(street.encode(), PARTS), sources=PARTS)
    feed(partition, *(activation(one) for one in rules))
    return partition


def part_again(partition: Partition) -> Partition:
    return Partition.restore(whole(partition), source=partition.source, sources=partition.sources)


def test_a_sensor_that_moves_to_another_partition_is_forgotten_but_for_its_version():
    silent = rule({"yellow": (way(30), way(0))}, "r2", measure={"kind": "absence"}, unit="s")
    agree = rule({"red": (way(1), way(0))}, "r3", measure={"kind": "agreement", "past": 80, "within": 60})
    partition = part_of(HERE, rule(SIMPLE), silent, agree)
    feed(partition, sensor(), tick(1, {"http@n1": 1}))
    assert len(feed(partition, reading(2, flow=90))) == 2
    ended = feed(partition, sensor(version=2, street=THERE))
    assert sorted((one.rule, one.change.value, one.state.value) for one in ended) == [
        ("r1", "sensor_moved", "cleared"),
        ("r3", "sensor_moved", "cleared"),
    ]
    for one in (partition, part_again(partition)):
        assert [told for second in range(2, 90) for told in feed(one, tick(second, {"http@n1": second}))] == []
        assert outcome(one, sensor())[0] is Reason.OLD_VERSION
        assert outcome(one, reading(90, flow=90))[0] is Reason.ELSEWHERE
        gone = one.sensors["s1"]
        assert (gone.version, len(gone.series), gone.silences, gone.places) == (2, 0, None, None)
        assert [(place.members, place.tracker, place.closed) for place in one.places.values()] == [({}, None, (at(2),))]
    assert feed(partition, sensor("s9", version=3, street=THERE), *(tick(second, {"http@n1": second}) for second in range(90, 190))) == []


def test_what_a_sensor_read_before_it_came_is_judged_where_it_was_and_no_id_is_given_twice():
    here, there = part_of(HERE, rule(SIMPLE)), part_of(THERE, rule(SIMPLE))
    feed(here, sensor(), tick(9))
    feed(there, tick(9))
    (told,) = feed(here, reading(9, flow=90))
    feed(here, tick(10))
    feed(there, tick(10))
    moved = sensor(version=2, street=THERE)
    assert [one.id for one in feed(here, moved)] == [told.id]
    assert feed(there, moved) == []
    for one in (part_again(there), there):
        assert outcome(one, reading(9, flow=90, street=THERE)) == (Reason.TOO_LATE, [])
        (new,) = feed(one, reading(11, flow=90, street=THERE))
        assert (new.id != told.id, new.rev) == (True, 1)
    back = sensor(version=3)
    feed(here, tick(12))
    assert [one.change for one in feed(there, back)] == ["sensor_moved"]
    assert feed(here, back, reading(9, flow=90)) == []
    assert len(feed(here, reading(13, flow=90))) == 1


def test_an_adopted_warning_waits_for_its_meaning_while_older_ones_are_replayed():
    (told,) = feed(started(rule(SIMPLE, version=2)), reading(100, flow=90))
    partition = Partition()
    partition.adopt([told])
    older = activation(rule({"yellow": (way(85), way(70))}))
    feed(partition, sensor(), older, reading(20, flow=10), activation(rule(SIMPLE, version=2)))
    (over,) = feed(partition, reading(110, flow=10))
    assert (over.id, over.rev, over.change) == (told.id, 2, "recovered")


def test_an_adopted_warning_that_no_tracker_takes_is_ended_a_day_later():
    (told,) = feed(started(rule(SIMPLE)), reading(100, flow=90))
    partition = Partition()
    partition.adopt([told])
    assert feed(partition, tick(200), tick(200 + 25 * HOUR)) == []
    for one in (Partition.restore(whole(partition)), partition):
        (over,) = feed(one, tick(200 + 26 * HOUR))
        assert (over.id, over.rev, over.change, over.state) == (told.id, 2, "rule_changed", "cleared")
        assert feed(one, tick(201 + 26 * HOUR)) == []
