"""Alerts' word that it works, part by part, for the watchdog: a row that moves while the part does its work."""

from __future__ import annotations

from services.kit import database, partitions
from services.kit.clock import Clock

EVERY_S = 5.0
"""At most so often a part's row is written; the watchdog counts a recovery by a few of these."""

_BEAT = "insert into alerts.pulse (part, at) values ($1, $2) on conflict (part) do update set at = excluded.at"


class Pulse:
    """Says of the parts of this process that they work; see `services.alerts.domain.watching.PARTS`."""

    def __init__(self, pool: database.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._beaten: dict[str, float] = {}

    async def beat(self, part: str) -> None:
        """Say that a part works: cheap to call at every turn of its loop. Errors of the database go up, and the next call tries again."""
        now = self._clock.monotonic()
        if part in self._beaten and now - self._beaten[part] < EVERY_S:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            await connection.execute(_BEAT, part, self._clock.now())
        self._beaten[part] = now
