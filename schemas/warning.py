"""A warning: the full state of one episode at one revision."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from schemas.base import Code, Domain, Finite, Frozen, Name, Origin, Text, Time, Words
from schemas.observation import Statistic
from schemas.rule import Direction
from schemas.tiers import Tier


class WarningState(StrEnum):
    """Whether the episode goes on."""

    OPEN = "open"
    CLEARED = "cleared"


class Change(StrEnum):
    """Why this revision was made."""

    OPENED = "opened"
    RAISED = "raised"
    LOWERED = "lowered"
    RECOVERED = "recovered"
    """Every tier went its way down."""
    RULE_CHANGED = "rule_changed"
    """The rule's meaning was changed, or it no longer applies to the sensor."""
    SENSOR_MOVED = "sensor_moved"
    """The sensor now belongs to another street or another department."""
    REVISED = "revised"
    """Late or corrected data changed its past (`began_at`, a step between); tier and state are as before."""
    REOPENED = "reopened"
    """It was told as over, and late or corrected data say that it is not."""
    RETRACTED = "retracted"
    """Late or corrected data say that it should not have been; cleared."""
    MERGED = "merged"
    """Late or corrected data say that it is one with an earlier one, `merged_into`; cleared."""


class Part(Frozen):
    """One comparison of a condition, as it stood when the tier was decided."""

    measure: Code
    """`main`, or the name that the rule gives it."""
    metric: Code
    value: Finite | None
    """None while unknown."""
    direction: Direction
    limit: Finite
    holds: bool | None


class Clearing(Frozen):
    """What would end the present tier: the measure on this side of the limit for so long, or so many readings in a row."""

    limit: Finite | None
    """None where the way down is a condition."""
    direction: Direction
    readings: int | None
    dwell_s: float | None


class Evidence(Frozen):
    """Why this tier: the value that decided, the limit it met, and what the limit is taken from."""

    metric: Code
    measure: Text = "value"
    """The kind of what was measured; `value` is the reading itself."""
    value: Finite
    """Of the measure: a rate, a mean, a count, seconds of silence."""
    unit: Text
    limit: Finite | None
    """The limit of the tier that was entered or left; None where that is a condition."""
    direction: Direction
    readings: int | None = None
    """How many readings in a row were asked for, where the dwell counts readings."""
    dwell_s: float | None = None
    """How long it had to last in seconds, where the dwell is a time."""
    statistic: Statistic
    period_s: int
    window_s: float | None = None
    """Length in seconds of the window that was measured, up to `observed_at`."""
    standard: Words | None = None
    clears_at: Finite | None = None
    """The value past which the present tier is left; None once cleared, and where the way down is a condition."""
    clears: Clearing | None = None
    """All of what would clear the present tier; None once cleared."""
    parts: tuple[Part, ...] = ()
    """Of a condition: its comparisons."""
    sensors: tuple[Code, ...] = ()
    """Of a place: the sensors that agree, at most 100."""
    background: Finite | None = None
    """What was subtracted, after the cap."""
    observation: Text | None = None
    """The id of the deciding observation, where one decided and rules still know it."""
    observed_at: Time
    """Event time of the deciding sample."""
    received_at: Time | None = None
    """When ingest took the deciding observation, where one decided and rules still know it."""


class Warning(Frozen):  # noqa: A001 - the field's own word; Python's warnings are not used beside it
    """A warning at one revision. `id` never changes, `rev` rises by one; a consumer ignores a `rev` that is not newer than the one it has."""

    id: UUID
    """UUIDv5 of rule, meaning, subject and the event time that opened the episode as first decided (`schemas.warning.identity`)."""
    rev: int = Field(ge=1)
    rule: Code
    rule_version: int
    meaning: int
    rule_name: Name
    subject: Text
    """`<sensor or place>/<metric>`, with `/<statistic>.<period>s` where it is not an instant and `@<origin>` where it is not real."""
    sensor: Code | None
    """None where it is of a place: several sensors, a district, the city."""
    sensor_name: Name
    """The sensor's name, or the place's."""
    street: Code
    """The sensor's street; of a warning of a district or the city, that region."""
    domain: Domain
    department: Code
    state: WarningState
    tier: Tier
    """The present tier; of a cleared warning the one it had last."""
    peak: Tier
    change: Change
    began_at: Time
    changed_at: Time
    """Event time of this revision."""
    cleared_at: Time | None = None
    merged_into: UUID | None = None
    origin: Origin
    evidence: Evidence
    tags: frozenset[Code] = frozenset()
    """The rule's."""
