"""Window aggregates, sliding and on a grid: see `schemas.measure.Window`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import fsum, inf, isfinite

from schemas import measure
from schemas.measure import Aggregate
from services.rules.domain.calendar import grid_after
from services.rules.domain.kinds.base import Kind
from services.rules.domain.plan import micros
from services.rules.domain.ring import Ring


def total(values: Sequence[float]) -> float:
    """Return the sum, rounded once; infinite where it is beyond a float."""
    try:
        return fsum(values)
    except OverflowError:
        return inf


AGGREGATES: dict[Aggregate, Callable[[Sequence[float]], float]] = {
    Aggregate.MEAN: lambda values: total(values) / len(values),
    Aggregate.MIN: min,
    Aggregate.MAX: max,
    Aggregate.SUM: total,
    Aggregate.COUNT: lambda values: float(len(values)),
}
"""Sums are exact before they are rounded, so that no order of arrival shows in them."""


MANY = 8
"""So many samples in a row are made by going on from one to the next."""


def _add(parts: list[float], value: float) -> None:
    """Add to an exact sum, kept as numbers that do not overlap (J. R. Shewchuk, 1997)."""
    kept = 0
    for part in parts:
        high, low = (value, part) if abs(value) >= abs(part) else (part, value)
        value = high + low
        rest = low - (value - high)
        if rest:
            parts[kept] = rest
            kept += 1
    parts[kept:] = [value]


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
        self.skips = self._at_least > 0

    def reaches(self, end: int) -> int:
        """Return the last time whose window holds the reading."""
        return end + self._length - 1

    def number(self, readings: Ring, at: int, birth: int) -> float | None:
        """Return the aggregate of the window that ends with a reading."""
        return self.grid_number(readings, readings.ends[at], birth)

    def numbers(self, readings: Ring, places: range, birth: int) -> list[tuple[int, float]]:
        """Return the samples at readings in a row: sums go on from one to the next, exactly as if each were made by itself."""
        if self._aggregate is not AGGREGATES[Aggregate.MEAN] or len(places) < MANY:
            return super().numbers(readings, places, birth)
        ends, values = readings.ends, readings.values
        found: list[tuple[int, float]] = []
        parts: list[float] = []
        oldest = bisect_right(ends, max(ends[places[0]] - self._length, birth))
        newest = oldest
        if not isfinite(sum(map(abs, values[oldest : places[-1] + 1]))):  # a sum on the way may be beyond a float, of which nothing comes back
            return super().numbers(readings, places, birth)
        for at in places:
            begin = max(ends[at] - self._length, birth)
            while newest <= at:
                _add(parts, values[newest])
                newest += 1
            while ends[oldest] <= begin:
                _add(parts, -values[oldest])
                oldest += 1
            number = total(parts) / (newest - oldest)
            if newest - oldest >= self._at_least and readings.base <= begin and isfinite(number):
                found.append((ends[at], number))
        return found

    def next_grid(self, after: int) -> int:
        """Return the end of the next window."""
        return grid_after(self._zone, self._every, after)

    def grid_number(self, readings: Ring, grid: int, birth: int) -> float | None:
        """Return the aggregate of the window that ends at a time; None with too few readings."""
        begin = max(grid - self._length, birth)
        values = readings.between(begin, grid)
        if len(values) < self._at_least or readings.base > begin:
            return None
        number = self._aggregate(values)
        return number if isfinite(number) else None
