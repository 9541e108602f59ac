"""The shapes of regions for maps: from a city's boundaries where they are known, else hexagons that say that they are made up.

A region's shape is, by the first of these that can be:
1. the boundary that the collection gives it, or else those that are known of the regions below it, taken together;
2. a hexagon inside its parent's shape, when no child of that parent has a boundary (streets, mostly); order and size tell nothing;
3. a hexagon beside its parent's shape, when some of its siblings have one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from schemas.base import Name
from schemas.regions import Region, RegionTree
from schemas.rest import RegionMap
from services.gateway.domain.polygons import Area, Point, Polygon, beside, centre, heart, hexagon, inside

_NOWHERE = hexagon((0.0, 0.0), 0.2, 1.0)
"""A city of which no boundary is known at all, where the meridian meets the equator: no place of any city's."""
_CORNERS = 4
"""A ring has at least three corners, and the first again."""
_DIGITS = 6
"""Decimal places of a degree: 0.1 m."""
_LONGEST, _HIGHEST = 180.0, 90.0


@dataclass(frozen=True)
class _Shape:
    polygons: list[Polygon]
    schematic: bool
    label: Point = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", centre(self.polygons) if self.schematic else heart(self.polygons))

    def geometry(self) -> dict[str, Any]:
        """Return it as GeoJSON."""
        return {"type": "MultiPolygon", "coordinates": [[[_rounded(point) for point in ring] for ring in polygon] for polygon in self.polygons]}


class Outlines:
    """The maps of a city's regions. Each is drawn when it is first asked for, and kept.

    `collection` is the GeoJSON FeatureCollection of the boundaries, with a `code` in each feature's properties and a `source` {zh, en}
    at the top; None when the city has none. Codes that the city does not have are passed over, so that a country's file may be given.
    Raises ValueError that says where in the collection something is wrong, and how to mend it.
    """

    def __init__(self, regions: RegionTree, collection: dict[str, Any] | None) -> None:
        self._regions = regions
        self._source = None if collection is None else _source(collection)
        self._given = {} if collection is None else dict(_boundaries(collection, regions))
        self._known = {region.code: self._gather(region.code) for region in regions}
        self._shapes: dict[str, _Shape] = {}
        self._maps: dict[str, RegionMap] = {}

    def of(self, code: str) -> RegionMap:
        """Return a region with its children; raises KeyError for an unknown code."""
        if code not in self._maps:
            self._maps[code] = self._draw(self._regions[code])
        return self._maps[code]

    def _draw(self, region: Region) -> RegionMap:
        below = [(self._shape(child.code), child) for child in sorted(self._regions.children(region.code), key=lambda child: child.code)]
        features = [_feature(self._shape(region.code), region, "self"), *(_feature(shape, child, "child") for shape, child in below)]
        known = any(not feature["properties"]["schematic"] for feature in features)
        return RegionMap(features=tuple(features), source=self._source if known else None)

    def _gather(self, code: str) -> list[Polygon]:
        """Return what is known of a region's area; empty when nothing is."""
        return self._given.get(code) or [polygon for child in self._regions.children(code) for polygon in self._gather(child.code)]

    def _shape(self, code: str) -> _Shape:
        if code not in self._shapes:
            self._place(code)
        return self._shapes[code]

    def _place(self, code: str) -> None:
        """Find the shape of a region; where it is made up, those of its siblings without a boundary are with it."""
        parent = self._regions[code].parent
        if polygons := self._known[code]:
            self._shapes[code] = _Shape(polygons, schematic=False)
        elif parent is None:
            self._shapes[code] = _Shape([_NOWHERE], schematic=True)
        else:
            self._shapes |= self._invent(parent)

    def _invent(self, parent: str) -> dict[str, _Shape]:
        """Return hexagons for all children of a region that have no boundary."""
        around = self._shape(parent).polygons
        children = sorted(child.code for child in self._regions.children(parent))
        unknown = [code for code in children if not self._known[code]]
        cells = inside(around, len(unknown)) if unknown == children else None
        return {code: _Shape([cell], schematic=True) for code, cell in zip(unknown, cells or beside(around, len(unknown)), strict=True)}


def _feature(shape: _Shape, region: Region, role: str) -> dict[str, Any]:
    properties = {
        "code": region.code,
        "role": role,
        "name": region.name.model_dump(),
        "level": region.level.value,
        "schematic": shape.schematic,
        "label": _rounded(shape.label),
    }
    return {"type": "Feature", "geometry": shape.geometry(), "properties": properties}


def _rounded(point: Point) -> list[float]:
    return [round(point[0], _DIGITS), round(point[1], _DIGITS)]


# -- reading a collection


def _source(collection: dict[str, Any]) -> Name:
    try:
        return Name.model_validate(collection.get("source"))
    except ValidationError as error:
        raise ValueError("source: not two texts: say where the boundaries come from as {zh, en}, for the map shows it") from error


def _boundaries(collection: dict[str, Any], regions: RegionTree) -> Iterator[tuple[str, list[Polygon]]]:
    features = collection.get("features")
    if collection.get("type") != "FeatureCollection" or not isinstance(features, list):
        raise ValueError("no FeatureCollection: give GeoJSON with `type`: FeatureCollection and a list of `features`")
    seen: dict[str, int] = {}
    for at, feature in enumerate(features):
        code = _code(feature, f"features[{at}]")
        if code not in regions:
            continue
        if code in seen:
            raise ValueError(f"features[{at}]: region {code} stands in features[{seen[code]}] already: join its parts in one MultiPolygon")
        seen[code] = at
        yield code, _polygons(feature.get("geometry"), f"features[{at}] ({code}).geometry")


def _code(feature: Any, where: str) -> str:
    match feature:
        case {"properties": {"code": str() as code}}:
            return code
    raise ValueError(f"{where}.properties.code: no text: give the region's code, as it stands in regions.yaml, in quotes")


def _polygons(geometry: Any, where: str) -> list[Polygon]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in {"Polygon", "MultiPolygon"}:
        raise ValueError(f"{where}.type: neither Polygon nor MultiPolygon: a boundary encloses an area")
    where = f"{where}.coordinates"
    coordinates = geometry.get("coordinates")
    parts = [(coordinates, where)] if kind == "Polygon" else _listed(coordinates, where)
    polygons: list[Polygon] = [[_ring(ring, place) for ring, place in _listed(part, at)] for part, at in parts]
    if not Area(polygons).size > 0:
        raise ValueError(f"{where}: encloses nothing: check that its points are not all on one line")
    return polygons


def _listed(value: Any, where: str) -> Sequence[tuple[Any, str]]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{where}: no list with something in it: check how deep the brackets are nested")
    return [(item, f"{where}[{at}]") for at, item in enumerate(value)]


def _ring(value: Any, where: str) -> list[Point]:
    points = [_point(item, place) for item, place in _listed(value, where)]
    if len(points) < _CORNERS or points[0] != points[-1]:
        raise ValueError(f"{where}: no ring: give at least three corners, and the first again at the end")
    return [a for a, b in pairwise(points) if a != b] + [points[-1]]


def _point(value: Any, where: str) -> Point:
    match value:
        case [int() | float() as longitude, int() | float() as latitude, *_] if abs(longitude) <= _LONGEST and abs(latitude) <= _HIGHEST:
            return float(longitude), float(latitude)
    raise ValueError(f"{where}: no [longitude, latitude] in degrees: longitude comes first")
