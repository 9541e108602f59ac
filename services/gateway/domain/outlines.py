"""The shapes of regions for maps: from a city's boundaries where they are known, else hexagons that say that they are made up.

A region's shape is, by the first of these that can be:
1. the boundary that the collection gives it, or else those that are known of the regions below it, taken together;
2. a hexagon inside its parent's shape, when no child of that parent has a boundary (streets, mostly); order and size tell nothing;
3. a hexagon beside its parent's shape, when some of its siblings have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from schemas.base import Name
from schemas.boundaries import Point, Polygon, read
from schemas.regions import Region, RegionTree
from schemas.rest import RegionMap
from services.gateway.domain.polygons import beside, centre, heart, hexagon, inside

_NOWHERE = hexagon((0.0, 0.0), 0.2, 1.0)
"""A city of which no boundary is known at all, where the meridian meets the equator: no place of any city's."""
_DIGITS = 6
"""Decimal places of a degree: 0.1 m."""


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
        self._given = {} if collection is None else dict(read(collection, regions))
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
