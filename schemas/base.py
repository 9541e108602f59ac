"""What every event shares: a frozen model, times that know their zone, where an event comes from, and text that a store can keep."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,95}$")]
"""An identifier of ours: of a sensor, a department, a rule, a metric, a region."""

AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,16}@[A-Za-z0-9._:-]{1,96}$")]
"""`<protocol>@<node>`: one way in on one node of ingest."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""One line of text, without control characters (PostgreSQL cannot keep U+0000)."""

Lines = Annotated[str, StringConstraints(max_length=4_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
"""Text of several lines, or none, without other control characters than line breaks and tabs."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number; NaN and infinities are refused."""

Time = AwareDatetime
"""A time with its zone."""

_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?)([Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)


def _moment(value: object) -> object:
    """Return the UTC time of RFC 3339 text; what is no text is left to the type."""
    if not isinstance(value, str):
        return value
    parts = _RFC_3339.fullmatch(value)
    if parts is None:
        raise ValueError("no RFC 3339 time with a zone, such as 2026-11-22T08:00:00+08:00")
    try:
        return datetime.fromisoformat(f"{parts[1]}T{parts[2]}{parts[3].upper()}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A time as others give it: RFC 3339 with a zone (its colon may be missing), no leap second; kept in UTC, cut to microseconds."""


class Frozen(BaseModel):
    """An immutable value; unknown fields are refused, so that a misspelt field is told and not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Name(Frozen):
    """A name in the two languages of the interface."""

    zh: Text
    en: Text


def _both(value: object) -> object:
    return {"zh": value, "en": value} if isinstance(value, str) else value


Words = Annotated[Name, BeforeValidator(_both, json_schema_input_type=Name | Text)]
"""Text in the two languages; one text, as version 0.1 had it, stands for both."""


class Origin(StrEnum):
    """Whether an event tells of the city or of our own making; warnings and notifications inherit it."""

    REAL = "real"
    REPLAYED = "replayed"
    SIMULATED = "simulated"
    EXERCISE = "exercise"


class Domain(StrEnum):
    """The four streams that start the product."""

    WATER = "water"
    SEWAGE = "sewage"
    DUST = "dust"
    FIRE = "fire"
