"""What the gateway reads of ingest about departments' events, by the functions in `api_ingest` and with the read-only role.

Whose it is, the caller decides; each function takes the department and tells nothing of another. All raise `Unavailable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from schemas.outcome import Decided, Outcome
from schemas.rejected import Problem
from schemas.rest import DoorShown, FlowHour, RefusalShown, RefusedCount
from services.gateway.answers import ANSWER_S, LOOK_S
from services.kit import database, logs
from services.kit.errors import Unavailable

_log = logs.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which of the refusals of a department are asked for; None is any."""

    reason: str | None = None
    sensor: str | None = None
    state: str | None = None
    door: str | None = None
    """The protocol."""
    event: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Ingest:
    """Ingest's data."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def decided(self, ids: Sequence[UUID]) -> dict[UUID, Decided]:
        """Return which of some commands are decided, and what of them."""
        rows = await self._rows("select * from api_ingest.decided($1)", ids)
        return {row["id"]: Decided(command=row["id"], outcome=Outcome(row["outcome"]), detail=msgspec.json.decode(row["detail"])) for row in rows}

    async def outcome(self, command: UUID) -> Decided:
        """Return what was decided of a command; without an outcome when that takes longer than a person waits, or cannot be read."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while not (found := await self.decided([command])):
                    await asyncio.sleep(LOOK_S)
                return found[command]
        except TimeoutError:
            return Decided(command=command, outcome=None)
        except Unavailable as error:
            _log.warning("outcome_not_looked_up", command=str(command), error=str(error))
            return Decided(command=command, outcome=None)

    async def flow(self, department: str, since: datetime, until: datetime) -> list[FlowHour]:
        """Return what became of a department's events, by hour and protocol."""
        rows = await self._rows("select * from api_ingest.flow_by_hour($1, $2, $3)", department, since, until)
        return [FlowHour.model_validate(dict(row)) for row in rows]

    async def reasons(self, department: str, since: datetime, until: datetime) -> list[RefusedCount]:
        """Return the refusals that are kept, by reason and state, the most first."""
        rows = await self._rows("select * from api_ingest.refused_by_reason($1, $2, $3)", department, since, until)
        return [RefusedCount.model_validate(dict(row)) for row in rows]

    async def left_out(self, department: str) -> int:
        """Return how many refusals went before their time."""
        return int((await self._rows("select api_ingest.left_out($1) as count", department))[0]["count"])

    async def refused(self, department: str, asked: Asked, before: UUID | None, most: int) -> list[RefusalShown]:
        """Return refusals, the newest first; with `before`, those before one."""
        rows = await self._rows(
            "select * from api_ingest.refused($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            *(department, asked.reason, asked.sensor, asked.state, asked.door, asked.event, asked.text, asked.since, asked.until, before, most),
        )
        return [_refusal(row) for row in rows]

    async def refusal(self, department: str, id_: UUID) -> tuple[RefusalShown, bytes] | None:
        """Return one refusal with its bytes, as far as they are kept."""
        rows = await self._rows("select r.*, api_ingest.refused_body($1, $2) as body from api_ingest.refused_one($1, $2) r", department, id_)
        return next(((_refusal(row), row["body"]) for row in rows if row["body"] is not None), None)

    async def doors(self, department: str) -> list[DoorShown]:
        """Return by which ways a department was heard, and whether they are stopped for it."""
        return [DoorShown.model_validate(dict(row)) for row in await self._rows("select * from api_ingest.doors($1)", department)]

    async def _rows(self, query: str, *given: object) -> list[asyncpg.Record]:
        return await database.once(lambda: self._pool.fetch(query, *given), what="read what ingest keeps")


def _refusal(row: asyncpg.Record) -> RefusalShown:
    return RefusalShown(
        id=row["id"],
        door=row["adapter"].partition("@")[0],
        address=row["address"],
        content_type=row["content_type"],
        received=row["received_at"],
        problem=Problem(code=row["code"], where=row["where"], message=row["message"], hint=row["hint"]),
        event=row["event"],
        sensor=row["sensor"],
        size=row["size"],
        kept=row["kept"],
        sha256=row["sha256"],
        state=row["state"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
        again=None if row["again"] is None else msgspec.json.decode(row["again"]),
    )
