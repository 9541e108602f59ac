"""Stopping, with Ctrl-C or with kill -9 of the supervisor, leaves no process; a second `up` on the same folder goes on where the first stopped."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.load import CITY, Publisher, Watcher, write_city
from tests.running import Running

SENSORS = 50


def _left(pids: list[int], begun: float) -> list[str]:
    """Return what still runs of some processes (a number may be another's by now)."""
    left: list[str] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.create_time() <= begun and process.status() != psutil.STATUS_ZOMBIE:
                left.append(f"{pid} {process.name()}")
        except psutil.NoSuchProcess:
            continue
    return left


async def _stored(running: Running) -> int:
    connection = await asyncpg.connect(running.database)
    try:
        return int(await connection.fetchval("select count(*) from history.observations"))
    finally:
        await connection.close()


async def _open_now(running: Running) -> set[str]:
    async with Watcher(running.live_url, running.tokens[CITY], CITY).watching() as watcher:
        return {warning["sensor"] for warning in watcher.open.values()}


def _interrupt(running: Running) -> None:
    assert running.stop() == 0


def _kill(running: Running) -> None:
    running.process.send_signal(signal.SIGKILL)
    running.stop()


@pytest.mark.parametrize("end", [_interrupt, _kill], ids=["Ctrl-C", "kill -9 of the supervisor"])
def test_a_second_start_goes_on_where_the_first_stopped(end: Callable[[Running], None], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("again")
    write_city(folder / "city", SENSORS)
    data = Path("/var/lib") / f"tongguan-test-{folder.name}-{time.monotonic_ns()}" if psutil.Process().uids().real == 0 else folder / "data"
    first = Running(folder, city=folder / "city", data=data)
    try:
        first.wait_ready()
        publisher = Publisher(first.ingest_url, first.keys["water"], SENSORS, exceeds_each=10)
        asyncio.run(publisher.run(400, 3))
        tokens, keys = first.tokens, first.keys
        run = first.run
        pids = [run["pid"], *run["pids"].values()]
        pids += [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]
        begun = time.time()  # noqa: TID251 - compared with the kernel's
    finally:
        end(first)
    deadline = time.monotonic() + 10
    while (left := _left(pids, begun)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []

    second = Running(folder, city=folder / "city", data=data)
    try:
        second.wait_ready()
        assert (second.tokens, second.keys) == (tokens, keys)
        second.wait_for(lambda: asyncio.run(_stored(second)) == len(publisher.published.identities), "all that was acknowledged to be stored", 60)
        second.wait_for(lambda: asyncio.run(_open_now(second)) == publisher.published.open, "the open warnings of before", 30)
        publisher.moved(second.ingest_url)
        asyncio.run(publisher.run(400, 6))
        second.wait_for(lambda: asyncio.run(_stored(second)) == len(publisher.published.identities), "the new readings to be stored", 60)
        second.wait_for(lambda: asyncio.run(_open_now(second)) == publisher.published.open, "the open warnings of now", 30)
    finally:
        second.stop()
        shutil.rmtree(data, ignore_errors=True)
