"""Finds a Chromium for the browser tests, or gets one the way this machine allows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from services.cli.errors import CliError

VARIABLE = "TONGGUAN_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_DEBIAN = ("apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-noto-cjk")
_MEND = (
    "Install one and run again: `apt-get install chromium fonts-noto-cjk` as root on Debian, else your system's Chromium or Chrome "
    f"with a Chinese font; or name one: {VARIABLE}=/path/to/chrome; or leave these tests out: ./tongguan test --no-browser"
)


def find() -> str | None:
    """Return a browser that is there already: the one named in the environment, else one on the PATH, else Playwright's."""
    if named := os.environ.get(VARIABLE):
        if not os.access(named, os.X_OK):
            raise CliError(f"{VARIABLE} names {named}, which is no program. {_MEND}")
        return named
    return next(filter(None, map(shutil.which, NAMES)), None) or _playwrights()


def find_or_get(say: Callable[[str], None]) -> str:
    """Return a browser's path, installing one where it is missing. Raises `CliError` with what to do by hand."""
    if found := find():
        return found
    debian = [("Debian's packages, with a font for Chinese", _by_debian)] if _is_debian_root() else []
    for name, get in (*debian, ("Playwright's own download", _by_playwright)):
        say(f"no Chromium or Chrome here; getting one: {name}")
        get()
        if found := find():
            return found
    raise CliError(f"the browser tests need Chromium or Chrome, and none could be had. {_MEND}")


def _is_debian_root() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def _by_debian() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(("apt-get", "update", "-q"), environment)
    _run((*_DEBIAN, "-q"), environment)


def _by_playwright() -> None:
    _run((sys.executable, "-m", "playwright", "install", "chromium"), dict(os.environ))


def _run(argv: tuple[str, ...], environment: dict[str, str]) -> None:
    """Run an installer, its words going to stderr; whether it helped shows in what it left."""
    subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


def _playwrights() -> str | None:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the extra `dev`, and slow

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.access(path, os.X_OK) else None
