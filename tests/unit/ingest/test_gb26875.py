"""What a fire transmission device says, as observations, and what it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from protocols.gb26875 import (
    Address,
    Analogue,
    Command,
    ComponentBits,
    ComponentState,
    Device,
    DeviceAction,
    DeviceBits,
    DeviceOperation,
    DeviceSetup,
    DeviceState,
    Frame,
    FrameError,
    Framer,
    Object,
    PatrolCheck,
    SystemAction,
    SystemBits,
    SystemOperation,
    SystemState,
    UnitType,
    WrongChecksum,
    confirm,
)
from schemas.base import Domain, Name
from schemas.link import Gb26875, Meaning
from schemas.regions import Level, Region, RegionTree
from schemas.sensor import Life, Metric, Sensor
from services.ingest.domain.gb26875 import ANSWERS, Hearing, Panel, Told, Verdict, of_error
from services.ingest.domain.registry import Registry
from services.ingest.door import Door
from services.ingest.doors.gb26875 import CONTENT_TYPE, Judging, Server
from services.ingest.doors.gb26875_connection import READ_BYTES, Connection
from services.ingest.patrols import Call
from services.ingest.presence import Presence
from services.ingest.settings import Gb26875Settings
from services.ingest.units import conversion
from services.kit.errors import Unavailable
from tests.unit.ingest.conftest import LIMITS, NOW

HEARING = Hearing(ZoneInfo("Asia/Shanghai"), LIMITS)
DEVICE, SENT_AS = 889, "790300000000"
HAPPENED = datetime(2026, 11, 22, 8, 0, 5)  # noqa: DTZ001 - a device's clock
SMOKE = Address(zone=10, point=2)
NORMAL, FIRE, FAULT = ComponentBits.NORMAL, ComponentBits.FIRE, ComponentBits.FAULT
MARKING = (Panel(SENT_AS, 2, 1),)


def name(text: str) -> Name:
    return Name(zh=text, en=text)


def sensor(id_: str, link: Gb26875, life: Life = Life.ACTIVE, **units: str) -> Sensor:
    named = dict.fromkeys((one.metric for one in link.states.values()), "1") | units
    return Sensor(
        id=id_,
        name=name("感烟"),
        domain=Domain.FIRE,
        department="fire",
        street="street-1",
        metrics={metric: Metric(unit=unit, name=name(metric)) for metric, unit in named.items()},
        adapter="gb26875",
        link=link,
        life=life,
    )


def states(*words: str) -> dict[str, Meaning]:
    return {word: Meaning(metric=word) for word in words}


def registry(*more: Sensor, drills: bool | None = None) -> Registry:
    component = Gb26875(
        device=SENT_AS,
        system=1,
        component="0a000200",
        drills=drills,
        states=states("fire", "fault"),
        analogues={"3": Meaning(metric="temperature"), "5": Meaning(metric="pressure", unit="kPa")},
    )
    own = Gb26875(device=SENT_AS, states=states("fault", "manual_alarm", "reset", "operator"))
    system = Gb26875(device=SENT_AS, system=1, drills=drills, states=states("fire", "main_power_fault"))
    smoke = sensor("smoke", component, temperature="Cel", pressure="MPa")
    regions = RegionTree(
        [
            Region(code="city", parent=None, level=Level.CITY, name=name("city")),
            Region(code="street-1", parent="city", level=Level.STREET, name=name("street")),
        ]
    )
    return Registry(regions, [smoke, sensor("device", own), sensor("system", system), *more], conversion)


def frame(kind: UnitType, *objects: Object, time: datetime | None = HAPPENED) -> Frame:
    return Device(DEVICE, 88888).send(kind, objects, serial=7, time=time)  # type: ignore[arg-type]


def smoke_state(state: ComponentBits, time: datetime | None = HAPPENED, address: Address = SMOKE) -> ComponentState:
    return ComponentState(1, 1, 42, address, state, "七楼会议室烟感", time)


def hear(one: Frame, known: Registry | None = None, panels: frozenset[Panel] = frozenset()) -> Told:
    return HEARING.hear(one, known or registry(), NOW, panels)


def test_a_components_state_gives_each_word_of_its_link_at_its_own_time():
    told = hear(frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL | FIRE)))
    (one,) = told.observations
    assert (told.verdict, list(told.refused), ANSWERS[told.verdict]) == (Verdict.TAKEN, [], Command.CONFIRM)
    assert (one.sensor, one.street, one.values, one.origin) == ("smoke", "street-1", {"fire": 1.0, "fault": 0.0}, "real")
    assert datetime.fromtimestamp(one.end / 1e6, UTC) == datetime(2026, 11, 22, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("drills", "panels", "state", "origin"),
    [
        (True, (), FIRE, "exercise"),
        (True, (), NORMAL | FIRE, "real"),
        (True, (), FAULT, "exercise"),
        (True, (), NORMAL | FAULT, "real"),
        (False, MARKING, FIRE, "real"),
        (None, (), FIRE, "real"),
        (None, MARKING, FIRE, "exercise"),
        (None, MARKING, NORMAL | FIRE, "real"),
    ],
)
def test_a_fire_is_a_drill_only_where_it_is_known_to_be_one(drills: Any, panels: Sequence[Panel], state: ComponentBits, origin: str):
    (one,) = hear(frame(UnitType.COMPONENT_STATES, smoke_state(state)), registry(drills=drills), frozenset(panels)).observations
    assert (one.origin, one.values["fire"]) == (origin, float(FIRE in state))


@pytest.mark.parametrize(("state", "marking"), [(NORMAL | FIRE, MARKING), (NORMAL | FAULT, MARKING), (NORMAL, ()), (FIRE, ()), (FAULT, ())])
def test_only_an_alarm_with_bit_0_shows_that_a_panel_sets_it(state: ComponentBits, marking: Sequence[Panel]):
    """A maker who clears it with every alarm, as if it meant "nothing is wrong", sets it all day: its fires must not become drills."""
    told = hear(frame(UnitType.COMPONENT_STATES, smoke_state(state)))
    assert told.panels == frozenset(marking)


def test_what_one_panel_shows_says_nothing_of_another_behind_the_same_device():
    (one,) = hear(frame(UnitType.COMPONENT_STATES, smoke_state(FIRE)), panels=frozenset({Panel(SENT_AS, 2, 9), Panel(SENT_AS, 1, 1)})).observations
    assert one.origin == "real"


def test_a_drill_and_a_fire_of_one_second_are_a_fire():
    told = hear(frame(UnitType.COMPONENT_STATES, smoke_state(FIRE), smoke_state(NORMAL | FIRE)), registry(drills=True))
    (one,) = told.observations
    assert one.origin == "real"


def test_values_are_converted_and_those_of_one_second_make_one_observation_beside_the_state():
    told = hear(frame(UnitType.ANALOGUES, *(Analogue(1, 1, 42, SMOKE, kind, count, HAPPENED) for kind, count in ((3, 215), (5, 3500)))))
    (one,) = told.observations
    assert one.values == pytest.approx({"temperature": 21.5, "pressure": 0.35})
    (state,) = hear(frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL))).observations
    assert one.end - state.end == 3, "or it would correct the state of the same second"


def test_a_value_outside_of_the_standards_range_is_flagged():
    (one,) = hear(frame(UnitType.ANALOGUES, Analogue(1, 1, 42, SMOKE, 3, -3000, HAPPENED))).observations
    assert (one.values, one.quality) == ({"temperature": -300.0}, {"temperature": "over_range"})


def test_the_system_and_the_device_have_sensors_of_their_own():
    (system,) = hear(frame(UnitType.SYSTEM_STATES, SystemState(1, 1, SystemBits.NORMAL | SystemBits.MAIN_POWER_FAULT, HAPPENED))).observations
    (device,) = hear(frame(UnitType.DEVICE_STATE, DeviceState(DeviceBits.NORMAL | DeviceBits.FAULT, HAPPENED))).observations
    assert (system.sensor, system.values) == ("system", {"fire": 0.0, "main_power_fault": 1.0})
    assert (device.sensor, device.values) == ("device", {"fault": 1.0})


def test_who_pressed_what_is_an_event_and_a_reset_ends_the_manual_alarm():
    pressed, reset = (
        hear(frame(UnitType.DEVICE_OPERATIONS, DeviceOperation(action, 3, HAPPENED))).observations[0]
        for action in (DeviceAction.MANUAL_ALARM, DeviceAction.RESET)
    )
    assert pressed.values == {"manual_alarm": 1.0, "operator": 3.0}
    assert reset.values == {"manual_alarm": 0.0, "reset": 1.0, "operator": 3.0}
    at_system = hear(frame(UnitType.SYSTEM_OPERATIONS, SystemOperation(1, 8, SystemAction.MANUAL_ALARM, 3, HAPPENED))).observations[0]
    assert at_system.sensor == "device", "a system that nobody registered is the device's concern"


def test_an_answer_to_a_patrol_check_is_told():
    told = hear(frame(UnitType.DEVICE_OPERATIONS, DeviceOperation(DeviceAction.PATROL_ANSWERED, 4, HAPPENED)))
    assert (told.on_duty, told.verdict) == (4, Verdict.TAKEN)


def test_what_nobody_registered_is_refused_by_name_and_the_rest_is_taken():
    stranger = Address(zone=10, point=3)
    told = hear(frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL), smoke_state(NORMAL | FIRE, address=stranger)))
    (refused,) = told.refused
    assert (told.verdict, len(told.observations), ANSWERS[told.verdict]) == (Verdict.PARTLY, 1, Command.CONFIRM)
    assert (refused.problem.code, refused.sensor) == ("unknown_device", f"gb26875:{SENT_AS}/1/0a000300")
    assert "七楼会议室烟感" in refused.problem.message
    assert "火警" in refused.problem.message
    alone = hear(frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL, address=stranger)))
    assert (alone.verdict, ANSWERS[alone.verdict]) == (Verdict.REFUSED, Command.DENY)


def test_a_device_that_nobody_registered_is_denied_and_kept():
    told = HEARING.hear(Device(1, 2).heartbeat(serial=1, time=HAPPENED), registry(), NOW)
    assert (told.verdict, ANSWERS[told.verdict], told.department) == (Verdict.UNKNOWN_DEVICE, Command.DENY, None)
    assert [(one.problem.code, one.sensor) for one in told.refused] == [("unknown_device", "gb26875:010000000000")]


def test_a_fire_that_the_link_has_no_word_for_is_not_dropped_in_silence():
    link = Gb26875(device=SENT_AS, system=2, component="01000100", states=states("fault"))
    known = registry(sensor("heat", link))
    at = Address(1, 1)
    fire = hear(frame(UnitType.COMPONENT_STATES, ComponentState(2, 2, 30, at, NORMAL | FIRE, "", HAPPENED)), known)
    assert (fire.verdict, [one.problem.code for one in fire.refused]) == (Verdict.PARTLY, ["unknown_metric"])
    quiet = hear(frame(UnitType.COMPONENT_STATES, ComponentState(2, 2, 30, at, NORMAL, "", HAPPENED)), known)
    assert (quiet.verdict, quiet.refused) == (Verdict.TAKEN, [])


def test_nor_is_an_alarm_that_somebody_gave_by_hand():
    known = registry(sensor("duty", Gb26875(device="020000000000", states=states("operator"))))
    pressed = DeviceOperation(DeviceAction.MANUAL_ALARM, 4, HAPPENED)
    told = HEARING.hear(Device(2, 1).send(UnitType.DEVICE_OPERATIONS, [pressed], serial=1, time=HAPPENED), known, NOW)
    assert (told.verdict, [one.problem.code for one in told.refused]) == (Verdict.PARTLY, ["unknown_metric"])


def test_a_retired_sensors_device_is_refused():
    link = Gb26875(device="020000000000", states=states("fault"))
    known = registry(sensor("old", link, life=Life.RETIRED))
    told = HEARING.hear(Device(2, 1).send(UnitType.DEVICE_STATE, [DeviceState(DeviceBits.FAULT, HAPPENED)], serial=1, time=HAPPENED), known, NOW)
    assert (told.verdict, [one.problem.code for one in told.refused]) == (Verdict.REFUSED, ["retired"])


@pytest.mark.parametrize(
    ("own", "sent", "expected"),
    [
        (HAPPENED, None, datetime(2026, 11, 22, 0, 0, 5, tzinfo=UTC)),
        (None, HAPPENED, datetime(2026, 11, 22, 0, 0, 5, tzinfo=UTC)),
        (None, None, NOW),
        (HAPPENED.replace(year=2001), HAPPENED, datetime(2026, 11, 22, 0, 0, 5, tzinfo=UTC)),
        (HAPPENED.replace(year=2030), HAPPENED.replace(year=2030), NOW),
    ],
)
def test_a_fire_is_taken_whatever_the_devices_clock_says(own: datetime | None, sent: datetime | None, expected: datetime):
    (one,) = hear(frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL | FIRE, own), time=sent)).observations
    assert datetime.fromtimestamp(one.end / 1e6, UTC) == expected


def test_a_value_of_an_impossible_time_is_refused():
    told = hear(frame(UnitType.ANALOGUES, Analogue(1, 1, 42, SMOKE, 3, 215, HAPPENED.replace(year=2030))))
    assert (told.verdict, [one.problem.code for one in told.refused]) == (Verdict.REFUSED, ["in_the_future"])


@pytest.mark.parametrize(
    ("sent", "verdict", "answer", "code"),
    [
        (Device(DEVICE, 1).heartbeat(serial=1, time=HAPPENED), Verdict.HEARTBEAT, Command.CONFIRM, None),
        (frame(UnitType.DEVICE_SETUP, DeviceSetup("大厦")), Verdict.DESCRIPTION, Command.CONFIRM, "not_used"),
        (frame(UnitType.PATROL_CHECK, PatrolCheck(1)), Verdict.UNKNOWN_TYPE, Command.DENY, "unknown_type"),
        (Device(DEVICE, 1).frame(Command.SEND, b"\x80\x01", serial=1, time=HAPPENED), Verdict.UNKNOWN_TYPE, Command.DENY, "unknown_type"),
        (Device(DEVICE, 1).frame(Command.SEND, b"\x02\x01", serial=1, time=HAPPENED), Verdict.REFUSED, Command.DENY, "bad_unit"),
        (Device(DEVICE, 1).frame(9, b"", serial=1, time=HAPPENED), Verdict.UNKNOWN_COMMAND, Command.DENY, "unknown_command"),
        (confirm(frame(UnitType.DEVICE_STATE), time=HAPPENED), Verdict.REPLY, None, None),
    ],
)
def test_every_frame_has_its_answer(sent: Frame, verdict: Verdict, answer: Command | None, code: str | None):
    told = hear(sent)
    assert (told.verdict, ANSWERS[told.verdict]) == (verdict, answer)
    assert [one.problem.code for one in told.refused] == ([code] if code else [])
    assert all(one.item == sent.encode() for one in told.refused), "it is kept as it came"


def test_what_was_refused_is_judged_again_as_it_was_first_but_only_for_its_own_department():
    judge = Judging(HEARING)
    fire = frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL | FIRE))
    again = judge(fire.encode(), CONTENT_TYPE, "fire", registry(), NOW + timedelta(minutes=1), NOW)
    (first,), (second,) = hear(fire).observations, again.observations
    assert (first.id, first.end, first.values, first.origin) == (second.id, second.end, second.values, second.origin)
    other = judge(fire.encode(), CONTENT_TYPE, "water", registry(), NOW, NOW)
    assert (list(other.observations), [one.problem.code for one in other.refused]) == ([], ["not_yours"])
    damaged = bytearray(fire.encode())
    damaged[40] ^= 1
    assert [one.problem.code for one in judge(bytes(damaged), CONTENT_TYPE, "fire", registry(), NOW, NOW).refused] == ["wrong_checksum"]
    assert [one.problem.code for one in judge(b"GET / HTTP/1.1", CONTENT_TYPE, "fire", registry(), NOW, NOW).refused] == ["not_this_protocol"]


def test_a_fire_without_a_believable_time_is_of_when_it_came_also_when_it_is_judged_again():
    later = NOW + timedelta(days=3)
    for own in (None, HAPPENED + timedelta(days=2)):
        fire = frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL | FIRE, own), time=None)
        (first,), (second,) = hear(fire).observations, Judging(HEARING)(fire.encode(), CONTENT_TYPE, "fire", registry(), later, NOW).observations
        assert (first.id, first.end) == (second.id, second.end)


async def test_a_drill_is_one_also_when_it_is_judged_again():
    server = door()
    connection, _ = connected(server)
    for state in (NORMAL | FAULT, FIRE):
        drill = frame(UnitType.COMPONENT_STATES, smoke_state(state))
        await server.take(connection, drill)
    (again,) = Judging(server._hearing)(drill.encode(), CONTENT_TYPE, "fire", registry(), NOW, NOW).observations
    assert again.origin == "exercise"


def test_of_a_part_that_two_departments_watch_each_sends_its_own_again():
    link = Gb26875(device=SENT_AS, system=1, component="0a000200", states=states("fire"))
    shared = registry(sensor("theirs", link).model_copy(update={"department": "housing"}))
    again = Judging(HEARING)(frame(UnitType.COMPONENT_STATES, smoke_state(NORMAL | FIRE)).encode(), CONTENT_TYPE, "housing", shared, NOW, NOW)
    assert ([one.sensor for one in again.observations], list(again.refused)) == (["theirs"], [])


def test_a_wrong_checksum_is_denied_and_kept():
    damaged = bytearray(frame(UnitType.DEVICE_STATE).encode())
    damaged[-3] ^= 1
    with pytest.raises(WrongChecksum) as caught:
        Frame.decode(bytes(damaged))
    told = of_error(caught.value)
    assert (ANSWERS[told.verdict], told.refused[0].item) == (Command.DENY, bytes(damaged))


@settings(max_examples=150)
@given(
    command=st.integers(0, 255),
    unit=st.one_of(st.binary(max_size=80), st.builds(lambda kind, rest: bytes([kind, 1]) + rest, st.sampled_from([1, 2, 3, 4, 21, 24]), st.binary())),
    source=st.sampled_from([DEVICE, 1]),
)
def test_nothing_is_confirmed_of_which_something_is_neither_taken_nor_kept(command: int, unit: bytes, source: int):
    sent = Device(source, 88888).frame(command, unit[:1024], serial=1, time=HAPPENED)
    told = hear(sent)
    if ANSWERS[told.verdict] is Command.DENY:
        assert told.refused
        assert not told.observations
    if ANSWERS[told.verdict] is Command.CONFIRM and told.refused:
        assert told.observations or told.verdict is Verdict.DESCRIPTION


class Transport:
    """What a connection does with the other end."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.written = b""

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("10.0.0.1", 5)}[name]

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return "close" in self.said

    def __getattr__(self, name: str) -> Any:
        return lambda: self.said.append(name)


class Confirming:
    """A server that confirms whatever it is let."""

    def __init__(self) -> None:
        self.settings = Gb26875Settings(max_frames=2, max_errors=3)
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.now = 0.0
        self.let = asyncio.Semaphore(0)
        self.tasks: list[asyncio.Task[None]] = []
        self.reasons: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def admit(self, connection: Connection) -> None: ...

    def gone(self, connection: Connection) -> None: ...

    def closing(self, connection: Connection, reason: str) -> None:
        self.reasons.append(reason)

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def take(self, connection: Connection, item: Frame | FrameError) -> Frame | None:
        await self.let.acquire()
        return confirm(item, time=HAPPENED) if isinstance(item, Frame) else None


class Ends:
    """A connection with both of its ends."""

    def __init__(self) -> None:
        self.server, self.transport = Confirming(), Transport()
        self.connection = Connection(self.server)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        self.connection.get_buffer(-1)[: len(data)] = data
        self.connection.buffer_updated(len(data))

    async def answers(self, count: int) -> list[int]:
        for _ in range(count):
            self.server.let.release()
        for _ in range(5 * count):
            await asyncio.sleep(0)
        answers, self.transport.written = Framer().feed(self.transport.written), b""
        return [one.serial for one in answers if isinstance(one, Frame)]


class Kafka:
    """Takes all."""

    known = registry()

    async def publish(self, *_: Any) -> None: ...


class Calling:
    """Patrol checks, with a database that may be away."""

    away = False
    answers: tuple[UUID, ...] = ()

    async def confirmed(self, call: UUID) -> None:
        if self.away:
            raise Unavailable("away")
        self.answers = (*self.answers, call)


class Still:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def door(calls: Any = None, **told: Any) -> Server:
    kafka: Any = Kafka()
    return Server(
        intake=kafka,
        door=Door("gb26875", "node", Still()),
        hearing=Hearing(HEARING.zone, LIMITS),
        department="fire",
        presence=Presence(None, "node"),  # type: ignore[arg-type]
        calls=calls,
        settings=Gb26875Settings(**told),
        clock=Still(),
        metrics=CollectorRegistry(),
    )


def connected(server: Server) -> tuple[Connection, Transport]:
    connection, transport = Connection(server), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, transport


async def test_strangers_make_room_for_a_device_and_devices_for_nobody():
    server = door(max_connections=2)
    (device, first), (_, stranger) = connected(server), connected(server)
    await server.take(device, Device(DEVICE, 1).heartbeat(serial=1, time=HAPPENED))
    other, newer = connected(server)
    assert (first.said, stranger.said, newer.said) == ([], ["abort"], [])
    await server.take(other, Device(2, 1).heartbeat(serial=1, time=HAPPENED))
    assert connected(server)[1].said == [], "nobody registered the third"
    assert newer.said == ["abort"]


async def test_each_device_behind_a_line_has_its_clock_set_once_an_hour():
    server = door(set_clocks_over_s=60)
    server._intake.known = registry(sensor("other", Gb26875(device="020000000000", states=states("fire"))))  # type: ignore[misc]
    connection, transport = connected(server)
    wrong = HAPPENED - timedelta(hours=1)
    for source in (DEVICE, 2, DEVICE):
        await server.take(connection, Device(source, 1).heartbeat(serial=1, time=wrong))
    assert [one.target for one in Framer().feed(transport.written) if isinstance(one, Frame)] == [DEVICE, 2]


async def test_a_call_that_was_confirmed_while_the_database_was_away_is_confirmed_by_the_next_answer():
    calls, id_ = Calling(), UUID(int=1)
    server = door(calls)
    connection, _ = connected(server)
    await server.take(connection, Device(DEVICE, 1).heartbeat(serial=1, time=HAPPENED))
    server._call([Call(id_, SENT_AS, 60)])
    answer = Device(DEVICE, 1).frame(Command.CONFIRM, b"", serial=1, time=HAPPENED)
    for calls.away in (True, False, False):
        await server.take(connection, answer)
    assert calls.answers == (id_,)


def heartbeats(*serials: int) -> bytes:
    return b"".join(Device(DEVICE, 1).heartbeat(serial=serial, time=HAPPENED).encode() for serial in serials)


async def test_who_sends_more_than_is_in_hand_is_not_read_until_some_are_answered():
    ends = Ends()
    ends.send(heartbeats(1, 2, 3))
    assert ends.transport.said == ["pause_reading"]
    assert await ends.answers(1) == [1]
    assert ends.transport.said == ["pause_reading"]
    assert await ends.answers(2) == [2, 3]
    assert ends.transport.said == ["pause_reading", "resume_reading"]


async def test_a_frame_that_does_not_end_holds_up_no_other_for_longer_than_a_device_waits():
    ends = Ends()
    lying = bytearray(heartbeats(1))
    lying[24:26] = (500).to_bytes(2, "little")
    ends.send(bytes(lying) + heartbeats(2))
    ends.connection.flush_if_silent(5.0)
    assert ends.server.tasks == []
    ends.connection.flush_if_silent(9.0)
    assert await ends.answers(2) == [2]


async def test_what_is_in_hand_is_answered_before_a_line_of_errors_is_closed():
    ends = Ends()
    ends.send(heartbeats(1) + b"?" * 4_000)
    assert ends.server.reasons == ["errors"]
    assert "close" not in ends.transport.said
    assert await ends.answers(4) == [1]
    assert ends.transport.said[-1] == "close"
