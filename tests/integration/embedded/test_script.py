"""`./tongguan` itself: it makes its environment once, for all who call it at once, and mends one that was left half-made."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
IGNORED = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "tests")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("script") / "a tree with spaces"
    shutil.copytree(ROOT, copy, ignore=IGNORED)
    return copy


def begin(tree: Path, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"TONGGUAN_VENV", "VIRTUAL_ENV"}}
    argv = (str(tree / "tongguan"), "--version")
    return subprocess.Popen(argv, cwd="/", env=kept | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(tree: Path, **environment: str) -> tuple[int, str, str]:
    process = begin(tree, **environment)
    out, errors = process.communicate(timeout=300)
    return process.returncode, out, errors


def test_several_at_once_install_once_and_later_ones_at_no_cost(tree: Path):
    several = [begin(tree) for _ in range(3)]
    told = [process.communicate(timeout=300) for process in several]
    assert [process.returncode for process in several] == [0, 0, 0], told
    assert sum("installing the locked packages" in errors for _, errors in told) == 1
    assert all(out.startswith("tongguan, version ") for out, _ in told)
    began = time.monotonic()
    code, _, errors = run(tree)
    assert (code, errors) == (0, "")
    assert time.monotonic() - began < 2


def test_an_environment_that_was_left_half_made_is_made_anew(tree: Path):
    (tree / ".venv" / "tongguan.stamp").unlink(missing_ok=True)
    shutil.rmtree(tree / ".venv" / "lib", ignore_errors=True)
    code, out, errors = run(tree)
    assert code == 0, errors
    assert out.startswith("tongguan, version ")
    assert "making" in errors


def test_another_place_for_the_environment(tree: Path, tmp_path: Path):
    code, out, errors = run(tree, TONGGUAN_VENV=str(tmp_path / "elsewhere"))
    assert code == 0, errors
    assert out.startswith("tongguan, version ")
    assert (tmp_path / "elsewhere" / "tongguan.stamp").is_file()


def test_without_a_python_that_is_new_enough_it_says_what_to_do(tree: Path, tmp_path: Path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "readlink", "cksum", "cat", "cut", "mkdir", "date", "rm", "mv"):
        (tools / name).symlink_to(shutil.which(name) or name)
    old = tools / "python3"
    old.write_text("#!/bin/sh\ntest \"$1\" = --version && echo 'Python 3.9.1' && exit 0\nexit 1\n")
    old.chmod(0o755)
    code, _, errors = run(tree, PATH=str(tools), TONGGUAN_VENV=str(tmp_path / "none"))
    assert code == 2
    assert "Python 3.11 or newer is needed and Python 3.9.1 was found" in errors
    assert "TONGGUAN_PYTHON=" in errors
