"""Events over HTTP: what is answered, what is then on Kafka, and what is kept of what was refused."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from schemas import wire
from schemas.envelope import EventType, attributes
from schemas.partitioner import partition_of
from schemas.rejected import KEPT_BYTES
from schemas.report import Report
from services.ingest.domain.cloudevents import BATCHED, STRUCTURED
from services.kit.topics import OBSERVATIONS, REJECTED, REPORTS
from tests.integration.ingest.conftest import KEYS, STREET, Department, has, now, observation, observations, rejected
from tests.integration.parts import Servers, Service, Tape, eventually


@pytest.fixture
async def taken(servers: Servers, water: Department) -> Tape:
    """City.observations from the test's start."""
    return await Tape.of(servers.kafka, OBSERVATIONS)


@pytest.fixture
async def kept(servers: Servers, water: Department) -> Tape:
    """City.rejected from the test's start."""
    return await Tape.of(servers.kafka, REJECTED)


async def nothing(tape: Tape) -> bool:
    return not await tape.records()


# What is taken


async def test_one_event_is_on_kafka_when_it_is_answered(water: Department, taken: Tape, kept: Tape):
    event = observation(values={"flow": 12, "pressure": 0.31}, quality={"pressure": "fault"}, origin="replayed")
    began = now()
    answer = await water.one(event)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "refused": []})
    records = [record for record in await taken.records() if event["id"].encode() in record.value]
    assert [(record.partition, record.key, record.headers) for record in records] == [(partition_of(STREET.encode(), 24), STREET.encode(), ())]
    (one,) = observations(records)
    assert (one.department, one.street, one.domain, one.origin) == ("water", STREET, "water", "replayed")
    assert (one.values, one.quality) == ({"flow": 12.0, "pressure": 0.31}, {"pressure": "fault"})
    assert wire.from_micros(one.end).isoformat() == event["data"]["end"].replace("Z", "+00:00")
    assert began <= wire.from_micros(one.received) <= now()
    assert await nothing(kept)


async def test_binary_mode(water: Department, taken: Tape):
    event = {**observation(), "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    headers = {f"ce-{name}": value for name, value in event.items() if name not in {"data", "traceparent", "source"}}
    answer = await water.send(
        json.dumps(event["data"]).encode(), "application/json", traceparent=event["traceparent"], **{**headers, "ce-source": "/%E6%B0%B4"}
    )
    assert answer.status_code == 202
    (one,) = (found for found in observations(await taken.records()) if found.id == event["id"])
    assert (one.source, one.traceparent) == ("/水", event["traceparent"])


async def test_a_batch(water: Department, taken: Tape):
    events = [observation() for _ in range(100)]
    answer = await water.batch(*events)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 100)
    assert has(*(event["id"] for event in events))(await taken.records())


async def test_the_same_event_twice_is_taken_twice(water: Department, taken: Tape):
    """Consumers know repetitions by their identity; ingest keeps no memory of them."""
    event = observation()
    assert [(await water.one(event)).status_code for _ in range(2)] == [202, 202]
    assert [one.id for one in observations(await taken.records())].count(event["id"]) == 2


async def test_a_report(servers: Servers, water: Department):
    tape = await Tape.of(servers.kafka, REPORTS)
    data = {"region": STREET, "matter": "utilities", "kind": "burst-pipe", "title": "管道漏水", "description": "路口\n东侧", "longitude": 103.8}
    event = {**observation(), "type": EventType.REPORT, "time": now().isoformat(), "data": data}
    assert (await water.one(event)).json() == {"accepted": 1, "refused": []}
    (record,) = await tape.records()
    report = Report.model_validate_json(record.value)
    assert (report.id, report.department, report.title, report.occurred.isoformat()) == (event["id"], "water", "管道漏水", event["time"])
    told = attributes(record.headers)
    assert (told["id"], told["type"], told["source"], told["subject"]) == (event["id"], EventType.REPORT, event["source"], STREET)
    assert record.key == event["source"].encode()


# What is refused


async def test_the_good_ones_of_a_batch_are_taken_and_each_bad_one_is_kept_with_its_reason(water: Department, taken: Tape, kept: Tape):
    long_ago, ahead = (now() - timedelta(days=800)).isoformat(), (now() + timedelta(hours=1)).isoformat()
    bad: dict[str, Any] = {
        "unknown_sensor": observation(sensor="lz-no-such"),
        "not_yours": observation(sensor="lz-sewage-well-01", values={"h2s": 1}),
        "unknown_metric": observation(values={"colour": 1}),
        "unknown_region": observation(region="620199999"),
        "other_region": observation(region="620103001"),
        "in_the_future": observation(end=ahead),
        "too_old": observation(end=long_ago),
        "bad_time": observation(end="2026-11-22T08:00:00"),
        "bad_data": observation(values={"flow": "12.5"}),
        "bad_envelope": {**observation(), "specversion": "0.3"},
        "unknown_type": {**observation(), "type": "com.example.thing"},
    }
    good = [observation() for _ in range(3)]
    batch = [good[0], *bad.values(), good[1], 5, good[2]]
    body = json.dumps(batch, ensure_ascii=False).encode()
    answer = await water.send(body, BATCHED)
    assert (answer.status_code, answer.json()["accepted"]) == (207, 3)
    refused = answer.json()["refused"]
    assert [one["index"] for one in refused] == [*range(1, len(bad) + 1), len(bad) + 2]
    assert [one["code"] for one in refused] == [*bad, "bad_envelope"]
    assert [one["id"] for one in refused] == [*(event["id"] for event in bad.values()), None]
    assert all(one["message"] and one["hint"] for one in refused)
    assert has(*(event["id"] for event in good))(await taken.records())
    assert not {event["id"] for event in bad.values()} & {one.id for one in observations(await taken.records())}

    held = rejected(await kept.records())
    assert sorted(one.problem.code for one in held) == sorted([*bad, "bad_envelope"])
    for one in held:
        item = base64.b64decode(one.body)
        assert item in body
        assert (one.size, one.sha256) == (len(item), hashlib.sha256(item).hexdigest())
        assert (one.department, one.address, one.content_type) == ("water", "127.0.0.1", BATCHED)
        assert one.adapter.startswith("http@")
    assert {json.loads(base64.b64decode(one.body))["id"] for one in held if one.body != "NQ=="} == {event["id"] for event in bad.values()}


async def test_what_was_refused_says_on_kafka_what_it_is(water: Department, kept: Tape):
    await water.one(observation(sensor="lz-no-such"))
    (record,) = await kept.records()
    told = attributes(record.headers)
    (one,) = rejected([record])
    assert (record.key, told["type"], told["subject"], told["id"]) == (b"water", EventType.REJECTED, "water", str(one.id))


async def test_one_bad_event_alone(water: Department, kept: Tape):
    answer = await water.one(observation(sensor="lz-no-such"))
    assert (answer.status_code, answer.json()["accepted"]) == (422, 0)
    assert answer.json()["refused"][0] == {
        "index": 0,
        "id": answer.json()["refused"][0]["id"],
        "code": "unknown_sensor",
        "where": "data.sensor",
        "message": "there is no sensor 'lz-no-such' in the registry",
        "hint": "register the sensor, or correct its id",
    }
    assert len(await kept.records()) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{", STRUCTURED, "malformed_json"),
        (b"", STRUCTURED, "malformed_json"),
        (b"\xff\xfe", BATCHED, "malformed_json"),
        (b'[{"data":{"values":{"flow":NaN}}}]', BATCHED, "malformed_json"),
        (b"[" * 100_000, STRUCTURED, "malformed_json"),
        (b"[]", BATCHED, "empty"),
        (b"[" + b"1," * 100 + b"1]", BATCHED, "too_many"),
        (b"{}", "application/json", "not_a_cloudevent"),
        (b"flow=1", "application/x-www-form-urlencoded", "not_a_cloudevent"),
    ],
    ids=["cut", "empty", "not UTF-8", "NaN", "deep", "no events", "too many", "no CloudEvent", "a form"],
)
async def test_a_body_that_cannot_be_read_is_kept_whole(water: Department, kept: Tape, body: bytes, content_type: str, code: str):
    answer = await water.send(body, content_type)
    assert (answer.status_code, answer.json()["accepted"]) == (400, 0)
    (refused,) = answer.json()["refused"]
    assert (refused["code"], refused["id"]) == (code, None)
    (one,) = rejected(await kept.records())
    assert (one.problem.code, one.size, one.sha256) == (code, len(body), hashlib.sha256(body).hexdigest())
    assert base64.b64decode(one.body) == body[:KEPT_BYTES]


async def test_of_a_large_refused_body_the_start_and_the_sum_are_kept(water: Department, kept: Tape):
    body = bytes(range(256)) * 8_000
    assert (await water.send(body, BATCHED)).status_code == 400
    (one,) = rejected(await kept.records())
    assert (one.size, one.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert base64.b64decode(one.body) == body[:KEPT_BYTES]


async def test_a_megabyte_where_a_word_belongs_is_refused_as_anything_else(water: Department, kept: Tape):
    answer = await water.batch(
        {**observation(), "type": "t" * 1_000_000}, {**observation(), "id": "i" * 1_000_000}, observation(**{"x" * 1_000_000: 1})
    )
    assert answer.status_code == 422
    assert len(answer.content) < 10_000
    assert [one.size > 1_000_000 for one in rejected(await kept.records())] == [True] * 3


@pytest.mark.parametrize("key", [None, "tgk_wrong", "tgk_water\u00e9".encode("latin-1")])
async def test_a_wrong_key_is_told_and_counted_and_nothing_is_kept(
    ingest: Service, water: Department, taken: Tape, kept: Tape, key: str | bytes | None
):
    line = 'tongguan_ingest_requests_total{status="401"}'
    before = await asyncio.to_thread(ingest.metric, line)
    water.headers = {} if key is None else {"Authorization": b"Bearer " + key if isinstance(key, bytes) else f"Bearer {key}"}  # type: ignore[dict-item]
    event = observation()
    answer = await water.one(event)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Authorization: Bearer" in answer.json()["detail"]
    assert await asyncio.to_thread(ingest.metric, line) == before + 1
    assert ingest.events("unauthorised")
    assert not has(event["id"])(await taken.records())
    assert await nothing(kept)


async def test_another_department_s_key(ingest: Service, water: Department, client: httpx.AsyncClient):
    drainage = Department(ingest, KEYS["drainage"], client)
    assert (await drainage.one(observation())).json()["refused"][0]["code"] == "not_yours"
    assert (await drainage.one(observation(sensor="lz-sewage-outfall-01", values={"cod": 20}))).status_code == 202


# Bodies that are too large, too slow or cut off


@contextlib.asynccontextmanager
async def connection(service: Service) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.ports.ingest)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def head(*headers: str, key: str = KEYS["water"]) -> bytes:
    lines = ["POST /v1/events HTTP/1.1", "Host: ingest", f"Authorization: Bearer {key}", f"Content-Type: {STRUCTURED}", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def status(reader: asyncio.StreamReader) -> int:
    return int((await asyncio.wait_for(reader.readline(), 20)).split()[1])


async def test_10_megabytes_are_refused_by_their_length_before_they_are_sent(ingest: Service, water: Department, kept: Tape):
    async with connection(ingest) as (reader, writer):
        writer.write(head(f"Content-Length: {10 << 20}"))
        assert await status(reader) == 413
        rest = await asyncio.wait_for(reader.read(), 20)
        assert b"connection: close" in rest.lower()
        assert b"send smaller batches" in rest
    assert await nothing(kept)
    assert ingest.events("too_large")[-1]["content_length"] == str(10 << 20)


async def test_a_client_that_sends_10_megabytes_nonetheless_reads_why(ingest: Service, water: Department):
    answer = await water.send(b" " * (10 << 20), STRUCTURED)
    assert (answer.status_code, answer.json()["title"]) == (413, "too_large")


async def test_an_endless_chunked_body_is_cut_early(ingest: Service, water: Department, kept: Tape):
    sent = 0
    async with connection(ingest) as (reader, writer):
        writer.write(head("Transfer-Encoding: chunked"))
        answered = asyncio.create_task(status(reader))
        with contextlib.suppress(ConnectionError):
            while sent < 256 << 20:
                writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                sent += 0x10000
                await writer.drain()
                await asyncio.sleep(0)  # a drain that need not wait lets nobody read, and what is unread is lost when the connection is reset
        assert await answered == 413
    assert sent < 64 << 20, "4 MiB are allowed and 16 MiB thrown away; the rest was under way in the kernel"
    assert await nothing(kept)
    assert (await water.one(observation())).status_code == 202


async def test_a_slow_body_is_told_and_keeps_nobody_waiting(ingest: Service, water: Department, kept: Tape):
    async with connection(ingest) as (reader, writer):
        writer.write(head("Content-Length: 1000") + b"{")
        assert (await water.one(observation())).status_code == 202
        assert await status(reader) == 408
        assert b"connection: close" in (await asyncio.wait_for(reader.read(), 20)).lower()
    assert await nothing(kept)


async def test_a_client_that_leaves_in_the_middle_is_no_error(ingest: Service, water: Department, kept: Tape):
    before = len(ingest.events("client_gone"))
    async with connection(ingest) as (_, writer):
        writer.write(head("Content-Length: 1000") + b"{")
        await writer.drain()

    async def noticed() -> bool:
        return len(ingest.events("client_gone")) > before

    await eventually(noticed, "the client's leaving")
    assert await nothing(kept)
    assert (await water.one(observation())).status_code == 202


async def test_too_many_bodies_at_once_are_told_to_come_back(start: Callable[..., Service], environment: dict[str, str], client: httpx.AsyncClient):
    """4 MiB of each department may be under way; what a request held is given back at its end, also at a bad one."""
    service = start("ingest", **environment, TONGGUAN_INGEST__MAX_WAITING=str(5 << 20))
    await service.ready()
    drainage = Department(service, KEYS["drainage"], client)
    body = json.dumps(observation()).encode().ljust(3 << 20)
    for _ in range(2):
        async with connection(service) as (reader, writer), connection(service) as (other_reader, other_writer):
            answers = {asyncio.create_task(status(reader)): writer, asyncio.create_task(status(other_reader)): other_writer}
            for each in answers.values():
                each.write(head(f"Content-Length: {len(body)}") + body[:-1])
            (refused,), (taken,) = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
            assert await refused == 429
            assert (await drainage.one(observation(sensor="lz-sewage-outfall-01", values={"cod": 20}))).status_code == 202
            answers[taken].write(body[-1:])
            assert await taken == 202
    answer = await Department(service, KEYS["water"], client).send(body, STRUCTURED)
    assert answer.status_code == 202


# Packed bodies


async def test_a_batch_packed_by_gzip(water: Department, taken: Tape):
    events = [observation() for _ in range(50)]
    answer = await water.send(gzip.compress(json.dumps(events).encode()), BATCHED, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 50)
    assert has(*(event["id"] for event in events))(await taken.records())


async def test_a_zip_bomb_is_told_its_ratio(ingest: Service, water: Department, kept: Tape):
    before = await asyncio.to_thread(ingest.metric, "process_resident_memory_bytes")
    answer = await water.send(gzip.compress(bytes(100 << 20)), STRUCTURED, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["title"]) == (413, "too_large")
    assert re.search(r"to [0-9]{3,4} times its size", answer.json()["detail"])
    assert await asyncio.to_thread(ingest.metric, "process_resident_memory_bytes") < before + (32 << 20)
    assert await nothing(kept)


async def test_what_cannot_be_unpacked(water: Department, kept: Tape):
    body = b"no gzip"
    answer = await water.send(body, STRUCTURED, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["refused"][0]["code"]) == (400, "bad_gzip")
    (one,) = rejected(await kept.records())
    assert base64.b64decode(one.body) == body
    for encoding in ("br", "gzip, gzip"):
        answer = await water.send(body, STRUCTURED, **{"Content-Encoding": encoding})
        assert (answer.status_code, answer.headers["accept-encoding"], answer.json()["title"]) == (415, "gzip", "not_unpacked")


async def test_what_is_no_request_for_us(ingest: Service, water: Department, client: httpx.AsyncClient):
    assert (await client.get(f"{ingest.url}/v1/events")).status_code == 405
    assert (await client.get(f"{ingest.url}/")).status_code == 404
    async with connection(ingest) as (reader, writer):
        writer.write(head("Content-Length: ten"))
        assert await status(reader) == 400
