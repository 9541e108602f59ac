"""A sensor of the registry."""

from __future__ import annotations

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
    place: Name | None = None
    longitude: Finite | None = Field(default=None, ge=-180, le=180)
    """CGCS2000 (EPSG:4490), degrees."""
    latitude: Finite | None = Field(default=None, ge=-90, le=90)
