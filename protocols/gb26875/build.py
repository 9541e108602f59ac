"""Frames to send, by the centre and by a transmission device. Pure: the serial and the time are given.

The standard's exchanges (6.2 to 6.5): a control or a sending is confirmed or denied, a request is answered or denied, within at most 10 s; otherwise
it is repeated, 3 times. The serial of a reply is that of what it replies to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from protocols.gb26875.frame import Command, Frame, Version
from protocols.gb26875.objects import Clock, Object, OfDevice, PatrolCheck
from protocols.gb26875.unit import UnitType, unit_bytes

_VERSION = Version(1, 1)
"""As in published packets; the standard fixes the first number only."""


def confirm(frame: Frame, *, time: datetime) -> Frame:
    """Return the confirmation of a control or of what was sent."""
    return _reply(frame, Command.CONFIRM, time)


def deny(frame: Frame, *, time: datetime) -> Frame:
    """Return the denial of a frame that was damaged or is not known."""
    return _reply(frame, Command.DENY, time)


def answer(frame: Frame, kind: UnitType, values: Iterable[Object], *, time: datetime) -> Frame:
    """Return the answer to a request: the objects that it asked for. Raises `Unencodable`."""
    return _reply(frame, Command.ANSWER, time, unit_bytes(kind, values))


def _reply(frame: Frame, command: Command, time: datetime, unit: bytes = b"") -> Frame:
    return Frame(serial=frame.serial, version=frame.version, time=time, source=frame.target, target=frame.source, command=command, unit=unit)


@dataclass(frozen=True, slots=True)
class Line:
    """The two ends of a line, seen from the one that sends."""

    source: int
    target: int
    version: Version = _VERSION

    def frame(self, command: int, unit: bytes = b"", *, serial: int, time: datetime) -> Frame:
        """Return a frame along this line."""
        return Frame(serial=serial, version=self.version, time=time, source=self.source, target=self.target, command=command, unit=unit)


class Centre(Line):
    """What the monitoring centre sends to a device."""

    __slots__ = ()

    def patrol_check(self, minutes: int, *, serial: int, time: datetime) -> Frame:
        """Call whoever is on duty; the device confirms at once, and sends the operator's answer as `DEVICE_OPERATIONS`. Raises `Unencodable`."""
        return self.frame(Command.CONTROL, unit_bytes(UnitType.PATROL_CHECK, [PatrolCheck(minutes)]), serial=serial, time=time)

    def set_clock(self, *, serial: int, time: datetime) -> Frame:
        """Set the device's clock to `time`. Raises `Unencodable`."""
        return self.frame(Command.CONTROL, unit_bytes(UnitType.SET_CLOCK, [Clock(time)]), serial=serial, time=time)

    def initialise(self, *, serial: int, time: datetime) -> Frame:
        """Let the device begin anew."""
        return self.frame(Command.CONTROL, unit_bytes(UnitType.INITIALISE, [OfDevice()]), serial=serial, time=time)

    def read(self, kind: UnitType, values: Iterable[Object] = (OfDevice(),), *, serial: int, time: datetime) -> Frame:
        """Ask: `kind` is one of `READ_...`, `values` say what about. Raises `Unencodable`."""
        return self.frame(Command.REQUEST, unit_bytes(kind, values), serial=serial, time=time)


class Device(Line):
    """What a transmission device sends to the centre."""

    __slots__ = ()

    def send(self, kind: UnitType, values: Iterable[Object], *, serial: int, time: datetime) -> Frame:
        """Report states, values or operations. Raises `Unencodable`."""
        return self.frame(Command.SEND, unit_bytes(kind, values), serial=serial, time=time)

    def heartbeat(self, *, serial: int, time: datetime) -> Frame:
        """Keep the line alive: send nothing, to be confirmed.

        Practice of makers, not of the standard, which has no heartbeat: every 20 to 30 s, and about every 5 s while the line is bad. Others repeat
        their `DEVICE_STATE`.
        """
        return self.frame(Command.SEND, serial=serial, time=time)
