"""Kill -9 of every part while readings flow: nothing is lost or doubled, and a client of the socket sees the truth again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.kit import brokers
from tests.load import CITY, Published, Publisher, Watcher, write_city
from tests.running import Running

pytestmark = pytest.mark.alone

SENSORS = 200
RATE = 400
PARTS = ("rules", "history", "alerts", "gateway", "ingest", "postgres", "kafka")
SERVICES = ("ingest", "rules", "history", "alerts", "gateway")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("kills")
    write_city(folder / "city", SENSORS)
    with Running(folder, city=folder / "city").until_done() as running:
        yield running


async def _ready(running: Running) -> bool:
    async with httpx.AsyncClient(timeout=2) as client:
        for service in SERVICES:
            try:
                response = await client.get(f"http://127.0.0.1:{running.run['ports'][service + '_admin']}/readyz")
            except httpx.TransportError:
                return False
            if response.status_code != 200:
                return False
    return True


async def _until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        assert loop.time() < deadline, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.1)


async def _started_again(running: Running, name: str, before: int) -> bool:
    return bool(running.run["pids"].get(name, before) != before)


async def _kill_each(running: Running) -> None:
    for name in PARTS:
        before = running.run["pids"][name]
        running.kill(name)
        await _until(partial(_started_again, running, name, before), f"{name} to be started again")
        await _until(partial(_ready, running), f"all to be ready after {name} was killed")
        await asyncio.sleep(1)


async def test_nothing_is_lost_or_doubled_whatever_is_killed(running: Running) -> None:
    publisher = Publisher(running.ingest_url, running.keys["water"], SENSORS)
    async with Watcher(running.live_url, running.tokens[CITY], CITY).watching() as watcher:
        await _publish_through_kills(running, publisher)
        await _check_stored(running, publisher.published)
        await _until(partial(_sees, watcher, publisher.published.open), "the old client's view to be right")
        assert watcher.sessions > 1
    async with Watcher(running.live_url, running.tokens[CITY], CITY).watching() as fresh:
        assert await _sees(fresh, publisher.published.open)


async def _publish_through_kills(running: Running, publisher: Publisher) -> None:
    publishing = asyncio.create_task(publisher.run(RATE, 600))
    await asyncio.sleep(2)
    await _kill_each(running)
    publisher.stop()
    await publishing
    assert len(publisher.published.changes) > 50


async def _check_stored(running: Running, published: Published) -> None:
    connection = await asyncpg.connect(running.database)
    try:
        expected = {
            "history.observations": len(published.identities),
            "history.warnings": len(published.changes),
        }
        for table, rows in expected.items():
            await _until(partial(_holds, connection, table, rows), f"{rows} rows in {table}")
        observations = await connection.fetch("select sensor, (extract(epoch from ended_at) * 1000000)::bigint as ended from history.observations")
        warnings = [json.loads(row["body"]) for row in await connection.fetch("select body from history.warnings order by id, rev")]
        newest = {warning["id"]: warning["rev"] for warning in warnings}
        await _until(partial(_taken_in, connection, newest), "alerts to know the newest revision of each warning")
        await _until(partial(_holds, connection, _UNTOLD, 0), "each open red warning to be told")
    finally:
        await connection.close()

    assert {(row["sensor"], row["ended"]) for row in observations} == published.identities
    assert Counter(warning["evidence"]["observation"] for warning in warnings) == dict.fromkeys(published.changes, 1)
    assert {warning["evidence"]["observation"]: warning["change"] for warning in warnings} == published.changes
    revisions: dict[str, list[int]] = {}
    for warning in warnings:
        revisions.setdefault(warning["id"], []).append(warning["rev"])
    assert all(revs == list(range(1, len(revs) + 1)) for revs in revisions.values())
    assert await _on_topic(running, "city.warnings") == {(warning["id"], warning["rev"]) for warning in warnings}


_UNTOLD = """
alerts.warnings w where w.open and w.gravity = 4
and not exists (select from alerts.members m join alerts.notifications n on n.alert = m.alert where m.warning = w.id and m.told = 4)
"""


async def _taken_in(connection: asyncpg.Connection, newest: dict[str, int]) -> bool:
    return {str(row["id"]): row["rev"] for row in await connection.fetch("select id, rev from alerts.warnings")} == newest


async def _holds(connection: asyncpg.Connection, table: str, rows: int) -> bool:
    return bool(await connection.fetchval(f"select count(*) from {table}") == rows)


async def _sees(watcher: Watcher, sensors: set[str]) -> bool:
    return {warning["sensor"] for warning in watcher.open.values()} == sensors


async def _on_topic(running: Running, topic: str) -> set[tuple[str, int]]:
    """Return (id, rev) of all records of the topic."""
    consumer = AIOKafkaConsumer(**brokers.clients(running.run["kafka"]), auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer.topics()
        tps = [TopicPartition(topic, partition) for partition in range(24)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        found: set[tuple[str, int]] = set()
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    body = json.loads(record.value)
                    found.add((body["id"], body["rev"]))
        return found
    finally:
        await consumer.stop()


def test_the_supervisor_said_what_it_did(running: Running) -> None:
    log = running.log.read_text()
    for name in PARTS:
        assert f"{name} has ended" in log
    assert Path(running.run["data"]).exists()
