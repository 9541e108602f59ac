"""A city as data: what stands in `cities/<code>/city.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.access import Grant
from schemas.base import Code, Frozen, Name, Text


class Quota(Frozen):
    """How many events a department may send to one node."""

    per_s: Annotated[float, Field(gt=0, le=1e6)]
    burst: Annotated[int, Field(ge=1, le=10**8)]
    """At once, after it was quiet."""


class Department(Frozen):
    """A department that publishes events."""

    id: Code
    name: Name
    agency: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] = "000"
    """Its code in GB/T 4657, for the identifiers of warnings; 000 where it has none."""
    unit: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] = "000"
    """Of its part that warns, as the department numbers them."""
    quota: Quota | None = None
    """By HTTP; None for the settings' default."""


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
    strangers: dict[Literal["hj212", "gb26875"], Code] = Field(default_factory=dict)
    """By protocol, the department whose concern a device is that nobody registered. `up` opens the doors of the protocols that stand here."""

    @model_validator(mode="after")
    def _strangers_are_somebody_s(self) -> Self:
        if unknown := sorted(set(self.strangers.values()) - {department.id for department in self.departments}):
            raise ValueError(f"strangers: {unknown} are not among the departments")
        return self
