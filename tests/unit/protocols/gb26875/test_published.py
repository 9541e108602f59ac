"""Packets published by others, with the checksums printed there: none of them was made by this code.

[A] the examples at the end of `GB26875文档.md` in github.com/ActorLancer/GB-T-26875.3.2011-rs; [B] a test in
github.com/shootingfans/codec_gb26875_3_2011.
"""

from __future__ import annotations

from datetime import datetime

import pytest

from protocols.gb26875 import (
    Address,
    Clock,
    Command,
    ComponentBits,
    ComponentState,
    DeviceAction,
    DeviceBits,
    DeviceOperation,
    DeviceSoftware,
    DeviceState,
    Frame,
    OfDevice,
    PatrolCheck,
    UnitType,
    Version,
    WrongChecksum,
    unit_of,
)

DEVICE, CENTRE = 889, 88888
HAPPENED = datetime.fromisoformat("2012-09-26 09:58:02")
UP, DOWN = "79 03 00 00 00 00 38 5B 01 00 00 00", "38 5B 01 00 00 00 79 03 00 00 00 00"


def published(ends: str, rest: str, second: str = "20") -> bytes:
    return bytes.fromhex(f"40 40 01 00 01 01 {second} 3A 09 1A 09 0C {ends} {rest} 23 23")


SMOKE = "30 00 02 02 01 01 01 28 0A 00 02 00 02 00" + " 20" * 30 + " 00 02 3A 09 1A 09 0C 46"
CASES = [
    pytest.param(
        published(UP, SMOKE),
        UnitType.COMPONENT_STATES,
        ComponentState(1, 1, 40, Address(zone=10, point=2), ComponentBits.FIRE, "", HAPPENED),
        id="A1 smoke detector 2 of zone 10",
    ),
    pytest.param(
        published(UP, "09 00 02 15 01 08 02 3A 09 1A 09 0C 42"),
        UnitType.DEVICE_STATE,
        DeviceState(DeviceBits.MAIN_POWER_FAULT, HAPPENED),
        id="A2 main power fault",
    ),
    pytest.param(
        published(UP, "0A 00 02 18 01 20 01 02 3A 09 1A 09 0C 5F"),
        UnitType.DEVICE_OPERATIONS,
        DeviceOperation(DeviceAction.PATROL_ANSWERED, 1, HAPPENED),
        id="A3 patrol check answered",
    ),
    pytest.param(published(UP, "04 00 02 19 01 01 01 C7"), UnitType.DEVICE_SOFTWARE, DeviceSoftware(Version(1, 1)), id="A4 software 1.1"),
    pytest.param(published(UP, "08 00 02 1C 01 02 3A 09 1A 09 0C 40"), UnitType.DEVICE_TIME, Clock(HAPPENED), id="A5 device time"),
    pytest.param(published(DOWN, "03 00 04 51 01 00 FE"), UnitType.READ_DEVICE_STATE, OfDevice(), id="A6 read state"),
    pytest.param(published(DOWN, "03 00 04 55 01 00 02"), UnitType.READ_DEVICE_SOFTWARE, OfDevice(), id="A7 read software"),
    pytest.param(published(DOWN, "03 00 01 59 01 00 03"), UnitType.INITIALISE, OfDevice(), id="A9 initialise"),
    pytest.param(published(DOWN, "08 00 01 5A 01 02 3A 09 1A 09 0C 7D"), UnitType.SET_CLOCK, Clock(HAPPENED), id="A10 set clock"),
    pytest.param(published(DOWN, "03 00 01 5B 01 0A 0F"), UnitType.PATROL_CHECK, PatrolCheck(10), id="A11 patrol check"),
]


@pytest.mark.parametrize(("packet", "kind", "value"), CASES)
def test_a_published_packet_is_read_and_written_as_it_is(packet: bytes, kind: UnitType, value: object) -> None:
    frame = Frame.decode(packet)
    assert {frame.source, frame.target} == {DEVICE, CENTRE}
    assert (frame.serial, frame.version, frame.time) == (1, Version(1, 1), datetime.fromisoformat("2012-09-26 09:58:32"))
    assert frame.encode() == packet
    unit = unit_of(frame.unit)
    assert (unit.type, unit.count, unit.objects, unit.rest, unit.problem) == (kind, 1, (value,), b"", None)


@pytest.mark.parametrize(("command", "total"), [(Command.CONFIRM, "AB"), (Command.DENY, "AE")])
def test_published_replies_are_read(command: Command, total: str) -> None:
    frame = Frame.decode(published(DOWN, f"00 00 {command:02x} {total}", second="23"))
    assert (frame.command, frame.unit) == (command, b"")


def test_a_published_fire_is_in_test_mode_by_the_letter_so_a_drill_alone_must_not_silence_it() -> None:
    (state,) = unit_of(Frame.decode(published(UP, SMOKE)).unit).objects
    assert isinstance(state, ComponentState)
    assert state.state.fire
    assert state.drill


def packet_b(total: int) -> bytes:
    unit = "02 01 01 03 00 d9 00 06 00 02 00 a3 c1 c7 f8 a3 b1 b2 e3 df c8 b2 b8 d7 df c0 c8" + " 00" * 15 + " 30 12 13 01 08 14"
    head = "40 40 00 00 01 01 18 0d 11 16 0a 14 00 00 00 00 00 00 06 05 04 03 02 01 30 00 02"
    return bytes.fromhex(f"{head} {unit} {total:02x} 23 23")


def test_a_text_in_chinese_is_read_and_its_wrong_twin_refused() -> None:
    frame = Frame.decode(packet_b(0x68))
    assert frame.target == 0x010203040506
    (state,) = unit_of(frame.unit).objects
    assert state == ComponentState(1, 3, 0, Address(0xD9, 6), ComponentBits.FIRE, "Ａ区１层呷哺走廊", datetime.fromisoformat("2020-08-01 19:18:48"))
    with pytest.raises(WrongChecksum) as wrong:
        Frame.decode(packet_b(0x63))
    assert wrong.value.frame == frame
