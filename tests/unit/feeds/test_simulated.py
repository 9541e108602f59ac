"""The simulator's readings: what they say of a scenario, when they come, their means, and what is said of files that are wrong."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from feeds.simulated.folder import Unusable, load, scenarios
from feeds.simulated.means import Means
from feeds.simulated.scenario import AFTER_A_DRILL_S, Effect, Scenario
from feeds.simulated.simulation import Schedule, sources
from schemas.base import Origin
from schemas.observation import Quality, Statistic

LANZHOU = Path(__file__).parents[3] / "cities" / "620100"
START = datetime(2026, 11, 24, 2, 0, 0, 123_000, tzinfo=UTC)
FOREVER = timedelta(days=99)


def run(seconds, *names, seed=1, start=START, pace=1.0, folder=LANZHOU, fleet=False):
    """Return all readings of the first seconds, with those of the fleet's devices or without."""
    place = load(folder)
    if not fleet:
        place = replace(place, sensors=tuple(one for one in place.sensors if one.sensor.link is None))
    schedule = Schedule(sources(place, scenarios(folder, names, place), start=start, seed=seed, pace=pace))
    return list(schedule.until(start + timedelta(seconds=seconds), stale=FOREVER))


def of(readings, sensor):
    return [reading.measurement for reading in readings if reading.measurement.sensor == sensor]


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(LANZHOU, tmp_path / "620100"))


def changed(file, before, after):
    text = file.read_text("utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), "utf-8")


# Readings


def test_the_same_seed_and_start_give_the_same_readings():
    assert run(30, "storm", seed=5) == run(30, "storm", seed=5)
    assert run(30, seed=5) != run(30, seed=6)


def test_all_says_that_it_is_simulated_or_an_exercise_and_is_within_what_the_instrument_can_say():
    metrics = {one.sensor.id: one.sensor.metrics for one in load(LANZHOU).sensors}
    readings = run(61, fleet=True)
    assert {reading.measurement.sensor for reading in readings} == metrics.keys()
    for reading in readings:
        drilled = reading.measurement.sensor == "lz-fire-building-09"
        assert reading.measurement.origin is (Origin.EXERCISE if drilled else Origin.SIMULATED)
        for name, value in reading.measurement.values.items():
            assert metrics[reading.measurement.sensor][name].low <= value <= metrics[reading.measurement.sensor][name].high


def test_a_sensor_reads_all_its_metrics_and_the_replayed_pipe_is_left_alone():
    place = load(LANZHOU)
    read = {reading.measurement.sensor: reading.measurement.values.keys() for reading in run(61, fleet=True)}
    assert read == {one.sensor.id: one.sensor.metrics.keys() for one in place.sensors}
    assert "lz-water-pipe-01" not in read


def test_readings_trickle_in_the_order_of_their_times_with_no_name_twice():
    readings = run(60)
    ends = [reading.measurement.end for reading in readings]
    assert ends == sorted(ends)
    assert len({reading.name for reading in readings}) == len(readings)
    seconds = [int((end - START).total_seconds()) for end in ends]
    per_second = [seconds.count(second) for second in range(5, 60)]
    assert max(per_second) < 3 * sum(per_second) / len(per_second)
    assert min(per_second) > 0


def test_what_a_machine_slept_through_is_skipped_and_the_next_come_as_planned():
    place = load(LANZHOU)
    schedule = Schedule(sources(place, [], start=START, seed=1, pace=1.0))
    before = list(schedule.until(START + timedelta(seconds=20), stale=timedelta(seconds=60)))
    after = list(schedule.until(START + timedelta(hours=8), stale=timedelta(seconds=60)))
    assert min(reading.measurement.end for reading in after) >= START + timedelta(hours=8) - timedelta(seconds=60)
    assert schedule.skipped > 100 * len(before)
    assert not {reading.name for reading in before} & {reading.name for reading in after}
    (sensor,) = {reading.measurement.sensor for reading in after[:1]}
    numbers = [reading.number for reading in after if reading.measurement.sensor == sensor]
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))


# Scenarios


def test_a_drill_is_an_exercise_until_what_it_raised_can_have_closed_and_nothing_else_is():
    """Its second time, which the start has nothing to do with."""
    readings = run(2_500, "drill")
    drilled = of(readings, "lz-fire-building-09")
    exercise = [since for one in drilled if one.origin is Origin.EXERCISE and (since := (one.end - START).total_seconds() - 1_800) > 0]
    assert 20 <= min(exercise) < 24
    assert 190 + AFTER_A_DRILL_S - 4 < max(exercise) < 190 + AFTER_A_DRILL_S
    assert {reading.measurement.origin for reading in readings if reading.measurement.sensor != "lz-fire-building-09"} == {Origin.SIMULATED}


def test_after_a_start_a_sensor_of_any_drill_is_an_exercise_until_what_was_left_open_can_have_closed():
    readings = run(300, "building-fire")
    drilled = of(readings, "lz-fire-building-09")
    exercise = [one for one in drilled if one.origin is Origin.EXERCISE]
    assert exercise == [one for one in drilled if (one.end - START).total_seconds() < AFTER_A_DRILL_S]
    assert max(one.values["temperature"] for one in exercise) < 40
    assert drilled[-1].origin is Origin.SIMULATED
    assert {reading.measurement.origin for reading in readings if reading.measurement.sensor != "lz-fire-building-09"} == {Origin.SIMULATED}


def test_nothing_but_the_drill_acts_on_a_sensor_while_its_readings_are_an_exercise(folder):
    changed(folder / "scenarios" / "building-fire.yaml", "sensors: [lz-fire-building-01]", "sensors: [lz-fire-building-09]")
    readings = of(run(2_100, "building-fire", folder=folder), "lz-fire-building-09")
    assert max(one.values["smoke"] for one in readings if one.origin is Origin.EXERCISE) < 0.1
    assert max(one.values["smoke"] for one in readings if one.origin is Origin.SIMULATED) > 1


def test_a_scenario_that_cannot_be_read_and_is_not_played_is_no_hindrance(folder):
    (folder / "scenarios" / "leak.yaml").write_text("effects: [", "utf-8")
    assert run(5, "building-fire", folder=folder)


def test_a_fault_is_a_flag_on_the_values():
    assert [one for one in of(run(50, "building-fire"), "lz-fire-building-08") if one.quality] == []
    flagged = [one for one in of(run(200, "building-fire"), "lz-fire-building-08") if one.quality]
    assert len(flagged) > 30
    assert all(one.quality == dict.fromkeys(one.values, Quality.FAULT) for one in flagged)


def test_pace_makes_the_scenario_run_faster_than_the_clock():
    def hottest(pace):
        return max(one.values["temperature"] for one in of(run(25, "building-fire", pace=pace), "lz-fire-building-01"))

    assert hottest(1) < 60 < hottest(10)


def scenario(**fields):
    name = {"zh": "甲", "en": "a"}
    effect = {"force": "rain", "of": {"domain": "sewage"}, "amount": 8, "start": "PT1M", "rise": "PT2M", "hold": "PT3M", "fall": "PT4M"}
    return Scenario.model_validate({"name": name, "about": name, "effects": [effect]} | fields)


@pytest.mark.parametrize(("minutes", "amount"), [(0, 0), (0.99, 0), (2, 4), (3, 8), (5.9, 8), (8, 4), (9, 2), (10, 0), (99, 0)])
def test_an_effect_rises_holds_and_falls(minutes, amount):
    assert scenario().effects[0].at(minutes * 60) == pytest.approx(amount)


@given(st.floats(0, 100_000), st.floats(-50, 50), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_an_effect_never_does_more_than_its_amount(seconds, amount, rise, hold, fall):
    effect = Effect.model_validate({"force": "gas", "of": {"domain": "sewage"}, "amount": amount, "rise": rise, "hold": hold, "fall": fall})
    assert abs(effect.at(seconds)) <= abs(amount)


def test_a_scenario_starts_over_and_was_nothing_before_its_start():
    once, again = scenario(), scenario(every="PT15M")
    assert once.place(16 * 60) == 16 * 60
    assert again.place(16 * 60) == 60
    assert again.place(-5) == -5


# Means


def test_a_mean_is_of_a_whole_period_and_of_what_was_said_in_it():
    readings = of(run(1_000, start=datetime(2026, 11, 24, 2, 3, tzinfo=UTC)), "lz-dust-site-02")
    # It publishes means of a quarter of an hour, too.
    means = [one for one in readings if one.statistic is Statistic.MEAN and one.end - one.start == timedelta(minutes=5)]
    assert [(one.start.minute, one.end.minute) for one in means] == [(5, 10), (10, 15)]
    first = means[0]
    said = [one.values["tsp"] for one in readings if one.statistic is Statistic.INSTANT and first.start <= one.end < first.end]
    assert len(said) == 60
    assert first.values["tsp"] == pytest.approx(sum(said) / 60, abs=0.001)
    assert first.values.keys() == {"tsp", "pm10", "leq"}


def test_a_period_with_too_few_readings_has_no_mean():
    means = Means(timedelta(minutes=5), timedelta(seconds=5))
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    told = [means.take(midnight + timedelta(seconds=5 * at), {"x": 1.0}) for at in range(120) if at not in range(60, 80)]
    assert [one for one in told if one] == [(midnight, midnight + timedelta(minutes=5), {"x": 1.0})]
    assert means.take(midnight + timedelta(minutes=10), {"x": 1.0}) is None


# Files


def test_a_simulation_that_is_not_there(folder):
    (folder / "simulation.yaml").unlink()
    with pytest.raises(Unusable, match=r"simulation\.yaml: cannot be read: No such file"):
        load(folder)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("model: metered-area", "model: meterd-area", r"groups\.\d+: lz-water-dma-01: the whole: .*meterd-area.*'metered-area'"),
        ("loss: 0.012", "los: 0.012", r"groups\.\d+: lz-water-dma-01: metered-area\.los: Extra inputs are not permitted"),
        ("mean: 60", "mean: -60", r"groups\.\d+: lz-water-dma-01: metered-area\.mean: Input should be greater than 0"),
        ("lz-water-dma-13:", "lz-water-dma-99:", r"groups\.\d+\.but: \['lz-water-dma-99'\] are not sensors of this group"),
        ("domain: water, tags", "domain: wather, tags", r"groups\.\d+\.of\.domain: Input should be 'water'"),
        ("weather: {", "weather: [", r"is not YAML: .*line"),
    ],
)
def test_a_simulation_that_is_wrong_is_told_with_file_and_place(folder, before, after, said):
    changed(folder / "simulation.yaml", before, after)
    with pytest.raises(Unusable, match=rf"(?s)simulation\.yaml: {said}"):
        load(folder)


def test_an_unknown_scenario_names_those_that_there_are(folder):
    with pytest.raises(Unusable, match="there is no scenario 'flood'; there are: building-fire, drill, dusty-day, leak, storm"):
        scenarios(folder, ["flood"], load(folder))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("lz-fire-building-01", "lz-fire-bilding-01", r"effects\.0\.of: no simulated sensor is so"),
        ("every: PT30M", "every: PT5M", r"the whole: .*effects \[0, 1, 2, 3, 4, 5\] end after `every`"),
        ("force: fire", "force: flame", r"effects\.0\.force: Input should be"),
        ("of: {sensors: [lz-fire-building-01]}", "of: {}", r"effects\.0\.of: .*name sensors, regions, domain or tags"),
    ],
)
def test_a_scenario_that_is_wrong_is_told_with_file_and_place(folder, before, after, said):
    changed(folder / "scenarios" / "building-fire.yaml", before, after)
    with pytest.raises(Unusable, match=rf"building-fire\.yaml: {said}"):
        scenarios(folder, ["building-fire"], load(folder))


def test_a_zone_that_is_none(folder):
    changed(folder / "city.yaml", "Asia/Shanghai", "Asia/Lanzhou")
    with pytest.raises(Unusable, match=r"city\.yaml: timezone: 'Asia/Lanzhou' is no zone"):
        load(folder)


def test_a_sensor_follows_the_first_group_that_covers_it(folder):
    file = folder / "simulation.yaml"
    plan = yaml.safe_load(file.read_text("utf-8"))
    plan["groups"].insert(0, {"of": {"sensors": ["lz-water-dma-01"]}, "follow": {"model": "metered-area", "mean": 1}})
    file.write_text(yaml.safe_dump(plan), "utf-8")
    followed = {one.sensor.id: one.model for one in load(folder).sensors}
    assert followed["lz-water-dma-01"].mean == 1
    assert followed["lz-water-dma-02"].mean == 60
