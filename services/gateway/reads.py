"""What the gateway reads of other rooms, by their functions in `api_<room>` and with the read-only role.

The reader's streets are an argument; what these hold of departments that are not the reader's is left out here, by the same decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition
from pydantic import TypeAdapter

from schemas import wire
from schemas.base import Frozen, Origin
from schemas.observation import Quality
from schemas.rest import Point
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.domain.access import Scope
from services.kit import database
from services.kit.topics import OBSERVATIONS, WARNINGS

ROLE = "tongguan_reader"
LOOKED_AT = 20
"""So many times the notifications asked for are looked at to find the reader's among them."""


class _Whose(Frozen, extra="ignore"):
    street: str
    department: str


_WHOSE = TypeAdapter(_Whose)


@dataclass(frozen=True)
class Boot:
    """What history holds, and up to where: reading the topics goes on from there."""

    warnings: list[str]
    observations: list[wire.Observation]
    positions: dict[TopicPartition, int]


class Reads:
    """Other rooms' data."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def boot(self, streets: Sequence[str], sensors: Sequence[str]) -> Boot:
        """Read open warnings, newest values and history's offsets in one snapshot of the database."""
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            positions = {
                TopicPartition(topic, row["partition"]): row["next_offset"]
                for topic in (WARNINGS, OBSERVATIONS)
                for row in await connection.fetch("select * from api_history.positions($1)", topic)
            }
            warnings = [row["body"] for row in await connection.fetch("select body from api_history.open_warnings($1)", streets)]
            rows = await connection.fetch("select * from api_history.latest_observations($1, $2)", sensors, streets)
        return Boot(warnings, [_observation(row) for row in rows], positions)

    async def actions(self, warnings: Sequence[UUID]) -> list[str]:
        """Return what people did of some warnings, as JSON."""
        return [row["body"] for row in await self._pool.fetch("select body from api_alerts.actions($1)", warnings)]

    async def raised(self, warnings: Sequence[UUID]) -> dict[UUID, int]:
        """Return the revisions that last opened some warnings or made them graver."""
        return {row["warning"]: row["rev"] for row in await self._pool.fetch("select * from api_alerts.raised($1)", warnings)}

    async def revisions(self, warning: UUID, scope: Scope) -> list[str]:
        """Return all revisions of a warning, as JSON; none when it is not in scope. Raises `Unavailable`."""
        rows = await database.once(
            lambda: self._pool.fetch("select body from api_history.warning_revisions($1, $2)", warning, scope.streets()), what="read a warning"
        )
        return [row["body"] for row in rows if _sees(scope, row["body"])]

    async def notifications(self, recipients: Sequence[str], scope: Scope, most: int) -> list[str]:
        """Return the newest notifications of some recipients, as JSON. Raises `Unavailable`.

        For a reader of some departments it looks at `LOOKED_AT` times as many: more would be hidden behind others' only in such a flood.
        """
        looked_at = most if scope.whole else most * LOOKED_AT
        rows = await database.once(
            lambda: self._pool.fetch("select body from api_alerts.notifications($1, $2, $3)", recipients, scope.streets(), looked_at),
            what="read notifications",
        )
        return [row["body"] for row in rows if _sees(scope, row["body"])][:most]

    async def series(self, warning: Warning, since: datetime, until: datetime, most: int) -> tuple[list[Point], int]:
        """Return the values of the series that decided a warning, thinned out to `most`, and how many there are. Raises `Unavailable`.

        A place's warning is of no single sensor's series: it has none.
        """
        if warning.sensor is None:
            return [], 0
        of = warning.evidence
        rows = await database.once(
            lambda: self._pool.fetch(
                "select * from api_history.series($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                *(warning.sensor, of.metric, of.statistic.value, of.period_s, warning.street, warning.department, since, until, most),
            ),
            what="read a series",
        )
        points = [Point(at=row["ended_at"], value=row["value"], quality=Quality(row["quality"]), origin=Origin(row["origin"])) for row in rows]
        return points, rows[0]["total"] if rows else 0


def _sees(scope: Scope, body: str) -> bool:
    whose = _WHOSE.validate_json(body)
    return scope.sees(whose.street, whose.department)


def _observation(row: asyncpg.Record) -> wire.Observation:
    metrics, values, quality = row["metrics"], row["values"], row["quality"] or []
    end = wire.to_micros(row["ended_at"])
    flags = {metric: flag for metric, flag in zip(metrics, quality, strict=False) if flag != "good"}
    return wire.Observation(
        id="",
        source="",
        department="",
        sensor=row["sensor"],
        street=row["street"],
        domain="",
        start=end - row["period_s"] * 1_000_000,
        end=end,
        statistic=row["statistic"],
        values=dict(zip(metrics, values, strict=True)),
        quality=flags,
        origin=row["origin"],
        received=wire.to_micros(row["received_at"]),
    )
