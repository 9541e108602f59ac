"""What all tests share: the marker of each folder, lanes side by side, and no quiet skipping in CI."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import lanes

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

ROOT = Path(__file__).parents[1]
PARTS = {
    "unit": "no server, no network, milliseconds",
    "contract": "one suite for the double and for the real server",
    "integration": "the real Kafka and PostgreSQL",
    "browser": "the real page in a real browser",
    "chaos": "the whole platform while its parts are killed",
}
NEVER_SKIPPED_IN_CI = {"contract", "integration", "browser", "chaos"}
MAY_BE_SKIPPED = "may_be_skipped_in_ci"


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in PARTS.items():
        config.addinivalue_line("markers", f"{name}: {meaning} (given by the folder)")
    config.addinivalue_line(
        "markers", f"{MAY_BE_SKIPPED}(why): the one exception to that no test of such a part is skipped in CI; told aloud at the end"
    )
    config.addinivalue_line("markers", "alone: not beside others: its seconds must be its own")
    if lane := os.environ.get("PYTEST_XDIST_WORKER"):
        held = ExitStack()
        config.add_cleanup(held.close)
        held.enter_context(lanes.own_ports(int(lane.removeprefix("gw"))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Give the files to the lanes in their order, each whole."""
    from xdist.scheduler import LoadFileScheduling

    class InUnits(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return lanes.unit_of(nodeid)

    return InUnits(config, log)


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
        if (exception := item.get_closest_marker(MAY_BE_SKIPPED)) is not None:
            report.user_properties.append((MAY_BE_SKIPPED, exception.args[0]))
        elif part in NEVER_SKIPPED_IN_CI:
            report.outcome = "failed"
            report.longrepr = f"skipped, which CI does not allow for {part} tests: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("skipped"):
        for why in (value for name, value in report.user_properties if name == MAY_BE_SKIPPED):
            terminalreporter.write_sep("!", f"NOT TESTED in CI: {report.nodeid}: {why}", red=True)
            terminalreporter.write_line(str(report.longrepr))
