"""A client of the live socket that reads frames by the protocol's models."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as sockets
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol
from uuid import UUID

import httpx
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from schemas import live
from schemas.action import WarningActions
from schemas.warning import Warning, WarningState  # noqa: A004 - the field's own word
from tests.integration.parts import WAIT_S
from tests.integration.rooms import TOKENS

FRAMES: dict[str, type[live.Snapshot | live.Delta | live.Heartbeat]] = {"snapshot": live.Snapshot, "delta": live.Delta, "heartbeat": live.Heartbeat}


class Served(Protocol):
    """What is spoken to: a gateway's process, or a live server alone."""

    @property
    def url(self) -> str:
        """The HTTP address."""


def live_url(gateway: Served) -> str:
    return gateway.url.replace("http", "ws", 1) + "/v1/live"


def hello(region: str, token: str | None = None, **fields: Any) -> str:
    return json.dumps({"type": "hello", "protocol": 1, "token": token or TOKENS[region], "region": region} | fields)


@contextlib.asynccontextmanager
async def connected(gateway: Served, **options: Any) -> AsyncIterator[ClientConnection]:
    async with websockets.connect(live_url(gateway), compression=None, max_size=64 << 20, proxy=None, **options) as socket:
        yield socket


async def narrow(gateway: Served, taken: int) -> dict[str, Any]:
    """Return the options of a client whose kernel takes only about so many bytes, and the client one message, ahead of what it reads."""
    own = sockets.socket()
    own.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, taken)
    own.setblocking(False)
    at = httpx.URL(gateway.url)
    await asyncio.get_running_loop().sock_connect(own, (at.host, at.port))
    return {"sock": own, "max_queue": 1}


async def closed_with(socket: ClientConnection) -> int:
    """Return the code with which the server ends a session that it has not begun, or ends now."""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code


class Session:
    """What a client knows: the snapshot, and all that came after, applied as the protocol says."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.snapshot: live.Snapshot
        self.warnings: list[Warning] = []
        """All revisions that came in deltas."""
        self.open: dict[UUID, Warning] = {}
        self.values: dict[tuple[str, str, str, int], live.LiveValue] = {}
        self.actions: dict[UUID, WarningActions] = {}
        self.heartbeat: live.Heartbeat | None = None
        self._revs: dict[UUID, int] = {}

    async def begin(self, region: str, token: str | None = None) -> None:
        await self.socket.send(hello(region, token))
        frame = await self._frame()
        assert isinstance(frame, live.Snapshot)
        self.snapshot = frame

    async def until(self, condition: Callable[[Session], object], what: str) -> None:
        """Read until a condition holds."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition(self):
                    await self._frame()
        except TimeoutError:
            raise AssertionError(f"waited {WAIT_S:g} s for {what}") from None

    async def _frame(self) -> live.Snapshot | live.Delta | live.Heartbeat:
        text = await self.socket.recv()
        assert isinstance(text, str)
        frame = FRAMES[json.loads(text)["type"]].model_validate_json(text)
        if isinstance(frame, live.Heartbeat):
            self.heartbeat = frame
        else:
            self._take(frame)
        return frame

    def _take(self, frame: live.Snapshot | live.Delta) -> None:
        if isinstance(frame, live.Delta):
            self.warnings += frame.warnings
        for warning in frame.warnings:
            if warning.rev <= self._revs.get(warning.id, 0):
                continue
            self._revs[warning.id] = warning.rev
            if warning.state is WarningState.OPEN:
                self.open[warning.id] = warning
            else:
                self.open.pop(warning.id, None)
        for acted in frame.actions:
            if acted.warning not in self.actions or self.actions[acted.warning].rev < acted.rev:
                self.actions[acted.warning] = acted
        for value in frame.values:
            key = value.sensor, value.metric, value.statistic.value, value.period_s
            if key not in self.values or self.values[key].at <= value.at:
                self.values[key] = value


@contextlib.asynccontextmanager
async def session(gateway: Served, region: str, token: str | None = None, **options: Any) -> AsyncIterator[Session]:
    """Yield a session that has its snapshot."""
    async with connected(gateway, **options) as socket:
        one = Session(socket)
        await one.begin(region, token)
        yield one
