"""`python -m tests.integration.alerts.quick`: the alerts service by a clock in a file: whoever writes the file decides what time it is.

All of it is the real one; only its looks for what is due are as much more frequent as its days are shorter.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

from services.alerts import app, desk, sending
from services.alerts.settings import Settings
from services.kit import room

VARIABLE = "TONGGUAN_TEST_CLOCK"
_SECONDS = struct.Struct("<d")
OFTEN_S = 0.01


class FileClock:
    """The time of a file."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT)

    def set(self, now: datetime) -> None:
        """Say what time it is, to all who read the file."""
        os.pwrite(self._file, _SECONDS.pack(now.timestamp()), 0)

    def now(self) -> datetime:
        """Return the time of the file."""
        (seconds,) = _SECONDS.unpack(os.pread(self._file, _SECONDS.size, 0))
        return datetime.fromtimestamp(seconds, UTC)

    def monotonic(self) -> float:
        """Return real seconds."""
        return time.monotonic()


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    await app.serve(settings, stop, FileClock(Path(os.environ[VARIABLE])))


if __name__ == "__main__":
    desk.IDLE_S = sending.IDLE_S = OFTEN_S
    room.run("alerts", Settings, _serve)
