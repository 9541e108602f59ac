"""Departments' keys in PostgreSQL: made, replaced and revoked by command; their SHA-256 alone is known here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from schemas.command import KeyScope, MakeKey, RevokeKey
from schemas.outcome import Outcome
from services.ingest.keys import Key, sender_of
from services.ingest.worker import Decision
from services.kit import database
from services.kit.database import Connection

MOST = 100
"""Good keys of a department: who needs more has forgotten to revoke."""

_COUNT = "select count(*) from ingest.keys where department = $1 and revoked_at is null and coalesce(expires_at > clock_timestamp(), true)"
_MAKE = """
insert into ingest.keys (id, department, digest, label, scope, made_at, made_by, expires_at)
values ($1, $2, decode($3, 'hex'), $4, $5, clock_timestamp(), $6, $7) on conflict do nothing returning true
"""
_REPLACE = """
update ingest.keys set expires_at = least(expires_at, clock_timestamp() + make_interval(secs => $3))
where id = $1 and department = $2 and revoked_at is null and coalesce(expires_at > clock_timestamp(), true) returning expires_at
"""
_REVOKE = """
update ingest.keys set revoked_at = clock_timestamp(), revoked_by = $3 where id = $1 and department = $2 and revoked_at is null returning revoked_at
"""


class Keyring:
    """Decides `MakeKey` and `RevokeKey`: see `services.ingest.worker.Decider`."""

    kinds = frozenset({"make_key", "revoke_key"})

    async def decide(self, connection: Connection, command: MakeKey | RevokeKey) -> Decision:
        """Make a key, shortening the time of the one that it replaces, or revoke one."""
        return await (_make(connection, command) if isinstance(command, MakeKey) else _revoke(connection, command))


async def _make(connection: Connection, command: MakeKey) -> Decision:
    await connection.execute("select pg_advisory_xact_lock(hashtext('ingest.keys ' || $1))", command.department)
    if await connection.fetchval(_COUNT, command.department) >= MOST:
        return Decision.refused("too_many", "department", f"{command.department} has {MOST} keys that are good", "revoke those that nobody uses")
    until = None
    if command.replaces is not None:
        until = await connection.fetchval(_REPLACE, command.replaces, command.department, float(command.overlap_s))
        if until is None:
            return Decision.refused(
                "unknown_key", "replaces", f"{command.department} has no good key {command.replaces}", "leave it out for a new key"
            )
    made = (command.key, command.department, command.digest, command.label, command.scope.model_dump_json(), command.actor.id, command.expires)
    if not await connection.fetchval(_MAKE, *made):
        return Decision.refused("taken", "key", f"there is a key {command.key} already, or one of that SHA-256", "make another")
    return Decision(Outcome.APPLIED, {"key": command.key, "replaced_until": until})


async def _revoke(connection: Connection, command: RevokeKey) -> Decision:
    if await connection.fetchval(_REVOKE, command.key, command.department, command.actor.id) is not None:
        return Decision(Outcome.APPLIED, {"key": command.key})
    if await connection.fetchval("select true from ingest.keys where id = $1 and department = $2", command.key, command.department):
        return Decision(Outcome.ALREADY, {"key": command.key})
    return Decision.refused("unknown_key", "key", f"{command.department} has no key {command.key}", "see the list of its keys")


class KeyTable:
    """The table, for who lets in."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def good(self) -> Sequence[Key]:
        """Return the keys that are good now."""
        rows = await self._pool.fetch(
            "select id, department, digest, scope, expires_at from ingest.keys"
            " where revoked_at is null and coalesce(expires_at > clock_timestamp(), true)"
        )
        return [
            Key(row["id"], row["digest"], sender_of(row["department"], KeyScope.model_validate_json(row["scope"])), row["expires_at"]) for row in rows
        ]

    async def used(self, used: Mapping[str, datetime]) -> None:
        """Note when keys were used last."""
        await self._pool.execute(
            "update ingest.keys k set used_at = greatest(k.used_at, u.at) from unnest($1::text[], $2::timestamptz[]) as u (id, at) where k.id = u.id",
            list(used),
            list(used.values()),
        )
