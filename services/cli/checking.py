"""`./tongguan check`: what CI runs before the tests."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from services.cli import nodejs, pages
from services.cli.errors import CliError
from services.cli.folder import cache

CHECKS = {
    "ruff": ("-m", "ruff", "check", "."),
    "format": ("-m", "ruff", "format", "--check", "--diff", "."),
    "mypy": ("-m", "mypy"),
    "import-linter": ("-c", "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run([]))"),
    "schemas": ("-m", "schemas.generate", "--check"),
    "compatibility": ("-m", "schemas.compatibility", "--check"),
}


def check(root: Path, names: Sequence[str] = ()) -> int:
    """Run these checks, or all, over the tree, tell each result, and return 1 when one failed."""
    checks: dict[str, Callable[[], str | None]] = {name: partial(_python, arguments, root) for name, arguments in CHECKS.items()}
    checks["web"] = partial(_web, root)
    if unknown := [name for name in names if name not in checks]:
        raise CliError(f"there is no check {', '.join(unknown)}; there are: {', '.join(checks)}")
    failed = [name for name, problem in checks.items() if (name in names or not names) and not _passes(name, problem)]
    if failed:
        click.echo(f"check: {', '.join(failed)} failed", err=True)
    return 1 if failed else 0


def _passes(name: str, problem: Callable[[], str | None]) -> bool:
    began = time.monotonic()
    found = problem()
    click.echo(f"{name}: {'ok' if found is None else 'FAILED'} ({time.monotonic() - began:.1f} s)")
    if found is not None:
        click.echo(found)
    return found is None


def _python(arguments: tuple[str, ...], root: Path) -> str | None:
    done = subprocess.run((sys.executable, *arguments), cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode else None


def _web(root: Path) -> str | None:
    """Check the pages' sources. Without Node.js they are left out, aloud, except in CI, which fetches one."""
    found = pages.Pages(root)
    if not found.has_sources() or (nodejs.find(cache()) is None and os.environ.get("CI") != "true"):
        click.echo("web: left out, there is no Node.js 20.19 or newer here (./tongguan pages fetches one)")
        return None
    cache().mkdir(parents=True, exist_ok=True)
    log = cache() / "web-check.log"
    log.unlink(missing_ok=True)
    try:
        asyncio.run(pages.check(found, cache(), log, lambda text: click.echo(f"web: {text}", err=True)))
    except CliError as error:
        return f"{error.message}\n{log.read_text('utf-8', 'replace') if log.exists() else ''}"
    return None
