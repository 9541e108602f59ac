"""The city's time: days, hours and grids of microseconds since the epoch."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from schemas.wire import from_micros, to_micros

DAY = 86_400_000_000


@lru_cache(maxsize=4096)
def _midnight(zone: str, day: int) -> tuple[int, int]:
    """Return the local midnights around the middle of a day counted roughly; see `day_of`."""
    there = from_micros(day * DAY + DAY // 2).astimezone(ZoneInfo(zone))
    midnight = datetime(there.year, there.month, there.day, tzinfo=there.tzinfo)
    return to_micros(midnight), to_micros(midnight + timedelta(days=1))


def day_of(zone: str, at: int) -> tuple[int, int]:
    """Return the first microsecond of a time's day, and that of the next day."""
    day = at // DAY
    for near in (day, day + 1, day - 1):
        first, following = _midnight(zone, near)
        if first <= at < following:
            return first, following
    raise AssertionError(f"no day holds {at}")


def local(zone: str, at: int) -> datetime:
    """Return the city's time."""
    return from_micros(at).astimezone(ZoneInfo(zone))


def grid_after(zone: str, every: int, at: int) -> int:
    """Return the first multiple of `every` since midnight that is later than a time; midnight is one itself."""
    first, following = day_of(zone, at)
    return min(first + ((at - first) // every + 1) * every, following)
