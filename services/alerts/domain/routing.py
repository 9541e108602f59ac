"""Where a warning goes: down the tree of routes, and there with which others it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from schemas.alerting import By, Route, Storm
from schemas.tiers import Tier
from services.alerts.domain.known import Known


@dataclass(frozen=True, slots=True)
class Way:
    """A node of the tree with what it has of those above it."""

    id: str
    group_by: tuple[By, ...]
    wait: timedelta
    interval: timedelta
    urgent: Tier | None
    escalation: str

    def is_urgent(self, gravity: int) -> bool:
        """Say whether nobody waits at a gravity."""
        return self.urgent is not None and gravity >= self.urgent.gravity


@dataclass(frozen=True, slots=True)
class Goal:
    """The alert that a warning belongs to."""

    key: str
    """Alerts of the same key that are open at the same time are one. Warnings of different origins never share one."""
    way: Way
    storm: str | None = None
    """The rule by which it gathers a whole area."""


def goals(one: Known, root: Route) -> list[Goal]:
    """Return the alerts to which a warning belongs, one unless a route says to carry on."""
    way = _way(root, None)
    return [Goal(_key(found.id, found.group_by, one), found) for found in _down(one, root, way)]


def _down(one: Known, route: Route, way: Way) -> Iterator[Way]:
    """Yield the deepest nodes that match; a node all of whose nodes below do not is deep enough."""
    any_below = False
    for below in route.routes:
        if below.match.meets(one, one.path):
            any_below = True
            yield from _down(one, below, _way(below, way))
            if not below.carry_on:
                return
    if not any_below:
        yield way


def _way(route: Route, above: Way | None) -> Way:
    if above is None:
        assert route.group_by is not None and route.wait is not None and route.interval is not None and route.escalation is not None  # noqa: S101, PT018 - the model's own rule for the root
        return Way(route.id, route.group_by, route.wait, route.interval, route.urgent, route.escalation)
    return Way(
        route.id,
        above.group_by if route.group_by is None else route.group_by,
        above.wait if route.wait is None else route.wait,
        route.interval or above.interval,
        route.urgent or above.urgent,
        route.escalation or above.escalation,
    )


def _key(of: str, by: Sequence[By], one: Known) -> str:
    return "\n".join([of, one.origin, *(one.value(each) for each in by)])


# Storms


def area(storm: Storm, one: Known) -> str | None:
    """Return the area of a storm rule in which a warning is, None where the rule does not concern it."""
    return _key(f"storm/{storm.id}", storm.by, one) if storm.match.meets(one, one.path) else None


def storm_goal(storm: Storm, key: str) -> Goal:
    """Return the alert of an area in which there is a storm."""
    return Goal(key, storm_way(storm), storm.id)


def storm_way(storm: Storm) -> Way:
    """Return how the alert of a storm is told: at once, and then not more often than the storm's own interval."""
    return Way(f"storm/{storm.id}", storm.by, timedelta(0), storm.interval, Tier.BLUE, storm.escalation)


def is_storm(way: Way) -> bool:
    """Say whether it is the way of a storm's alert."""
    return way.id.startswith("storm/")


def ways(root: Route, storms: Sequence[Storm]) -> dict[str, Way]:
    """Return all nodes by their ids."""
    return {way.id: way for way in (*_all(root, _way(root, None)), *map(storm_way, storms))}


def _all(route: Route, way: Way) -> Iterator[Way]:
    yield way
    for below in route.routes:
        yield from _all(below, _way(below, way))
