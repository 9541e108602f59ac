"""The data unit (clauses 7 and 8): a type, a count, and so many objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from protocols.gb26875 import objects
from protocols.gb26875.errors import Cut, Surplus, Unencodable, UnitError
from protocols.gb26875.fields import pack
from protocols.gb26875.frame import MAX_UNIT
from protocols.gb26875.objects import Object, Short, Source

_HEAD_BYTES = 2


class UnitType(IntEnum):
    """What a data unit is (table 3). Others are reserved or, from 128, the users' own."""

    SYSTEM_STATES = 1
    COMPONENT_STATES = 2
    ANALOGUES = 3
    SYSTEM_OPERATIONS = 4
    SYSTEM_SOFTWARE = 5
    SYSTEM_SETUP = 6
    COMPONENT_SETUP = 7
    SYSTEM_TIME = 8
    DEVICE_STATE = 21
    DEVICE_OPERATIONS = 24
    DEVICE_SOFTWARE = 25
    DEVICE_SETUP = 26
    DEVICE_TIME = 28
    READ_SYSTEM_STATES = 61
    READ_COMPONENT_STATES = 62
    READ_ANALOGUES = 63
    READ_SYSTEM_OPERATIONS = 64
    READ_SYSTEM_SOFTWARE = 65
    READ_SYSTEM_SETUP = 66
    READ_COMPONENT_SETUP = 67
    READ_SYSTEM_TIME = 68
    READ_DEVICE_STATE = 81
    READ_DEVICE_OPERATIONS = 84
    READ_DEVICE_SOFTWARE = 85
    READ_DEVICE_SETUP = 86
    READ_DEVICE_TIME = 88
    INITIALISE = 89
    SET_CLOCK = 90
    PATROL_CHECK = 91


OBJECTS: Mapping[int, type[Object]] = MappingProxyType(
    {
        UnitType.SYSTEM_STATES: objects.SystemState,
        UnitType.COMPONENT_STATES: objects.ComponentState,
        UnitType.ANALOGUES: objects.Analogue,
        UnitType.SYSTEM_OPERATIONS: objects.SystemOperation,
        UnitType.SYSTEM_SOFTWARE: objects.SystemSoftware,
        UnitType.SYSTEM_SETUP: objects.SystemSetup,
        UnitType.COMPONENT_SETUP: objects.ComponentSetup,
        UnitType.SYSTEM_TIME: objects.SystemTime,
        UnitType.DEVICE_STATE: objects.DeviceState,
        UnitType.DEVICE_OPERATIONS: objects.DeviceOperation,
        UnitType.DEVICE_SOFTWARE: objects.DeviceSoftware,
        UnitType.DEVICE_SETUP: objects.DeviceSetup,
        UnitType.DEVICE_TIME: objects.Clock,
        UnitType.READ_SYSTEM_STATES: objects.OfSystem,
        UnitType.READ_COMPONENT_STATES: objects.OfComponent,
        UnitType.READ_ANALOGUES: objects.OfComponent,
        UnitType.READ_SYSTEM_OPERATIONS: objects.OfSystemOperations,
        UnitType.READ_SYSTEM_SOFTWARE: objects.OfSystem,
        UnitType.READ_SYSTEM_SETUP: objects.OfSystem,
        UnitType.READ_COMPONENT_SETUP: objects.OfComponent,
        UnitType.READ_SYSTEM_TIME: objects.OfSystem,
        UnitType.READ_DEVICE_STATE: objects.OfDevice,
        UnitType.READ_DEVICE_OPERATIONS: objects.OfDeviceOperations,
        UnitType.READ_DEVICE_SOFTWARE: objects.OfDevice,
        UnitType.READ_DEVICE_SETUP: objects.OfDevice,
        UnitType.READ_DEVICE_TIME: objects.OfDevice,
        UnitType.INITIALISE: objects.OfDevice,
        UnitType.SET_CLOCK: objects.Clock,
        UnitType.PATROL_CHECK: objects.PatrolCheck,
    }
)
"""The class of a type's objects."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A data unit as it was read.

    type: a `UnitType`, or the bare number of another one, whose bytes are all in `rest`.
    count: how many objects it says it has.
    objects: those that were read; with a `problem`, those before it.
    rest: the bytes that no object was read from.
    """

    type: int
    count: int
    objects: tuple[Object, ...]
    rest: bytes
    problem: UnitError | None


def unit_of(data: bytes) -> Unit:
    """Read a data unit. Raises nothing: what does not fit is the unit's `problem`. An empty unit, as of a heartbeat, is `Cut`."""
    if len(data) < _HEAD_BYTES:
        return Unit(0, 0, (), data, Cut("no type and count", 0, len(data)))
    kind, count = data[0], data[1]
    made = OBJECTS.get(kind)
    if made is None:
        return Unit(kind, count, (), data[_HEAD_BYTES:], None)
    found: list[Object] = []
    source, begin = Source(data, _HEAD_BYTES), _HEAD_BYTES
    problem: UnitError | None = None
    try:
        for _ in range(count):
            found.append(made.read(source))
            begin = source.at
        if begin < len(data):
            problem = Surplus(f"{len(data) - begin} bytes after the last object", count, begin)
    except Short:
        problem = Cut(f"the unit ends inside object {len(found) + 1} of {count}", len(found), begin)
    return Unit(UnitType(kind), count, tuple(found), data[begin:], problem)


def unit_bytes(kind: UnitType, values: Iterable[Object]) -> bytes:
    """Return the data unit of a type with its objects. Raises `Unencodable`, also where an object is not of the type or the bytes are over 1024."""
    values = tuple(values)
    for value in values:
        if not isinstance(value, OBJECTS[kind]):
            raise Unencodable(f"{type(value).__name__} is no object of {kind.name}")
    data = pack("<BB", kind, len(values)) + b"".join(value.write() for value in values)
    if len(data) > MAX_UNIT:
        raise Unencodable(f"{len(values)} objects take {len(data)} bytes, over {MAX_UNIT}")
    return data
