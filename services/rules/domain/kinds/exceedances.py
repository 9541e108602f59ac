"""Exceedances counted per day: see `schemas.measure.Exceedances`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from schemas import measure
from schemas.rule import Direction
from services.rules.domain.calendar import DAY, day_of
from services.rules.domain.kinds.base import Kind
from services.rules.domain.plan import Bound
from services.rules.domain.ring import Ring


class Exceedances(Kind):
    """How many readings of the day so far are past a limit; 0 again at midnight."""

    gridded = True
    lookback = DAY + DAY // 24
    """A day of 25 hours."""

    def __init__(self, model: measure.Exceedances, direction: Direction, attributes: Mapping[str, str], zone: str) -> None:
        self._bound = Bound(model.over, attributes, zone)
        self._sign = 1 if direction is Direction.ABOVE else -1
        self._zone = zone

    def reaches(self, end: int) -> int:
        """Return the end of the day."""
        return day_of(self._zone, end)[1] - 1

    def number(self, readings: Ring, at: int, birth: int) -> float | None:
        """Return the count up to a reading."""
        ends, values, bound, sign = readings.ends, readings.values, self._bound, self._sign
        day = max(day_of(self._zone, ends[at])[0], birth + 1)
        if readings.base >= day:
            return None
        first = bisect_left(ends, day)
        if (limit := bound.constant) is not None:
            return float(sum(value * sign >= limit * sign for value in values[first : at + 1]))
        return float(sum(values[one] * sign >= bound.at(ends[one]) * sign for one in range(first, at + 1)))

    def numbers(self, readings: Ring, places: range, birth: int) -> list[tuple[int, float]]:
        """Return the counts: the first by looking back, the others of its day from the one before."""
        found: list[tuple[int, float]] = []
        following = 0
        count: float | None = None
        for at in places:
            end = readings.ends[at]
            if end >= following or count is None:
                following = day_of(self._zone, end)[1]
                count = self.number(readings, at, birth)
            else:
                count += readings.values[at] * self._sign >= self._bound.at(end) * self._sign
            if count is not None:
                found.append((end, count))
        return found

    def next_grid(self, after: int) -> int:
        """Return the next midnight."""
        return day_of(self._zone, after)[1]

    def grid_number(self, readings: Ring, grid: int, birth: int) -> float | None:  # noqa: ARG002 - as all kinds have it
        """Return 0: a new day; unless a reading stands there."""
        return None if readings.get(grid) is not None else 0.0
