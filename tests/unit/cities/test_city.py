"""The folder of Lanzhou loads through the contract and holds together."""

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from schemas.base import Domain
from schemas.city import City
from schemas.regions import Level, Region, RegionTree
from schemas.rule import Threshold
from schemas.sensor import Sensor

FOLDER = Path(__file__).parents[3] / "cities" / "620100"
RULES = sorted((FOLDER / "rules").glob("*.yaml"))


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def city():
    return City.model_validate(read(FOLDER / "city.yaml"))


@pytest.fixture(scope="module")
def regions():
    return TypeAdapter(list[Region]).validate_python(read(FOLDER / "regions.yaml"))


@pytest.fixture(scope="module")
def sensors():
    return TypeAdapter(list[Sensor]).validate_python(read(FOLDER / "sensors.yaml"))


@pytest.fixture(scope="module")
def rules():
    return [Threshold.model_validate(read(path)) for path in RULES]


def test_regions_are_one_tree_of_the_whole_city(regions):
    tree = RegionTree(regions)
    assert tree.root.code == "620100"
    by_level = {level: [region.code for region in tree if region.level is level] for level in Level}
    assert {level: len(codes) for level, codes in by_level.items()} == {Level.CITY: 1, Level.DISTRICT: 9, Level.STREET: 116}
    assert "620171" in by_level[Level.DISTRICT]
    assert all(len(code) == 9 for code in by_level[Level.STREET])
    assert tree.path("620102001") == ("620102001", "620102", "620100")


def test_a_level_lies_right_below_the_one_above(regions):
    tree = RegionTree(regions)
    above = {Level.STREET: Level.DISTRICT, Level.DISTRICT: Level.CITY}
    for region in tree:
        if region.parent is not None:
            assert tree[region.parent].level is above[region.level]


def test_the_demo_shows_one_region_of_each_level(city, regions):
    tree = RegionTree(regions)
    assert city.code == tree.root.code
    assert [tree[code].level for code in city.demo_regions] == [Level.CITY, Level.DISTRICT, Level.STREET]


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


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_a_rule_stands_in_the_file_of_its_name(path):
    assert Threshold.model_validate(read(path)).id == path.stem


def covers(rule, sensor, tree):
    applies = rule.applies
    return (
        applies.metric in sensor.metrics
        and applies.domain in {None, sensor.domain}
        and applies.department in {None, sensor.department}
        and (applies.sensors is None or sensor.id in applies.sensors)
        and (applies.regions is None or any(tree.covers(region, sensor.street) for region in applies.regions))
        and applies.tags <= sensor.tags
    )


def test_every_rule_watches_something_in_its_own_unit_and_within_what_can_be_measured(regions, sensors, rules):
    tree = RegionTree(regions)
    for rule in rules:
        watched = [sensor for sensor in sensors if covers(rule, sensor, tree)]
        assert watched, rule.id
        for metric in (sensor.metrics[rule.applies.metric] for sensor in watched):
            assert metric.unit == rule.unit
            limits = [way.limit for step in rule.tiers.values() for way in (step.up, step.down)]
            assert all(metric.low < limit < metric.high for limit in limits), rule.id


def test_every_rule_says_where_its_limits_come_from(rules):
    assert all(rule.standard for rule in rules)


def test_every_domain_has_a_rule(sensors, regions, rules):
    tree = RegionTree(regions)
    assert {sensor.domain for sensor in sensors for rule in rules if covers(rule, sensor, tree)} == set(Domain)
