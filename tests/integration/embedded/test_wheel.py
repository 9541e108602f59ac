"""What is installed by `pip install`: the wheel, with the pages built into it, working without the tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run((sys.executable, "-m", "services.cli", "pages"), cwd=ROOT, check=True, timeout=200)
    subprocess.run((sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)), cwd=ROOT, check=True, timeout=60)
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_the_pages_and_the_data_and_nothing_of_the_workshop(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "services/gateway/page/index.html" in names
    assert any(name.startswith("services/gateway/page/assets/") and name.endswith(".js") for name in names)
    for path in (*ROOT.glob("cities/**/*.yaml"), *ROOT.glob("schemas/**/*.yaml"), *ROOT.glob("services/*/migrations/*.sql")):
        assert str(path.relative_to(ROOT)) in names
    assert not [name for name in names if name.startswith(("web/", "tests/", "deploy/")) or "node_modules" in name]


def test_installed_without_the_tree_it_finds_its_pages_and_its_city(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    done = subprocess.run(
        (sys.executable, "-P", "-m", "services.cli", "doctor", "--port-base", "0", "--json"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = {finding["name"]: finding["says"] for finding in json.loads(done.stdout)["findings"]}
    assert told["pages"] == "part of this installation"
    assert told["city"].startswith("兰州市 (620100): ")
