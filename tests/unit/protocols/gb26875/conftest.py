"""Frames and objects of every kind."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from protocols.gb26875 import (
    Address,
    Analogue,
    Clock,
    ComponentBits,
    ComponentSetup,
    ComponentState,
    DeviceAction,
    DeviceBits,
    DeviceOperation,
    DeviceSetup,
    DeviceSoftware,
    DeviceState,
    Frame,
    Object,
    OfComponent,
    OfDevice,
    OfDeviceOperations,
    OfSystem,
    OfSystemOperations,
    PatrolCheck,
    SystemAction,
    SystemBits,
    SystemOperation,
    SystemSetup,
    SystemSoftware,
    SystemState,
    SystemTime,
    Version,
)

byte, word, address = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 2**48 - 1)
times = st.none() | st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2099-12-31 23:59:59")).map(
    lambda time: time.replace(microsecond=0)
)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=7).map(str.rstrip)
"""Texts that fit in 31 bytes: a character has at most 4."""
versions = st.builds(Version, byte, byte)
addresses = st.builds(Address, word, word)

frames = st.builds(
    Frame,
    serial=word,
    version=versions,
    time=times,
    source=address,
    target=address,
    command=byte,
    unit=st.binary(max_size=60) | st.binary(max_size=1024),
)

OBJECTS: dict[type[Object], st.SearchStrategy[Any]] = {
    SystemState: st.builds(SystemState, byte, byte, word.map(SystemBits), times),
    ComponentState: st.builds(ComponentState, byte, byte, byte, addresses, word.map(ComponentBits), texts, times),
    Analogue: st.builds(Analogue, byte, byte, byte, addresses, byte, st.integers(-32768, 32767), times),
    SystemOperation: st.builds(SystemOperation, byte, byte, byte.map(SystemAction), byte, times),
    SystemSoftware: st.builds(SystemSoftware, byte, byte, versions),
    SystemSetup: st.builds(SystemSetup, byte, byte, texts),
    ComponentSetup: st.builds(ComponentSetup, byte, byte, byte, addresses, texts),
    SystemTime: st.builds(SystemTime, byte, byte, times),
    DeviceState: st.builds(DeviceState, byte.map(DeviceBits), times),
    DeviceOperation: st.builds(DeviceOperation, byte.map(DeviceAction), byte, times),
    DeviceSoftware: st.builds(DeviceSoftware, versions),
    DeviceSetup: st.builds(DeviceSetup, texts),
    Clock: st.builds(Clock, times),
    OfSystem: st.builds(OfSystem, byte, byte),
    OfComponent: st.builds(OfComponent, byte, byte, addresses),
    OfSystemOperations: st.builds(OfSystemOperations, byte, byte, byte, times),
    OfDeviceOperations: st.builds(OfDeviceOperations, byte, times),
    OfDevice: st.builds(OfDevice, byte),
    PatrolCheck: st.builds(PatrolCheck, byte),
}
