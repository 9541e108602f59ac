"""Maps of regions: known boundaries as they are, hexagons for what has none, and errors that say where a file is wrong."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Name
from schemas.regions import Level, Region, RegionTree
from services.gateway.domain.outlines import Outlines

SOURCE = {"zh": "测绘院", "en": "The surveyors"}
CITY, EAST, WEST, NEW = "990000", "990100", "990200", "990300"
Ring = list[list[float]]


def name(text: str) -> Name:
    return Name(zh=text, en=text)


def tree(parents: dict[str, str | None]) -> RegionTree:
    levels = {None: Level.CITY, CITY: Level.DISTRICT}
    return RegionTree(Region(code=code, parent=parent, level=levels.get(parent, Level.STREET), name=name(code)) for code, parent in parents.items())


def with_streets(count: int, districts: tuple[str, ...] = (EAST, WEST, NEW)) -> RegionTree:
    streets = {f"{EAST}{number:03}": EAST for number in range(1, count + 1)}
    return tree({CITY: None, **dict.fromkeys(districts, CITY), **dict(reversed(streets.items()))})


def square(west: float, south: float, side: float) -> Ring:
    return [[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]]


def collection(**rings: list[Ring]) -> dict[str, Any]:
    features = [
        {"type": "Feature", "properties": {"code": code.removeprefix("r")}, "geometry": {"type": "Polygon", "coordinates": rings}}
        for code, rings in rings.items()
    ]
    return {"type": "FeatureCollection", "source": SOURCE, "features": features}


BOUNDARIES = collection(r990000=[square(103, 36, 2)], r990100=[square(103, 36, 1)], r990200=[square(104, 36, 1)])


def inside(polygons: list[list[Ring]], x: float, y: float) -> bool:
    """Winding by angles: another way than the code's, so that they do not err alike."""
    turns = 0.0
    for polygon in polygons:
        for ring in polygon:
            angles = [math.atan2(b - y, a - x) for a, b in ring]
            turns += sum((after - before + math.pi) % (2 * math.pi) - math.pi for before, after in pairwise(angles))
    return abs(turns) > math.pi


def feature(outlines: Outlines, of: str, code: str) -> dict[str, Any]:
    return next(one for one in outlines.of(of).features if one["properties"]["code"] == code)


def middle(one: dict[str, Any]) -> list[float]:
    corners = one["geometry"]["coordinates"][0][0][:-1]
    return [sum(axis) / len(corners) for axis in zip(*corners, strict=True)]


@st.composite
def stars(draw: st.DrawFn) -> Ring:
    """An outline as districts have them: corners all round a middle, some far and some near."""
    latitude = draw(st.floats(-60, 60))
    size = draw(st.floats(0.01, 3))
    radii = draw(st.lists(st.floats(0.35, 1), min_size=5, max_size=40))
    corners = [(size * radius, 2 * math.pi * number / len(radii)) for number, radius in enumerate(radii)]
    ring = [[104 + radius * math.cos(angle), latitude + radius * math.sin(angle)] for radius, angle in corners]
    return [*ring, ring[0]]


@given(stars(), st.integers(1, 120))
def test_every_street_has_its_own_hexagon_inside_the_district(ring: Ring, count: int) -> None:
    regions = with_streets(count, (EAST,))
    drawn = Outlines(regions, collection(r990100=[ring])).of(EAST)
    self, *cells = drawn.features
    assert [cell["properties"]["code"] for cell in cells] == [f"{EAST}{number:03}" for number in range(1, count + 1)]
    assert all(cell["properties"]["schematic"] for cell in cells)
    assert not self["properties"]["schematic"]
    centres = [middle(cell) for cell in cells]
    assert all(inside([[ring]], *centre) for centre in centres)
    wide = math.cos(math.radians((min(y for _, y in ring) + max(y for _, y in ring)) / 2))
    radius = math.dist(*(_flat(point, wide) for point in (cells[0]["geometry"]["coordinates"][0][0][0], centres[0])))
    apart = [math.dist(_flat(a, wide), _flat(b, wide)) for a, b in combinations(centres, 2)]
    assert all(distance > math.sqrt(3) * radius for distance in apart), "hexagons of one size touch when their centres are 2 inner radii apart"
    assert Outlines(regions, collection(r990100=[ring])).of(EAST) == drawn


def _flat(point: list[float], wide: float) -> tuple[float, float]:
    return point[0] * wide, point[1]


def test_streets_are_laid_row_by_row_from_the_north_west_by_code() -> None:
    cells = Outlines(with_streets(20), BOUNDARIES).of(EAST).features[1:]
    centres = [middle(cell) for cell in cells]
    rows = [round(-y, 3) for _, y in centres]
    assert rows == sorted(rows)
    assert all(a[0] < b[0] for a, b in pairwise(centres) if math.isclose(a[1], b[1], abs_tol=1e-5))


@given(stars())
def test_a_label_is_inside_its_region(ring: Ring) -> None:
    label = feature(Outlines(with_streets(1), collection(r990100=[ring])), CITY, EAST)["properties"]["label"]
    assert inside([[ring]], *label)


def test_a_label_is_in_the_largest_part_and_in_no_hole() -> None:
    given = collection(r990100=[square(103, 36, 1)])
    parts = [[square(110, 36, 0.1)], [square(103, 36, 1), square(103.2, 36.2, 0.6)]]
    given["features"][0]["geometry"] = {"type": "MultiPolygon", "coordinates": parts}
    drawn = feature(Outlines(with_streets(1), given), CITY, EAST)
    x, y = drawn["properties"]["label"]
    assert 103 < x < 104
    assert 36 < y < 37
    assert not (103.2 <= x <= 103.8 and 36.2 <= y <= 36.8)
    assert [len(polygon) for polygon in drawn["geometry"]["coordinates"]] == [1, 2]


def test_known_districts_are_drawn_as_they_are_and_an_unknown_one_beside_the_city() -> None:
    drawn = Outlines(with_streets(3), BOUNDARIES).of(CITY)
    self, east, west, new = drawn.features
    assert [one["properties"]["role"] for one in drawn.features] == ["self", "child", "child", "child"]
    assert east["geometry"]["coordinates"] == [[square(103, 36, 1)]]
    assert [one["properties"]["schematic"] for one in (self, east, west, new)] == [False, False, False, True]
    assert min(x for x, _ in new["geometry"]["coordinates"][0][0]) > 105
    assert drawn.source == Name(**SOURCE)
    assert east["properties"]["name"] == {"zh": EAST, "en": EAST}
    assert east["properties"]["level"] == "district"


def test_a_street_is_its_own_hexagon_of_its_districts_map() -> None:
    outlines = Outlines(with_streets(3), BOUNDARIES)
    street = f"{EAST}002"
    drawn = outlines.of(street)
    assert [one["properties"]["role"] for one in drawn.features] == ["self"]
    assert drawn.features[0]["geometry"] == feature(outlines, EAST, street)["geometry"]
    assert drawn.source is None, "nothing of it comes from the boundaries"


def test_a_city_without_districts_has_its_towns_inside() -> None:
    towns = tree({CITY: None, **{f"{CITY}{number:03}": CITY for number in range(32)}})
    cells = Outlines(towns, collection(r990000=[square(113, 22, 1)])).of(CITY).features[1:]
    assert len(cells) == 32
    assert all(inside([[square(113, 22, 1)]], *middle(cell)) for cell in cells)


@pytest.mark.parametrize("boundaries", [None, collection()])
def test_a_city_without_any_boundary_is_a_grid(boundaries: dict[str, Any] | None) -> None:
    drawn = Outlines(with_streets(5), boundaries).of(CITY)
    assert drawn.source is None
    assert all(one["properties"]["schematic"] for one in drawn.features)
    assert len({tuple(middle(one)) for one in drawn.features[1:]}) == 3


def test_a_city_without_a_boundary_is_made_of_its_districts() -> None:
    boundaries = collection(r990100=[square(103, 36, 1)], r990200=[square(104, 36, 1)])
    self = Outlines(with_streets(1), boundaries).of(CITY).features[0]
    assert self["geometry"]["coordinates"] == [[square(103, 36, 1)], [square(104, 36, 1)]]
    assert not self["properties"]["schematic"]


def test_a_thread_of_an_outline_still_shows_each_street() -> None:
    thread = [[100.0, 30.0], [101.0, 31.0], [101.0, 31.000_01], [100.0, 30.0]]
    cells = Outlines(with_streets(9), collection(r990100=[thread])).of(EAST).features[1:]
    assert len({tuple(middle(cell)) for cell in cells}) == 9


def test_regions_of_other_cities_are_passed_over() -> None:
    other = {"type": "Feature", "properties": {"code": "110000"}, "geometry": None}
    outlines = Outlines(with_streets(1), {**BOUNDARIES, "features": [other, *BOUNDARIES["features"]]})
    assert {one["properties"]["code"] for one in outlines.of(CITY).features} == {CITY, EAST, WEST, NEW}


def test_an_unknown_region_has_no_map() -> None:
    with pytest.raises(KeyError):
        Outlines(with_streets(1), BOUNDARIES).of("110000")


OPEN = square(0, 0, 1)[:-1]
WRONG = {
    "features": ({**BOUNDARIES, "features": {}}, "no FeatureCollection"),
    "source": ({**BOUNDARIES, "source": "somebody"}, "source: not two texts"),
    "code": ({**BOUNDARIES, "features": [{"type": "Feature", "properties": {"code": 990100}}]}, r"features\[0\].properties.code: no text"),
    "twice": ({**BOUNDARIES, "features": BOUNDARIES["features"] * 2}, r"features\[3\]: region 990000 stands in features\[0\] already"),
    "line": (collection(r990000=[[[0, 0], [1, 1], [2, 2], [0, 0]]]), "encloses nothing"),
    "open": (collection(r990000=[OPEN]), r"features\[0\] \(990000\).geometry.coordinates\[0\]: no ring"),
    "order": (collection(r990000=[square(36, 103, 1)]), r"coordinates\[0\]\[0\]: no \[longitude, latitude\]"),
    "nothing": (collection(r990000=[]), "how deep the brackets"),
    "nan": (collection(r990000=[square(math.nan, 0, 1)]), "in degrees"),
}


@pytest.mark.parametrize(("boundaries", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_file_is_told_by_its_place(boundaries: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Outlines(with_streets(1), boundaries)


def test_a_geometry_that_is_no_area_is_told() -> None:
    point = collection(r990000=[square(0, 0, 1)])
    point["features"][0]["geometry"] = {"type": "Point", "coordinates": [0, 0]}
    with pytest.raises(ValueError, match="neither Polygon nor MultiPolygon"):
        Outlines(with_streets(1), point)


def test_a_hexagons_label_is_its_centre() -> None:
    cell = feature(Outlines(with_streets(7), BOUNDARIES), EAST, f"{EAST}005")
    assert cell["properties"]["label"] == pytest.approx(middle(cell), abs=1e-5)
