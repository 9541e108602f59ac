"""The kinds of rule, one module each: how readings become samples.

A kind to come (a sequence, a baseline, a forecast) is a model in `schemas/measure.py`, a module here with a `Kind`, and a line in `KINDS`. What it
gives: `number` (the sample at a reading) or `grid_number` (that at a grid time), and how far back it looks and how far a changed reading reaches.
It holds nothing that changes: what it needs of the past stands in the readings.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.measure import Exceedances, Measure, Rate, Value, Window
from schemas.rule import Direction
from services.rules.domain.kinds import exceedances, rate, window
from services.rules.domain.kinds.base import Kind


def of_readings(measure: Measure, direction: Direction, attributes: Mapping[str, str], zone: str) -> Kind | None:
    """Return the kind that makes a sensor's readings into samples; None where the readings are the samples, and for kinds of places."""
    match measure:
        case Rate():
            return rate.Rate(measure)
        case Window():
            return window.Window(measure, zone)
        case Exceedances():
            return exceedances.Exceedances(measure, direction, attributes, zone)
        case _:
            return None


__all__ = ["Kind", "Value", "of_readings"]
