"""Rules through kill -9: what stands on `city.warnings` is what the oracle tells, whenever the process dies."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schemas import wire
from services.kit.producer import Producer
from services.kit.topics import WARNINGS
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import partition_for, publish_records, write_city
from tests.unit.rules.histories import HERE, THERE, activation, changed, name, reading, rule, sensor, tick, way
from tests.unit.rules.oracle import Oracle, Told

SENSORS = 12
"""Of each street."""
SECONDS = 90
"""How long the story is, by its own clock."""
VALUES = (0.0, 40.0, 65.0, 75.0, 85.0, 95.0)
COUNTED = {"blue": (way(60), way(50)), "yellow": (way(70, 2), way(65)), "orange": (way(80, 2), way(75, 2)), "red": (way(90), way(85))}
LASTING = {"blue": (way(60, dwell=5), way(50, dwell=3)), "yellow": (way(80, dwell=8), way(70))}


def story(street: str, seed: int) -> list[list[wire.Record]]:
    """Return what comes in each second: readings of all sensors with some late and some twice, ticks, and changes of rules and sensors."""
    dice = random.Random(seed)
    first = rule(COUNTED, "counted")
    names = [f"{street}-{at}" for at in range(SENSORS)]
    seconds: list[list[wire.Record]] = [[*(sensor(one, street=street) for one in names), activation(first), activation(rule(LASTING, "lasting"))]]
    values = dict.fromkeys(names, 0.0)
    for second in range(1, SECONDS):
        records: list[wire.Record] = []
        for one in names:
            if dice.random() < 0.4:
                values[one] = dice.choice(VALUES)
            late = 4 if dice.random() < 0.05 else 0
            new = reading(second + dice.random() / 2 - late, sensor=one, street=street, flow=values[one])
            records += [changed(new, id=f"{one}@{second}")] * (2 if dice.random() < 0.05 else 1)
        records.append(tick(second))
        if second == SECONDS // 3:
            records.append(activation(rule(COUNTED, "counted", 2, name=name("another text")), meaning=1))
        if second == SECONDS // 2:
            records.append(activation(rule({"orange": (way(70, dwell=4), way(45))}, "lasting", 2)))
            records.append(sensor(names[0], 2, street=THERE if street == HERE else HERE))
        seconds.append(records)
    seconds.append([tick(SECONDS + extra) for extra in range(20)])
    return seconds


def expected(records: list[wire.Record]) -> dict[tuple[str, int], Told]:
    oracle = Oracle()
    return {(told["id"], told["rev"]): told for record in records for told in oracle.take(record)}


@pytest.fixture
def run(servers: Servers, database: str, tmp_path: Path, start: Callable[..., Service]) -> Callable[[], Service]:
    city = write_city(tmp_path / "city")

    def again() -> Service:
        return start("rules", TONGGUAN_KAFKA=servers.kafka, TONGGUAN_DATABASE=database, TONGGUAN_CITY=str(city), TONGGUAN_RULES__SNAPSHOT_S="0.5")

    return again


async def test_warnings_are_those_of_the_oracle_whenever_rules_is_killed(
    servers: Servers, pool: asyncpg.Pool, producer: Producer, run: Callable[[], Service]
):
    stories = {partition_for(street): story(street, seed) for seed, street in enumerate((HERE, THERE))}
    wanted: dict[tuple[str, int], Told] = {}
    for seconds in stories.values():
        wanted |= expected([record for records in seconds for record in records])
    assert len(wanted) > 500
    dice = random.Random(7)
    tape = await Tape.of(servers.kafka, WARNINGS)

    async def publish() -> None:
        for second in range(SECONDS + 1):
            await asyncio.gather(*(publish_records(producer, partition, seconds[second]) for partition, seconds in stories.items()))
            await asyncio.sleep(0.25)

    first = run()
    await first.ready()
    publishing = asyncio.create_task(publish())
    await asyncio.sleep(dice.uniform(0.5, 1.5))
    first.kill()
    second = run()
    await second.ready()
    await asyncio.sleep(dice.uniform(0.1, 0.6))
    # Stopped for longer than its session, it wakes up as a zombie, while another owns what it thinks is its own.
    second.process.send_signal(signal.SIGSTOP)
    third = run()
    await third.ready()
    second.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(dice.uniform(0.5, 1.0))
    third.kill()
    await publishing
    await second.ready()
    second.kill()
    last = run()
    await last.ready()

    async def complete() -> bool:
        return bool(
            await pool.fetchval("select count(*) from rules.warnings") >= len(wanted) and not await pool.fetchval("select count(*) from rules.outbox")
        )

    await eventually(complete, f"{len(wanted)} revisions")
    found: dict[tuple[str, int], Told] = {}
    for record in await tape.records():
        body: dict[str, Any] = json.loads(record.value or b"")
        assert record.key == body["subject"].encode()
        key = body["id"], body["rev"]
        assert found.setdefault(key, body) == body
        assert body["rev"] == 1 or (body["id"], body["rev"] - 1) in found
    assert found.keys() == wanted.keys()
    assert found == wanted
    assert last.stop() == 0
    assert last.events("crashed") == []
