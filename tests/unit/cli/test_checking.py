from pathlib import Path

import pytest
import yaml

from services.cli import checking
from services.cli.errors import CliError

ROOT = Path(__file__).parents[3]


def test_a_commit_is_held_to_every_check_and_fetches_nothing():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    assert {hook["id"] for hook in repo["hooks"]} == {*checking.CHECKS, "web"}
    assert all(hook["language"] == "system" for hook in repo["hooks"])


def test_only_the_checks_that_are_named_are_run(capsys: pytest.CaptureFixture[str]):
    assert checking.check(ROOT, ["schemas"]) == 0
    assert capsys.readouterr().out.startswith("schemas: ok (")


def test_an_unknown_check_names_those_there_are():
    with pytest.raises(CliError, match="there is no check spelling; there are: ruff, format, mypy, import-linter, schemas, compatibility, web"):
        checking.check(ROOT, ["spelling"])


def test_a_check_that_fails_shows_its_words_and_is_in_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "bad.py").write_text("import os\n")
    assert checking.check(tmp_path, ["ruff"]) == 1
    told = capsys.readouterr()
    assert "ruff: FAILED" in told.out
    assert "F401" in told.out
    assert "check: ruff failed" in told.err


def test_without_node_the_pages_are_left_out_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package.json").write_text("{}")
    monkeypatch.setattr(checking.nodejs, "find", lambda _: None)
    monkeypatch.delenv("CI", raising=False)
    assert checking.check(tmp_path, ["web"]) == 0
    assert "web: left out, there is no Node.js" in capsys.readouterr().out
