"""GB/T 26875.3-2011 (城市消防远程监控系统 第3部分：报警传输网络通信协议) in pure Python: no dependency, no I/O.

User information transmission devices (用户信息传输装置) report fires, faults and measured values of buildings to a monitoring centre in this
protocol, over TCP or UDP. This package reads and writes its packets; sockets, time-outs and repetitions are its caller's.

A stream goes through a `Framer`, which gives back frames and, as values, what was wrong between them; `unit_of` reads what a frame carries:

>>> from datetime import datetime
>>> from protocols.gb26875 import Address, Centre, ComponentBits, ComponentState, Device, Frame, Framer, UnitType, confirm, names_of, unit_of
>>> now = datetime(2026, 11, 22, 8, 0, 0)
>>> smoke = ComponentState(
...     system=1, system_address=1, component=42, address=Address(zone=10, point=2),
...     state=ComponentBits.NORMAL | ComponentBits.FIRE, text="七楼会议室烟感", time=now,
... )
>>> sent = Device(source=889, target=88888).send(UnitType.COMPONENT_STATES, [smoke], serial=1, time=now)
>>> framer = Framer()
>>> stream = b"junk" + sent.encode()
>>> for item in framer.feed(stream[:20]) + framer.feed(stream[20:]):
...     if isinstance(item, Frame):
...         for told in unit_of(item.unit).objects:
...             print(told.text, [name.zh for name in names_of(told.state)], told.drill)
...         print(confirm(item, time=now).encode().hex(" "))
...     else:
...         print(type(item).__name__, item.data)
NotThisProtocol b'junk'
七楼会议室烟感 ['正常运行', '火警'] False
40 40 01 00 01 01 00 00 08 16 0b 1a 38 5b 01 00 00 00 79 03 00 00 00 00 00 00 03 59 23 23

The centre's own requests come from `Centre`, a device's reports from `Device`:

>>> Centre(source=88888, target=889).patrol_check(10, serial=2, time=now).unit.hex(" ")
'5b 01 0a'

Where the facts come from. The packet, the objects and the tables of types and bits: a public transcription of the standard and two public
implementations, which agree, and published packets (`tests/unit/protocols/test_gb26875_published.py`). From one transcription only: the ranges of
analogue values; and with one published packet: that a component's address is a zone and a point (`Address`). Not of the standard: the heartbeat
(`Device.heartbeat`). The standard itself was not at hand.

Mind that published packets of real fires have bit 0 clear, which the standard calls test mode: see `ComponentBits.drill`.
"""

from __future__ import annotations

from protocols.gb26875.build import Centre, Device, Line, answer, confirm, deny
from protocols.gb26875.errors import (
    BadLength,
    Cut,
    FrameError,
    Gb26875Error,
    Incomplete,
    MissingEnd,
    NotThisProtocol,
    Surplus,
    Unencodable,
    UnitError,
    WrongChecksum,
)
from protocols.gb26875.frame import MAX_FRAME, MAX_UNIT, Command, Frame, Version
from protocols.gb26875.framer import Framer
from protocols.gb26875.names import ANALOGUES, BITS, COMPONENTS, SYSTEMS, Name, Quantity, names_of
from protocols.gb26875.objects import (
    Address,
    Analogue,
    Clock,
    ComponentSetup,
    ComponentState,
    DeviceOperation,
    DeviceSetup,
    DeviceSoftware,
    DeviceState,
    Object,
    OfComponent,
    OfDevice,
    OfDeviceOperations,
    OfSystem,
    OfSystemOperations,
    PatrolCheck,
    SystemOperation,
    SystemSetup,
    SystemSoftware,
    SystemState,
    SystemTime,
    counts_of,
)
from protocols.gb26875.states import ComponentBits, DeviceAction, DeviceBits, SystemAction, SystemBits
from protocols.gb26875.unit import OBJECTS, Unit, UnitType, unit_bytes, unit_of

__all__ = [
    "ANALOGUES",
    "BITS",
    "COMPONENTS",
    "MAX_FRAME",
    "MAX_UNIT",
    "OBJECTS",
    "SYSTEMS",
    "Address",
    "Analogue",
    "BadLength",
    "Centre",
    "Clock",
    "Command",
    "ComponentBits",
    "ComponentSetup",
    "ComponentState",
    "Cut",
    "Device",
    "DeviceAction",
    "DeviceBits",
    "DeviceOperation",
    "DeviceSetup",
    "DeviceSoftware",
    "DeviceState",
    "Frame",
    "FrameError",
    "Framer",
    "Gb26875Error",
    "Incomplete",
    "Line",
    "MissingEnd",
    "Name",
    "NotThisProtocol",
    "Object",
    "OfComponent",
    "OfDevice",
    "OfDeviceOperations",
    "OfSystem",
    "OfSystemOperations",
    "PatrolCheck",
    "Quantity",
    "Surplus",
    "SystemAction",
    "SystemBits",
    "SystemOperation",
    "SystemSetup",
    "SystemSoftware",
    "SystemState",
    "SystemTime",
    "Unencodable",
    "Unit",
    "UnitError",
    "UnitType",
    "Version",
    "WrongChecksum",
    "answer",
    "confirm",
    "counts_of",
    "deny",
    "names_of",
    "unit_bytes",
    "unit_of",
]
