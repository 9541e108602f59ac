"""A poll taken in: what its warnings and commands change, the alerts that they concern, and the offsets, in one transaction.

Nothing is told here. An alert that may have something to say gets a time to be looked at (`due_at`), and `services.alerts.desk` looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from aiokafka import TopicPartition

from schemas.action import WarningActions
from schemas.command import ToAlerts
from schemas.envelope import EventType, to_headers
from schemas.regions import RegionTree
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts import commands, rows
from services.alerts.domain.acting import followed, reopened
from services.alerts.domain.known import Known, taken
from services.alerts.domain.what import what
from services.alerts.gathering import Change, Gathering
from services.kit import database, outbox, partitions
from services.kit.clock import Clock
from services.kit.producer import Outgoing
from services.kit.topics import ACTIONS

ROOM = "alerts"
SOURCE = "/services/alerts"

_RECORDS = "select warning, body from alerts.actions where warning = any($1)"

_ACT = """
insert into alerts.actions (warning, rev, street, department, body)
select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::jsonb[])
on conflict (warning) do update set rev = excluded.rev, street = excluded.street, department = excluded.department, body = excluded.body
"""


@dataclass(frozen=True)
class Polled:
    """What a poll brought, in order."""

    warnings: Sequence[Warning] = ()
    commands: Sequence[ToAlerts] = ()


class Store:
    """Takes polls in."""

    def __init__(self, pool: database.Pool, tree: RegionTree, gathering: Gathering, clock: Clock) -> None:
        self._pool = pool
        self._tree = tree
        self._gathering = gathering
        self._clock = clock

    async def take(self, claimed: Sequence[TopicPartition]) -> dict[TopicPartition, partitions.Claim]:
        """Become the owner of partitions."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await partitions.claim(connection, ROOM, claimed)

    async def commit(self, claims: partitions.Claims, offsets: Mapping[TopicPartition, int], polled: Polled) -> int:
        """Take a poll in; returns how many warnings were news. Raises `Fenced`, having changed nothing.

        1. The offsets move on, if every partition is still ours: else all is rolled back.
        2. Each warning's revisions are folded into what is known of it; one that is not newer is passed over.
        3. Clearings by hand that a rise undoes are undone, with a posting.
        4. Each warning that begins or rises joins its alert, which is opened where there is none; in a storm that of its area.
        5. Commands that were not decided yet are decided, their outcomes rows and postings.
        6. The alerts concerned are to be looked at. All of it commits at once; the relay and the desk come after that.
        """
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.advance(connection, ROOM, claims, offsets)
            changes = await self._fold(connection, polled.warnings)
            await self._gathering.gather(connection, changes, now)
            if polled.commands:
                answered = await commands.decide(connection, polled.commands, self._tree, now)
                await tell_actions(connection, answered.actions)
                await self._gathering.gather(connection, answered.changes, now)
                await self._gathering.look(connection, answered.warnings, now)
        return len(changes)

    # Warnings

    async def _fold(self, connection: database.Connection, warnings: Sequence[Warning]) -> list[Change]:
        revisions: dict[UUID, list[Warning]] = {}
        for one in warnings:
            revisions.setdefault(one.id, []).append(one)
        if not revisions:
            return []
        known = await rows.hold(connection, revisions, self._tree)
        records = await self._records(connection, revisions, known)
        undone: list[WarningActions] = []
        changes: list[Change] = []
        for id_, of_it in revisions.items():
            before, after = known.get(id_), self._after(known.get(id_), of_it)
            if after is None or after is before:
                continue
            if (record := records.get(id_)) is not None:
                after = followed(after, record)
                if (lifted := reopened(after, record)) is not None:
                    undone.append(lifted)
            changes.append(Change(before, after))
        await rows.add(connection, [one.after for one in changes if one.before is None])
        await rows.change(connection, [one.after for one in changes if one.before is not None])
        await tell_actions(connection, undone)
        return changes

    def _after(self, known: Known | None, revisions: Sequence[Warning]) -> Known | None:
        for revision in revisions:
            known = taken(known, revision, self._tree, what) or known
        return known

    @staticmethod
    async def _records(connection: database.Connection, revisions: Mapping[UUID, object], known: Mapping[UUID, Known]) -> dict[UUID, WarningActions]:
        """Return what people did of warnings that are new here, or cleared by hand: a command may have come first, a rise may undo it."""
        asked = [id_ for id_ in revisions if id_ not in known or known[id_].cleared_gravity]
        if not asked:
            return {}
        if len(asked) > sum(id_ in known for id_ in asked):
            await connection.execute("select pg_advisory_xact_lock_shared($1)", commands.NEWCOMERS)
        found = await connection.fetch(_RECORDS, asked)
        return {row["warning"]: WarningActions.model_validate_json(row["body"]) for row in found}


# What people did


async def tell_actions(connection: database.Connection, records: Sequence[WarningActions]) -> None:
    """Keep the newest of the records that were made of each warning, and post all of them."""
    if not records:
        return
    newest = {record.warning: record for record in records}.values()
    await connection.execute(
        _ACT,
        [one.warning for one in newest],
        [one.rev for one in newest],
        [one.street for one in newest],
        [one.department for one in newest],
        [one.model_dump_json() for one in newest],
    )
    await outbox.post(connection, ROOM, [_posting(one) for one in records])


def _posting(record: WarningActions) -> outbox.Posting:
    key = str(record.warning)
    at = record.trail[-1].at if record.trail else record.acknowledged.at if record.acknowledged else None
    assert at is not None  # noqa: S101 - each revision has an entry
    headers = to_headers(id=f"{key}:{record.rev}", type=EventType.WARNING_ACTIONS, source=SOURCE, subject=key, time=at)
    return outbox.Posting(ACTIONS, Outgoing(record.model_dump_json().encode(), key=key.encode(), headers=headers))
