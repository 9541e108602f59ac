"""Boundaries of regions as GeoJSON gives them, and what lies inside them.

What is inside is decided by counting crossings (even-odd), which takes holes and several parts alike. Degrees are taken for a plane.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

from schemas.regions import RegionTree

Point = tuple[float, float]
"""(longitude, latitude)"""
Ring = Sequence[Point]
"""Closed: the last point is the first."""
Polygon = Sequence[Ring]
"""The outer ring, then the holes."""
Box = tuple[float, float, float, float]
"""(west, south, east, north)"""

Edge = tuple[float, float, float, float]

_SCANS = 15
"""Lines tried for a label's place; more move it by less than a letter."""
_CORNERS = 4
"""A ring has at least three corners, and the first again."""
_LONGEST, _HIGHEST = 180.0, 90.0
_METRES = 111_320.0
"""Of a degree of latitude."""


class Area:
    """What polygons enclose, and points on their plane: x is longitude times `stretch`."""

    def __init__(self, polygons: Sequence[Polygon], stretch: float = 1.0) -> None:
        self._edges = list(edges(polygons, stretch))
        self._turned: list[Edge] = [(y1, x1, y2, x2) for x1, y1, x2, y2 in self._edges]
        self.box = box((x * stretch, y) for ring in chain.from_iterable(polygons) for x, y in ring)

    @property
    def size(self) -> float:
        """How large it is, by sweeping; a ring's direction does not matter."""
        _, south, _, north = self.box
        step = (north - south) / 64
        return step * sum(right - left for line in range(64) for left, right in self.spans(south + (line + 0.5) * step))

    def spans(self, y: float) -> list[Point]:
        """Return where the line at `y` is inside, from west to east."""
        return spans_of(self._edges, y)

    def clearance(self, x: float, y: float) -> float:
        """Return how far it is to the edge from a point, along the four main directions; 0 outside."""
        return min(room(spans_of(self._edges, y), x), room(spans_of(self._turned, x), y))

    def holds(self, x: float, y: float) -> bool:
        """Say whether a point is inside."""
        return self.clearance(x, y) > 0

    def heart(self) -> Point:
        """Return a point well inside: the one with the most clearance among the middles of the widest spans."""
        _, south, _, north = self.box
        lines = (south + (north - south) * (line + 0.5) / _SCANS for line in range(_SCANS))
        widest = [(max(spans, key=lambda span: span[1] - span[0]), y) for y in lines if (spans := self.spans(y))]
        middles = [((left + right) / 2, y) for (left, right), y in widest]
        return max(middles, key=lambda point: self.clearance(*point))


def edges(polygons: Iterable[Polygon], stretch: float) -> Iterator[Edge]:
    """Yield the edges of polygons as (x1, y1, x2, y2)."""
    for ring in chain.from_iterable(polygons):
        yield from ((x1 * stretch, y1, x2 * stretch, y2) for (x1, y1), (x2, y2) in pairwise(ring))


def spans_of(edges: Iterable[Edge], y: float) -> list[Point]:
    """Return where the line at `y` is inside, from west to east."""
    cut = sorted(x1 + (y - y1) * (x2 - x1) / (y2 - y1) for x1, y1, x2, y2 in edges if (y1 <= y) != (y2 <= y))
    return list(zip(cut[::2], cut[1::2], strict=True))


def room(spans: Iterable[Point], at: float) -> float:
    """Return how far it is from a place inside some spans to their end; 0 outside."""
    return max((min(at - low, high - at) for low, high in spans if low < at < high), default=0.0)


def box(points: Iterable[Point]) -> Box:
    """Return what bounds the points."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def stretch(polygons: Iterable[Polygon]) -> float:
    """Return how long a degree of longitude is in the middle of the polygons, in degrees of latitude."""
    _, south, _, north = box(chain.from_iterable(polygon[0] for polygon in polygons))
    return max(math.cos(math.radians((south + north) / 2)), 0.01)


BANDS = 256
"""Into which an area is cut, so that of thousands of points each is compared with a few edges only."""


class _Banded:
    """An area, made ready for many points."""

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        self._wide = stretch(polygons)
        self._edges = list(edges(polygons, self._wide))
        _, self._south, _, north = box(chain.from_iterable(chain.from_iterable(polygons)))
        self._height = (north - self._south) / BANDS or 1.0
        self._bands: list[list[Edge]] = [[] for _ in range(BANDS)]
        for edge in self._edges:
            low, high = sorted((edge[1], edge[3]))
            for band in range(self._band(low), self._band(high) + 1):
                self._bands[band].append(edge)

    def holds(self, longitude: float, latitude: float) -> bool:
        """Say whether a point is inside."""
        band = math.floor((latitude - self._south) / self._height)
        if not 0 <= band < BANDS:
            return False
        x = longitude * self._wide
        return any(left < x < right for left, right in spans_of(self._bands[band], latitude))

    def distance_m(self, longitude: float, latitude: float) -> float:
        """Return how far a point is from the edge, in metres, inside or outside."""
        return min(_apart(edge, longitude * self._wide, latitude) for edge in self._edges) * _METRES

    def _band(self, latitude: float) -> int:
        return min(max(math.floor((latitude - self._south) / self._height), 0), BANDS - 1)


def _apart(edge: Edge, x: float, y: float) -> float:
    x1, y1, x2, y2 = edge
    dx, dy = x2 - x1, y2 - y1
    along = ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy or 1.0)
    nearest = min(max(along, 0.0), 1.0)
    return math.hypot(x - x1 - nearest * dx, y - y1 - nearest * dy)


class Places:
    """Which region of a city a point lies in, as far as boundaries are known."""

    def __init__(self, regions: RegionTree, collection: dict[str, Any] | None) -> None:
        """`collection` as `read` takes it, None where there is none; raises ValueError as that does."""
        self._regions = regions
        self._areas = {} if collection is None else {code: _Banded(polygons) for code, polygons in read(collection, regions)}

    def of(self, longitude: float, latitude: float) -> str | None:
        """Return the lowest region in which a point lies, None where it lies in none that has a boundary."""
        held = (code for code, area in self._areas.items() if area.holds(longitude, latitude))
        return max(held, key=lambda code: len(self._regions.path(code)), default=None)

    def outside(self, code: str, longitude: float, latitude: float, near_m: float) -> str | None:
        """Return the lowest region with a boundary, from one upwards, when a point lies neither in it nor so near to it; else None."""
        known = next((one for one in self._regions.path(code) if one in self._areas), None)
        if known is None or self._areas[known].holds(longitude, latitude):
            return None
        return known if self._areas[known].distance_m(longitude, latitude) > near_m else None


def read(collection: dict[str, Any], regions: RegionTree) -> Iterator[tuple[str, list[Polygon]]]:
    """Yield the boundaries of a city's regions by code, of a GeoJSON FeatureCollection with a `code` in each feature's properties.

    Codes that the city does not have are passed over. Raises ValueError that says where something is wrong, and how to mend it.
    """
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
