"""What is not told, and why not: silences, maintenance windows, and warnings that follow from graver ones.

All of it is decided from what is now, never from what was decided before: after a restart the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.alerting import Inhibition, Match, Window
from schemas.base import Origin
from services.alerts.domain.known import Known
from services.alerts.domain.wallclock import days, span

_LEAST = timedelta(microseconds=1)
_Values = tuple[Origin, tuple[str, ...]]


class Muted(StrEnum):
    """Why a warning is not told."""

    SILENCED = "silenced"
    WINDOW = "window"
    INHIBITED = "inhibited"


@dataclass(frozen=True, slots=True)
class Silenced:
    """A silence: from `since` until before `until` what it matches in its region is not told."""

    id: UUID
    region: str
    match: Match
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Mute:
    """That a warning is not told."""

    reason: Muted
    by: str
    """The id of the silence, the window or the inhibition."""
    until: datetime | None
    """When that is over at the latest; None where nobody can know."""


On = tuple[datetime, Window]
"""A maintenance window that is on, and when it ends."""


def mute(
    one: Known, silences: Sequence[Silenced], windows: Sequence[On], inhibitions: Sequence[Inhibition], sources: Callable[[Inhibition, Known], bool]
) -> Mute | None:
    """Return why a warning is not told now, None when it is. Of several silences or windows the one that is over last.

    `silences` and `windows` are those in force (`in_force`, `on`), found out once for all warnings that are asked about.
    """
    return _silenced(one, silences) or _in_windows(one, windows) or _inhibited(one, inhibitions, sources)


def in_force(silences: Iterable[Silenced], now: datetime) -> list[Silenced]:
    """Return the silences that hold at a time."""
    return [one for one in silences if one.since <= now < one.until]


def on(windows: Iterable[Window], now: datetime, zone: ZoneInfo) -> list[On]:
    """Return the maintenance windows that are on at a time."""
    return [(until, window) for window in windows if (until := in_window(window, now, zone)) is not None]


def in_window(window: Window, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when a maintenance window ends, in UTC, None when it is not on."""
    spans = (span(day, window.since, window.until, zone) for day in days(now, now + _LEAST, zone) if _begins(window, day))
    return max((until for since, until in spans if since <= now < until), default=None)


class Sources:
    """Which warnings inhibit others, looked up by what they have in common. `known` are the open ones as they are now."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._live = tuple(one for one in known if one.live)
        self._found: dict[Inhibition, dict[_Values, set[UUID]]] = {}

    def __call__(self, inhibition: Inhibition, target: Known) -> bool:
        """Say whether another live warning that meets the inhibition's source has the target's values.

        It has its origin, too: what is simulated never mutes what is real. A target that meets the source itself is not inhibited: two such
        warnings would mute each other, and nobody be told.
        """
        if inhibition.source.meets(target, target.path):
            return False
        return bool(self._of(inhibition).get(_values(inhibition, target), set()) - {target.id})

    def _of(self, inhibition: Inhibition) -> dict[_Values, set[UUID]]:
        found = self._found.get(inhibition)
        if found is None:
            found = self._found[inhibition] = {}
            for one in self._live:
                if inhibition.source.meets(one, one.path):
                    found.setdefault(_values(inhibition, one), set()).add(one.id)
        return found


def _values(inhibition: Inhibition, one: Known) -> _Values:
    return one.origin, tuple(one.value(by) for by in inhibition.equal)


def _silenced(one: Known, silences: Sequence[Silenced]) -> Mute | None:
    held = [silence for silence in silences if silence.region in one.path and silence.match.meets(one, one.path)]
    last = max(held, key=lambda silence: (silence.until, silence.id), default=None)
    return None if last is None else Mute(Muted.SILENCED, str(last.id), last.until)


def _in_windows(one: Known, windows: Sequence[On]) -> Mute | None:
    last = max(((until, window.id) for until, window in windows if window.match.meets(one, one.path)), default=None)
    return None if last is None else Mute(Muted.WINDOW, last[1], last[0])


def _inhibited(one: Known, inhibitions: Iterable[Inhibition], sources: Callable[[Inhibition, Known], bool]) -> Mute | None:
    meant = (inhibition for inhibition in inhibitions if inhibition.target.meets(one, one.path))
    by = next((inhibition for inhibition in meant if sources(inhibition, one)), None)
    return None if by is None else Mute(Muted.INHIBITED, by.id, None)


def _begins(window: Window, day: date) -> bool:
    """Say whether a window begins on a day."""
    return day.isoweekday() in window.weekdays and (window.first is None or window.first <= day) and (window.last is None or day <= window.last)
