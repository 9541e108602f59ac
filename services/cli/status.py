"""`./tongguan status`: how a running `up` is, by its run.json and by what each service says of itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from services.cli import folder, probe
from services.cli.findings import Finding, Grade
from services.cli.ports import ADMIN
from services.kit.clock import SystemClock

_LAG = "tongguan_lag_records"
_HIGH_LAG = 10_000
"""Records: some seconds' work for one service."""
_OK = 200
_FRESH = timedelta(minutes=10)
"""So long a restart counts as something that is not well; afterwards it is only told."""


@dataclass(frozen=True, slots=True)
class Running:
    """One `up` that runs, or is starting."""

    data: Path
    pid: int
    run: Mapping[str, Any]
    findings: Sequence[Finding]


def find(data: Path | None) -> list[Path]:
    """Return the folders in use: the one named, or the throwaway ones of this user."""
    folders = [data.expanduser().absolute()] if data else folder.throwaways()
    return [path for path in folders if folder.running_pid(path) is not None]


def ask(data: Path) -> Running:
    """Return how the `up` on this folder is."""
    pid = folder.running_pid(data) or 0
    run = _run(data)
    if not run.get("ready"):
        return Running(data, pid, run, [Finding("up", Grade.WARN, "is starting", f"its words are in {data / 'logs'}")])
    return Running(data, pid, run, [*_processes(run), *asyncio.run(_services(run))])


def _run(data: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((data / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _processes(run: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield servers and feeds, which have no word of their own: whether they run, and how often they were started again."""
    for name, restarts in run["restarts"].items():
        if name in ADMIN:
            continue
        pid = run["pids"].get(name)
        if pid is None:
            yield Finding(name, Grade.BAD, f"does not run{_again(restarts)}", f"see {run['data']}/logs/{name}.log")
        else:
            yield Finding(name, _steadiness(name, run), f"runs as pid {pid}{_again(restarts)}")


def _steadiness(name: str, run: Mapping[str, Any]) -> Grade:
    """Return how a process that runs is graded for its restarts."""
    last = run.get("restarted_at", {}).get(name)
    return Grade.WARN if last and SystemClock().now() - datetime.fromisoformat(last) < _FRESH else Grade.OK


def _again(restarts: int) -> str:
    return f", was started again {restarts} times" if restarts else ""


async def _services(run: Mapping[str, Any]) -> list[Finding]:
    present = [room for room in ADMIN if room in run["restarts"]]
    return list(await asyncio.gather(*(_service(room, run) for room in present)))


async def _service(room: str, run: Mapping[str, Any]) -> Finding:
    port, again = run["ports"][f"{room}_admin"], _again(run["restarts"][room])
    log = f"see {run['data']}/logs/{room}.log"
    answered = await probe.status(port, "/readyz")
    if answered is None:
        return Finding(room, Grade.BAD, f"does not answer{again}", log)
    if answered != _OK:
        return Finding(room, Grade.BAD, f"is not ready{again}: {await probe.body(port, '/readyz')}", log)
    lag = _lag(await probe.body(port, "/metrics"))
    waits = "" if lag is None else f", {lag} records wait"
    if (lag or 0) > _HIGH_LAG:
        return Finding(
            room, Grade.WARN, f"is ready{again}{waits}", "it is behind: if that number does not fall, this machine is too slow for the load"
        )
    return Finding(room, _steadiness(room, run), f"is ready{again}{waits}")


def _lag(metrics: str) -> int | None:
    samples = [sample.value for family in text_string_to_metric_families(metrics) if family.name == _LAG for sample in family.samples]
    return int(sum(samples)) if samples else None
