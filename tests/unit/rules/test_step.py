"""`step` by examples: what each kind of record does, and what a warning says."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import pytest

from schemas import wire
from schemas.base import Domain, Origin
from schemas.observation import Statistic
from schemas.rule import Direction, Rule
from schemas.tiers import Tier
from schemas.warning import Change, Evidence, Warning, WarningState  # noqa: A004 - the field's own word
from schemas.wire import from_micros
from services.rules.domain.episodes import identity
from services.rules.domain.step import Partition, Reason, grace, series_key
from services.rules.domain.threshold import WAITING_LIMIT
from tests.unit.rules.histories import HERE, START, THERE, activation, at, changed, name, reading, rule, sensor, tick, way

SIMPLE = {"yellow": (way(80), way(70))}
WEEK = 7 * 86_400


def feed(partition: Partition, *records: wire.Record) -> list[Warning]:
    return [warning for record in records for warning in partition.step(record)[1]]


def started(*rules: Rule, sensors: Iterable[wire.Sensor] = (sensor(),)) -> Partition:
    partition = Partition()
    feed(partition, *sensors, *(activation(one) for one in rules))
    return partition


def story(warnings: Iterable[Warning]) -> list[tuple[int, str, str, float]]:
    """Return (rev, change, tier, seconds) of each."""
    return [(one.rev, one.change.value, one.tier.value, round((wire.to_micros(one.changed_at) - START) / 1e6, 6)) for one in warnings]


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
            standard="GB 1",
            clears_at=70,
            observation=one.id,
            observed_at=from_micros(at(3)),
            received_at=from_micros(at(3.1)),
        ),
    )


def test_an_identity_is_for_ever():
    assert identity("r1", 1, "s1/flow", at(3)) == UUID("2b4a6f6b-7551-5b51-98ff-40aaeaf30c99")


def test_evidence_names_the_limit_of_the_tier_entered_or_left_and_where_the_present_one_ends():
    partition = started(rule({"blue": (way(60), way(55)), "yellow": (way(70, 2), way(65, 2)), "red": (way(90), way(85))}))
    steps = [(1, 61), (2, 91), (3, 75), (4, 60), (5, 60), (6, 50)]
    warnings = feed(partition, *(reading(seconds, flow=value) for seconds, value in steps))
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
    assert {one.peak for one in warnings[1:]} == {Tier.RED}
    assert warnings[-1].cleared_at == warnings[-1].changed_at
    assert len({one.id for one in warnings}) == 1


def test_a_dwell_in_time_is_decided_by_a_tick_a_grace_after_it_was_due_and_by_the_last_reading_of_its_run():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70, dwell=20))}))
    assert feed(partition, reading(1, flow=85), reading(9, flow=95), reading(11, flow=40), tick(15.9)) == []
    (warning,) = feed(partition, tick(16))
    assert story([warning]) == [(1, "opened", "yellow", 11)]
    assert (warning.evidence.value, warning.evidence.dwell_s, warning.evidence.readings) == (95, 10, None)
    assert feed(partition, tick(35.9)) == []
    assert story(feed(partition, tick(36))) == [(2, "recovered", "yellow", 31)]


@pytest.mark.parametrize(("period", "seconds"), [(0, 5), (1, 120), (60, 120), (3599, 120), (3600, 900), (86_400, 900)])
def test_the_grace_goes_by_the_period(period: int, seconds: int):
    assert grace(period) == seconds * 1_000_000
    watched = {"metric": "flow", "statistic": "mean" if period else "instant"}
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}, applies=watched))
    feed(partition, reading(1, flow=90, period=period))
    assert feed(partition, tick(11 + seconds - 0.1)) == []
    assert len(feed(partition, tick(11 + seconds))) == 1


def test_a_devices_clock_moves_no_time():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}))
    assert feed(partition, tick(0), *(reading(seconds, flow=90) for seconds in range(1, 2000))) == []
    assert len(feed(partition, tick(16))) == 1


def test_a_late_tick_is_nothing():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}))
    feed(partition, reading(1, flow=90), tick(10))
    assert partition.step(tick(10)) == (Reason.LATE_TICK, [])
    assert partition.step(tick(9)) == (Reason.LATE_TICK, [])
    assert partition.state.now == at(10)


def test_tiers_due_at_one_moment_are_one_revision_and_what_waited_comes_after():
    partition = started(rule({"blue": (way(60, dwell=10), way(55)), "yellow": (way(70, dwell=10), way(65))}))
    feed(partition, reading(0, flow=75), reading(12, flow=50))
    warnings = feed(partition, tick(60))
    assert story(warnings) == [(1, "opened", "yellow", 10), (2, "recovered", "yellow", 12)]


def test_two_dwells_are_decided_in_order_of_time_with_the_readings_between():
    partition = started(rule({"blue": (way(60, dwell=10), way(55)), "yellow": (way(70, dwell=10), way(65))}))
    feed(partition, reading(0, flow=65), reading(3, flow=75), reading(13, flow=50))
    assert story(feed(partition, tick(60))) == [(1, "opened", "blue", 10), (2, "raised", "yellow", 13), (3, "recovered", "yellow", 13)]


def test_two_episodes_that_would_begin_at_one_time_are_two():
    """Red is over before blue is decided, which was due when red began: the second must not take the first's identity."""
    partition = started(rule({"blue": (way(60, dwell=10), way(0)), "red": (way(90, 2), way(85))}))
    steps = [(0, 65), (5, 91), (10, 91), (12, 62)]
    first = feed(partition, *(reading(seconds, flow=value) for seconds, value in steps))
    second = feed(partition, tick(15))
    assert story(first) == [(1, "opened", "red", 10), (2, "recovered", "red", 12)]
    assert story(second) == [(1, "opened", "blue", 12.000001)]
    assert second[0].id not in {one.id for one in first}


def test_a_reading_that_comes_after_its_dwell_was_decided_does_not_end_a_warning_before_it_began():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70))}))
    feed(partition, reading(1, flow=90))
    warnings = feed(partition, tick(16), reading(3, flow=50))
    assert story(warnings) == [(1, "opened", "yellow", 11), (2, "recovered", "yellow", 11)]


@pytest.mark.parametrize("dwell", [10, WEEK])
def test_flapping_leaves_nothing_behind(dwell: int):
    ways = {"blue": (way(60, dwell=dwell), way(50, dwell=dwell)), "yellow": (way(80, dwell=dwell), way(70, dwell=dwell))}
    partition = started(rule(ways))
    most = 0
    for second in range(20_000):
        assert feed(partition, reading(second, flow=100 if second % 2 else 0), tick(second)) == []
        most = max(most, len(partition.state.dues))
    assert most <= 2


def test_what_waits_for_a_tick_that_does_not_come_is_bounded():
    partition = started(rule({"yellow": (way(80, dwell=10), way(70, dwell=10))}))
    feed(partition, *(reading(second, flow=90 if second < 11 else 0) for second in range(3 * WAITING_LIMIT)))
    (series,) = partition.state.sensors["s1"].series.values()
    assert len(series.trackers["r1"].latches[2].waiting) == WAITING_LIMIT
    assert [one.change for one in feed(partition, tick(3 * WAITING_LIMIT))] == [Change.OPENED, Change.RECOVERED]


def test_only_good_values_count_and_each_for_itself():
    partition = started(rule({"yellow": (way(80, 2), way(70))}))
    feed(partition, reading(1, flow=90))
    assert partition.step(reading(2, flow=10, level=1, quality={"flow": "fault"})) == (Reason.NOT_GOOD, [])
    assert len(feed(partition, reading(3, flow=90, level=1, quality={"level": "fault"}))) == 1


def test_of_each_record_a_reason_is_told():
    partition = started(rule(SIMPLE))
    expected = [
        (reading(5, flow=1), Reason.EVALUATED),
        (reading(5, flow=1), Reason.REPEATED),
        (reading(5, flow=99), Reason.CORRECTED),
        (reading(4, flow=99), Reason.LATE),
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
    ]
    before = partition.state
    for record, reason in expected:
        assert partition.step(record) == (reason, []), record
    assert partition.state is before


def test_of_an_observation_with_values_of_several_fates_the_most_telling_is_told():
    partition = started(rule(SIMPLE), rule(SIMPLE, "r2", applies={"metric": "level"}))
    feed(partition, reading(5, level=1))
    assert partition.step(reading(4, flow=1, level=1))[0] is Reason.EVALUATED
    assert partition.step(reading(4.5, level=1, flow=1))[0] is Reason.EVALUATED


def test_a_rule_with_another_text_goes_on_under_its_new_name():
    partition = started(rule(SIMPLE))
    first, second = feed(
        partition,
        reading(1, flow=90),
        activation(rule(SIMPLE, version=2, name=name("new")), meaning=1),
        reading(2, flow=0),
    )
    assert (second.id, second.rev, second.change) == (first.id, 2, Change.RECOVERED)
    assert (second.rule_version, second.rule_name.zh, second.meaning) == (2, "new", 1)


def test_a_rule_with_another_meaning_closes_and_may_open_anew():
    partition = started(rule(SIMPLE), sensors=[sensor(), sensor("s2")])
    opened = feed(partition, reading(1, flow=90), reading(2, flow=90, sensor="s2"), tick(3))
    new = rule({"yellow": (way(85), way(70))}, version=2)
    closed = feed(partition, activation(new))
    assert {(one.id, one.rev, one.change, one.state, one.rule_version) for one in closed} == {
        (one.id, 2, Change.RULE_CHANGED, WarningState.CLEARED, 1) for one in opened
    }
    assert {one.changed_at for one in closed} == {from_micros(at(3))}
    assert all(one.evidence.clears_at is None and one.evidence.value == 90 for one in closed)
    (again,) = feed(partition, reading(4, flow=90))
    assert (again.rev, again.meaning, again.rule_version) == (1, 2, 2)


def test_a_rule_that_is_not_enabled_closes_and_raises_none():
    partition = started(rule(SIMPLE))
    feed(partition, reading(1, flow=90))
    (closed,) = feed(partition, activation(rule(SIMPLE, version=2, enabled=False)))
    assert closed.change is Change.RULE_CHANGED
    assert partition.step(reading(2, flow=90)) == (Reason.NOT_WATCHED, [])
    assert len(feed(partition, activation(rule(SIMPLE, version=3)), reading(3, flow=90))) == 1


def test_a_sensor_that_moves_closes_in_its_old_street_and_begins_in_the_new_one():
    old, new = started(rule(SIMPLE)), started(rule(SIMPLE), sensors=[])
    moved = sensor(version=2, street=THERE)
    (opened,) = feed(old, reading(1, flow=90))
    (closed,) = feed(old, moved)
    assert (closed.id, closed.rev, closed.change, closed.street) == (opened.id, 2, Change.SENSOR_MOVED, HERE)
    assert old.step(reading(2, flow=90)) == (Reason.ELSEWHERE, [])
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


def test_a_rule_no_longer_applies_to_a_sensor_that_was_changed():
    partition = started(rule(SIMPLE, applies={"metric": "flow", "tags": ["site"]}), sensors=[sensor(tags=["site"])])
    feed(partition, reading(1, flow=90))
    assert feed(partition, sensor(version=2, tags=["site", "more"])) == []
    (closed,) = feed(partition, sensor(version=3))
    assert (closed.change, closed.rev) == (Change.RULE_CHANGED, 2)
    assert partition.step(reading(2, flow=90)) == (Reason.NOT_WATCHED, [])


def test_a_drill_neither_clears_an_alarm_nor_makes_one_an_exercise():
    partition = started(rule(SIMPLE))
    warnings = feed(
        partition,
        reading(1, flow=90),
        changed(reading(2, flow=0), origin="exercise"),
        changed(reading(3, flow=90), origin="exercise"),
        reading(4, flow=0),
        changed(reading(5, flow=0), origin="exercise"),
    )
    assert [(one.origin, one.subject, one.change) for one in warnings] == [
        (Origin.REAL, "s1/flow", Change.OPENED),
        (Origin.EXERCISE, "s1/flow@exercise", Change.OPENED),
        (Origin.REAL, "s1/flow", Change.RECOVERED),
        (Origin.EXERCISE, "s1/flow@exercise", Change.RECOVERED),
    ]


def test_what_a_device_brings_hours_late_is_no_alarm_of_now():
    partition = started(rule(SIMPLE))
    feed(partition, tick(0))
    assert partition.step(reading(-3600 - 6, flow=90)) == (Reason.TOO_LATE, [])
    (warning,) = feed(partition, reading(-3600 - 4, flow=90))
    assert warning.change is Change.OPENED


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
