"""Finds a Chromium for the browser tests, or gets one the way this machine allows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from services.cli import debian
from services.cli.errors import CliError

VARIABLE = "TONGGUAN_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_DEBIAN = ("chromium", "fonts-noto-cjk", "libatomic1")
"""The last is for the Node.js that Playwright drives browsers with."""
_MEND = (
    f"Install one and run again: `apt-get install {' '.join(_DEBIAN)}` as root on Debian, else your system's Chromium or Chrome "
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
    if (found := find()) and _can_drive():
        return found
    packages = [("Debian's packages, with a font for Chinese", _by_debian)] if debian.can_install() else []
    for name, get in (*packages, ("Playwright's own download", _by_playwright)):
        say(f"no Chromium or Chrome that could be driven here; getting one: {name}")
        get()
        if (found := find()) and _can_drive():
            return found
    raise CliError(f"the browser tests need Chromium or Chrome, and none could be had. {_MEND}")


def _by_debian() -> None:
    debian.install(_DEBIAN)


def _by_playwright() -> None:
    subprocess.run((sys.executable, "-m", "playwright", "install", "chromium"), stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


def _can_drive() -> bool:
    """Tell whether Playwright's driver runs on this machine."""
    return subprocess.run((sys.executable, "-m", "playwright", "--version"), capture_output=True, check=False).returncode == 0


def _playwrights() -> str | None:
    """Return the newest browser that Playwright has downloaded, found without its driver, which may not run here."""
    caches = [Path.home() / ".cache" / "ms-playwright", Path.home() / "Library" / "Caches" / "ms-playwright"]
    if named := os.environ.get("PLAYWRIGHT_BROWSERS_PATH"):
        caches.insert(0, Path(named))
    patterns = ("chromium-*/chrome-linux*/chrome", "chromium-*/chrome-mac*/*.app/Contents/MacOS/*")
    found = [path for cache in caches for pattern in patterns for path in sorted(cache.glob(pattern), reverse=True)]
    return next((str(path) for path in found if os.access(path, os.X_OK)), None)
