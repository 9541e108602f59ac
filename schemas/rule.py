"""A rule as data: what it watches, and for each tier the way up and the way down."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.base import Code, Domain, Finite, Frozen, Name, Text, Words
from schemas.observation import Statistic
from schemas.tiers import TIERS, Tier


class Direction(StrEnum):
    """On which side of its limit a value is bad."""

    ABOVE = "above"
    BELOW = "below"


class Way(Frozen):
    """When a tier changes: the value is past `limit` for `readings` readings in a row, or for the time `for`.

    With both left out the first such reading decides, on its arrival. A dwell in time is decided by ticks, after a grace for late data.
    """

    limit: Finite
    readings: int = Field(default=1, ge=1, le=10_000)
    dwell: timedelta | None = Field(default=None, alias="for", gt=timedelta(0), le=timedelta(days=7))

    @model_validator(mode="after")
    def _one_dwell(self) -> Self:
        if self.dwell is not None and self.readings != 1:
            raise ValueError("give either `readings` or `for`, not both")
        return self


class Step(Frozen):
    """One tier: its way up, and its way down (a limit on the good side of the way up's: the hysteresis)."""

    up: Way
    down: Way


class Applies(Frozen):
    """Which series a rule watches; what is left out matches all."""

    metric: Code
    domain: Domain | None = None
    sensors: Annotated[frozenset[Code], Field(max_length=2_000)] | None = None
    """For more than these use tags."""
    regions: Annotated[frozenset[Code], Field(max_length=2_000)] | None = None
    """Regions at any level; a sensor is in a region when its street is, or lies below it."""
    department: Code | None = None
    tags: Annotated[frozenset[Code], Field(max_length=64)] = frozenset()
    """All of them must be the sensor's."""
    statistic: Statistic = Statistic.INSTANT


class Threshold(Frozen):
    """A rule of kind `threshold`: a limit in up to four tiers."""

    id: Code
    version: int = Field(ge=1, lt=2**31)
    """Raise it with every change; an older or equal version is not taken."""
    enabled: bool = True
    """A rule that is not enabled closes its open warnings and raises none."""
    kind: Annotated[str, Field(pattern="^threshold$")] = "threshold"
    name: Name
    applies: Applies
    direction: Direction
    unit: Text
    standard: Words | None = None
    """Where the limits come from, with the clause."""
    tiers: dict[Tier, Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        sign = 1 if self.direction is Direction.ABOVE else -1
        milder: float | None = None
        for tier in TIERS:
            if (step := self.tiers.get(tier)) is None:
                continue
            if sign * (step.up.limit - step.down.limit) < 0:
                raise ValueError(f"tiers.{tier}: the way down must lie on the good side of the way up ({step.up.limit}), it is {step.down.limit}")
            if milder is not None and sign * (step.up.limit - milder) < 0:
                raise ValueError(f"tiers.{tier}.up.limit: {step.up.limit} is milder than that of a lower tier ({milder})")
            milder = step.up.limit
        return self

    def means_the_same(self, other: Threshold) -> bool:
        """Say whether two versions differ in texts only, so that open warnings go on."""
        texts = {"version", "name", "standard"}
        return self.model_dump(exclude=texts) == other.model_dump(exclude=texts)


Rule = Threshold
"""All kinds of rule; a union by `kind` as kinds are added."""
