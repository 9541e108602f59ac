"""What the gateway reads of ingest about the registry, by the functions in `api_ingest` and with the read-only role.

Of lists the reader's streets and departments are arguments; of a single sensor the caller decides whose it is. All raise `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec

from schemas.rest import SensorHealth, UnknownShown
from schemas.sensor import Sensor
from services.kit import database


@dataclass(frozen=True)
class Visible:
    """What somebody sees of the registry."""

    whole: Sequence[str]
    """Streets of which they see the sensors of all departments."""
    streets: Sequence[str]
    departments: Sequence[str]
    """Of these streets, one by one, those of one department."""
    known: Sequence[str] | None
    """All regions of the city, for who sees those of none of them, too."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which sensors are asked for; None is any."""

    department: str | None = None
    domain: str | None = None
    life: str | None = None
    station: str | None = None
    protocol: str | None = None
    health: str | None = None
    text: str | None = None


class Registered:
    """Ingest's registry."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def sensor(self, id_: str, now: datetime) -> tuple[Sensor, SensorHealth] | None:
        """Return a sensor, and how it is."""
        rows = await self._rows("select * from api_ingest.sensor($1, $2)", id_, now)
        return next((shown(row, now) for row in rows), None)

    async def sensors(self, visible: Visible, asked: Asked, after: str | None, most: int, now: datetime) -> list[asyncpg.Record]:
        """Return sensors by id, those after one, as rows for `shown`."""
        return await self._rows(
            "select * from api_ingest.sensors($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            *(visible.whole, visible.streets, visible.departments, visible.known),
            *(asked.department, asked.domain, asked.life, asked.station, asked.protocol, asked.health, asked.text, after, most, now),
        )

    async def unknown(self, departments: Sequence[str] | None, protocol: str | None, text: str | None, most: int) -> list[UnknownShown]:
        """Return whom nobody registered, of some departments or of all, the last heard first."""
        return [_unknown(row) for row in await self._rows("select * from api_ingest.unknown($1, $2, $3, $4)", departments, protocol, text, most)]

    async def _rows(self, query: str, *given: object) -> list[asyncpg.Record]:
        return await database.once(lambda: self._pool.fetch(query, *given), what="read the registry")


def shown(row: asyncpg.Record, now: datetime) -> tuple[Sensor, SensorHealth]:
    """Return what a row says."""
    ended = row["ended_at"]
    health = SensorHealth(
        state=row["state"],
        heard_at=row["heard_at"],
        ended_at=ended,
        age_s=None if ended is None else (now - ended).total_seconds(),
        **{name: row[name] or 0 for name in ("readings", "values", "bad", "late", "gaps", "longest_gap_s", "skew_s")},
    )
    return Sensor.model_validate_json(row["body"]), health


def _unknown(row: asyncpg.Record) -> UnknownShown:
    sample = msgspec.json.decode(row["sample"])
    return UnknownShown(
        protocol=row["protocol"],
        device=row["device"],
        department=row["department"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        count=row["count"],
        said=str(sample.get("said", "")),
    )
