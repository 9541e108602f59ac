"""What packets of HJ 212 monitors say, what of them is left out and why, split messages, what is judged again, and requests to devices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from protocols.hj212 import (
    EDITION_2005,
    EDITIONS,
    Edition,
    Flag,
    Frame,
    Framer,
    Packet,
    Part,
    QnRtn,
    Station,
    decode_data,
    encode,
    execute_answer,
    request_answer,
    set_clock,
)
from protocols.hj212.packet import Item, encode_data
from schemas import wire
from schemas.base import Domain, Name, Origin
from schemas.link import Hj212, Meaning
from schemas.regions import Level, Region, RegionTree
from schemas.sensor import Life, Metric, Sensor
from services.ingest.domain.hj212 import Heard, Joined, Left, Parts, Terms, hear, judge_again, problems_of, stranger
from services.ingest.domain.registry import Registry
from services.ingest.door import Door
from services.ingest.doors.hj212 import Hourly, Server, _Connection
from services.ingest.doors.hj212_requests import Ended, Requests, Result
from services.ingest.intake import Judged
from services.ingest.intake import Origin as From
from services.ingest.passwords import Passwords
from services.ingest.presence import Presence
from services.ingest.settings import Hj212Settings
from services.ingest.units import conversion
from services.kit.errors import Unavailable
from tests.unit.ingest.conftest import LIMITS, NOW

ZONE = ZoneInfo("Asia/Shanghai")
TERMS = Terms(ZONE, LIMITS)
MN, OTHER_MN = "MN1", "MN2"
QN = "20261122080005000"
AT, HOUR, DAY = "20261122080000", "20261122070000", "20261121000000"


def sensor(id_: str = "mast", **changes: Any) -> Sensor:
    """A mast that measures dust (in ug/m3, kept in mg/m3) and flow; `changes` go into the link but for those of the sensor."""
    codes = {"a34001": Meaning(metric="tsp", unit="ug/m3"), "w00000": Meaning(metric="flow"), "w00000-Cou": Meaning(metric="total")}
    own = {name: changes.pop(name) for name in ("life", "department") if name in changes}
    units = {"tsp": "mg/m3", "flow": "L/s", "total": "m3"}
    return Sensor(
        **{"department": "dust", **own},
        id=id_,
        name=Name(zh="点", en="point"),
        domain=Domain.DUST,
        street="street",
        metrics={metric: Metric(unit=unit, name=Name(zh="量", en=metric)) for metric, unit in units.items()},
        adapter="hj212",
        link=Hj212(**{"mn": MN, "codes": codes, "minutes": timedelta(minutes=5), "ignored": {"a01001", "w00000-ZsAvg"}, **changes}),
    )


def registry_of(*sensors: Sensor) -> Registry:
    city, street = Name(zh="市", en="city"), Name(zh="街", en="street")
    regions = [Region(code="city", parent=None, level=Level.CITY, name=city), Region(code="street", parent="city", level=Level.STREET, name=street)]
    return Registry(RegionTree(regions), sensors or [sensor()], conversion)


def item(text: str) -> Item:
    return tuple((key, value) for key, _, value in (pair.partition("=") for pair in text.split(",")))


def packet(cn: str = "2011", *items: str, time: str | None = AT, **changes: Any) -> Packet:
    """An upload; each item is written as in CP."""
    head = (f"DataTime={time}",) if time else ()
    flag = Flag(EDITIONS[1], answer=True)
    return replace(Packet(cn=cn, mn=MN, st="39", qn=QN, pw="123456", flag=flag, items=tuple(map(item, (*head, *items)))), **changes)


def heard(*items: str, cn: str = "2011", sensors: tuple[Sensor, ...] = (), **changes: Any) -> Heard:
    registry = registry_of(*sensors)
    found = hear(packet(cn, *items, **changes), registry.heard_by("hj212", MN), TERMS, NOW)
    for one in found.observations:
        wire.to_contract(one)
    return found


def times(one: wire.Observation) -> tuple[datetime, datetime]:
    return wire.from_micros(one.start), wire.from_micros(one.end)


# What is taken


@pytest.mark.parametrize("edition", EDITIONS.values(), ids=lambda edition: edition.name)
def test_real_time_values_are_an_instant_in_the_metric_s_unit(edition: Edition):
    found = heard("a34001-Rtd=120,a34001-Flag=N", "w00000-Rtd=12.5", flag=Flag(edition, answer=True))
    (one,) = found.observations
    assert (one.id, one.source, one.department) == (f"2011/{QN}/mast/instant", "/devices/hj212/MN1", "dust")
    assert (one.values, one.quality, one.statistic, one.origin) == ({"tsp": 0.12, "flow": 12.5}, {}, "instant", "real")
    assert times(one) == (datetime(2026, 11, 22, tzinfo=UTC),) * 2
    assert (found.left, found.problems, found.acknowledged) == ([], [], True)


@pytest.mark.parametrize(
    ("cn", "time", "period"),
    [("2051", "20261122075000", timedelta(minutes=5)), ("2061", HOUR, timedelta(hours=1)), ("2031", DAY, timedelta(days=1))],
)
def test_statistics_are_series_of_their_own_over_the_period_that_begins_at_data_time(cn: str, time: str, period: timedelta):
    found = heard("a34001-Min=100,a34001-Avg=120,a34001-Max=150,a34001-Flag=N", "w00000-Avg=2,w00000-Cou=7.2", cn=cn, time=time)
    by_statistic = {one.statistic: one for one in found.observations}
    assert {statistic: one.values for statistic, one in by_statistic.items()} == {
        "mean": {"tsp": 0.12, "flow": 2.0},
        "min": {"tsp": 0.1},
        "max": {"tsp": 0.15},
        "sum": {"total": 7.2},
    }
    start = datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=ZONE)
    assert {times(one) for one in found.observations} == {(start, start + period)}
    assert len({one.id for one in found.observations}) == 4
    assert found.left == []


@pytest.mark.parametrize(
    ("letter", "quality"),
    [
        ("N", None),
        ("F", "stopped"),
        ("M", "maintenance"),
        ("S", "manual"),
        ("D", "fault"),
        ("C", "calibration"),
        ("T", "over_range"),
        ("B", "no_signal"),
        ("P", "fault"),
    ],
)
def test_a_flag_is_the_quality_of_all_values_of_its_code(letter: str, quality: str | None):
    found = heard(f"a34001-Avg=1,a34001-Max=2,a34001-Flag={letter}", "w00000-Avg=1", cn="2061", time=HOUR)
    assert [one.quality for one in found.observations] == [{"tsp": quality} if quality else {}] * 2
    assert found.left == []


def test_a_device_of_several_sensors_speaks_for_all_of_them():
    second = sensor("second", codes={"a34001": Meaning(metric="tsp")}, origin=Origin.SIMULATED)
    found = heard("a34001-Rtd=1", "w00000-Rtd=2", sensors=(sensor(), second))
    assert [(one.sensor, one.values, one.origin) for one in found.observations] == [
        ("mast", {"tsp": 0.001, "flow": 2.0}, "real"),
        ("second", {"tsp": 1.0}, "simulated"),
    ]
    assert found.left == []


def test_a_packet_without_qn_is_named_by_its_time():
    (one,) = heard("a34001-Rtd=1", qn="", flag=Flag(EDITION_2005)).observations
    assert one.id == f"2011/{AT}/mast/instant"


def test_sample_time_is_not_the_value_s_time():
    (one,) = heard("a34001-Rtd=1,a34001-SampleTime=20261122060000", "w00000-Rtd=1,w00000-SampleTime=never").observations
    assert times(one)[1] == datetime(2026, 11, 22, tzinfo=UTC)


# What is left out


@pytest.mark.parametrize(
    ("items", "left"),
    [
        (["a34002-Rtd=1,a34002-Flag=N"], [Left("unknown_code", "a34002")]),
        (["a01001-Rtd=1", "a01001-Rtd=--"], []),
        (["w00000-Rtd=1,w00000-ZsAvg=2"], []),
        (["w00000-Rtd=1,w00000-EFlag=A"], [Left("unknown_code", "w00000-EFlag")]),
        (["w00000-Rtd=1,w00000-Max=2"], [Left("unknown_code", "w00000-Max")]),
        (["w00000-Rtd=--,w00000-Flag=D"], [Left("bad_value", "w00000-Rtd", "--")]),
        (["w00000-Rtd=1", "w00000-Rtd=2"], [Left("bad_value", "w00000-Rtd", "2")]),
        (["w00000-Flag=D"], [Left("bad_value", "w00000", "no value")]),
        (["w00000-Rtd=1,w00000-Flag=x"], [Left("unknown_flag", "w00000-Flag", "x")]),
        (["PolId=w01018"], [Left("unknown_code", "PolId")]),
        (["QN=20261122080005000"], []),
    ],
    ids=str,
)
def test_what_is_not_taken_is_told_and_the_rest_is_taken(items: list[str], left: list[Left]):
    found = heard("a34001-Rtd=1", *items)
    assert list(found.left) == left
    assert found.observations[0].values["tsp"] == 0.001
    assert ("flow" in found.observations[0].values) == (items[0].startswith("w00000-Rtd=1") and "Flag=x" not in items[0])
    assert found.acknowledged
    for problem in problems_of(left):
        assert left[0].word in problem.message


def test_a_total_without_a_word_of_its_own_is_no_sum_of_the_metric():
    found = heard("a34001-Avg=1,a34001-Cou=5", cn="2061", time=HOUR)
    assert {one.statistic for one in found.observations} == {"mean"}
    assert found.left == [Left("unknown_code", "a34001-Cou")]


def test_of_many_unknown_codes_there_is_one_problem():
    found = heard(*(f"b{number:05}-Rtd=1" for number in range(30)))
    (problem,) = problems_of(found.left)
    assert (problem.code, problem.where) == ("unknown_code", "CP")
    assert "b00000" in problem.message
    assert not found.acknowledged, "nothing of it was of use"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"time": "20261122090000"}, "in_the_future"),
        ({"time": "20260101000000"}, "too_old"),
        ({"time": "yesterday"}, "bad_packet"),
        ({"time": None}, "bad_packet"),
        ({"sensors": (sensor(life=Life.RETIRED),)}, "retired"),
        ({"cn": "2051", "sensors": (sensor(minutes=timedelta(minutes=7)),)}, "odd_period"),
    ],
    ids=["ahead", "long ago", "no time", "no time given", "retired", "odd period"],
)
def test_data_of_which_nothing_can_be_taken_are_not_acknowledged(changes: dict[str, Any], code: str):
    found = heard("a34001-Rtd=1,a34001-Avg=1", **{"time": "20261122075000", **changes})
    assert [problem.code for problem in found.problems] == [code]
    assert not found.acknowledged


def test_what_is_ignored_needs_no_second_sending():
    assert heard("a01001-Rtd=1").acknowledged


def test_who_may_speak():
    known = registry_of().heard_by("hj212", MN)
    assert stranger(packet(), known, None) is None
    assert stranger(packet(), known, "123456") is None
    told = stranger(packet(), known, "654321")
    assert told is not None
    assert (told.code, told.where) == ("wrong_password", "PW")
    assert "654321" not in told.model_dump_json()
    unknown = stranger(packet(), (), "123456")
    assert unknown is not None
    assert unknown.code == "unknown_device"


# Split messages

PART_1, PART_2, PART_3 = (
    packet("2011", word, part=Part(number, 3)) for number, word in enumerate(("a34001-Rtd=1", "w00000-Rtd=2", "a01001-Rtd=3"), 1)
)


def added(parts: Parts, part: Packet, now: float = 0.0) -> Joined | None:
    joined, gone = parts.add(part, encode_data(part), now)
    assert gone == []
    return joined


def test_each_part_is_judged_with_all_before_it_so_that_what_follows_takes_nothing_back():
    parts = Parts()
    values = []
    for part in (PART_1, PART_2, PART_3):
        joined = added(parts, part)
        assert joined is not None
        assert joined.answers == [part]
        (one,) = hear(joined.packet, registry_of().heard_by("hj212", MN), TERMS, NOW).observations
        values.append((one.id, one.values))
    assert values == [(values[0][0], {"tsp": 0.001}), *[(values[0][0], {"tsp": 0.001, "flow": 2.0})] * 2]


def test_a_part_waits_for_those_before_it():
    parts = Parts()
    assert added(parts, PART_3) is None
    assert added(parts, PART_2) is None
    joined = added(parts, PART_1)
    assert joined is not None
    assert joined.answers == [PART_1, PART_2, PART_3]
    assert joined.frames == b"".join(map(encode, (PART_1, PART_2, PART_3)))


def test_a_part_that_is_sent_again_is_answered_again_with_all_there_is():
    parts = Parts()
    whole = [added(parts, part) for part in (PART_1, PART_2, PART_3)][-1]
    again = added(parts, PART_2, 50.0)
    assert whole is not None
    assert again is not None
    assert again == replace(whole, answers=[PART_2])


def test_parts_that_never_could_be_judged_come_out_again():
    parts = Parts(timeout_s=60)
    added(parts, PART_2)
    assert parts.expire(59.9) == []
    assert parts.expire(60.0) == [(PART_2, encode_data(PART_2))]
    assert parts.expire(60.0) == []
    added(parts, PART_1)
    assert parts.expire(100.0) == [], "it was judged"


def test_another_part_under_the_same_number_begins_another_message():
    parts = Parts()
    added(parts, PART_2)
    other = replace(PART_2, items=PART_3.items)
    assert parts.add(other, b"other", 0.0) == (None, [(PART_2, encode_data(PART_2))])


def test_what_waits_is_bounded():
    parts = Parts(most=2, most_bytes=100)
    named = [replace(PART_2, qn=f"{number}") for number in range(3)]
    assert [parts.add(part, b"x" * 60, 0.0) for part in named] == [(None, []), (None, []), (None, [(named[0], b"x" * 60)])]
    more = replace(named[1], part=Part(3, 3))
    assert parts.add(more, b"y" * 60, 0.0) == (None, [(named[1], b"x" * 60), (more, b"y" * 60)])


@given(st.lists(st.sampled_from([PART_1, PART_2, PART_3]), max_size=12))
def test_whatever_the_order_a_part_is_answered_only_with_all_before_it(order: list[Packet]):
    parts, came, answered = Parts(), set[int](), set[int]()
    for part in order:
        assert part.part
        came.add(part.part.number)
        joined = added(parts, part)
        prefix = next(number for number in range(1, 5) if number not in came) - 1
        assert (joined is not None) == (part.part.number <= prefix)
        if joined is not None:
            numbers = {one.part.number for one in joined.answers if one.part}
            assert part.part.number in numbers
            answered |= numbers
            assert len([key for one in joined.packet.items for key, _ in one if key.endswith("Rtd")]) == prefix
        assert answered == set(range(1, prefix + 1))


# Judged again


def again(body: bytes, *sensors: Sensor, department: str = "dust", password: str | None = None) -> tuple[list[wire.Observation], list[str]]:
    observations, refused = judge_again(body, department, registry_of(*sensors), NOW, terms=TERMS, password=lambda _: password)
    return observations, [one.problem.code for one in refused]


def test_what_was_kept_is_judged_again_as_it_came():
    body = b"".join(map(encode, (PART_1, PART_2, PART_3)))
    (one,), refused = again(body)
    assert (one.values, refused) == ({"tsp": 0.001, "flow": 2.0}, [])


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b"", []),
        (b"GET / HTTP/1.1\r\n\r\n", ["junk"]),
        (encode(packet("2011", "a34001-Rtd=1")).replace(b"Rtd=1", b"Rtd=2"), ["bad_crc"]),
        (encode(packet("2011", "a34001-Rtd=1", mn="nobody")), ["unknown_device"]),
        (encode(packet("2011", "a34001-Rtd=--", "b-Rtd=1")), ["unknown_code", "bad_value"]),
        (encode(packet("3020", "i12001-Info=1")), ["no_reading"]),
        (encode(packet("8888")), ["unknown_command"]),
        (encode(PART_2), ["incomplete"]),
        (b"##0009MN=1;CN=2ABCD\r\n", ["bad_crc"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_still_wrong_is_refused_again(body: bytes, codes: list[str]):
    assert sorted(again(body)[1]) == sorted(codes)


def test_who_sends_again_speaks_for_its_own_devices_only_and_with_their_password():
    body = encode(packet("2011", "a34001-Rtd=1"))
    assert again(body, department="water") == ([], ["not_yours"])
    assert again(body, password="other") == ([], ["wrong_password"])
    assert len(again(body, password="123456")[0]) == 1
    shared = (sensor(), sensor("theirs", department="water", codes={"a34001": Meaning(metric="tsp")}))
    assert [one.sensor for one in again(body, *shared, department="water")[0]] == ["theirs"]


def test_the_words_of_another_department_s_sensors_behind_a_device_are_known():
    shared = (sensor(codes={"a34001": Meaning(metric="tsp")}), sensor("theirs", department="water", codes={"w00000": Meaning(metric="flow")}))
    observations, refused = again(encode(packet("2011", "a34001-Rtd=1", "w00000-Rtd=2")), *shared)
    assert ([one.sensor for one in observations], refused) == (["mast"], [])


@given(st.binary(max_size=300), st.integers(0, 200))
def test_no_bytes_break_it(junk: bytes, cut: int):
    whole = encode(packet("2061", "a34001-Avg=1,a34001-Cou=x", time=HOUR))
    observations, codes = again(whole[:cut] + junk + whole)
    assert all(code for code in codes)
    for one in observations:
        wire.to_contract(one)


# Told once an hour


def test_what_repeats_is_told_once_an_hour_and_remembered_within_bounds():
    hourly = Hourly(most=2)
    assert [hourly.first("a", now) for now in (0.0, 3_599.0, 3_600.0)] == [True, False, True]
    assert [hourly.first(thing, 3_601.0) for thing in ("b", "c", "b", "a")] == [True, True, False, True]


# The door


class Kafka:
    """Takes what is published, but not of those for whom it is away."""

    def __init__(self, *sensors: Sensor) -> None:
        self.known = registry_of(*sensors)
        self.away: set[str] = set()
        self.published: list[tuple[str, int, list[str]]] = []

    async def publish(self, judged: Judged, origin: From, door: Door, now: datetime) -> None:
        if origin.department in self.away:
            raise Unavailable("away")
        self.published.append((origin.department, len(judged.observations), [one.problem.code for one in judged.refused]))


class Line:
    """The device's end of a connection; it is cut in the turn in which we close it."""

    def __init__(self, server: Server, host: str = "10.0.0.1") -> None:
        self.server, self.host, self.is_open = server, host, True
        self.connection = _Connection(server)
        self.connection.connection_made(self)  # type: ignore[arg-type]

    def get_extra_info(self, name: str) -> Any:
        return (self.host, 1) if name == "peername" else None

    def is_closing(self) -> bool:
        return not self.is_open

    def abort(self) -> None:
        self.is_open = False
        self.connection.connection_lost(None)

    async def send(self, *packets: Packet) -> list[Packet]:
        """Send packets that are taken in one turn; returns the answers."""
        answers = Framer().feed(await self.server.take(self.connection, [Frame(encode_data(one)) for one in packets]))
        return [decode_data(one.data) for one in answers if isinstance(one, Frame)]


class Still:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def door_to(kafka: Any) -> Server:
    return Server(
        intake=kafka,
        door=Door("hj212", "node", Still()),
        presence=Presence(None, "node"),  # type: ignore[arg-type]
        passwords=Passwords(None, "hj212"),
        terms=TERMS,
        settings=Hj212Settings(department="dust"),
        clock=Still(),
        metrics=CollectorRegistry(),
    )


async def test_what_an_ended_connection_left_in_hand_does_not_end_the_one_by_which_the_device_came_again():
    server = door_to(Kafka())
    older, newer = Line(server), Line(server)
    assert await older.send(packet("2011", "a34001-Rtd=1"))
    older.abort()
    assert await newer.send(packet("2011", "a34001-Rtd=1"))
    await older.send(packet("2011", "a34001-Rtd=1"))
    assert newer.is_open


async def test_rubbish_in_hand_is_bounded_by_a_small_read():
    """While Kafka is away, each of thousands of connections may hold what one read of it gives."""
    connection = Line(door_to(Kafka())).connection
    room = connection.get_buffer(-1)
    assert len(Framer().feed(b"##a" * (len(room) // 3))) < 1_500


async def test_what_kafka_did_not_take_is_told_when_it_comes_again():
    kafka = Kafka()
    kafka.away = {"dust"}
    line = Line(door_to(kafka))
    sent = packet("2011", "a34001-Rtd=1", "b-Rtd=1")
    assert await line.send(sent) == []
    kafka.away.clear()
    assert len(await line.send(sent)) == 1
    assert kafka.published == [("dust", 1, ["unknown_code"])]


async def test_a_part_of_which_nothing_is_of_use_does_not_hold_up_those_behind_it():
    line = Line(door_to(Kafka()))
    first, last, useless = (
        replace(packet("2011", item), part=part) for item, part in [("b-Rtd=1", Part(1, 2)), ("a34001-Rtd=1", Part(2, 2)), ("b-Rtd=2", Part(2, 2))]
    )
    assert [len(await line.send(one)) for one in (first, last)] == [1, 1]
    assert [len(await line.send(replace(one, qn="20261122080006000"))) for one in (first, useless)] == [1, 0]


async def test_a_department_that_is_stopped_holds_up_no_other_behind_the_same_line():
    kafka = Kafka(sensor(), sensor("theirs", department="water", mn=OTHER_MN))
    kafka.away = {"dust"}
    ours, theirs = packet("2011", "a34001-Rtd=1"), packet("2011", "a34001-Rtd=1", mn=OTHER_MN)
    assert [one.mn for one in await Line(door_to(kafka)).send(ours, theirs)] == [OTHER_MN]
    assert kafka.published == [("water", 1, [])]


async def test_a_device_of_two_departments_is_answered_when_kafka_has_what_it_says_to_both():
    kafka = Kafka(sensor(), sensor("theirs", department="water"))
    kafka.away = {"water"}
    line = Line(door_to(kafka))
    assert await line.send(packet("2011", "a34001-Rtd=1")) == []
    assert kafka.published == [("dust", 1, [])]
    kafka.away.clear()
    assert len(await line.send(packet("2011", "a34001-Rtd=1"))) == 1


# Requests

STATION = Station(mn=MN, st="39", pw="123456")


class Device:
    """Answers what it is sent as told; counts."""

    def __init__(self, *answers: Any, connected: bool = True) -> None:
        self.requests = Requests(self.send, ZONE, timeout_s=0.01)
        self.sent: list[bytes] = []
        self._answers: Iterator[Any] = iter(answers)
        self._connected = connected
        self._asked = set_clock(STATION, at=NOW.astimezone(ZONE))

    def send(self, mn: str, frame: bytes) -> bool:
        assert mn == MN
        self.sent.append(frame)
        for answer in next(self._answers, ()):
            assert self.requests.heard(answer(self._asked))
        return self._connected

    async def asked(self) -> Result:
        return await self.requests.set_clock(STATION, NOW)


def refuse(request: Packet) -> Packet:
    return request_answer(request, QnRtn.BAD_PASSWORD)


@pytest.mark.parametrize(
    ("device", "result", "tries"),
    [
        (Device([request_answer, execute_answer]), Result(Ended.DONE, 1), 1),
        (Device([], [request_answer, execute_answer]), Result(Ended.DONE, 1), 2),
        (Device([], [], [refuse]), Result(Ended.REFUSED, 3), 3),
        (Device([request_answer]), Result(Ended.SILENT), 1),
        (Device(), Result(Ended.SILENT), 3),
        (Device(connected=False), Result(Ended.GONE), 1),
    ],
    ids=["done", "at the second try", "refused at the third", "no end", "silent", "gone"],
)
async def test_a_request_is_sent_until_the_device_takes_it(device: Device, result: Result, tries: int):
    assert await device.asked() == result
    assert len(device.sent) == tries
    assert b"SystemTime=20261122080010" in device.sent[0]
    assert not device.requests.heard(request_answer(set_clock(STATION, at=NOW.astimezone(ZONE)))), "nobody listens any more"


async def test_two_requests_of_one_moment_have_two_names():
    device = Device()
    results = await asyncio.gather(device.asked(), device.requests.set_real_time_interval(STATION, 30, NOW))
    assert [result.ended for result in results] == [Ended.SILENT] * 2
    assert len({frame.split(b";")[0] for frame in device.sent}) == 2
