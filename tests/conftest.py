"""What all tests share: the marker of each folder, real servers for those who ask, and no quiet skipping in CI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PARTS = {
    "unit": "no server, no network, milliseconds",
    "contract": "one suite for the double and for the real server",
    "integration": "the real Kafka and PostgreSQL",
    "browser": "the real page in a real browser",
    "chaos": "the whole platform while its parts are killed",
}
NEVER_SKIPPED_IN_CI = {"contract", "integration", "browser", "chaos"}
START_S = 180


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in PARTS.items():
        config.addinivalue_line("markers", f"{name}: {meaning} (given by the folder)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        part = item.path.relative_to(ROOT / "tests").parts[0]
        if part in PARTS:
            item.add_marker(part)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test of a real server that is skipped where everything must run has failed."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        part = item.path.relative_to(ROOT / "tests").parts[0]
        if part in NEVER_SKIPPED_IN_CI:
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI does not allow for {part} tests: {report.longrepr}"
    return report


@dataclass(frozen=True)
class Servers:
    """A real Kafka and PostgreSQL, migrated and with all topics."""

    kafka: str
    database: str
    run: dict[str, Any]
    data: Path


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers of this test session, started by the same command that people use."""
    folder = tmp_path_factory.mktemp("servers")
    log, run_file = folder / "up.log", folder / "run.json"
    argv = (sys.executable, "-m", "services.cli", "up", "--servers-only", "--port-base", "0", "--run-file", str(run_file))
    with log.open("wb") as output:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        run = _wait_ready(process, run_file, log)
        yield Servers(kafka=run["kafka"], database=run["database"], run=run, data=Path(run["data"]))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=15)


def _wait_ready(process: subprocess.Popen[bytes], run_file: Path, log: Path) -> dict[str, Any]:
    """Return what `run.json` says once it says ready."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        run: dict[str, Any] = json.loads(run_file.read_text()) if run_file.exists() else {}
        if run.get("ready"):
            return run
        time.sleep(0.1)
    raise AssertionError(f"the servers did not start:\n{log.read_text()}")
