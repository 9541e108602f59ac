"""Which doors are stopped for whom, on this node: asked before what was judged is published, told afterwards; see `services.ingest.domain.breaker`.

What stands in `ingest.doors` is for people: it is written every few seconds, and a node takes from there that somebody has opened a door again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from schemas.command import ReopenDoor
from schemas.outcome import Outcome
from services.ingest.domain.breaker import Admission, Breaker, Turn
from services.ingest.worker import Decision
from services.kit import database, logs
from services.kit.clock import Clock
from services.kit.database import Connection
from services.kit.errors import Unavailable
from services.kit.health import Check

_log = logs.get(__name__)

SYNC_S = 2.0
"""How soon a door opens after somebody has said so."""
GONE_S = 60
"""A node that has not said for so long what is stopped has ended."""
NEVER = frozenset({"gb26875", "hj212", "inbound"})
"""Protocols that are not stopped. Devices of the field keep what is refused as a whole anyway, since it is not confirmed; and anybody may connect to
their ports, who must not be able to stop a fire brigade's door by 500 frames of rubbish. A department's own topic keeps its records for 7 days, and
what is refused of it is kept; to wait with it would hold up the others' topics that are read with it."""
WEIGHED_H = 7 * 24
"""Hours before this process began whose counts say what was accepted before: a door that is stopped counts one refused delivery a minute, and a
restart after a weekend of them must not take it for one that always refused."""

_BEFORE = f"""
select split_part(door, '@', 1) as protocol, department, sum(observations + reports)::bigint as accepted, sum(refused)::bigint as refused
from ingest.flow where minute > clock_timestamp() - interval '{WEIGHED_H} hours' group by 1, 2
"""  # noqa: S608 - a constant of ours
_REOPENED = "delete from ingest.doors where door = any($1) and reopen_by is not null returning door, department, reopen_by"
_OVER = """
delete from ingest.doors d where d.door = any($1) and not exists (
    select from unnest($2::text[], $3::text[]) as t (door, department) where t.door = d.door and t.department = d.department)
"""
_STOPPED = """
insert into ingest.doors as d (door, department, stopped_at, said_at, why)
select door, department, clock_timestamp(), clock_timestamp(), why from unnest($1::text[], $2::text[], $3::text[]) as t (door, department, why)
on conflict (door, department) do update set said_at = excluded.said_at, why = excluded.why
"""
_REOPEN = f"""
update ingest.doors set reopen_by = $3
where split_part(door, '@', 1) = $1 and department = $2 and reopen_by is null
    and said_at > clock_timestamp() - interval '{GONE_S} seconds' returning door
"""  # noqa: S608 - a constant of ours


class Stopped(Unavailable):
    """A door that refuses all that it took before takes no more of it: what comes must not be acknowledged, its sender keeps it."""

    def __init__(self, door: str, department: str, why: str, after_s: float) -> None:
        """`after_s` says in how many seconds a delivery is taken whatever it is."""
        super().__init__(
            f"{door} is stopped for {department}: it refuses all that it took before ({why}), so the fault may be ours;"
            " keep what you have and send it again"
        )
        self.after_s = after_s


@dataclass
class _At:
    breaker: Breaker
    why: str = ""
    """What was said of the newest that was refused."""


class Stops:
    """The breakers of this node, by door and department. To be used on one event loop."""

    def __init__(self, pool: database.Pool, clock: Clock, check: Check, metrics: CollectorRegistry) -> None:
        self._pool = pool
        self._clock = clock
        self._check = check
        self._gauge = Gauge("tongguan_ingest_door_stopped", "1 while a door is stopped for a department", ["door", "department"], registry=metrics)
        self._before: dict[tuple[str, str], tuple[int, int]] = {}
        self._at: dict[tuple[str, str], _At] = {}

    async def load(self) -> None:
        """Learn what was accepted before this process began: call it before a door opens, else the first bad release goes unseen."""
        rows = await self._pool.fetch(_BEFORE)
        self._before = {(row["protocol"], row["department"]): (row["accepted"], row["refused"]) for row in rows}

    def admit(self, door: str, department: str, accepted: int, refused: int) -> None:
        """Let in a delivery of which so much would be accepted and refused, or raise `Stopped`; `door` is `<protocol>@<node>`.

        Whoever is let in is told of with `count`, once it is durable.
        """
        if door.partition("@")[0] in NEVER:
            return
        at, now = self._known(door, department), self._clock.monotonic()
        admission = at.breaker.admits(accepted, refused, now)
        if admission is Admission.STOPPED:
            raise Stopped(door, department, at.why, at.breaker.retry_after(now))
        if admission is Admission.PROBE:
            _log.info("door_probed", door=door, department=department)

    def count(self, door: str, department: str, *, accepted: int, refused: int, why: str = "") -> None:
        """Count what became of a delivery; `why` says what was wrong with one that was refused."""
        if door.partition("@")[0] in NEVER:
            return
        at = self._known(door, department)
        at.why = why or at.why
        turn = at.breaker.count(accepted, refused, self._clock.monotonic())
        if turn is Turn.STOPPED:
            _log.error("door_stopped", door=door, department=department, why=why, hint="it refuses all that it took before: is our release at fault?")
        elif turn is Turn.REOPENED:
            _log.warning("door_reopened", door=door, department=department, by="what came")

    def stopped(self) -> list[tuple[str, str, str]]:
        """Return what is stopped: door, department and why."""
        return [(*key, at.why) for key, at in sorted(self._at.items()) if at.breaker.stopped]

    async def run(self) -> None:
        """Tell what is stopped, and open what somebody wants open, every `SYNC_S` until cancelled."""
        while True:
            try:
                await database.once(self.sync, what="write which doors are stopped")
            except Unavailable as error:
                _log.warning("doors_not_written", error=str(error))
            await asyncio.sleep(SYNC_S)

    async def sync(self) -> None:
        """Do so once."""
        doors = sorted({door for door, _ in self._at})
        async with self._pool.acquire() as connection, connection.transaction():
            for row in await connection.fetch(_REOPENED, doors):
                self._open(row["door"], row["department"], row["reopen_by"])
            stopped = self.stopped()
            columns = [list(column) for column in zip(*stopped, strict=True)] or [[], [], []]
            await connection.execute(_OVER, doors, *columns[:2])
            await connection.execute(_STOPPED, *columns)
        self._tell(stopped)

    def _open(self, door: str, department: str, by: str) -> None:
        self._known(door, department).breaker.reopen()
        _log.warning("door_reopened", door=door, department=department, by=by)

    def _tell(self, stopped: Sequence[tuple[str, str, str]]) -> None:
        self._gauge.clear()
        for door, department, _ in stopped:
            self._gauge.labels(door, department).set(1)
        if stopped:
            # Everybody may read this: it says neither whose nor what.
            doors = ", ".join(sorted({door for door, _, _ in stopped}))
            self._check.fail(f"{doors} refused all that it took before and is stopped for {len(stopped)} departments: look in ingest.doors")
        else:
            self._check.ok()

    def _known(self, door: str, department: str) -> _At:
        at = self._at.get((door, department))
        if at is None:
            before = self._before.get((door.partition("@")[0], department), (0, 0))
            at = self._at[door, department] = _At(Breaker(*before))
        return at


class Reopening:
    """Decides that a door is to be opened again (`services.ingest.worker.Decider`): its nodes do so within `SYNC_S`."""

    kinds = frozenset({"reopen_door"})

    async def decide(self, connection: Connection, command: ReopenDoor) -> Decision:
        """Note it for all nodes at which the door is stopped for the department."""
        rows = await connection.fetch(_REOPEN, command.door, command.department, command.actor.id)
        doors = sorted(row["door"] for row in rows)
        return Decision(Outcome.APPLIED if doors else Outcome.ALREADY, {"doors": doors})
