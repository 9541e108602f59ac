"""A sensor of the registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.base import Code, Domain, Finite, Frozen, Name, Text


class Metric(Frozen):
    """One thing a sensor measures."""

    unit: Text
    """UCUM, such as `L/s`, `mg/m3`, `Cel`."""
    name: Name
    low: Finite | None = None
    """Plausible range, for quality control; not a limit of any rule."""
    high: Finite | None = None


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
    place: Name | None = None
    longitude: Finite | None = Field(default=None, ge=-180, le=180)
    """CGCS2000 (EPSG:4490), degrees."""
    latitude: Finite | None = Field(default=None, ge=-90, le=90)
