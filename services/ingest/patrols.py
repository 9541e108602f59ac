"""Patrol checks (查岗): somebody asks whoever is on duty at a building to press a button, and sees whether it was pressed in time.

A check is a row of `ingest.patrols`. Of the nodes that see it, the one that holds the device's newest connection takes it and calls (of a device that
has moved, an older one may stand for minutes); the device confirms the call at once and sends the operator's answer later, by whatever connection it
then has.

asked ─┬─► sent ─┬─► answered
       │         ├─► missed         the device confirmed the call, and nobody answered
       │         ├─► denied         the device knows no such call
       │         └─► not_connected  the device did not confirm the call; an answer in time counts all the same
       └─► not_connected            no node had the device within `FIND_S`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from schemas.command import Patrol
from schemas.outcome import Outcome
from services.ingest.domain.gb26875 import PROTOCOL
from services.ingest.domain.registry import Registry
from services.ingest.worker import Decision
from services.kit import database
from services.kit.database import Connection

FIND_S = 5
"""How long a device may be on its way from one node to another."""
GRACE_S = 10
"""An answer given in the last second has a confirmation's time to arrive."""

_ASK = """
insert into ingest.patrols (id, device, department, asked_by, asked_at, within_s, until)
values ($1, $2, $3, $4, clock_timestamp(), $5, clock_timestamp() + make_interval(secs => $5::int)) returning until
"""
_ASKED = "select id, device, within_s from ingest.patrols where state = 'asked' order by asked_at"
_TAKE = f"""
update ingest.patrols p set state = 'sent', node = $2, sent_at = clock_timestamp(), until = clock_timestamp() + make_interval(secs => within_s)
where id = any($1) and state = 'asked' and not exists (
    select from ingest.devices d where d.protocol = '{PROTOCOL}' and d.device = p.device and d.node <> $2 and d.gone_at is null)
returning id, device, within_s
"""  # noqa: S608 - a constant of ours
_CONFIRMED = "update ingest.patrols set confirmed_at = clock_timestamp() where id = $1 and confirmed_at is null"
_DENIED = "update ingest.patrols set state = 'denied' where id = $1 and state = 'sent'"
_ANSWERED = f"""
update ingest.patrols set state = 'answered', answered_at = clock_timestamp(), operator = $2
where id in (
    select id from ingest.patrols where device = $1 and sent_at is not null and answered_at is null
        and clock_timestamp() < until + interval '{GRACE_S} seconds')
"""  # noqa: S608 - a constant of ours
_OVER = f"""
update ingest.patrols set state = case when confirmed_at is null then 'not_connected' else 'missed' end
where (state = 'asked' and asked_at < clock_timestamp() - interval '{FIND_S} seconds')
    or (state = 'sent' and until < clock_timestamp() - interval '{GRACE_S} seconds')
"""  # noqa: S608 - constants of ours
_FORGET = "delete from ingest.patrols where asked_at < clock_timestamp() - interval '400 days'"


@dataclass(frozen=True)
class Call:
    """A check to be sent."""

    id: UUID
    device: str
    within_s: int

    @property
    def minutes(self) -> int:
        """As the device is told: whole minutes, at least as long as it was asked for."""
        return -(-self.within_s // 60)


class Patrolling:
    """Decides that somebody on duty is to be called (`services.ingest.worker.Decider`)."""

    kinds = frozenset({"patrol"})

    def __init__(self, registry: Callable[[], Registry | None]) -> None:
        self._registry = registry

    async def decide(self, connection: Connection, command: Patrol) -> Decision:
        """Note the check for the node that has the device, if the device is of the command's department."""
        registry = self._registry()
        known = registry.heard_by(PROTOCOL, command.device) if registry is not None else ()
        if all(one.department != command.department for one in known):
            return Decision.refused(
                "unknown_device",
                "device",
                f"{command.department} has no transmission device {command.device}",
                "use the device of a registered sensor's link",
            )
        until = await connection.fetchval(_ASK, command.id, command.device, command.department, command.actor.id, command.within_s)
        return Decision(Outcome.APPLIED, {"patrol": command.id, "until": until})


class Calls:
    """The checks as a node sees them."""

    def __init__(self, pool: database.Pool, node: str) -> None:
        self._pool = pool
        self._node = node

    async def take(self, is_here: Callable[[str], bool]) -> Sequence[Call]:
        """Take the checks of devices that are connected here, and to no other node since; no other node has them then."""
        await database.once(lambda: self._pool.execute(_OVER), what="end patrol checks")
        asked = await database.once(lambda: self._pool.fetch(_ASKED), what="read patrol checks")
        mine = [row["id"] for row in asked if is_here(row["device"])]
        if not mine:
            return ()
        taken = await database.once(lambda: self._pool.fetch(_TAKE, mine, self._node), what="take patrol checks")
        return [Call(row["id"], row["device"], row["within_s"]) for row in taken]

    async def confirmed(self, call: UUID) -> None:
        """Note that the device calls."""
        await database.once(lambda: self._pool.execute(_CONFIRMED, call), what="note that a patrol check was confirmed")

    async def denied(self, call: UUID) -> None:
        """Note that the device does not call."""
        await database.once(lambda: self._pool.execute(_DENIED, call), what="note that a patrol check was denied")

    async def answered(self, device: str, operator: int) -> None:
        """Note that an operator answered: all checks of the device that are open."""
        await database.once(lambda: self._pool.execute(_ANSWERED, device, operator), what="note the answer to a patrol check")

    async def forget(self) -> None:
        """Let the oldest go."""
        await database.once(lambda: self._pool.execute(_FORGET), what="forget old patrol checks")
