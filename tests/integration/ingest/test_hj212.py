"""The door for HJ 212 monitors: what a device is told, and that it is told so only of what is in Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from protocols.hj212 import (
    EDITION_2005,
    EDITION_2017,
    Edition,
    ExeRtn,
    Flag,
    Kind,
    Packet,
    data_answer,
    encode,
    execute_answer,
    framed,
    notice_answer,
    qn_of,
    request_answer,
)
from schemas.rejected import Rejected
from services.kit.topics import OBSERVATIONS, REJECTED
from tests.integration.ingest.conftest import now, observations, rejected
from tests.integration.ingest.monitors import GUARDED, PASSWORD, SITE, SITE_2, ZONE, Monitor, hj212_environment, monitor, named, published
from tests.integration.parts import Servers, Service, Tape, eventually, free_plan

__all__ = ["hj212_environment"]

ELSEWHERE = "127.0.0.2"
"""Another address than that of most devices here."""


@pytest.fixture(scope="module")
def door(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One ingest for all tests that do it no harm."""
    settings = {"PORT": str(free_plan().gateway), "SET_CLOCK": "PT1H", "MAX_PER_ADDRESS": "300", "STRANGER_S": "4", "TAKEOVER_S": "2"}
    told = {f"TONGGUAN_INGEST__HJ212__{name}": value for name, value in settings.items()}
    service = Service("ingest", tmp_path_factory.mktemp("ingest"), {**environment, **told})
    yield service
    assert service.stop() == 0, service.log
    assert not [line for line in service.events() if line["level"] in {"error", "critical"}], service.log


@pytest.fixture
async def tape(servers: Servers, door: Service) -> Tape:
    await door.ready()
    return await Tape.of(servers.kafka, OBSERVATIONS)


@pytest.fixture
async def rejections(servers: Servers, door: Service) -> Tape:
    await door.ready()
    return await Tape.of(servers.kafka, REJECTED)


async def refused(tape: Tape, code: str) -> Rejected:
    records = await tape.until(lambda records: any(one.problem.code == code for one in rejected(records)), code)
    return next(one for one in rejected(records) if one.problem.code == code)


# What a device is told


@pytest.mark.parametrize("edition", [EDITION_2017, EDITION_2005], ids=lambda edition: edition.name)
async def test_data_are_answered_in_their_edition_once_they_are_in_kafka(door: Service, tape: Tape, edition: Edition):
    async with monitor(door, edition=edition) as device:
        packet = device.upload()
        device.send(packet)
        assert await device.heard() == data_answer(packet)
        (one,) = await published(tape, packet)
        assert (one.sensor, one.values, one.department) == (f"site-{SITE}", {"tsp": 0.12}, "water")


async def test_answers_come_in_the_order_of_the_packets_however_the_stream_is_cut(door: Service, tape: Tape):
    async with monitor(door) as device:
        packets = [device.upload(number, now() - timedelta(minutes=number)) for number in range(20)]
        stream = b"\r\n".join(map(encode, packets))
        for first in range(0, len(stream), 37):
            device.write(stream[first : first + 37])
            await asyncio.sleep(0)
        assert [await device.heard() for _ in packets] == [data_answer(packet) for packet in packets]
        await published(tape, *packets)


async def test_each_part_of_a_split_message_is_answered_by_itself(door: Service, tape: Tape):
    async with monitor(door) as device:
        parts = device.split(80, codes=100)
        assert len(parts) > 1
        for part in parts:
            device.send(part)
            assert await device.heard() == data_answer(part)
        last = [one for one in observations(await tape.records()) if named(parts[0])(one)][-1]
        assert (last.values, last.quality) == ({"tsp": 0.08, "pm10": 80.0}, {"pm10": "fault"})


async def test_what_is_sent_again_is_answered_again_and_is_the_same(door: Service, tape: Tape):
    async with monitor(door) as device:
        packet = device.upload(kind=Kind.HOUR, at=now() - timedelta(hours=2))
        device.send(packet, packet)
        assert [await device.heard(), await device.heard()] == [data_answer(packet)] * 2
        first, second = [one for one in observations(await tape.records()) if named(packet)(one)]
        assert (first.id, first.start, first.end, first.values) == (second.id, second.start, second.end, second.values)
        assert first.statistic == "mean"


async def test_heartbeats_logins_and_boots_are_answered(door: Service, tape: Tape):
    async with monitor(door) as device:
        packets = [replace(device.upload(), cn=cn, items=()) for cn in ("9015", "9021", "2081")]
        device.send(*packets, replace(packets[0], flag=Flag(EDITION_2017)), packets[0])
        answers = [notice_answer(packets[0]), notice_answer(packets[1]), data_answer(packets[2]), notice_answer(packets[0])]
        assert [await device.heard() for _ in answers] == answers


async def test_a_clock_that_is_far_off_is_set(door: Service, tape: Tape):
    async with monitor(door, SITE_2) as device:
        late = replace(device.upload(), qn=qn_of(now().astimezone(ZONE) - timedelta(hours=2)))
        device.send(late)
        said = [await device.heard(), await device.heard()]
        request = next(packet for packet in said if packet and packet.cn == "1012")
        device.send(request_answer(request), execute_answer(request, ExeRtn.DONE))

        async def told() -> list[Any]:
            return door.events("clock_set")

        (line, *_) = await eventually(told, "the end of it in the log")
        assert (line["ended"], line["device"]) == ("done", f"hj212:{SITE_2}")


# What it is not told, and what is kept of it


def _wrong_crc(packet: Packet) -> bytes:
    return encode(packet).replace(b"Rtd=120", b"Rtd=121")


def _wrong_length(packet: Packet) -> bytes:
    whole = encode(packet)
    return b"##%04d" % (int(whole[2:6]) - 5) + whole[6:]


REFUSALS: dict[str, tuple[str, Callable[[Monitor], bytes], str]] = {
    "wrong CRC": ("bad_crc", lambda device: _wrong_crc(device.upload()), "water"),
    "wrong length": ("unterminated", lambda device: _wrong_length(device.upload()), "water"),
    "no number": ("bad_value", lambda device: framed(encode(device.upload())[6:-6].replace(b"Rtd=120", b"Rtd=---")), "water"),
    "an unknown command": ("unknown_command", lambda device: encode(replace(device.upload(), cn="8888")), "water"),
    "the future": ("in_the_future", lambda device: encode(device.upload(at=now() + timedelta(hours=1))), "water"),
    "an unknown device": ("unknown_device", lambda device: encode(replace(device.upload(), mn="stranger")), "drainage"),
    "a wrong password": ("wrong_password", lambda device: encode(replace(device.upload(), mn=GUARDED, pw="000000")), "water"),
}


@pytest.mark.parametrize(("code", "bad", "department"), REFUSALS.values(), ids=REFUSALS)
async def test_what_is_refused_is_kept_and_not_answered_and_the_device_goes_on(
    door: Service, rejections: Tape, tape: Tape, code: str, bad: Callable[[Monitor], bytes], department: str
):
    async with monitor(door) as device:
        before, after = device.upload(), device.upload(130)
        device.send(before)
        assert await device.heard() == data_answer(before)
        device.write(bad(device))
        device.send(after)
        assert await device.heard() == data_answer(after), "nothing else was answered"
        kept = await refused(rejections, code)
        assert (kept.department, kept.content_type) == (department, "application/vnd.tongguan.hj212")
        assert kept.size > 0
        assert PASSWORD not in kept.problem.model_dump_json()
        if code == "unknown_device":
            assert kept.sensor == "hj212:stranger"


async def test_a_device_with_a_password_is_taken_with_it(door: Service, tape: Tape, environment: dict[str, str]):
    (line,) = door.events("devices")
    assert (line["registered"], line["without_password"]) == (3, 2)
    async with monitor(door, GUARDED, pw=PASSWORD) as device:
        packet = device.upload()
        device.send(packet)
        assert await device.heard() == data_answer(packet)


async def test_a_device_with_another_s_identity_is_refused_until_that_is_silent(door: Service, rejections: Tape, tape: Tape):
    async with monitor(door) as owner, monitor(door, address=ELSEWHERE) as other:
        first, second = owner.upload(), other.upload(999)
        owner.send(first)
        assert await owner.heard() == data_answer(first)
        other.send(second)
        assert await other.heard(0.5) is None
        assert (await refused(rejections, "identity_in_use")).sensor == f"hj212:{SITE}"
        await asyncio.sleep(2)
        other.send(second)
        assert await other.heard() == data_answer(second)
        assert await owner.closed(), "the newer has taken over"


async def test_a_device_that_comes_again_is_taken_at_once(door: Service, tape: Tape):
    async with monitor(door) as older, monitor(door) as newer:
        for device in (older, newer):
            packet = device.upload()
            device.send(packet)
            assert await device.heard() == data_answer(packet)
        assert await older.closed()


async def test_silent_connections_harm_nobody_and_are_closed(door: Service, tape: Tape):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with monitor(door, address=ELSEWHERE) as device, contextlib.AsyncExitStack() as crowd:
        silent = [await crowd.enter_async_context(monitor(door)) for _ in range(1_200)]
        packet = device.upload()
        device.send(packet)
        assert await device.heard(5) == data_answer(packet)
        assert door.metric('tongguan_hj212_connections{who="stranger"}') <= 300
        assert all(await asyncio.gather(*(one.closed(15) for one in silent)))
        assert door.metric('tongguan_hj212_closed_total{why="too_many_of_address"}') >= 900
        device.send(packet)
        assert await device.heard(5) == data_answer(packet), "a device is no stranger"


async def test_another_protocol_is_cut(door: Service, rejections: Tape):
    async with monitor(door, address="127.0.0.3") as device:
        device.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 100_000)
        assert await device.closed(3)
    assert (await refused(rejections, "junk")).department == "drainage"
