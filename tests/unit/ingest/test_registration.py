"""What a change of the registry comes to: faults, scope, regions by position, devices, and what is told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import sheet
from schemas.base import Name
from schemas.boundaries import Places
from schemas.command import System, Within
from schemas.regions import Level, Region, RegionTree
from schemas.sensor import Sensor
from services.ingest import units
from services.ingest.domain import registration
from services.ingest.domain.registration import Ground, Plan, bring, change
from services.ingest.positions import converter

TREE = RegionTree(
    Region(code=code, parent=parent, level=level, name=Name(zh=name, en=code))
    for code, parent, level, name in (
        ("1", None, Level.CITY, "市"),
        ("11", "1", Level.DISTRICT, "东区"),
        ("111", "11", Level.STREET, "甲街道"),
        ("112", "11", Level.STREET, "乙街道"),
        ("12", "1", Level.DISTRICT, "西区"),
        ("121", "12", Level.STREET, "丙街道"),
        ("13", "1", Level.STREET, "丁镇"),
    )
)
ALL = (Within(region="1"),)


def square(code: str, west: float, south: float, size: float = 0.1) -> dict[str, Any]:
    ring = [[west, south], [west + size, south], [west + size, south + size], [west, south + size], [west, south]]
    return {"type": "Feature", "properties": {"code": code}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


DISTRICTS = collection(square("11", 104.0, 36.0), square("12", 103.9, 36.0), square("121", 103.95, 36.0, 0.05))
GROUND = Ground(TREE, frozenset({"water", "housing"}), Places(TREE, DISTRICTS), units.check, units.conversion)


def sensor(id_: str = "s", version: int = 1, **fields: Any) -> Sensor:
    whole: dict[str, Any] = {
        "id": id_,
        "version": version,
        "name": {"zh": id_, "en": id_},
        "domain": "dust",
        "department": "housing",
        "street": "111",
    }
    return Sensor.model_validate({**whole, "metrics": {"pm10": {"unit": "ug/m3", "name": {"zh": "甲", "en": "a"}}}, **fields})


def hj(mn: str = "A1", *codes: str, unit: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"adapter": "hj212", "link": {"protocol": "hj212", "mn": mn, "codes": {one: {"metric": "pm10", "unit": unit} for one in codes}, **fields}}


def told(plan: Plan) -> list[tuple[str, str]]:
    return [(fault.code.value, fault.column) for fault in plan.faults]


# One sensor


def test_a_change_needs_the_version_after_the_one_that_is_there():
    before = sensor(version=3)
    assert told(change(sensor(version=4, station="x"), before, [], GROUND, ALL)) == []
    for version in (1, 2, 3, 5):
        plan = change(sensor(version=version, station="x"), before, [], GROUND, ALL)
        assert (told(plan), plan.there, plan.changes[:0]) == ([("changed", "")], before, [])
    assert told(change(sensor(version=2), None, [], GROUND, ALL)) == [("changed", "")]
    assert change(sensor(version=4), before, [], GROUND, ALL).unchanged == 1


@pytest.mark.parametrize(
    ("within", "before", "after", "allowed"),
    [
        ({"region": "11"}, {"street": "111"}, {"street": "112"}, True),
        ({"region": "11"}, {"street": "111"}, {"street": "121"}, False),
        ({"region": "11"}, {"street": "121"}, {"street": "111"}, False),
        ({"region": "1", "departments": ["housing"]}, {}, {"department": "water"}, False),
        ({"region": "1", "departments": ["water"]}, {}, {"department": "water"}, False),
        ({"region": "11", "departments": ["housing"]}, {}, {"station": "x"}, True),
        ({"region": "1", "departments": ["water"]}, {"street": "gone"}, {"street": "111"}, False),
        ({"region": "11"}, {"street": "gone"}, {"street": "111"}, False),
        ({"region": "1"}, {"street": "gone"}, {"street": "111"}, True),
    ],
)
def test_a_sensor_lies_before_and_after_a_change_in_what_is_the_actors(
    within: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
    allowed: bool,  # noqa: FBT001 - a parameter
):
    plan = change(sensor(version=2, **{**before, **after}), sensor(**before), [], GROUND, [Within.model_validate(within)])
    assert [code for code, _ in told(plan)] == ([] if allowed else ["not_yours"])
    if not allowed and plan.faults[0].column == "":
        assert plan.there is None, "what is not theirs is not shown"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"street": "9"}, ("region", "street")),
        ({"street": "11"}, ("region", "street")),
        ({"street": "1"}, ("region", "street")),
        ({"department": "nobody"}, ("department", "department")),
        ({"metrics": {"pm10": {"unit": "furlongs/moon", "name": {"zh": "x", "en": "x"}}}}, ("unit", "metrics.pm10.unit")),
        (hj("A1", "a34002", unit="Cel"), ("unit", "link")),
        ({"longitude": 104.05}, ("unfit", "longitude")),
        ({"longitude": 103.91, "latitude": 36.05}, ("region", "longitude")),
        ({"street": "121", "longitude": 103.91, "latitude": 36.05}, ("region", "longitude")),
    ],
)
def test_what_does_not_fit_the_city_is_told_where_it_stands(fields: dict[str, Any], fault: tuple[str, str]):
    assert told(change(sensor(**fields), None, [], GROUND, ALL)) == [fault]


@pytest.mark.parametrize(
    "fields",
    [
        {"street": "13"},
        {"street": "13", "longitude": 1.0, "latitude": 1.0},
        {"longitude": 104.05, "latitude": 36.05},
        {"longitude": 103.996, "latitude": 36.05},
        hj("A1", "a34002", unit="mg/m3"),
    ],
    ids=["of the city", "no boundary", "inside", "some hundred metres off a generalised boundary", "a unit that converts"],
)
def test_what_fits_is_taken(fields: dict[str, Any]):
    assert told(change(sensor(**fields), None, [], GROUND, ALL)) == []


def test_what_was_registered_before_boundaries_were_known_can_still_be_changed_otherwise():
    before = sensor(longitude=1.0, latitude=1.0)
    assert told(change(before.model_copy(update={"version": 2, "station": "x"}), before, [], GROUND, ALL)) == []


@pytest.mark.parametrize(
    ("one", "other", "taken"),
    [
        (hj("A1", "a34002"), hj("A1", "a34002"), True),
        (hj("A1", "a34002"), hj("A1", "a34004"), False),
        (hj("A1", "a34002"), hj("A2", "a34002"), False),
    ],
)
def test_what_a_device_says_is_of_one_sensor_only(one: dict[str, Any], other: dict[str, Any], taken: bool):  # noqa: FBT001 - a parameter
    linked = [sensor("theirs", department="water", **one)]
    plan = change(sensor("mine", **other), None, linked, GROUND, ALL)
    assert [code for code, _ in told(plan)] == (["taken"] if taken else [])
    if taken:
        assert "sensor theirs" in plan.faults[0].message
        (foreign,) = change(sensor("mine", **other), None, linked, GROUND, [Within(region="1", departments=frozenset({"housing"}))]).faults
        assert "theirs" not in foreign.message


def test_a_device_behind_others_sensors_is_nobody_elses_to_listen_to():
    theirs, mine = sensor("theirs", department="water", **hj("A1", "a34002")), (Within(region="1", departments=frozenset({"housing"})),)
    assert told(change(sensor("a", **hj("A1", "LA")), None, [theirs], GROUND, mine)) == [("not_yours", "link")]
    assert told(change(sensor("a", **hj("A1", "LA")), None, [theirs], GROUND, ALL)) == []
    shared = sensor("a", **hj("A1", "LA"))
    assert told(change(sensor("a", 2, station="x", **hj("A1", "LA")), shared, [theirs, shared], GROUND, mine)) == []


def test_parts_of_a_fire_system_behind_one_device_are_sensors_of_their_own():
    def part(component: str) -> dict[str, Any]:
        link = {"protocol": "gb26875", "device": "0a" * 6, "system": 1, "component": component, "states": {"fire": {"metric": "pm10"}}}
        return {"adapter": "gb26875", "link": link}

    assert told(change(sensor("a", **part("00000001")), None, [sensor("b", **part("00000002"))], GROUND, ALL)) == []
    assert told(change(sensor("a", **part("00000001")), None, [sensor("b", **part("00000001"))], GROUND, ALL)) == [("taken", "link")]


# A file


def file(text: str, *known: Sensor, within: tuple[Within, ...] = ALL, ground: Ground = GROUND, system: System = System.CGCS2000) -> Plan:
    linked = [one for one in known if one.link is not None]
    return bring(sheet.read(text.encode(), "csv"), {one.id: one for one in known}, linked, ground, within, converter(system))


HEAD = "id,name_zh,domain,department,street,longitude,latitude,metric.pm10.unit\n"


def test_the_region_is_found_from_the_position():
    plan = file(HEAD + "a,甲,dust,housing,,103.97,36.02,ug/m3\n")
    assert told(plan) == []
    assert plan.changes[0].sensor.street == "121"
    for row, said in (
        ("a,甲,dust,housing,,104.05,36.05,ug/m3", "the position lies in 东区 (11), whose streets' boundaries are not known: give the street"),
        ("a,甲,dust,housing,,100.05,36.05,ug/m3", "the position lies in no region whose boundary is known: give the street"),
        ("a,甲,dust,housing,111,103.91,36.05,ug/m3", "the position does not lie in 东区 (11), but in 西区 (12)"),
        ("a,甲,dust,housing,111,100.0,36.05,ug/m3", "the position does not lie in 东区 (11), nor in any region that is known"),
        ("a,甲,dust,housing,,,,ug/m3", "Field required"),
    ):
        (fault,) = file(HEAD + row + "\n").faults
        assert (fault.message, fault.row, fault.sensor) == (said, 2, "a")


def test_faults_name_rows_and_columns_and_all_are_told_at_once():
    plan = file(HEAD + "a,甲,dust,housing,111,,,ug/m3\na,甲,dust,housing,111,,,ug/m3\nb,乙,air,nobody,111,,,ug/m3\nc,丙,dust,nobody,111,,,xx\n")
    assert [(one.row, one.code.value, one.column) for one in plan.faults] == [
        (3, "twice", "id"),
        (4, "unfit", "domain"),
        (5, "department", "department"),
        (5, "unit", "metric.pm10.unit"),
    ]


def test_a_file_that_is_wrong_all_over_is_not_judged_to_its_end_and_one_of_many_fields_is_told_in_part(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registration, "MOST_FAULTS", 5)
    rows = "".join(f"s{number},甲,dust,housing,111,100.0,36.05,ug/m3\n" for number in range(20))
    assert len(file(HEAD + rows).faults) == 5
    monkeypatch.setattr(registration, "FIELDS_TOLD", 40)
    told_of = file(HEAD + rows.replace("100.0", "104.05")).told()
    assert (told_of.new, [one.sensor for one in told_of.changes]) == (20, ["s0", "s1", "s2"])


def test_a_set_that_only_stands_in_another_order_is_no_change():
    ignored = [f"a{number}" for number in range(40)]
    one, other = (sensor(version=version, **hj("A1", "b1", ignored=words)) for version, words in ((1, ignored), (2, ignored[::-1])))
    assert change(other, one, [one], GROUND, ALL).unchanged == 1
    (told_of,) = change(other.model_copy(update={"station": "x"}), one, [one], GROUND, ALL).told().changes
    assert [field.field for field in told_of.fields] == ["station"]


def test_a_preview_says_what_is_new_what_changes_and_what_stays():
    known = [sensor("a", 3), sensor("b", 2, tags=["x", "y"], **hj("A1", "a34002"))]
    exported = sheet.write_csv(known).decode("utf-8-sig")
    assert (file(exported, *known).told().unchanged, file(exported, *known).faults) == (2, [])
    registration = file(
        "id,version,life,name_zh,domain,department,street,metric.pm10.unit\na,3,retired,a,dust,housing,112,ug/m3\nc,,,丙,dust,housing,111,ug/m3\n",
        *known,
    ).told()
    assert (registration.new, registration.changed, registration.unchanged, registration.faults) == (1, 1, 0, ())
    changed, new = registration.changes
    assert (changed.version, changed.row) == (4, 2)
    assert {(one.field, one.old, one.new) for one in changed.fields} == {("life", "active", "retired"), ("street", "111", "112")}
    assert (new.sensor, new.version, {one.field: one.new for one in new.fields}["name.zh"]) == ("c", 1, "丙")


def test_a_file_made_from_another_version_is_refused():
    assert told(file("id,version,station\na,2,x\n", sensor("a", 3))) == [("changed", "version")]
    assert told(file("id,version,station\na,2,x\n")) == [("changed", "version")]
    assert told(file("id,version,station\na,,x\n", sensor("a", 3))) == []


def test_a_file_speaks_of_nobody_elses_sensors():
    theirs = sensor("a", 3, department="water")
    plan = file("id,station\na,x\n", theirs, within=(Within(region="1", departments=frozenset({"housing"})),))
    assert (told(plan), plan.told().changes) == ([("not_yours", "id")], ())


def test_devices_may_change_hands_within_one_file():
    known = [sensor("a", **hj("A1", "a34002")), sensor("b", adapter="hj212")]
    swap = "id,link\na,\nb,hj212 A1 a34002=pm10\n"
    assert told(file(swap, *known)) == []
    assert told(file("id,link\nb,hj212 A1 a34002=pm10\n", *known)) == [("taken", "link")]
    both = "id,link\na,hj212 A2 a34002=pm10\nb,hj212 A2 a34002=pm10\n"
    assert [(one.row, one.code.value) for one in file(both, *known).faults] == [(3, "taken")]


@given(st.floats(103.9, 104.1), st.floats(36.0, 36.1), st.sampled_from(System))
@settings(max_examples=50, deadline=None)
def test_an_exported_position_that_comes_back_is_no_change(longitude: float, latitude: float, system: System):
    known = sensor("a", street="13", longitude=longitude, latitude=latitude)
    assert file(sheet.write_csv([known]).decode("utf-8-sig"), known).unchanged == 1
    assert not file(sheet.write_csv([known]).decode("utf-8-sig"), known, system=system).faults


@given(
    st.lists(
        st.lists(
            st.sampled_from(["", "a", "b", "111", "121", "104.05", "36.05", "dust", "housing", "ug/m3", "x y", "hj212 A1 a=pm10", "2"]),
            min_size=9,
            max_size=9,
        ),
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_table_comes_to_something(rows: list[list[str]]):
    text = "id,version,domain,department,street,longitude,latitude,metric.pm10.unit,link\n" + "\n".join(",".join(row) for row in rows)
    registration = file(text, sensor("a", 2, **hj("A1", "a")), sensor("b", street="gone")).told()
    assert json.loads(registration.model_dump_json())
    assert registration.faults or registration.new + registration.changed + registration.unchanged <= len(rows)


# Positions

CHECKED = [
    # (system, longitude, latitude, WGS 84 longitude, latitude): the check pairs of googollee/eviltransform (MIT) and of BruceZhaoR/pjutils.
    (System.GCJ02, 121.531541859215, 31.17530398364597, 121.5272106, 31.1774276),
    (System.GCJ02, 113.9171774808363, 22.540796131694766, 113.912316, 22.543847),
    (System.GCJ02, 116.38404722455657, 39.91334545536069, 116.377817, 39.911954),
    (System.GCJ02, 121.4342191628, 31.1582660190, 121.4295896700, 31.1601435400),
    (System.BD09, 121.4406138425, 31.1646093426, 121.4295896700, 31.1601435400),
    (System.WGS84, 121.5272106, 31.1774276, 121.5272106, 31.1774276),
    (System.CGCS2000, 121.5272106, 31.1774276, 121.5272106, 31.1774276),
    (System.GCJ02, -0.1278, 51.5074, -0.1278, 51.5074),
]
METRE = 1 / 111_000


@pytest.mark.parametrize(("system", "longitude", "latitude", "east", "north"), CHECKED)
def test_positions_are_within_a_metre_of_where_they_are(system: System, longitude: float, latitude: float, east: float, north: float):
    found = converter(system)(longitude, latitude)
    assert found == pytest.approx((east, north), abs=METRE)
    assert found == (round(found[0], 6), round(found[1], 6))
