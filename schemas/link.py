"""How a sensor is heard: by which protocol, of which device, and which of the device's words is which metric.

A department that publishes CloudEvents names our sensors itself and needs none of this; a device in the field knows only its own codes and units.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.base import Code, Finite, Frozen, Origin, Text

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A code of a protocol, such as `a34004` of HJ 212."""


class Meaning(Frozen):
    """What one of a device's words means."""

    metric: Code
    unit: Text | None = None
    """UCUM, in which the device says it; None where it is the metric's own. It is converted once, when it is taken in."""
    scale: Finite = 1.0
    """By which the number is multiplied first, for devices that send whole numbers."""


Meanings = Annotated[dict[Word, Meaning], Field(max_length=64)]


class Hj212(Frozen):
    """A monitor that speaks HJ 212 (2005 or 2017)."""

    protocol: Literal["hj212"] = "hj212"
    mn: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,24}$")]
    """Its unique number (MN). Its password (PW) is a secret, and stands with the other secrets."""
    codes: Annotated[Meanings, Field(min_length=1)]
    """By pollutant code, such as `a34004` or `w01018`: its Rtd, Avg, Min and Max. Its Cou, a total, has a unit of its own (m3 where the flow is in
    L/s), and is taken only where a word of its own, such as `w00000-Cou`, gives it a metric."""
    ignored: frozenset[Word] = Field(default=frozenset(), max_length=256)
    """Codes, or single fields as `<code>-<field>`, that the device sends and the city does not use: not taken, and not told of. A sensor's apply
    to its whole device."""
    minutes: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0), le=timedelta(hours=1))
    """How long the period of its minute data (CN 2051) is; HJ 212 leaves it to the device's setting."""
    origin: Origin = Origin.REAL
    """What its uploads are, which do not say it themselves: `simulated` of a simulated station."""


class Gb26875(Frozen):
    """A part of a fire alarm system behind a transmission device that speaks GB/T 26875.3."""

    protocol: Literal["gb26875"] = "gb26875"
    device: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    """The transmission device's source address: its six bytes as they are sent, in hexadecimal."""
    origin: Origin = Origin.REAL
    """Of what it says, drills aside."""
    system: Annotated[int, Field(ge=0, le=255)] | None = None
    """The address of the system in the building; None for the transmission device itself."""
    component: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")] | None = None
    """The component's address: its four bytes as they are sent; None for the system as a whole."""
    drills: bool | None = None
    """Whether a fire with bit 0 (normal operation) clear is a drill, as the standard says. Not for devices that never set the bit (False):
    their fires are fires. Left out, it is a drill only once the device was heard to set the bit together
    with a fire or a fault: a maker who clears it with every fire means something else by it."""
    states: Meanings = Field(default_factory=dict)
    """By the name of a state's bit, such as `fire` or `fault`: 1 where it is set, else 0."""
    analogues: Meanings = Field(default_factory=dict)
    """By the type of an analogue value in the standard's table, such as `3` for a temperature."""


class Mqtt(Frozen):
    """A device that publishes to the city's MQTT broker."""

    protocol: Literal["mqtt"] = "mqtt"
    mapping: Code
    """One of the city's mappings (`mqtt.yaml`), which says where in topic and payload what stands."""
    device: Text
    """What the mapping finds as the device's name."""


Link = Annotated[Hj212 | Gb26875 | Mqtt, Field(discriminator="protocol")]
"""Of any protocol."""
