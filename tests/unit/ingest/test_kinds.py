"""Reports of kinds that the city's catalogue has, and of others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.kind import Catalogue, Kind
from schemas.report import Matter, Reported
from services.ingest.domain.kinds import problem
from services.kit import city, kinds
from services.kit.errors import Misconfigured

CITIES = Path(__file__).parents[3] / "cities"
LANZHOU = kinds.load(CITIES / "620100", city.load(CITIES / "620100"))


def reported(kind: str, matter: Matter) -> Reported:
    return Reported(region="620102001", matter=matter, kind=kind, title="x")


@pytest.mark.parametrize("code", ["620100", "441900"])
def test_each_city_has_kinds_of_all_eight_matters(code: str):
    found = kinds.load(CITIES / code, city.load(CITIES / code))
    assert {kind.matter for kind in found.values()} == set(Matter)
    assert all(problem(reported(kind.code, kind.matter), found) is None for kind in found.values())


def test_the_nearest_kinds_are_named_to_who_gives_another():
    found = problem(reported("burst-pipes", Matter.UTILITIES), LANZHOU)
    assert found is not None
    assert (found.code, found.where) == ("unknown_kind", "data.kind")
    assert found.hint.startswith("nearest: burst-pipe (供水管道破裂)")
    other = problem(reported("zzzzzz", Matter.GREENING), LANZHOU)
    assert other is not None
    assert "fallen-tree (树木倒伏)" in other.hint


def test_a_kind_belongs_to_one_matter():
    found = problem(reported("fire", Matter.ESTATES), LANZHOU)
    assert found is not None
    assert (found.code, found.where) == ("other_matter", "data.matter")


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,95}", fullmatch=True), st.sampled_from(Matter))
@settings(max_examples=100)
def test_a_city_without_a_catalogue_takes_any_kind_and_one_with_it_takes_its_own(code: str, matter: Matter):
    assert problem(reported(code, matter), {}) is None
    known = LANZHOU.get(code)
    assert (problem(reported(code, matter), LANZHOU) is None) == (known is not None and known.matter is matter)


def test_a_catalogue_that_cannot_be_used_is_told_with_its_place(tmp_path: Path):
    place = city.load(CITIES / "620100")
    assert kinds.load(tmp_path, place) == {}
    one = Kind.model_validate({"code": "a", "matter": "greening", "nature": "event", "name": {"zh": "甲", "en": "a"}, "department": "nobody"})
    file = tmp_path / "kinds.yaml"
    file.write_text(yaml.safe_dump(Catalogue(kinds=(one,)).model_dump(mode="json")))
    with pytest.raises(Misconfigured, match=r"kinds\.yaml:\d+:\d+: kinds\.0\.department: city\.yaml has no department `nobody`"):
        kinds.load(tmp_path, place)
    file.write_text(yaml.safe_dump({"kinds": [one.model_dump(mode="json", exclude={"department"})] * 2}))
    with pytest.raises(Misconfigured, match="given twice"):
        kinds.load(tmp_path, place)
