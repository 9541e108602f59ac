"""A city as data: what stands in `cities/<code>/city.yaml`."""

from __future__ import annotations

from schemas.base import Code, Frozen, Name, Text


class Department(Frozen):
    """A department that publishes events."""

    id: Code
    name: Name


class City(Frozen):
    """The head of a city's folder."""

    code: Code
    name: Name
    timezone: Text
    """IANA name; device times without a zone, days and shifts are in it."""
    demo_regions: tuple[Code, ...] = ()
    """Regions for which `up` makes a token."""
    departments: tuple[Department, ...] = ()
