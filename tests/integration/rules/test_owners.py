"""Several owners share the partitions of two topics; whatever the group does, what is told is what one undisturbed run tells."""

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
from schemas.control import SensorRecord
from schemas.sensor import Sensor
from services.kit.producer import Producer
from services.kit.topics import WARNINGS
from services.rules.domain.step import Partition
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import partition_for, publish_records, write_city
from tests.unit.rules.histories import activation, name, reading, rule, tick, way

STREETS = [f"9901{at:05}" for at in range(1, 17)]
SENSORS = 5
"""Of each street."""
SECONDS = 120
"""How long the story is, by its own clock."""
PACE_S = 0.15
"""How fast it is told."""
PARTITIONS = 48
"""Of both topics."""
RULES = [
    rule({"blue": (way(60), way(50)), "yellow": (way(70, 2), way(65)), "red": (way(90), way(85))}, "counted"),
    rule({"yellow": (way(80, dwell=5), way(70, dwell=3))}, "lasting"),
]

Told = dict[tuple[str, int], dict[str, Any]]


def control(street: str) -> list[wire.Record]:
    metrics = {"flow": {"unit": "1", "name": name("flow")}}
    sensors = [
        Sensor.model_validate(
            {"id": f"{street}-{at}", "name": name(f"{at}"), "domain": "water", "department": "d", "street": street, "metrics": metrics}
        )
        for at in range(SENSORS)
    ]
    return [wire.of_sensor(SensorRecord(sensor=one, path=(street, "990100", "990000"))) for one in sensors]


def story() -> list[dict[int, list[wire.Record]]]:
    """Return what comes in each second in each partition: readings with some late and some twice, and a tick."""
    dice = random.Random(5)
    streets: dict[int, list[str]] = {}
    for street in STREETS:
        streets.setdefault(partition_for(street), []).append(street)
    rules = [activation(one) for one in RULES]
    first = {at: [record for street in some for record in control(street)] + rules for at, some in streets.items()}
    return [first, *({at: _second(dice, some, second) for at, some in streets.items()} for second in range(1, SECONDS))]


def _second(dice: random.Random, streets: list[str], second: int) -> list[wire.Record]:
    records: list[wire.Record] = []
    for street in streets:
        for at in range(SENSORS):
            late = 4 if dice.random() < 0.05 else 0
            one = reading(second + dice.random() / 2 - late, sensor=f"{street}-{at}", street=street, flow=dice.choice((0.0, 65.0, 75.0, 85.0, 95.0)))
            records += [one] * (2 if dice.random() < 0.05 else 1)
    return [*records, tick(second)]


def undisturbed(seconds: list[dict[int, list[wire.Record]]]) -> Told:
    partitions = {at: Partition() for at in seconds[0]}
    outputs = [
        json.loads(one.json())
        for second in seconds
        for at, records in second.items()
        for record in records
        for one in partitions[at].step(wire.decode(wire.encode(record)))[1]
    ]
    return {(one["id"], one["rev"]): one for one in outputs}


@pytest.fixture
def run(servers: Servers, database: str, tmp_path: Path, start: Callable[..., Service]) -> Callable[[], Service]:
    city = write_city(tmp_path / "city")

    def again() -> Service:
        return start("rules", TONGGUAN_KAFKA=servers.kafka, TONGGUAN_DATABASE=database, TONGGUAN_CITY=str(city), TONGGUAN_RULES__SNAPSHOT_S="0.5")

    return again


def assignments(owner: Service) -> list[int]:
    """Return how many partitions it was given, each time."""
    return [event["partitions"] for event in owner.events("assigned")]


async def shared(*owners: Service) -> None:
    """Return once these have all partitions among them."""

    async def have_all() -> bool:
        given = [assignments(owner) for owner in owners]
        return all(given) and sum(one[-1] for one in given) == PARTITIONS and all(one[-1] for one in given)

    await eventually(have_all, "the partitions to be shared")


async def test_owners_come_hang_and_die_and_nothing_is_lost_or_doubled(
    servers: Servers, pool: asyncpg.Pool, producer: Producer, run: Callable[[], Service]
):
    seconds = story()
    wanted = undisturbed(seconds)
    assert len(wanted) > 2_000
    tape = await Tape.of(servers.kafka, WARNINGS)

    async def publish() -> None:
        for second in seconds:
            await asyncio.gather(*(publish_records(producer, at, records) for at, records in second.items()))
            await asyncio.sleep(PACE_S)

    first, second = run(), run()
    await shared(first, second)
    publishing = asyncio.create_task(publish())
    await asyncio.sleep(2)

    third = run()  # a rebalance in the middle of the load
    await shared(first, second, third)

    # Stopped for longer than its session, it wakes up as a zombie, while others own what it thinks is its own.
    before = len(assignments(second))
    second.process.send_signal(signal.SIGSTOP)
    await shared(first, third)
    assert not publishing.done()
    second.process.send_signal(signal.SIGCONT)

    async def is_back() -> bool:
        return len(assignments(second)) > before

    await eventually(is_back, "the zombie to join again")
    await shared(first, second, third)

    first.kill()
    await shared(second, third)
    await publishing

    async def complete() -> bool:
        return await pool.fetchval("select count(*) from rules.warnings") >= len(wanted) and not await pool.fetchval(
            "select count(*) from rules.outbox"
        )

    await eventually(complete, f"{len(wanted)} revisions")
    found: Told = {}
    for record in await tape.records():
        body = json.loads(record.value or b"")
        assert found.setdefault((body["id"], body["rev"]), body) == body
        assert body["rev"] == 1 or (body["id"], body["rev"] - 1) in found
    assert found.keys() == wanted.keys()
    assert found == wanted
    kept = await pool.fetch("select id, rev, body from rules.warnings")
    assert {(str(row["id"]), row["rev"]): json.loads(row["body"]) for row in kept} == wanted
    for owner in (second, third):
        assert owner.events("crashed") == []
        assert owner.stop() == 0
