"""Blocking work beside the event loop, in a bounded number of threads that nobody waits for in the end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Busy(Exception):
    """No thread was free in time."""


class Threads(Generic[T]):
    """At most so many threads. Work that is not awaited any more keeps its thread until it has ended."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], T], within_s: float) -> T:
        """Return the work's result. Raises `Busy` when it was not begun in time, `TimeoutError` when it has not ended in time, and what it raises.

        Cancellation and time-out leave it to itself: it should bound itself, too.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
        except TimeoutError as error:
            raise Busy from error
        done: asyncio.Future[T] = loop.create_future()
        try:
            threading.Thread(target=self._run, args=(work, loop, done), daemon=True, name="channel").start()
        except RuntimeError as error:  # the machine has no thread left
            self._free.release()
            raise Busy from error
        async with asyncio.timeout_at(deadline):
            return await done

    def _run(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: asyncio.Future[T]) -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - carried to the one who waits
            self._tell(loop, done, partial(done.set_exception, error))
        else:
            self._tell(loop, done, partial(done.set_result, result))

    def _tell(self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[T], settle: Callable[[], None]) -> None:
        def end() -> None:
            self._free.release()
            if not done.cancelled():
                settle()

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end)
