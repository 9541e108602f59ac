"""The objects of data units (8.2.1, 8.3). Numbers have the low byte first; every class reads and writes its own bytes.

`system` is the type of a system and `system_address` its address, `component` the type of a component and `address` its address; the names of types
are in `protocols.gb26875.names`. A time is of the device's own clock, naive, and None where its bytes are no time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self

from protocols.gb26875.errors import Unencodable
from protocols.gb26875.fields import TEXT_BYTES, pack, text_bytes, text_of, time_bytes, time_of
from protocols.gb26875.frame import Version
from protocols.gb26875.names import ANALOGUES, Quantity
from protocols.gb26875.states import ComponentBits, DeviceAction, DeviceBits, SystemAction, SystemBits

_POINT_SHIFT = 16
_MAX_TEXT = 255


class Short(Exception):
    """The bytes end inside an object; `unit_of` makes a `Cut` of it."""


class Source:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def take(self, form: str) -> tuple[Any, ...]:
        """Unpack as `struct` does. Raises `Short` and takes nothing where the bytes end before."""
        size = struct.calcsize(form)
        if len(self._data) - self.at < size:
            raise Short
        values = struct.unpack_from(form, self._data, self.at)
        self.at += size
        return values

    def take_text(self) -> str:
        """Take a length of one byte and as many bytes of text."""
        (size,) = self.take("<B")
        (data,) = self.take(f"<{size}s")
        return text_of(data)


class Object(Protocol):
    """One object of a data unit."""

    @classmethod
    def read(cls, source: Source) -> Self:
        """Take one from the bytes. Raises `Short`."""

    def write(self) -> bytes:
        """Return its bytes. Raises `Unencodable`."""


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a component, four bytes: a zone (区号) and a point in it (位号), two bytes each. Some makers use the four as one number, `whole`."""

    zone: int
    point: int

    @property
    def whole(self) -> int:
        return self.point << _POINT_SHIFT | self.zone


@dataclass(frozen=True, slots=True)
class SystemState:
    """State of a system (type 1)."""

    system: int
    system_address: int
    state: SystemBits
    time: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, state, time = source.take("<BBH6s")
        return cls(system, system_address, SystemBits(state), time_of(time))

    def write(self) -> bytes:
        return pack("<BBH6s", self.system, self.system_address, self.state, time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class ComponentState:
    """State of a component (type 2). What is over 31 bytes of GB18030 in `text` is not written."""

    system: int
    system_address: int
    component: int
    address: Address
    state: ComponentBits
    text: str
    time: datetime | None

    @property
    def drill(self) -> bool:
        """A fire in test mode: a drill and not a fire, if the device sets bit 0 at all (see `ComponentBits.drill`)."""
        return self.state.drill

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, component, zone, point, state, text, time = source.take(f"<BBBHHH{TEXT_BYTES}s6s")
        return cls(system, system_address, component, Address(zone, point), ComponentBits(state), text_of(text), time_of(time))

    def write(self) -> bytes:
        place = (self.system, self.system_address, self.component, self.address.zone, self.address.point)
        return pack(f"<BBBHHH{TEXT_BYTES}s6s", *place, self.state, text_bytes(self.text, TEXT_BYTES), time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class Analogue:
    """A measured value of a component (type 3). `kind` is what is measured, `count` the number on the wire, -32768 to 32767."""

    system: int
    system_address: int
    component: int
    address: Address
    kind: int
    count: int
    time: datetime | None

    @property
    def quantity(self) -> Quantity | None:
        """What is measured, with its UCUM unit; None where `kind` is reserved or the users' own."""
        return ANALOGUES.get(self.kind)

    @property
    def value(self) -> float | None:
        """The value in the unit of `quantity`; None without one."""
        return self.count / self.quantity.steps if self.quantity else None

    @property
    def valid(self) -> bool:
        """Whether the value is in the range that the standard has for the quantity."""
        quantity = self.quantity
        return quantity is not None and quantity.low <= self.count / quantity.steps <= quantity.high

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, component, zone, point, kind, count, time = source.take("<BBBHHBh6s")
        return cls(system, system_address, component, Address(zone, point), kind, count, time_of(time))

    def write(self) -> bytes:
        place = (self.system, self.system_address, self.component, self.address.zone, self.address.point)
        return pack("<BBBHHBh6s", *place, self.kind, self.count, time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class SystemOperation:
    """What an operator did at a system (type 4)."""

    system: int
    system_address: int
    action: SystemAction
    operator: int
    time: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, action, operator, time = source.take("<BBBB6s")
        return cls(system, system_address, SystemAction(action), operator, time_of(time))

    def write(self) -> bytes:
        return pack("<BBBB6s", self.system, self.system_address, self.action, self.operator, time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class SystemSoftware:
    """Version of a system's software (type 5)."""

    system: int
    system_address: int
    version: Version

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, major, minor = source.take("<BBBB")
        return cls(system, system_address, Version(major, minor))

    def write(self) -> bytes:
        return pack("<BBBB", self.system, self.system_address, *self.version)


@dataclass(frozen=True, slots=True)
class SystemSetup:
    """Description of a system (type 6)."""

    system: int
    system_address: int
    text: str

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address = source.take("<BB")
        return cls(system, system_address, source.take_text())

    def write(self) -> bytes:
        return pack("<BB", self.system, self.system_address) + _long_text(self.text)


@dataclass(frozen=True, slots=True)
class ComponentSetup:
    """Description of a component (type 7). What is over 31 bytes of GB18030 in `text` is not written."""

    system: int
    system_address: int
    component: int
    address: Address
    text: str

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, component, zone, point, text = source.take(f"<BBBHH{TEXT_BYTES}s")
        return cls(system, system_address, component, Address(zone, point), text_of(text))

    def write(self) -> bytes:
        place = (self.system, self.system_address, self.component, self.address.zone, self.address.point)
        return pack(f"<BBBHH{TEXT_BYTES}s", *place, text_bytes(self.text, TEXT_BYTES))


@dataclass(frozen=True, slots=True)
class SystemTime:
    """Clock of a system (type 8)."""

    system: int
    system_address: int
    time: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, time = source.take("<BB6s")
        return cls(system, system_address, time_of(time))

    def write(self) -> bytes:
        return pack("<BB6s", self.system, self.system_address, time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class DeviceState:
    """State of the transmission device (type 21)."""

    state: DeviceBits
    time: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        state, time = source.take("<B6s")
        return cls(DeviceBits(state), time_of(time))

    def write(self) -> bytes:
        return pack("<B6s", self.state, time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class DeviceOperation:
    """What an operator did at the transmission device (type 24): an answer to a patrol check, for one."""

    action: DeviceAction
    operator: int
    time: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        action, operator, time = source.take("<BB6s")
        return cls(DeviceAction(action), operator, time_of(time))

    def write(self) -> bytes:
        return pack("<BB6s", self.action, self.operator, time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class DeviceSoftware:
    """Version of the transmission device's software (type 25)."""

    version: Version

    @classmethod
    def read(cls, source: Source) -> Self:
        return cls(Version(*source.take("<BB")))

    def write(self) -> bytes:
        return pack("<BB", *self.version)


@dataclass(frozen=True, slots=True)
class DeviceSetup:
    """Description of the transmission device (type 26)."""

    text: str

    @classmethod
    def read(cls, source: Source) -> Self:
        return cls(source.take_text())

    def write(self) -> bytes:
        return _long_text(self.text)


@dataclass(frozen=True, slots=True)
class Clock:
    """The transmission device's clock, told by it (type 28) or set by the centre (type 90)."""

    time: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        return cls(time_of(source.take("<6s")[0]))

    def write(self) -> bytes:
        return pack("<6s", time_bytes(self.time))


@dataclass(frozen=True, slots=True)
class OfSystem:
    """A request about a system (types 61, 65, 66, 68)."""

    system: int
    system_address: int

    @classmethod
    def read(cls, source: Source) -> Self:
        return cls(*source.take("<BB"))

    def write(self) -> bytes:
        return pack("<BB", self.system, self.system_address)


@dataclass(frozen=True, slots=True)
class OfComponent:
    """A request about a component (types 62, 63, 67)."""

    system: int
    system_address: int
    address: Address

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, zone, point = source.take("<BBHH")
        return cls(system, system_address, Address(zone, point))

    def write(self) -> bytes:
        return pack("<BBHH", self.system, self.system_address, self.address.zone, self.address.point)


@dataclass(frozen=True, slots=True)
class OfSystemOperations:
    """A request for at most `count` records of operations at a system from a time on (type 64)."""

    system: int
    system_address: int
    count: int
    since: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        system, system_address, count, since = source.take("<BBB6s")
        return cls(system, system_address, count, time_of(since))

    def write(self) -> bytes:
        return pack("<BBB6s", self.system, self.system_address, self.count, time_bytes(self.since))


@dataclass(frozen=True, slots=True)
class OfDeviceOperations:
    """A request for at most `count` records of operations at the transmission device from a time on (type 84)."""

    count: int
    since: datetime | None

    @classmethod
    def read(cls, source: Source) -> Self:
        count, since = source.take("<B6s")
        return cls(count, time_of(since))

    def write(self) -> bytes:
        return pack("<B6s", self.count, time_bytes(self.since))


@dataclass(frozen=True, slots=True)
class OfDevice:
    """A request about the transmission device (types 81, 85, 86, 88) or for its initialisation (89): one reserved byte, 0."""

    reserved: int = 0

    @classmethod
    def read(cls, source: Source) -> Self:
        return cls(*source.take("<B"))

    def write(self) -> bytes:
        return pack("<B", self.reserved)


@dataclass(frozen=True, slots=True)
class PatrolCheck:
    """A call for whoever is on duty (查岗, type 91), to be answered with the button within so many minutes."""

    minutes: int

    @classmethod
    def read(cls, source: Source) -> Self:
        return cls(*source.take("<B"))

    def write(self) -> bytes:
        return pack("<B", self.minutes)


def counts_of(kind: int, value: float) -> int:
    """Return the number on the wire for a value in the unit of its quantity, to the nearest step. Raises `Unencodable`."""
    quantity = ANALOGUES.get(kind)
    if quantity is None:
        raise Unencodable(f"analogue {kind} has no quantity")
    try:
        return round(value * quantity.steps)
    except (OverflowError, ValueError) as error:
        raise Unencodable(f"{value} is no finite number") from error


def _long_text(text: str) -> bytes:
    data = text_bytes(text, _MAX_TEXT)
    return bytes((len(data),)) + data
