"""Who of a team is on duty when, and which team it is that answers for a region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.alerting import Calendar, Rotation, Team, TeamRole
from schemas.base import Name
from schemas.regions import Level, RegionTree
from services.alerts.domain.wallclock import days, instant, span

_DAY = timedelta(days=1)
_LEAST = timedelta(microseconds=1)
_MIDNIGHT = time(0)
_HEIGHTS = {Level.STREET: 0, Level.DISTRICT: 1, Level.CITY: 2}


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody is on duty for a time: in somebody's place, or besides those who are."""

    team: str
    person: str
    instead_of: str | None
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Somebody is on duty from `since` until before `until`, both in UTC."""

    team: str
    person: str
    since: datetime
    until: datetime
    shift: Name | None
    """None of who is on duty at any time or was added."""
    instead_of: str | None
    """Whose turn it was by the rotation."""


def roster(team: Team, calendar: Calendar, overrides: Iterable[Override], since: datetime, until: datetime, zone: ZoneInfo) -> list[OnDuty]:
    """Return all spans that overlap [since, until), whole, in order; of one person no two begin at the same time.

    Who is on duty at any time is so for the whole days of the city that are asked about.
    Overrides count in their order: the last word holds. One that names whose turn it was reaches who stands in for them already, too.
    """
    if since >= until:
        return []
    spans = [*_always(team, since, until, zone), *_turns(team, calendar, since, until, zone)]
    for override in overrides:
        if override.team == team.id and override.since < override.until:
            spans = list(_overridden(spans, override))
    longest: dict[tuple[datetime, str], OnDuty] = {}
    for one in sorted(spans, key=lambda one: one.until):
        if one.since < until and since < one.until:
            longest[one.since, one.person] = one
    return sorted(longest.values(), key=lambda one: (one.since, one.until, one.person))


def on_duty(team: Team, calendar: Calendar, overrides: Iterable[Override], at: datetime, zone: ZoneInfo) -> tuple[OnDuty, ...]:
    """Return who is on duty at a time, in order."""
    return tuple(roster(team, calendar, overrides, at, at + _LEAST, zone))


def people_on_duty(team: Team, calendar: Calendar, overrides: Iterable[Override], at: datetime, zone: ZoneInfo) -> tuple[str, ...]:
    """Return the ids of who is on duty at a time, each once."""
    return tuple(dict.fromkeys(one.person for one in on_duty(team, calendar, overrides, at, zone)))


def responsible(teams: Sequence[Team], role: TeamRole, level: Level, path: tuple[str, ...], tree: RegionTree, department: str) -> Team | None:
    """Return the team of a role that answers for a department at a level of a path, or else at the next level up that has one.

    At one level a team that names the department comes before one that is for all, and the first of equals before the others.
    """
    for code in path:
        if code not in tree or _HEIGHTS[tree[code].level] < _HEIGHTS[level]:
            continue
        here = [team for team in teams if team.region == code and team.role is role]
        named = (team for team in here if team.departments is not None and department in team.departments)
        if found := next(named, None) or next((team for team in here if team.departments is None), None):
            return found
    return None


def _always(team: Team, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[OnDuty]:
    last = (until - _LEAST).astimezone(zone).date()
    begins, ends = instant(since.astimezone(zone).date(), _MIDNIGHT, zone), instant(last + _DAY, _MIDNIGHT, zone)
    for person in team.always:
        yield OnDuty(team.id, person, begins, ends, None, None)


def _turns(team: Team, calendar: Calendar, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[OnDuty]:
    for day in days(since, until, zone):
        for rotation in team.rotations:
            if _works(rotation, calendar, day):
                yield from _shifts(team.id, rotation, day, zone)


def _works(rotation: Rotation, calendar: Calendar, day: date) -> bool:
    return rotation.begins <= day and (rotation.days == "all" or calendar.is_off(day) == (rotation.days == "off"))


def _shifts(team: str, rotation: Rotation, day: date, zone: ZoneInfo) -> Iterator[OnDuty]:
    for number, shift in enumerate(rotation.shifts):
        begins, ends = span(day, shift.since, shift.until, zone)
        if begins < ends:
            for person in rotation.crews[_turn(rotation, day, number) % len(rotation.crews)]:
                yield OnDuty(team, person, begins, ends, shift.name, None)


def _turn(rotation: Rotation, day: date, shift: int) -> int:
    """Return how many turns there were before a day's shift."""
    since = (day - rotation.begins).days
    match rotation.turn:
        case "shift":
            return since * len(rotation.shifts) + shift
        case "day":
            return since
        case "week":
            return (since + rotation.begins.weekday()) // 7


def _overridden(spans: Iterable[OnDuty], by: Override) -> Iterator[OnDuty]:
    since, until = by.since.astimezone(UTC), by.until.astimezone(UTC)
    if by.instead_of is None:
        yield from spans
        yield OnDuty(by.team, by.person, since, until, None, None)
        return
    for one in spans:
        if by.instead_of in {one.person, one.instead_of} and one.since < until and since < one.until:
            yield from _split(one, by.person, max(since, one.since), min(until, one.until))
        else:
            yield one


def _split(one: OnDuty, person: str, since: datetime, until: datetime) -> Iterator[OnDuty]:
    """Yield a span with somebody else in a part of it."""
    turn = one.instead_of or one.person
    if one.since < since:
        yield replace(one, until=since)
    yield replace(one, person=person, since=since, until=until, instead_of=None if turn == person else turn)
    if until < one.until:
        yield replace(one, since=until)
