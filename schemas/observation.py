"""What a sensor says: one or more series values over one start and end."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from schemas.base import Code, Domain, Finite, Frozen, Moment, Origin, Text, Time


class Quality(StrEnum):
    """Quality flag of one value; the letters of HJ 212-2017 below. Rules use `good` values only.

    The last three are ingest's own doubts of a value that came as good; the value stays as it came.
    """

    GOOD = "good"
    """N"""
    STOPPED = "stopped"
    """F"""
    MAINTENANCE = "maintenance"
    """M"""
    MANUAL = "manual"
    """S"""
    FAULT = "fault"
    """D"""
    CALIBRATION = "calibration"
    """C"""
    OVER_RANGE = "over_range"
    """T"""
    NO_SIGNAL = "no_signal"
    """B"""
    IMPLAUSIBLE = "implausible"
    """Outside of what the instrument can say: the metric's `low` and `high` in the registry."""
    SPIKE = "spike"
    """Too far from the value before; see the metric's `spike`."""
    STUCK = "stuck"
    """The very same value for too long; see the metric's `stuck`."""


class Statistic(StrEnum):
    """What a value is of the time between start and end; of an instant, start and end are the same."""

    INSTANT = "instant"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"


class Measurement(Frozen):
    """The `data` of a CloudEvent of type `cn.tongguan.observation.v1`, as a department publishes it.

    `end` may be left out where the CloudEvent has a `time`. The metrics, their units and the region are those of the sensor in the
    registry.
    """

    model_config = ConfigDict(strict=True)

    sensor: Code
    values: dict[Code, Finite] = Field(min_length=1, max_length=64)
    end: Moment | None = None
    start: Moment | None = None
    statistic: Statistic = Statistic.INSTANT
    quality: dict[Code, Quality] = Field(default_factory=dict)
    origin: Origin = Origin.REAL
    region: Code | None = None
    """Where the department believes the sensor to be; refused when the registry says otherwise."""

    @field_validator("quality")
    @classmethod
    def _flags_have_values(cls, quality: dict[str, Quality], info: ValidationInfo) -> dict[str, Quality]:
        if unknown := quality.keys() - info.data.get("values", quality).keys():
            raise ValueError(f"quality names {sorted(unknown)}, which have no value")
        return quality


class Observation(Frozen):
    """An accepted observation. Its identity is (sensor, statistic, period, end): the same identity with other values is a correction."""

    id: Text
    """The CloudEvent's id; unique with `source`."""
    source: Text
    department: Code
    sensor: Code
    street: Code
    domain: Domain
    start: Time
    end: Time
    statistic: Statistic
    values: dict[Code, Finite] = Field(min_length=1, max_length=64)
    quality: dict[Code, Quality]
    """Flags of those values that are not good."""
    origin: Origin
    received: Time
    """When ingest took it, by its clock."""
    traceparent: Text | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start > self.end:
            raise ValueError("start is after end")
        if unknown := self.quality.keys() - self.values.keys():
            raise ValueError(f"quality names {sorted(unknown)}, which have no value")
        return self
