"""A limit that may depend on the sensor, the hour and the date."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.base import Code, Finite, Frozen


class Weekday(StrEnum):
    """A day of the week, in the city's time."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEKDAYS = tuple(Weekday)
"""In order: `WEEKDAYS[datetime.weekday()]`."""

_HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)$")


class Dates(Frozen):
    """Days from `first` to `last`, both counted, in the city's time."""

    first: date
    last: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("`last` is before `first`")
        return self


class Case(Frozen):
    """Where another limit holds; all that is given must be so."""

    limit: Finite
    attributes: dict[Code, frozenset[Code]] | None = Field(default=None, min_length=1, max_length=8)
    """The sensor's attributes, such as `phase: [digging, foundation]`: each has one of the values."""
    hours: Annotated[str, Field(pattern=_HOURS.pattern)] | None = None
    """`22:00-06:00`: from the first minute up to the second, which is not in it; over midnight where the second is earlier."""
    weekdays: Annotated[frozenset[Weekday], Field(min_length=1)] | None = None
    dates: Annotated[tuple[Dates, ...], Field(min_length=1, max_length=100)] | None = None
    """A calendar: holidays, an examination's days."""

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.attributes is None and self.hours is None and self.weekdays is None and self.dates is None:
            raise ValueError("a case says when it holds: give `attributes`, `hours`, `weekdays` or `dates`")
        if self.hours is not None and self.hours[:5] == self.hours[6:]:
            raise ValueError("hours: the first and the second are the same; for the whole day leave `hours` out")
        return self

    @property
    def minutes(self) -> tuple[int, int] | None:
        """Hours as (first minute of the day, first minute after)."""
        if self.hours is None:
            return None
        parts = [int(part) for part in re.split("[:-]", self.hours)]
        return parts[0] * 60 + parts[1], parts[2] * 60 + parts[3]


class Limits(Frozen):
    """A limit with other limits for some sensors or times: the first case that holds, else `default`."""

    default: Finite
    cases: Annotated[tuple[Case, ...], Field(max_length=32)] = ()


def _limits(value: Any) -> Any:
    return {"default": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Limit = Annotated[Limits, BeforeValidator(_limits, json_schema_input_type=Limits | Finite)]
"""A number, or a limit by cases."""
