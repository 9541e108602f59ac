"""`./tongguan check`: what CI runs before the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click

CHECKS = {
    "ruff": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "--diff", "."),
    "mypy": ("-m", "mypy"),
    "import-linter": ("-c", "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run([]))"),
}


def check(root: Path) -> int:
    """Run all checks over the tree, tell each result, and return 1 when one failed."""
    failed = [name for name, arguments in CHECKS.items() if not _passes(name, arguments, root)]
    if failed:
        click.echo(f"check: {', '.join(failed)} failed", err=True)
    return 1 if failed else 0


def _passes(name: str, arguments: tuple[str, ...], root: Path) -> bool:
    began = time.monotonic()
    done = subprocess.run((sys.executable, *arguments), cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    good = done.returncode == 0
    click.echo(f"{name}: {'ok' if good else 'FAILED'} ({time.monotonic() - began:.1f} s)")
    if not good:
        click.echo(done.stdout.decode("utf-8", "replace"))
    return good
