"""Commands: what somebody asks for is written with its audit in one transaction, and answered with what was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from fastapi import Response

from schemas.action import Actor, Decision, WarningActions
from schemas.command import Command
from schemas.envelope import EventType, to_headers
from schemas.rest import Answered
from services.gateway import store
from services.gateway.answers import ANSWER_S
from services.gateway.audit import SOURCE, With
from services.gateway.domain.access import Scope
from services.gateway.errors import Conflict
from services.gateway.http import Sources, Trail
from services.kit import database
from services.kit.outbox import Posting
from services.kit.producer import Outgoing
from services.kit.topics import COMMANDS


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A command, and what the audit tells of it."""

    command: Command
    subject: str
    """Its key."""
    action: str
    region: str | None
    detail: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> dict[str, str]:
        """The detail of the entry."""
        return {"command": str(self.command.id), **self.detail}

    @property
    def posting(self) -> Posting:
        """The record."""
        one, key = self.command, self.subject
        headers = to_headers(id=str(one.id), type=EventType.COMMAND, source=SOURCE, subject=key, time=one.at)
        return Posting(COMMANDS, Outgoing(one.model_dump_json().encode(), key=key.encode(), headers=headers))


def actor(scope: Scope) -> Actor:
    """Return who asks."""
    return Actor(id=scope.principal.id, name=scope.principal.name)


def noted(note: str | None) -> dict[str, str]:
    """Return the detail of a note."""
    return {} if note is None else {"note": note}


async def done(asked: Asked, audited: Trail, with_: With | None = None) -> None:
    """Write a command. Raises `TooMany`, `Unavailable`: then it is not written."""
    await audited.done(asked.action, asked.subject, region=asked.region, detail=asked.told, postings=[asked.posting], with_=with_)


async def of_warning(asked: Asked, sources: Sources, audited: Trail) -> WarningActions | Response:
    """Write a command about one warning; returns what was done of the warning then, or 202 when that takes longer than `ANSWER_S`."""
    with sources.answers.expect(asked.command.id) as answer:
        await done(asked, audited)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            return Response(status_code=202)


async def of_other(asked: Asked, sources: Sources, audited: Trail) -> Response:
    """Write a command about anything else; returns its outcome, or 202 when that takes longer than `ANSWER_S`."""
    await done(asked, audited)
    return await outcome(asked.command.id, sources)


async def once(asked: Asked, sources: Sources, audited: Trail) -> Response:
    """Write a command whose id is not of our making, unless it was given before; returns its outcome either way.

    Raises `Conflict` when somebody else gave one of that id.
    """
    id_ = asked.command.id
    known = await sources.alerts.decided([id_])
    if id_ in known:
        return answered(id_, known[id_])
    await done(asked, audited, _given(asked.command, sources))
    return await outcome(id_, sources)


def _given(command: Command, sources: Sources) -> With:
    async def given(connection: database.Connection) -> bool:
        before = await store.give(connection, command.id, command.actor.id, sources.clock.now())
        if before is not None and before != command.actor.id:
            raise Conflict("a command of this id was given by somebody else: make another id")
        return before is None

    return given


async def outcome(command: UUID, sources: Sources) -> Response:
    """Wait for the outcome of a command; 202 without one when that takes longer than `ANSWER_S`."""
    return answered(command, await sources.outcomes.of(command))


def answered(command: UUID, decided: Decision | None) -> Response:
    """Return the answer to a command (`schemas.rest.Answered`)."""
    body = Answered(command=command, outcome=decided).model_dump_json()
    return Response(body, 202 if decided is None else 200, media_type="application/json")
