"""Plane geometry for maps: areas bounded by rings, points well inside them, and hexagons laid into them.

Degrees are taken for a plane on which a degree of longitude is `stretch` times a degree of latitude, so that hexagons look regular on a map.
What is inside is decided by counting crossings (even-odd), which takes holes and several parts alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

Point = tuple[float, float]
"""(longitude, latitude)"""
Ring = Sequence[Point]
"""Closed: the last point is the first."""
Polygon = Sequence[Ring]
"""The outer ring, then the holes."""
Box = tuple[float, float, float, float]
"""(west, south, east, north)"""

_Edge = tuple[float, float, float, float]

GAP = 0.92
"""Hexagons are drawn so much smaller than their cells, that a gap shows between them: they are symbols, they have no borders."""
_SCANS = 15
"""Lines tried for a label's place; more move it by less than a letter."""
_INSET = 0.5
"""A cell lies mostly inside when its centre does, and the four points so many radii from it: more would make cells of narrow areas tiny."""
_FEW = 12
_SHIFTS = ((0.0, 0.0), (math.sqrt(3) / 2, 0.0), (0.0, 1.0), (math.sqrt(3) / 4, 0.75))
"""Where the heart of an area is in the grid, in radii: in a cell's centre, between two or among three. That decides how well few cells fit."""
_SHRINK = 0.97
_SHRINKS = 90
"""After so many steps cells are 0.06 of the first size; an outline that holds too few even of these is a thread, in which none could be seen."""

_THREAD = 100
"""So many times as long as a square of the same size is high: a thread, whose grid would take long to go through and show nothing."""


class Area:
    """What polygons enclose, and points on their plane: x is longitude times `stretch`."""

    def __init__(self, polygons: Iterable[Polygon], stretch: float = 1.0) -> None:
        rings = [[(x * stretch, y) for x, y in ring] for polygon in polygons for ring in polygon]
        self._edges: list[_Edge] = [(*a, *b) for ring in rings for a, b in pairwise(ring)]
        self._turned: list[_Edge] = [(y1, x1, y2, x2) for x1, y1, x2, y2 in self._edges]
        self.box = box(chain.from_iterable(rings))

    @property
    def size(self) -> float:
        """How large it is, by sweeping; a ring's direction does not matter."""
        _, south, _, north = self.box
        step = (north - south) / 64
        return step * sum(right - left for line in range(64) for left, right in self.spans(south + (line + 0.5) * step))

    def spans(self, y: float) -> list[Point]:
        """Return where the line at `y` is inside, from west to east."""
        return _spans(self._edges, y)

    def clearance(self, x: float, y: float) -> float:
        """Return how far it is to the edge from a point, along the four main directions; 0 outside."""
        return min(_room(_spans(self._edges, y), x), _room(_spans(self._turned, x), y))

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


def _spans(edges: Iterable[_Edge], y: float) -> list[Point]:
    cut = sorted(x1 + (y - y1) * (x2 - x1) / (y2 - y1) for x1, y1, x2, y2 in edges if (y1 <= y) != (y2 <= y))
    return list(zip(cut[::2], cut[1::2], strict=True))


def _room(spans: Iterable[Point], at: float) -> float:
    return max((min(at - low, high - at) for low, high in spans if low < at < high), default=0.0)


def box(points: Iterable[Point]) -> Box:
    """Return what bounds the points."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def stretch(polygons: Iterable[Polygon]) -> float:
    """Return how long a degree of longitude is in the middle of the polygons, in degrees of latitude."""
    _, south, _, north = box(chain.from_iterable(polygon[0] for polygon in polygons))
    return max(math.cos(math.radians((south + north) / 2)), 0.01)


def centre(polygons: Sequence[Polygon]) -> Point:
    """Return the middle of what bounds the polygons; of a hexagon its centre."""
    west, south, east, north = box(chain.from_iterable(polygon[0] for polygon in polygons))
    return (west + east) / 2, (south + north) / 2


def heart(polygons: Sequence[Polygon]) -> Point:
    """Return a point well inside the largest polygon."""
    wide = stretch(polygons)
    x, y = max((Area([polygon], wide) for polygon in polygons), key=lambda area: area.size).heart()
    return x / wide, y


def hexagon(centre: Point, radius: float, stretch: float) -> Polygon:
    """Return a hexagon that stands on a point; `radius`, in degrees of latitude, is its cell's."""
    x, y = centre
    corners = [(x + GAP * radius * math.cos(angle) / stretch, y + GAP * radius * math.sin(angle)) for angle in _ANGLES]
    return [[*corners, corners[0]]]


_ANGLES = [math.radians(30 + 60 * corner) for corner in range(6)]


def inside(polygons: Sequence[Polygon], count: int) -> list[Polygon] | None:
    """Return equal hexagons whose centres are inside, row by row from the north-west; None when it is too narrow for so many.

    Their cells are those of one grid of the largest size that gives enough of them; of more than enough the outermost are left out.
    """
    wide = stretch(polygons)
    area = Area(polygons, wide)
    radius = 1.1 * math.sqrt(area.size / count / _HEXAGON)
    anchor = area.heart()
    _, south, _, north = area.box
    if north - south > _THREAD * radius * math.sqrt(count):
        return None
    for _ in range(_SHRINKS):
        if centres := _inmost(area, anchor, radius, count):
            return [hexagon((x / wide, y), radius, wide) for x, y in sorted(centres, key=lambda centre: (-centre[1], centre[0]))]
        radius *= _SHRINK
    return None


def _inmost(area: Area, anchor: Point, radius: float, count: int) -> list[Point]:
    """Return so many centres of a grid, those with the most room round them; empty when it has fewer."""

    def room(centre: Point) -> float:
        return area.clearance(*centre)

    shifts = _SHIFTS if count <= _FEW else _SHIFTS[:1]
    grids = [list(_grid(area, (anchor[0] + x * radius, anchor[1] + y * radius), radius)) for x, y in shifts]
    enough = [sorted(grid, key=room, reverse=True)[:count] for grid in grids if len(grid) >= count]
    return max(enough, key=lambda centres: room(centres[-1]), default=[])


_HEXAGON = 1.5 * math.sqrt(3)
"""The size of a hexagon of radius 1."""


def _grid(area: Area, anchor: Point, radius: float) -> Iterator[Point]:
    """Yield the centres of those cells of a grid that lie mostly inside the area; the anchor is the centre of one cell of the grid."""
    _, south, _, north = area.box
    width, height, inset = math.sqrt(3) * radius, 1.5 * radius, _INSET * radius
    for row in range(math.ceil((south - anchor[1]) / height), math.floor((north - anchor[1]) / height) + 1):
        y, start = anchor[1] + row * height, anchor[0] + (row % 2) * width / 2
        above, below = area.spans(y + inset), area.spans(y - inset)
        for left, right in area.spans(y):
            columns = range(math.ceil((left + inset - start) / width), math.floor((right - inset - start) / width) + 1)
            yield from ((x, y) for x in (start + column * width for column in columns) if _room(above, x) and _room(below, x))


def beside(polygons: Sequence[Polygon], count: int) -> list[Polygon]:
    """Return equal hexagons to the east of the polygons, in columns from the north: the place of what has no place."""
    wide = stretch(polygons)
    west, south, east, north = Area(polygons, wide).box
    radius = max(east - west, north - south) / 10
    rows = max(1, int((north - south) / (2 * radius)))
    places = [((east + (1.5 + 2 * (number // rows)) * radius) / wide, north - (1 + 2 * (number % rows)) * radius) for number in range(count)]
    return [hexagon(place, radius, wide) for place in places]
