"""On a machine without Node.js one is fetched, once, and its npm works, though the package's own shim does not."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli import nodejs
from services.kit.embedded.command import run_logged


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cache"
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # 200 MB that pytest would keep


def test_a_node_is_fetched_once_for_two_who_ask_at_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tools))
    told: list[str] = []

    async def both() -> list[nodejs.Node]:
        asked = (nodejs.find_or_get(cache, lambda command: run_logged(command, tmp_path / "log"), told.append) for _ in range(2))
        return await asyncio.gather(*asked)

    first, second = asyncio.run(both())
    assert first == second
    assert sum("getting one" in line for line in told) == 1
    version = subprocess.run((*first.npm, "--version"), env=first.environment(), capture_output=True, text=True, check=True, timeout=60)
    assert int(version.stdout.split(".")[0]) >= 10
    script = subprocess.run(
        (*first.npm, "exec", "--offline", "--call", "node --version"),
        env=first.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert script.stdout.strip() == f"v{nodejs.PACKAGE.rpartition('=')[2]}"
    assert not os.environ["PATH"].startswith(str(first.node.parent))  # ours is left as it was
