"""The simulated streams judged by the cities' own rules: how calm an ordinary day is, and what each scenario raises."""

from collections import defaultdict
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from feeds.simulated.folder import load, scenarios
from feeds.simulated.simulation import Schedule, sources
from schemas import wire
from schemas.control import RuleActivation, SensorRecord
from services.kit import city
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


def partition(folder):
    """Return rules' state with all of a city's sensors and rules, and the street of each sensor."""
    place = city.load(folder)
    sensors, _ = city.sensors(folder, place)
    rules, _ = city.rules(folder)
    made = Partition()
    for sensor in sensors:
        made.step(wire.of_sensor(SensorRecord(sensor=sensor, path=place.regions.path(sensor.street))))
    for rule in rules:
        made.step(wire.of_activation(RuleActivation(rule=rule, meaning=rule.version)))
    return made, {sensor.id: sensor.street for sensor in sensors}


def story(folder, names, *, start, minutes, domain=None, every_s=None, rules=None):
    """Yield (seconds, warnings of that moment) as the platform would; `domain` leaves the others out, `every_s` thins all sensors out.

    `rules`, as `partition` returns them, go on from what they were judging.
    """
    judged, streets = rules or partition(folder)
    place = load(folder)
    all_ = sources(place, scenarios(folder, names, place), start=start, seed=1, pace=1.0)
    all_ = [source for source in all_ if domain in {None, source.sensor.domain}]
    for source in all_ if every_s else ():
        source.every = timedelta(seconds=every_s)
    schedule = Schedule(all_)
    for second in range(every_s or 1, minutes * 60, every_s or 1):
        now = start + timedelta(seconds=second)
        warnings = []
        for reading in schedule.until(now, stale=timedelta(days=9)):
            warnings += judged.step(observation(reading, streets[reading.measurement.sensor]))[1]
        warnings += judged.step(wire.Tick(time=microseconds(now), node="n", adapters={}))[1]
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
    assert sorted(began, key=began.__getitem__) == ["fire-smoke", "fire-heat", "fire-sprinkler-pressure", "fire-hydrant-pressure"]
    burning = [second for second, warning in told if warning.sensor == "lz-fire-building-01" and warning.state == "cleared"]
    assert len(burning) == 3
    assert 9 * 60 < max(burning) < 13 * 60
    assert [second > 1800 for second, warning in told if warning.tier == "red"] == [False, True]


@pytest.mark.parametrize(("folder", "month"), [(LANZHOU, 1), (CITIES / "441900", 7)], ids=["620100", "441900"])
def test_an_ordinary_day_is_mostly_calm_and_never_silent(folder, month):
    open_ = {}
    counts = []
    for second, warnings in story(folder, [], start=at(0, folder, month), minutes=24 * 60, every_s=120):
        open_ |= {warning.id: warning for warning in warnings}
        open_ = {id_: warning for id_, warning in open_.items() if warning.state == "open"}
        assert {warning.tier for warning in open_.values()} <= {"blue", "yellow"}
        if second > 1_800:
            counts.append(len(open_))
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
