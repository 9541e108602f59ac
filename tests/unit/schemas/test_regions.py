"""The tree of regions: parents are explicit, and what is no tree is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Name
from schemas.regions import Level, Region, RegionError, RegionTree


def region(code: str, parent: str | None, level: Level = Level.STREET) -> Region:
    return Region(code=code, parent=parent, level=level, name=Name(zh=code, en=code))


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str | None]:
    """Parents by code, of a tree of any shape: each region's parent is one that came before it."""
    count = draw(st.integers(1, 30))
    parents: dict[str, str | None] = {"r0": None}
    for number in range(1, count):
        parents[f"r{number}"] = f"r{draw(st.integers(0, number - 1))}"
    order = draw(st.permutations(sorted(parents)))
    return {code: parents[code] for code in order}


def climb(parents: dict[str, str | None], code: str) -> list[str]:
    path: list[str] = []
    at: str | None = code
    while at is not None:
        path.append(at)
        at = parents[at]
    return path


@given(trees())
def test_paths_children_and_cover_are_those_of_the_parents(parents: dict[str, str | None]):
    tree = RegionTree(region(code, parent) for code, parent in parents.items())
    assert tree.root.code == "r0"
    assert {one.code for one in tree} == set(parents)
    for code in parents:
        assert list(tree.path(code)) == climb(parents, code)
        assert {child.code for child in tree.children(code)} == {other for other, parent in parents.items() if parent == code}
        assert {other for other in parents if tree.covers(code, other)} == {other for other in parents if code in climb(parents, other)}


@given(trees(), st.data())
def test_a_circle_is_told(parents: dict[str, str | None], data: st.DataObject):
    """A region that is moved below itself, or below one of its own, no longer hangs on the city."""
    movable = [code for code in parents if code != "r0"]
    if not movable:
        return
    moved = data.draw(st.sampled_from(sorted(movable)))
    below = sorted(code for code in parents if moved in climb(parents, code))
    circular = {**parents, moved: data.draw(st.sampled_from(below))}
    with pytest.raises(RegionError, match="lies below itself"):
        RegionTree(region(code, parent) for code, parent in circular.items())


@given(trees(), st.data())
def test_a_parent_that_is_not_given_is_named(parents: dict[str, str | None], data: st.DataObject):
    code = data.draw(st.sampled_from(sorted(parents)))
    if code == "r0":
        return
    with pytest.raises(RegionError, match="has the parent nowhere, which is not given"):
        RegionTree(region(one, "nowhere" if one == code else parent) for one, parent in parents.items())


def test_one_city_and_one_only():
    with pytest.raises(RegionError, match="there are 0"):
        RegionTree([])
    with pytest.raises(RegionError, match=r"there are 2: \['a', 'b'\]"):
        RegionTree([region("a", None), region("b", None)])
    with pytest.raises(RegionError, match="region a is given twice"):
        RegionTree([region("a", None), region("a", None)])


def test_the_shape_of_dongguan_a_city_whose_towns_have_no_district_between():
    tree = RegionTree(
        [
            region("441900", None, Level.CITY),
            region("441900003", "441900", Level.STREET),
            region("441900101", "441900", Level.STREET),
        ]
    )
    assert tree.path("441900101") == ("441900101", "441900")
    assert tree.covers("441900", "441900101")
    assert not tree.covers("441900003", "441900101")


def test_a_codes_prefix_is_no_proof_of_its_parent():
    tree = RegionTree(
        [
            region("620100", None, Level.CITY),
            region("620102", "620100", Level.DISTRICT),
            region("620103", "620100", Level.DISTRICT),
            region("620102001", "620103"),
        ]
    )
    assert not tree.covers("620102", "620102001")
    assert tree.covers("620103", "620102001")


def test_what_is_unknown():
    tree = RegionTree([region("a", None)])
    assert "b" not in tree
    assert not tree.covers("a", "b")
    assert not tree.covers("b", "a")
    for look in (tree.path, tree.children, tree.__getitem__):
        with pytest.raises(KeyError):
            look("b")
