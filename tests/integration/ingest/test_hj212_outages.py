"""HJ 212 monitors while Kafka is away, at a crash and at the end: none was told of what is not in Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from protocols.hj212 import (
    data_answer,
)
from services.kit.topics import OBSERVATIONS
from tests.integration.ingest.conftest import now, observations
from tests.integration.ingest.monitors import SITE_2, hj212_environment, monitor, published
from tests.integration.parts import Server, Servers, Service, Tape, free_plan

__all__ = ["hj212_environment"]

Start = Callable[..., Service]


@pytest.fixture
def run(environment: dict[str, str], start: Start) -> Callable[..., Service]:
    """Start ingest with its door on a free port."""
    return lambda **changes: start("ingest", **{**environment, "TONGGUAN_INGEST__HJ212__PORT": str(free_plan().gateway), **changes})


async def test_without_kafka_nothing_is_answered_and_then_all_is_there(servers: Servers, broker: Server, run: Callable[..., Service]):
    service = run(TONGGUAN_INGEST__ACKNOWLEDGE_S="1")
    await service.ready()
    tape = await Tape.of(servers.kafka, OBSERVATIONS)
    async with monitor(service) as device:
        packets = [device.upload(number, now() - timedelta(minutes=number)) for number in range(5)]
        broker.kill()
        device.send(*packets)
        assert await device.heard(2.5) is None
        await broker.start()
        await service.ready()
        answered: set[str] = set()
        while len(answered) < len(packets):
            device.send(*(packet for packet in packets if packet.qn not in answered))
            while (answer := await device.heard(2)) is not None:
                answered.add(answer.qn)
        await published(tape, *packets)


async def test_what_was_answered_before_a_kill_is_in_kafka(servers: Servers, run: Callable[..., Service]):
    service = run()
    await service.ready()
    tape = await Tape.of(servers.kafka, OBSERVATIONS)
    async with monitor(service) as device, monitor(service, SITE_2) as other:
        sent = [(each, each.upload(number, now() - timedelta(minutes=number))) for number in range(300) for each in (device, other)]
        for each, packet in sent:
            each.send(packet)
        answered = [await each.heard() for each in (device, other) for _ in range(40)]
        service.kill()
        for each in (device, other):
            while (answer := await each.heard()) is not None:
                answered.append(answer)
    names = {answer.qn for answer in answered if answer}
    assert len(names) >= 80
    assert names <= {one.id.split("/")[1] for one in observations(await tape.records())}


async def test_at_the_end_what_is_in_hand_is_answered(servers: Servers, run: Callable[..., Service]):
    service = run()
    await service.ready()
    async with monitor(service) as device:
        packets = [device.upload(number, now() - timedelta(minutes=number)) for number in range(50)]
        device.send(*packets)
        assert await device.heard() == data_answer(packets[0])
        assert await asyncio.to_thread(service.stop) == 0, service.log
        answers = [data_answer(packets[0])]
        while (answer := await device.heard()) is not None:
            answers.append(answer)
        assert answers == [data_answer(packet) for packet in packets]
