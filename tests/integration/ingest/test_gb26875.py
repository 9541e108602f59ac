"""Fire transmission devices at a real ingest: nothing is confirmed that is not in Kafka, and whoever sends rubbish harms nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import yaml

from protocols.gb26875 import (
    Address,
    Command,
    ComponentBits,
    ComponentState,
    Device,
    DeviceAction,
    DeviceOperation,
    Frame,
    Framer,
    Object,
    PatrolCheck,
    UnitType,
    confirm,
    deny,
    unit_of,
)
from schemas.action import Actor
from schemas.base import Name
from schemas.command import Patrol
from schemas.outcome import Outcome
from schemas.sensor import Sensor
from services.ingest.domain.registry import Registry
from services.ingest.doors.gb26875 import CONTENT_TYPE
from services.ingest.patrols import Calls, Patrolling
from services.ingest.units import conversion
from services.kit.topics import OBSERVATIONS, REJECTED
from tests.integration.ingest.conftest import STREET, now, observations, rejected
from tests.integration.parts import ROOT, Server, Servers, Service, Tape, eventually, free_plan
from tests.unit.gateway.city import TREE

ADDRESS, NAME = 889, "790300000000"
SMOKE = Address(zone=10, point=2)
LINK = {"protocol": "gb26875", "device": NAME}
STATES = {"states": {"fire": {"metric": "fire"}}}


def sensor(id_: str, **link: Any) -> dict[str, Any]:
    name = {"zh": "感烟", "en": "Smoke"}
    return {
        "id": id_,
        "name": name,
        "domain": "fire",
        "department": "fire",
        "street": STREET,
        "metrics": {"fire": {"unit": "1", "name": name}},
        "adapter": "gb26875",
        "link": LINK | STATES | link,
    }


SENSORS = [sensor("smoke-1", system=1, component="0a000200"), sensor("device-1")]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lanzhou with a fire transmission device."""
    import shutil

    copied = Path(shutil.copytree(ROOT / "cities" / "620100", tmp_path_factory.mktemp("city") / "620100"))
    (copied / "sensors.yaml").write_text(yaml.safe_dump(SENSORS, allow_unicode=True))
    return copied


def told(city: Path, port: int, **more: str) -> dict[str, str]:
    settings = {"ENABLED": "true", "PORT": str(port), **more}
    return {"TONGGUAN_CITY": str(city), **{f"TONGGUAN_INGEST__GB26875__{name}": value for name, value in settings.items()}}


@pytest.fixture(scope="module")
def port() -> int:
    return free_plan().database


@pytest.fixture(scope="module")
def fire(environment: dict[str, str], city: Path, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One ingest for all tests of the module that do it no harm."""
    limits = told(city, port, MAX_ERRORS="4", IDENTIFY_S="3", MAX_CONNECTIONS="4000", MAX_PER_ADDRESS="1500")
    service = Service("ingest", tmp_path_factory.mktemp("fire"), environment | limits)
    yield service
    assert service.stop() == 0, service.log
    assert not [line for line in service.events() if line["level"] in {"error", "critical"}], service.log


class Line:
    """A device's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, device: Device) -> None:
        self.device = device
        self.writer = writer
        self._reader = reader
        self._framer = Framer()
        self._frames: list[Frame] = []
        self._serial = 0

    def state(self, state: int = 1, second: int = 0, address: Address = SMOKE) -> Frame:
        """A component's state so many seconds ago."""
        time = (now() + timedelta(hours=8)).replace(tzinfo=None, microsecond=0) - timedelta(seconds=second)
        return self.report(UnitType.COMPONENT_STATES, ComponentState(1, 1, 42, address, ComponentBits(state), "七楼会议室烟感", time))

    def report(self, kind: UnitType, *objects: Object) -> Frame:
        self._serial += 1
        return self.device.send(kind, objects, serial=self._serial, time=(now() + timedelta(hours=8)).replace(tzinfo=None))

    async def send(self, *frames: Frame) -> None:
        self.writer.write(b"".join(frame.encode() for frame in frames))
        await self.writer.drain()

    async def receive(self, seconds: float = 15) -> Frame | None:
        """Return what comes next; None when the line is closed. Raises TimeoutError when nothing comes."""
        async with asyncio.timeout(seconds):
            while not self._frames:
                if not (data := await self._reader.read(4_096)):
                    return None
                self._frames += [item for item in self._framer.feed(data) if isinstance(item, Frame)]
        return self._frames.pop(0)

    async def exchange(self, frame: Frame) -> Command | int | None:
        await self.send(frame)
        answer = await self.receive()
        assert answer is None or (answer.serial, answer.target, answer.unit) == (frame.serial, self.device.source, b"")
        return answer and answer.command


@contextlib.asynccontextmanager
async def connected(port: int, address: int = ADDRESS) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer, Device(address, 88888))
    finally:
        writer.transport.abort()


@pytest.fixture
async def line(fire: Service, port: int) -> AsyncIterator[Line]:
    await fire.ready()
    async with connected(port) as opened:
        yield opened


async def kept(tape: Tape, *codes: str) -> None:
    """Return once refusals with these codes are kept as frames."""

    def there(records: list[Any]) -> bool:
        found = [one for one in rejected(records) if one.content_type == CONTENT_TYPE]
        return {one.problem.code for one in found} >= set(codes)

    await tape.until(there, f"refusals {codes}")


# Outages: first, before the module's own ingest runs, which would have its own to say of Kafka's absence

Start = Callable[..., Service]


class Flow:
    """A device that reports a state of each second of the past hours, one after the other, and tries again what is not confirmed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.confirmed: list[int] = []
        self.tried_again = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        second = 0
        base = (now() + timedelta(hours=8)).replace(tzinfo=None, microsecond=0)
        while True:
            try:
                async with connected(self._port) as line:
                    while True:
                        time = base - timedelta(seconds=second)
                        state = ComponentState(1, 1, 42, SMOKE, ComponentBits.NORMAL, "", time)
                        await line.send(line.report(UnitType.COMPONENT_STATES, state))
                        answer = await line.receive(seconds=2)
                        if answer is None:
                            break
                        assert answer.command == Command.CONFIRM
                        self.confirmed.append(int((time - timedelta(hours=8)).replace(tzinfo=now().tzinfo).timestamp()) * 1_000_000)
                        second += 1
            except (OSError, TimeoutError):
                self.tried_again += 1
                await asyncio.sleep(0.05)

    async def more(self, count: int = 50) -> None:
        enough = len(self.confirmed) + count

        async def reached() -> bool:
            assert not self._task.done(), self._task.exception()
            return len(self.confirmed) >= enough

        await eventually(reached, f"{count} more to be confirmed", 60)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def all_of(flow: Flow) -> Callable[[list[Any]], bool]:
    return lambda records: {one.end for one in observations(records) if one.sensor == "smoke-1"} >= set(flow.confirmed)


async def test_kafka_gone_for_a_while_and_killed_in_full_flow(
    servers: Servers, broker: Server, start: Start, environment: dict[str, str], city: Path
):
    own = free_plan().database
    service = start("ingest", **{**environment, **told(city, own), "TONGGUAN_INGEST__ACKNOWLEDGE_S": "1"})
    await service.ready()
    tape = await Tape.of(servers.kafka, OBSERVATIONS)
    flow = Flow(own)
    try:
        await flow.more()
        broker.kill()
        await asyncio.sleep(1)  # what was acknowledged before may still be on its way to the device
        before = len(flow.confirmed)
        await asyncio.sleep(3)
        assert len(flow.confirmed) == before, "nothing is confirmed while Kafka is away"
        await broker.start()
        await flow.more()
        service.kill()
        again = start("ingest", **{**environment, **told(city, own)})
        await flow.more()
    finally:
        await flow.end()
    assert flow.tried_again
    await tape.until(all_of(flow), "all that was confirmed")
    assert again.stop() == 0, again.log


# What is said and answered


async def test_what_is_confirmed_is_in_kafka_and_what_is_refused_too(servers: Servers, line: Line):
    heard, refused = await Tape.of(servers.kafka, OBSERVATIONS), await Tape.of(servers.kafka, REJECTED)
    assert await line.exchange(line.device.heartbeat(serial=9, time=None)) == Command.CONFIRM
    assert await line.exchange(line.state(3)) == Command.CONFIRM
    (one,) = observations(await heard.records())
    assert (one.sensor, one.department, one.values, one.origin) == ("smoke-1", "fire", {"fire": 1.0}, "real")
    assert await line.exchange(line.state(3)) == Command.CONFIRM, "a device may send it again"
    assert await line.exchange(line.state(2)) == Command.CONFIRM
    assert [one.origin for one in observations(await heard.records())][-1] == "exercise", "it sets bit 0, so without it this is a drill"
    assert await line.exchange(line.state(3, address=Address(1, 1))) == Command.DENY
    by_code = {each.problem.code: each for each in rejected(await refused.records())}
    assert by_code.keys() == {"unknown_device"}


async def test_an_unknown_device_is_denied_and_kept_for_adoption(servers: Servers, fire: Service, port: int):
    await fire.ready()
    tape = await Tape.of(servers.kafka, REJECTED)
    async with connected(port, address=1) as stranger:
        assert await stranger.exchange(stranger.state(3)) == Command.DENY
        for _ in range(3):
            assert await stranger.exchange(stranger.device.heartbeat(serial=1, time=None)) == Command.DENY
        assert await stranger.receive() is None, "who is nobody is closed after a while"
    found = [(one.problem.code, one.sensor, one.department, one.content_type) for one in rejected(await tape.records())]
    assert found == [("unknown_device", "gb26875:010000000000", "fire", CONTENT_TYPE)] * 2, "heartbeats say no more than the first"


async def test_a_wrong_checksum_is_denied_and_the_line_goes_on(servers: Servers, line: Line):
    tape = await Tape.of(servers.kafka, REJECTED)
    damaged = bytearray(line.state(3).encode())
    damaged[-3] ^= 1
    line.writer.write(bytes(damaged))
    answer = await line.receive()
    assert answer is not None
    assert answer.command == Command.DENY
    assert await line.exchange(line.state(3)) == Command.CONFIRM
    await kept(tape, "wrong_checksum")


async def test_many_frames_at_once_are_answered_in_order(line: Line):
    frames = [line.state(1, second=second) for second in range(200)]
    await line.send(*frames)
    answers = [await line.receive() for _ in frames]
    assert [(one.serial, one.command) for one in answers if one] == [(frame.serial, Command.CONFIRM) for frame in frames]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "not_this_protocol"),
        (bytes.fromhex("16030100ae010000aa0303") + bytes(range(1, 60)), "not_this_protocol"),
        (Device(ADDRESS, 1).heartbeat(serial=1, time=None).encode()[:-5], "incomplete"),
    ],
    ids=["HTTP", "TLS", "half a frame"],
)
async def test_what_is_no_frame_is_kept_and_not_answered(servers: Servers, fire: Service, port: int, said: bytes, code: str):
    await fire.ready()
    tape = await Tape.of(servers.kafka, REJECTED)
    async with connected(port) as line:
        line.writer.write(said)
        line.writer.write_eof()
        assert await line.receive() is None
    await kept(tape, code)


async def test_a_line_of_rubbish_is_closed(fire: Service, port: int):
    await fire.ready()
    async with connected(port) as line:
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                line.writer.write(b"\x00" * 65_536)
                await line.writer.drain()
            assert await line.receive() is None
    await eventually(lambda: _at_least(fire, 'tongguan_ingest_gb26875_closed_total{reason="errors"}', 1), "it to be closed")


async def _at_least(service: Service, line: str, count: float) -> bool:
    return await asyncio.to_thread(service.metric, line) >= count


async def test_a_thousand_silent_connections_harm_nobody(fire: Service, port: int):
    await fire.ready()
    count = min(1_400, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 300)
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    try:
        async with connected(port) as line:
            assert await line.exchange(line.state(1)) == Command.CONFIRM
            more = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
            silent += more
            assert await line.exchange(line.state(1)) == Command.CONFIRM
            await eventually(
                lambda: _at_least(fire, 'tongguan_ingest_gb26875_closed_total{reason="full for its address"}', 1), "some to be turned away"
            )
            await eventually(lambda: _at_least(fire, 'tongguan_ingest_gb26875_closed_total{reason="nobody"}', count - 100), "them to be closed")
            assert await line.exchange(line.state(1)) == Command.CONFIRM
    finally:
        for one in silent:
            one.close()


# Patrol checks


@pytest.fixture
def patrolling() -> Patrolling:
    registry = Registry(TREE, [Sensor.model_validate(one) for one in SENSORS], conversion)
    return Patrolling(lambda: registry)


async def ask(pool: asyncpg.Pool, patrolling: Patrolling, device: str = NAME, within_s: int = 90) -> Outcome:
    command = Patrol(
        id=uuid4(), actor=Actor(id="desk", name=Name(zh="值班", en="Desk")), at=now(), device=device, department="fire", within_s=within_s
    )
    async with pool.acquire() as connection, connection.transaction():
        return (await patrolling.decide(connection, command)).outcome


async def newest(pool: asyncpg.Pool) -> asyncpg.Record:
    row = await pool.fetchrow("select * from api_ingest.patrols(array['fire'], null, null, 1)")
    assert row is not None
    return row


async def becomes(pool: asyncpg.Pool, state: str) -> asyncpg.Record:
    async def is_so() -> bool:
        return (await newest(pool))["state"] == state

    await eventually(is_so, f"the check to be {state}", 20)
    return await newest(pool)


async def called(line: Line) -> Frame:
    """Return the next patrol check on a line, whose device has said who it is."""
    assert await line.exchange(line.device.heartbeat(serial=1, time=None)) == Command.CONFIRM
    call = await line.receive()
    assert call is not None
    assert (call.command, unit_of(call.unit).objects) == (Command.CONTROL, (PatrolCheck(2),))
    return call


async def test_a_patrol_check_is_called_and_answered(line: Line, pool: asyncpg.Pool, patrolling: Patrolling):
    assert await ask(pool, patrolling) == Outcome.APPLIED
    call = await called(line)
    await line.send(confirm(call, time=None))  # type: ignore[arg-type]
    pressed = DeviceOperation(DeviceAction.PATROL_ANSWERED, 4, None)
    assert await line.exchange(line.report(UnitType.DEVICE_OPERATIONS, pressed)) == Command.CONFIRM
    row = await newest(pool)
    assert (row["state"], row["operator"], row["device"]) == ("answered", 4, NAME)


async def test_a_patrol_check_that_is_denied(line: Line, pool: asyncpg.Pool, patrolling: Patrolling):
    assert await ask(pool, patrolling) == Outcome.APPLIED
    await line.send(deny(await called(line), time=None))  # type: ignore[arg-type]
    await becomes(pool, "denied")


async def test_a_patrol_check_of_a_device_that_is_not_connected(fire: Service, pool: asyncpg.Pool, patrolling: Patrolling):
    await fire.ready()
    assert await ask(pool, patrolling, device="999999999999") == Outcome.REFUSED
    assert await ask(pool, patrolling) == Outcome.APPLIED
    assert (await becomes(pool, "not_connected"))["sent_at"] is None


async def test_a_node_that_a_device_has_left_does_not_call_it(fire: Service, pool: asyncpg.Pool):
    await fire.ready()
    device, ask = "010203040506", "insert into ingest.patrols (id, device, department, asked_by, asked_at, within_s, until)"
    here = "insert into ingest.devices (protocol, device, node, address, connected_at, last_at) values ('gb26875', $1, 'newer', 'a:1', now(), now())"
    await pool.execute(here, device)
    await pool.execute(f"{ask} values ($2, $1, 'fire', 'desk', now(), 90, now())", device, uuid4())
    assert not await Calls(pool, "older").take(device.__eq__)
    assert [one.device for one in await Calls(pool, "newer").take(device.__eq__)] == [device]


async def test_who_is_connected_is_known_by_the_newest_connection(line: Line, port: int, pool: asyncpg.Pool):
    assert await line.exchange(line.device.heartbeat(serial=1, time=None)) == Command.CONFIRM
    async with connected(port) as newer:
        assert await newer.exchange(newer.device.heartbeat(serial=1, time=None)) == Command.CONFIRM
        line.writer.transport.abort()
        host, number = newer.writer.get_extra_info("sockname")

        async def is_there() -> bool:
            row = await pool.fetchrow("select * from ingest.devices where protocol = 'gb26875' and device = $1", NAME)
            return row is not None and (row["gone_at"], row["address"]) == (None, f"{host}:{number}")

        await eventually(is_there, "its row", 15)
