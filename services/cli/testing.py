"""`./tongguan test`: pytest over the parts asked for, after setting up what they need."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import click

from services.cli import browser, debian
from services.cli.care import build_pages
from services.cli.errors import CliError
from services.cli.folder import cache

PARTS = ("unit", "contract", "integration", "chaos", "browser")
"""Folders under `tests/`, the quick ones first; last the one of many short files, with which the lanes end together."""
_WITHOUT_PAGES = {"unit", "contract"}
LANES = 2
"""How many tests run at a time, each lane with a Kafka and a PostgreSQL of its own. Two keep two cores busy; three were no faster there."""
_WAYS = (("-m", "not alone", "-n", str(LANES), "--dist", "loadfile", "--no-loadscope-reorder"), ("-m", "alone"))
_INTERRUPTED, _NO_TESTS = 2, 5
"""What pytest ends with."""
_END_S = 30
"""For tests to end what they have started, after Ctrl-C."""
_PROGRAMS = {"mosquitto": "mosquitto", "openssl": "openssl", "systemd-analyze": "systemd"}
"""What the tests of ingest and of deploy/ call, with Debian's package of each."""


def test(root: Path, parts: Sequence[str], *, with_browser: bool, pytest_arguments: Sequence[str]) -> int:
    """Run the parts (all when none is named) and return pytest's exit code.

    Without arguments for pytest, tests run side by side in `LANES`, and those that are marked `alone` after them.
    """
    if not (root / "tests").is_dir():
        raise CliError(f"there are no tests beside {root}: run this from a clone")
    chosen = [part for part in PARTS if (part in parts or not parts) and _has_tests(root / "tests" / part)]
    environment = {**os.environ, **_writable_places(root)}
    if "browser" in chosen:
        chosen, environment = _set_up_browser(chosen, environment, with_browser=with_browser)
    if not chosen:
        raise CliError(f"there are no such tests: {', '.join(parts) or 'none at all'}")
    if "integration" in chosen:
        _get_programs()
    if not _WITHOUT_PAGES.issuperset(chosen):
        build_pages(root)
    click.echo(f"tests: {', '.join(chosen)}", err=True)
    read_only = () if os.access(root, os.W_OK) else ("-p", "no:cacheprovider")
    argv = (sys.executable, "-m", "pytest", *read_only, *(f"tests/{part}" for part in chosen), *pytest_arguments)
    if pytest_arguments or (os.cpu_count() or 1) == 1:
        return _run(argv, root, environment)
    return _in_lanes(argv, root, environment)


def _in_lanes(argv: Sequence[str], root: Path, environment: Mapping[str, str]) -> int:
    """Run the tests in lanes and then the others, whatever came of the first, and return the first code that tells of a failure."""
    codes = []
    for way in _WAYS:
        codes.append(_run((*argv, *way), root, environment))
        if codes[-1] == _INTERRUPTED:
            break
    ran = [code for code in codes if code != _NO_TESTS]
    return next((code for code in ran if code), 0 if ran else _NO_TESTS)


def _run(argv: Sequence[str], root: Path, environment: Mapping[str, str]) -> int:
    """Return the exit code. Ctrl-C reaches pytest, too, which gets the time to end what its tests have started."""
    with subprocess.Popen(argv, cwd=root, env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                process.wait(_END_S)
            process.kill()
            raise


def _get_programs() -> None:
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if missing and debian.can_install():
        click.echo(f"tests: getting {', '.join(missing)}", err=True)
        debian.install(missing)


def _has_tests(folder: Path) -> bool:
    return any(folder.rglob("test_*.py"))


def _writable_places(root: Path) -> dict[str, str]:
    """Send what the tests remember elsewhere when the tree is read-only."""
    if os.access(root, os.W_OK):
        return {}
    return {"HYPOTHESIS_STORAGE_DIRECTORY": str(cache() / "hypothesis"), "PYTHONDONTWRITEBYTECODE": "1"}


def _set_up_browser(chosen: list[str], environment: dict[str, str], *, with_browser: bool) -> tuple[list[str], dict[str, str]]:
    if not with_browser:
        click.echo("tests: the browser tests are left out (--no-browser)", err=True)
        return [part for part in chosen if part != "browser"], environment
    path = browser.find_or_get(lambda text: click.echo(f"tests: {text}", err=True))
    click.echo(f"tests: the browser is {path}", err=True)
    return chosen, {**environment, browser.VARIABLE: path}


def bench(root: Path, name: str, arguments: Sequence[str]) -> int:
    """Run a benchmark's `main(arguments)` from `tests/bench/<name>.py` and return its exit code."""
    folder = root / "tests" / "bench"
    path = folder / f"{name.replace('-', '_')}.py"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("[!_]*.py"))) or "none"
        raise CliError(f"there is no benchmark {name}; there are: {known}")
    build_pages(root)
    return int(_loaded(path).main(list(arguments)) or 0)


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests.bench.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CliError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
