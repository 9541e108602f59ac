"""Where warnings go: the tree beside a brute-force reading of it, and who shares an alert."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.alerting import By, Match, Route, Storm
from schemas.tiers import TIERS
from services.alerts.domain.known import Known
from services.alerts.domain.routing import area, goals, storm_goal
from tests.unit.alerts.policies import known
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_DISTRICT, OTHER_STREET, STREET, STREETS, TREE, warning

ROOT: dict[str, Any] = {"group_by": ("street",), "wait": 60, "interval": 60, "escalation": "e"}

MATCHES = st.builds(
    dict,
    tiers=st.none() | st.sets(st.sampled_from([tier.value for tier in TIERS]), min_size=1),
    regions=st.none() | st.sets(st.sampled_from([CITY, DISTRICT, OTHER_DISTRICT, *STREETS]), min_size=1, max_size=2),
    domains=st.none() | st.sets(st.sampled_from(["water", "dust"]), min_size=1),
    departments=st.none() | st.sets(st.sampled_from(["d", "e"]), min_size=1),
    tags=st.sets(st.sampled_from(["night"]), max_size=1),
)
WARNINGS = st.builds(
    lambda number, **fields: known(warning(number, subject=f"s{number}/flow", **fields)),
    number=st.integers(1, 5),
    street=st.sampled_from([*STREETS, DISTRICT, "555555"]),
    tier=st.sampled_from(TIERS),
    domain=st.sampled_from(["water", "dust"]),
    department=st.sampled_from(["d", "e"]),
    origin=st.sampled_from(["real", "exercise"]),
    tags=st.sets(st.sampled_from(["night"]), max_size=1),
)


@st.composite
def trees(draw: st.DrawFn) -> Route:
    """Draw a tree of up to three levels."""
    names = iter(range(100))

    def node(depth: int) -> dict[str, Any]:
        below = [] if depth == 3 else [node(depth + 1) for _ in range(draw(st.integers(0, 2)))]
        by = draw(st.none() | st.lists(st.sampled_from(list(By)), max_size=2, unique=True))
        return {"id": f"r{next(names)}", "match": draw(MATCHES), "group_by": by, "carry_on": draw(st.booleans()), "routes": below}

    return Route.model_validate({"id": "root", **ROOT, "routes": [node(1) for _ in range(draw(st.integers(0, 3)))]})


def is_meant(match: Match, one: Known) -> bool:
    path = TREE.path(one.street) if one.street in TREE else (CITY,)
    wanted = [(match.tiers, one.tier), (match.domains, one.domain), (match.departments, one.department)]
    return (
        all(some is None or value in some for some, value in wanted)
        and (match.regions is None or bool(match.regions & {*path}))
        and match.tags <= one.tags
    )


def reached(route: Route, one: Known, by: tuple[By, ...]) -> list[tuple[str, tuple[By, ...]]]:
    """Read the tree as its docstring says: all leaves of what matches, but a match ends its row unless it carries on."""
    row = [below for below in route.routes if is_meant(below.match, one)]
    last = next((at for at, below in enumerate(row) if not below.carry_on), len(row))
    found = [leaf for below in row[: last + 1] for leaf in reached(below, one, by if below.group_by is None else below.group_by)]
    return found or [(route.id, by)]


@given(trees(), st.lists(WARNINGS, min_size=1, max_size=6))
def test_warnings_go_where_a_plain_reading_of_the_tree_says_and_share_alerts_by_what_they_share(root: Route, warnings: list[Known]):
    assert root.group_by is not None
    alerts: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for one in warnings:
        found = goals(one, root)
        expected = reached(root, one, root.group_by)
        assert [(goal.way.id, goal.way.group_by) for goal in found] == expected
        for goal, (route, by) in zip(found, expected, strict=True):
            alerts[goal.key].add((route, one.origin, *(one.value(each) for each in by)))
    assert all(len(shared) == 1 for shared in alerts.values())
    assert len({next(iter(shared)) for shared in alerts.values()}) == len(alerts)


def test_what_a_node_leaves_out_it_has_of_the_one_above():
    deep = {"id": "deep", "urgent": "red"}
    root = Route.model_validate({"id": "root", **ROOT, "routes": [{"id": "mid", "wait": 0, "routes": [deep]}]})
    (goal,) = goals(known(warning(1)), root)
    way = goal.way
    assert (way.id, way.group_by, way.wait.total_seconds(), way.interval.total_seconds(), way.escalation) == ("deep", (By.STREET,), 0, 60, "e")
    assert way.is_urgent(4)
    assert not way.is_urgent(3)


def test_a_warning_of_an_exercise_never_shares_an_alert_with_a_real_one():
    root = Route.model_validate({"id": "root", **ROOT})
    keys = {goals(known(warning(1, origin=origin)), root)[0].key for origin in ("real", "exercise", "simulated", "replayed")}
    assert len(keys) == 4


def test_a_storm_gathers_an_area():
    """Promise 15 (alerta#1560): an area-wide storm is one alert."""
    storm = Storm.model_validate(
        {"id": "s", "match": {"domains": ["water"]}, "more_than": 5, "within": 600, "calm": 600, "interval": 60, "escalation": "e"}
    )
    here = {area(storm, known(warning(number, street=street, id=UUID(int=number)))) for number, street in enumerate([STREET, STREETS[1]], 1)}
    assert len(here) == 1
    (key,) = here
    assert key is not None
    assert area(storm, known(warning(1, street=OTHER_STREET))) != key
    assert area(storm, known(warning(1, domain="dust"))) is None
    assert storm_goal(storm, key).way.escalation == "e"
