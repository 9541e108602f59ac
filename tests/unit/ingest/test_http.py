"""The HTTP door by itself: packed bodies, shares, quotas, and what it says of itself."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from schemas.base import Name
from schemas.city import Department, Quota
from services.ingest.door import Door
from services.ingest.doors import http
from services.ingest.doors.http import Limits, Quotas, Shares, unzip
from services.ingest.errors import NotUnpacked, TooLarge, TooMany
from services.ingest.keys import Keys
from services.kit.clock import SystemClock

LIMIT = 1 << 20


@given(st.binary(max_size=2_000))
def test_gzip_is_unpacked(body: bytes):
    assert unzip(gzip.compress(body), LIMIT) == body


def test_as_much_as_is_allowed_and_not_a_byte_more():
    assert len(unzip(gzip.compress(bytes(LIMIT)), LIMIT)) == LIMIT
    with pytest.raises(TooLarge, match=r"to \d{3,4} times its size"):
        unzip(gzip.compress(bytes(LIMIT + 1)), LIMIT)


def test_of_a_bomb_no_more_is_unpacked_than_is_allowed():
    bomb = gzip.compress(bytes(200 << 20), 9)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        unzip(bomb, LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


@given(st.binary(max_size=200))
def test_what_is_no_gzip_is_told_so(body: bytes):
    with pytest.raises((zlib.error, EOFError)):
        unzip(body, LIMIT)


@pytest.mark.parametrize("cut", [1, 9, 15])
def test_a_part_of_it_and_more_than_it_are_told(cut: int):
    packed = gzip.compress(b"whole body")
    with pytest.raises(EOFError):
        unzip(packed[:-cut], LIMIT)
    with pytest.raises(zlib.error, match="follows"):
        unzip(packed + b"x", LIMIT)


def test_encodings_that_are_taken():
    for lines in (["gzip"], ["GZip "], ["x-gzip"], ["identity, gzip"]):
        assert http._is_packed(lines)
    for lines in ([], [""], ["identity"]):
        assert not http._is_packed(lines)


@pytest.mark.parametrize("lines", [["br"], ["gzip, gzip"], ["gzip", "gzip"], ["deflate"], ["gzip", "br"]])
def test_encodings_that_are_not(lines: list[str]):
    with pytest.raises(NotUnpacked, match="send gzip once"):
        http._is_packed(lines)


def test_each_department_has_a_share_of_its_own():
    shares = Shares(Limits.shared(max_body=10, max_waiting=100, body_s=1, departments=4).share)
    with shares.of("water") as water, shares.of("water") as again, shares.of("fire") as fire:
        water(20)
        with pytest.raises(TooMany, match="water under way"):
            again(6)
        fire(25)
        again(5)
    with shares.of("water") as water:
        water(25)


def test_however_many_departments_there_are_each_may_send_a_whole_body():
    assert Limits.shared(max_body=10, max_waiting=100, body_s=1, departments=1_000).share == 10


class Still:
    """A clock that stands."""

    time = 100.0

    def monotonic(self) -> float:
        return self.time


def test_a_department_s_own_quota_goes_before_the_others():
    clock = Still()
    water = Department(id="water", name=Name(zh="水", en="water"), quota=Quota(per_s=10, burst=20))
    quotas = Quotas(clock, [water], Quota(per_s=1_000, burst=1_000))  # type: ignore[arg-type] # no more of it is asked for
    for department in ("water", "fire"):
        quotas.let_in(department)
        quotas.charge(department, 50)
    with pytest.raises(TooMany, match="quota of water at this node is 10 events/s, and 20 at once") as told:
        quotas.let_in("water")
    assert told.value.seconds == 4
    quotas.let_in("fire")
    clock.time += told.value.seconds
    quotas.let_in("water")


class _Intake:
    clock = SystemClock()


async def test_it_says_of_itself_what_it_takes_and_answers():
    app = http.app(
        _Intake(),  # type: ignore[arg-type] # nobody publishes
        Door("http", "n1", SystemClock()),
        Keys({}),
        max_body=10,
        max_waiting=10,
        body_s=1,
        metrics=CollectorRegistry(),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest") as client:
        told = (await client.get("/openapi.json")).json()
        topics = (await client.get("/asyncapi.json")).json()
    events = told["paths"]["/v1/events"]["post"]
    assert set(events["responses"]) == {"202", "207", "400", "401", "408", "413", "415", "422", "429", "503"}
    assert set(events["requestBody"]["content"]) == {"application/cloudevents+json", "application/cloudevents-batch+json", "application/json"}
    assert events["security"] == [{"departmentKey": []}]
    assert "application/problem+json" in events["responses"]["429"]["content"]
    named = set(told["components"]["schemas"])
    references = {part.split('"')[0] for part in str(told).replace("'", '"').split("#/components/schemas/")[1:]}
    assert references <= named, "every model that is spoken of is there"
    assert topics["asyncapi"].startswith("3.")
