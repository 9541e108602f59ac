"""Means of what a sensor said over whole periods, as its data logger would publish them."""

from __future__ import annotations

from datetime import datetime, timedelta

ENOUGH = 0.75
"""Part of a period's readings that makes its mean count; this share is usual for air and water monitors."""


class Means:
    """One sensor's means of one period, which starts at midnight and divides the day. Readings come in order of time."""

    def __init__(self, period: timedelta, every: timedelta) -> None:
        self._period = period
        self._needed = ENOUGH * (period / every)
        self._start: datetime | None = None
        self._sums: dict[str, tuple[float, int]] = {}

    def take(self, time: datetime, values: dict[str, float]) -> tuple[datetime, datetime, dict[str, float]] | None:
        """Take good values of a local time; returns (start, end, means) of the period before, when this is the first of another."""
        start = self.start(time)
        ended = self._close() if start != self._start else None
        if start != self._start:
            self._start, self._sums = start, {}
        for metric, value in values.items():
            total, count = self._sums.get(metric, (0.0, 0))
            self._sums[metric] = (total + value, count + 1)
        return ended

    def start(self, time: datetime) -> datetime:
        """Return when the period of a local time began."""
        midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (time - midnight) // self._period * self._period

    def _close(self) -> tuple[datetime, datetime, dict[str, float]] | None:
        means = {metric: total / count for metric, (total, count) in self._sums.items() if count >= self._needed}
        return (self._start, self._start + self._period, means) if self._start is not None and means else None
