"""A city's folder, and what is said of one that is not right: file, place and mend."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from services.kit import city
from services.kit.errors import Misconfigured

LANZHOU = Path(__file__).parents[3] / "cities" / "620100"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LANZHOU, tmp_path / "620100"))


def changed(file: Path, change: Callable[[str], str]) -> None:
    before = file.read_text("utf-8")
    after = change(before)
    assert after != before
    file.write_text(after, "utf-8")


def told(folder: Path) -> str:
    with pytest.raises(Misconfigured) as raised:
        city.sensors(folder, city.load(folder))
    return str(raised.value)


def set_aside(folder: Path) -> str:
    """Return what is said of the one sensor that cannot be used; all the others are."""
    everything, _ = city.sensors(LANZHOU, city.load(LANZHOU))
    good, (bad,) = city.sensors(folder, city.load(folder))
    assert len(good) == len(everything) - 1
    return str(bad)


def test_lanzhou_loads(folder: Path):
    place = city.load(folder)
    assert place.city.code == place.regions.root.code == "620100"
    sensors, bad = city.sensors(folder, place)
    assert len(sensors) > 1
    assert bad == []
    rules, bad = city.rules(folder)
    assert rules
    assert bad == []


def test_a_file_that_is_missing(folder: Path):
    (folder / "regions.yaml").unlink()
    assert told(folder) == f"{folder}/regions.yaml: cannot be read: No such file or directory"


def test_a_file_that_is_no_yaml_with_its_line(folder: Path):
    changed(folder / "sensors.yaml", lambda text: text + "\n- {id: [\n")
    said = told(folder)
    assert said.startswith(f"{folder}/sensors.yaml: is not YAML: ")
    assert "line " in said


def test_a_file_that_is_no_utf_8(folder: Path):
    (folder / "city.yaml").write_bytes("name: 兰州".encode("gbk"))
    assert told(folder) == f"{folder}/city.yaml: is not UTF-8 (byte 6): save it as UTF-8"


def test_a_file_that_is_empty(folder: Path):
    (folder / "sensors.yaml").write_text("")
    assert told(folder) == f"{folder}/sensors.yaml: the whole: Input should be a valid list"


def test_fields_are_named_by_their_place(folder: Path):
    changed(folder / "sensors.yaml", lambda text: text.replace("street:", "stret:", 1))
    said = set_aside(folder)
    assert "sensors.yaml: item 0: street: Field required" in said
    assert "stret: Extra inputs are not permitted" in said


def test_regions_that_are_no_tree(folder: Path):
    changed(folder / "regions.yaml", lambda text: text.replace('parent: "620102"', 'parent: "620999"', 1))
    assert told(folder) == f"{folder}/regions.yaml: region 620102001 has the parent 620999, which is not given"


def test_a_city_of_another_code(folder: Path):
    changed(folder / "city.yaml", lambda text: text.replace('code: "620100"', 'code: "620200"'))
    assert told(folder) == f"{folder}/regions.yaml: the region without a parent is 620100, but city.yaml has the code 620200"


def test_a_demo_region_that_is_none(folder: Path):
    changed(folder / "city.yaml", lambda text: text.replace('"620102001"]', '"620199"]'))
    assert told(folder) == f"{folder}/city.yaml: demo_regions ['620199'] are not in regions.yaml"


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('role: street, region: "620102001"', 'role: street, region: "620199"', "role street in region 620199, which regions.yaml does not have"),
        ('role: street, region: "620102001"', 'role: street, region: "620102"', "role street in region 620102, which is of level district"),
        ("departments: [water]", "departments: [air]", "role department for departments ['air'], which city.yaml does not have"),
        (", departments: [water]", "", "role department, which needs departments"),
        (
            'role: auditor, region: "620100"',
            'role: auditor, region: "620100", departments: [water]',
            "role auditor for some departments: entries of the audit do not say whose they are, so leave departments out",
        ),
    ],
)
def test_a_demo_user_s_grant_that_the_city_cannot_give(folder: Path, before: str, after: str, problem: str):
    changed(folder / "city.yaml", lambda text: text.replace(before, after, 1))
    said = told(folder)
    assert said.startswith(f"{folder}/city.yaml: demo_users: user ")
    assert said.endswith(f" has the {problem}")


def test_a_demo_user_given_twice(folder: Path):
    changed(folder / "city.yaml", lambda text: text.replace("id: district-620102,", "id: city,"))
    assert told(folder) == f"{folder}/city.yaml: demo_users: user city is given twice"


def test_a_sensor_in_a_region_that_is_none(folder: Path):
    changed(folder / "sensors.yaml", lambda text: text.replace('street: "620102001"', 'street: "620102999"', 1))
    assert set_aside(folder) == f"{folder}/sensors.yaml: sensor lz-water-pipe-01 is in region 620102999, which regions.yaml does not have"


def test_a_sensor_of_a_department_that_is_none(folder: Path):
    changed(folder / "sensors.yaml", lambda text: text.replace("department: water", "department: air", 1))
    assert set_aside(folder) == f"{folder}/sensors.yaml: sensor lz-water-pipe-01 is of department air, which city.yaml does not have"


def test_a_sensor_given_twice(folder: Path):
    changed(folder / "sensors.yaml", lambda text: text.replace("id: lz-water-dma-01", "id: lz-water-pipe-01", 1))
    assert set_aside(folder) == f"{folder}/sensors.yaml: sensor lz-water-pipe-01 is given twice; the first is taken"


def test_one_bad_rule_harms_only_itself(folder: Path):
    good, _ = city.rules(folder)
    rules = folder / "rules"
    (rules / "a-bad.yaml").write_text("id: a\nversion: none\n")
    (rules / "b-bad.yaml").write_bytes(b"\xff")
    (rules / "c-bad.yaml").write_text("{")
    shutil.copy(next(iter(sorted(rules.glob("water*")))), rules / "z-twice.yaml")
    left, bad = city.rules(folder)
    assert left == good
    assert [str(error).removeprefix(f"{rules}/").partition(":")[0] for error in bad] == ["a-bad.yaml", "b-bad.yaml", "c-bad.yaml", "z-twice.yaml"]
    assert "stands in another file already" in str(bad[3])


def test_a_city_without_rules(folder: Path):
    shutil.rmtree(folder / "rules")
    assert city.rules(folder) == ([], [])
