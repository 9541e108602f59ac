"""Times of day as the city's clocks show them, whatever the zone does to its clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_LEAST = timedelta(microseconds=1)


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return, in UTC, when the clock first shows a time or, where it leaps over that, a later one.

    So what ends and what begins at one time meet, and what is later by the clock is never earlier: in the hour that is skipped nothing lasts.
    """
    wall = datetime.combine(day, at)
    first, again = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first if first <= again else _leap(again, first, wall, zone)


def span(day: date, since: time, until: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return, in UTC, when something begins on a day and when it ends: where `until` is not after `since`, on the next."""
    last = day if since < until else day + _DAY
    return instant(day, since, zone), instant(last, until, zone)


def days(since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[date]:
    """Yield all days, and a few more, on which something of a day's length may begin that goes on between two times."""
    day, last = since.astimezone(zone).date() - 2 * _DAY, until.astimezone(zone).date() + _DAY
    while day <= last:
        yield day
        day += _DAY


def _leap(low: datetime, high: datetime, wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock leaps over a time; it does so after `low`, and not after `high`."""
    while high - low > _LEAST:
        middle = low + (high - low) // 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            low = middle
        else:
            high = middle
    return high
