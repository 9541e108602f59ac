"""Locks between processes that end with their holder, however it ends."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

_POLL_S = 0.2


@asynccontextmanager
async def waiting_lock(path: Path, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Hold a file's lock within the block; `waiting` is called once when another has it. Cancellation ends the wait."""
    with _opened(path) as file:
        told = False
        while not _taken(file.fileno()):
            if not told:
                waiting()
                told = True
            await asyncio.sleep(_POLL_S)
        yield


def _opened(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a")


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
