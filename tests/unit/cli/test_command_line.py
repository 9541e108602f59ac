import subprocess
import sys
from pathlib import Path

import pytest

from services.cli import browser, debian, testing
from services.cli.__main__ import _split
from services.cli.errors import CliError


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((sys.executable, "-m", "services.cli", *words), capture_output=True, text=True, check=False, timeout=60)


def test_the_version():
    assert run("--version").stdout.startswith("tongguan, version ")


def test_an_unknown_command_says_so():
    done = run("fly")
    assert done.returncode == 2
    assert "No such command 'fly'" in done.stderr


def test_an_unknown_benchmark_names_those_there_are():
    done = run("bench", "nothing")
    assert done.returncode == 1
    assert "there is no benchmark nothing; there are: " in done.stderr


def test_a_benchmark_gets_its_arguments(tmp_path: Path):
    folder = tmp_path / "tests" / "bench"
    folder.mkdir(parents=True)
    (folder / "two_words.py").write_text("def main(argv):\n    return len(argv)\n")
    assert testing.bench(tmp_path, "two-words", ["--rate", "10", "x"]) == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ([], [], True)),
        (("unit",), (["unit"], [], True)),
        (("unit", "contract", "-x", "-k", "unit"), (["unit", "contract"], ["-x", "-k", "unit"], True)),
        (("--no-browser",), ([], [], False)),
        (("browser", "--", "--headed"), (["browser"], ["--headed"], True)),
    ],
)
def test_what_is_a_part_and_what_is_pytests(words: tuple[str, ...], expected: tuple[list[str], list[str], bool]):
    assert _split(words) == expected


def test_a_named_browser_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    chrome = tmp_path / "chrome"
    chrome.touch(mode=0o755)
    monkeypatch.setenv(browser.VARIABLE, str(chrome))
    monkeypatch.setattr(browser, "_can_drive", lambda: True)
    assert browser.find_or_get(print) == str(chrome)


def test_a_named_browser_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(browser.VARIABLE, "/none")
    with pytest.raises(CliError, match="names /none, which is no program"):
        browser.find()


def test_without_any_browser_the_line_that_installs_one_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setattr(browser.shutil, "which", lambda _: None)
    monkeypatch.setattr(browser, "_playwrights", lambda: None)
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(subprocess, "run", lambda argv, **_: ran.append(argv))
    monkeypatch.setattr(debian, "can_install", lambda: True)
    with pytest.raises(CliError, match="apt-get install chromium fonts-noto-cjk libatomic1"):
        browser.find_or_get(print)
    assert ran[1][:2] == ("apt-get", "install")
    assert ran[2][1:] == ("-m", "playwright", "install", "chromium")


def test_a_browser_of_playwrights_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setattr(browser.shutil, "which", lambda _: None)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    chrome = tmp_path / "chromium-1200" / "chrome-linux64" / "chrome"
    chrome.parent.mkdir(parents=True)
    chrome.touch(mode=0o755)
    assert browser.find() == str(chrome)


def test_parts_without_tests_are_not_run(tmp_path: Path):
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    with pytest.raises(CliError, match="no such tests: unit"):
        testing.test(tmp_path, ["unit"], with_browser=True, pytest_arguments=[])
