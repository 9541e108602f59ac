"""What was refused, laid out for departments: kept within bounds, sent again, mended, discarded; and doors that are stopped.

Ingest's worker runs here on the real database; that its commands come by Kafka is `test_events`' and the gateway's to show.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.action import Actor
from schemas.base import Domain, Name
from schemas.command import Command, Discard, ReopenDoor, SendAgain
from schemas.observation import Quality
from schemas.rejected import KEPT_BYTES, Problem, Rejected
from schemas.report import Report
from schemas.sensor import Metric, Sensor
from services.ingest import refusals
from services.ingest.domain.accept import Refused, TimeLimits
from services.ingest.domain.breaker import ITEMS
from services.ingest.domain.cloudevents import STRUCTURED
from services.ingest.domain.registry import Registry
from services.ingest.flow import Flow
from services.ingest.intake import Intake, Judged
from services.ingest.refusals import Ledger, Mending
from services.ingest.stopping import Reopening, Stopped, Stops
from services.ingest.store import ROOM, Store
from services.ingest.units import conversion
from services.ingest.worker import IngestWorker
from services.kit.consumer import Read
from services.kit.health import Health
from services.kit.outbox import Relay
from services.kit.producer import Producer
from services.kit.topics import COMMANDS, REJECTED
from tests.integration.ingest.conftest import now
from tests.unit.gateway.city import STREET, TREE

ANNA = Actor(id="anna", name=Name(zh="安娜", en="Anna"))
PROBLEM = Problem(code="unknown_sensor", where="data.sensor", message="there is no sensor 'dma-9' in the registry", hint="register it")


class Clock:
    """A clock that is moved by hand where seconds count."""

    seconds = 1_000.0

    def now(self) -> datetime:
        return now()

    def monotonic(self) -> float:
        return self.seconds


def sensor(id_: str, department: str = "d") -> Sensor:
    metrics = {"flow": Metric(unit="L/s", name=Name(zh="量", en="flow"), low=0, high=100)}
    return Sensor(id=id_, name=Name(zh="点", en="point"), domain=Domain.WATER, department=department, street=STREET, metrics=metrics)


def event(sensor_id: str = "dma-9", id_: str = "e1", flow: float = 12.5) -> bytes:
    data = {"sensor": sensor_id, "values": {"flow": flow}, "end": (now() - timedelta(seconds=30)).isoformat()}
    return json.dumps({"specversion": "1.0", "id": id_, "source": "/scada", "type": "cn.tongguan.observation.v1", "data": data}).encode()


def report(id_: str = "r1") -> bytes:
    data = {"region": STREET, "matter": "utilities", "kind": "burst-pipe", "title": "管道漏水", "channel": "hotline"}
    return json.dumps({"specversion": "1.0", "id": id_, "source": "/12345", "type": "cn.tongguan.report.v1", "data": data}).encode()


def refused(body: bytes, department: str = "d", problem: Problem = PROBLEM, **fields: Any) -> Rejected:
    whole: dict[str, Any] = {
        "id": uuid4(),
        "department": department,
        "adapter": "http@n1",
        "address": "10.0.0.1",
        "content_type": STRUCTURED,
        "received": now(),
        "problem": problem,
        "event": "e1",
        "sensor": "dma-9",
        "body": base64.b64encode(body[:KEPT_BYTES]).decode(),
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return Rejected.model_validate(whole | fields)


def judge_frame(body: bytes, content_type: str, department: str, registry: Registry, now: datetime, received: datetime) -> Judged:
    """Judge what a device of a made-up protocol says: the id of a sensor."""
    del content_type, now, received
    if not body:
        return Judged()
    known = registry.get(body.decode("gb18030"))
    if known is None:
        return Judged(refused=[Refused(PROBLEM, None, body)])
    micros = 1_700_000_000_000_000
    one = wire.Observation(
        "f", "/dev", department, known.sensor.id, known.street, "water", micros, micros, "instant", {"flow": 1.0}, {}, "real", micros
    )
    return Judged(observations=[one])


class Room:
    """Ingest's worker, fed by hand."""

    def __init__(self, pool: asyncpg.Pool, producer: Producer) -> None:
        health, clock, metrics = Health(Clock()), Clock(), CollectorRegistry()
        self.pool = pool
        self.intake = Intake(
            producer=producer,
            clock=clock,
            limits=TimeLimits(timedelta(minutes=1), timedelta(days=90)),
            max_items=100,
            acknowledge_s=5,
            flow=Flow(Store(pool, clock, TREE, 24)),
            stops=Stops(pool, clock, health.check("doors", max_age=1), metrics),
            metrics=metrics,
        )
        self.intake.registry = Registry(TREE, [sensor("dma-1"), sensor("other-1", "e")], conversion)
        mending = Mending(self.intake, clock, 100, {"application/x-made-up": judge_frame})
        relay = Relay(pool, producer, ROOM, health.check("outbox", max_age=10), metrics)
        self.worker = IngestWorker(
            pool, relay, health.check("worker", max_age=10), [mending, Reopening()], Ledger(), health.check("alive", max_age=120)
        )
        self._offset = 0

    async def begin(self) -> None:
        await self.worker.assign([TopicPartition(REJECTED, 0), TopicPartition(COMMANDS, 0)])

    async def take(self, topic: str, values: Iterable[bytes]) -> None:
        """Have the worker take a poll of one topic."""
        records = []
        for value in values:
            records.append(Read(topic, 0, self._offset, 0, None, value, ()))
            self._offset += 1
        await self.worker.work({TopicPartition(topic, 0): cast("Any", records)})

    async def keep(self, *some: Rejected) -> None:
        await self.take(REJECTED, [one.model_dump_json().encode() for one in some])

    async def decide(self, command: Command) -> tuple[str, dict[str, Any]]:
        """Return the outcome of a command and its detail."""
        await self.take(COMMANDS, [command.model_dump_json().encode()])
        row = await self.pool.fetchrow("select outcome, detail from api_ingest.decided($1)", [command.id])
        assert row is not None
        return row["outcome"], json.loads(row["detail"])

    async def again(self, *ids: UUID, department: str = "d", mended: bytes | None = None) -> tuple[str, dict[str, Any]]:
        text = None if mended is None else base64.b64encode(mended).decode()
        return await self.decide(SendAgain(id=uuid4(), actor=ANNA, at=now(), department=department, rejected=ids, mended=text))

    async def posted(self) -> list[Any]:
        """Return what was posted, decoded."""
        rows = await self.pool.fetch("select topic, value from ingest.outbox order by seq")
        return [wire.decode(row["value"]) if row["topic"] == "city.observations" else Report.model_validate_json(row["value"]) for row in rows]

    async def row(self, id_: UUID) -> asyncpg.Record:
        row = await self.pool.fetchrow("select * from ingest.rejected where id = $1", id_)
        assert row is not None
        return row


@pytest.fixture
async def room(pool: asyncpg.Pool, producer: Producer) -> Room:
    await pool.execute(
        "truncate ingest.rejected, ingest.refusals, ingest.unknown, ingest.commands, ingest.outbox, ingest.flow, ingest.doors, ingest.partitions"
    )
    one = Room(pool, producer)
    await one.begin()
    return one


async def test_what_was_refused_is_kept_once_with_its_bytes(room: Room, pool: asyncpg.Pool):
    body = b"\xff\x00 no text at all"
    odd = refused(body, problem=PROBLEM.model_copy(update={"message": "a\x00b", "code": "bad_data"}), event="e\x002", sensor=None)
    long = refused(b"x" * (KEPT_BYTES + 1))
    await room.keep(odd, long, odd)
    await room.keep(odd)
    row = await room.row(odd.id)
    assert (row["body"], row["message"], row["event"], row["state"]) == (body, "a\ufffdb", "e\ufffd2", "kept")
    assert await pool.fetchval("select count(*) from ingest.rejected") == 2
    assert (await room.row(long.id))["size"] == KEPT_BYTES + 1
    assert tuple(await pool.fetchrow("select kept, bytes, left_out from ingest.refusals") or ()) == (2, len(body) + KEPT_BYTES, 0)


async def test_a_flood_of_one_department_pushes_out_its_own_oldest_and_is_counted(room: Room, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(refusals, "MOST", 1_500)
    others = refused(b"{}", "e", received=now() - timedelta(days=2))
    await room.keep(others)
    begun = now()
    for part in range(3):
        await room.keep(*(refused(b"{}", received=begun + timedelta(seconds=part, microseconds=at)) for at in range(1_000)))
    assert await pool.fetchval("select count(*) from ingest.rejected where department = 'e'") == 1
    rows = await pool.fetchrow("select count(*) as kept, min(received_at) as oldest from ingest.rejected where department = 'd'")
    assert rows is not None
    assert (rows["kept"], rows["oldest"]) == (1_000, begun + timedelta(seconds=2))
    assert tuple(await pool.fetchrow("select kept, bytes, left_out from ingest.refusals where department = 'd'") or ()) == (1_000, 2_000, 2_000)


async def test_what_is_too_old_goes_in_steps(room: Room, pool: asyncpg.Pool):
    await room.keep(refused(b"{}", received=now() - timedelta(days=31)))
    assert await pool.fetchval("select count(*) from ingest.rejected") == 0  # read again from an old topic
    await room.keep(refused(b"{}"), refused(b"{}"))
    await pool.execute(
        "update ingest.rejected set received_at = clock_timestamp() - interval '31 days' where ctid = (select min(ctid) from ingest.rejected)"
    )
    assert await refusals._prune(pool) is False
    assert tuple(await pool.fetchrow("select kept, bytes, left_out from ingest.refusals") or ()) == (1, 2, 0)
    assert await pool.fetchval("select count(*) from ingest.rejected") == 1


async def test_devices_that_nobody_registered_are_noted_by_department(room: Room, pool: asyncpg.Pool):
    frame = refused(b"QN=1", adapter="hj212@n2", sensor="hj212:A1", problem=PROBLEM.model_copy(update={"code": "unknown_device"}))
    first = refused(event(), received=now() - timedelta(hours=1))
    await room.keep(
        first, refused(event(id_="e2")), refused(event(), "e"), frame, refused(b"", problem=PROBLEM.model_copy(update={"code": "bad_time"}))
    )
    rows = await pool.fetch("select adapter, device, department, count, first_at, sample from ingest.unknown order by 1, 2, 3")
    assert [tuple(row)[:4] for row in rows] == [("hj212", "A1", "d", 1), ("http", "dma-9", "d", 2), ("http", "dma-9", "e", 1)]
    assert rows[1]["first_at"] == first.received
    assert json.loads(rows[0]["sample"]) == {"rejected": str(frame.id), "content_type": STRUCTURED, "said": "QN=1"}


async def test_what_is_right_by_now_is_accepted_when_it_is_sent_again_once(room: Room, pool: asyncpg.Pool):
    high = event(flow=500)
    one, other, mine = refused(high), refused(report()), refused(event("other-1"))
    await room.keep(one, other, mine)
    outcome, detail = await room.again(one.id)
    assert (outcome, detail["problems"][0]["code"]) == ("refused", "unknown_sensor")
    assert (await room.row(one.id))["state"] == "kept"
    assert json.loads((await room.row(one.id))["again"])["problem"]["code"] == "unknown_sensor"
    assert room.intake.registry is not None
    room.intake.registry.take(sensor("dma-9"))
    command = SendAgain(id=uuid4(), actor=ANNA, at=now(), department="d", rejected=(one.id, other.id, mine.id))
    for _ in range(2):  # it comes again after a restart
        outcome, detail = await room.decide(command)
        assert outcome == "applied"
        assert [each["became"] for each in detail["results"]] == ["accepted", "accepted", "refused"]
    reading, told = await room.posted()
    assert (reading.id, reading.sensor, reading.department, reading.values) == ("e1", "dma-9", "d", {"flow": 500.0})
    assert reading.quality == {"flow": Quality.IMPLAUSIBLE.value}  # as if it had come now
    assert (told.id, told.department, told.channel) == ("r1", "d", "hotline")
    row = await room.row(one.id)
    assert (row["state"], row["changed_by"], json.loads(row["again"])["accepted"]) == ("sent_again", "anna", 1)
    assert tuple(await pool.fetchrow("select department, door, observations, reports, refused from ingest.flow") or ()) == ("d", "again", 1, 1, 0)
    assert (await room.again(one.id))[0] == "already"
    assert len(await room.posted()) == 2


async def test_one_is_mended_and_a_batch_that_could_not_be_read_too(room: Room):
    one, batch = refused(event("dma-l")), refused(b"[{", content_type="application/cloudevents-batch+json")
    await room.keep(one, batch)
    assert (await room.again(one.id, batch.id, mended=event("dma-1")))[1]["problems"][0]["code"] == "several"
    assert (await room.again(one.id, mended=event("dma-1")))[0] == "applied"
    assert json.loads((await room.row(one.id))["again"])["mended"]
    partly = b"[" + event("dma-1", "b1") + b"," + event("dma-7", "b2") + b"]"
    outcome, detail = await room.again(batch.id, mended=partly)
    assert (outcome, detail["results"][0]["accepted"], detail["problems"][0]["code"]) == ("applied", 1, "unknown_sensor")
    assert (await room.row(batch.id))["state"] == "kept"
    assert [each.id for each in await room.posted()] == ["e1", "b1"]


async def test_what_is_not_kept_whole_cannot_be_sent_again_but_mended(room: Room):
    long = refused(b"[" + b" " * KEPT_BYTES + event("dma-1") + b"]")
    await room.keep(long)
    outcome, detail = await room.again(long.id)
    assert (outcome, detail["results"][0]["became"], detail["problems"][0]["code"]) == ("refused", "truncated", "truncated")
    assert (await room.again(long.id, mended=event("dma-1")))[0] == "applied"


async def test_nobody_sends_again_or_discards_what_is_anothers(room: Room):
    theirs = refused(event("other-1"), "e")
    await room.keep(theirs)
    outcome, detail = await room.again(theirs.id)
    assert (outcome, detail["results"][0]["became"]) == ("refused", "unknown")
    assert (await room.again(theirs.id, mended=event("dma-1")))[0] == "refused"
    assert (await room.decide(Discard(id=uuid4(), actor=ANNA, at=now(), department="d", rejected=(theirs.id,))))[0] == "already"
    assert (await room.row(theirs.id))["state"] == "kept"
    assert await room.posted() == []


async def test_what_a_device_said_is_judged_by_its_own_door(room: Room):
    frame = refused("dma-1".encode("gb18030"), adapter="made@n1", content_type="application/x-made-up; v=1")
    strange = refused(b"?", adapter="other@n1", content_type="application/octet-stream")
    heartbeat = refused(b"", adapter="made@n1", content_type="application/x-made-up")
    breaking = refused(b"\xff", adapter="made@n1", content_type="application/x-made-up")  # our judge does not expect it
    await room.keep(frame, strange, heartbeat, breaking)
    _, detail = await room.again(frame.id, strange.id, heartbeat.id, breaking.id)
    became = {each["rejected"]: (each["became"], each.get("problem", {}).get("code")) for each in detail["results"]}
    assert became == {
        str(frame.id): ("accepted", None),
        str(strange.id): ("refused", "no_judge"),
        str(heartbeat.id): ("refused", "nothing"),
        str(breaking.id): ("refused", "not_judged"),
    }
    assert (await room.row(heartbeat.id))["state"] == "kept"
    assert [each.sensor for each in await room.posted()] == ["dma-1"]


async def test_what_is_sent_again_goes_in_the_order_in_which_it_came(room: Room):
    earlier, later = (refused(event("dma-1", id_), received=now() - timedelta(minutes=ago)) for id_, ago in (("e1", 9), ("e2", 8)))
    await room.keep(earlier, later)
    assert (await room.again(later.id, earlier.id))[0] == "applied"  # a page lists the newest first
    assert [each.id for each in await room.posted()] == ["e1", "e2"]


async def test_a_name_that_the_database_cannot_keep_does_not_swallow_the_answer(room: Room):
    body = event("dma-1").replace(b'"flow"', b'"a\\u0000b"')
    odd, good = refused(body), refused(event("dma-1"))
    await room.keep(odd, good)
    outcome, detail = await room.again(odd.id, good.id)
    assert (outcome, detail["problems"][0]["where"]) == ("applied", "data.values.a\ufffdb.[key]")
    assert (await room.row(odd.id))["state"] == "kept"


async def test_what_is_discarded_stays_kept_and_says_by_whom(room: Room):
    one = refused(event())
    await room.keep(one)
    discard = Discard(id=uuid4(), actor=ANNA, at=now(), department="d", rejected=(one.id,), note="a test of ours")
    assert await room.decide(discard) == ("applied", {"discarded": [str(one.id)]})
    row = await room.row(one.id)
    assert (row["state"], row["changed_by"], json.loads(row["again"])["note"]) == ("discarded", "anna", "a test of ours")


async def test_one_command_judges_no_more_than_a_request_may_have(room: Room, monkeypatch: pytest.MonkeyPatch):
    some = [refused(event("dma-1", f"e{at}")) for at in range(3)]
    monkeypatch.setattr(refusals, "AGAIN_BYTES", 2 * len(event("dma-1", "e0")) + 1)
    await room.keep(*some)
    _, detail = await room.again(*(one.id for one in some))
    assert [each["became"] for each in detail["results"]] == ["accepted", "accepted", "left"]
    assert (await room.row(some[2].id))["state"] == "kept"


# Doors


async def test_a_new_release_that_refuses_what_the_old_one_took_is_stopped_until_somebody_opens_it(room: Room, pool: asyncpg.Pool):
    await pool.execute(
        "insert into ingest.flow values ('d', 'http@old', clock_timestamp() - interval '3 days', 9000, 0, 10, 0),"  # before it was stopped
        " ('d', 'http@bad', clock_timestamp() - interval '1 hour', 0, 0, 4320, 0),"
        " ('e', 'http@old', clock_timestamp(), 0, 0, 9000, 0)"
    )
    clock = Clock()
    check = Health(clock).check("doors", max_age=float("inf"))
    stops = Stops(pool, clock, check, CollectorRegistry())
    await stops.load()
    for seconds in (0, 31):
        clock.seconds += seconds
        for department in "de":
            stops.admit("http@new", department, 0, ITEMS)
            stops.count("http@new", department, accepted=0, refused=ITEMS, why="unknown_sensor")
    with pytest.raises(Stopped) as caught:
        stops.admit("http@new", "d", 0, 1)
    assert 0 < caught.value.after_s <= 60
    stops.admit("http@new", "d", 1, 0)  # it is understood
    stops.admit("http@new", "e", 0, 1)  # always sent rubbish
    stops.admit("mqtt@new", "d", 0, 1)  # another door
    await stops.sync()
    assert "http@new refused all that it took before" in check.problem
    rows = await pool.fetch("select protocol, stopped_at is not null as stopped, why, nodes from api_ingest.doors('d')")
    assert [tuple(row) for row in rows] == [("http", True, "unknown_sensor", ["new"])]
    assert [row["stopped_at"] for row in await pool.fetch("select * from api_ingest.doors('e')")] == [None]
    opening = ReopenDoor(id=uuid4(), actor=ANNA, at=now(), door="http", department="d")
    assert await room.decide(opening) == ("applied", {"doors": ["http@new"]})
    await stops.sync()
    stops.admit("http@new", "d", 0, 1)
    assert check.problem == ""
    assert await pool.fetchval("select count(*) from ingest.doors") == 0
    assert (await room.decide(opening.model_copy(update={"id": uuid4()})))[0] == "already"
