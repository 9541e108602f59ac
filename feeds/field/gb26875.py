"""A fire transmission device that speaks GB/T 26875.3, without I/O: states and analogues of what stands behind it, a heartbeat, patrol checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from feeds.field.faults import Luck
from feeds.field.line import Answered, Denied, Heard, Later, Message, Reply
from feeds.field.words import number
from protocols import gb26875
from protocols.gb26875 import Command, ComponentBits, UnitType
from schemas.base import Code, Origin
from schemas.link import Gb26875
from schemas.observation import Measurement, Quality
from schemas.sensor import Sensor

CENTRE: Final = 1
"""The address of the monitoring centre."""
HEARTBEAT_S: Final = 30.0
COMPONENTS: Final[Mapping[Code, tuple[int, int]]] = {
    "smoke-alarm": (1, 42),
    "heat-alarm": (1, 31),
    "call-point": (1, 23),
    "hydrant": (11, 99),
}
"""Types of system and component by a sensor's tag: a fire alarm system, or hydrants, whose component is a pressure switch."""
OTHER_COMPONENT: Final = (1, 25)
_SERIALS: Final = 0x1_0000
_SET: Final = 0.5
_ON_DUTY: Final = 1


@dataclass(slots=True)
class Transmitter:
    """One device, with the sensors behind it by id with their links. Its clock is `ahead` of ours until the platform sets it."""

    behind: Mapping[str, tuple[Sensor, Gb26875]]
    address: str
    """Its six bytes as they are sent, in hexadecimal."""
    luck: Luck
    zone: ZoneInfo
    ahead: timedelta = timedelta(0)
    idle_s: float | None = HEARTBEAT_S
    _line: gb26875.Device = field(init=False)
    _framer: gb26875.Framer = field(default_factory=gb26875.Framer)
    _serial: int = 0
    _patrols: int = 0

    def __post_init__(self) -> None:
        self._line = gb26875.Device(source=int.from_bytes(bytes.fromhex(self.address), "little"), target=CENTRE)

    def messages(self, measurement: Measurement, now: datetime) -> list[Message]:
        """Return frames with the component's state and its analogues."""
        sensor, link = self.behind[measurement.sensor]
        if link.component is None or measurement.end is None or measurement.start is not None:
            return []
        time = self._time(measurement.end)
        place = _Place.of(sensor, link)
        said: list[tuple[UnitType, Sequence[gb26875.Object]]] = []
        if link.states:
            said.append((UnitType.COMPONENT_STATES, [place.state(self._bits(measurement, link, measurement.end), time)]))
        if analogues := [*place.analogues(measurement, time)]:
            said.append((UnitType.ANALOGUES, analogues))
        return [self._send(kind, objects, now) for kind, objects in said]

    def alive(self, now: datetime) -> Message:
        """Return a heartbeat."""
        serial = self._next()
        return Message(serial, self._line.heartbeat(serial=serial, time=self._time(now)).encode())

    def hear(self, data: bytes, now: datetime) -> Iterator[Heard]:
        """Yield what confirmations and denials are of, and the answers to the centre's controls."""
        if not data:
            self._framer = gb26875.Framer()
        for item in self._framer.feed(data):
            if isinstance(item, gb26875.Frame):
                yield from self._heard(item, now)

    def damaged(self, data: bytes) -> bytes:
        """Return a frame whose checksum is wrong."""
        return data[:-3] + bytes((data[-3] ^ 1,)) + data[-2:]

    def _heard(self, frame: gb26875.Frame, now: datetime) -> Iterator[Heard]:
        match frame.command:
            case Command.CONFIRM:
                yield Answered(frame.serial)
            case Command.DENY:
                yield Denied(frame.serial)
            case Command.CONTROL:
                yield Reply(gb26875.confirm(frame, time=self._time(now)).encode())
                yield from self._obey(frame, now)
            case Command.REQUEST:
                yield Reply(gb26875.deny(frame, time=self._time(now)).encode())

    def _obey(self, frame: gb26875.Frame, now: datetime) -> Iterator[Heard]:
        for told in gb26875.unit_of(frame.unit).objects:
            match told:
                case gb26875.PatrolCheck(minutes):
                    self._patrols += 1
                    after_s = self.luck.patrol_answer_s(self._patrols, minutes)
                    if after_s is not None:
                        yield Later(after_s, partial(self._pressed))
                case gb26875.Clock(time) if time is not None:
                    self.ahead = time.replace(tzinfo=self.zone) - now
                case _:
                    pass

    def _pressed(self, now: datetime) -> Message:
        """Somebody on duty pressed the button."""
        operation = gb26875.DeviceOperation(gb26875.DeviceAction.PATROL_ANSWERED, _ON_DUTY, self._time(now))
        return self._send(UnitType.DEVICE_OPERATIONS, [operation], now)

    def _bits(self, measurement: Measurement, link: Gb26875, time: datetime) -> ComponentBits:
        """Return the state that a reading tells; values that are flagged tell a fault, and without `NORMAL` it is the test mode."""
        if self.luck.drilling(time):
            return ComponentBits.FIRE
        bits = ComponentBits(0) if measurement.origin is Origin.EXERCISE or self.luck.tested(time) else ComponentBits.NORMAL
        if any(flag is not Quality.GOOD for flag in measurement.quality.values()):
            return bits | ComponentBits.FAULT
        for name, meaning in link.states.items():
            if measurement.values.get(meaning.metric, 0.0) > _SET:
                bits |= ComponentBits[name.upper()]
        return bits

    def _send(self, kind: UnitType, objects: Sequence[gb26875.Object], now: datetime) -> Message:
        serial = self._next()
        return Message(serial, self._line.send(kind, objects, serial=serial, time=self._time(now)).encode())

    def _time(self, time: datetime) -> datetime:
        """Return what the device's clock shows at a time of ours."""
        return (time + self.ahead).astimezone(self.zone).replace(tzinfo=None)

    def _next(self) -> int:
        self._serial = (self._serial + 1) % _SERIALS
        return self._serial


@dataclass(frozen=True, slots=True)
class _Place:
    """A component as frames name it."""

    sensor: Sensor
    link: Gb26875
    system: int
    component: int
    address: gb26875.Address

    @classmethod
    def of(cls, sensor: Sensor, link: Gb26875) -> _Place:
        known = next((COMPONENTS[tag] for tag in sorted(sensor.tags) if tag in COMPONENTS), OTHER_COMPONENT)
        data = bytes.fromhex(link.component or "00000000")
        return cls(sensor, link, *known, gb26875.Address(int.from_bytes(data[:2], "little"), int.from_bytes(data[2:], "little")))

    def state(self, bits: ComponentBits, time: datetime) -> gb26875.ComponentState:
        """Return its state."""
        return gb26875.ComponentState(self.system, self.link.system or 0, self.component, self.address, bits, self.sensor.name.zh, time)

    def analogues(self, measurement: Measurement, time: datetime) -> Iterator[gb26875.Analogue]:
        """Yield what it measures, of what a reading has in good order."""
        for kind, meaning in self.link.analogues.items():
            value = measurement.values.get(meaning.metric)
            if value is None or measurement.quality.get(meaning.metric, Quality.GOOD) is not Quality.GOOD:
                continue
            said = number(value, self.sensor.metrics[meaning.metric], unit=meaning.unit, scale=meaning.scale)
            counts = gb26875.counts_of(int(kind), said)
            yield gb26875.Analogue(self.system, self.link.system or 0, self.component, self.address, int(kind), counts, time)
