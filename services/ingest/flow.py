"""What became of departments' events, in numbers: counted in memory by department, door and minute, and added to `ingest.flow` every few seconds.

A node that is killed loses the counts of the last `WRITE_S`; what was accepted and refused itself is in Kafka. How each sensor is goes the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.ingest.domain.registry import Registry
from services.ingest.store import Heard, Store
from services.kit import database, logs
from services.kit.errors import Unavailable

_log = logs.get(__name__)

WRITE_S = 5.0
MOST_SENSORS = 5_000
"""Sensors whose health is written in one statement."""


@dataclass(slots=True)
class Counts:
    """Of one department by one door in one minute."""

    observations: int = 0
    reports: int = 0
    refused: int = 0
    late: int = 0


class Flow:
    """The counts of this node. To be used on one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[tuple[str, str, datetime], Counts] = {}

    def count(self, department: str, door: str, now: datetime, *, observations: int, reports: int, refused: int, late: int) -> None:
        """Count what became of one delivery."""
        key = (department, door, now.replace(second=0, microsecond=0))
        counts = self._counts.setdefault(key, Counts())
        counts.observations += observations
        counts.reports += reports
        counts.refused += refused
        counts.late += late

    async def run(self, registry: Callable[[], Registry | None]) -> None:
        """Write the counts every `WRITE_S` until cancelled; while the database is away they gather (one row a department, door and minute)."""
        while True:
            await asyncio.sleep(WRITE_S)
            await self.write(registry())

    async def write(self, registry: Registry | None) -> None:
        """Write what was counted since; what cannot be written is kept for the next time."""
        taken, self._counts = self._counts, {}
        try:
            if taken:
                await database.once(lambda: self._store.add_flow(taken), what="write what became of events")
        except Unavailable as error:
            _log.warning("flow_not_written", error=str(error))
            for (department, door, minute), one in taken.items():
                self.count(department, door, minute, observations=one.observations, reports=one.reports, refused=one.refused, late=one.late)
            return
        if registry is not None:
            await self._write_health(registry)

    async def _write_health(self, registry: Registry) -> None:
        changed = [known for known in registry if known.memory.changed]
        for first in range(0, len(changed), MOST_SENSORS):
            part = changed[first : first + MOST_SENSORS]
            heard = [Heard.of(known.sensor.id, known.memory) for known in part]
            try:
                await database.once(lambda heard=heard: self._store.add_health(heard), what="write how sensors are")  # type: ignore[misc]
            except Unavailable as error:
                _log.warning("health_not_written", error=str(error))
                return
            for known, one in zip(part, heard, strict=True):
                one.taken_out_of(known.memory)
