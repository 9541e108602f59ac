"""Who is meant by the target of a step: persons on duty, screens, groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.alerting import Target, Team
from schemas.regions import Level, RegionTree
from services.alerts.domain.duty import responsible

_LEVELS = (Level.STREET, Level.DISTRICT, Level.CITY)


@dataclass(frozen=True, slots=True)
class Place:
    """Whereof an alert tells."""

    path: tuple[str, ...]
    """From the lowest region that takes in all of it up to the city."""
    department: str
    """That of all its warnings; empty where they have several."""


@dataclass
class Recipients:
    """Who is told, and by which channels besides the app: `region/<code>`, `person/<id>`, `chat/<channel>`."""

    channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    nobody: list[str] = field(default_factory=list)
    """Teams and roles of which nobody is on duty: their screens are told instead."""

    def add(self, recipient: str, channels: Sequence[str] = ()) -> None:
        """Add a recipient, or channels to one."""
        self.channels[recipient] = tuple(dict.fromkeys((*self.channels.get(recipient, ()), *channels)))


class Directory:
    """Finds who is meant, at one time."""

    def __init__(self, teams: Sequence[Team], tree: RegionTree, on_duty: Callable[[Team], Sequence[str]]) -> None:
        """`on_duty` returns the persons of a team who are on duty."""
        self._teams = teams
        self._by_id: Mapping[str, Team] = {team.id: team for team in teams}
        self._tree = tree
        self._on_duty = on_duty

    def add(self, target: Target, channels: Sequence[str], place: Place, to: Recipients) -> None:
        """Add whom a target means. Where nobody of a role is on duty, the level above is asked, and at last the screen of the place is told."""
        if target.chat is not None:
            to.add(f"chat/{target.chat}")
        elif target.screen is not None:
            to.add(f"region/{self._at(target.screen, place)}")
        else:
            people = self._people(target, place)
            for person in people:
                to.add(f"person/{person}", channels)
            if not people:
                to.nobody.append(target.team or f"{target.role}@{place.path[0]}")
                to.add(f"region/{place.path[0]}")

    def people(self, team: str | None) -> Sequence[str]:
        """Return who of a team is on duty."""
        found = self._by_id.get(team) if team is not None else None
        return () if found is None else self._on_duty(found)

    def _people(self, target: Target, place: Place) -> Sequence[str]:
        if target.role is None or target.level is None:
            return self.people(target.team)
        for level in _LEVELS[_LEVELS.index(target.level) :]:
            team = responsible(self._teams, target.role, level, place.path, self._tree, place.department)
            if team is not None and (people := self._on_duty(team)):
                return people
        return ()

    def _at(self, level: Level, place: Place) -> str:
        """Return the region of the path at a level; of a place that is wider than that, the place."""
        return next((code for code in place.path if self._tree[code].level is level), place.path[0])
