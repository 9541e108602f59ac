"""Plane geometry for maps: points well inside areas, and hexagons laid into them.

Degrees are taken for a plane on which a degree of longitude is `stretch` times a degree of latitude, so that hexagons look regular on a map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain

from schemas.boundaries import Area, Point, Polygon, box, room, stretch

GAP = 0.92
"""Hexagons are drawn so much smaller than their cells, that a gap shows between them: they are symbols, they have no borders."""
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
            yield from ((x, y) for x in (start + column * width for column in columns) if room(above, x) and room(below, x))


def beside(polygons: Sequence[Polygon], count: int) -> list[Polygon]:
    """Return equal hexagons to the east of the polygons, in columns from the north: the place of what has no place."""
    wide = stretch(polygons)
    west, south, east, north = Area(polygons, wide).box
    radius = max(east - west, north - south) / 10
    rows = max(1, int((north - south) / (2 * radius)))
    places = [((east + (1.5 + 2 * (number // rows)) * radius) / wide, north - (1 + 2 * (number % rows)) * radius) for number in range(count)]
    return [hexagon(place, radius, wide) for place in places]
