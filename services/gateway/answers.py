"""What becomes of a command: whoever wrote it may wait here until the room that decides has answered with its id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from uuid import UUID

from schemas.action import WarningActions


class Answers:
    """Commands that are waited for in this process."""

    def __init__(self) -> None:
        self._waited: dict[UUID, asyncio.Future[WarningActions]] = {}

    @contextlib.contextmanager
    def expect(self, command: UUID) -> Iterator[asyncio.Future[WarningActions]]:
        """Yield what will hold the answer; enter it before the command is written, or the answer may come first."""
        future: asyncio.Future[WarningActions] = asyncio.get_running_loop().create_future()
        self._waited[command] = future
        try:
            yield future
        finally:
            del self._waited[command]
            future.cancel()

    def take(self, actions: WarningActions) -> None:
        """Take an answer; one that nobody waits for here is another's."""
        future = self._waited.get(actions.command)
        if future is not None and not future.done():
            future.set_result(actions)
