"""Window aggregates, sliding and on a grid: see `schemas.measure.Window`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum

from schemas import measure
from schemas.measure import Aggregate
from services.rules.domain.calendar import grid_after
from services.rules.domain.kinds.base import Kind
from services.rules.domain.plan import micros
from services.rules.domain.ring import Ring

AGGREGATES: dict[Aggregate, Callable[[Sequence[float]], float]] = {
    Aggregate.MEAN: lambda values: fsum(values) / len(values),
    Aggregate.MIN: min,
    Aggregate.MAX: max,
    Aggregate.SUM: fsum,
    Aggregate.COUNT: lambda values: float(len(values)),
}
"""Sums are exact before they are rounded, so that no order of arrival shows in them."""


class Window(Kind):
    """An aggregate of the readings with `t - length < end <= t`."""

    def __init__(self, model: measure.Window, zone: str) -> None:
        self._aggregate = AGGREGATES[model.aggregate]
        self._length = self.lookback = self.window = micros(model.length)
        self._every = micros(model.every)
        self._at_least = model.at_least
        self._zone = zone
        self.gridded = self._every > 0
        self.at_readings = not self.gridded

    def reaches(self, end: int) -> int:
        """Return the last time whose window holds the reading."""
        return end + self._length - 1

    def number(self, readings: Ring, at: int, birth: int) -> float | None:
        """Return the aggregate of the window that ends with a reading."""
        return self.grid_number(readings, readings.ends[at], birth)

    def next_grid(self, after: int) -> int:
        """Return the end of the next window."""
        return grid_after(self._zone, self._every, after)

    def grid_number(self, readings: Ring, grid: int, birth: int) -> float | None:
        """Return the aggregate of the window that ends at a time; None with too few readings."""
        values = readings.between(max(grid - self._length, birth), grid)
        return self._aggregate(values) if len(values) >= self._at_least else None
