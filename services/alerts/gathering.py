"""Which alerts warnings join: SQL around `services.alerts.domain.routing`, in the transaction of the poll that changed the warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from schemas.alerting import Alerting, Storm
from schemas.regions import RegionTree
from services.alerts import rows
from services.alerts.domain.known import Known
from services.alerts.domain.message import NAMESPACE
from services.alerts.domain.routing import Goal, Way, area, goals, is_storm, storm_goal, ways
from services.kit.database import Connection

AT_ONCE = 5
"""Graver than anything that was told."""
_TRIES = 20
"""How often an alert is opened that the desk closes under our hands."""

_MEMBERSHIPS = """
select m.warning, a.id, a.key, a.route from alerts.members m join alerts.alerts a on a.id = m.alert
where m.warning = any($1) and a.closed_at is null order by a.key for update of a
"""
"""Held: whoever is ending such an alert now has ended it by then, or looks at it after us."""

_OPEN = """
insert into alerts.alerts (id, key, route, escalation, region, department, origin, storm, opened_at, hold_until)
select t.id, t.key, t.route, t.escalation, t.region, t.department, t.origin, t.storm, $9, t.hold_until
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $10::timestamptz[])
    as t (id, key, route, escalation, region, department, origin, storm, hold_until)
order by t.key
on conflict (key) where closed_at is null do nothing
"""

_TOUCH = """
with t as (select * from unnest($1::text[], $2::smallint[]) as t (key, rise)),
held as (select a.id, a.key from alerts.alerts a where a.key = any($1) and a.closed_at is null order by a.key for update)
update alerts.alerts a
set due_at = least(a.due_at, case when t.rise > a.peak then $3 else greatest($3, a.hold_until) end)
from held join t using (key) where a.id = held.id
returning a.id, a.key
"""

_JOIN = "insert into alerts.members (alert, warning) select * from unnest($1::uuid[], $2::uuid[]) on conflict do nothing"
_INHERIT = """
update alerts.alerts a set inherits = a.inherits || t.told
from (
    select t.heir, array_agg(distinct i.id) as told from unnest($1::uuid[], $2::uuid[]) as t (heir, left_one)
    join alerts.alerts x on x.id = t.left_one, unnest(x.inherits || x.id) as i (id) group by t.heir
) t where a.id = t.heir
"""
_LEAVE = "delete from alerts.members m using unnest($1::uuid[], $2::uuid[]) as t (alert, warning) where m.alert = t.alert and m.warning = t.warning"

_ARRIVE = """
insert into alerts.arrivals as a (area, minute, began) select t.area, $3, t.began from unnest($1::text[], $2::int[]) as t (area, began)
order by t.area
on conflict (area, minute) do update set began = a.began + excluded.began
"""
_BEGAN = "select area, sum(began)::int as began from alerts.arrivals where area = any($1) and minute > $2 group by area"
_STORMS = "select area from alerts.storms where until > $1"
_STORM = """
insert into alerts.storms as s (area, until) select * from unnest($1::text[], $2::timestamptz[]) order by 1
on conflict (area) do update set until = greatest(s.until, excluded.until)
"""
_UNTOLD = f"""
with untold as (select id from alerts.alerts where closed_at is null and message = 0 and storm is null order by key for update skip locked)
select {rows.OF_W}, u.id as alert from untold u join alerts.members m on m.alert = u.id join alerts.warnings w on w.id = m.warning where w.open
"""  # noqa: S608 - columns of ours
_LOOK = "update alerts.alerts set due_at = $2 where id = any($1)"


@dataclass(frozen=True, slots=True)
class Change:
    """A warning before and after a poll."""

    before: Known | None
    after: Known

    @property
    def begins(self) -> bool:
        """Whether it asks for something and did not."""
        return self.after.live and (self.before is None or not self.before.live)

    @property
    def rises(self) -> bool:
        """Whether it begins or becomes graver."""
        return self.after.live and (self.begins or (self.before is not None and self.after.gravity > self.before.gravity))


@dataclass
class _Moves:
    """What a poll changes of who is in which alert."""

    wanted: dict[str, tuple[Goal, Known]] = field(default_factory=dict)
    """Alerts that must be there, with a first member."""
    joins: list[tuple[str, UUID]] = field(default_factory=list)
    leaves: list[tuple[UUID, UUID]] = field(default_factory=list)
    rises: dict[str, int] = field(default_factory=dict)
    """Alerts to be looked at: for the gravity that does not wait, or 0."""

    def touch(self, key: str, rise: int) -> None:
        self.rises[key] = max(self.rises.get(key, 0), rise)


class Gathering:
    """Gathers warnings into alerts."""

    def __init__(self, tree: RegionTree, alerting: Alerting) -> None:
        self._tree = tree
        self._alerting = alerting
        self._ways = ways(alerting.routes, alerting.storms)

    def way(self, route: str) -> Way:
        """Return how an alert is told; of a route that the file has no more, as the root says."""
        return self._ways.get(route) or self._ways[self._alerting.routes.id]

    async def gather(self, connection: Connection, changes: Sequence[Change], now: datetime) -> None:
        """Have each warning that begins or rises join its alert, and have all alerts that are concerned looked at."""
        if not changes:
            return
        storms = await self._storms(connection, changes, now)
        held = [change.after.id for change in changes if change.before is not None]
        memberships: dict[UUID, dict[str, tuple[UUID, Way]]] = {}
        for row in await connection.fetch(_MEMBERSHIPS, held) if held else ():
            memberships.setdefault(row["warning"], {})[row["key"]] = (row["id"], self.way(row["route"]))
        moves = _Moves()
        for change in changes:
            self._move(change, memberships.get(change.after.id, {}), storms, moves)
        await self._write(connection, moves, now)

    async def look(self, connection: Connection, warnings: Iterable[UUID], now: datetime) -> None:
        """Have the alerts of warnings looked at now: somebody did something of them."""
        keys = {row["key"] for row in await connection.fetch(_MEMBERSHIPS, list(warnings))}
        if keys:
            await connection.fetch(_TOUCH, sorted(keys), [AT_ONCE] * len(keys), now)

    def _move(self, change: Change, present: Mapping[str, tuple[UUID, Way]], storms: Mapping[str, Storm], moves: _Moves) -> None:
        """Decide where one warning goes: a new one where its route says, a graver one too, unless it is part of a storm already."""
        one = change.after
        for key, (_, way) in present.items():
            moves.touch(key, one.gravity if change.rises and way.is_urgent(one.gravity) else 0)
        if not one.live or (present and (not change.rises or any(is_storm(way) for _, way in present.values()))):
            return
        going = self._goals(one, storms)
        for goal in going:
            moves.wanted.setdefault(goal.key, (goal, one))
            moves.touch(goal.key, one.gravity if goal.way.is_urgent(one.gravity) else 0)
            if goal.key not in present:
                moves.joins.append((goal.key, one.id))
        stays = {goal.key for goal in going}
        moves.leaves += [(alert, one.id) for key, (alert, _) in present.items() if key not in stays]

    def _goals(self, one: Known, storms: Mapping[str, Storm]) -> list[Goal]:
        for storm in self._alerting.storms if storms else ():
            key = area(storm, one)
            if key is not None and key in storms:
                return [storm_goal(storm, key)]
        return goals(one, self._alerting.routes)

    async def _write(self, connection: Connection, moves: _Moves, now: datetime) -> None:
        ids = await self._touch(connection, moves, now)
        if moves.joins:
            await connection.execute(_JOIN, [ids[key] for key, _ in moves.joins], [one for _, one in moves.joins])
        if moves.leaves:
            await self._inherit(connection, moves, ids)
            await connection.execute(_LEAVE, [alert for alert, _ in moves.leaves], [one for _, one in moves.leaves])

    @staticmethod
    async def _inherit(connection: Connection, moves: _Moves, ids: Mapping[str, UUID]) -> None:
        """Have an alert tell those, too, who were told of its warnings by an alert that these have left."""
        joined: dict[UUID, list[UUID]] = {}
        for key, one in moves.joins:
            joined.setdefault(one, []).append(ids[key])
        if heirs := sorted({(heir, alert) for alert, one in moves.leaves for heir in joined.get(one, ())}):
            await connection.execute(_INHERIT, *map(list, zip(*heirs, strict=True)))

    async def _touch(self, connection: Connection, moves: _Moves, now: datetime) -> dict[str, UUID]:
        """Open the alerts that are wanted and not there, have all that are concerned looked at, and return their ids."""
        ids: dict[str, UUID] = {}
        missing, touched = dict(moves.wanted), list(moves.rises)
        for _ in range(_TRIES):
            await self._open(connection, list(missing.values()), now)
            found = await connection.fetch(_TOUCH, touched, [moves.rises[key] for key in touched], now)
            ids |= {row["key"]: row["id"] for row in found}
            missing = {key: goal for key, goal in moves.wanted.items() if key not in ids}
            touched = list(missing)
            if not missing:
                return ids
        raise AssertionError(f"{len(missing)} alerts were closed as often as they were opened")

    @staticmethod
    async def _open(connection: Connection, new: Sequence[tuple[Goal, Known]], now: datetime) -> None:
        if new:
            await connection.execute(
                _OPEN,
                [uuid5(NAMESPACE, f"{goal.key}\n{one.id}\n{one.rev}") for goal, one in new],
                [goal.key for goal, _ in new],
                [goal.way.id for goal, _ in new],
                [goal.way.escalation for goal, _ in new],
                [one.street for _, one in new],
                [one.department for _, one in new],
                [one.origin.value for _, one in new],
                [goal.storm for goal, _ in new],
                now,
                [now + goal.way.wait for goal, _ in new],
            )

    # Storms

    async def _storms(self, connection: Connection, changes: Sequence[Change], now: datetime) -> dict[str, Storm]:
        """Count what begins, and return the areas in which there is a storm."""
        if not self._alerting.storms:
            return {}
        of = {f"storm/{storm.id}": storm for storm in self._alerting.storms}
        began: Counter[str] = Counter()
        for change in changes:
            began.update(key for storm in self._alerting.storms if change.begins and (key := area(storm, change.after)) is not None)
        active = {row["area"] for row in await connection.fetch(_STORMS, now)}
        if began:
            await connection.execute(_ARRIVE, list(began), list(began.values()), now.replace(second=0, microsecond=0))
            risen = await self._risen(connection, {key: of[_rule(key)] for key in began}, now)
            await connection.execute(_STORM, list(risen), [now + storm.calm for storm in risen.values()])
            await self._sweep(connection, {key: storm for key, storm in risen.items() if key not in active}, now)
            active |= risen.keys()
        return {key: of[_rule(key)] for key in active if _rule(key) in of}

    @staticmethod
    async def _risen(connection: Connection, areas: Mapping[str, Storm], now: datetime) -> dict[str, Storm]:
        """Return the areas in which more began than a storm's rule bears."""
        risen: dict[str, Storm] = {}
        for within in {storm.within for storm in areas.values()}:
            keys = [key for key, storm in areas.items() if storm.within == within]
            since = now - within - timedelta(minutes=1)  # arrivals are counted by the minute
            for row in await connection.fetch(_BEGAN, keys, since):
                if row["began"] > areas[row["area"]].more_than:
                    risen[row["area"]] = areas[row["area"]]
        return risen

    async def _sweep(self, connection: Connection, begun: Mapping[str, Storm], now: datetime) -> None:
        """Move what waits to be told in an area into the alert of its storm, which has just begun."""
        if not begun:
            return
        moves, left = _Moves(), set()
        for row in await connection.fetch(_UNTOLD):
            one = rows.known(row, self._tree)
            key = next((key for storm in begun.values() if (key := area(storm, one)) in begun), None)
            if key is not None:
                moves.wanted.setdefault(key, (storm_goal(begun[key], key), one))
                moves.touch(key, one.gravity)
                moves.joins.append((key, one.id))
                moves.leaves.append((row["alert"], one.id))
                left.add(row["alert"])
        await self._write(connection, moves, now)
        await connection.execute(_LOOK, list(left), now)


def _rule(area: str) -> str:
    return area.partition("\n")[0]
