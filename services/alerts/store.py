"""SQL of alerts: a poll's notifications and outcomes of commands, their postings and the offsets, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from schemas.action import WarningActions
from schemas.command import Command
from schemas.envelope import EventType, to_headers
from schemas.notification import Notification
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.domain.acting import act
from services.alerts.domain.routing import told_of
from services.kit import database, outbox, partitions
from services.kit.producer import Outgoing
from services.kit.topics import ACTIONS, NOTIFICATIONS

ROOM = "alerts"
SOURCE = "/services/alerts"

_NEWER = """
insert into alerts.warnings as w (id, rev, gravest) values ($1, $2, case when $2 = 1 then $3::int else greatest($3::int, $4::int) end)
on conflict (id) do update set rev = excluded.rev, gravest = greatest(coalesce(w.gravest, $4::int), $3::int) where w.rev < excluded.rev
returning gravest
"""

_NOTIFY = """
insert into alerts.notifications (id, warning, warning_rev, recipient, street, department, decided_at, body)
values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning true
"""

_DECIDE = "insert into alerts.commands (id, warning) values ($1, $2) on conflict do nothing returning true"

_ACT = """
insert into alerts.actions (warning, rev, street, department, body) values ($1, $2, $3, $4, $5)
on conflict (warning) do update set rev = excluded.rev, street = excluded.street, department = excluded.department, body = excluded.body
"""


@dataclass(frozen=True)
class Polled:
    """What a poll brought, in order."""

    warnings: Sequence[Warning] = ()
    commands: Sequence[Command] = ()


class Store:
    """All of alerts' writing."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def take(self, taken: Sequence[TopicPartition]) -> dict[TopicPartition, partitions.Claim]:
        """Become the owner of partitions."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await partitions.claim(connection, ROOM, taken)

    async def commit(
        self,
        claims: partitions.Claims,
        offsets: Mapping[TopicPartition, int],
        polled: Polled,
        route: Callable[[Warning, int], Iterable[Notification]],
    ) -> int:
        """Deal with a poll in order; returns how many notifications are new. Raises `Fenced`, having changed nothing.

        1. The offsets move on, if every partition is still ours: else all is rolled back.
        2. A warning whose rev is not newer than the one dealt with is passed over; else its greatest gravity so far is noted.
        3. Its notifications are rows, by their identity, with a posting for each that is new.
        4. A command that was not decided yet is decided, its outcome a row and a posting.
        5. All of it commits at once; the relay publishes after that.
        """
        told = 0
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.advance(connection, ROOM, claims, offsets)
            for warning in polled.warnings:
                gravest = await connection.fetchval(_NEWER, warning.id, warning.rev, told_of(warning), warning.peak.gravity)
                if gravest is not None:
                    new = [one for one in route(warning, gravest) if await _notify(connection, one)]
                    await outbox.post(connection, ROOM, [_posting(one) for one in new])
                    told += len(new)
            for command in polled.commands:
                if await connection.fetchval(_DECIDE, command.id, command.warning):
                    await outbox.post(connection, ROOM, [_outcome(await _act(connection, command), command)])
        return told


async def _act(connection: database.Connection, command: Command) -> WarningActions:
    """Decide a command. One owner at a time works a warning's commands, for their key is the warning's."""
    body = await connection.fetchval("select body from alerts.actions where warning = $1", command.warning)
    outcome = act(WarningActions.model_validate_json(body) if body is not None else None, command)
    await connection.execute(_ACT, outcome.warning, outcome.rev, outcome.street, outcome.department, outcome.model_dump_json())
    return outcome


async def _notify(connection: database.Connection, one: Notification) -> bool:
    body = one.model_dump_json()
    return bool(
        await connection.fetchval(_NOTIFY, one.id, one.warning, one.warning_rev, one.recipient, one.street, one.department, one.decided_at, body)
    )


def _outcome(outcome: WarningActions, command: Command) -> outbox.Posting:
    key = str(outcome.warning)
    headers = to_headers(id=f"{key}:{outcome.rev}", type=EventType.WARNING_ACTIONS, source=SOURCE, subject=key, time=command.at)
    return outbox.Posting(ACTIONS, Outgoing(outcome.model_dump_json().encode(), key=key.encode(), headers=headers))


def _posting(one: Notification) -> outbox.Posting:
    headers = to_headers(id=str(one.id), type=EventType.NOTIFICATION, source=SOURCE, subject=str(one.warning), time=one.decided_at)
    return outbox.Posting(NOTIFICATIONS, Outgoing(one.model_dump_json().encode(), key=str(one.warning).encode(), headers=headers))
