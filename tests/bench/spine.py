"""From a department's request to a live screen: `./tongguan bench spine [--rate N] [--seconds S] [--sensors N]`.

Starts everything in a fresh folder, publishes observations of 4 metrics over HTTP as one department does (one request after another), of which one
in a hundred exceeds a limit, watches the city's live socket, and counts what is stored. Publish to socket is from the begin of the request that
carries the deciding observation to the arrival of its frame. One JSON line comes last; the exit code is 1 when anything was lost or not seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import psutil

from tests.load import CITY, Publisher, Watcher, write_city
from tests.running import Running

SETTLE_S = 60.0


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; `argv` is what follows `bench spine`."""
    parser = argparse.ArgumentParser(prog="tongguan bench spine")
    parser.add_argument("--rate", type=float, default=1_000, help="observations a second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--sensors", type=int, default=1_000)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="tongguan-bench-") as folder:
        city = Path(folder) / "city"
        write_city(city, options.sensors)
        print("starting the platform in a fresh folder …", flush=True)
        with Running(Path(folder), city=city).until_done() as running:
            result = asyncio.run(_measure(running, options.rate, options.seconds, options.sensors))
    print(json.dumps(result))
    good = result["stored"] == result["published"] and result["warnings_seen_live"] == result["warnings_expected"] == result["warnings_stored"]
    return 0 if good else 1


async def _measure(running: Running, rate: float, seconds: float, sensors: int) -> dict[str, object]:
    async with Watcher(running.live_url, running.tokens[CITY], CITY).watching() as watcher:
        return await _published_and_seen(running, watcher, rate, seconds, sensors)


async def _published_and_seen(running: Running, watcher: Watcher, rate: float, seconds: float, sensors: int) -> dict[str, object]:
    publisher = Publisher(running.ingest_url, running.keys["water"], sensors)
    before, own_before, begun = running.cpu(), _own_cpu(), time.monotonic()
    print(f"ready after {running.run['ready_s']} s; publishing {rate:g} observations/s for {seconds:g} s …", flush=True)
    await publisher.run(rate, seconds)
    took = time.monotonic() - begun
    published = publisher.published
    expected = set(published.changes)
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and not (expected <= watcher.seen_at.keys() and await _stored(running) >= len(published.identities)):
        await asyncio.sleep(0.25)
    settled = time.monotonic() - begun - took
    after = running.cpu()
    cpu = {name: round(after[name] - before.get(name, 0.0), 2) for name in sorted(after)} | {"bench": round(_own_cpu() - own_before, 2)}
    stored, warnings, opened = await _stored(running), *(await _warnings(running))
    latencies = sorted((watcher.seen_at[event] - published.sent_at[event]) * 1000 for event in expected & watcher.seen_at.keys())
    return {
        "bench": "spine",
        "rate": rate,
        "seconds": seconds,
        "sensors": sensors,
        "ready_s": running.run["ready_s"],
        "published": len(published.identities),
        "published_per_s": round(len(published.identities) / took),
        "settled_s": round(settled, 2),
        "stored": stored,
        "warnings_expected": len(expected),
        "warnings_stored": warnings,
        "warnings_seen_live": len(expected & watcher.seen_at.keys()),
        "open_expected": len(published.open),
        "open_stored": opened,
        "open_live": len(watcher.open),
        **_percentiles(latencies),
        "repeated_requests": published.repeated,
        "cpu_s": cpu,
    }


def _percentiles(latencies: Sequence[float]) -> dict[str, float | None]:
    if len(latencies) < 2:
        return {"p50_ms": None, "p99_ms": None, "max_ms": None}
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1), "max_ms": round(latencies[-1], 1)}


async def _stored(running: Running) -> int:
    """Return how many identities history holds."""
    return int(await _ask(running, "select count(*) from history.observations"))


async def _warnings(running: Running) -> tuple[int, int]:
    revisions = await _ask(running, "select count(*) from history.warnings")
    return int(revisions), int(await _ask(running, "select count(*) from history.warnings_now where open"))


async def _ask(running: Running, query: str) -> int:
    connection = await asyncpg.connect(running.database)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


def _own_cpu() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
