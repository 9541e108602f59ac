"""The publisher against a real HTTP server."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from feeds.publisher import LONGEST_DELAY_S, Event, Publisher, Verdict, batch, delay, judge, observation_event
from schemas.base import Origin
from schemas.observation import Measurement

NOW = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)


def event(number):
    return Event(f"e{number}", json.dumps({"id": f"e{number}"}).encode(), number)


@contextlib.asynccontextmanager
async def publishing(url, **options):
    """Run a publisher; yields it and its log."""
    log = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[log])
    async with httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(0.5)) as client:
        publisher = Publisher(client=client, url=f"{url}/v1/events", log=logger, first_delay_s=0.02, **options)
        running = asyncio.create_task(publisher.run())
        try:
            yield publisher, log.entries
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def named(entries, name):
    return [entry for entry in entries if entry["event"] == name]


async def test_events_arrive_in_order_once_each(ingest):
    server = ingest()
    settled = []
    async with publishing(server.url, settled=settled.append) as (publisher, entries):
        for number in range(50):
            publisher.offer(event(number))
        await publisher.drained()
    assert [body["id"] for body in server.events] == [f"e{number}" for number in range(50)]
    assert [one.place for one in settled] == list(range(50))
    assert publisher.counts.accepted == 50
    assert entries == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
async def test_an_answer_that_speaks_of_now_is_tried_again_with_the_same_bytes(ingest, status):
    server = ingest([(status, "kafka is away"), (status, "kafka is away")])
    async with publishing(server.url) as (publisher, entries):
        publisher.offer(event(1))
        publisher.offer(event(2))
        await publisher.drained()
    assert [body["id"] for body in server.events] == ["e1", "e1", "e1", "e2"]
    assert len({body for _, _, body in server.requests[:3]}) == 1
    assert publisher.counts.accepted == 2
    waits = named(entries, "ingest_unavailable")
    assert [wait["failures"] for wait in waits] == [1, 2]
    assert waits[0]["reason"] == f"{status} kafka is away"
    assert named(entries, "ingest_is_back")[0]["failures"] == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 301])
async def test_a_refusal_is_told_with_its_reason_and_not_tried_again(ingest, status):
    server = ingest([(status, '{"detail": "unknown sensor"}')])
    settled = []
    async with publishing(server.url, settled=settled.append) as (publisher, entries):
        publisher.offer(event(1))
        publisher.offer(event(2))
        await publisher.drained()
    assert [body["id"] for body in server.events] == ["e1", "e2"]
    assert (publisher.counts.refused, publisher.counts.accepted) == (1, 1)
    assert [one.id for one in settled] == ["e1", "e2"]
    (refusal,) = named(entries, "event_refused")
    assert refusal["log_level"] == "error"
    assert refusal["reason"] == f'{status} {{"detail": "unknown sensor"}}'


async def test_a_dead_server_is_waited_for(ingest):
    first = ingest()
    port = first.server_address[1]
    first.close()
    async with publishing(first.url) as (publisher, entries):
        publisher.offer(event(1))
        await asyncio.sleep(0.2)
        assert publisher.unsent == 1
        assert publisher.counts.accepted == 0
        second = ingest(port=port)
        async with asyncio.timeout(5):
            await publisher.drained()
    assert [body["id"] for body in second.events] == ["e1"]
    assert all("ConnectError" in entry["reason"] for entry in named(entries, "ingest_unavailable"))


async def test_a_server_that_does_not_answer_is_timed_out_and_asked_again(ingest):
    server = ingest([(0, "")])
    async with publishing(server.url) as (publisher, entries):
        publisher.offer(event(1))
        async with asyncio.timeout(5):
            await publisher.drained()
    assert [body["id"] for body in server.events] == ["e1", "e1"]
    assert "ReadTimeout" in named(entries, "ingest_unavailable")[0]["reason"]


async def test_a_full_queue_drops_the_oldest_that_waits_and_says_so(ingest):
    server = ingest([(0, "")])
    async with publishing(server.url, capacity=3) as (publisher, entries):
        publisher.offer(event(0))
        await asyncio.to_thread(server.wait_for, 1)
        for number in range(1, 8):
            publisher.offer(event(number))
        assert publisher.unsent == 4
        async with asyncio.timeout(5):
            await publisher.drained()
    assert [body["id"] for body in server.events] == ["e0", "e0", "e5", "e6", "e7"]
    assert publisher.counts.dropped == 4
    assert [(entry["id"], entry["dropped"]) for entry in named(entries, "events_dropped")] == [("e1", 1), ("e4", 4)]


async def test_cancelling_ends_a_hanging_request_at_once(ingest):
    server = ingest([(0, "")])
    async with httpx.AsyncClient(trust_env=False) as client:
        publisher = Publisher(client=client, url=server.url, log=structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()]))
        running = asyncio.create_task(publisher.run())
        publisher.offer(event(1))
        await asyncio.to_thread(server.wait_for, 1)
        running.cancel()
        async with asyncio.timeout(0.5):
            await asyncio.gather(running, return_exceptions=True)
    assert publisher.unsent == 1


def test_an_event_is_a_cloud_event_whose_data_meet_the_contract():
    measurement = Measurement(sensor="lz-1", values={"flow": 1.5}, end=NOW, origin=Origin.REPLAYED)
    made = observation_event(event_id="a", source="/departments/water/x", time=NOW, measurement=measurement, place=7)
    body = json.loads(made.body)
    assert Measurement.model_validate_json(json.dumps(body.pop("data"))) == measurement
    assert body == {
        "specversion": "1.0",
        "id": "a",
        "type": "cn.tongguan.observation.v1",
        "source": "/departments/water/x",
        "subject": "lz-1",
        "time": "2026-11-22T00:00:00+00:00",
        "datacontenttype": "application/json",
    }
    assert (made.id, made.place) == ("a", 7)


@given(st.integers(100, 599))
def test_every_status_has_one_meaning(status):
    expected = Verdict.ACCEPTED if status // 100 == 2 else Verdict.TRY_AGAIN if status // 100 == 5 or status in {408, 429} else Verdict.REFUSED
    assert judge(status) is expected


@given(st.integers(1, 10**9))
def test_the_wait_grows_and_stays_bounded(failures):
    assert 0 < delay(failures) <= LONGEST_DELAY_S
    assert delay(failures) >= min(0.1 * 2 ** min(failures - 1, 16), LONGEST_DELAY_S / 2)


def a_batch(*numbers):
    return batch([event(number) for number in numbers])


async def test_a_batch_is_one_request_and_its_events_are_counted_one_by_one(ingest):
    server = ingest()
    async with publishing(server.url) as (publisher, _):
        publisher.offer(a_batch(1, 2, 3))
        await publisher.drained()
    ((_, headers, body),) = server.requests
    assert headers["Content-Type"] == "application/cloudevents-batch+json"
    assert json.loads(body) == [{"id": "e1"}, {"id": "e2"}, {"id": "e3"}]
    assert publisher.counts.accepted == 3


@pytest.mark.parametrize(
    ("answer", "accepted", "refused"),
    [((207, '{"accepted": 1, "refused": [{"index": 0}, {"index": 2}]}'), 1, 2), ((207, "?"), 2, 1), ((422, '{"accepted": 0}'), 0, 3)],
)
async def test_what_is_refused_of_a_batch_is_counted_told_and_not_sent_again(ingest, answer, accepted, refused):
    server = ingest([answer])
    async with publishing(server.url) as (publisher, entries):
        publisher.offer(a_batch(1, 2, 3))
        await publisher.drained()
    assert len(server.requests) == 1
    assert (publisher.counts.accepted, publisher.counts.refused) == (accepted, refused)
    assert named(entries, "event_refused")[0]["of"] == 3


async def test_a_dropped_batch_counts_all_its_events(ingest):
    server = ingest([(0, "")])
    async with publishing(server.url, capacity=1) as (publisher, entries):
        publisher.offer(event(0))
        await asyncio.to_thread(server.wait_for, 1)
        for first in (1, 3, 5):
            publisher.offer(a_batch(first, first + 1))
        async with asyncio.timeout(5):
            await publisher.drained()
    assert publisher.counts.dropped == 4
    assert [entry["dropped"] for entry in named(entries, "events_dropped")] == [2, 4]
