"""Departments' own topics: judged as HTTP's events are, and none lost, whatever dies or comes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.ingest.domain.cloudevents import BATCHED, STRUCTURED
from services.kit import topics
from services.kit.producer import Outgoing, Producer
from services.kit.topics import OBSERVATIONS, REJECTED
from tests.integration.ingest.conftest import has, observation, observations, rejected
from tests.integration.parts import Server, Servers, Service, Tape, delete_topics, eventually, gate_to
from tests.integration.rooms import made_anew

Start = Callable[..., Service]

WATER, DRAINAGE = "inbound.water", "inbound.drainage"
BOMB = 64 << 20


@pytest.fixture(name="database", scope="module")
def with_their_topics(servers: Servers) -> Iterator[str]:
    """A database of this module, with departments' topics, too; they go afterwards, as other databases do not know them."""
    with made_anew(servers) as dsn:
        asyncio.run(topics.apply(servers.kafka, dsn, lambda _: None, departments=["water", "drainage"]))
        yield dsn
        asyncio.run(delete_topics(servers.kafka, WATER, DRAINAGE))


@pytest.fixture
async def taken(servers: Servers, database: str) -> Tape:
    return await Tape.of(servers.kafka, OBSERVATIONS)


@pytest.fixture
async def kept(servers: Servers, database: str) -> Tape:
    return await Tape.of(servers.kafka, REJECTED)


@pytest.fixture
async def ingest(start: Start, environment: dict[str, str]) -> Service:
    service = start("ingest", **environment)
    await service.ready()
    return service


def record(event: dict[str, Any], **more: Any) -> Outgoing:
    return Outgoing(json.dumps(event).encode(), **more)


def binary(event: dict[str, Any]) -> Outgoing:
    headers = [(f"ce_{name}", text.encode()) for name, text in event.items() if name != "data"]
    return Outgoing(json.dumps(event["data"]).encode(), headers=[*headers, ("content-type", b"application/json")])


def bomb() -> Any:
    """A batch that the broker takes by its 60 KiB, and that unpacks to 64 MiB."""
    built = DefaultRecordBatchBuilder(2, 1, 0, -1, -1, -1, 2 * BOMB)
    assert built.append(0, 1_000, key=None, value=bytes(BOMB), headers=[]) is not None
    return built


async def test_what_comes_is_judged_as_over_http(servers: Servers, producer: Producer, ingest: Service, taken: Tape, kept: Tape):
    told = [("content-type", STRUCTURED.encode())]
    good = [observation() for _ in range(3)]
    bad: dict[str, Outgoing] = {
        "unknown_sensor": record(observation(sensor="lz-no-such"), headers=told, partition=5),
        "not_yours": record(observation(sensor="lz-sewage-well-01", values={"h2s": 1})),
        "malformed_json": Outgoing(b"\x00garbage"),
        "not_a_cloudevent": Outgoing(b"[]", headers=[("content-type", BATCHED.encode())]),
        "bad_envelope": Outgoing(b'{"a":1}'),
        "unknown_type": record({**observation(), "type": "t" * 450_000}),
        "bad_data": record(observation(values={"flow": "12.5"})),  # type: ignore[dict-item]
    }
    await producer.publish(WATER, [record(good[0]), record(good[1], headers=told), binary(good[2]), *bad.values()])
    drainage = observation(sensor="lz-sewage-outfall-01", values={"cod": 20})
    await producer.publish(DRAINAGE, [record({**drainage, "source": "/departments/water/scada"})])

    found = observations(await taken.until(has(*(event["id"] for event in good), drainage["id"]), "what is good"))
    assert {one.id: one.department for one in found} == {event["id"]: "water" for event in good} | {drainage["id"]: "drainage"}
    held = rejected(await kept.until(lambda records: len(records) >= len(bad), "what is bad"))
    by_code = {one.problem.code: one for one in held}
    assert by_code.keys() == bad.keys()
    for code, one in by_code.items():
        assert (one.department, one.adapter.partition("@")[0], one.address.partition("/")[0]) == ("water", "inbound", WATER)
        assert base64.b64decode(one.body) == bad[code].value[: len(base64.b64decode(one.body))]
    assert by_code["unknown_sensor"].address == f"{WATER}/5@0"
    assert by_code["unknown_sensor"].content_type == STRUCTURED
    assert by_code["not_a_cloudevent"].content_type == BATCHED


async def test_bombs_and_tombstones_harm_nobody(servers: Servers, producer: Producer, ingest: Service, taken: Tape, kept: Tape):
    kafka = await producer.kafka()
    before, after = observation(), observation()
    await producer.publish(WATER, [record(before, partition=0)])
    batch = kafka.create_batch()
    batch._builder = bomb()
    batch._relative_offset = 1
    batch.close()
    await (await kafka.send_batch(batch, WATER, partition=0))
    await kafka.send_and_wait(WATER, None, key=b"x", partition=0)
    await producer.publish(WATER, [record(after, partition=0)])
    await taken.until(has(before["id"], after["id"]), "what stands before and after")
    held = rejected(await kept.until(lambda records: len(records) >= 2, "what is refused"))
    assert sorted(one.problem.code for one in held) == ["tombstone", "unreadable_batch"]
    assert {one.address.partition("@")[0] for one in held} == {f"{WATER}/0"}
    assert not ingest.events("not_judged")


def many(count: int) -> tuple[list[Outgoing], set[str], int]:
    """Return records of which one in a hundred is bad, the ids of the good ones, and how many are bad."""
    events = [observation(**({} if at % 100 else {"region": "nowhere"})) for at in range(count)]
    return (
        [record(event, partition=at % 6) for at, event in enumerate(events)],
        {e["id"] for at, e in enumerate(events) if at % 100},
        -(-count // 100),
    )


async def whole(taken: Tape, kept: Tape, good: set[str], bad: int) -> None:
    """Return once every event is on one of the two topics."""
    # A broker and a database that come back together take a busy machine its time.
    await taken.until(has(*good), "all good events", seconds=90)
    await kept.until(lambda records: len({one.event for one in rejected(records)}) >= bad, "all bad events")


async def test_kafka_and_postgresql_go_and_come_back(
    producer: Producer, broker: Server, start: Start, environment: dict[str, str], database: str, taken: Tape, kept: Tape
):
    async with gate_to(database) as (gate, through):
        service = start("ingest", **{**environment, "TONGGUAN_DATABASE": through})
        await service.ready()
        first, good, bad = many(2_000)
        await gate.shut()
        await producer.publish(WATER, first)
        await whole(taken, kept, good, bad)  # only the offsets wait
        broker.kill()
        await gate.open()
        await broker.start()
        second, more, worse = many(2_000)
        await producer.publish(WATER, second)
        await whole(taken, kept, good | more, bad + worse)
        await service.ready()

        async def moved_on() -> bool:
            return await asyncio.to_thread(service.metric, "tongguan_ingest_inbound_waiting") == 0

        await eventually(moved_on, "the offsets to move on")
        assert await asyncio.to_thread(service.stop) == 0, service.log  # the gate is this loop's
