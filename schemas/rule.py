"""A rule as data: what it watches, what it measures, and for each tier the way up and the way down."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from schemas.base import Code, Domain, Frozen, Name, Text, Words
from schemas.limit import Limit, Limits
from schemas.measure import Measure, Rate, Span, Value, Window
from schemas.observation import Statistic
from schemas.tiers import TIERS, Tier

MAIN = "main"
"""The name of a rule's own measure in conditions."""


class Direction(StrEnum):
    """On which side of its limit a value is bad."""

    ABOVE = "above"
    BELOW = "below"


class Compare(Frozen):
    """A measure is at its limit or past it. Unknown while the measure has no value, or one that is older than its `fresh`."""

    measure: Code = MAIN
    above: Limit | None = None
    below: Limit | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either `above` or `below`")
        return self


class All(Frozen):
    """And: false if one is false, else unknown if one is unknown."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=16)]


class Either(Frozen):
    """Or: true if one is true, else unknown if one is unknown."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=16)]


class Not(Frozen):
    """Not: unknown of what is unknown."""

    not_: Condition = Field(alias="not")


Condition = All | Either | Not | Compare


class Way(Frozen):
    """When a tier changes: its condition holds for `readings` samples in a row, or for the time `for`.

    The condition is `limit` (the rule's measure at it or past it, on the bad side for the way up, on the good side for the way down)
    or `when`. With both dwells left out the first such sample decides, on its arrival. A dwell in time is decided by ticks, after a
    grace for late data.
    """

    limit: Limit | None = None
    when: Condition | None = None
    readings: int = Field(default=1, ge=1, le=10_000)
    dwell: timedelta | None = Field(default=None, alias="for", gt=timedelta(0), le=timedelta(days=7))

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.dwell is not None and self.readings != 1:
            raise ValueError("give either `readings` or `for`, not both")
        if (self.limit is None) == (self.when is None):
            raise ValueError("give either `limit` or `when`")
        return self

    def compares(self) -> Iterator[Compare]:
        """Yield the comparisons of `when`."""
        if self.when is not None:
            yield from _compares(self.when)


def _compares(condition: Condition) -> Iterator[Compare]:
    match condition:
        case Compare():
            yield condition
        case Not():
            yield from _compares(condition.not_)
        case All():
            for one in condition.all:
                yield from _compares(one)
        case Either():
            for one in condition.any:
                yield from _compares(one)


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
    period: timedelta | None = Field(default=None, ge=timedelta(0), le=timedelta(days=31))
    """Of the series, from start to end; left out, all that the statistic has."""

    def concerns(self, sensor: str, domain: str, department: str, path: Collection[str], tags: frozenset[str]) -> bool:
        """Say whether a sensor is among those that are watched, whatever it measures; `path` are the codes from its street up to the city."""
        return (
            self.domain in (None, domain)
            and (self.sensors is None or sensor in self.sensors)
            and self.department in (None, department)
            and (self.regions is None or not self.regions.isdisjoint(path))
            and self.tags <= tags
        )


class Also(Frozen):
    """Another measure of the same sensor, for conditions."""

    metric: Code
    statistic: Statistic = Statistic.INSTANT
    period: timedelta | None = Field(default=None, ge=timedelta(0), le=timedelta(days=31))
    """Left out: 0 for instants, else that of the rule's own series."""
    measure: Annotated[Value | Rate | Window, Field(discriminator="kind")] = Value()
    fresh: Span | None = None
    """How long its newest value stands when no new one comes; left out, as the rule's."""


class Flapping(Frozen):
    """A guard: when a warning begins for the `begins`-th time within `within`, it stays open until it has been calm for `hold`."""

    begins: int = Field(default=3, ge=2, le=100)
    within: Span
    hold: Span


FRESH = timedelta(minutes=10)


@cache
def _zones() -> set[str]:
    """Return the known time zones; looked up once, for it reads a folder of files."""
    return available_timezones()


class Rule(Frozen):
    """A rule: whom it watches, what it measures, and four tiers at most."""

    id: Code
    version: int = Field(ge=1, lt=2**31)
    """Raise it with every change; an older or equal version is not taken."""
    enabled: bool = True
    """A rule that is not enabled closes its open warnings and raises none."""
    kind: Literal["threshold"] = "threshold"
    """As version 0.2 had it; `measure` says what kind a rule is."""
    name: Name
    applies: Applies
    measure: Measure = Value()
    also: dict[Code, Also] = Field(default_factory=dict, max_length=8)
    """Further measures by name, for conditions (`when`)."""
    direction: Direction
    unit: Text
    """Of the measure and its limits: a rate's is one per time, an absence's is `s`, a count's is `1`."""
    standard: Words | None = None
    """Where the limits come from, with the clause."""
    fresh: Span | None = None
    """How long a reading stands when no new one comes: a run past a limit with a longer gap in it begins anew, and a dwell in time does not
    end on an older reading. Left out: ten minutes, or three periods of the series or of the measure's grid,
    whichever is longest."""
    flapping: Flapping | None = None
    tags: Annotated[frozenset[Code], Field(max_length=16)] = frozenset()
    """What its warnings are tagged with, for those who decide who is told."""
    timezone: Text = "Asia/Shanghai"
    """IANA name of the city's time: hours, weekdays, dates, days and grids are in it."""
    tiers: dict[Tier, Step] = Field(min_length=1)

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, timezone: str) -> str:
        if timezone not in _zones():
            raise ValueError(f"{timezone!r} is no IANA time zone, such as Asia/Shanghai")
        return timezone

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        sign = 1 if self.direction is Direction.ABOVE else -1
        milder: Limits | None = None
        for tier in TIERS:
            if (step := self.tiers.get(tier)) is None:
                continue
            up, down = step.up.limit, step.down.limit
            if up is not None and down is not None and sign * (up.default - down.default) < 0:
                raise ValueError(f"tiers.{tier}: the way down must lie on the good side of the way up ({up.default}), it is {down.default}")
            if up is not None and milder is not None and sign * (up.default - milder.default) < 0:
                raise ValueError(f"tiers.{tier}.up.limit: {up.default} is milder than that of a lower tier ({milder.default})")
            milder = up or milder
        return self

    @model_validator(mode="after")
    def _measures_fit(self) -> Self:
        if MAIN in self.also:
            raise ValueError(f"also: `{MAIN}` is the rule's own measure; give another name")
        compares = {compare.measure for way in self.ways() for compare in way.compares()}
        if unknown := sorted(compares - {MAIN} - self.also.keys()):
            raise ValueError(f"tiers: `when` names the measures {unknown}, which `also` does not have")
        if self.also and self.applies.statistic is not Statistic.INSTANT and self.applies.period is None:
            raise ValueError(f"applies: of a `{self.applies.statistic}` that is combined with other measures give the `period`")
        kinds = [self.measure, *(also.measure for also in self.also.values())] if self.also else []
        for kind in kinds:
            if not isinstance(kind, Value | Rate | Window) or (isinstance(kind, Window) and kind.every is not None):
                raise ValueError(f"also: only values, rates and windows without `every` can be combined, not `{kind.kind}`")
        if self.measure.kind == "absence":
            self._silence_fits()
        return self

    def _silence_fits(self) -> None:
        if self.direction is not Direction.ABOVE:
            raise ValueError("direction: silence is bad when it is long: give `above`")
        if self.flapping is not None:
            raise ValueError("flapping: silence is measured in time, not in readings; give `readings` to the way down instead")
        for tier, step in self.tiers.items():
            if step.up.limit is None or step.down.limit is None or step.up.dwell or step.up.readings != 1 or step.down.dwell:
                raise ValueError(
                    f"tiers.{tier}: of a silence the way up is a `limit` in seconds alone, the way down a `limit` and `readings` (heard so often)"
                )
            if any(case.hours or case.weekdays or case.dates for case in (*step.up.limit.cases, *step.down.limit.cases)):
                raise ValueError(f"tiers.{tier}: a silence's limits depend on attributes only")

    def ways(self) -> Iterator[Way]:
        """Yield all ways."""
        for step in self.tiers.values():
            yield step.up
            yield step.down

    def means_the_same(self, other: Rule) -> bool:
        """Say whether two versions differ in texts only, so that open warnings go on."""
        texts: Any = {"version", "name", "standard", "tags"}
        return self.model_dump(exclude=texts) == other.model_dump(exclude=texts)
