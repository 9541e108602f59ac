"""What the gateway reads of ingest about devices that keep a connection, by the functions in `api_ingest` and with the read-only role.

Whose it is, the caller decides; each function takes the department and tells nothing of another. All raise `Unavailable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from schemas.rest import DeviceShown, PatrolShown
from services.kit import database


class Devices:
    """Ingest's devices."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def of(self, department: str) -> list[DeviceShown]:
        """Return the devices behind a department's sensors, by protocol and name."""
        return [DeviceShown.model_validate(dict(row)) for row in await self._rows("select * from api_ingest.devices($1)", department)]

    async def patrols(self, department: str, device: str | None, before: UUID | None, most: int) -> list[PatrolShown]:
        """Return the patrol checks of a department, the newest first; with `before`, those before one."""
        rows = await self._rows("select * from api_ingest.patrols($1, $2, $3, $4)", [department], device, before, most)
        return [PatrolShown.model_validate({name: row[name] for name in PatrolShown.model_fields}) for row in rows]

    async def _rows(self, query: str, *given: object) -> Sequence[asyncpg.Record]:
        rows: Sequence[asyncpg.Record] = await database.once(lambda: self._pool.fetch(query, *given), what="read devices")
        return rows
