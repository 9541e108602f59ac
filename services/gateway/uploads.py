"""Files that are sent to be imported, by their SHA-256: kept as they came, for the room that reads them (`api_gateway.upload`).

With them, who gave the commands that name them.
"""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta
from uuid import UUID

from services.gateway.audit import With
from services.gateway.domain.pace import Pace
from services.gateway.errors import TooMany, Unfit
from services.kit import database
from services.kit.clock import Clock
from services.kit.database import Connection

PER_MINUTE = 6
"""Files of one user, of up to 16 MiB each."""
PER_DAY = 60
DAY = timedelta(days=1)
KEPT = timedelta(days=30)
"""As long as `city.commands`, which names them, is kept."""

_ADD = (
    "insert into gateway.uploads as u (digest, body, by, at) values ($1, $2, $3, $4)"
    " on conflict (digest) do update set at = excluded.at returning xmax = 0"
)


class Uploads:
    """The files of this city."""

    def __init__(self, pool: database.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._pace = Pace(PER_MINUTE)

    async def keep_pace(self, user: str) -> None:
        """Count a file that a user is about to send; raises `TooMany`, `Unavailable`."""
        if wait := self._pace.wait(user, self._clock.monotonic()):
            raise TooMany(math.ceil(wait))
        count = "select count(*) from gateway.uploads where by = $1 and at > $2"
        sent: int = await database.once(lambda: self._pool.fetchval(count, user, self._clock.now() - DAY), what="count files")
        if sent >= PER_DAY:
            raise TooMany(math.ceil(DAY.total_seconds() / PER_DAY))

    def adding(self, body: bytes, by: str) -> tuple[str, With]:
        """Return a file's digest, and what keeps it in a transaction."""
        digest = hashlib.sha256(body).hexdigest()

        async def add(connection: Connection) -> bool:
            return bool(await connection.fetchval(_ADD, digest, body, by, self._clock.now()))

        return digest, add

    async def require(self, digest: str) -> None:
        """Raise `Unfit` unless a file is there, `Unavailable`."""
        there = "select true from gateway.uploads where digest = $1"
        if not await database.once(lambda: self._pool.fetchval(there, digest), what="look a file up"):
            raise Unfit("file: it is not here: send it to /v1/uploads before")

    async def giver(self, command: UUID) -> str | None:
        """Return who gave a command whose outcome may be asked for later; None when that is known no longer. Raises `Unavailable`."""
        giver = "select actor from gateway.given where command = $1"
        actor: str | None = await database.once(lambda: self._pool.fetchval(giver, command), what="look a command up")
        return actor

    async def tidy(self) -> None:
        """Delete what has had its time. Raises `Unavailable`."""
        before = self._clock.now() - KEPT
        await database.once(lambda: self._pool.execute("delete from gateway.uploads where at < $1", before), what="tidy files up")
