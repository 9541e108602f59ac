"""All doors at once in full flow, while ingest is killed and Kafka is slow, gone and back: what was acknowledged is in Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocols.hj212 import EDITION_2017, Packet, Station
from schemas import wire
from services.kit import topics
from services.kit.errors import Unavailable
from services.kit.producer import Outgoing, Producer
from services.kit.topics import OBSERVATIONS
from tests.integration.ingest import test_gb26875 as fire
from tests.integration.ingest.conftest import KEYS, Department, now, observation, observations
from tests.integration.ingest.monitors import SITE, Monitor, _sensor
from tests.integration.ingest.test_mqtt import Devices, environment, mosquitto, plan
from tests.integration.parts import Server, Servers, Service, Tape, delete_topics, eventually
from tests.integration.rooms import made_anew
from tests.lanes import free_plan

__all__ = ["environment", "mosquitto", "plan"]

SLOW_S = 6.0
"""The broker takes everything and answers nothing: longer than ingest waits for it."""
AWAY_S = float(os.environ.get("TONGGUAN_TEST_AWAY_S", "2"))
"""Set it to 60 for what the platform must stand; here it is as long as CI can wait."""
TOPIC = "inbound.water"


@pytest.fixture(name="database", scope="module")
def with_a_topic(servers: Servers) -> Iterator[str]:
    with made_anew(servers) as dsn:
        asyncio.run(topics.apply(servers.kafka, dsn, lambda _: None, departments=["water"]))
        yield dsn
        asyncio.run(delete_topics(servers.kafka, TOPIC))


class Node:
    """An ingest with all its doors open, to be killed and started again on the same ports."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.ports = free_plan()
        city = Path(shutil.copytree(environment["TONGGUAN_CITY"], folder / "city"))
        with (city / "sensors.yaml").open("a") as file:
            file.writelines(f"- {json.dumps(one)}\n" for one in (_sensor(SITE), *fire.SENSORS))
        self._folder = folder
        self._environment = {
            **environment,
            **fire.told(city, self.ports.gb26875),
            "TONGGUAN_INGEST__HJ212__ENABLED": "true",
            "TONGGUAN_INGEST__HJ212__DEPARTMENT": "water",
            "TONGGUAN_INGEST__HJ212__PORT": str(self.ports.hj212),
            "TONGGUAN_INGEST__MQTT__WINDOW": "20",
            "TONGGUAN_INGEST__ACKNOWLEDGE_S": "2",
        }
        self.start()

    def start(self) -> None:
        self.service = Service("ingest", self._folder, self._environment, self.ports)

    def kill_and_start(self) -> None:
        self.service.kill()
        self.start()


@pytest.fixture
def node(tmp_path: Path, environment: dict[str, str]) -> Iterator[Node]:
    node = Node(tmp_path, environment)
    yield node
    node.service.kill()


class Senders:
    """One of each kind; what they were told is taken is in `told`, by the door, under what names it on the topic."""

    def __init__(self, node: Node, producer: Producer, devices: Devices, client: httpx.AsyncClient) -> None:
        self._node = node
        self._producer = producer
        self._client = client
        self._devices = devices
        self._fire = fire.Flow(node.ports.gb26875)
        self.not_taken = 0
        self.told: dict[str, list[Any]] = {"http": [], "inbound": [], "hj212": [], "mqtt": devices.levels, "gb26875": self._fire.confirmed}
        works = (self._by_http, self._by_http, self._by_kafka, self._by_hj212, self._by_mqtt)
        self._begun = time.monotonic()
        self._tasks = [asyncio.create_task(self._for_ever(work)) for work in works]

    async def more(self, what: str) -> None:
        """Return once so much more was taken by every door."""
        before = self.said()

        async def reached() -> bool:
            for task in self._tasks:
                assert not task.done(), task.exception()
            return all(len(told) >= before[door] + 20 for door, told in self.told.items())

        try:
            await eventually(reached, f"more by each door {what}", 90)
        except AssertionError as error:
            raise AssertionError(f"{error}: {before} have become {self.said()}") from error
        print(f"{time.monotonic() - self._begun:6.1f} s {what}: {self.said()}, {self.not_taken} not taken")

    def said(self) -> dict[str, int]:
        """Return how much each door has acknowledged."""
        return {door: len(told) for door, told in self.told.items()}

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, self._fire.end(), return_exceptions=True)

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (OSError, httpx.TransportError, Unavailable, TimeoutError):
                self.not_taken += 1
                await asyncio.sleep(0.1)

    async def _by_http(self) -> None:
        events = [observation() for _ in range(10)]
        answer = await Department(self._node.service, KEYS["water"], self._client).batch(*events)
        if answer.status_code == 202:
            self.told["http"] += [event["id"] for event in events]
        else:
            assert answer.status_code == 503, answer.text
            raise Unavailable

    async def _by_kafka(self) -> None:
        events = [observation() for _ in range(10)]
        await self._producer.publish(TOPIC, [Outgoing(json.dumps(event).encode(), partition=at % 6) for at, event in enumerate(events)])
        self.told["inbound"] += [event["id"] for event in events]
        await asyncio.sleep(0.02)

    async def _by_hj212(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._node.ports.hj212)
        try:
            device = Monitor(reader, writer, Station(mn=SITE, st="39", edition=EDITION_2017))
            for number in itertools.count():
                sent = [device.upload(at=now() - timedelta(minutes=5 * number + at)) for at in range(5)]
                device.send(*sent)
                await self._answers(device, sent)
        finally:
            writer.transport.abort()

    async def _answers(self, device: Monitor, sent: list[Packet]) -> None:
        for _ in sent:
            answer = await device.heard(5)
            if answer is None:
                raise TimeoutError
            assert answer.cn == "9014", answer
            self.told["hj212"].append(answer.qn)

    async def _by_mqtt(self) -> None:
        await self._devices.measure()
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def stopped(broker: Server) -> AsyncIterator[None]:
    """It holds its connections, and does nothing."""
    assert broker._process is not None
    os.killpg(broker._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(broker._process.pid, signal.SIGCONT)


def names(records: list[Any]) -> dict[str, set[Any]]:
    """Return by door what stands on the topic, under the names that senders were told."""
    found = observations(records)
    ids = {one.id for one in found}
    return {
        "http": ids,
        "inbound": ids,
        "hj212": {one.id.split("/")[1] for one in found if one.sensor == f"site-{SITE}"},
        "mqtt": {_level(one) for one in found if one.sensor == "mqtt-well-1"},
        "gb26875": {one.end for one in found if one.sensor == "smoke-1"},
    }


def _level(one: wire.Observation) -> int:
    return round(one.values["level"] * 100)


async def test_what_any_door_acknowledged_is_in_kafka(servers: Servers, broker: Server, node: Node, producer: Producer, plan: Any, mosquitto: Server):
    tape = await Tape.of(servers.kafka, OBSERVATIONS)
    await node.service.ready()
    devices = Devices(plan)
    async with httpx.AsyncClient(timeout=30) as client:
        senders = Senders(node, producer, devices, client)
        try:
            await senders.more("at the beginning")
            node.kill_and_start()
            await senders.more("after a kill in full flow")
            async with stopped(broker):
                await asyncio.sleep(SLOW_S)
            await senders.more("after the broker was slow")
            broker.kill()
            await asyncio.sleep(AWAY_S)
            node.kill_and_start()
            await broker.start()
            await senders.more("after the broker was away, and a kill meanwhile")
        finally:
            await senders.end()
            await asyncio.to_thread(devices.end)
    assert senders.not_taken

    missing: dict[str, set[Any]] = {}

    def complete(records: list[Any]) -> bool:
        found = names(records)
        missing.update((door, set(told) - found[door]) for door, told in senders.told.items())
        return not any(missing.values())

    try:
        await tape.until(complete, "all that was acknowledged")
    except AssertionError as error:
        raise AssertionError(f"acknowledged, and not in Kafka: { {door: len(lost) for door, lost in missing.items()} }") from error
    assert await asyncio.to_thread(node.service.stop) == 0, node.service.log
