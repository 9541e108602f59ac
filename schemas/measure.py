"""What a rule measures of what it watches: one model for each kind; `services/rules/domain/kinds/` has a module for each.

Every kind turns readings into samples (event time, number); a rule's tiers compare these with their limits.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.base import Code, Frozen
from schemas.limit import Limit

Span = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=7))]
"""A length of time: ISO 8601 (`PT15M`) or seconds."""


class Value(Frozen):
    """The reading itself: one sample each."""

    kind: Literal["value"] = "value"


class Rate(Frozen):
    """How fast the value changes: (this reading − the earliest one within `over` before it) / the time between, in units per `per`.

    No sample where less than half of `over` lies between them.
    """

    kind: Literal["rate"]
    over: Span
    per: Span


class Aggregate(StrEnum):
    """What is made of the readings of a window."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"


class Window(Frozen):
    """An aggregate of the readings with `t - length < end <= t`.

    Sliding without `every`: a sample at each reading's end. With `every` a sample at each multiple of it since midnight of the city's
    time, decided by a tick a grace later: `every` = `length` tumbles, a shorter one hops.
    """

    kind: Literal["window"]
    aggregate: Aggregate
    length: Span
    every: Span | None = None
    at_least: int = Field(default=1, ge=0, le=100_000)
    """Readings without which there is no sample. 0 makes sense for counts on a grid only."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.every is not None and self.every < timedelta(seconds=10):
            raise ValueError("`every` must be 10 s or more; without it there is a sample at each reading")
        if self.every is not None and (self.every > self.length or timedelta(days=1) % self.every):
            raise ValueError("`every` must not be longer than `length`, and a day must be a multiple of it")
        if self.at_least == 0 and (self.every is None or self.aggregate is not Aggregate.COUNT):
            raise ValueError("`at_least: 0` is for `aggregate: count` with `every` only")
        return self


class Exceedances(Frozen):
    """How many readings of the city's day so far are past `over`; 0 again at midnight."""

    kind: Literal["exceedances"]
    over: Limit


class Absence(Frozen):
    """Seconds since the sensor was heard, counting only time in which its adapter was listening.

    Heard is a value of the metric with any flag but `fault` and `no_signal`, of any statistic and origin. When the adapter was away
    for over 5 s, the count begins again. Decided by ticks; late data revise nothing of it.
    """

    kind: Literal["absence"]


class Agreement(Frozen):
    """How many sensors of one place are past `past` by their newest reading not older than `within`."""

    kind: Literal["agreement"]
    past: Limit
    within: Span
    place: Literal["street"] | Annotated[Code, Field(pattern="^attribute:")] = "street"
    """Which sensors stand together: those of a street, or those of a street that have the same value of `attribute:<name>`."""


class Level(StrEnum):
    """Whose series is derived."""

    DISTRICT = "district"
    CITY = "city"


def _on_the_grid(length: timedelta) -> timedelta:
    if length < timedelta(seconds=10) or timedelta(days=1) % length:
        raise ValueError("`length` must be 10 s or more, and a day must be a multiple of it: take PT10M or PT1H, for example")
    return length


Grid = Annotated[Span, AfterValidator(_on_the_grid)]
"""The length of windows that follow on each other from midnight on."""


class Regional(Frozen):
    """A series of a whole region: an aggregate over its sensors' readings of each window of `length`. The warning is the region's.

    `mean` is the mean of the sensors' means, so that a chatty sensor counts no more than another; `count` counts sensors.
    """

    kind: Literal["regional"]
    level: Level
    aggregate: Aggregate
    length: Grid
    at_least: int = Field(default=1, ge=1, le=100_000)
    """Sensors without which there is no sample."""


class Background(Frozen):
    """A sensor's mean of a window less the mean of its region's background in the same window, which counts at most `cap`."""

    kind: Literal["background"]
    level: Level
    length: Grid
    cap: float | None = Field(default=None, allow_inf_nan=False)
    stations: Annotated[frozenset[Code], Field(max_length=64)] = frozenset()
    """Tags of the sensors that make the background; without them it is made by all that the rule watches."""
    at_least: int = Field(default=1, ge=1, le=100_000)
    """Sensors of the background without which there is no sample."""


Measure = Annotated[Value | Rate | Window | Exceedances | Absence | Agreement | Regional | Background, Field(discriminator="kind")]
"""All kinds."""
