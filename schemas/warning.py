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


class Evidence(Frozen):
    """Why this tier: the value that decided, the limit it met, and what the limit is taken from."""

    metric: Code
    value: Finite
    unit: Text
    limit: Finite
    """The limit of the tier that was entered or left."""
    direction: Direction
    readings: int | None = None
    """How many readings in a row were asked for, where the dwell counts readings."""
    dwell_s: float | None = None
    """How long it had to last in seconds, where the dwell is a time."""
    statistic: Statistic
    period_s: int
    standard: Words | None = None
    clears_at: Finite | None = None
    """The value past which the present tier is left; None once cleared."""
    observation: Text
    """The id of the deciding observation."""
    observed_at: Time
    received_at: Time
    """When ingest took the deciding observation."""


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
    """`<sensor>/<metric>`, with `/<statistic>.<period>s` where it is not an instant and `@<origin>` where it is not real."""
    sensor: Code
    sensor_name: Name
    street: Code
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
    origin: Origin
    evidence: Evidence
