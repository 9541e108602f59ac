"""Fleets: what they stand for, and what is said of one that is wrong."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from feeds.simulated.folder import Unusable
from feeds.simulated.folder import load as simulated
from schemas.fleet import Fleet, FleetError, expand
from services.ingest.domain.registry import device_of
from services.kit import city
from services.kit.errors import Misconfigured

LANZHOU = Path(__file__).parents[3] / "cities" / "620100"


def fleet(count=3, record=None, **vary):
    return Fleet.model_validate({"fleet": "f", "count": count, "vary": vary, "sensors": [record or {"id": "s-{n:02}", "street": "{street}"}]})


@pytest.fixture(scope="module")
def regions():
    return city.load(LANZHOU).regions


@pytest.fixture(scope="module")
def linked():
    return [sensor for sensor in city.sensors(LANZHOU, city.load(LANZHOU))[0] if sensor.link is not None]


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(LANZHOU, tmp_path / "620100"))


def test_a_record_is_filled_in_for_each_place_keys_and_lists_too(regions):
    record = {"id": "s-{n:03}", "name": {"zh": "{street_zh}"}, "codes": {"{code}": [1, "{unit}", None]}, "plain": 5}
    first, second, third = expand(fleet(3, record, code=["a", "b"], unit=["mg/m3"]), regions)
    assert first == {"id": "s-001", "name": {"zh": "酒泉路街道"}, "codes": {"a": [1, "mg/m3", None]}, "plain": 5}
    assert (second["codes"], third["codes"]) == ({"b": [1, "mg/m3", None]}, {"a": [1, "mg/m3", None]})


@pytest.mark.parametrize("count", [1, 7, 116, 117, 300])
def test_places_are_spread_over_all_streets_and_no_street_has_two_more_than_another(regions, count):
    streets = Counter(record["street"] for record in expand(fleet(count), regions))
    assert sum(streets.values()) == count
    assert len(streets) == min(count, 116)
    assert max(streets.values()) - min([*streets.values(), *([0] if len(streets) < 116 else [])]) <= 1


def test_a_few_places_are_not_all_in_one_district(regions):
    assert len({regions.district(record["street"]) for record in expand(fleet(20), regions)}) > 5


def test_a_word_that_is_not_there_is_told_with_those_that_are(regions):
    with pytest.raises(FleetError, match=r"f: sensors\.0: KeyError\('strett'\); there are n, street, street_zh, street_en"):
        list(expand(fleet(1, {"street": "{strett}"}), regions))


def test_platform_and_simulator_read_the_same_sensors(linked):
    """The adapter of a sensor that only one of them knew would count its silence, or refuse its readings."""
    assert [one.sensor for one in simulated(LANZHOU).sensors if one.sensor.link is not None]
    assert {one.sensor.id: one.sensor for one in simulated(LANZHOU).sensors if one.sensor.link is not None} == {one.id: one for one in linked}


def test_lanzhou_has_two_hundred_monitors_a_hundred_fire_devices_and_some_tens_on_mqtt_all_marked_as_made_up(linked):
    devices = Counter(protocol for protocol, _ in {(one.link.protocol, device_of(one.link)) for one in linked})
    assert devices == {"hj212": 200, "gb26875": 100, "mqtt": 40}
    assert len({sensor.street for sensor in linked}) == 116
    assert all("示例" in sensor.name.zh and "SIM" in getattr(sensor.link, "mn", "SIM") for sensor in linked)
    assert {sensor.link.origin for sensor in linked if sensor.link.protocol == "hj212"} == {"simulated"}
    assert all(sensor.link.drills for sensor in linked if sensor.link.protocol == "gb26875" and sensor.link.states)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("count: 160", "count: 0", "0.count: Input should be greater than or equal to 1"),
        ("{street}", "{streat}", "dust-sites: sensors.0: KeyError('streat')"),
    ],
)
def test_a_fleet_that_is_wrong_is_told_by_both(folder, before, after, said):
    file = folder / "fleet.yaml"
    file.write_text(file.read_text("utf-8").replace(before, after, 1), "utf-8")
    with pytest.raises(Misconfigured) as by_platform:
        city.sensors(folder, city.load(folder))
    with pytest.raises(Unusable) as by_simulator:
        simulated(folder)
    assert f"fleet.yaml: {said}" in str(by_platform.value)
    assert f"fleet.yaml: {said}" in str(by_simulator.value)


def test_one_bad_sensor_of_a_fleet_harms_only_itself(folder):
    file = folder / "fleet.yaml"
    file.write_text(file.read_text("utf-8").replace("lz-dust-hj-{n:03}", "lz-dust-site-{n:02}", 1), "utf-8")
    good, bad = city.sensors(folder, city.load(folder))
    assert len(bad) == 20
    assert str(bad[0]) == f"{file}: sensor lz-dust-site-01 is given twice; the first is taken"
    assert len(good) == 124 + 640 - 20
