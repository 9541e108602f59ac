"""A sensor of the registry."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.base import Code, Domain, Finite, Frozen, Name, Text
from schemas.link import Gb26875, Hj212, Link, Meaning


class Metric(Frozen):
    """One thing a sensor measures."""

    unit: Text
    """UCUM, such as `L/s`, `mg/m3`, `Cel`."""
    name: Name
    low: Finite | None = None
    """Plausible range, for quality control; not a limit of any rule."""
    high: Finite | None = None
    spike: Annotated[Finite, Field(gt=0)] | None = None
    """A value that is further than this from the one before, and from which the next comes back, is a spike. None where jumps may be true."""
    stuck: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=7))] | None = None
    """The very same value for longer than this is not believed. None where it may well stay the same."""


class Life(StrEnum):
    """Where a sensor is in its life."""

    PLANNED = "planned"
    """Not there yet; what it says is taken all the same."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """Out of use for a time: what it says is taken, and its silence is nobody's concern."""
    RETIRED = "retired"
    """Gone for good: what comes in its name is refused."""


class Permit(Frozen):
    """A permit of the site at which a sensor stands."""

    kind: Code
    number: Text
    until: date | None = None


class Sensor(Frozen):
    """Where a sensor stands, whose it is and what it measures."""

    id: Code
    version: int = Field(default=1, ge=1, lt=2**31)
    name: Name
    domain: Domain
    department: Code
    street: Code
    metrics: dict[Code, Metric] = Field(min_length=1, max_length=64)
    tags: frozenset[Code] = Field(default=frozenset(), max_length=64)
    attributes: dict[Code, Code] = Field(default_factory=dict, max_length=32)
    """What limits may depend on, such as a site's `phase`."""
    adapter: Annotated[str, Field(pattern="^[a-z0-9]{1,16}$")] = "http"
    """The protocol by which it is heard: its silence counts only while some node's adapter of that protocol listens."""
    link: Link | None = None
    """The device behind it, where it is heard by a protocol of the field."""
    life: Life = Life.ACTIVE
    station: Code | None = None
    """What it belongs to, where several sensors stand at one station."""
    permits: tuple[Permit, ...] = Field(default=(), max_length=16)
    """Of a construction site; its phase is the attribute `phase`."""
    cim: Text | None = None
    """The id of the object in the city information model (CIM) at which it stands."""
    every: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=7))] | None = None
    """How often it is to be heard; a longer time without a reading is a gap."""
    place: Name | None = None
    longitude: Finite | None = Field(default=None, ge=-180, le=180)
    """CGCS2000 (EPSG:4490), degrees."""
    latitude: Finite | None = Field(default=None, ge=-90, le=90)

    @model_validator(mode="after")
    def _heard_as_linked(self) -> Self:
        if self.link is not None and self.link.protocol != self.adapter:
            raise ValueError(f"a sensor with a link of {self.link.protocol} is heard by it: set adapter to {self.link.protocol!r}")
        if unknown := sorted({one.metric for one in _meanings(self.link)} - self.metrics.keys()):
            raise ValueError(f"the link names {unknown}, which are no metrics of the sensor: it has {sorted(self.metrics)}")
        return self


def _meanings(link: Link | None) -> list[Meaning]:
    match link:
        case Hj212():
            return [*link.codes.values()]
        case Gb26875():
            return [*link.states.values(), *link.analogues.values()]
        case _:
            return []
