"""`./tongguan rules check` and `rules test`, as writers of rules call them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from services.cli.__main__ import cli
from services.cli.rule_check import check, files, iso, told
from services.cli.rule_tests import after

CITIES = Path(__file__).parents[3] / "cities"
HOURLY = {"kind": "window", "aggregate": "mean", "length": "PT1H", "every": "PT1H"}
REGION = {"kind": "regional", "level": "city", "aggregate": "mean", "length": "PT1H"}
RULE: dict[str, Any] = {
    "id": "r1",
    "version": 1,
    "name": {"zh": "高", "en": "high"},
    "applies": {"metric": "flow"},
    "direction": "above",
    "unit": "L/s",
    "standard": "ours",
    "tiers": {"blue": {"up": {"limit": 5}, "down": {"limit": 4}}},
}
TEST = {"name": "n", "begin": "2026-11-22T08:00:00+08:00", "series": {"flow": "1x2 6x1 1"}}


def call(*words: object) -> Result:
    return CliRunner().invoke(cli, ["rules", *map(str, words)])


def write(folder: Path, **changes: Any) -> Path:
    rule = RULE | changes
    file = folder / f"{rule['id']}.yaml"
    file.write_text(yaml.safe_dump(rule, allow_unicode=True), "utf-8")
    return file


def noted(folder: Path, **changes: Any) -> list[str]:
    return [f"{note.grade}: {note.problem.place}: {note.problem.says}" for note in check([write(folder, **changes)])]


# check


def test_a_good_rule_has_nothing_said_of_it(tmp_path: Path):
    done = call("check", write(tmp_path))
    assert (done.exit_code, done.output) == (0, "1 files, 0 of them not to be used, 0 warnings\n")


def test_what_is_wrong_is_told_with_file_line_and_column_and_the_exit_code_is_1(tmp_path: Path):
    file = tmp_path / "r1.yaml"
    file.write_text(write(tmp_path).read_text("utf-8").replace("direction: above", "direction: abov"))
    done = call("check", file)
    assert done.exit_code == 1
    assert f"{file}:3:12: error: direction: must be 'above' or 'below', it is `abov`\n    mend: did you mean `above`?" in done.output
    told_ = json.loads(call("check", "--json", file).output)
    assert (told_["ok"], told_["files"]) == (False, 1)
    (problem,) = told_["problems"]
    assert problem == {
        "file": str(file),
        "line": 3,
        "column": 12,
        "place": "direction",
        "grade": "bad",
        "says": "must be 'above' or 'below', it is `abov`",
        "mend": "did you mean `above`?",
    }


def test_warnings_leave_the_exit_code_0(tmp_path: Path):
    file = write(tmp_path, standard=None)
    done = call("check", file.rename(tmp_path / "other.yaml"))
    assert done.exit_code == 0
    assert "warning: id: the file is named other.yaml" in done.output
    assert "`standard` is missing" in done.output
    assert done.output.endswith("1 files, 0 of them not to be used, 2 warnings\n")


def test_a_rule_that_stands_in_two_files(tmp_path: Path):
    write(tmp_path)
    shutil.copy(tmp_path / "r1.yaml", tmp_path / "r2.yaml")
    done = call("check", tmp_path)
    assert done.exit_code == 1
    assert re.search(r"r2\.yaml:\d+:5: error: id: rule r1 stands in r1\.yaml already", done.output)


def test_folders_stand_for_the_rules_in_them(tmp_path: Path):
    (tmp_path / "rules").mkdir()
    one = write(tmp_path / "rules")
    assert list(files([tmp_path])) == list(files([tmp_path / "rules"])) == [one]
    assert call("check", tmp_path / "none").exit_code == 2
    (tmp_path / "empty").mkdir()
    assert "there is no rule there" in call("check", tmp_path / "empty").output


STEP = {"up": {"limit": 5, "readings": 2}, "down": {"limit": 4}}


@pytest.mark.parametrize(
    ("blue", "red", "hidden"),
    [
        ({"limit": 5, "readings": 2}, {"limit": 5, "readings": 2}, True),
        ({"limit": 5, "readings": 3}, {"limit": 5, "readings": 2}, True),
        ({"limit": 5, "readings": 2}, {"limit": 5, "readings": 3}, False),
        ({"limit": 5, "for": 60}, {"limit": 5, "for": 60}, True),
        ({"limit": 5, "for": 60}, {"limit": 5, "for": 90}, False),
        ({"limit": 5, "for": 60}, {"limit": 5}, True),
        ({"limit": 5}, {"limit": 5, "for": 60}, False),
        ({"limit": 5, "for": 60}, {"limit": 5, "readings": 2}, False),
        ({"limit": 5}, {"limit": 6}, False),
        ({"when": {"above": 5}}, {"when": {"above": 5}}, True),
    ],
)
def test_a_tier_that_a_graver_one_always_hides(tmp_path: Path, blue: dict[str, Any], red: dict[str, Any], hidden: bool):  # noqa: FBT001 - a case's
    tiers = {"blue": {"up": blue, "down": {"limit": 4}}, "red": {"up": red, "down": {"limit": 4}}}
    assert any("tiers.blue.up: is never seen" in line for line in noted(tmp_path, tiers=tiers)) is hidden
    milder = {**tiers, "red": {"up": red, "down": {"limit": 4, "readings": 3}}}
    milder["blue"] = {"up": blue, "down": {"limit": 3}}
    assert not any("is never seen" in line for line in noted(tmp_path, tiers=milder))


def test_a_condition_that_can_never_be_true(tmp_path: Path):
    def way(above: float, below: float) -> dict[str, Any]:
        when = {"all": [{"above": above}, {"below": below}]}
        return {"tiers": {"blue": {"up": {"when": when}, "down": {"limit": 4}}}}

    assert noted(tmp_path, **way(9, 8)) == ["warn: tiers.blue.up.when: can never be true: a measure cannot be past both limits"]
    assert noted(tmp_path, **way(8, 9)) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"measure": HOURLY},
            "samples come every 1 h (`every`), and one stands for 10 min",
        ),
        ({"measure": HOURLY, "fresh": "PT3H"}, None),
        ({"measure": {"kind": "window", "aggregate": "mean", "length": "PT1H"}}, None),
        ({"measure": REGION}, None),
        (
            {"measure": REGION, "fresh": "PT30M"},
            "(`length`), and one stands for 30 min",
        ),
        ({"applies": {"metric": "flow", "statistic": "mean", "period": "P1D"}}, None),
        ({"applies": {"metric": "flow", "statistic": "mean", "period": "P1D"}, "fresh": "PT12H"}, "every 1 d (`period`), and one stands for 12 h"),
    ],
)
def test_a_dwell_that_needs_more_samples_than_come(tmp_path: Path, changes: dict[str, Any], says: str | None):
    lines = noted(tmp_path, tiers={"blue": STEP}, **changes)
    assert [line for line in lines if "never fulfilled" in line and says and says in line] == [line for line in lines if "never fulfilled" in line]
    assert any("tiers.blue.up.readings" in line for line in lines) is (says is not None)
    dwelling = {"blue": {"up": {"limit": 5, "for": "P2D"}, "down": {"limit": 4}}}
    assert any("tiers.blue.up.for: is never fulfilled" in line for line in noted(tmp_path, tiers=dwelling, **changes)) is (says is not None)
    at_once = {"blue": {"up": {"limit": 5}, "down": {"limit": 4}}}
    assert not any("never fulfilled" in line for line in noted(tmp_path, tiers=at_once, **changes))


@pytest.fixture
def city(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(CITIES / "620100", tmp_path / "620100"))
    shutil.rmtree(folder / "rules")
    (folder / "rules").mkdir()
    return folder / "rules"


PIPE = {"metric": "flow", "domain": "water", "tags": ["dma"]}


@pytest.mark.parametrize(
    ("changes", "grade", "says", "mend"),
    [
        ({"applies": {**PIPE, "metric": "flwo"}}, "bad", "the city has no metric `flwo`", "did you mean `flow`?"),
        ({"applies": {**PIPE, "metric": "xyzzy"}}, "warn", "the city has no metric `xyzzy`", "add the metric"),
        ({"applies": {**PIPE, "tags": ["dmaa"]}}, "bad", "the city has no tag `dmaa`", "did you mean `dma`?"),
        ({"applies": {**PIPE, "department": "wateer"}}, "bad", "the city has no department `wateer`", "did you mean `water`?"),
        ({"applies": {**PIPE, "regions": ["620102999"]}}, "bad", "the city has no region `620102999`", "did you mean `620102"),
        (
            {"applies": {**PIPE, "sensors": ["lz-water-pipe-02"]}},
            "bad",
            "the city has no sensor `lz-water-pipe-02`",
            "did you mean `lz-water-pipe-01`?",
        ),
        ({"applies": PIPE, "also": {"p": {"metric": "presure"}}}, "bad", "the city has no metric `presure`", "did you mean `pressure`?"),
        ({"applies": {**PIPE, "domain": "fire"}}, "warn", "no sensor of the city is watched by it", None),
        ({"applies": PIPE, "unit": "m3/h"}, "warn", "is not that of the sensors, L/s", None),
        ({"applies": PIPE, "tiers": {"blue": {"up": {"limit": 1e9}, "down": {"limit": 4}}}}, "warn", "is never entered: the sensors' highest", None),
    ],
)
def test_words_that_the_city_does_not_have(city: Path, changes: dict[str, Any], grade: str, says: str, mend: str | None):
    notes = check([write(city, **changes)])
    found = [note for note in notes if says in note.problem.says]
    assert [note.grade for note in found] == [grade], notes
    assert mend is None or mend in (found[0].problem.mend or "")


def test_lengths_of_time_for_people_and_for_rules():
    from datetime import timedelta

    spans = [timedelta(seconds=90), timedelta(hours=2), timedelta(days=1), timedelta(minutes=15)]
    assert [told(span) for span in spans] == ["90 s", "2 h", "1 d", "15 min"]
    assert [iso(span) for span in spans] == ["PT90S", "PT2H", "PT24H", "PT15M"]


# test


def story_of(folder: Path, *expect: dict[str, Any], rules: tuple[str, ...] = ("r1.yaml",), **changes: Any) -> Path:
    write(folder)
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rules": list(rules), "tests": [{**TEST, **changes, "expect": list(expect)}]}), "utf-8")
    return file


OPENED = {"at": "PT30S", "tier": "blue", "change": "opened"}
OVER = {"at": "PT50S", "tier": "none", "change": "recovered"}


def test_a_test_that_holds(tmp_path: Path):
    file = story_of(tmp_path, {"at": 20, "tier": "none"}, OPENED, OVER)
    done = call("test", file)
    assert done.exit_code == 0
    assert done.output.endswith("tests.yaml:4: n\n1 tests, 0 failed\n")
    as_json = json.loads(call("test", "--json", file).output)
    assert as_json["ok"]
    (test,) = as_json["tests"]
    assert [(one["at"], one["change"], one["tier"]) for one in test["told"]] == [(30, "opened", "blue"), (50, "recovered", "blue")]
    assert all(one["expected"] for one in test["told"])


def test_a_test_that_fails_shows_what_was_told_and_expected_in_order(tmp_path: Path):
    done = call("test", story_of(tmp_path, {"at": 30, "tier": "none"}, {"at": 50, "tier": "red"}))
    assert done.exit_code == 1
    lines = [line.strip() for line in done.output.splitlines()]
    assert lines[0].startswith("FAIL")
    assert lines[1:] == [
        "+0:30  told      r1 sensor/flow: rev 1 opened → blue (6 L/s, limit 5)  ← no expectation speaks of it",
        "+0:30  expected  r1: none  ← got blue",
        "+0:50  told      r1 sensor/flow: rev 2 recovered → none (1 L/s, limit 4)",
        "+0:50  expected  r1: red  ← got none",
        "1 tests, 1 failed",
    ]


def test_a_warning_that_nobody_expects_fails_though_all_expectations_hold(tmp_path: Path):
    done = call("test", story_of(tmp_path, {"at": 20, "tier": "none"}, OVER))
    assert done.exit_code == 1
    assert "no expectation speaks of it" in done.output


def test_a_change_that_was_another(tmp_path: Path):
    done = call("test", story_of(tmp_path, OPENED | {"change": "raised"}, OVER))
    assert "expected  r1: blue, raised  ← got blue, opened" in done.output


def test_sensors_are_told_apart_by_their_subject(tmp_path: Path):
    sensors = [{"id": "a", "series": {"flow": "6x5"}}, {"id": "b", "series": {"flow": "1x5"}}]
    a, b = {"at": 10, "tier": "blue", "subject": "a/flow"}, {"at": 10, "tier": "none", "subject": "b/flow"}
    assert call("test", story_of(tmp_path, a, b, series=None, sensors=sensors)).exit_code == 0
    assert call("test", story_of(tmp_path, b, series=None, sensors=sensors)).exit_code == 1


def test_late_values_and_corrections_arrive_when_they_do(tmp_path: Path):
    late = story_of(tmp_path, {"at": 30, "tier": "none"}, {"at": 60, "tier": "blue"}, series={"flow": "1x2 6@+PT30S _ _ _"})
    assert call("test", late).exit_code == 0
    retracted = {"at": 40, "tier": "none", "change": "retracted"}
    assert call("test", story_of(tmp_path, {"at": 20, "tier": "blue"}, retracted, series={"flow": "1x1 6/1@+PT20S _ _"})).exit_code == 0


def test_what_is_flagged_is_no_reading(tmp_path: Path):
    assert call("test", story_of(tmp_path, {"at": 50, "tier": "none"}, series={"flow": "1 9!maintenance 9!calibration 1"})).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "expect", "says"),
    [
        ({"rules": ("r2.yaml",)}, OPENED, "there is no file"),
        ({}, OPENED | {"rule": "r11"}, "there is no rule `r11` here (did you mean `r1`?)"),
        ({}, OPENED | {"tier": "bleu"}, "did you mean `blue`?"),
        ({"series": {"flow": "1 y"}}, OPENED, "`y` is no part of a series"),
        ({"serie": {}}, OPENED, "there is no field `serie` here (did you mean `series`?)"),
    ],
)
def test_a_file_that_is_no_test_is_told_with_its_place(tmp_path: Path, changes: dict[str, Any], expect: dict[str, Any], says: str):
    rules = changes.pop("rules", ("r1.yaml",))
    done = call("test", story_of(tmp_path, expect, rules=rules, **changes))
    assert done.exit_code == 1
    assert says in done.output
    assert f"{tmp_path}/tests.yaml:" in done.output
    assert json.loads(call("test", "--json", tmp_path / "tests.yaml").output)["ok"] is False


def test_a_rule_that_cannot_be_used_is_told_by_its_own_place(tmp_path: Path):
    file = story_of(tmp_path, OPENED)
    write(tmp_path, direction="abov")
    assert f"{tmp_path}/r1.yaml:3:12: direction" in call("test", file).output


def test_times_after_the_beginning():
    from datetime import timedelta

    spans = [0, 5, 65, 3600, 3725, 0.5]
    assert [after(timedelta(seconds=span)) for span in spans] == ["+0:00", "+0:05", "+1:05", "+1:00:00", "+1:02:05", "+0:00.500"]
