"""What each kind of rule makes of readings, by examples: samples, their edges, and what late data change of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from schemas import wire
from schemas.control import RuleActivation
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.rules.domain import samples, tracker
from services.rules.domain.episodes import OPEN_END
from services.rules.domain.index import Ruled
from services.rules.domain.kinds.absence import Listening
from services.rules.domain.outcome import Reason
from services.rules.domain.state import Facts, Sensor, Silence, Tracker
from services.rules.domain.step import Partition
from tests.unit.rules.histories import HERE, MIDNIGHT, THERE, activation, at, name, reading, rule, sensor, tick, way
from tests.unit.rules.test_step import feed, flows, seconds, started, story, whole

HOT: dict[str, Any] = {"red": (way(50), way(40))}


def values(warnings: Iterable[Warning]) -> list[tuple[str, float]]:
    return [(one.change.value, one.evidence.value) for one in warnings]


# Rates.

RATE: dict[str, Any] = {"kind": "rate", "over": 10, "per": 60}


def test_a_rate_is_taken_from_the_earliest_reading_within_its_time_and_needs_half_of_it():
    partition = started(rule({"red": (way(60), way(10))}, measure=RATE))
    told = feed(partition, *flows((0, 0), (4, 100), (10, 10), (11, 20)))
    assert values(told) == [("opened", 60.0), ("recovered", pytest.approx(-80 / 7 * 60))]
    assert (told[0].evidence.measure, told[0].evidence.window_s) == ("rate", 10.0)


def test_a_rate_may_fall_too_fast():
    partition = started(rule({"red": (way(-60), way(-10))}, measure=RATE, direction="below"))
    assert values(feed(partition, *flows((0, 100), (10, 80), (20, 79)))) == [("opened", -120.0), ("recovered", -6.0)]


def test_a_late_reading_changes_the_rates_that_are_taken_from_it():
    partition = started(rule({"red": (way(60), way(10))}, measure=RATE))
    assert feed(partition, *flows((0, 0), (6, 0), (13, 6))) == []
    (told,) = feed(partition, reading(4, flow=-4))
    assert story([told]) == [(1, "opened", "red", 13)]
    assert told.evidence.value == pytest.approx(10 / 9 * 60)
    assert [one.change for one in feed(partition, reading(4, flow=8))] == ["retracted"]


# Rules that fail.


def _fails(*_: Any) -> Any:
    raise ArithmeticError("a fault of the engine")


def test_a_condition_that_failed_lets_the_other_rules_of_its_sensor_be(monkeypatch: pytest.MonkeyPatch):
    both = {"all": [{"measure": "main", "above": 80}, {"measure": "l", "above": 5}]}
    condition = rule({"red": (way(both), way({"measure": "main", "below": 70}))}, also={"l": {"metric": "level"}})
    partition = started(condition, rule({"red": (way(8), way(7))}, "r2", applies={"metric": "level"}))
    feed(partition, tick(0), reading(1, flow=1, level=1))
    with monkeypatch.context() as broken:
        broken.setattr(samples, "of_several", _fails)
        feed(partition, reading(2, flow=1, level=1))
    assert partition.aside == {"r1": {"s1/flow": "ArithmeticError('a fault of the engine')"}}
    for one in (Partition.restore(whole(partition)), partition):
        assert [told.rule for told in feed(one, reading(3, level=9), reading(4, flow=90, level=9))] == ["r2"]


def test_a_late_reading_with_which_a_rule_fails_may_be_one_at_which_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    partition = started(rule({"red": (way(80), way(70))}))
    feed(partition, tick(50), reading(100, flow=50), tick(4900), *flows(*((float(end), 50.0) for end in range(4901, 4931))))
    with monkeypatch.context() as broken:
        broken.setattr(tracker, "again", _fails)
        assert partition.step(reading(4900, flow=90))[0] is Reason.LATE  # the thirty-second
    assert list(partition.aside) == ["r1"]
    (series,) = partition.sensors["s1"].series.values()
    assert list(series.ends) == [at(end) for end in range(4900, 4931)]


def test_a_place_where_a_rule_failed_is_judged_by_it_no_more(monkeypatch: pytest.MonkeyPatch):
    agreement = rule({"red": (way(2), way(1))}, measure={"kind": "agreement", "past": 8, "within": 60})
    partition = Partition()
    feed(partition, activation(agreement), activation(rule({"red": (way(8), way(7))}, "r2")), sensor("a"), sensor("b"), tick(0))
    feed(partition, reading(1, sensor="a", flow=1), reading(1, sensor="b", flow=1))
    with monkeypatch.context() as broken:
        broken.setattr(samples, "of_place", _fails)
        feed(partition, reading(2, sensor="a", flow=1))
    assert list(partition.aside) == ["r1"]
    told = feed(partition, *(reading(end, sensor=one, flow=9) for end in (3, 4) for one in ("a", "b")))
    assert [(one.rule, one.sensor) for one in told] == [("r2", "a"), ("r2", "b")]


# Windows.


@pytest.mark.parametrize(("aggregate", "expected"), [("mean", 30), ("min", 10), ("max", 60), ("sum", 90), ("count", 3)])
def test_a_sliding_window_holds_what_ended_in_it_and_not_what_ended_at_its_beginning(aggregate: str, expected: float):
    measure = {"kind": "window", "aggregate": aggregate, "length": 10, "at_least": 3}
    partition = started(rule({"red": (way(expected), way(expected - 1))}, measure=measure))
    (told,) = feed(partition, *flows((0, -1000), (1, 20), (5, 10), (10, 60)))
    assert (values([told]), told.evidence.window_s) == ([("opened", expected)], 10)


def test_without_enough_readings_a_window_says_nothing():
    partition = started(rule(HOT, measure={"kind": "window", "aggregate": "mean", "length": 10, "at_least": 2}))
    assert feed(partition, *flows((0, 90), (20, 90), (40, 90))) == []
    assert len(feed(partition, reading(41, flow=90))) == 1
    assert feed(partition, reading(60, flow=0)) == []


GRID: dict[str, Any] = {"kind": "window", "aggregate": "mean", "length": 60, "every": 60}


def test_a_window_with_values_beyond_a_float_makes_no_sample_and_harms_no_other():
    rows = [(float(end), 1.7e308 if end in {3, 4} else 90.0) for end in range(1, 31)]
    measure = {"kind": "window", "aggregate": "mean", "length": 10, "at_least": 1}
    in_order = started(rule(HOT, measure=measure))
    told = feed(in_order, *flows(*rows))
    late = started(rule(HOT, measure=measure))
    feed(late, *flows(*(row for row in rows if row[0] != 2), rows[1]))
    kept = [(one.samples.ends, one.samples.values) for one in map(_tracker, (in_order, late)) if one.samples is not None]
    assert kept[0] == kept[1]
    assert 1 < len(kept[0][0]) < len(rows)
    assert story(told)[0][1:3] == ("opened", "red")
    assert (in_order.aside, late.aside) == ({}, {})


def _tracker(partition: Partition) -> Tracker:
    (series,) = partition.sensors["s1"].series.values()
    return series.trackers["r1"]


def test_a_tumbling_window_is_decided_by_a_tick_a_grace_after_its_end_and_begins_at_midnight_of_the_city():
    partition = started(rule(HOT, measure=GRID))
    feed(partition, tick(MIDNIGHT - 60), *flows((MIDNIGHT + 1, 30), (MIDNIGHT + 60, 90), (MIDNIGHT + 61, 0)))
    assert feed(partition, tick(MIDNIGHT + 64.9)) == []
    (told,) = feed(partition, tick(MIDNIGHT + 65))
    assert story([told]) == [(1, "opened", "red", MIDNIGHT + 60)]
    assert told.evidence.value == 60
    assert story(feed(partition, tick(MIDNIGHT + 125))) == [(2, "recovered", "red", MIDNIGHT + 120)]


def test_a_late_reading_revises_the_window_in_which_it_ended():
    partition = started(rule(HOT, measure=GRID))
    feed(partition, tick(MIDNIGHT), *flows((MIDNIGHT + 1, 60), (MIDNIGHT + 70, 0)), tick(MIDNIGHT + 125))
    (told,) = feed(partition, reading(MIDNIGHT + 2, flow=0))
    assert told.change == "retracted"
    reopened, over = feed(partition, reading(MIDNIGHT + 2, flow=50))
    assert values([reopened, over]) == [("reopened", 55.0), ("recovered", 0.0)]
    assert reopened.id == told.id


def test_a_hopping_window_has_a_sample_at_each_hop():
    partition = started(rule(HOT, measure={**GRID, "length": 180, "aggregate": "sum"}))
    feed(partition, tick(MIDNIGHT), reading(MIDNIGHT + 30, flow=60))
    told = feed(partition, *(tick(MIDNIGHT + second) for second in range(60, 400, 5)), reading(MIDNIGHT + 300, flow=1), tick(MIDNIGHT + 500))
    assert story(told) == [(1, "opened", "red", MIDNIGHT + 60), (2, "recovered", "red", MIDNIGHT + 300)]


def test_a_count_on_a_grid_counts_nothing_too():
    measure = {**GRID, "aggregate": "count", "at_least": 0}
    partition = started(rule({"red": (way(0), way(1))}, measure=measure, direction="below"))
    feed(partition, tick(MIDNIGHT), reading(MIDNIGHT + 1, flow=1))
    told = feed(partition, tick(MIDNIGHT + 65), tick(MIDNIGHT + 124.9), tick(MIDNIGHT + 125))
    assert (values(told), story(told)) == ([("opened", 0.0)], [(1, "opened", "red", MIDNIGHT + 120)])
    assert [one.change for one in feed(partition, reading(MIDNIGHT + 119, flow=1))] == ["retracted"]


def test_a_window_of_periods_waits_the_grace_of_the_period():
    applies = {"metric": "flow", "statistic": "mean", "period": timedelta(seconds=60)}
    partition = started(rule(HOT, measure=GRID, applies=applies))
    feed(partition, tick(MIDNIGHT), reading(MIDNIGHT + 30, flow=90, period=60))
    assert feed(partition, tick(MIDNIGHT + 179.9)) == []
    (told,) = feed(partition, tick(MIDNIGHT + 180))
    assert (told.subject, told.evidence.statistic, told.evidence.period_s) == ("s1/flow/mean.60s", "mean", 60)


# Exceedances of a day.


def test_exceedances_are_counted_by_the_citys_day():
    partition = started(rule({"red": (way(2), way(0))}, measure={"kind": "exceedances", "over": 80}))
    told = feed(partition, *flows((MIDNIGHT - 3, 80), (MIDNIGHT - 2, 79), (MIDNIGHT - 1, 81)), tick(MIDNIGHT + 4), tick(MIDNIGHT + 5))
    assert story(told) == [(1, "opened", "red", MIDNIGHT - 1), (2, "recovered", "red", MIDNIGHT)]
    assert story(feed(partition, *flows((MIDNIGHT + 1, 80), (MIDNIGHT + 2, 80)))) == [(1, "opened", "red", MIDNIGHT + 2)]


def test_a_late_exceedance_counts_where_it_belongs():
    partition = started(rule({"red": (way(2), way(0))}, measure={"kind": "exceedances", "over": 80}))
    assert feed(partition, *flows((MIDNIGHT - 50, 90), (MIDNIGHT - 10, 0), (MIDNIGHT + 1, 90)), tick(MIDNIGHT + 10)) == []
    told = feed(partition, reading(MIDNIGHT - 20, flow=90))
    assert story(told) == [(1, "opened", "red", MIDNIGHT - 20), (2, "recovered", "red", MIDNIGHT)]


def test_exceedances_in_another_zone_have_another_midnight():
    partition = started(rule({"red": (way(2), way(0))}, measure={"kind": "exceedances", "over": 80}, timezone="UTC"))
    told = feed(partition, *flows((MIDNIGHT - 3, 80), (MIDNIGHT - 1, 81)), tick(MIDNIGHT + 5))
    assert story(told) == [(1, "opened", "red", MIDNIGHT - 1)]


# Silence.

SILENT: dict[str, Any] = {"measure": {"kind": "absence"}, "unit": "s"}


def listen(partition: Any, first: int, last: int, **adapters: float) -> list[Warning]:
    """Tick each second; `http` listens unless its time is given."""
    told = []
    for second in range(first, last + 1):
        told += feed(partition, tick(second, {"http@n1": adapters.get("http", second)}))
    return told


def test_silence_rises_tier_by_tier_and_ends_when_the_sensor_is_heard():
    partition = started(rule({"blue": (way(10), way(5)), "red": (way(20), way(5))}, **SILENT))
    listen(partition, 1, 5)
    feed(partition, reading(5, flow=1))
    told = listen(partition, 6, 30)
    assert story(told) == [(1, "opened", "blue", 15), (2, "raised", "red", 25)]
    assert values(told) == [("opened", 10.0), ("raised", 20.0)]
    (over,) = feed(partition, reading(30, flow=1))
    assert (over.change, over.evidence.value, seconds(over.changed_at)) == ("recovered", 0.0, 30)


def test_silence_may_end_only_after_the_sensor_was_heard_several_times():
    partition = started(rule({"blue": (way(10), way(0, readings=2))}, **SILENT))
    assert len(listen(partition, 1, 15)) == 1
    assert feed(partition, reading(15, flow=1)) == []
    assert [one.change for one in feed(partition, reading(16, flow=1))] == ["recovered"]


@pytest.mark.parametrize(("flag", "heard"), [("fault", False), ("no_signal", False), ("maintenance", True), ("suspect", True)])
def test_what_a_sensor_says_of_itself_decides_whether_it_was_heard(flag: str, heard: bool):  # noqa: FBT001 - a parameter
    partition = started(rule({"blue": (way(10), way(0))}, **SILENT))
    assert len(listen(partition, 1, 15)) == 1
    assert len(feed(partition, reading(15, flow=1, quality={"flow": flag}))) == heard


def test_another_metric_is_not_the_one_that_is_missed():
    partition = started(rule({"blue": (way(10), way(0))}, **SILENT))
    assert len(listen(partition, 1, 15)) == 1
    assert feed(partition, reading(15, level=1)) == []


def test_how_long_silence_may_be_depends_on_the_sensor():
    limit = {"default": 10, "cases": [{"limit": 20, "attributes": {"phase": ["digging"]}}]}
    partition = started(rule({"blue": (way(limit), way(0))}, **SILENT), sensors=[sensor(), sensor("s2", attributes={"phase": "digging"})])
    told = listen(partition, 1, 30)
    assert [(one.sensor, one.evidence.limit, seconds(one.began_at)) for one in told] == [("s1", 10, 11), ("s2", 20, 21)]


def test_a_sensor_that_is_heard_by_another_protocol_is_expected_by_that_ones_clock():
    partition = started(rule({"blue": (way(10), way(0))}, **SILENT), sensors=[sensor(), sensor("s2")])
    for second in range(1, 100):
        feed(partition, *(reading(second, flow=1, sensor=one) for one in ("s1", "s2")), tick(second, {"http@n1": second}))
    feed(partition, sensor(version=2, adapter="hj212"))
    told = [one for second in range(100, 130) for one in feed(partition, tick(second, {"http@n1": second, "hj212@n1": second}))]
    assert [(one.sensor, seconds(one.began_at)) for one in told] == [("s2", 108), ("s1", 110)]
    feed(partition, sensor("s2", version=2, adapter="hj212"), reading(130, flow=1), reading(130, flow=1, sensor="s2"))
    again = Partition.restore(whole(partition))
    for one in (partition, again):
        told = [warning for second in range(130, 160) for warning in feed(one, tick(second, {"hj212@n1": second}))]
        assert sorted((warning.sensor, seconds(warning.began_at)) for warning in told) == [("s1", 139), ("s2", 139)]


def test_a_metric_that_a_sensor_no_longer_has_is_not_missed():
    partition = started(rule({"blue": (way(10), way(0))}, **SILENT), sensors=[sensor(), sensor("s2")])
    assert [one.sensor for one in listen(partition, 1, 15)] == ["s1", "s2"]
    level = {"level": {"unit": "1", "name": name("level")}}
    (over,) = feed(partition, sensor(version=2, metrics=level))
    assert (over.sensor, over.change, over.state) == ("s1", "rule_changed", "cleared")
    feed(partition, reading(15, flow=1, sensor="s2"), sensor("s2", version=2, metrics=level))
    assert listen(partition, 16, 60) == []


@pytest.mark.parametrize("life", ["planned", "suspended", "retired"])
def test_the_silence_of_a_sensor_that_is_not_in_use_is_nobodys_concern(life: str):
    partition = started(rule({"blue": (way(10), way(0))}, **SILENT), sensors=[sensor(), sensor("s2", life=life)])
    assert [one.sensor for one in listen(partition, 1, 15)] == ["s1"]
    (over,) = feed(partition, sensor(version=2, life=life))
    assert (over.sensor, over.change, over.state) == ("s1", "rule_changed", "cleared")
    partition = Partition.restore(whole(partition))
    feed(partition, activation(rule({"blue": (way(10), way(0))}, "r2", **SILENT)))
    assert listen(partition, 16, 60) == []
    feed(partition, sensor(version=3))
    assert {(one.sensor, seconds(one.began_at)) for one in listen(partition, 61, 75)} == {("s1", 70)}


def test_what_a_retired_sensor_was_warned_of_is_over_and_one_that_is_back_is_judged_anew():
    partition = started(rule({"blue": (way(10), way(5))}))
    assert [one.state for one in feed(partition, reading(1, flow=20))] == ["open"]
    (over,) = feed(partition, sensor(version=2, life="retired"))
    assert (over.change, over.state) == ("rule_changed", "cleared")
    partition = Partition.restore(whole(partition))
    assert feed(partition, reading(2, flow=20)) == []
    feed(partition, sensor(version=3))
    assert [one.change for one in feed(partition, reading(3, flow=20))] == ["opened"]


def test_who_is_missed_may_be_expected_by_a_protocol_that_was_not_known():
    listening = Listening({})
    one = Sensor("s1")
    one.facts = Facts(adapter="http")
    other = Sensor("s2")
    other.facts = Facts(adapter="hj212")
    scene = Ruled(RuleActivation(rule=rule({"blue": (way(10), way(0))}, **SILENT), meaning=1)).scene({})
    first, second = (Silence(each, "flow", Tracker("r1", 1, 0), 0) for each in (one, other))
    first.tracker.scene = second.tracker.scene = scene
    listening.expect(first)
    listening.tick(tick(1, {"http@n1": 1}))
    listening.tick(tick(5, {"http@n1": 5}))
    listening.tick(tick(10, {"http@n1": 10}))
    listening.tick(tick(15, {"http@n1": 15}))
    for silence in listening.missed():
        assert silence is first
        listening.expect(second)
    assert second.expected < OPEN_END


# Sensors of a place agree.

AGREE: dict[str, Any] = {"measure": {"kind": "agreement", "past": 80, "within": 10}}
TWO: dict[str, Any] = {"red": (way(2), way(1))}


def test_two_of_three_sensors_of_a_street_agree_while_their_readings_are_new():
    partition = started(rule(TWO, **AGREE), sensors=[sensor(f"s{number}", named=True) for number in (1, 2, 3)])
    (told,) = feed(partition, *flows((0, 90), sensor="s2"), *flows((9, 90)))
    assert (told.subject, told.sensor, told.sensor_name.en, told.street) == (f"{HERE}/flow", None, f"region {HERE}", HERE)
    assert (told.evidence.value, told.evidence.sensors, told.evidence.window_s) == (2, ("s1", "s2"), 10)
    (over,) = feed(partition, *flows((10, 0), sensor="s3"))
    assert (over.change, over.evidence.value, over.evidence.sensors) == ("recovered", 1, ("s1",))


def test_a_sensors_newest_reading_is_the_one_that_counts():
    partition = started(rule(TWO, **AGREE), sensors=[sensor(), sensor("s2")])
    assert feed(partition, *flows((0, 90), (1, 10)), *flows((2, 90), sensor="s2")) == []


def test_a_late_reading_of_one_sensor_revises_what_several_agreed_on():
    partition = started(rule(TWO, **AGREE), sensors=[sensor(), sensor("s2")])
    (told,) = feed(partition, *flows((0, 90), (5, 90)), *flows((6, 90), sensor="s2"))
    (again,) = feed(partition, *flows((3, 90), sensor="s2"))
    assert (again.id, again.change, seconds(again.began_at)) == (told.id, "revised", 3)


def test_places_go_by_an_attribute_within_a_street():
    measure = {**AGREE["measure"], "place": "attribute:phase"}
    stand = [sensor("s1", attributes={"phase": "a"}), sensor("s2", attributes={"phase": "a"}), sensor("s3", attributes={"phase": "b"}), sensor("s4")]
    partition = started(rule(TWO, measure=measure), sensors=stand)
    assert feed(partition, *(reading(number, flow=90, sensor=f"s{number}") for number in (1, 3, 4))) == []
    (told,) = feed(partition, reading(5, flow=90, sensor="s2"))
    assert (told.subject, told.evidence.sensors) == (f"{HERE}:a/flow", ("s1", "s2"))


def test_a_sensor_that_leaves_a_place_counts_there_no_more():
    partition = started(rule(TWO, **AGREE), sensors=[sensor(f"s{number}") for number in (1, 2, 3)])
    (told,) = feed(partition, *(reading(number, flow=90, sensor=f"s{number}") for number in (1, 2)))
    assert feed(partition, sensor("s2", version=2, street=THERE)) == []
    (over,) = feed(partition, reading(3, flow=0, sensor="s3"))
    assert (over.id, over.change, over.evidence.sensors) == (told.id, "recovered", ("s1",))
    assert feed(partition, sensor("s1", version=2, street=THERE), sensor("s3", version=2, street=THERE)) == []


# Conditions.

BOTH: dict[str, Any] = {"all": [{"above": 80}, {"measure": "level", "below": 20}]}
BACK: dict[str, Any] = {"any": [{"below": 60}, {"not": {"measure": "level", "below": 30}}]}
ALSO: dict[str, Any] = {"also": {"level": {"metric": "level", "fresh": 5}}, "fresh": 60}


def test_a_condition_takes_the_newest_of_each_measure_while_it_is_fresh():
    partition = started(rule({"red": (way(BOTH), way(BACK))}, **ALSO))
    assert feed(partition, reading(0, flow=90), reading(1, level=25)) == []
    (told,) = feed(partition, reading(3, level=10))
    assert [(one.measure, one.metric, one.value, one.limit, one.holds) for one in told.evidence.parts] == [
        ("main", "flow", 90, 80, True),
        ("level", "level", 10, 20, True),
    ]
    assert (told.evidence.measure, told.evidence.limit, told.evidence.clears_at) == ("condition", None, None)
    assert feed(partition, reading(9, flow=70)) == [], "the level is too old to say anything"
    (over,) = feed(partition, reading(10, flow=70, level=40))
    assert [(one.value, one.holds) for one in over.evidence.parts] == [(70, False), (40, False)]


def test_values_of_one_record_are_judged_together():
    partition = started(rule({"red": (way(BOTH), way(BACK))}, **ALSO))
    feed(partition, reading(0, flow=10, level=10))
    assert feed(partition, reading(1, flow=90, level=50), reading(2, flow=10, level=10)) == []


def test_a_late_value_of_the_other_measure_revises():
    partition = started(rule({"red": (way(BOTH), way(BACK))}, **ALSO))
    feed(partition, reading(0, level=50), reading(4, flow=90))
    (told,) = feed(partition, reading(3, level=10))
    assert story([told]) == [(1, "opened", "red", 4)]


def test_measures_of_a_condition_may_be_rates_and_windows():
    also = {"rising": {"metric": "flow", "measure": {"kind": "rate", "over": 10, "per": 60}}}
    when = {"all": [{"above": 50}, {"measure": "rising", "above": 60}]}
    measure = {"kind": "window", "aggregate": "mean", "length": 10}
    partition = started(rule({"red": (way(when), way({"below": 40}))}, also=also, measure=measure))
    assert feed(partition, *flows((0, 60), (10, 60))) == []
    (told,) = feed(partition, reading(20, flow=80))
    assert [(one.measure, one.value) for one in told.evidence.parts] == [("main", 80), ("rising", 120)]


# Limits that depend on the sensor, the hour, the day.


def test_the_first_case_that_holds_gives_the_limit():
    night = {
        "default": 80,
        "cases": [{"limit": 60, "hours": "23:59-00:01", "attributes": {"phase": ["digging"]}}, {"limit": 70, "weekdays": ["fri"]}],
    }
    partition = started(rule({"red": (way(night), way(50))}), sensors=[sensor(attributes={"phase": "digging"}), sensor("s2")])
    # The history's first midnight is that of Friday, 10 October 2025.
    steps = [(MIDNIGHT - 61, 75, None), (MIDNIGHT - 60, 60, 60), (MIDNIGHT, 40, 50), (MIDNIGHT + 59, 60, 60), (MIDNIGHT + 61, 40, 50)]
    for second, value, limit in [*steps, (MIDNIGHT + 62, 69, None), (MIDNIGHT + 63, 70, 70)]:
        assert [one.evidence.limit for one in feed(partition, reading(second, flow=value))] == ([] if limit is None else [limit])
    assert feed(partition, reading(MIDNIGHT - 1, flow=75, sensor="s2")) == []
    assert [one.evidence.limit for one in feed(partition, reading(MIDNIGHT, flow=75, sensor="s2"))] == [70]


def test_a_date_gives_the_limit():
    exam = {"default": 80, "cases": [{"limit": 60, "dates": [{"first": "2025-10-10", "last": "2025-10-10"}]}]}
    partition = started(rule({"red": (way(exam), way(50))}))
    assert feed(partition, reading(MIDNIGHT - 1, flow=65)) == []
    assert len(feed(partition, reading(MIDNIGHT, flow=65))) == 1


# Below is bad, too.


def test_below_all_is_the_other_way_round():
    partition = started(rule({"blue": (way(20), way(30)), "red": (way(10), way(15))}, direction="below"))
    told = feed(partition, *flows((1, 20), (2, 9), (3, 16), (4, 30)))
    assert story(told) == [(1, "opened", "blue", 1), (2, "raised", "red", 2), (3, "lowered", "blue", 3), (4, "recovered", "blue", 4)]
    assert [one.evidence.clears and one.evidence.clears.direction for one in told] == ["above", "above", "above", None]


@pytest.mark.parametrize(
    "fields",
    [{"domain": "fire"}, {"sensors": ["s2"]}, {"regions": [THERE]}, {"department": "e"}, {"tags": ["t"]}, {"statistic": "mean"}, {"metric": "level"}],
)
def test_what_a_rule_does_not_apply_to_it_does_not_judge(fields: dict[str, Any]):
    partition = started(rule(HOT, applies={"metric": "flow", **fields}))
    assert feed(partition, reading(1, flow=90)) == []


@pytest.mark.parametrize("region", [HERE, "990100", "990000"])
def test_a_rule_of_a_region_judges_all_that_lies_in_it(region: str):
    records: list[wire.Record] = [sensor(), activation(rule(HOT, applies={"metric": "flow", "regions": [region]})), reading(1, flow=90)]
    assert len(feed(started(sensors=()), *records)) == 1
