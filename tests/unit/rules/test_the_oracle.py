"""The oracle itself, by examples worked out by hand from docs/adr/0008."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from schemas import wire
from schemas.rule import Rule
from schemas.warning import Warning  # noqa: A004 - the field's own word
from tests.unit.rules.histories import MIDNIGHT, START, THERE, activation, changed, reading, rule, sensor, tick, way
from tests.unit.rules.oracle import Oracle, Told

SIMPLE = {"yellow": (way(80), way(70))}


def started(*rules: Rule, **fields: Any) -> Oracle:
    oracle = Oracle()
    feed(oracle, *(sensor(id_, **fields) for id_ in ("s1", "s2", "s3")), *(activation(one) for one in rules))
    return oracle


def feed(oracle: Oracle, *records: wire.Record) -> list[Told]:
    told = [one for record in records for one in oracle.take(record)]
    assert all(Warning.model_validate(one).model_dump(mode="json") == one for one in told)
    return told


def story(told: list[Told]) -> list[tuple[int, str, str, float]]:
    """Return (rev, change, tier, seconds) of each."""
    return [(one["rev"], one["change"], one["tier"], _seconds(one["changed_at"])) for one in told]


def _seconds(time: str) -> float:
    return (wire.to_micros(datetime.fromisoformat(time)) - START) / 1e6


def flows(*pairs: tuple[float, float], **fields: Any) -> list[wire.Record]:
    return [reading(seconds, flow=value, **fields) for seconds, value in pairs]


def test_a_warning_says_all_of_itself():
    oracle = started(rule(SIMPLE, standard="GB 1", unit="mg/m3"))
    (told,) = feed(oracle, reading(3, flow=81.5))
    assert story([told]) == [(1, "opened", "yellow", 3)]
    assert told["evidence"] == {
        "metric": "flow",
        "measure": "value",
        "value": 81.5,
        "unit": "mg/m3",
        "limit": 80.0,
        "direction": "above",
        "readings": 1,
        "dwell_s": None,
        "statistic": "instant",
        "period_s": 0,
        "window_s": None,
        "standard": {"zh": "GB 1", "en": "GB 1"},
        "clears_at": 70.0,
        "clears": {"limit": 70.0, "direction": "below", "readings": 1, "dwell_s": None},
        "parts": [],
        "sensors": [],
        "background": None,
        "observation": "s1@3:[('flow', 81.5)]",
        "observed_at": "2025-10-09T08:53:23Z",
        "received_at": "2025-10-09T08:53:23.100000Z",
    }
    (over,) = feed(oracle, reading(4, flow=70))
    assert (over["state"], over["cleared_at"], over["tier"]) == ("cleared", "2025-10-09T08:53:24Z", "yellow")
    assert (over["evidence"]["limit"], over["evidence"]["clears"], over["evidence"]["clears_at"]) == (70.0, None, None)


def test_tiers_go_up_and_down_each_by_its_own_way():
    oracle = started(rule({"blue": (way(60), way(50)), "red": (way(80, readings=2), way(70))}))
    told = feed(oracle, *flows((1, 90), (2, 90), (3, 65), (4, 40)))
    assert story(told) == [(1, "opened", "blue", 1), (2, "raised", "red", 2), (3, "lowered", "blue", 3), (4, "recovered", "blue", 4)]
    assert told[3]["peak"] == "red"


def test_a_run_that_is_broken_by_a_gap_or_a_good_sample_begins_anew():
    oracle = started(rule({"red": (way(80, readings=3), way(70))}, fresh=10))
    assert feed(oracle, *flows((0, 80), (10, 80), (21, 80), (22, 80), (23, 79), (24, 80), (25, 80))) == []
    assert story(feed(oracle, *flows((35, 80)))) == [(1, "opened", "red", 35)]


def test_a_dwell_is_decided_a_grace_after_it_was_due_and_what_came_later_waits():
    oracle = started(rule({"red": (way(80, dwell=10), way(70))}))
    assert feed(oracle, *flows((0, 80), (9, 90), (11, 60)), tick(14)) == []
    told = feed(oracle, tick(15))
    assert story(told) == [(1, "opened", "red", 10), (2, "recovered", "red", 11)]
    assert told[0]["evidence"]["value"] == 90.0
    assert story(feed(oracle, *flows((10, 60)))) == [(3, "retracted", "red", 15)]


def test_a_dwell_on_a_reading_that_is_too_old_lapses():
    oracle = started(rule({"red": (way(80, dwell=60), way(70))}, fresh=20))
    assert feed(oracle, *flows((0, 80), (20, 80), (39, 80)), tick(66)) == []
    assert story(feed(oracle, *flows((70, 80), (90, 80), (110, 80)), tick(135))) == [(1, "opened", "red", 130)]


def test_late_data_split_merge_retract_and_reopen():
    oracle = started(rule(SIMPLE))
    (one, _) = feed(oracle, *flows((10, 90), (20, 90), (30, 60)))
    split = feed(oracle, *flows((15, 60)))
    assert story(split) == [(3, "revised", "yellow", 15), (1, "opened", "yellow", 20), (2, "recovered", "yellow", 30)]
    assert [told["evidence"]["observation"] is not None for told in split] == [True, False, False]
    merged, revised = feed(oracle, *flows((15, 90)))
    assert story([merged, revised]) == [(3, "merged", "yellow", 30), (4, "revised", "yellow", 30)]
    assert (merged["id"], merged["merged_into"], revised["id"]) == (split[1]["id"], one["id"], one["id"])
    assert feed(oracle, *flows((10, 60), (15, 60)))[0]["began_at"] == "2025-10-09T08:53:35Z"
    assert story(feed(oracle, tick(40), *flows((20, 60)))) == [(7, "retracted", "yellow", 40)]
    assert story(feed(oracle, *flows((10, 90)))) == [(8, "reopened", "yellow", 10), (9, "recovered", "yellow", 15)]
    again = feed(oracle, *flows((20, 90)))
    assert [(told["id"], told["change"]) for told in again] == [(split[1]["id"], "reopened"), (split[1]["id"], "recovered")]


def test_an_earlier_beginning_keeps_the_id_and_a_beginning_of_the_same_id_moves_on():
    oracle = started(rule(SIMPLE))
    (one,) = feed(oracle, *flows((10, 90)))
    (earlier,) = feed(oracle, *flows((5, 90)))
    assert (earlier["id"], earlier["change"], earlier["began_at"]) == (one["id"], "revised", "2025-10-09T08:53:25Z")
    told = feed(oracle, *flows((7, 60)))
    assert [(here["id"] == one["id"], here["change"]) for here in told] == [(True, "recovered"), (False, "opened")]
    assert len({here["id"] for here in told}) == 2


def test_what_is_too_late_or_before_a_change_of_the_sensor_changes_nothing():
    oracle = started(rule(SIMPLE))
    assert feed(oracle, tick(3700), *flows((94, 90))) == []
    assert story(feed(oracle, *flows((95, 90)))) == [(1, "opened", "yellow", 95)]
    feed(oracle, sensor(version=2))
    assert feed(oracle, *flows((95, 60), (94.5, 60))) == []
    feed(oracle, activation(rule(SIMPLE, version=2), meaning=1))
    (over,) = feed(oracle, *flows((96, 60)))
    assert (over["rule_version"], over["meaning"], over["change"]) == (2, 1, "recovered")
    assert story(feed(oracle, *flows((96, 90)))) == [(3, "reopened", "yellow", 95)]


def test_a_change_of_meaning_or_street_closes():
    oracle = started(rule(SIMPLE))
    feed(oracle, *flows((1, 90)), tick(2))
    (told,) = feed(oracle, activation(rule(SIMPLE, version=2, enabled=False)))
    assert story([told]) == [(2, "rule_changed", "yellow", 2)]
    assert feed(oracle, *flows((3, 90)), activation(rule(SIMPLE, version=3))) == []
    feed(oracle, *flows((4, 90)))
    (told,) = feed(oracle, sensor(version=2, street=THERE))
    assert story([told]) == [(2, "sensor_moved", "yellow", 4)]


def test_the_guard_holds_an_episode_open_until_it_was_calm():
    oracle = started(rule(SIMPLE, flapping={"begins": 2, "within": 60, "hold": 20}))
    assert len(feed(oracle, *flows((0, 90), (5, 60), (10, 90), (15, 60), (35, 90), (36, 60)), tick(60))) == 3
    assert story(feed(oracle, tick(61))) == [(2, "recovered", "yellow", 56)]
    assert story(feed(oracle, *flows((69, 90), (70, 60)), tick(94))) == [(1, "opened", "yellow", 69)]


def test_a_rate_needs_half_its_time():
    oracle = started(rule({"red": (way(60), way(10))}, measure={"kind": "rate", "over": 10, "per": 60}))
    told = feed(oracle, *flows((0, 0), (4, 100), (10, 10), (11, 20)))
    assert [(one["change"], one["evidence"]["value"], one["evidence"]["window_s"]) for one in told] == [
        ("opened", 60.0, 10.0),
        ("recovered", -80 / 7 * 60, 10.0),
    ]


def test_windows_slide_and_stand_on_a_grid():
    measure = {"kind": "window", "aggregate": "mean", "length": 10}
    oracle = started(rule({"red": (way(50), way(40))}, measure=measure))
    assert story(feed(oracle, *flows((0, 0), (5, 80), (10, 20)))) == [(1, "opened", "red", 10)]
    count = {"kind": "window", "aggregate": "count", "length": 60, "every": 60, "at_least": 0}
    oracle = started(rule({"red": (way(0), way(1))}, measure=count, direction="below"))
    assert feed(oracle, *flows((MIDNIGHT - 10, 1)), tick(MIDNIGHT + 64)) == []
    assert story(feed(oracle, tick(MIDNIGHT + 65))) == [(1, "opened", "red", MIDNIGHT + 60)]
    assert story(feed(oracle, *flows((MIDNIGHT + 60, 1)))) == [(2, "retracted", "red", MIDNIGHT + 65)]


def test_exceedances_are_those_of_the_day():
    oracle = started(rule({"red": (way(2), way(0))}, measure={"kind": "exceedances", "over": 80}))
    told = feed(oracle, *flows((MIDNIGHT - 3, 80), (MIDNIGHT - 2, 79), (MIDNIGHT - 1, 81)), tick(MIDNIGHT + 4), tick(MIDNIGHT + 5))
    assert story(told) == [(1, "opened", "red", MIDNIGHT - 1), (2, "recovered", "red", MIDNIGHT)]
    assert story(feed(oracle, *flows((MIDNIGHT + 1, 80), (MIDNIGHT + 2, 80)))) == [(1, "opened", "red", MIDNIGHT + 2)]


def test_sensors_of_a_street_agree():
    measure = {"kind": "agreement", "past": 80, "within": 10}
    oracle = started(rule({"red": (way(2), way(1))}, measure=measure), named=True)
    (told,) = feed(oracle, *flows((0, 90), sensor="s2"), *flows((9, 90), sensor="s1"))
    assert (told["subject"], told["sensor"], told["sensor_name"]["en"]) == ("990100001/flow", None, "region 990100001")
    assert (told["evidence"]["value"], told["evidence"]["sensors"], told["evidence"]["observation"]) == (2.0, ["s1", "s2"], "s1@9:[('flow', 90)]")
    (told,) = feed(oracle, *flows((10, 0), sensor="s3"))
    assert (told["change"], told["evidence"]["sensors"]) == ("recovered", ["s1"])


def test_a_condition_is_unknown_while_a_measure_is():
    when = {"all": [{"above": 80}, {"measure": "level", "below": 20}]}
    back = {"any": [{"below": 60}, {"not": {"measure": "level", "below": 30}}]}
    fields = {"also": {"level": {"metric": "level", "fresh": 5}}, "fresh": 60}
    oracle = started(rule({"red": (way(when), way(back))}, **fields))
    assert feed(oracle, *flows((0, 90)), reading(1, level=25), reading(2, level=10, quality={"level": "fault"})) == []
    (told,) = feed(oracle, reading(3, level=10))
    assert [(one["measure"], one["value"], one["holds"]) for one in told["evidence"]["parts"]] == [("main", 90.0, True), ("level", 10.0, True)]
    assert (told["evidence"]["value"], told["evidence"]["measure"], told["evidence"]["limit"]) == (90.0, "condition", None)
    assert told["evidence"]["clears"] == {"limit": None, "direction": "below", "readings": 1, "dwell_s": None}
    assert feed(oracle, *flows((9, 70))) == []
    (told,) = feed(oracle, reading(70, level=40))
    assert [(one["value"], one["holds"]) for one in told["evidence"]["parts"]] == [(None, None), (40.0, False)]
    assert told["evidence"]["value"] == 40.0


def test_limits_by_case():
    night = {"default": 80, "cases": [{"limit": 60, "hours": "23:59-00:01", "attributes": {"phase": ["digging"]}}]}
    oracle = started(rule({"red": (way(night), way(50))}), attributes={"phase": "digging"})
    assert feed(oracle, *flows((MIDNIGHT - 61, 79))) == []
    (told,) = feed(oracle, *flows((MIDNIGHT - 60, 60)))
    assert told["evidence"]["limit"] == 60.0
    feed(oracle, sensor(version=2, attributes={"phase": "roof"}), *flows((MIDNIGHT, 40)))
    assert feed(oracle, *flows((MIDNIGHT + 1, 79))) == []


def test_silence_counts_only_while_the_adapter_listens():
    oracle = started(rule({"blue": (way(10), way(5))}, measure={"kind": "absence"}, applies={"metric": "flow", "sensors": ["s1"]}))

    def second(time: float, listened: float | None = None) -> list[Told]:
        return feed(oracle, tick(time, {"http@n1": time if listened is None else listened}))

    assert [told for time in range(1, 6) for told in second(time)] == []
    feed(oracle, *flows((5, 1)))
    assert [told for time in range(6, 11) for told in second(time)] == []
    assert [told for time in range(11, 20) for told in second(time, 10)] == []
    assert [told for time in range(20, 30) for told in second(time)] == []
    (told,) = second(30)
    assert (told["evidence"]["value"], told["subject"], told["origin"]) == (10.0, "s1/flow", "real")
    (told,) = feed(oracle, reading(2, flow=1, quality={"flow": "maintenance"}))
    assert story([told]) == [(2, "recovered", "blue", 30.000001)]


def test_a_series_of_a_period_waits_longer_and_stands_by_itself():
    oracle = started(rule({"red": (way(80, dwell=60), way(70))}, applies={"metric": "flow", "statistic": "mean", "period": timedelta(seconds=60)}))
    fields = {"period": 60.0}
    assert feed(oracle, *flows((0, 90), (60, 90), **fields), *flows((0, 90), (60, 90), period=120.0), tick(179)) == []
    replayed = [changed(one, origin="replayed") for one in flows((60, 90), (120, 90), **fields)]
    told = feed(oracle, tick(180), *replayed, tick(240))
    assert [(one["subject"], one["origin"]) for one in told] == [("s1/flow/mean.60s", "real"), ("s1/flow/mean.60s@replayed", "replayed")]
