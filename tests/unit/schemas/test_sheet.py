"""Sensors as CSV and GeoJSON: what is written reads back, what a person fills in is understood, and no file raises."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import sheet
from schemas.base import Domain, Name
from schemas.link import Gb26875, Hj212, Link, Meaning, Mqtt
from schemas.registration import FaultCode
from schemas.sensor import Life, Metric, Permit, Sensor

# Sensors of all kinds

codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,12}", fullmatch=True)
words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20).map(str.strip).filter(bool) | st.sampled_from(
    ["=1+1", "'-x", "+86", "@a", "''", '"', "a,b", "施工许可;1", "a@2026-01-01", "x=[y]*2", "{", "[1]"]
)
names = st.builds(Name, zh=texts, en=texts)
finite = st.floats(allow_nan=False, allow_infinity=False)
spans = st.integers(1, 604_800_000_000).map(lambda micros: timedelta(microseconds=micros))
metrics = st.builds(
    Metric,
    unit=texts,
    name=names,
    low=st.none() | finite,
    high=st.none() | finite,
    spike=st.none() | st.floats(1e-300, allow_infinity=False),
    stuck=st.none() | spans,
)


def meanings(of: list[str], least: int = 0) -> st.SearchStrategy[dict[str, Meaning]]:
    one = st.builds(Meaning, metric=st.sampled_from(of), unit=st.none() | texts | st.just("[pH]"), scale=finite | st.just(0.1))
    return st.dictionaries(words, one, min_size=least, max_size=3)


def links(of: list[str]) -> st.SearchStrategy[Link | None]:
    mn = st.from_regex(r"[A-Za-z0-9]{1,24}", fullmatch=True)
    minutes = st.sampled_from([timedelta(minutes=10), timedelta(minutes=5), timedelta(seconds=90)])
    component = st.none() | st.from_regex(r"[0-9a-f]{8}", fullmatch=True)
    device = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
    return st.one_of(
        st.none(),
        st.builds(Hj212, mn=mn, codes=meanings(of, 1), minutes=minutes),
        st.builds(Gb26875, device=device, system=st.none() | st.integers(0, 255), component=component, states=meanings(of), analogues=meanings(of)),
        st.builds(Mqtt, mapping=codes, device=texts),
    )


@st.composite
def sensors(draw: st.DrawFn) -> Sensor:
    measured = draw(st.dictionaries(codes, metrics, min_size=1, max_size=3))
    link = draw(links(sorted(measured)))
    here = draw(st.booleans())
    return Sensor(
        id=draw(codes),
        version=draw(st.integers(1, 2**31 - 1)),
        name=draw(names),
        domain=draw(st.sampled_from(Domain)),
        department=draw(codes),
        street=draw(codes),
        metrics=measured,
        tags=draw(st.frozensets(codes, max_size=3)),
        attributes=draw(st.dictionaries(codes, codes, max_size=3)),
        adapter="http" if link is None else link.protocol,
        link=link,
        life=draw(st.sampled_from(Life)),
        station=draw(st.none() | codes),
        permits=tuple(draw(st.lists(st.builds(Permit, kind=codes, number=texts, until=st.none() | st.dates(date(1000, 1, 1))), max_size=2))),
        cim=draw(st.none() | texts),
        every=draw(st.none() | spans),
        place=draw(st.none() | names),
        longitude=draw(st.floats(-180, 180)) if here else None,
        latitude=draw(st.floats(-90, 90)) if here else None,
    )


def read_back(body: bytes, form: str, before: dict[str, Sensor]) -> list[Sensor]:
    found = sheet.read(body, form)
    assert found.faults == []
    made = [sheet.whole(row, before.get(row.id), row.position) for row in found.rows]
    seen = [row.seen for row in found.rows]
    return [one.model_copy(update={"version": version}) for one, version in zip(made, seen, strict=True) if isinstance(one, Sensor) and version]


@given(st.lists(sensors(), max_size=4, unique_by=lambda one: one.id), st.booleans())
@settings(max_examples=30, deadline=None)
def test_what_is_written_reads_back_whether_it_is_known_or_new(given_sensors: list[Sensor], known: bool):  # noqa: FBT001 - a parameter
    before = {one.id: one for one in given_sensors} if known else {}
    assert read_back(sheet.write_csv(given_sensors), "csv", before) == given_sensors
    assert read_back(sheet.write_geojson(given_sensors), "geojson", before) == given_sensors


# Any file


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    keys = st.sampled_from(
        ["type", "features", "properties", "geometry", "coordinates", "id", "metrics", "name", "link", "version", "tags", "street"]
    )
    return st.dictionaries(keys | st.text(max_size=4), values, max_size=5)


features = st.recursive(
    st.none() | st.booleans() | finite | st.text(max_size=5) | st.integers(), lambda one: st.lists(one, max_size=3) | objects(one), max_leaves=8
)
cells = st.text(max_size=6) | st.sampled_from(
    ["id", "version", "metric.a.unit", "metric.a.low", "link", "permits", "name_zh", "hj212 1 a=b[c]*d", "{", "1e999"]
)


def judged(body: bytes, form: str) -> None:
    """Take whatever comes as far as it goes; what is told of it can be kept."""
    found = sheet.read(body, form)
    told = [*found.faults]
    for row in found.rows:
        made = sheet.whole(row, None, row.position)
        told += made if isinstance(made, list) else []
    assert all(one.model_dump_json() for one in told)
    assert not any("\0" in one.message for one in told)


@given(st.binary(max_size=200))
@example(b"\xff\xfe\x00")
@example(b"id\n\x00\n")
@settings(max_examples=100, deadline=None)
def test_no_bytes_raise(body: bytes):
    judged(body, "csv")
    judged(body, "geojson")


@given(st.lists(st.lists(cells, max_size=6), max_size=5))
@settings(max_examples=100, deadline=None)
def test_no_table_raises(rows: list[list[str]]):
    text = "\n".join(",".join(row) for row in [["id", *rows[0]] if rows else [], *rows[1:]])
    judged(text.encode("utf-8", "replace"), "csv")


@given(st.lists(st.fixed_dictionaries({"properties": objects(features), "geometry": features}) | features, max_size=3))
@settings(max_examples=100, deadline=None)
def test_no_features_raise(given_features: list[Any]):
    judged(json.dumps({"type": "FeatureCollection", "features": given_features}).encode(), "geojson")


def test_what_is_nested_too_deep_is_no_json():
    (fault,) = sheet.read(b'{"a":' * 100_000, "geojson").faults
    assert fault.code is FaultCode.UNREADABLE
    (fault,) = sheet.read(f"id,link\na,{'[' * 5_000}\nb,\n".encode(), "csv").faults
    assert (fault.row, fault.column) == (2, "link")


def test_a_table_of_many_cells_is_read_as_far_as_there_is_memory_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sheet, "MOST_CELLS", 300)
    columns = [f"metric.m{number}.low" for number in range(99)]
    read = sheet.read("\n".join([",".join(["id", *columns]), "a", "b", "c"]).encode(), "csv")
    assert ([row.id for row in read.rows], [fault.row for fault in read.faults]) == (["a", "b"], [4])


@pytest.mark.parametrize("text", ["=1+1", "@sum", "＝1+1", "－1", "'x"])
def test_no_spreadsheet_computes_a_text(text: str):
    metrics = {"pm10": Metric(unit="ug/m3", name=Name(zh="甲", en="a"))}
    one = Sensor(id="s-1", name=Name(zh="甲", en="a"), domain=Domain.DUST, department="d", street="1", metrics=metrics, cim=text)
    written = sheet.write_csv([one])
    assert f",'{text}," in written.decode()
    assert [row.said["cim"] for row in sheet.read(written, "csv").rows] == [text]


# What people fill in

FILLED = (
    "id,name_zh,domain,department,street,longitude,latitude,attribute.phase,permits,link,every,metric.pm10.unit,metric.pm10.high,metric.noise.unit\n"
    "s-1,“甲”工地,dust,housing,620102001,103.84,36.06,digging,construction=2026-17@2027-06-30; x=一号,"
    "hj212 A1 a34002=pm10[mg/m3]*0.001 LA=noise,60,ug/m3,1000,dB(A)\n"
    "s-2,乙,dust,housing,620102002,,,,,,,ug/m3,,\n"
    ",,,,,,,,,,,,,\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_as_spreadsheets_save_it(encoding: str, delimiter: str):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(csv.reader(io.StringIO(FILLED)))
    found = sheet.read(out.getvalue().encode(encoding), "csv")
    assert found.faults == []
    first, second = (sheet.whole(row, None, row.position) for row in found.rows)
    assert isinstance(first, Sensor)
    assert isinstance(second, Sensor)
    assert (first.name.zh, first.name.en, first.longitude, first.every) == ("“甲”工地", "“甲”工地", 103.84, timedelta(minutes=1))
    assert first.permits == (Permit(kind="construction", number="2026-17", until=date(2027, 6, 30)), Permit(kind="x", number="一号"))
    assert first.link == Hj212(mn="A1", codes={"a34002": Meaning(metric="pm10", unit="mg/m3", scale=0.001), "LA": Meaning(metric="noise")})
    assert (first.adapter, first.attributes, first.metrics["pm10"].high) == ("hj212", {"phase": "digging"}, 1000)
    assert (second.metrics.keys(), second.longitude, second.adapter) == ({"pm10"}, None, "http")


def known() -> Sensor:
    found = sheet.read(FILLED.encode(), "csv")
    made = sheet.whole(found.rows[0], None, found.rows[0].position)
    assert isinstance(made, Sensor)
    return made


def changed(text: str) -> Sensor:
    (row,) = sheet.read(text.encode(), "csv").rows
    made = sheet.whole(row, known(), row.position)
    assert isinstance(made, Sensor), made
    return made


def test_what_a_table_does_not_say_stays_and_an_empty_cell_clears():
    assert changed("id,metric.pm10.low\ns-1,5\n").metrics == {
        **known().metrics,
        "pm10": known().metrics["pm10"].model_copy(update={"low": 5.0}),
    }
    cleared = changed("id,link,permits,longitude,latitude,metric.noise.unit,metric.noise.low\ns-1,,,,,,\n")
    assert (cleared.link, cleared.permits, cleared.longitude, cleared.metrics.keys()) == (None, (), None, {"pm10"})
    assert cleared.attributes == known().attributes


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [
        ("id,ID号\n1,2\n", 1, "ID号"),
        ("id,id\n1,2\n", 1, "id"),
        ("name_zh\n甲\n", 1, "id"),
        ("id,longitude,latitude\ns,103.8,\n", 2, "longitude"),
        ("id,longitude,latitude\ns,36.06,103.8\n", 2, "longitude"),
        ("id,version\ns,two\n", 2, "version"),
        ("id\n\n坏\n", 3, "id"),
        ("id,metric.a.unit,metric.a.low\ns,,3\n", 2, "metric.a.unit"),
        ('id,name_zh\n"s,甲\n', 2, ""),
        ("id\ns,too,many\n", 2, ""),
        ("id,link\ns,{]\n", 2, "link"),
    ],
)
def test_a_fault_names_its_row_and_column(text: str, row: int, column: str):
    (fault,) = sheet.read(text.encode(), "csv").faults
    assert (fault.row, fault.column) == (row, column)


@pytest.mark.parametrize(
    ("cell", "column"),
    [
        ("metric.pm10.low|high", "metric.pm10.low"),
        ("domain|air", "domain"),
        ("link|hj212 a34002", "link"),
        ("link|gb26875 xyz", "link"),
        ("permits|construction", "permits"),
        ("name_zh|", "name_zh"),
        ("every|-5", "every"),
        ("attribute.phase|a b", "attribute.phase"),
    ],
)
def test_a_value_that_does_not_fit_is_told_at_its_column(cell: str, column: str):
    name, value = cell.split("|")
    extra = ",name_en" if name == "name_zh" else ""
    (row,) = sheet.read(f"id,{name}{extra}\ns-1,{value}\n".encode(), "csv").rows
    told = sheet.whole(row, known(), None)
    assert isinstance(told, list), told
    assert {one.column.removesuffix("_en").removesuffix("_zh") for one in told} == {column.removesuffix("_zh")}


@pytest.mark.parametrize("form", ["csv", "geojson"])
def test_the_examples_of_the_documentation_are_read(form: str):
    page = (Path(__file__).parents[3] / "docs" / "registry.md").read_text("utf-8")
    (example,) = re.findall(rf"```{form}\n(.*?)```", page, re.DOTALL)
    found = sheet.read(example.encode(), form)
    made = [sheet.whole(row, None, row.position) for row in found.rows]
    assert (found.faults, [one for one in made if not isinstance(one, Sensor)]) == ([], [])
    assert next(one.id for one in made if isinstance(one, Sensor)) == "site-a-dust"
