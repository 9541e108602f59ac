"""What becomes of a change of the registry: the detail of the outcome of `ChangeSensor` and `ImportSensors`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from schemas.base import Code, Frozen
from schemas.sensor import Sensor

FAULTS_TOLD = 200
CHANGES_TOLD = 500
FIELDS_TOLD = 20_000
"""Of all changes that are told together: some megabytes."""


class FaultCode(StrEnum):
    """What kind of thing is wrong."""

    UNREADABLE = "unreadable"
    """The file, or a row of it, cannot be read."""
    UNFIT = "unfit"
    """A value does not fit its field."""
    TWICE = "twice"
    """The file has the sensor twice."""
    NOT_YOURS = "not_yours"
    """It is, or would be, of a region or a department that is not the actor's."""
    CHANGED = "changed"
    """It was changed since it was seen."""
    REGION = "region"
    """There is no such street, or the position does not lie in it, or in none that is known."""
    DEPARTMENT = "department"
    UNIT = "unit"
    """A unit that is none, or cannot be converted."""
    TAKEN = "taken"
    """What the device says is another sensor's already."""


class Fault(Frozen):
    """One thing that is wrong, and where."""

    code: FaultCode
    message: str = Field(max_length=500)
    row: int | None = None
    """Of a CSV file as a spreadsheet counts, the header being 1; of GeoJSON the feature, from 1. None of no row."""
    column: str = Field(default="", max_length=256)
    """The column, or the path in the feature or the sensor; empty for all of it."""
    sensor: str | None = Field(default=None, max_length=96)


class FieldChange(Frozen):
    """One field before and after, None where it is not there."""

    field: str
    """A path, such as `metrics.flow.high`."""
    old: Any = None
    new: Any = None


class SensorChange(Frozen):
    """What changes of one sensor."""

    sensor: Code
    version: int
    """That it has afterwards; 1 of a new one."""
    row: int | None = None
    fields: tuple[FieldChange, ...] = ()
    """Of a new one all that are given."""


class Registration(Frozen):
    """What a command changes, or would change."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    changes: tuple[SensorChange, ...] = ()
    """At most `CHANGES_TOLD`, and fewer where they have many fields, in the file's order."""
    faults: tuple[Fault, ...] = ()
    """At most `FAULTS_TOLD`. With any of them nothing is changed."""
    more_faults: int = 0
    """How many are left out; a file with many more is not read to its end."""
    there: Sensor | None = None
    """What is there now, where a change is refused because it was changed since it was seen."""
