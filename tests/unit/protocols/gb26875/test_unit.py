"""What a frame carries: values in the standard's units, states by name, and what does not fit without losing what does."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import gb26875
from protocols.gb26875 import (
    ANALOGUES,
    BITS,
    COMPONENTS,
    OBJECTS,
    SYSTEMS,
    Address,
    Analogue,
    Centre,
    Command,
    ComponentBits,
    ComponentState,
    Cut,
    Device,
    DeviceBits,
    DeviceState,
    Frame,
    Object,
    OfComponent,
    OfSystem,
    PatrolCheck,
    Surplus,
    SystemBits,
    Unencodable,
    UnitType,
    answer,
    confirm,
    counts_of,
    deny,
    names_of,
    unit_bytes,
    unit_of,
)
from tests.unit.protocols.gb26875 import conftest

NOW = datetime.fromisoformat("2026-11-22 08:00:00")
STAMP = "00 00 08 16 0b 1a"


def component(text: str = "", state: int = 3) -> ComponentState:
    return ComponentState(1, 1, 42, Address(10, 2), ComponentBits(state), text, NOW)


def analogue(kind: int, count: int) -> Analogue:
    (value,) = unit_of(
        bytes.fromhex(f"03 01 0c 01 63 05 00 07 00 {kind:02x}") + count.to_bytes(2, "little", signed=True) + bytes.fromhex(STAMP)
    ).objects
    assert isinstance(value, Analogue)
    assert (value.address, value.time) == (Address(5, 7), NOW)
    return value


def text_in(data: bytes) -> str:
    unit = bytearray(unit_bytes(UnitType.COMPONENT_STATES, [component()]))
    unit[11:42] = data.ljust(31, b"\0")
    (state,) = unit_of(bytes(unit)).objects
    assert isinstance(state, ComponentState)
    return state.text


def test_the_example_of_the_package_runs() -> None:
    assert doctest.testmod(gb26875).failed == 0


@settings(max_examples=120)
@given(st.sampled_from(sorted(OBJECTS)), st.data())
def test_a_unit_of_every_type_is_read_as_it_was_written(kind: int, data: st.DataObject) -> None:
    values: tuple[Object, ...] = tuple(data.draw(st.lists(conftest.OBJECTS[OBJECTS[kind]], max_size=4)))
    unit = unit_of(unit_bytes(UnitType(kind), values))
    assert (unit.type, unit.count, unit.objects, unit.rest, unit.problem) == (kind, len(values), values, b"", None)


@settings(max_examples=120)
@given(st.sampled_from(sorted(OBJECTS)) | conftest.byte, conftest.byte, st.binary(max_size=200))
def test_any_bytes_are_a_unit_and_every_byte_is_accounted_for(kind: int, count: int, data: bytes) -> None:
    unit = unit_of(bytes([kind, count]) + data)
    if kind not in OBJECTS:
        assert (unit.type, unit.objects, unit.rest, unit.problem) == (kind, (), data, None)
    elif unit.problem is None:
        assert (len(unit.objects), unit.rest) == (count, b"")
    else:
        assert (unit.problem.index, unit.problem.offset) == (len(unit.objects), 2 + len(data) - len(unit.rest))
        assert isinstance(unit.problem, Surplus if len(unit.objects) == count else Cut)


def test_the_good_objects_before_a_cut_remain() -> None:
    data = unit_bytes(UnitType.COMPONENT_STATES, [component("一"), component("二"), component("三")])
    unit = unit_of(data[:-1])
    assert unit.objects == (component("一"), component("二"))
    assert isinstance(unit.problem, Cut)
    assert (unit.problem.index, unit.problem.offset) == (2, 2 + 2 * 46)
    assert unit.rest == data[2 + 2 * 46 : -1]


def test_bytes_after_the_last_object_are_told_and_kept() -> None:
    unit = unit_of(unit_bytes(UnitType.PATROL_CHECK, [PatrolCheck(10)]) + b"\x07")
    assert unit.objects == (PatrolCheck(10),)
    assert isinstance(unit.problem, Surplus)
    assert (unit.problem.index, unit.problem.offset, unit.rest) == (1, 3, b"\x07")


@pytest.mark.parametrize("data", [b"", b"\x02"])
def test_a_unit_without_type_and_count_is_cut(data: bytes) -> None:
    assert isinstance(unit_of(data).problem, Cut)


@pytest.mark.parametrize(
    ("kind", "count", "value", "unit", "valid"),
    [
        (2, 32000, 320.0, "m", True),
        (2, 32001, 320.01, "m", False),
        (2, -1, -0.01, "m", False),
        (3, -405, -40.5, "Cel", True),
        (3, -2730, -273.0, "Cel", True),
        (3, -2731, -273.1, "Cel", False),
        (3, -32768, -3276.8, "Cel", False),
        (3, 32000, 3200.0, "Cel", True),
        (4, 6, 0.6, "MPa", True),
        (5, 6005, 600.5, "kPa", True),
        (6, 250, 25.0, "%{LEL}", True),
        (6, 1001, 100.1, "%{LEL}", False),
        (8, 2203, 220.3, "V", True),
        (12, 3, 3.0, "m/s", True),
    ],
)
def test_an_analogue_has_the_units_and_the_range_of_the_table(kind: int, count: int, value: float, unit: str, valid: bool) -> None:  # noqa: FBT001
    told = analogue(kind, count)
    assert told.quantity is not None
    assert (told.value, told.quantity.unit, told.valid) == (value, unit, valid)
    assert counts_of(kind, value) == count


@pytest.mark.parametrize("kind", [0, 13, 128, 255])
def test_an_unknown_analogue_keeps_its_count_and_has_no_value(kind: int) -> None:
    told = analogue(kind, -7)
    assert (told.count, told.quantity, told.value, told.valid) == (-7, None, None, False)


@pytest.mark.parametrize(("kind", "value"), [(128, 1.0), (3, float("nan")), (3, float("inf"))])
def test_what_no_analogue_can_say_is_refused(kind: int, value: float) -> None:
    with pytest.raises(Unencodable):
        counts_of(kind, value)


def test_an_analogue_out_of_its_two_bytes_is_refused() -> None:
    with pytest.raises(Unencodable):
        unit_bytes(UnitType.ANALOGUES, [Analogue(1, 1, 31, Address(1, 1), 3, counts_of(3, 3276.8), NOW)])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("七楼".encode("gb18030"), "七楼"),
        ("七楼".encode("gb18030").ljust(31), "七楼"),
        ("一二三四五六七八九十一二三四五六".encode("gb18030")[:31], "一二三四五六七八九十一二三四五"),
        ("七楼".encode("gb18030")[:-1], "七"),
        ("𠀀㐂".encode("gb18030")[:-1], "𠀀"),
        (b"A\xff\xffB", "A\ufffd\ufffdB"),
        (b"A\0junk", "A"),
    ],
)
def test_a_text_is_read_up_to_its_padding_even_when_cut_within_a_character(data: bytes, text: str) -> None:
    assert text_in(data) == text


def test_a_long_text_is_written_up_to_a_whole_character() -> None:
    written = unit_bytes(UnitType.COMPONENT_STATES, [component("楼" * 16)])
    assert written[11:42] == ("楼" * 15).encode("gb18030") + b"\0"
    assert unit_of(written).objects == (component("楼" * 15),)


@pytest.mark.parametrize(
    ("state", "fire", "drill"), [(0b11, True, False), (0b10, True, True), (0b00, False, False), (0b01, False, False), (0b110, True, True)]
)
def test_a_fire_in_test_mode_is_a_drill(state: int, fire: bool, drill: bool) -> None:  # noqa: FBT001
    for bits in (ComponentBits(state), SystemBits(state), DeviceBits(state)):
        assert (bits.fire, bits.drill) == (fire, drill)
    assert component(state=state).drill == drill


def test_states_are_named_in_both_languages_and_reserved_bits_are_kept() -> None:
    state = ComponentBits(0xFE05)
    assert [name.zh for name in names_of(state)] == ["正常运行", "故障"]
    assert [name.en for name in names_of(DeviceBits(0b1101000))] == [
        "Main power fault",
        "Fault of the link to the centre",
        "Fault of the monitored line",
    ]
    assert int(state) == 0xFE05
    assert all(set(names) == set(kind) for kind, names in BITS.items())


def test_every_name_is_there_in_both_languages() -> None:
    for table in (SYSTEMS, COMPONENTS, ANALOGUES, *BITS.values()):
        assert all(name.zh and name.en.isascii() for name in table.values())  # type: ignore[attr-defined]
    assert (SYSTEMS[12].zh, COMPONENTS[23].zh, COMPONENTS[96].en) == ("自动喷水灭火系统", "手动火灾报警按钮", "Water flow indicator")


def test_replies_go_back_with_the_serial_of_what_they_reply_to() -> None:
    sent = Device(source=889, target=88888).heartbeat(serial=7, time=NOW)
    assert (sent.command, sent.unit) == (Command.SEND, b"")
    for reply, command in [(confirm(sent, time=NOW), Command.CONFIRM), (deny(sent, time=NOW), Command.DENY)]:
        assert (reply.serial, reply.source, reply.target, reply.command, reply.unit) == (7, 88888, 889, command, b"")
        assert Frame.decode(reply.encode()) == reply


def test_a_request_is_answered_with_what_it_asked_for() -> None:
    asked = Centre(source=88888, target=889).read(UnitType.READ_DEVICE_STATE, serial=3, time=NOW)
    assert (asked.command, asked.unit) == (Command.REQUEST, b"\x51\x01\x00")
    told = answer(asked, UnitType.DEVICE_STATE, [DeviceState(DeviceBits.NORMAL, NOW)], time=NOW)
    assert (told.serial, told.target, told.command, told.unit) == (3, 88888, Command.ANSWER, bytes.fromhex("15 01 01" + STAMP))


@pytest.mark.parametrize(
    ("made", "unit"),
    [
        (lambda centre: centre.set_clock(serial=1, time=NOW), "5a 01" + STAMP),
        (lambda centre: centre.initialise(serial=1, time=NOW), "59 01 00"),
        (lambda centre: centre.read(UnitType.READ_SYSTEM_STATES, [OfSystem(1, 2)], serial=1, time=NOW), "3d 01 01 02"),
        (lambda centre: centre.read(UnitType.READ_ANALOGUES, [OfComponent(12, 1, Address(5, 7))], serial=1, time=NOW), "3f 01 0c 01 05 00 07 00"),
    ],
)
def test_what_the_centre_asks_is_as_the_standard_lays_it_out(made: Callable[[Centre], Frame], unit: str) -> None:
    assert made(Centre(source=1, target=2)).unit == bytes.fromhex(unit)


def test_more_than_fits_into_a_unit_is_refused() -> None:
    assert len(unit_bytes(UnitType.COMPONENT_STATES, [component()] * 22)) == 1014
    for count in (23, 256):
        with pytest.raises(Unencodable):
            unit_bytes(UnitType.COMPONENT_STATES, [component()] * count)
    with pytest.raises(Unencodable):
        unit_bytes(UnitType.ANALOGUES, [component()])
    with pytest.raises(Unencodable):
        Centre(source=1, target=2).patrol_check(256, serial=1, time=NOW)
