"""The registry while it is used: sensors registered, moved, imported and linked on every node, in the order that rules need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schemas import sheet, wire
from schemas.command import Within
from schemas.control import SensorRecord
from schemas.outcome import Outcome
from schemas.partitioner import partition_of
from schemas.registration import FaultCode, Registration
from schemas.sensor import Life, Sensor
from services.ingest.domain.accept import Sender
from services.ingest.door import Door
from services.ingest.intake import Request
from services.kit.producer import Producer
from services.kit.topics import OBSERVATIONS, SENSORS
from tests.integration.ingest.conftest import observation
from tests.integration.parts import Servers, Tape, eventually
from tests.integration.registrar import CLOCK, PARTITIONS, Registrar, registrar
from tests.integration.rooms import write_city
from tests.unit.gateway.city import DISTRICT, OTHER_DISTRICT, OTHER_STREET, SIBLING, STREET, sensor


@pytest.fixture
async def node(servers: Servers, pool: asyncpg.Pool, producer: Producer, tmp_path: Path) -> AsyncIterator[Registrar]:
    boundaries = tmp_path / "boundaries.geojson"
    boundaries.write_text(json.dumps({"type": "FeatureCollection", "features": [square(DISTRICT, 104), square(OTHER_DISTRICT, 105)]}))
    await pool.execute("truncate ingest.sensors, ingest.outbox, ingest.sensor_health")
    async with registrar(servers.kafka, pool, producer, write_city(tmp_path / "city"), boundaries) as opened:
        yield opened


def square(code: str, west: int) -> dict[str, Any]:
    ring = [[west, 36], [west + 1, 36], [west + 1, 37], [west, 37], [west, 36]]
    return {"type": "Feature", "properties": {"code": code}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


async def readings(node: Registrar, id_: str) -> list[str]:
    """Send a reading of a sensor; returns why it is refused."""
    body = json.dumps(observation(id_)).encode()
    answer = await node.intake.take(Request(body, "application/cloudevents+json", {}, Sender("d"), "10.0.0.1"), Door("http", "n1", CLOCK))
    return [one.problem.code for one in answer.refused]


def faults(detail: dict[str, Any]) -> list[FaultCode]:
    return [one.code for one in Registration.model_validate(detail).faults]


async def test_a_sensor_is_known_to_its_street_then_to_all_nodes_and_a_retired_one_is_heard_no_more(node: Registrar, servers: Servers):
    tape, registry = await Tape.of(servers.kafka, OBSERVATIONS), await Tape.of(servers.kafka, SENSORS)
    assert await readings(node, "r1") == ["unknown_sensor"]
    begun = CLOCK.now()
    assert (await node.change(sensor("r1"))).outcome is Outcome.APPLIED

    async def taken() -> bool:
        return await readings(node, "r1") == []

    await eventually(taken, "the reading to be accepted")
    assert CLOCK.now() - begun < timedelta(seconds=5), "a second or so, and this machine may be busy"
    await node.change(sensor("r1", SIBLING, 2))
    moved = await tape.until(lambda records: len(controls(records)) == 3, "the control records")
    first = {record.partition: record.offset for record in moved if isinstance(wire.decode(record.value), wire.Observation)}
    told = controls(moved)
    assert [(one.version, one.street) for _, one in told if one.version == 1] == [(1, STREET)]
    assert {(partition, one.version, one.street) for partition, one in told if one.version == 2} == {
        (partition_of(street.encode(), PARTITIONS), 2, SIBLING) for street in (STREET, SIBLING)
    }
    record = min((each for each in moved if each.partition in first), key=lambda each: each.offset)
    assert isinstance(wire.decode(record.value), wire.Sensor), "the record comes before the first reading"
    assert SensorRecord.model_validate_json(told[-1][1].body).path[0] == SIBLING
    assert [Sensor.model_validate_json(one.value).version for one in await registry.records()] == [1, 2]

    async def refused() -> bool:
        return await readings(node, "r1") == ["retired"]

    await node.change(sensor("r1", SIBLING, 3).model_copy(update={"life": Life.RETIRED}))
    await eventually(refused, "the reading to be refused")


def controls(records: list[Any]) -> list[tuple[int, wire.Sensor]]:
    decoded = ((record.partition, wire.decode(record.value)) for record in records)
    return [(partition, one) for partition, one in decoded if isinstance(one, wire.Sensor) and one.sensor == "r1"]


async def test_who_changes_what_was_changed_meanwhile_is_told_what_is_there(node: Registrar):
    assert (await node.change(sensor("c1"))).outcome is Outcome.APPLIED
    again = await node.change(sensor("c1"))
    assert (again.outcome, again.detail["unchanged"]) == (Outcome.ALREADY, 1)
    assert (await node.change(sensor("c1", version=2).model_copy(update={"station": "x"}))).outcome is Outcome.APPLIED
    late = await node.change(sensor("c1", version=2).model_copy(update={"station": "y"}))
    assert (late.outcome, faults(late.detail), late.detail["there"]["station"]) == (Outcome.REFUSED, [FaultCode.CHANGED], "x")
    foreign = await node.change(sensor("c1", OTHER_STREET, 3), Within(region=OTHER_DISTRICT))
    assert (foreign.outcome, faults(foreign.detail), foreign.detail["there"]) == (Outcome.REFUSED, [FaultCode.NOT_YOURS], None)


HEAD = "id,name_zh,domain,department,street,longitude,latitude,metric.flow.unit,link\n"


async def test_a_file_is_previewed_then_applied_whole_or_not_at_all(node: Registrar, pool: asyncpg.Pool, servers: Servers):
    bad = f"{HEAD}f1,甲,water,d,{STREET},,,L/s,\nf2,乙,water,d,,104.5,36.5,L/s,\nf3,丙,water,d,{STREET},105.5,36.5,L/s,\n".encode()
    refused = await node.bring(bad)
    assert (refused.outcome, faults(refused.detail)) == (Outcome.REFUSED, [FaultCode.REGION] * 2)
    assert [one["row"] for one in refused.detail["faults"]] == [3, 4]
    assert await pool.fetchval("select count(*) from ingest.sensors") == 0

    good = f"{HEAD}f1,甲,water,d,{STREET},104.5,36.5,L/s,hj212 M1 w00000=flow[m3/h]\nf2,乙,water,d,{SIBLING},,,L/s,\n".encode("gbk")
    preview = await node.bring(good, system="gcj02", dry_run=True)
    assert (preview.outcome, preview.detail["new"], preview.detail["faults"]) == (Outcome.PREVIEWED, 2, [])
    assert await pool.fetchval("select count(*) from ingest.sensors") == 0
    tape = await Tape.of(servers.kafka, SENSORS)
    assert (await node.bring(good, system="gcj02")).outcome is Outcome.APPLIED

    async def linked() -> bool:
        return bool(node.registry.heard_by("hj212", "M1"))

    await eventually(linked, "the link")
    (known,) = node.registry.heard_by("hj212", "M1")
    assert known.words["w00000"].to(3.6) == pytest.approx(1.0)
    assert known.sensor.longitude == pytest.approx(104.498, abs=0.002)
    assert known.sensor.longitude != 104.5
    assert len(await tape.records()) == 2

    exported = sheet.write_geojson([one.sensor for one in node.registry if one.sensor.id in {"f1", "f2"}])
    same = await node.bring(exported, form="geojson")
    assert (same.outcome, same.detail["unchanged"]) == (Outcome.ALREADY, 2)
    taken = await node.bring(f"{HEAD}f3,丙,water,d,{STREET},,,L/s,hj212 M1 w00000=flow\n".encode())
    assert (taken.outcome, faults(taken.detail)) == (Outcome.REFUSED, [FaultCode.TAKEN])
    theirs = await node.bring(b"id,station\nf1,x\n", Within(region=DISTRICT, departments=frozenset({"e"})))
    assert faults(theirs.detail) == [FaultCode.NOT_YOURS]


async def test_a_file_that_is_no_table_or_is_kept_no_longer_is_refused(node: Registrar):
    decided = await node.bring(b"\x00\xff not a table", dry_run=True)
    assert faults(decided.detail) == [FaultCode.UNREADABLE]
    gone = await node.bring(None)
    assert (faults(gone.detail), "send it again" in gone.detail["faults"][0]["message"]) == ([FaultCode.UNREADABLE], True)


async def test_many_sensors_are_previewed_and_taken_in_one_transaction(node: Registrar, pool: asyncpg.Pool):
    """10,000 take a few seconds; so that the suite is quick, this shows that the transaction outlives its idle time-out."""
    rows = "".join(f"m{number},点,water,d,{STREET},104.5,36.5,L/s,hj212 N{number} w00000=flow[m3/h]\n" for number in range(1_000))
    assert (await node.bring((HEAD + rows).encode(), dry_run=True)).detail["new"] == 1_000
    applied = await node.bring((HEAD + rows).encode())
    assert (applied.outcome, applied.detail["new"], len(applied.detail["changes"])) == (Outcome.APPLIED, 1_000, 500)
    assert await pool.fetchval("select count(*) from ingest.sensors") == 1_000
