"""Devices on their lines, against small servers that speak the protocols: what is lost, repeated, kept, and said again."""

import asyncio
import dataclasses
import json
from collections import deque
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog

from feeds.field import broker as brokers
from feeds.field.broker import Publisher
from feeds.field.faults import Faults, Luck
from feeds.field.gb26875 import Transmitter
from feeds.field.hj212 import Monitor
from feeds.field.line import Counts, Line, Timing, _Lost
from feeds.field.speakers import Doors
from feeds.simulated.chance import Chance
from feeds.simulated.feed import Settings, feed
from feeds.simulated.folder import load
from protocols import gb26875, hj212
from schemas.mqtt import Mapping
from schemas.observation import Measurement
from schemas.sensor import Sensor

LANZHOU = Path(__file__).parents[3] / "cities" / "620100"
ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
NAME = {"zh": "甲", "en": "a"}


def sensor(domain, metrics, **link):
    return Sensor.model_validate(
        {
            "id": "s",
            "name": NAME,
            "domain": domain,
            "department": "d",
            "street": "1",
            "metrics": {name: {"unit": unit, "name": NAME} for name, unit in metrics.items()},
            "adapter": link["protocol"],
            "link": link,
        }
    )


SITE = sensor("dust", {"tsp": "mg/m3"}, protocol="hj212", mn="MN1", codes={"a34001": {"metric": "tsp"}})
SMOKE = sensor("fire", {"fire": "1"}, protocol="gb26875", device="010000000000", system=1, component="01000100", states={"fire": {"metric": "fire"}})


def monitor(edition=hj212.EDITION_2017):
    return Monitor({"s": (SITE, SITE.link)}, "MN1", "123456", ZONE, edition=edition)


def transmitter(luck=None, idle_s=None):
    return Transmitter({"s": (SMOKE, SMOKE.link)}, "010000000000", luck or Luck("d"), ZONE, idle_s=idle_s)


def reading(number=0, **values):
    return Measurement(sensor="s", values=values or {"tsp": float(number)}, end=START + timedelta(seconds=number))


class Platform:
    """Takes connections; `told` has what came, and `answers` says what becomes of each message: True to acknowledge it, False to stay silent,
    None to cut the connection; when it is empty, all are acknowledged.
    """

    def __init__(self, answers=()):
        self.told, self.bad, self.raw = [], [], []
        self.answers = deque(answers)
        self.connections = 0
        self.changed = asyncio.Condition()
        self.writers = []

    async def heard(self, count, what="told", timeout_s=5):
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(lambda: len(getattr(self, what)) >= count)
        return getattr(self, what)[:count]

    async def take(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        framer = self.framer()
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                for item in framer.feed(data):
                    async with self.changed:
                        alive = self.item(item, writer)
                        self.changed.notify_all()
                    if not alive:
                        writer.close()
                        return
        writer.close()

    def judge(self, message, raw, answer, writer):
        self.told.append(message)
        self.raw.append(raw)
        verdict = self.answers.popleft() if self.answers else True
        if verdict:
            writer.write(answer)
        return verdict is not None


class Hj212Platform(Platform):
    framer = hj212.Framer

    def item(self, item, writer):
        if not isinstance(item, hj212.Frame):
            self.bad.append(item.problem)
            return True
        packet = hj212.decode_data(item.data)
        return self.judge(packet, item.data, hj212.encode(hj212.data_answer(packet)), writer)


class FirePlatform(Platform):
    framer = gb26875.Framer

    def item(self, item, writer):
        if not isinstance(item, gb26875.Frame):
            self.bad.append(type(item))
            writer.write(gb26875.deny(item.frame, time=START.replace(tzinfo=None)).encode())
            return True
        if item.command is not gb26875.Command.SEND:
            self.told.append(item)
            return True
        return self.judge(item, item.encode(), gb26875.confirm(item, time=START.replace(tzinfo=None)).encode(), writer)


@asynccontextmanager
async def listening(platform, port=0):
    server = await asyncio.start_server(platform.take, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in platform.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def speaking(port, device, *, luck=None, answer_s=0.15, kept=360, offers=()):
    """A line that runs; ends with it."""
    line = Line("127.0.0.1", port, device, luck or Luck("d"), lambda: START, Counts(), Timing(answer_s, 0.01), kept)
    for offer in offers:
        line.offer(offer)
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition, timeout_s=5):
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_readings_are_said_in_order_each_until_it_is_acknowledged():
    platform = Hj212Platform()
    async with listening(platform) as port, speaking(port, monitor(), offers=map(reading, range(3))) as line:
        told = await platform.heard(3)
        await until(lambda: line.unsent == 0)
    assert [packet.value("a34001-Rtd") for packet in told] == ["0.0", "1.0", "2.0"]
    assert all(packet.answer_wanted and packet.pw == "123456" for packet in told)
    assert (line.counts.acknowledged, line.counts.repeated, line.counts.connections) == (3, 0, 1)


@pytest.mark.parametrize("edition", [hj212.EDITION_2005, hj212.EDITION_2017], ids=lambda edition: edition.name)
async def test_what_is_not_answered_in_time_comes_again_with_the_same_bytes(edition):
    platform = Hj212Platform([False, False])
    async with listening(platform) as port, speaking(port, monitor(edition), offers=[reading(1), reading(2)]) as line:
        await platform.heard(4)
        await until(lambda: line.unsent == 0)
    assert platform.raw[0] == platform.raw[1] == platform.raw[2] != platform.raw[3]
    assert (line.counts.acknowledged, line.counts.repeated) == (2, 2)


async def test_after_three_tries_it_connects_anew_and_says_the_same_reading():
    platform = Hj212Platform([False] * 3)
    async with listening(platform) as port, speaking(port, monitor(), answer_s=0.05, offers=[reading(7)]) as line:
        told = await platform.heard(4)
        await until(lambda: line.unsent == 0)
    assert platform.connections == 2
    assert {packet.value("DataTime") for packet in told} == {"20261124100007"}


class Picky(Hj212Platform):
    """Has no answer for one value."""

    def judge(self, message, raw, answer, writer):
        if message.value("a34001-Rtd") == "0.0":
            self.answers.appendleft(False)
        return super().judge(message, raw, answer, writer)


async def test_a_reading_that_is_never_answered_holds_up_no_other_and_is_given_up(monkeypatch):
    monkeypatch.setattr("feeds.field.line.GIVE_UP", 2)
    platform = Picky()
    async with listening(platform) as port, speaking(port, monitor(), answer_s=0.03, offers=map(reading, range(4))) as line:
        await until(lambda: line.unsent == 0)
    assert [packet.value("a34001-Rtd") for packet in platform.told] == ["0.0"] * 3 + ["1.0", "2.0", "3.0"] + ["0.0"] * 3
    assert (line.counts.acknowledged, line.counts.lost) == (3, 1)


class Confused(Hj212Platform):
    """Answers the first packet with the name of another."""

    def judge(self, message, raw, answer, writer):
        if not self.told:
            answer = hj212.encode(hj212.data_answer(dataclasses.replace(message, qn="20000101000000000")))
        return super().judge(message, raw, answer, writer)


async def test_an_answer_to_something_else_is_none():
    platform = Confused()
    async with listening(platform) as port, speaking(port, monitor(), answer_s=0.1, offers=[reading(1)]) as line:
        await until(lambda: line.unsent == 0)
    assert line.counts.repeated == 1


async def test_who_is_stopped_while_the_connection_breaks_stops(monkeypatch):
    def broken(_line, _now):
        running.cancel()
        raise _Lost

    monkeypatch.setattr(Line, "_break_on_purpose", broken)
    async with listening(Hj212Platform()) as port:
        line = Line("127.0.0.1", port, monitor(), Luck("d"), lambda: START, Counts(), Timing(0.15, 0.01))
        line.offer(reading(1))
        running = asyncio.create_task(line.run())
        done, _ = await asyncio.wait([running], timeout=2)
        running.cancel()
    assert done == {running}


async def test_a_connection_that_breaks_loses_no_reading():
    platform = Hj212Platform([True, None, None])
    async with listening(platform) as port, speaking(port, monitor(), offers=map(reading, range(3))) as line:
        await platform.heard(5)
        await until(lambda: line.unsent == 0)
    assert [packet.value("a34001-Rtd") for packet in platform.told] == ["0.0", "1.0", "1.0", "1.0", "2.0"]
    assert platform.connections == 3


async def test_what_was_measured_without_a_platform_is_kept_bounded_and_said_with_its_own_times():
    platform = Hj212Platform()
    async with listening(platform) as port:
        pass
    async with speaking(port, monitor(), kept=3, offers=map(reading, range(5))) as line:
        await asyncio.sleep(0.05)
        async with listening(platform, port):
            told = await platform.heard(3)
            await until(lambda: line.unsent == 0)
    assert [packet.value("DataTime") for packet in told] == ["20261124100002", "20261124100003", "20261124100004"]
    assert line.counts.lost == 2


async def test_who_takes_connections_and_never_answers_is_asked_more_and_more_seldom():
    platform = Hj212Platform([None] * 1_000)
    async with listening(platform) as port, speaking(port, monitor(), offers=[reading(1)]):
        await asyncio.sleep(0.5)
    assert 2 <= platform.connections <= 10


async def test_a_wrong_checksum_is_sent_first_and_the_right_one_after_it():
    hj, fire = Hj212Platform(), FirePlatform()
    luck = Luck("d", Faults(damaged=1), Chance(1))
    async with listening(hj) as port, speaking(port, monitor(), luck=luck, offers=[reading(1)]) as line:
        await hj.heard(1)
        await until(lambda: line.unsent == 0)
    async with listening(fire) as port, speaking(port, transmitter(), luck=luck, answer_s=5, offers=[reading(1, fire=1.0)]) as quick:
        # Denied at once: it does not wait for its time to be over.
        await fire.heard(1, timeout_s=2)
        await until(lambda: quick.unsent == 0)
    assert hj.bad == [hj212.FrameProblem.BAD_CRC]
    assert fire.bad == [gb26875.WrongChecksum]
    assert (line.counts.damaged, line.counts.acknowledged, quick.counts.acknowledged) == (1, 1, 1)


async def test_a_duplicate_is_the_same_bytes_again():
    platform = Hj212Platform()
    luck = Luck("d", Faults(duplicates=1), Chance(1))
    async with listening(platform) as port, speaking(port, monitor(), luck=luck, offers=[reading(1), reading(2)]):
        await platform.heard(4)
    assert platform.raw[0] == platform.raw[1] != platform.raw[2] == platform.raw[3]


async def test_a_device_without_a_network_keeps_what_it_measures(monkeypatch):
    monkeypatch.setattr("feeds.field.line.AWAY_S", 0.01)
    platform, luck = Hj212Platform(), Luck("d", Faults(outages=1_440, outage=timedelta(minutes=1)), Chance(1))
    async with listening(platform) as port, speaking(port, monitor(), luck=luck, offers=[reading(1)]) as line:
        await asyncio.sleep(0.05)
        assert (platform.connections, line.unsent) == (0, 1)
        luck.faults = Faults()
        await platform.heard(1)


async def test_a_value_that_has_no_place_in_the_protocol_harms_no_other():
    pressure = sensor(
        "fire", {"p": "kPa"}, protocol="gb26875", device="010000000000", system=1, component="01000100", analogues={"5": {"metric": "p"}}
    )
    device = Transmitter({"s": (pressure, pressure.link)}, "010000000000", Luck("d"), ZONE, idle_s=None)
    platform = FirePlatform()
    async with listening(platform) as port, speaking(port, device, offers=[reading(1, p=1e9), reading(2, p=5.0)]) as line:
        (frame,) = await platform.heard(1)
    assert gb26875.unit_of(frame.unit).objects[0].value == 5.0
    assert line.counts.unsayable == 1


async def test_the_feed_lets_each_monitor_of_the_city_speak_for_itself_and_tells_what_it_leaves_out():
    platform, log, begun = Hj212Platform(), structlog.testing.LogCapture(), asyncio.get_running_loop().time()
    place = dataclasses.replace(load(LANZHOU), faults=Faults(old=0.1))

    def clock():
        return START + timedelta(seconds=20 * (asyncio.get_running_loop().time() - begun))

    def said():
        return {(packet.mn, packet.qn) for packet in platform.told}

    async with listening(platform) as port:
        doors = Doors(hj212=("127.0.0.1", port))
        settings = Settings(ingest="http://127.0.0.1:1", keys={}, city=LANZHOU, scenarios=(), seed=1, pace=1.0, doors=doors)
        told = asyncio.create_task(feed(settings, place, [], clock=clock, log=structlog.wrap_logger(None, processors=[log])))
        await until(lambda: len({packet.mn for packet in platform.told}) == 200 and len(said()) >= 300, timeout_s=30)
        told.cancel()
        with suppress(asyncio.CancelledError):
            await told
    assert platform.connections == 200
    assert {packet.edition.name for packet in platform.told} == {"HJ/T 212-2005", "HJ 212-2017"}
    left = {entry["protocol"]: entry["sensors"] for entry in log.entries if entry["event"] == "devices_left_out"}
    assert left == {"gb26875": 400, "mqtt": 40}
    assert log.entries[-1]["event"] == "stopped"
    assert log.entries[-1]["devices"]["hj212"]["acknowledged"] >= len(said()) - 200  # a device says the next only when the last was acknowledged


async def test_a_fire_device_that_has_nothing_to_say_says_that_it_is_there():
    platform = FirePlatform()
    async with listening(platform) as port, speaking(port, transmitter(idle_s=0.02)):
        frames = await platform.heard(3)
    assert [frame.unit for frame in frames] == [b""] * 3
    assert len({frame.serial for frame in frames}) == 3


class Watch:
    """Chance that always draws the same."""

    def __init__(self, drawn):
        self.drawn = drawn

    def uniform(self, name, index=0):
        return self.drawn


@pytest.mark.parametrize(("drawn", "after_s"), [(0.05, None), (0.15, 900.0), (0.9, 23.0)], ids=["nobody", "late", "in time"])
async def test_a_patrol_check_is_confirmed_at_once_and_answered_by_whoever_is_there(drawn, after_s):
    device = transmitter(Luck("d", Faults(absent=0.1), Watch(drawn)))
    centre = gb26875.Centre(source=1, target=1)
    list(device.hear(b"", START))
    reply, *later = device.hear(centre.patrol_check(10, serial=9, time=START.replace(tzinfo=None)).encode(), START)
    confirmed = gb26875.Frame.decode(reply.data)
    assert (confirmed.command, confirmed.serial) == (gb26875.Command.CONFIRM, 9)
    assert [one.after_s for one in later] == ([] if after_s is None else [pytest.approx(after_s)])
    for one in later:
        (operation,) = gb26875.unit_of(gb26875.Frame.decode(one.make(START).data).unit).objects
        assert operation.action is gb26875.DeviceAction.PATROL_ANSWERED


async def test_the_answer_to_a_patrol_check_goes_over_the_line(monkeypatch):
    monkeypatch.setattr(Luck, "patrol_answer_s", lambda *_: 0.01)
    platform = FirePlatform()
    async with listening(platform) as port, speaking(port, transmitter(), offers=[reading(1, fire=0.0)]):
        await platform.heard(1)
        time = START.replace(tzinfo=None)
        platform.writers[0].write(gb26875.Centre(source=1, target=1).patrol_check(10, serial=9, time=time).encode())
        _, confirmed, answer = await platform.heard(3)
    assert confirmed.command is gb26875.Command.CONFIRM
    assert gb26875.unit_of(answer.unit).type == gb26875.UnitType.DEVICE_OPERATIONS


class Broker:
    """Keeps what is published."""

    def __init__(self):
        self.said = []

    def publish(self, topic, payload):
        self.said.append((topic, payload))


WELL = sensor("sewage", {"level": "m"}, protocol="mqtt", mapping="m", device="W1")
MAPPING = Mapping.model_validate(
    {
        "id": "m",
        "department": "d",
        "topic": "city/{device}/+/up",
        "device": "topic.device",
        "time": {"path": "payload.t", "format": "s"},
        "metrics": {"level": {"path": "payload.data.cm", "unit": "cm"}},
        "origin": "payload.origin",
    }
)


def publisher(**faults):
    broker, counts = Broker(), Counts()
    return broker, Publisher(broker, WELL, MAPPING, Luck("d", Faults(**faults), Chance(1)), ZONE, lambda: START, counts)


def test_a_message_is_what_its_mapping_reads():
    broker, device = publisher()
    device.offer(reading(1, level=1.234))
    ((topic, payload),) = broker.said
    assert topic == "city/W1/W1/up"
    assert json.loads(payload) == {"data": {"cm": 123.4}, "t": START.timestamp() + 1, "origin": "real"}


def test_mqtt_devices_cut_short_repeat_and_keep_as_others_do(monkeypatch):
    broker, device = publisher(damaged=1, duplicates=1)
    device.offer(reading(1, level=1.0))
    half, whole, again = (payload for _, payload in broker.said)
    assert whole == again
    assert whole.startswith(half)
    assert (device.counts.damaged, device.counts.duplicated) == (1, 1)
    monkeypatch.setattr(brokers, "KEPT", 2)
    broker, device = publisher(outages=1_440, outage=timedelta(minutes=1))
    for number in range(4):
        device.offer(reading(number, level=float(number)))
    assert (broker.said, device.unsent, device.counts.lost) == ([], 2, 2)
    device.luck.faults = Faults()
    device.offer(reading(4, level=4.0))
    assert [json.loads(payload)["data"]["cm"] for _, payload in broker.said] == [300.0, 400.0]
