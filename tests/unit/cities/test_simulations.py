"""The simulated streams judged by the cities' own rules: how calm an ordinary day is, and what each scenario raises."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from feeds.simulated.folder import load, scenarios
from feeds.simulated.simulation import Schedule, sources
from schemas import wire
from schemas.control import RuleActivation, SensorRecord
from services.kit import city
from services.rules.domain.revision import Forward
from services.rules.domain.step import Partition

CITIES = Path(__file__).parents[3] / "cities"
LANZHOU = CITIES / "620100"
SCENARIOS = sorted((file.parents[1].name, file.stem) for file in CITIES.glob("*/scenarios/*.yaml"))
GRAVITY = {"blue": 1, "yellow": 2, "orange": 3, "red": 4}


def microseconds(time):
    return round(time.timestamp() * 1_000_000)


def observation(reading, street):
    measurement = reading.measurement
    end = microseconds(measurement.end)
    return wire.Observation(
        id=reading.name,
        source="/departments/x/simulated",
        department=reading.department,
        sensor=measurement.sensor,
        street=street,
        domain="",
        start=end if measurement.start is None else microseconds(measurement.start),
        end=end,
        statistic=measurement.statistic.value,
        values=measurement.values,
        quality={name: flag.value for name, flag in measurement.quality.items()},
        origin=measurement.origin.value,
        received=end,
    )


class Rules:
    """Rules as the platform runs them: what streets' partitions forward is judged by regions'."""

    def __init__(self):
        self._streets, self._regions = Partition(), Partition(derived=True)

    def step(self, record):
        """Take a record of `city.observations`; return the warnings' revisions."""
        revisions, waiting = [], [(self._streets, record)]
        while waiting:
            partition, next_ = waiting.pop(0)
            for output in partition.step(next_)[1]:
                if isinstance(output, Forward):
                    waiting.append((self._regions, output.record))
                else:
                    revisions.append(output)
        return revisions


def partition(folder):
    """Return rules' state with all of a city's sensors and rules, and the street of each sensor."""
    place = city.load(folder)
    sensors, _ = city.sensors(folder, place)
    rules, _ = city.rules(folder)
    made = Rules()
    for sensor in sensors:
        path = place.regions.path(sensor.street)
        made.step(wire.of_sensor(SensorRecord(sensor=sensor, path=path, names=tuple(place.regions[code].name for code in path))))
    for rule in rules:
        made.step(wire.of_activation(RuleActivation(rule=rule, meaning=rule.version)))
    return made, {sensor.id: sensor.street for sensor in sensors}


def thinned(place, every_s):
    """Return a city whose sensors speak so often, and whose means are made of that."""
    every = {"every": timedelta(seconds=every_s)}
    return replace(place, sensors=tuple(replace(one, group=one.group.model_copy(update=every)) for one in place.sensors))


def story(folder, names, *, start, minutes, domain=None, every_s=None, rules=None, silent=None, fleet=0):
    """Yield (seconds, warnings of that moment) as the platform would; `domain` leaves the others out, `every_s` thins all sensors out.

    Of the fleet's devices every `fleet`-th is there, none with 0.

    `rules`, as `partition` returns them, go on from what they were judging. With `silent`, a function of sensor and second, the adapter is said to
    listen, and what is silent then is not published.
    """
    judged, streets = rules or partition(folder)
    place = load(folder)
    played_by = thinned(place, every_s) if every_s else place
    linked = [one.sensor.id for one in place.sensors if one.sensor.link is not None]
    there = set(linked[::fleet] if fleet else ())
    played_by = replace(played_by, sensors=tuple(one for one in played_by.sensors if one.sensor.link is None or one.sensor.id in there))
    all_ = sources(played_by, scenarios(folder, names, place), start=start, seed=1, pace=1.0)
    schedule = Schedule([source for source in all_ if domain in {None, source.sensor.domain}])
    for second in range(every_s or 1, minutes * 60, every_s or 1):
        now = start + timedelta(seconds=second)
        warnings = []
        for reading in schedule.until(now, stale=timedelta(days=9)):
            sensor = reading.measurement.sensor
            if silent is None or not silent(sensor, second):
                warnings += judged.step(observation(reading, streets[sensor]))
        time = microseconds(now)
        warnings += judged.step(wire.Tick(time=time, node="n", adapters={} if silent is None else {"http@n": time}))
        yield second, warnings


def at(hour, city_=LANZHOU, month=11):
    return datetime(2026, month, 24, hour, tzinfo=load(city_).zone)


@cache
def played(folder, name, domain, hour, minutes):
    """Return [(seconds, warning)] of a scenario in its domain."""
    told = story(folder, [name], start=at(hour, folder), minutes=minutes, domain=domain)
    return [(second, warning) for second, some in told for warning in some]


def gravest(told, prefix=""):
    return max((GRAVITY[warning.peak] for _, warning in told if warning.rule.startswith(prefix)), default=0)


@pytest.mark.parametrize("folder", [LANZHOU, CITIES / "441900"], ids=lambda folder: folder.name)
@pytest.mark.parametrize("hour", [4, 14])
def test_the_demo_s_scenario_raises_a_red_warning_within_half_a_minute_of_the_feed_s_start(folder, hour):
    scenario = city.load(folder).city.demo_scenario
    reds = [(second, warning) for second, warning in played(folder, scenario, "fire", hour, 2) if warning.tier == "red"]
    assert reds
    second, warning = reds[0]
    assert second <= 30
    assert (warning.domain, warning.origin) == ("fire", "simulated")
    assert warning.street in city.load(folder).city.demo_regions


def test_the_fire_heats_opens_sprinklers_draws_water_ends_and_comes_again():
    told = played(LANZHOU, "building-fire", "fire", 10, 32)
    began = {warning.rule: second for second, warning in reversed(told) if warning.sensor in {"lz-fire-building-01", "lz-fire-hydrant-01"}}
    rules = ["fire-smoke", "fire-confirmed", "fire-heat", "fire-sprinkler-pressure", "fire-hydrant-pressure"]
    assert sorted(began, key=began.__getitem__) == rules
    burning = [second for second, warning in told if warning.sensor == "lz-fire-building-01" and warning.state == "cleared"]
    assert len(burning) == 4
    assert 9 * 60 < max(burning) < 13 * 60
    for rule in ("fire-smoke", "fire-confirmed"):
        assert [
            second > 1800 for second, warning in told if warning.rule == rule and warning.change in {"opened", "raised"} and warning.tier == "red"
        ] == [
            False,
            True,
        ]


@pytest.mark.parametrize("folder", [LANZHOU, CITIES / "441900"], ids=lambda folder: folder.name)
def test_the_burning_building_s_detectors_agree_and_are_named(folder):
    told = [warning for _, warning in played(folder, "building-fire", "fire", 10, 32) if warning.rule == "fire-detectors"]
    rising = [warning for warning in told[:2] if warning.change in {"opened", "raised"}]
    assert [warning.evidence.value for warning in rising] == [2, 3][: len(rising)]
    assert all(len(warning.evidence.sensors) == warning.evidence.value for warning in rising)
    assert {warning.sensor for warning in told} == {None}
    building = min(one.sensor.id for one in load(folder).sensors if "building" in one.sensor.tags)
    assert {warning.sensor_name["zh"] for warning in told} == {f"{city.load(folder).regions[told[0].street].name.zh} {building}"}
    assert "cleared" in {warning.state for warning in told}


def test_a_sensor_that_falls_silent_is_told_and_no_other():
    """Its silence counts from the last that was heard of it; the demo's faults, ten minutes long, are no silence."""
    lost = "lz-fire-building-03"
    quiet = story(LANZHOU, [], start=at(10), minutes=25, domain="fire", silent=lambda sensor, second: sensor == lost and 60 < second < 18 * 60)
    told = [(second, warning) for second, some in quiet for warning in some if warning.rule.endswith("-silence") and warning.domain == "fire"]
    assert [(warning.sensor, warning.tier, warning.state) for _, warning in told] == [(lost, "yellow", "open"), (lost, "yellow", "cleared")]
    (missed_at, missed), (heard_at, _) = told
    assert 16 * 60 - 5 <= missed_at <= 16 * 60 + 5
    assert missed.evidence.value == pytest.approx(900, abs=2)
    assert 18 * 60 <= heard_at <= 18 * 60 + 10


ODD = {
    LANZHOU.name: {
        ("dust-site-noise", "lz-dust-site-06"),
        ("dust-site-noise", "lz-dust-site-14"),
        ("dust-site-pm10", "lz-dust-site-09"),
        ("dust-site-pm10-background", "lz-dust-site-09"),
        ("fire-hydrant-pressure", "lz-fire-hydrant-07"),
        ("sewage-manhole-level", "lz-sewage-well-09"),
        ("sewage-outfall-cod-now", "lz-sewage-outfall-03"),
        ("sewage-well-gas", "lz-sewage-well-12"),
        ("water-area-pressure", "lz-water-dma-13"),
        ("water-network-end-compliance", "lz-water-end-05"),
        ("water-network-end-compliance", "lz-water-end-10"),
        ("water-network-end-pressure", "lz-water-end-05"),
        ("water-network-end-pressure", "lz-water-end-10"),
    },
    "441900": {
        ("dust-site-noise", "dg-dust-site-03"),
        ("sewage-manhole-level", "dg-sewage-well-05"),
        ("sewage-well-gas", "dg-sewage-well-07"),
    },
}
"""What `simulation.yaml` makes odd on purpose, and the rules that it meets."""


@pytest.mark.parametrize(("folder", "month"), [(LANZHOU, 1), (CITIES / "441900", 7)], ids=["620100", "441900"])
def test_an_ordinary_day_is_mostly_calm_and_never_silent(folder, month):
    """Nothing warns but what is odd on purpose."""
    open_, counts, odd = {}, [], set()
    for second, warnings in story(folder, [], start=at(0, folder, month), minutes=24 * 60, every_s=120, fleet=20):
        odd |= {(warning.rule, warning.sensor) for warning in warnings}
        open_ |= {warning.id: warning for warning in warnings}
        open_ = {id_: warning for id_, warning in open_.items() if warning.state == "open"}
        assert {warning.tier for warning in open_.values()} <= {"blue", "yellow"}
        if second > 1_800:
            counts.append(len(open_))
    assert odd <= ODD[folder.name]
    assert min(counts) > 0
    assert max(counts) < 15


@pytest.mark.parametrize("hour", [3, 19])
def test_the_leak_rises_from_blue_to_orange_in_its_district_at_any_hour(hour):
    place = city.load(LANZHOU)
    told = [(second, w) for second, w in played(LANZHOU, "leak", "water", hour, 48) if w.rule == "water-area-flow"]
    assert {place.regions.path(warning.street)[1] for _, warning in told} == {"620103"}
    rising = defaultdict(list)
    for _, warning in told:
        rising[warning.sensor].append(warning.tier)
    assert all(tiers[:3] == ["blue", "yellow", "orange"] for tiers in rising.values())
    assert all(tiers[-1] == "blue" for tiers in rising.values())
    assert all(warning.state == "cleared" for warning in {w.sensor: w for _, w in told}.values())
    assert gravest(played(LANZHOU, "leak", "water", hour, 48), "water-network-end") >= GRAVITY["blue"]


def test_the_storm_fills_one_district_after_the_other_and_drains():
    place = city.load(LANZHOU)
    told = [(second, w) for second, w in played(LANZHOU, "storm", "sewage", 3, 70) if w.rule == "sewage-manhole-level"]
    first = {place.regions.path(warning.street)[1]: second for second, warning in reversed(told) if warning.sensor != "lz-sewage-well-09"}
    assert first["620111"] < first["620104"] < first["620102"]
    assert gravest(told) == GRAVITY["red"]
    last = {warning.id: warning for _, warning in told}
    assert all(warning.state == "cleared" for warning in last.values())


def test_the_dusty_day_raises_every_background_and_some_sites_to_orange_not_red():
    told = played(LANZHOU, "dusty-day", "dust", 14, 30)
    stations = {warning.sensor for _, warning in told if warning.rule == "dust-background-pm10"}
    assert len(stations) == 9
    assert gravest(told, "dust") == GRAVITY["orange"]


def test_the_drill_s_warnings_are_exercises_and_close():
    told = [(second, w) for second, w in played(LANZHOU, "drill", "fire", 22, 10) if w.origin == "exercise"]
    assert gravest(told) == GRAVITY["red"]
    last = {warning.id: warning for _, warning in told}
    assert all(warning.state == "cleared" for warning in last.values())
    assert not [w for _, w in played(LANZHOU, "drill", "fire", 22, 10) if w.sensor == "lz-fire-building-09" and w.origin != "exercise"]


def test_what_a_drill_left_open_when_the_feed_ended_closes_after_the_next_start():
    rules = partition(LANZHOU)
    drill = story(LANZHOU, ["drill"], start=at(22), minutes=2, domain="fire", rules=rules)
    left = {warning.id: warning for _, warnings in drill for warning in warnings if warning.origin == "exercise"}
    assert "red" in {warning.tier for warning in left.values()}
    after = story(LANZHOU, ["building-fire"], start=at(22) + timedelta(minutes=3), minutes=5, domain="fire", rules=rules)
    left |= {warning.id: warning for _, warnings in after for warning in warnings if warning.origin == "exercise"}
    assert all(warning.state == "cleared" for warning in left.values())


@pytest.mark.parametrize(("folder", "name"), SCENARIOS)
def test_every_scenario_can_be_played(folder, name):
    (scenario,) = scenarios(CITIES / folder, [name], load(CITIES / folder))
    assert scenario.name.zh != scenario.name.en


def test_the_leak_rises_fast_and_shows_in_the_night_minimum_until_the_next_night_says_otherwise():
    night = played(LANZHOU, "leak", "water", 3, 48)
    for rule in ("water-area-flow-rise", "water-area-night-flow"):
        found = [warning for _, warning in night if warning.rule == rule]
        assert {warning.sensor for warning in found} == {"lz-water-dma-05", "lz-water-dma-06"}
        assert max(GRAVITY[warning.peak] for warning in found) == GRAVITY["yellow"]
    assert not [warning for _, warning in played(LANZHOU, "leak", "water", 19, 48) if warning.rule == "water-area-night-flow"]
    newest = {warning.id: warning for _, warning in night if warning.rule == "water-area-night-flow"}
    assert {warning.state for warning in newest.values()} == {"open"}


def test_an_end_that_is_short_of_pressure_for_more_than_three_per_cent_of_the_day_is_told_at_the_ninth_mean():
    told = [(second, warning) for second, warning in played(LANZHOU, "leak", "water", 3, 48) if warning.rule == "water-network-end-compliance"]
    assert told
    second, first = told[0]
    assert (first.sensor, first.tier, first.evidence.value) == ("lz-water-end-10", "yellow", 9)
    assert 45 * 60 <= second <= 46 * 60


def test_the_storm_makes_levels_rise_fast():
    told = [warning for _, warning in played(LANZHOU, "storm", "sewage", 3, 70) if warning.rule == "sewage-manhole-rise"]
    assert len({warning.sensor for warning in told}) > 5
    assert all(warning.state == "cleared" for warning in {warning.id: warning for warning in told}.values())
    assert {warning.evidence.measure for warning in told} == {"rate"}


def test_the_dusty_day_is_told_to_each_district_by_one_warning_of_its_own_once_the_hour_is_over():
    place = city.load(LANZHOU)
    told = [(second, warning) for second, warning in played(LANZHOU, "dusty-day", "dust", 14, 63) if warning.rule == "dust-district-pm10"]
    assert {warning.street for _, warning in told} == {region.code for region in place.regions.children(place.regions.root.code)}
    assert {(warning.sensor, warning.tier, warning.evidence.measure) for _, warning in told} == {(None, "blue", "regional")}
    assert all(second > 3_600 for second, _ in told)
