"""One connection of a fire transmission device: bytes become frames, frames are taken one after the other, and answered in order.

A connection that is silent costs two small objects and no task; one that sends costs a task while it has frames in hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol, cast

from protocols.gb26875 import Centre, Frame, FrameError, Framer
from services.ingest.settings import Gb26875Settings
from services.kit import logs

_log = logs.get(__name__)

FLUSH_S = 9.0
"""After so much silence a frame that is not whole is given up, or it would hold up those behind it."""
READ_BYTES = 4_096
"""Read at once, of whichever connection: at most 136 frames more than `max_frames` are in hand."""


class Owner(Protocol):
    """Who has all connections."""

    settings: Gb26875Settings
    buffer: memoryview
    """Shared by all connections."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def admit(self, connection: Connection) -> None:
        """Let a connection in, or abort it."""
        ...

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        ...

    def closing(self, connection: Connection, reason: str) -> None:
        """Note why a connection is closed."""
        ...

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what a connection has to do."""
        ...

    async def take(self, connection: Connection, item: Frame | FrameError) -> Frame | None:
        """Take what came; return the answer, if there is one."""
        ...


class Connection(asyncio.BufferedProtocol):
    """One connection. Frames are taken in order, by a task that lives while there are any."""

    __slots__ = (
        "_framer",
        "_in_hand",
        "_is_ending",
        "_is_paused",
        "_is_working",
        "_owner",
        "address",
        "devices",
        "errors",
        "heard",
        "host",
        "made",
        "told_stranger",
        "transport",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._framer = Framer()
        self._in_hand: list[Frame | FrameError] = []
        self._is_working = self._is_paused = self._is_ending = False
        self.transport: asyncio.Transport | None = None
        self.host = self.address = "unknown"
        self.made = self.heard = 0.0
        self.errors = 0
        self.told_stranger = False
        self.devices: dict[str, Centre] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room."""
        self.transport = cast("asyncio.Transport", transport)
        if peer := transport.get_extra_info("peername"):
            self.host, self.address = peer[0], f"{peer[0]}:{peer[1]}"
        self.made = self.heard = self._owner.monotonic()
        self._owner.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take what has come; nobody is answered any more."""
        del exc
        self._take(self._framer.flush())
        self._owner.gone(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that all connections share: it is read from before anybody else's turn."""
        del sizehint
        return self._owner.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        self.heard = self._owner.monotonic()
        if not self._is_ending:
            self._take(self._framer.feed(bytes(self._owner.buffer[:nbytes])))

    def eof_received(self) -> bool:
        """Answer what is in hand, then close."""
        self._take(self._framer.flush())
        self.end("left")
        return True

    def pause_writing(self) -> None:
        """Close: whoever leaves 64 KiB of answers unread does not listen."""
        self.abort("unread")

    def flush_if_silent(self, now: float) -> None:
        """Give up a frame that does not come to its end."""
        if self._framer.held and now - self.heard >= FLUSH_S:
            self._take(self._framer.flush())

    def send(self, frame: Frame) -> None:
        """Send a frame, if somebody is there."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(frame.encode())

    def end(self, reason: str) -> None:
        """Read no more, and close once what is in hand is answered."""
        if self._is_ending or self.transport is None:
            return
        self._is_ending = True
        self._owner.closing(self, reason)
        self._pause()
        if not self._in_hand and not self._is_working:
            self.transport.close()

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._is_ending = True
        self._owner.closing(self, reason)
        if self.transport is not None:
            self.transport.abort()

    def _take(self, items: Iterable[Frame | FrameError]) -> None:
        for item in items:
            self._in_hand.append(item)
            self.errors = self.errors + 1 if isinstance(item, FrameError) else 0
            if self.errors >= self._owner.settings.max_errors:
                self.end("errors")
                break
        if self._in_hand and not self._is_working:
            self._is_working = True
            self._owner.work(self._work())
        if len(self._in_hand) >= self._owner.settings.max_frames:
            self._pause()

    def _pause(self) -> None:
        if not self._is_paused and self.transport is not None and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and not self._is_ending and self.transport is not None and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    async def _work(self) -> None:
        try:
            while self._in_hand:
                answer = await self._owner.take(self, self._in_hand.pop(0))
                if answer is not None:
                    self.send(answer)
                if len(self._in_hand) < self._owner.settings.max_frames:
                    self._resume()
        except Exception:  # noqa: BLE001 - whatever it is, it harms this connection only
            _log.exception("connection_failed", address=self.address)
            self.abort("our mistake")
        finally:
            self._is_working = False
            if self._is_ending and self.transport is not None:
                self.transport.close()
