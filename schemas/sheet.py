"""Sensors as a table (CSV) and as GeoJSON: what the registry takes in and gives out; `docs/registry.md` shows both.

What a file does not say of a known sensor stays: a column or a property that is not there changes nothing, an empty one clears the field. What is
written reads back to the same. Nothing that is read raises: what is wrong is returned as faults.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.base import Code
from schemas.link import Gb26875, Hj212, Link, Meaning, Mqtt
from schemas.registration import FAULTS_TOLD, Fault, FaultCode
from schemas.sensor import Permit, Sensor

MOST_ROWS = 10_000
MOST_FAULTS = 2 * FAULTS_TOLD
"""After so many nothing more is looked at."""
MOST_COLUMNS = 2_000
"""64 metrics of 7 columns, four times over."""
MOST_CELLS = 1_500_000
"""10,000 rows of 150 columns: what is read takes memory by cells, empty ones too."""

PLAIN = ("id", "version", "domain", "department", "street", "longitude", "latitude", "life", "station", "every", "cim", "tags", "adapter")
NAMED = ("name", "place")
"""Each has two columns: `<name>_zh`, `<name>_en`."""
WORDED = ("link", "permits")
"""A short form of their own, or JSON."""
OF_METRIC = ("unit", "name_zh", "name_en", "low", "high", "spike", "stuck")
_SECONDS = frozenset({"every", "stuck"})
_NUMBERS = frozenset({"longitude", "latitude", "low", "high", "spike", "every", "stuck", "version"})
_FORMULA = ("=", "+", "-", "@", "'", "＝", "＋", "－", "＠")
"""A cell of text that begins so gets an apostrophe before it: a spreadsheet would compute it, or take the apostrophe for its own."""
_CODE, _LINK, _PERMITS = TypeAdapter(Code), TypeAdapter(Link), TypeAdapter(tuple[Permit, ...])


class Part(dict[str, Any]):
    """What is said of some fields of a thing, of which the others stay."""

    __slots__ = ()


@dataclass(frozen=True)
class Row:
    """What a file says of one sensor."""

    at: int
    id: str
    seen: int | None
    """The version that it was made from, where it says so."""
    said: Part
    position: tuple[float, float] | None
    """Longitude and latitude, in the file's own coordinate system."""
    form: str


@dataclass(frozen=True)
class Sheet:
    """A file that was read."""

    rows: Sequence[Row]
    faults: Sequence[Fault]


def read(body: bytes, form: str) -> Sheet:
    """Read a file, `csv` or `geojson`."""
    faults: list[Fault] = []
    rows: list[Row] = []
    try:
        for said in _features(body, faults) if form == "geojson" else _records(body, faults):
            if len(rows) == MOST_ROWS:
                raise _Unreadable(f"more than {MOST_ROWS} sensors: give them in several files", said.at)
            if len(faults) >= MOST_FAULTS:
                break
            try:
                rows.append(_row(said, form))
            except _Unreadable as error:
                faults.append(error.fault)
    except _Unreadable as error:
        faults.append(error.fault)
    return Sheet(rows, faults)


def whole(row: Row, before: Sensor | None, position: tuple[float, float] | None) -> Sensor | list[Fault]:
    """Return the sensor that a row makes of what is known; `position` is the row's in CGCS2000. Its version is that of before, or 1."""
    document: dict[str, Any] = {} if before is None else before.model_dump(mode="json")
    said = Part(row.said)
    if position is not None:
        said |= {"longitude": position[0], "latitude": position[1]}
    document = _merged(document, said) or {}
    if isinstance(link := said.get("link"), dict) and said.get("adapter") is None:
        document["adapter"] = link.get("protocol")
    _fill(document)
    try:
        return Sensor.model_validate(document)
    except ValidationError as error:
        return [
            fault(FaultCode.UNFIT, one["msg"].removeprefix("Value error, "), row, place(one["loc"], row.form))
            for one in error.errors(include_url=False, include_input=False, include_context=False)[:10]
        ]


def fault(code: FaultCode, message: str, row: Row | None, column: str = "", sensor: str | None = None) -> Fault:
    """Return a fault, as text that can be kept, whatever somebody sent."""
    name = sensor if row is None else row.id
    return Fault(
        code=code, message=_clean(message)[:500], row=None if row is None else row.at, column=_clean(column)[:256], sensor=name and _clean(name)[:96]
    )


def place(path: Sequence[int | str], form: str) -> str:
    """Return the column, or the path in a feature, of a place in a sensor."""
    parts = [str(one) for one in path]
    if form != "geojson":
        return _column_of(parts)
    return "geometry.coordinates" if parts[:1] in (["longitude"], ["latitude"]) else ".".join(["properties", *parts])


def _column_of(parts: Sequence[str]) -> str:
    match parts:
        case [("name" | "place") as name, language]:
            return f"{name}_{language}"
        case ["metrics", metric, "name", *language]:
            return "_".join([f"metric.{metric}.name", *language])
        case ["metrics", metric, *rest]:
            return ".".join(["metric", metric, *rest[:1]])
        case ["attributes", attribute, *_]:
            return f"attribute.{attribute}"
    return parts[0] if parts else ""


def _clean(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "?", text.encode("utf-8", "replace").decode())


# -- one sensor


@dataclass(frozen=True)
class _Said:
    """All that a record or a feature says, before it is looked at."""

    at: int
    fields: Part
    position: tuple[Any, Any] | None


class _Unreadable(Exception):
    def __init__(self, message: str, at: int | None = None, column: str = "", code: FaultCode = FaultCode.UNREADABLE) -> None:
        super().__init__(message)
        self.fault = fault(code, message, None, column).model_copy(update={"row": at})


def _row(said: _Said, form: str) -> Row:
    fields = Part(said.fields)
    id_, seen = fields.get("id"), fields.pop("version", None)
    where = place(("id",), form)
    if id_ is None:
        raise _Unreadable("the sensor has no id", said.at, where, FaultCode.UNFIT)
    try:
        _CODE.validate_python(id_, strict=True)
    except ValidationError as error:
        raise _Unreadable(f"{str(id_)[:96]!r} is no id: {error.errors()[0]['msg']}", said.at, where, FaultCode.UNFIT) from error
    if seen is not None and (not isinstance(seen, int) or isinstance(seen, bool)):
        raise _Unreadable("a version is a whole number; leave it empty where you do not know it", said.at, place(("version",), form), FaultCode.UNFIT)
    return Row(said.at, id_, seen, fields, _position(said, form), form)


def _position(said: _Said, form: str) -> tuple[float, float] | None:
    match said.position:
        case None:
            return None
        case (int() | float() as longitude, int() | float() as latitude) if abs(longitude) <= 180 and abs(latitude) <= 90:  # noqa: PLR2004 - degrees
            return float(longitude), float(latitude)
    raise _Unreadable("a position is a longitude and a latitude in degrees, both or none", said.at, place(("longitude",), form), FaultCode.UNFIT)


def _merged(old: Any, new: Any) -> Any:
    """Return a thing with what is said of it; None when nothing is left of it."""
    if not isinstance(new, Part):
        return new
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        one = _merged(merged.get(name), value)
        if one is None:
            merged.pop(name, None)
        else:
            merged[name] = one
    return merged or None


def _fill(document: dict[str, Any]) -> None:
    """Give names in one language, and metrics without a name, what is plain to see."""
    metrics = document.get("metrics")
    for code, metric in metrics.items() if isinstance(metrics, dict) else ():
        if isinstance(metric, dict):
            metric["name"] = _both(metric.get("name", {"zh": code}))
    for name in NAMED:
        if name in document:
            document[name] = _both(document[name])


def _both(name: Any) -> Any:
    match name:
        case {"zh": text, **rest} if not rest:
            return {"zh": text, "en": text}
        case {"en": text, **rest} if not rest:
            return {"zh": text, "en": text}
    return name


# -- CSV


def _records(body: bytes, faults: list[Fault]) -> Iterator[_Said]:
    text = _text(body)
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    lines = _lines(reader)
    header = [cell.strip() for _, cell in zip(range(MOST_COLUMNS + 1), next(lines, (0, []))[1], strict=False)]
    columns = _columns(header, faults)
    if faults:
        return
    for at, cells in lines:
        if at * len(columns) > MOST_CELLS:
            raise _Unreadable(f"more than {MOST_CELLS} cells: give them in several files, or take out columns that say nothing", at)
        if any(cell.strip() for cell in cells):
            try:
                yield _said(at, columns, cells)
            except _Unreadable as error:
                faults.append(error.fault)
        if len(faults) >= MOST_FAULTS:
            return


def _text(body: bytes) -> str:
    """Return what a spreadsheet saved: UTF-8 with or without its mark, UTF-16 with it, or GBK (GB 18030)."""
    encodings = ("utf-16",) if body[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            return body.decode(encoding)
    raise _Unreadable("the file is neither UTF-8 nor GBK: save it as «CSV UTF-8»")


def _lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    at = 0
    while True:
        at += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _Unreadable(f"row {at} is no CSV: {error}", at) from error
        yield at, cells


_Column = tuple[str, ...]
"""A path in a sensor; empty for a column without a name."""


def _columns(header: Sequence[str], faults: list[Fault]) -> list[_Column]:
    if len(header) > MOST_COLUMNS:
        raise _Unreadable(f"more than {MOST_COLUMNS} columns", 1)
    columns = [_column(name) for name in header]
    for at, (name, column) in enumerate(zip(header, columns, strict=True)):
        if column is None:
            faults.append(_Unreadable("there is no such column: correct its name, or take it out", 1, name).fault)
        elif column and column in columns[:at]:
            faults.append(_Unreadable("the column is there twice", 1, name).fault)
    if ("id",) not in columns:
        faults.append(_Unreadable("the first row must name the columns, `id` among them", 1, "id").fault)
    return [column or () for column in columns]


def _column(name: str) -> _Column | None:
    if not name or name in {*PLAIN, *WORDED}:
        return (name,) if name else ()
    kind, _, rest = name.partition(".")
    metric, _, of = rest.rpartition(".")
    if kind == "metric" and metric and of in OF_METRIC:
        return ("metrics", metric, *of.split("_"))
    if kind == "attribute" and rest:
        return ("attributes", rest)
    head, _, language = name.partition("_")
    return (head, language) if head in NAMED and language in {"zh", "en"} else None


def _said(at: int, columns: Sequence[_Column], cells: Sequence[str]) -> _Said:
    said = Part()
    for column, cell in zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=False):
        if column:
            _put(said, column, _value(column, cell.strip(), at))
        elif cell.strip():
            raise _Unreadable("a cell stands in a column without a name", at)
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise _Unreadable("the row has more cells than the first row has columns", at)
    _drop_metrics(said, at)
    given = [said.get(name) for name in ("longitude", "latitude")]
    position = None if given == [None, None] else (said.pop("longitude", None), said.pop("latitude", None))
    return _Said(at, said, position)


def _put(said: Part, column: _Column, value: Any) -> None:
    *above, last = column
    for name in above:
        said = said.setdefault(name, Part())
    said[last] = value


def _drop_metrics(said: Part, at: int) -> None:
    """A metric whose unit is empty is none of the sensor's."""
    for metric, fields in said.get("metrics", {}).items():
        if fields.get("unit", "") is None:
            if _merged(None, fields) is not None:
                raise _Unreadable("the metric has no unit", at, f"metric.{metric}.unit", FaultCode.UNFIT)
            said["metrics"][metric] = None


def _value(column: _Column, cell: str, at: int) -> Any:
    """Return what a cell says, None of an empty one."""
    if not cell:
        return None
    name = column[-1]
    if column[0] != "attributes" and name in _NUMBERS:
        return _number(name, cell)
    text = cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
    match name if len(column) == 1 else "":
        case "tags":
            return sorted(set(re.split(r"[\s;,、，；]+", text)) - {""})
        case "link":
            return _worded(text, _link_of, at, name)
        case "permits":
            return _worded(text, _permits_of, at, name)
    return text


def _number(name: str, cell: str) -> Any:
    """Return a number; what is none is left to the model, which says so."""
    if name == "version" and re.fullmatch("[0-9]{1,10}", cell):
        return int(cell)
    return float(cell) if re.fullmatch(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?", cell) else cell


def _worded(text: str, short: Callable[[str], Any], at: int, name: str) -> Any:
    if not text.startswith(("{", "[")):
        return short(text)
    try:
        return _json(text)
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"no JSON: {error}", at, name, FaultCode.UNFIT) from error


_WORD = re.compile(r"(?P<word>[^=\s]+)=(?P<metric>[^\[\]*\s]+)(?:\[(?P<unit>\S+)\])?(?:\*(?P<scale>[^\s\]*]+))?")


def _link_of(text: str) -> Any:
    """Return what the short form of a link says; what cannot be understood is left to the model, which says so.

    `hj212 <MN>[/<minutes>] <code>=<metric>[<unit>]*<scale> …`, `gb26875 <device>[/<system>[/<component>]] state:<name>=… analogue:<type>=…`,
    `mqtt <mapping>/<device>`; of a meaning the unit (in brackets) and the scale may be left out.
    """
    protocol, _, rest = text.partition(" ")
    if protocol == "mqtt":
        mapping, _, device = rest.partition("/")
        return {"protocol": protocol, "mapping": mapping, "device": device}
    device, *words = rest.split()[:200] or [""]
    name, *below = device.split("/")
    meanings = dict(map(_meaning_of, words))
    if protocol == "hj212":
        minutes = {"minutes": f"PT{below[0]}M"} if below else {}
        return {"protocol": protocol, "mn": name, "codes": meanings, **minutes}
    if protocol == "gb26875":
        of = {"system": below[0] if below else None, "component": below[1] if len(below) > 1 else None}
        told = {kind: {word.partition(":")[2]: one for word, one in meanings.items() if word.startswith(start)} for kind, start in _TOLD.items()}
        unknown = {word: one for word, one in meanings.items() if not word.startswith(tuple(_TOLD.values()))}
        return {"protocol": protocol, "device": name, **{key: value for key, value in of.items() if value}, **told, **unknown}
    return {"protocol": protocol}


_TOLD = {"states": "state:", "analogues": "analogue:"}


def _meaning_of(text: str) -> tuple[str, Any]:
    found = _WORD.fullmatch(text)
    if found is None:
        return text, {"metric": ""}
    return found["word"], {key: value for key, value in found.groupdict().items() if key != "word" and value is not None}


def _permits_of(text: str) -> Any:
    """Return what the short form of permits says: `<kind>=<number>@<until>; …`, where `@<until>` may be left out."""
    return [_permit_of(one.strip()) for one in re.split("[;；]", text) if one.strip()]


def _permit_of(text: str) -> Any:
    kind, _, rest = text.partition("=")
    number, until = found.groups() if (found := re.fullmatch(r"(.*)@([0-9]{4}-[0-9]{2}-[0-9]{2})", rest)) else (rest, None)
    return {"kind": kind.strip(), "number": number.strip(), "until": until}


# -- writing CSV


def write_csv(sensors: Sequence[Sensor]) -> bytes:
    """Return a table that reads back to the same sensors: UTF-8 with its mark, by which spreadsheets know it."""
    metrics = sorted({code for sensor in sensors for code in sensor.metrics})
    attributes = sorted({code for sensor in sensors for code in sensor.attributes})
    head = (*PLAIN[:2], "name_zh", "name_en", *PLAIN[2:7], "place_zh", "place_en", *PLAIN[7:], *WORDED)
    names = [*head, *(f"attribute.{one}" for one in attributes), *(f"metric.{one}.{of}" for one in metrics for of in OF_METRIC)]
    columns = [column for column in map(_column, names) if column]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([_cell(column, sensor) for column in columns] for sensor in sensors)
    return out.getvalue().encode("utf-8-sig")


def _cell(column: _Column, sensor: Sensor) -> str:
    value: Any = sensor
    for name in column:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name)
        if value is None:
            return ""
    match column[-1] if len(column) == 1 else "":
        case "tags":
            return " ".join(sorted(value))
        case "link":
            return _guarded(link_text(value))
        case "permits":
            return _guarded(permits_text(value))
    if isinstance(value, timedelta):
        return _plain(value.total_seconds())
    return _plain(value) if isinstance(value, int | float) else _guarded(str(value))


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)  # noqa: PLR2004 - whole numbers that a float holds


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def link_text(link: Link) -> str:
    """Return a link in its short form, or as JSON where that cannot say it."""
    text = _short(link)
    with suppress(ValidationError):
        if _LINK.validate_python(_link_of(text)) == link:
            return text
    return json.dumps({"protocol": link.protocol, **link.model_dump(mode="json", exclude_defaults=True)}, ensure_ascii=False)


def _short(link: Link) -> str:
    match link:
        case Hj212():
            minutes = link.minutes / timedelta(minutes=1)
            device = link.mn if link.minutes == Hj212.model_fields["minutes"].default else f"{link.mn}/{_plain(minutes)}"
            return " ".join(["hj212", device, *_words("", link.codes)])
        case Gb26875():
            system = "" if link.system is None else str(link.system)
            device = "/".join([link.device, system, link.component or ""]).rstrip("/")
            return " ".join(["gb26875", device, *_words("state:", link.states), *_words("analogue:", link.analogues)])
        case Mqtt():
            return f"mqtt {link.mapping}/{link.device}"


def _words(before: str, meanings: dict[str, Meaning]) -> Iterable[str]:
    for word, one in meanings.items():
        unit = "" if one.unit is None else f"[{one.unit}]"
        scale = "" if one.scale == 1 else f"*{_plain(one.scale)}"
        yield f"{before}{word}={one.metric}{unit}{scale}"


def permits_text(permits: Sequence[Permit]) -> str:
    """Return permits in their short form, or as JSON where that cannot say them."""
    text = "; ".join(f"{one.kind}={one.number}{'' if one.until is None else f'@{one.until}'}" for one in permits)
    with suppress(ValidationError):
        if _PERMITS.validate_python(_permits_of(text)) == tuple(permits):
            return text
    return _PERMITS.dump_json(tuple(permits)).decode()


# -- GeoJSON


def _features(body: bytes, faults: list[Fault]) -> Iterator[_Said]:
    try:
        collection = _json(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"the file is no JSON in UTF-8: {error}") from error
    features = collection.get("features") if isinstance(collection, dict) and collection.get("type") == "FeatureCollection" else None
    if not isinstance(features, list):
        raise _Unreadable("no FeatureCollection: give GeoJSON with `type`: FeatureCollection and a list of `features`")
    for at, feature in enumerate(features, 1):
        try:
            yield _feature(at, feature)
        except _Unreadable as error:
            faults.append(error.fault)


def _feature(at: int, feature: Any) -> _Said:
    """Return what a feature says; what is none says nothing, and so has no id."""
    properties, geometry = (feature.get("properties"), feature.get("geometry")) if isinstance(feature, dict) else (None, None)
    fields = Part(properties if isinstance(properties, dict) else {})
    if fields.keys() & {"longitude", "latitude"}:
        raise _Unreadable("a position stands in the geometry, as a Point", at, "properties", FaultCode.UNFIT)
    if not isinstance(geometry, dict):
        return _Said(at, fields, None)
    match geometry:
        case {"type": "Point", "coordinates": [longitude, latitude, *_]}:
            return _Said(at, fields, (longitude, latitude))
    return _Said(at, fields, (geometry, None))


def _json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def write_geojson(sensors: Iterable[Sensor]) -> bytes:
    """Return a FeatureCollection that reads back to the same sensors; positions in CGCS2000 (EPSG:4490)."""
    collection = {"type": "FeatureCollection", "features": [_written(sensor) for sensor in sensors]}
    return json.dumps(collection, ensure_ascii=False).encode()


def _written(sensor: Sensor) -> dict[str, Any]:
    properties = sensor.model_dump(mode="json", exclude={"longitude", "latitude"})
    here = sensor.longitude is not None and sensor.latitude is not None
    geometry = {"type": "Point", "coordinates": [sensor.longitude, sensor.latitude]} if here else None
    return {"type": "Feature", "geometry": geometry, "properties": properties}
