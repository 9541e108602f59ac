"""What the gateway reads of alerts, by the functions in `api_alerts` and with the read-only role; whose it is, the caller decides.

All raise `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from schemas.action import Decision
from schemas.alerting import Team
from schemas.base import Name
from schemas.notification import Notification
from schemas.rest import FieldAnswer, HandOverShown, SilenceShown
from services.gateway.domain.duty import Turn
from services.gateway.domain.field import Heard, Seen, Share
from services.kit import database

_CONTACTS = TypeAdapter(dict[str, str])
PERSON = "person/"
"""Begins the recipient of what a person was told."""


class Alerts:
    """Alerts' data."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    # -- alerts and their notifications

    async def told(self, warning: UUID, most: int) -> list[Notification]:
        """Return who was told of the alerts of a warning, newest first."""
        rows = await self._rows("select body from api_alerts.told($1, $2)", warning, most)
        return [Notification.model_validate_json(row["body"]) for row in rows]

    async def notification(self, id_: UUID) -> Heard | None:
        """Return a notification."""
        rows = await self._rows("select * from api_alerts.notification($1)", id_)
        return next((Heard(Notification.model_validate_json(row["body"]), row["decided_at"]) for row in rows), None)

    async def heard(self, whom: str, since: datetime, most: int) -> dict[UUID, Heard]:
        """Return the alerts of which somebody was told, that are open or were closed since, with the newest of each."""
        rows = await self._rows("select * from api_alerts.field($1, $2, $3)", whom, since, most)
        return {row["alert"]: Heard(Notification.model_validate_json(row["notification"]), row["told_at"]) for row in rows}

    async def assigned(self, whom: str, since: datetime, most: int) -> list[UUID]:
        """Return the alerts with warnings that were given to somebody, that are open or were closed since."""
        return [row["alert"] for row in await self._rows("select * from api_alerts.assigned($1, $2, $3)", whom, since, most)]

    async def told_at(self, alert: UUID, message: int) -> datetime | None:
        """Return when the newest message of an alert up to one was decided; None when that is kept no longer."""
        rows = await self._rows("select at from api_alerts.told_at($1, $2)", alert, message)
        return next((row["at"] for row in rows), None)

    async def shares(self, alerts: Sequence[UUID], upto: int | None = None) -> list[Share]:
        """Return what some alerts have, by street and department; with `upto` of what their messages up to that one told."""
        rows = await self._rows("select * from api_alerts.spread($1, $2)", alerts, upto)
        return [Share(row["alert"], row["street"], row["department"], row["open"], row["gravity"], row["open_gravity"]) for row in rows]

    async def seen(self, alerts: Sequence[UUID], of: Sequence[Share], upto: int | None = None) -> list[Seen]:
        """Return some alerts, each with the gravest of those of its warnings that are of the streets and departments of some shares.

        With `upto` only of those that its messages up to that one told.
        """
        pairs = sorted({(share.street, share.department) for share in of})
        streets, departments = [street for street, _ in pairs], [department for _, department in pairs]
        rows = await self._rows("select body from api_alerts.seen($1, $2, $3, $4)", alerts, streets, departments, upto)
        return [Seen.model_validate_json(row["body"]) for row in rows]

    async def decided(self, commands: Sequence[UUID]) -> dict[UUID, Decision]:
        """Return which of some commands are decided, and what of them."""
        rows = await self._rows("select * from api_alerts.decided($1)", commands)
        return {row["id"]: Decision(row["outcome"] or Decision.APPLIED) for row in rows}

    async def answers(self, warning: UUID) -> list[FieldAnswer]:
        """Return the positions and photos of field answers to a warning. Whoever shows them audits it."""
        return [FieldAnswer.model_validate_json(row["body"]) for row in await self._rows("select body from api_alerts.answers($1)", warning)]

    # -- duty

    async def turns(self, regions: Sequence[str], since: datetime, until: datetime) -> list[Turn]:
        """Return the teams of some regions, and who of them is on duty in a time."""
        return [_turn(row) for row in await self._rows("select * from api_alerts.duty($1, $2, $3)", regions, since, until)]

    async def team(self, id_: str) -> Team | None:
        """Return a team."""
        rows = await self._rows("select body from api_alerts.team($1)", id_)
        return next((Team.model_validate_json(row["body"]) for row in rows), None)

    async def teams_of(self, person: str) -> list[Team]:
        """Return the teams in which somebody is by `alerting.yaml`; not those in which they were only put on duty."""
        return [Team.model_validate_json(row["body"]) for row in await self._rows("select body from api_alerts.teams_of($1)", person)]

    async def person(self, id_: str) -> Name | None:
        """Return the name of somebody of `alerting.yaml`; None for others."""
        rows = await self._rows("select name from api_alerts.person($1)", id_)
        return next((Name.model_validate_json(row["name"]) for row in rows), None)

    async def contacts(self, people: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return whole addresses by person and channel. Whoever shows one unmasked audits it."""
        rows = await self._rows("select * from api_alerts.contacts($1)", people)
        return {row["person"]: _CONTACTS.validate_json(row["contacts"]) for row in rows}

    # -- the desk

    async def silences(self, regions: Sequence[str], now: datetime) -> list[SilenceShown]:
        """Return silences of some regions that are to come, in force, or over since a day."""
        rows = await self._rows("select body from api_alerts.silences($1, $2)", regions, now)
        return [SilenceShown.model_validate_json(row["body"]) for row in rows]

    async def silence(self, id_: UUID) -> SilenceShown | None:
        """Return a silence."""
        rows = await self._rows("select body from api_alerts.silence($1)", id_)
        return next((SilenceShown.model_validate_json(row["body"]) for row in rows), None)

    async def handovers(self, region: str, most: int) -> list[HandOverShown]:
        """Return the newest hand-overs of a region's desk."""
        rows = await self._rows("select body from api_alerts.handovers($1, $2)", region, most)
        return [HandOverShown.model_validate_json(row["body"]) for row in rows]

    async def handover(self, id_: UUID) -> HandOverShown | None:
        """Return a hand-over."""
        rows = await self._rows("select body from api_alerts.handover($1)", id_)
        return next((HandOverShown.model_validate_json(row["body"]) for row in rows), None)

    async def brief(self, streets: Sequence[str], since: datetime, until: datetime) -> list[str]:
        """Return the warnings of some streets that were open in a time, as they are now, as JSON (`domain.briefs.Told`)."""
        return [row["body"] for row in await self._rows("select body from api_alerts.brief($1, $2, $3)", streets, since, until)]

    async def _rows(self, query: str, *given: object) -> list[asyncpg.Record]:
        return await database.once(lambda: self._pool.fetch(query, *given), what="read what alerts keeps")


def _turn(row: asyncpg.Record) -> Turn:
    given: Mapping[str, str | None] = {each: row[each] for each in ("name", "shift")}
    return Turn(
        team=Team.model_validate_json(row["team"]),
        person=row["person"],
        name=None if given["name"] is None else Name.model_validate_json(given["name"]),
        since=row["since"],
        until=row["until"],
        shift=None if given["shift"] is None else Name.model_validate_json(given["shift"]),
        instead_of=row["instead_of"],
    )
