"""Tests of rules as data: what sensors say, in a compact notation, and which tier is expected when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import chain
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter, ValidationError, model_validator

from schemas.base import Code, Domain, Frozen, Name, Origin, Text
from schemas.measure import Span
from schemas.observation import Quality, Statistic
from schemas.warning import Change

MOST_VALUES = 100_000
"""Of one series; a slip of the pen in a number of repetitions should be told, not worked off."""
_FIGURE = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SAID = r"(?:!(?P<quality>[a-z_]+))?(?:@\+(?P<delay>P[0-9TDHMS.]+))?"
_TOKEN = re.compile(rf"(?:(?P<gap>_)|(?P<value>[-+]?{_FIGURE})(?P<step>[-+]{_FIGURE})?)(?:x(?P<times>\d+))?(?P<rest>[!@/].*)?")
_REST = re.compile(_SAID)
_CORRECTION = re.compile(rf"(?P<value>[-+]?{_FIGURE}){_SAID}")
_SPAN = TypeAdapter(timedelta)


@dataclass(frozen=True, slots=True)
class Said:
    """One value, as it is said of the time `slot`: how many intervals after the beginning."""

    slot: int
    value: float
    quality: Quality = Quality.GOOD
    delay: timedelta = timedelta(0)
    """How much later it arrives."""


def parse(text: str) -> list[Said]:
    """Return what a series' notation says; raises `ValueError` that names the part which is wrong.

    Parts stand between spaces, each of one or more slots in a row: `5` a value, `5x3` the value and three more of it (four slots),
    `0.1+0.05x10` rising (or `-`: falling) ten times (eleven slots), `_` nothing, `_x3` nothing for three slots. Behind a value may
    stand `!maintenance` (a quality flag), `@+PT90S` (it arrives so much later) and `/6@+PT90S`: the correction of the value, with its own
    quality and delay.
    """
    said: list[Said] = []
    slot = 0
    for token in text.split():
        found, slots = _part(token, slot)
        said += found
        slot += slots
        if slot > MOST_VALUES:
            raise ValueError(f"`{token[:40]}` makes more than {MOST_VALUES} values")
    if not slot:
        raise ValueError("a series without values; `_` says nothing for one interval")
    return said


def slots(text: str) -> int:
    """Return how many intervals a series' notation goes on for."""
    return sum(_part(token, 0)[1] for token in text.split())


def _part(token: str, slot: int) -> tuple[list[Said], int]:
    match = _TOKEN.fullmatch(token)
    times = int(match["times"] or 0) if match and len(match["times"] or "") < 7 else MOST_VALUES + 1  # noqa: PLR2004 - digits
    if match is None or (match["step"] and not match["times"]) or (match["gap"] and match["rest"]):
        raise ValueError(f"`{token[:40]}` is no part of a series: write values such as 5, 5x3, 5+0.1x10, _ or _x3, with !quality or @+PT90S behind")
    if times > MOST_VALUES:
        return [], times + 1
    if match["gap"]:
        return [], times or 1
    step = float(match["step"] or 0)
    found = []
    for at in range(times + 1):
        found += list(_said(token, slot + at, float(match["value"]) + at * step, match["rest"] or ""))
    return found, times + 1


def _said(token: str, slot: int, value: float, rest: str) -> Iterator[Said]:
    first, *corrections = rest.split("/")
    match = _REST.fullmatch(first)
    others = [_CORRECTION.fullmatch(one) for one in corrections]
    if match is None or None in others:
        raise ValueError(f"`{token[:40]}`: behind a value may stand !quality, @+PT90S and /correction, in this order")
    yield Said(slot, round(value, 9), *_how(token, match))
    for one in others:
        if one is not None:
            yield Said(slot, float(one["value"]), *_how(token, one))


def _how(token: str, match: re.Match[str]) -> tuple[Quality, timedelta]:
    try:
        quality = Quality(match["quality"] or "good")
    except ValueError as error:
        raise ValueError(f"`{token[:40]}`: there is no quality `{match['quality']}`; there are {', '.join(Quality)}") from error
    try:
        return quality, _SPAN.validate_python(match["delay"] or "PT0S")
    except ValidationError as error:
        raise ValueError(f"`{token[:40]}`: `{match['delay']}` is no length of time such as PT90S") from error


def _parses(text: str) -> str:
    parse(text)
    return text


Series = Annotated[str, Field(min_length=1, max_length=100_000), AfterValidator(_parses)]
"""See `parse`."""


class Watched(Frozen):
    """A made-up sensor; what is left out is as plain as can be."""

    id: Code = "sensor"
    name: Name | None = None
    domain: Domain | None = None
    """Left out, that of the rules."""
    department: Code = "department"
    street: Code = "620102001"
    path: Annotated[tuple[Code, ...], Field(max_length=8)] = ()
    """The regions above the street, the city's last; left out, those that the street's code names."""
    tags: frozenset[Code] = frozenset()
    attributes: dict[Code, Code] = Field(default_factory=dict)
    adapter: Annotated[str, Field(pattern="^[a-z0-9]{1,16}$")] = "http"
    statistic: Statistic = Statistic.INSTANT
    period: timedelta = Field(default=timedelta(0), ge=timedelta(0), le=timedelta(days=31))
    """Of its values, from start to end."""
    series: dict[Code, Series] = Field(default_factory=dict)
    """By metric; the first value ends at the test's beginning, each further one an interval later."""

    @model_validator(mode="after")
    def _has_a_period(self) -> Self:
        if (self.statistic is Statistic.INSTANT) != (self.period == timedelta(0)):
            raise ValueError("period: an instant has none, and each other statistic has one")
        return self


class Away(Frozen):
    """Adapters hear nothing for a while: no silence counts."""

    since: timedelta = Field(ge=timedelta(0))
    until: timedelta = Field(ge=timedelta(0))

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until <= self.since:
            raise ValueError("until: must be after `since`")
        return self


class Tiers(StrEnum):
    """A tier, or that there is no warning."""

    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"
    NONE = "none"


class Expected(Frozen):
    """What must be open at a time after the beginning, when all that arrived up to then, the tick included, has been taken."""

    at: timedelta = Field(ge=timedelta(0))
    rule: Code | None = None
    """May be left out where there is one rule."""
    subject: Text | None = None
    """Of one subject, `<sensor or place>/<metric>`; left out, of all of the rule: the gravest counts."""
    tier: Tiers
    change: Change | None = None
    """Why the newest revision was made."""


class Test(Frozen):
    """One story, and what is expected of it. A warning of which no expectation speaks while it is open at that tier has failed the test."""

    __test__ = False

    name: Text
    begin: AwareDatetime
    interval: Span | None = None
    """Left out, the file's."""
    ticks: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(seconds=5))] = timedelta(seconds=1)
    """How far time's ticks are apart: what waits for time is decided by them, after the grace of late data."""
    lasts: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=31))] | None = None
    """Left out, until the last value and the last expectation."""
    origin: Origin = Origin.REAL
    sensor: Watched | None = None
    series: dict[Code, Series] | None = None
    """Of `sensor`."""
    sensors: tuple[Watched, ...] = ()
    """Where there are several."""
    away: tuple[Away, ...] = ()
    expect: tuple[Expected, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _speaks_of_sensors(self) -> Self:
        if bool(self.sensors) == (self.sensor is not None or self.series is not None):
            raise ValueError("give `sensor` with `series`, or `sensors` with their `series`")
        if self.sensor is not None and self.sensor.series and self.series:
            raise ValueError("series: stands beside `sensor` or in it, not at both places")
        ids = [one.id for one in self.watched()]
        if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
            raise ValueError(f"sensors: {', '.join(twice)} is given twice; each needs an `id` of its own")
        return self

    def watched(self) -> tuple[Watched, ...]:
        """Return the sensors with their series."""
        if self.sensors:
            return self.sensors
        one = self.sensor or Watched()
        return (one.model_copy(update={"series": self.series}) if self.series is not None else one,)


class RuleTests(Frozen):
    """A file of tests. `rules` are files of rules beside it, all in force in each test."""

    rules: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]
    interval: Span = timedelta(seconds=10)
    """Between the values of a series."""
    tests: Annotated[tuple[Test, ...], Field(min_length=1, max_length=1_000)]


def length(test: Test, interval: timedelta) -> timedelta:
    """Return how long a test goes on."""
    if test.lasts is not None:
        return test.lasts
    last = [one.at for one in test.expect]
    for text in chain.from_iterable(one.series.values() for one in test.watched()):
        last.append(max(slots(text) - 1, 0) * interval)
        last += [one.slot * interval + one.delay for one in parse(text)]
    return max(last)
