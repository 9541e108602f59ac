"""The cities' folders load through the contract and hold together."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from feeds.simulated.folder import Plan
from schemas.access import Role
from schemas.base import Domain
from schemas.city import City
from schemas.measure import Absence, Agreement, Background, Exceedances, Rate
from schemas.observation import Statistic
from schemas.regions import Level, Region, RegionTree
from schemas.rule import MAIN, Rule
from services.cli.rule_check import watches
from services.kit import city as kit

CITIES = Path(__file__).parents[3] / "cities"
LANZHOU, DONGGUAN = "620100", "441900"
RULES = sorted(CITIES.glob("*/rules/*.yaml"))
SHAPES = {
    LANZHOU: {Level.CITY: 1, Level.DISTRICT: 9, Level.STREET: 116},
    DONGGUAN: {Level.CITY: 1, Level.DISTRICT: 0, Level.STREET: 36},
}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=SHAPES)
def folder(request):
    return CITIES / request.param


@pytest.fixture(scope="module")
def city(folder):
    return City.model_validate(read(folder / "city.yaml"))


@pytest.fixture(scope="module")
def regions(folder):
    return TypeAdapter(list[Region]).validate_python(read(folder / "regions.yaml"))


@pytest.fixture(scope="module")
def sensors(folder):
    return kit.sensors(folder, kit.load(folder))[0]


@pytest.fixture(scope="module")
def rules(folder):
    return [Rule.model_validate(read(path)) for path in RULES if path.is_relative_to(folder)]


def test_strangers_are_a_department_s():
    with pytest.raises(ValueError, match=r"strangers: \['nobody'\] are not among the departments"):
        City.model_validate(read(CITIES / LANZHOU / "city.yaml") | {"strangers": {"hj212": "nobody"}})


def test_each_city_is_tried():
    assert {folder.name for folder in CITIES.iterdir() if (folder / "city.yaml").is_file()} == SHAPES.keys()


def test_the_whole_folder_can_be_used(folder):
    place = kit.load(folder)
    assert kit.sensors(folder, place)[1] == []
    assert kit.rules(folder)[1] == []


def test_regions_are_one_tree_of_the_whole_city(folder, regions):
    tree = RegionTree(regions)
    assert tree.root.code == folder.name
    by_level = {level: [region.code for region in tree if region.level is level] for level in Level}
    assert {level: len(codes) for level, codes in by_level.items()} == SHAPES[folder.name]
    assert all(len(code) == 9 for code in by_level[Level.STREET])


def test_lanzhou_s_new_area_is_a_district_and_parents_are_explicit():
    tree = kit.load(CITIES / LANZHOU).regions
    assert tree["620171"].level is Level.DISTRICT
    assert tree.path("620102001") == ("620102001", "620102", "620100")


def test_a_level_lies_right_below_the_one_above(folder, regions):
    tree = RegionTree(regions)
    levels = [level for level in Level if SHAPES[folder.name][level]]
    above = dict(zip(levels[1:], levels, strict=False))
    for region in tree:
        if region.parent is not None:
            assert tree[region.parent].level is above[region.level]


def test_the_demo_shows_one_region_of_each_level(folder, city, regions):
    tree = RegionTree(regions)
    assert city.code == tree.root.code
    assert [tree[code].level for code in city.demo_regions] == [level for level in Level if SHAPES[folder.name][level]]


def test_the_demo_s_users_are_one_of_each_role_that_the_city_has(folder, city):
    roles = {grant.role for user in city.demo_users for grant in user.grants}
    assert roles == {role for role in Role if role.level is None or SHAPES[folder.name][role.level]}
    assert all(grant.region in {city.code, *city.demo_regions} for user in city.demo_users for grant in user.grants)


def test_the_demo_s_scenario_is_there(folder, city):
    assert (folder / "scenarios" / f"{city.demo_scenario}.yaml").is_file()


def test_sensors_stand_in_streets_and_belong_to_departments(city, regions, sensors):
    tree = RegionTree(regions)
    departments = {department.id for department in city.departments}
    assert len({sensor.id for sensor in sensors}) == len(sensors)
    for sensor in sensors:
        assert tree[sensor.street].level is Level.STREET
        assert sensor.department in departments


def test_every_domain_has_a_sensor_to_publish_by_hand(sensors):
    assert {sensor.domain for sensor in sensors if sensor.id != "lz-water-pipe-01"} == set(Domain)


def test_every_department_has_a_sensor(city, sensors):
    assert {sensor.department for sensor in sensors} == {department.id for department in city.departments}


@pytest.mark.parametrize("path", RULES, ids=lambda path: f"{path.parents[1].name}/{path.stem}")
def test_a_rule_stands_in_the_file_of_its_name(path):
    assert Rule.model_validate(read(path)).id == path.stem


def unit(rule, metric):
    """Return the unit that a rule's measure has of a metric."""
    match rule.measure:
        case Absence():
            return "s"
        case Exceedances() | Agreement():
            return "1"
        case Rate():
            return f"{metric.unit}/{({timedelta(hours=1): 'h', timedelta(minutes=1): 'min'})[rule.measure.per]}"
        case _:
            return metric.unit


def numbers(limits):
    """Return all numbers that a limit may be."""
    return [limits.default, *(case.limit for case in limits.cases)]


def own_limits(rule):
    """Return the numbers that a rule compares values of its own metric with, in the metric's unit."""
    if isinstance(rule.measure, Exceedances):
        return numbers(rule.measure.over)
    if isinstance(rule.measure, Agreement):
        return numbers(rule.measure.past)
    if isinstance(rule.measure, Absence | Rate | Background):
        return []
    found = [number for way in rule.ways() if way.limit is not None for number in numbers(way.limit)]
    compares = [compare for way in rule.ways() for compare in way.compares() if compare.measure == MAIN]
    return [*found, *(number for compare in compares for number in numbers(compare.above or compare.below))]


def test_every_rule_watches_something_in_its_own_unit_and_within_what_can_be_measured(regions, sensors, rules):
    tree = RegionTree(regions)
    for rule in rules:
        watched = [sensor for sensor in sensors if watches(rule.applies, sensor, tree)]
        assert watched, rule.id
        for metric in (sensor.metrics[rule.applies.metric] for sensor in watched):
            assert unit(rule, metric) == rule.unit, rule.id
            assert all(metric.low < limit < metric.high for limit in own_limits(rule)), rule.id
        for also in rule.also.values():
            assert all(also.metric in sensor.metrics for sensor in watched), rule.id


def test_every_attribute_that_a_rule_names_is_some_sensor_s(regions, sensors, rules):
    """A misspelt attribute or value would leave its limit unused without a word."""
    tree = RegionTree(regions)
    for rule in rules:
        watched = [sensor for sensor in sensors if watches(rule.applies, sensor, tree)]
        cases = [case for way in rule.ways() if way.limit is not None for case in way.limit.cases]
        for attributes in (case.attributes for case in cases if case.attributes):
            for name, values in attributes.items():
                assert {sensor.attributes.get(name) for sensor in watched} & values, (rule.id, name)
        if isinstance(rule.measure, Agreement) and rule.measure.place != "street":
            assert all(rule.measure.place.removeprefix("attribute:") in sensor.attributes for sensor in watched), rule.id
        if isinstance(rule.measure, Background) and rule.measure.stations:
            assert any(rule.measure.stations <= sensor.tags and rule.applies.metric in sensor.metrics for sensor in sensors), rule.id


def test_every_sensor_s_silence_is_told(regions, sensors, rules):
    tree = RegionTree(regions)
    missed = [rule for rule in rules if isinstance(rule.measure, Absence)]
    assert [sensor.id for sensor in sensors if not any(watches(rule.applies, sensor, tree) for rule in missed)] == []


def test_means_that_a_rule_waits_for_are_published(folder, rules):
    """A rule on a period that no simulated sensor publishes would never judge anything."""
    plan = Plan.model_validate(read(folder / "simulation.yaml"))
    published = {period for group in plan.groups for period in group.means}
    assert {rule.applies.period for rule in rules if rule.applies.statistic is not Statistic.INSTANT} <= published


@pytest.mark.parametrize("kind", ["rate", "window", "exceedances", "absence", "agreement", "background"])
def test_both_cities_use_every_kind(rules, kind):
    assert any(rule.measure.kind == kind for rule in rules)
    assert any(rule.also for rule in rules)
    assert any(case.hours for rule in rules for way in rule.ways() if way.limit for case in way.limit.cases)


def test_every_rule_says_where_its_limits_come_from(rules):
    assert all(rule.standard for rule in rules)


def test_every_domain_has_a_rule(sensors, regions, rules):
    tree = RegionTree(regions)
    assert {sensor.domain for sensor in sensors for rule in rules if watches(rule.applies, sensor, tree)} == set(Domain)
