"""What the gateway reads of history about reports, and about what became of a department's events.

By the functions in `api_history` and with the read-only role; whose it is, the caller decides. All raise `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import Field

from schemas.base import Time
from schemas.observation import Quality
from schemas.report import Report
from schemas.rest import AcceptedReading, AcceptedValue, ReportShown
from schemas.tiers import Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.domain.access import Scope
from services.kit import database

When = Annotated[Time, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
"""A time that is asked for: far enough from the ends of all time to be reckoned with in any zone."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which reports are asked for; None is any."""

    department: str | None = None
    matter: str | None = None
    kind: str | None = None
    channel: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Whose readings are looked for, and when they ended; of one event where `event` (source, id) says so."""

    department: str
    sensors: Sequence[str]
    since: datetime
    until: datetime
    event: tuple[str, str] | None = None


class Archive:
    """History's data."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def reports(self, region: str, asked: Asked, scope: Scope, before: UUID | None, most: int) -> list[ReportShown]:
        """Return the reports of a region as far as they are the reader's, what occurred last first; with `before`, those before one.

        Raises `Forbidden`.
        """
        pairs = [
            (one.code, department)
            for part in scope.reach(region).parts
            for department in (sorted(part.departments) if part.departments is not None else [None])
            for one in scope.tree
            if scope.tree.covers(part.region, one.code)
        ]
        rows = await self._rows(
            "select * from api_history.reports($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            *([code for code, _ in pairs], [department for _, department in pairs], asked.department, asked.matter, asked.kind, asked.channel),
            *(asked.text, asked.since, asked.until, before, most),
        )
        return [_report(row) for row in rows]

    async def report(self, id_: UUID) -> ReportShown | None:
        """Return a report, whosever it is."""
        return next((_report(row) for row in await self._rows("select id, body from api_history.report($1)", id_)), None)

    async def report_of(self, department: str, source: str, event: str) -> ReportShown | None:
        """Return the report that a department's event became."""
        rows = await self._rows("select * from api_history.report_of_event($1, $2, $3)", department, source, event)
        return next((_report(row) for row in rows), None)

    async def warned(self, department: str, since: datetime, until: datetime) -> dict[Tier, int]:
        """Return how many warnings of a department's sensors began in a time, by the gravest tier that they had."""
        rows = await self._rows("select * from api_history.warned($1, $2, $3)", department, since, until)
        return {Tier(row["tier"]): row["count"] for row in rows}

    async def accepted(self, sought: Sought, most: int) -> list[AcceptedReading]:
        """Return readings, the newest first."""
        source, event = sought.event or (None, None)
        rows = await self._rows(
            "select * from api_history.accepted($1, $2, $3, $4, $5, $6, $7)",
            *(sought.department, sought.sensors, source, event, sought.since, sought.until, most),
        )
        return [_reading(row) for row in rows]

    async def warned_by(self, department: str, reading: AcceptedReading) -> list[Warning]:
        """Return the warnings that were decided by what a sensor said, each as it was then."""
        rows = await self._rows("select body from api_history.warned_by($1, $2, $3)", department, reading.sensor, reading.end)
        return [Warning.model_validate_json(row["body"]) for row in rows]

    async def _rows(self, query: str, *given: object) -> list[asyncpg.Record]:
        return await database.once(lambda: self._pool.fetch(query, *given), what="read what history keeps")


def _report(row: asyncpg.Record) -> ReportShown:
    return ReportShown(id=row["id"], report=Report.model_validate_json(row["body"]))


def _reading(row: asyncpg.Record) -> AcceptedReading:
    flags = row["quality"] or [Quality.GOOD] * len(row["metrics"])
    return AcceptedReading(
        sensor=row["sensor"],
        statistic=row["statistic"],
        period_s=row["period_s"],
        end=row["ended_at"],
        values={
            metric: AcceptedValue(value=value, quality=Quality(flag))
            for metric, value, flag in zip(row["metrics"], row["values"], flags, strict=True)
        },
        origin=row["origin"],
        source=row["source"],
        event=row["event_id"],
        received=row["received_at"],
    )
