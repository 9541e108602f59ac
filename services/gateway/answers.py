"""What becomes of a command: whoever wrote it may wait here until the room that decides has answered with its id.

Of a command about one warning `city.warning.actions` tells; of any other it is looked up in what alerts has decided.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from uuid import UUID

from schemas.action import Decision, WarningActions
from services.kit import logs
from services.kit.errors import Unavailable

_log = logs.get(__name__)

ANSWER_S = 2.0
"""How long a person waits for the outcome; then they are told that it is on its way."""
LOOK_S = 0.1
"""How often what is waited for is looked up."""


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


class Outcomes:
    """Commands whose outcome no topic tells: all that are waited for in this process are looked up together."""

    def __init__(self, look: Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Decision]]]) -> None:
        self._look = look
        self._waited: dict[asyncio.Future[Decision], UUID] = {}
        self._some = asyncio.Event()

    async def of(self, command: UUID) -> Decision | None:
        """Return what was decided of a command, None when that takes longer than `ANSWER_S`; several may wait for one."""
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waited[future] = command
        self._some.set()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            return None
        finally:
            del self._waited[future]

    async def run(self) -> None:
        """Look up what is waited for, until cancelled."""
        while True:
            await self._some.wait()
            found = await self._found()
            for future, command in self._waited.items():
                if command in found and not future.done():
                    future.set_result(found[command])
            if not self._waited:
                self._some.clear()
            await asyncio.sleep(LOOK_S)

    async def _found(self) -> Mapping[UUID, Decision]:
        try:
            return await self._look(list(set(self._waited.values())))
        except Unavailable as error:
            _log.warning("outcomes_not_looked_up", error=str(error))
        except Exception:  # noqa: BLE001 - whatever it is, it is no reason to serve nobody
            _log.exception("outcomes_not_looked_up")
        return {}
