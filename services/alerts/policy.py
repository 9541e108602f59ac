"""A city's `alerting.yaml`, read and held against the city; of a city without one the policy that is built in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import time
from pathlib import Path
from typing import Any

from schemas.alerting import Alerting, Match, Rotation, Route, Team, TeamRole
from schemas.notification import IN_APP
from services.kit import documents
from services.kit.city import CityFolder

FILE = "alerting.yaml"

_Keys = tuple[str | int, ...]
_Found = tuple[_Keys, str, str | None]
"""Where something is wrong, what, and how to mend it."""
_NAMED = ("escalations", "inhibitions", "windows", "storms", "people", "teams", "channels")


def _screens(*levels: str, answer: bool) -> dict[str, Any]:
    return {"steps": [{"after": 0, "tell": [{"screen": level} for level in levels]}], "answer": answer}


DEFAULT = Alerting.model_validate(
    {
        "routes": {"id": "all", "group_by": ["subject"], "wait": 0, "interval": 10, "urgent": "blue", "escalation": "screens"},
        "escalations": [
            {
                "id": "screens",
                "plans": {
                    "blue": _screens("street", answer=False),
                    "yellow": _screens("street", answer=False),
                    "orange": _screens("street", "district", answer=True),
                    "red": _screens("street", "district", "city", answer=True),
                },
            }
        ],
    }
)
"""Each warning for itself, at once, on the screens: the street's of all, the district's from orange on, the city's of red; nobody else is told."""


def load(folder: Path, place: CityFolder) -> Alerting:
    """Return the policy of a city's folder; raises `Misconfigured` with all that is wrong, each with line, column and mend."""
    file = folder / FILE
    if not file.exists():
        return DEFAULT
    document = documents.read(file, Alerting)
    found = list(_numbers(document.value, ())) or _wrong(document.model, place)
    if problems := [document.problem(*one) for one in found]:
        raise documents.Invalid(file, sorted(problems, key=lambda one: (one.line, one.column)))
    return document.model


def _numbers(value: Any, keys: _Keys) -> Iterator[_Found]:
    """Yield the times of day that are numbers to YAML: 20:00 is 1200, and would be taken for twenty past midnight."""
    if isinstance(value, list):
        for at, one in enumerate(value):
            yield from _numbers(one, (*keys, at))
    elif isinstance(value, dict):
        for name, one in value.items():
            if name in {"since", "until"} and isinstance(one, int | float):
                yield (*keys, name), "is a number to YAML", f'write it in quotes: "{int(one) // 60:02}:{int(one) % 60:02}"'
            yield from _numbers(one, (*keys, str(name)))


def _wrong(alerting: Alerting, place: CityFolder) -> Iterator[_Found]:
    for keys, match in _matches(alerting):
        yield from _unknown((*keys, "regions"), "region", match.regions or (), _regions(place))
        yield from _unknown((*keys, "departments"), "department", match.departments or (), _departments(place))
    for at, team in enumerate(alerting.teams):
        yield from _wrong_team(("teams", at), team, place)
    for name in _NAMED:
        yield from _twice(name, [one.id for one in getattr(alerting, name)])
    yield from _wrong_windows(alerting)
    yield from _empty_roles(alerting)
    yield from _wrong_rest(alerting)


def _matches(alerting: Alerting) -> Iterator[tuple[_Keys, Match]]:
    """Yield all matches with their places."""
    yield from _matches_of(alerting.routes, ("routes",))
    for at, inhibition in enumerate(alerting.inhibitions):
        yield ("inhibitions", at, "source"), inhibition.source
        yield ("inhibitions", at, "target"), inhibition.target
    for at, window in enumerate(alerting.windows):
        yield ("windows", at, "match"), window.match
    for at, storm in enumerate(alerting.storms):
        yield ("storms", at, "match"), storm.match


def _matches_of(route: Route, keys: _Keys) -> Iterator[tuple[_Keys, Match]]:
    yield (*keys, "match"), route.match
    for at, below in enumerate(route.routes):
        yield from _matches_of(below, (*keys, "routes", at))


def _regions(place: CityFolder) -> list[str]:
    return [region.code for region in place.regions]


def _departments(place: CityFolder) -> list[str]:
    return [department.id for department in place.city.departments]


def _unknown(keys: _Keys, what: str, named: Iterable[str], known: list[str]) -> Iterator[_Found]:
    """Yield the regions or departments that the city has not."""
    file = "regions.yaml" if what == "region" else "city.yaml"
    for one in sorted(set(named) - set(known)):
        close = documents.closest(one, known)
        yield keys, f"there is no {what} {one} in {file}", f"did you mean `{close}`?" if close else None


def _wrong_team(keys: _Keys, team: Team, place: CityFolder) -> Iterator[_Found]:
    yield from _unknown((*keys, "region"), "region", [team.region], _regions(place))
    yield from _unknown((*keys, "departments"), "department", team.departments or (), _departments(place))
    for at, rotation in enumerate(team.rotations):
        yield from _wrong_rotation((*keys, "rotations", at), rotation)


def _wrong_rotation(keys: _Keys, rotation: Rotation) -> Iterator[_Found]:
    if rotation.turn == "week" and rotation.begins.isoweekday() != 1:
        says = f"{rotation.begins} is no Monday, and crews that stay for a week take over on Mondays"
        yield (*keys, "begins"), says, "give the Monday of the first crew's first week"
    for at, shift in enumerate(rotation.shifts):
        yield from _zoned((*keys, "shifts", at), since=shift.since, until=shift.until)


def _zoned(keys: _Keys, **times: time) -> Iterator[_Found]:
    for name, one in times.items():
        if one.tzinfo is not None:
            yield (*keys, name), f"{one} has a zone, and times of day are the city's", f'write "{one:%H:%M}"'


def _twice(name: str, ids: list[str]) -> Iterator[_Found]:
    for one, times in Counter(ids).items():
        if times > 1:
            last = len(ids) - 1 - ids[::-1].index(one)
            yield (name, last, "id"), f"`{one}` is given twice", "leave one of the two, or give it another id"


def _wrong_windows(alerting: Alerting) -> Iterator[_Found]:
    for at, window in enumerate(alerting.windows):
        keys = ("windows", at)
        yield from _zoned(keys, since=window.since, until=window.until)
        if window.first and window.last and window.last < window.first:
            yield (*keys, "last"), f"{window.last} is before `first`, {window.first}, so that it is never on", None


def _empty_roles(alerting: Alerting) -> Iterator[_Found]:
    """Yield the targets of a role that no team has, neither there nor above: nobody would be told."""
    there: set[TeamRole | None] = {None, *(team.role for team in alerting.teams)}
    for number, escalation in enumerate(alerting.escalations):
        for tier, plan in escalation.plans.items():
            for at, step in enumerate(plan.steps):
                for target, one in enumerate(step.tell):
                    if one.role not in there:
                        keys: _Keys = ("escalations", number, "plans", tier, "steps", at, "tell", target, "role")
                        yield keys, f"no team has the role {one.role}, so that nobody would be told", "give such a team, or tell a screen"


def _wrong_rest(alerting: Alerting) -> Iterator[_Found]:
    for day in sorted(alerting.calendar.off & alerting.calendar.worked):
        yield ("calendar", "worked"), f"{day} is given as off, too", "leave it in one of the two"
    for at, channel in enumerate(alerting.channels):
        if channel.id == IN_APP:
            yield ("channels", at, "id"), f"`{IN_APP}` is the platform's own: people are told in the app always", "give it another id"
    known = [one.id for one in alerting.people] + [one.id for one in alerting.channels if one.group]
    yield from _unknown_tests(sorted(alerting.tests - set(known)), known)


def _unknown_tests(unknown: list[str], known: list[str]) -> Iterator[_Found]:
    for one in unknown:
        close = documents.closest(one, known)
        yield ("tests",), f"{one} is neither a person nor a group channel", f"did you mean `{close}`?" if close else None
