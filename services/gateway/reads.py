"""What the gateway reads of other rooms, by their functions in `api_<room>` and with the read-only role; the reader's scope is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition

from schemas import wire
from services.kit import database
from services.kit.topics import OBSERVATIONS, WARNINGS

ROLE = "tongguan_reader"


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

    async def revisions(self, warning: UUID, streets: Sequence[str]) -> list[str]:
        """Return all revisions of a warning, as JSON; none when it is not in scope. Raises `Unavailable`."""
        rows = await database.once(
            lambda: self._pool.fetch("select body from api_history.warning_revisions($1, $2)", warning, streets), what="read a warning"
        )
        return [row["body"] for row in rows]

    async def notifications(self, recipients: Sequence[str], streets: Sequence[str], most: int) -> list[str]:
        """Return the newest notifications of some recipients, as JSON. Raises `Unavailable`."""
        rows = await database.once(
            lambda: self._pool.fetch("select body from api_alerts.notifications($1, $2, $3)", recipients, streets, most), what="read notifications"
        )
        return [row["body"] for row in rows]


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
