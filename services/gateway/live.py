"""Live sessions on websockets' own protocol, behind the same port as REST: hello, snapshot, deltas, heartbeats.

uvicorn hands a request to upgrade to `LiveServer.connection`, which is websockets' `ServerConnection` (uvicorn's `ws=` takes a class; that it
may be any callable is not documented, so both versions are pinned and a test holds it). One frame is built for all whose reach is the same.
A browser is known by its session's cookie; when that session ends, so does the socket.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import ValidationError
from starlette.requests import cookie_parser
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from schemas.live import Hello
from services.gateway.accounts import Accounts
from services.gateway.audit import line
from services.gateway.domain.access import Principal, Reach, Scope, Tokens, digest
from services.gateway.domain.proxies import Proxies
from services.gateway.domain.repeats import UNKNOWN, Act
from services.gateway.domain.view import View
from services.gateway.errors import Forbidden, Unauthorised
from services.gateway.http import cookie_name, other_origin
from services.kit import logs
from services.kit.clock import Clock
from services.kit.errors import Unavailable

_log = logs.get(__name__)

PATH = "/v1/live"
HELLO_S = 5.0
CLOSE_REASON_BYTES = 123
"""Of a close frame (RFC 6455, 5.5)."""
MESSAGE_BYTES = 4_096
"""Of what a client may send: a hello takes under 300."""

GOING_AWAY = 1012
TOO_SLOW = 1013
BAD_HELLO = 4400
UNAUTHORISED = 4401
FORBIDDEN = 4403
NO_HELLO = 4408


class Refused(Exception):
    """A session that ends with a close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:CLOSE_REASON_BYTES].decode(errors="ignore")


@dataclass(frozen=True)
class _Watcher:
    """Who watches what."""

    reach: Reach
    session: bytes | None
    """By which the session is known; None for a machine's token."""


class LiveServer:
    """All live sessions of a node. What a client gets is written without waiting for it; one that does not read is cut."""

    def __init__(
        self,
        *,
        view: View,
        tokens: Tokens,
        accounts: Accounts,
        refused: Callable[[Act], Awaitable[None]],
        proxies: Proxies,
        clock: Clock,
        partitions: int,
        slow_bytes: int,
        metrics: CollectorRegistry,
    ) -> None:
        self.handler_tasks: set[asyncio.Task[None]] = set()
        self.all_connections: set[ServerConnection] = set()
        self._view = view
        self._tokens = tokens
        self._accounts = accounts
        self._refused = refused
        self._proxies = proxies
        self._clock = clock
        self._node = secrets.token_urlsafe(6)
        self._turns = 0
        self._partitions = partitions
        self._slow_bytes = slow_bytes
        self._watching: dict[ServerConnection, _Watcher] = {}
        self._watchers: dict[Reach, set[ServerConnection]] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._reading: dict[ServerConnection, int] = {}
        """Bytes of the largest frame that a client may still be reading: as many may wait besides `slow_bytes`, or nobody could watch a large
        region, or see a burst of warnings."""
        self._serving = False
        self._open = Gauge("tongguan_live_sessions", "Live sessions", registry=metrics)
        self._frames = Counter("tongguan_live_frames", "Frames written to live sessions", ["type"], registry=metrics)
        self._closed = Counter("tongguan_live_closed", "Live sessions that we closed", ["code"], registry=metrics)

    # -- what websockets' connection asks of its server

    def connection(self, **_: Any) -> ServerConnection:
        """Return the protocol of one connection; uvicorn calls this with its own configuration."""
        protocol = ServerProtocol(max_size=MESSAGE_BYTES)
        return ServerConnection(protocol, self, ping_interval=10, ping_timeout=10, close_timeout=2, max_queue=4)  # type: ignore[arg-type]

    def is_serving(self) -> bool:
        """Say whether new sessions are taken."""
        return self._serving

    async def handler(self, connection: ServerConnection) -> None:
        """Live through one connection, from its handshake on."""
        try:
            async with asyncio.timeout(HELLO_S):
                await connection.handshake(self._check_request)
            if connection.protocol.state is not State.OPEN:
                return
            self.all_connections.add(connection)
            connection.start_keepalive()
            async with connection:
                await self._session(connection)
        except (TimeoutError, ConnectionClosed, OSError) as error:
            _log.debug("live_session_ended", address=self._address(connection), error=repr(error))
        finally:
            self.all_connections.discard(connection)
            if connection.protocol.state is not State.CLOSED:
                connection.transport.abort()
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - a coroutine runs in a task
            self.handler_tasks.discard(task)

    # -- sessions

    async def _session(self, connection: ServerConnection) -> None:
        try:
            await self._hello(connection)
            async for _ in connection:
                raise Refused(BAD_HELLO, "nothing is expected after the hello")
        except Refused as refused:
            await self._end(connection, refused)
        finally:
            self._leave(connection)

    async def _hello(self, connection: ServerConnection) -> None:
        """Decide what the client may see, send its snapshot and join it to the watchers, with no await between the last two."""
        try:
            async with asyncio.timeout(HELLO_S):
                hello = Hello.model_validate_json(await connection.recv())
                watcher = await self._admit(connection, hello)
        except TimeoutError as error:
            raise Refused(NO_HELLO, f"no hello within {HELLO_S:g} s") from error
        except ValidationError as error:
            raise Refused(BAD_HELLO, f"the first message must be a hello: {error.errors()[0]['msg']}") from error
        except Unavailable as error:
            raise Refused(GOING_AWAY, str(error)) from error
        snapshot = self._view.snapshot(watcher.reach, self.position, self._clock.now())
        self._write({connection}, snapshot, "snapshot")
        self._view.watch(watcher.reach)
        self._watching[connection] = watcher
        self._watchers.setdefault(watcher.reach, set()).add(connection)
        self._open.inc()
        _log.info("live_session", address=self._address(connection), region=hello.region)

    async def _admit(self, connection: ServerConnection, hello: Hello) -> _Watcher:
        """Return what a client watches; raises `Refused`, having audited it, and `Unavailable`."""
        who: Principal | None = None
        try:
            who, session = await self._principal(connection, hello.token)
            return _Watcher(Scope(who, self._view.regions).reach(hello.region), session)
        except Unauthorised as error:
            if hello.token is not None:
                await self._refused(Act(UNKNOWN, "token.refuse", PATH, self._address(connection), None, "unknown_token"))
            raise Refused(UNAUTHORISED, str(error)) from error
        except Forbidden as error:
            subject = f"region/{error.region}" if error.region else line(f"region/{hello.region}")
            actor, proven = (who.id, True) if who else (UNKNOWN, False)
            await self._refused(Act(actor, "region.refuse", subject, self._address(connection), error.region, error.verdict, proven=proven))
            raise Refused(FORBIDDEN, str(error)) from error

    async def _principal(self, connection: ServerConnection, token: str | None) -> tuple[Principal, bytes | None]:
        """Return who connects, with the session if there is one; raises `Unauthorised`."""
        if token is not None:
            return self._tokens.principal(token), None
        id_ = self._cookie(connection)
        if id_ is None:
            raise Unauthorised("not signed in")
        return (await self._accounts.session(id_)).principal, digest(id_)

    def _leave(self, connection: ServerConnection) -> None:
        """Send a connection nothing more; it may have left already."""
        self._reading.pop(connection, None)
        watcher = self._watching.pop(connection, None)
        if watcher is None:
            return
        self._open.dec()
        watchers = self._watchers[watcher.reach]
        watchers.discard(connection)
        if not watchers:
            del self._watchers[watcher.reach]
            self._view.unwatch(watcher.reach)

    async def _end(self, connection: ServerConnection, refused: Refused) -> None:
        self._closed.labels(refused.code).inc()
        _log.warning("live_refused", address=self._address(connection), code=refused.code, reason=refused.reason)
        await connection.close(refused.code, refused.reason)

    def _end_soon(self, connection: ServerConnection, refused: Refused) -> None:
        """End a session under way: it gets nothing more, and is closed without being waited for."""
        self._leave(connection)
        task = asyncio.create_task(self._end(connection, refused))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def check_sessions(self, every_s: float) -> None:
        """Cut the sockets whose sessions have ended, until cancelled. While the database is away, they stay as they are."""
        while True:
            await asyncio.sleep(every_s)
            sessions = {connection: watcher.session for connection, watcher in self._watching.items() if watcher.session is not None}
            if not sessions:
                continue
            try:
                alive = await self._accounts.alive(list(set(sessions.values())))
            except Unavailable as error:
                _log.warning("sessions_not_checked", error=str(error))
                continue
            for connection, session in sessions.items():
                if session not in alive:
                    self._end_soon(connection, Refused(UNAUTHORISED, "the session has ended"))

    # -- frames

    @property
    def position(self) -> str:
        """Name this node, anew at each start, and its turns: they go on whatever happens, so that a frame tells nothing of what others see."""
        return f"{self._node}.{self._turns}"

    def flush(self, *, values: bool) -> None:
        """Send what is pending to all watchers: warnings and sensors, and values too when it is their turn."""
        now, position = self._clock.now(), self.position
        for reach in self._view.outdated:
            for connection in list(self._watchers[reach]):
                self._end_soon(connection, Refused(GOING_AWAY, "what may be seen has changed"))
        for reach, watchers in self._watchers.items():
            if (frame := self._view.delta(reach, position, now, values=values)) is not None:
                self._write(watchers, frame, "delta")

    def beat(self) -> None:
        """Send a heartbeat to all watchers."""
        frame = self._view.heartbeat(self.position, self._clock.now(), self._partitions)
        for watchers in self._watchers.values():
            self._write(watchers, frame, "heartbeat")

    def _write(self, connections: set[ServerConnection], frame: bytes, kind: str) -> None:
        broadcast(connections, frame, text=True)
        self._frames.labels(kind).inc(len(connections))
        for connection in connections:
            waiting = connection.transport.get_write_buffer_size()
            if waiting <= self._slow_bytes:
                self._reading.pop(connection, None)
                continue
            self._reading[connection] = max(len(frame), self._reading.get(connection, 0))
            if waiting > self._slow_bytes + self._reading[connection]:
                self._cut(connection)

    def _cut(self, connection: ServerConnection) -> None:
        """End a connection that does not read: what waits for it is thrown away, so a close frame would never arrive."""
        if not connection.transport.is_closing():
            self._closed.labels(TOO_SLOW).inc()
            _log.warning("live_cut_slow", address=self._address(connection), waiting=connection.transport.get_write_buffer_size())
            connection.transport.abort()

    async def turn(self, values_s: float, heartbeat_s: float) -> None:
        """Send values and heartbeats in their time, until cancelled."""
        loop = asyncio.get_running_loop()
        self._serving = True
        beat_at = loop.time()
        while True:
            self._turns += 1
            self.flush(values=True)
            if loop.time() >= beat_at:
                self.beat()
                beat_at = loop.time() + heartbeat_s
            await asyncio.sleep(values_s)

    async def close(self) -> None:
        """End all sessions; clients come back after a second."""
        self._serving = False
        closing = [asyncio.create_task(connection.close(GOING_AWAY, "the server restarts")) for connection in self.all_connections]
        if closing:
            await asyncio.wait(closing, timeout=1.5)

    async def _check_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse another path, and a page of another origin (a browser says which; other clients say none)."""
        if request.path.partition("?")[0] != PATH:
            return connection.respond(404, f"the live socket is at {PATH}\n")
        origins, hosts = request.headers.get_all("Origin"), request.headers.get_all("Host")
        if [origin.partition("://")[2] for origin in origins] not in ([], hosts):
            await self._refused(other_origin(PATH, self._address(connection), origins))
            return connection.respond(403, "pages of another origin may not connect\n")
        return None

    def _address(self, connection: ServerConnection) -> str:
        peer, request = connection.remote_address, connection.request
        if not peer:
            return "unknown"
        return self._proxies.client(str(peer[0]), request.headers.get_all("X-Forwarded-For") if request else ())

    def _cookie(self, connection: ServerConnection) -> str | None:
        """Return the session's id that a browser sent with its handshake."""
        peer, request = connection.remote_address, connection.request
        if not peer or request is None:
            return None
        scheme = self._proxies.scheme(str(peer[0]), request.headers.get_all("X-Forwarded-Proto"))
        cookies = cookie_parser("; ".join(request.headers.get_all("Cookie")))
        return cookies.get(cookie_name(scheme)) or None
