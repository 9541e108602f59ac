"""Rate of change: see `schemas.measure.Rate`."""

from __future__ import annotations

from bisect import bisect_left
from math import isfinite

from schemas import measure
from services.rules.domain.kinds.base import Kind
from services.rules.domain.plan import micros
from services.rules.domain.ring import Ring


class Rate(Kind):
    """The difference to the earliest reading within `over`, over the time between, in units per `per`."""

    def __init__(self, model: measure.Rate) -> None:
        self._over = self.lookback = self.window = micros(model.over)
        self._per = micros(model.per)

    def reaches(self, end: int) -> int:
        """As far as `over`."""
        return end + self._over

    def number(self, readings: Ring, at: int, birth: int) -> float | None:
        """Return the rate; None where less than half of `over` is known."""
        end = readings.ends[at]
        first = bisect_left(readings.ends, max(end - self._over, birth + 1))
        span = end - readings.ends[first]
        if first == at or span * 2 < self._over or readings.base > max(end - self._over, birth):
            return None
        rate: float = (readings.values[at] - readings.values[first]) / span * self._per
        return rate if isfinite(rate) else None
