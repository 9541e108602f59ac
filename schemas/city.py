"""A city as data: what stands in `cities/<code>/city.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from schemas.access import Grant
from schemas.base import Code, Frozen, Name, Text


class Department(Frozen):
    """A department that publishes events."""

    id: Code
    name: Name
    agency: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] = "000"
    """Its code in GB/T 4657, for the identifiers of warnings; 000 where it has none."""
    unit: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] = "000"
    """Of its part that warns, as the department numbers them."""


class DemoUser(Frozen):
    """Somebody whom `up` makes, with a password of its own, so that each level can be tried."""

    id: Code
    name: Name
    grants: tuple[Grant, ...]


class City(Frozen):
    """The head of a city's folder."""

    code: Code
    name: Name
    timezone: Text
    """IANA name; device times without a zone, days and shifts are in it."""
    demo_regions: tuple[Code, ...] = ()
    """Regions for which `up` makes a token."""
    demo_users: tuple[DemoUser, ...] = ()
    demo_scenario: Code | None = None
    """The scenario that `up` plays unless told otherwise: a file `scenarios/<name>.yaml`; None for the plain background."""
    departments: tuple[Department, ...] = ()
