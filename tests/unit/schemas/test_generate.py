"""The generator tells what is missing, foreign or changed, and mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import generate
from schemas.catalogue import MODELS


def test_a_folder_is_made_and_then_right(tmp_path: Path):
    folder = tmp_path / "json"
    assert len(generate.problems(folder)) == len(MODELS)
    generate.write(folder)
    assert generate.problems(folder) == []


def test_what_is_not_right_is_named_and_mended(tmp_path: Path):
    generate.write(tmp_path)
    (tmp_path / "rule.Rule.json").unlink()
    (tmp_path / "rule.Old.json").write_text("{}")
    changed = tmp_path / "control.Tick.json"
    changed.write_text(changed.read_text().replace("Time advances", "Time stands"))
    assert generate.problems(tmp_path) == [
        "rule.Rule.json: missing",
        "rule.Old.json: belongs to no model",
        "control.Tick.json: differs from the model",
    ]
    generate.write(tmp_path)
    assert generate.problems(tmp_path) == []


def test_check_writes_nothing_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(generate, "problems", lambda: ["rule.Rule.json: missing"])
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == "schemas/json/rule.Rule.json: missing\nrun: python -m schemas.generate\n"
    assert list(tmp_path.iterdir()) == []


def test_what_is_committed_is_right():
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("name", MODELS)
def test_names_are_those_of_the_modules(name: str):
    module, _, model = name.partition(".")
    assert getattr(__import__(f"schemas.{module}", fromlist=[model]), model) is MODELS[name]
