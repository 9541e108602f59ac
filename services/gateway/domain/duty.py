"""Who is on duty, by team, and addresses of which only so much is shown that whoever knows them recognises them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from schemas.alerting import Team
from schemas.base import Name
from schemas.rest import DutyPerson, DutyTeam

_NUMBER = re.compile(r"\+?[0-9]{11,15}")
_SHORT = 4
"""Of what is no longer nothing is shown: its beginning would be most of it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody's turn in a team; a team in which nobody has one stands with no person."""

    team: Team
    person: str | None
    name: Name | None
    since: datetime | None
    until: datetime | None
    shift: Name | None
    instead_of: str | None


def teams(turns: Iterable[Turn], until: datetime, contacts: Mapping[str, Mapping[str, str]], led: Container[str]) -> list[DutyTeam]:
    """Return the teams of some turns: `now` holds those that have begun by a time, `later` the others.

    Contacts are masked here, and shown only of the teams that are `led` by the reader.
    """
    found: dict[str, Team] = {}
    people: dict[str, list[DutyPerson]] = {}
    for turn in turns:
        found[turn.team.id] = turn.team
        if turn.person is not None and turn.since is not None and turn.until is not None:
            known = contacts.get(turn.person, {}) if turn.team.id in led else {}
            people.setdefault(turn.team.id, []).append(_person(turn, turn.person, turn.since, turn.until, known))
    return [_team(team, people.get(id_, []), until) for id_, team in found.items()]


def _team(team: Team, people: Iterable[DutyPerson], until: datetime) -> DutyTeam:
    listed = list(people)
    now, later = tuple(one for one in listed if one.since <= until), tuple(one for one in listed if one.since > until)
    return DutyTeam(team=team.id, name=team.name, region=team.region, role=team.role, now=now, later=later)


def _person(turn: Turn, id_: str, since: datetime, until: datetime, contacts: Mapping[str, str]) -> DutyPerson:
    return DutyPerson(
        person=id_,
        name=turn.name or Name(zh=id_, en=id_),
        since=since,
        until=until,
        shift=turn.shift,
        instead_of=turn.instead_of,
        contacts={channel: masked(address) for channel, address in contacts.items()},
    )


def masked(address: str) -> str:
    """Return an address of which only its ends are shown."""
    local, at, host = address.rpartition("@")
    if at:
        return f"{local[:1]}***@{host}"
    if _NUMBER.fullmatch(address):
        return f"{address[:3]}****{address[-4:]}"
    return f"{address[:2]}***" if len(address) > _SHORT else "***"
