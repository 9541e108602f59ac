"""How long rules wait for late readings by default, by the period of the series: what comes later than that is late wherever it is counted."""

from __future__ import annotations

INSTANT_GRACE = 5_000_000
MINUTE_GRACE = 120_000_000
HOUR_GRACE = 900_000_000
"""How long after it was due a dwell is decided, by the period of the series: late readings may come until then. Microseconds."""


def grace(period_s: int) -> int:
    """Return the grace of a series by its period, in microseconds."""
    if period_s == 0:
        return INSTANT_GRACE
    return MINUTE_GRACE if period_s < 3600 else HOUR_GRACE  # noqa: PLR2004 - an hour
