"""What every event shares: a frozen model, times that know their zone, where an event comes from, and text that a store can keep."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,95}$")]
"""An identifier of ours: of a sensor, a department, a rule, a metric, a region."""

AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,16}@[A-Za-z0-9._:-]{1,96}$")]
"""`<protocol>@<node>`: one way in on one node of ingest."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""One line of text, without control characters (PostgreSQL cannot keep U+0000)."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number; NaN and infinities are refused."""

Time = AwareDatetime
"""A time with its zone."""


class Frozen(BaseModel):
    """An immutable value; unknown fields are refused, so that a misspelt field is told and not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(Frozen):
    """A name in the two languages of the interface."""

    zh: Text
    en: Text


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
