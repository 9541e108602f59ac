"""A real mosquitto between devices and ingest: what the broker may forget is in Kafka, whatever is killed."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from services.ingest.domain.mqtt import content_type
from services.ingest.doors.broker import Connection, Terms
from services.ingest.errors import BrokerRefuses
from services.kit.embedded import mqtt
from services.kit.embedded.command import Command, base_environment
from services.kit.errors import Unavailable
from services.kit.topics import OBSERVATIONS, REJECTED
from tests.integration.ingest.conftest import STREET, now, observations, rejected
from tests.integration.parts import ROOT, Server, Servers, Service, Tape, eventually
from tests.lanes import free_plan

TOPIC = "city/manhole/MH-1/up"
Start = Callable[..., Service]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> mqtt.MqttPlan:
    users = {name: secrets.token_urlsafe(24) for name in ("tongguan", "devices")}
    return mqtt.MqttPlan(tmp_path_factory.mktemp("mqtt"), free_plan().base + 4, users)


@pytest.fixture(scope="module")
def mosquitto(plan: mqtt.MqttPlan) -> Iterator[Server]:
    async def prepare() -> Any:
        return mqtt.prepare(plan)

    broker = Server("mqtt", plan.folder, prepare, lambda: mqtt.ready(plan))
    asyncio.run(broker.start())
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def environment(environment: dict[str, str], plan: mqtt.MqttPlan, mosquitto: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With a manhole's logger that is heard by MQTT."""
    city = Path(shutil.copytree(ROOT / "cities" / "620100", tmp_path_factory.mktemp("city") / "620100"))
    name = {"zh": "井", "en": "Well"}
    sensor = {
        "id": "mqtt-well-1",
        "name": name,
        "domain": "sewage",
        "department": "drainage",
        "street": STREET,
        "metrics": {"level": {"unit": "m", "name": name}},
        "adapter": "mqtt",
        "link": {"protocol": "mqtt", "mapping": "manhole", "device": "MH-1"},
    }
    with (city / "sensors.yaml").open("a") as file:
        file.write(yaml.safe_dump([sensor], allow_unicode=True))
    return {
        **environment,
        "TONGGUAN_CITY": str(city),
        "TONGGUAN_INGEST__MQTT__URL": plan.address("tongguan"),
        "TONGGUAN_INGEST__MQTT__SHARE": "",
        "TONGGUAN_INGEST__MQTT__WINDOW": "2",
        "TONGGUAN_INGEST__ACKNOWLEDGE_S": "1",
    }


class Devices:
    """What publishes to the broker; `levels` are those of which it has said that it has them."""

    def __init__(self, plan: mqtt.MqttPlan) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set("devices", plan.users["devices"])
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", plan.port)
        self._client.loop_start()
        self._number = itertools.count(1)
        self.levels: list[int] = []

    async def say(self, payload: bytes, topic: str = TOPIC, qos: int = 1) -> None:
        """Return once the broker has it."""
        await eventually(self._connected, "the broker")
        message = self._client.publish(topic, payload, qos)
        await asyncio.to_thread(message.wait_for_publish, 20)
        assert message.is_published()

    async def _connected(self) -> bool:
        return self._client.is_connected()

    async def measure(self, count: int = 1, qos: int = 1) -> None:
        for level in itertools.islice(self._number, count):
            await self.say(json.dumps({"ts": now().timestamp() * 1000, "level_cm": level}).encode(), qos=qos)
            self.levels.append(level)

    def end(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
async def devices(plan: mqtt.MqttPlan, mosquitto: Server) -> AsyncIterator[Devices]:
    await mosquitto.start()
    opened = Devices(plan)
    yield opened
    await asyncio.to_thread(opened.end)


@pytest.fixture
async def tape(servers: Servers, database: str) -> Tape:
    return await Tape.of(servers.kafka, OBSERVATIONS)


def levels(records: list[Any]) -> set[int]:
    return {round(one.values["level"] * 100) for one in observations(records) if one.sensor == "mqtt-well-1"}


async def everything(devices: Devices, tape: Tape) -> None:
    """Return once all that the broker took is in Kafka."""
    await tape.until(lambda records: levels(records) >= set(devices.levels), "all that the devices said")


async def listening(service: Service, *, is_so: bool = True) -> None:
    """Return once a service that is ready hears its broker, or not."""
    await service.ready()

    async def told() -> bool:
        return await asyncio.to_thread(service.metric, 'tongguan_check_ok{check="mqtt"}') == is_so

    await eventually(told, "the check of MQTT")


async def unready(service: Service, *words: str) -> None:
    async def told() -> bool:
        problems = await asyncio.to_thread(service.problems)
        return bool(problems) and all(any(word in problem for problem in problems or ()) for word in words)

    await eventually(told, f"{words} in its problems")


async def test_readings_and_what_is_refused(start: Start, environment: dict[str, str], servers: Servers, devices: Devices, tape: Tape):
    """With a window of two, what comes after three refused messages shows that they were acknowledged."""
    refusals = await Tape.of(servers.kafka, REJECTED)
    service = start("ingest", **environment, TONGGUAN_NODE="first")
    await listening(service)
    await devices.measure(qos=0)
    bad = {TOPIC: b"{", "city/manhole/MH-9/up": b'{"level_cm": 1}', "city/hydrant/1/up": b'{"id": "HY-1", "batch": 0}'}
    for topic, payload in bad.items():
        await devices.say(payload, topic)
    await devices.measure(3)
    await everything(devices, tape)
    kept = rejected(await refusals.until(lambda records: len(records) >= len(bad), "what was refused"))
    assert {(one.problem.code, one.sensor, one.content_type, one.department) for one in kept} == {
        ("malformed_json", None, content_type(TOPIC), "drainage"),
        ("unknown_device", "mqtt:manhole/MH-9", content_type("city/manhole/MH-9/up"), "drainage"),
        ("no_readings", None, content_type("city/hydrant/1/up"), "water"),
    }
    assert {one.adapter for one in kept} == {"mqtt@first"}
    assert service.stop() == 0, service.log
    assert not [line for line in service.events() if line["level"] in {"error", "critical"}], service.log


async def test_two_nodes_share_and_nothing_is_acknowledged_that_kafka_has_not(
    start: Start, environment: dict[str, str], broker: Server, devices: Devices, tape: Tape
):
    """Kafka goes while both have messages; one is killed with its own, the other waits."""
    environment = {**environment, "TONGGUAN_INGEST__MQTT__SHARE": "nodes"}
    nodes = [start("ingest", **environment, TONGGUAN_NODE=name) for name in ("one", "two")]
    await asyncio.gather(*(listening(node) for node in nodes))
    await devices.measure(6)
    await everything(devices, tape)

    def heard(kind: str = "qos1") -> Sequence[float]:
        return [node.metric(f'tongguan_ingest_mqtt_messages_total{{department="drainage",kind="{kind}"}}') for node in nodes]

    assert sum(heard()) == 6
    assert min(heard()) >= 1
    broker.kill()
    await devices.measure(6)

    async def hold() -> bool:
        return sum(heard()) == 10

    await eventually(hold, "a window of messages at both nodes")
    await unready(nodes[0], "kafka:")
    nodes[1].kill()
    again = start("ingest", **environment, TONGGUAN_NODE="two")
    await broker.start()
    await everything(devices, tape)
    assert again.metric('tongguan_ingest_mqtt_messages_total{department="drainage",kind="repeated"}') == 2
    assert again.stop() == 0, again.log


async def test_killed_in_full_flow_and_stopped(start: Start, environment: dict[str, str], devices: Devices, tape: Tape):
    """By MQTT 3.1.1, whose window is the broker's; the second comes into the session of the first."""
    environment = {**environment, "TONGGUAN_NODE": "killed", "TONGGUAN_INGEST__MQTT__VERSION": "3.1.1"}
    first = start("ingest", **environment)
    await listening(first)
    flow = asyncio.create_task(devices.measure(300))

    async def flows() -> bool:
        return len(devices.levels) >= 50

    await eventually(flows, "a flow")
    first.kill()
    second = start("ingest", **environment)
    await flow
    await listening(second)
    await everything(devices, tape)
    assert second.stop() == 0, second.log


async def test_the_broker_away_and_back(start: Start, environment: dict[str, str], mosquitto: Server, devices: Devices, tape: Tape):
    service = start("ingest", **environment, TONGGUAN_NODE="patient")
    await listening(service)
    mosquitto.kill()
    await listening(service, is_so=False)
    assert service.events("mqtt_away")
    await mosquitto.start()
    await listening(service)
    await devices.measure(3)
    await everything(devices, tape)


def terms(plan: mqtt.MqttPlan, **changes: Any) -> Terms:
    given = {"host": "127.0.0.1", "port": plan.port, "tls": False, "ca": None, "user": "tongguan", "password": plan.users["tongguan"]}
    rest = {"client": "alone", "version": "5", "window": 10, "session_s": 10, "keepalive_s": 5}
    return Terms(**{**given, **rest, **changes})


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_who_may_not_come_is_told(plan: mqtt.MqttPlan, mosquitto: Server, version: str):
    connection = Connection(terms(plan, version=version, password="wrong"), print)
    with pytest.raises(BrokerRefuses, match=r"mqtt://tongguan@127.0.0.1:\d+ refuses alone: Not authorized"):
        await connection.open(["#"])
    assert not connection.is_open


async def test_nobody_there_and_no_broker_there(plan: mqtt.MqttPlan):
    with pytest.raises(Unavailable, match="refused"):
        await Connection(terms(plan, port=free_plan().base), print).open(["#"])

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", port := free_plan().base):
        with pytest.raises(Unavailable, match="mqtt://"):
            await Connection(terms(plan, port=port), print).open(["#"])


def secured(folder: Path, port: int) -> Path:
    """Return the settings of a broker with TLS; beside them lies its certificate."""
    key, certificate, config = (folder / name for name in ("key.pem", "cert.pem", "mosquitto.conf"))
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run(("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, *subject), check=True)
    config.write_text(f"user root\nlistener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\nallow_anonymous true\n")
    return config


async def test_tls(tmp_path: Path, plan: mqtt.MqttPlan):
    """Many messages in one record of TLS, and one over many, are all read; who is not trusted is told."""
    config = secured(tmp_path, port := free_plan().base)
    broker = Server("tls", tmp_path, lambda: _command(config), lambda: _listens(port))
    await broker.start()
    try:
        heard: list[bytes] = []
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await Connection(terms(plan, port=port, tls=True), print).open(["#"])
        gc.collect()  # a socket that was left open would be told here
        connection = Connection(terms(plan, port=port, tls=True, ca=str(tmp_path / "cert.pem")), lambda message: heard.append(message.payload))
        await connection.open(["t"])
        said = [b"a" * 300_000, *(str(number).encode() for number in range(200)), b"b" * 100_000]
        for payload in said:
            connection._client.publish("t", payload)

        async def all_heard() -> bool:
            return heard == said

        await eventually(all_heard, "all that was said")
        await connection.close(1)
        assert connection.lost.done()
    finally:
        broker.kill()


async def _command(config: Path) -> Command:
    return Command("mqtt", (mqtt.found() or "", "-c", str(config)), config.parent, base_environment())


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
