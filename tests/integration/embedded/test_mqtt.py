"""The brokers that `up` may find on a machine: each keeps what was not acknowledged, and knows who may come."""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.ingest.doors.broker import Connection, Terms
from services.ingest.errors import BrokerRefuses
from services.kit.embedded import mqtt
from services.kit.embedded.command import EmbeddedError
from services.kit.errors import Unavailable
from tests.integration.parts import Server, eventually
from tests.lanes import free_plan

BROKERS = [name for name, there in (("mosquitto", mqtt.found() not in {None, "iotcore"}), ("iotcore", importlib.util.find_spec("iotcore"))) if there]


@pytest.fixture(params=BROKERS)
async def plan(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[mqtt.MqttPlan]:
    """A plan whose broker runs."""
    if request.param == "iotcore":
        monkeypatch.setattr(mqtt, "found", lambda: "iotcore")
    plan = mqtt.MqttPlan(tmp_path / "mqtt", free_plan().base + 4, {name: secrets.token_urlsafe(24) for name in ("tongguan", "devices")})

    async def prepare() -> Any:
        return mqtt.prepare(plan)

    broker = Server("mqtt", tmp_path, prepare, lambda: mqtt.ready(plan))
    await broker.start()
    yield plan
    broker.kill()


async def test_a_message_that_was_not_acknowledged_comes_again(plan: mqtt.MqttPlan):
    terms = Terms(
        host="127.0.0.1",
        port=plan.port,
        tls=False,
        ca=None,
        user="tongguan",
        password=plan.users["tongguan"],
        client="ingest",
        version="5",
        window=100,
        session_s=60,
        keepalive_s=10,
    )
    heard: list[Any] = []

    async def has_heard(count: int) -> None:
        async def enough() -> bool:
            return len(heard) >= count

        await eventually(enough, f"{count} messages")

    first = Connection(terms, heard.append)
    await first.open(["city/#"])
    devices = Connection(replace(terms, user="devices", password=plan.users["devices"], client="devices"), print)
    await devices.open(["none"])
    for number in range(4):
        devices._client.publish("city/x", str(number), qos=1)
    await has_heard(4)
    for message in heard[:2]:
        first.acknowledge(message.mid)
    await asyncio.sleep(0.2)
    first.cut()
    devices._client.publish("city/x", "4", qos=1)
    heard.clear()
    second = Connection(terms, heard.append)
    await second.open(["city/#"])
    await has_heard(3)
    assert [message.payload for message in heard] == [b"2", b"3", b"4"]
    for connection in (second, devices):
        await connection.close(1)
    with pytest.raises((BrokerRefuses, Unavailable)):  # rumqttd closes without a word
        await Connection(replace(terms, password="wrong"), print).open(["city/#"])


def test_a_machine_without_a_broker_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(mqtt, "found", lambda: None)
    with pytest.raises(EmbeddedError, match="install mosquitto"):
        mqtt.prepare(mqtt.MqttPlan(tmp_path, 1, {}))
