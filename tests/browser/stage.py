"""A small real server for the page's tests: it serves the page's files and speaks the live protocol as a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from schemas.health import Heartbeat as ServiceHeartbeat
from schemas.live import Delta, Heartbeat, Hello, LiveRegion, LiveSensor, LiveValue, Snapshot
from schemas.warning import Warning  # noqa: A004 - the field's own word
from tests.browser.frames import TREE, clock

PAGE = Path(__file__).parents[2] / "services" / "gateway" / "page"
POLICY = "default-src 'self'; connect-src 'self'"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
SERVICES = ("ingest", "rules", "history", "alerts", "gateway")


class Stage:
    """A gateway made of paper.

    What it will say is in its attributes, which a test sets at any time; `send` says something to all who watch. Heartbeats go out
    every `beat` seconds unless `mute`. `close_codes` holds regions that are refused, `known` the tokens that are not.
    """

    def __init__(self) -> None:
        self.known = {"tgr_test"}
        self.close_codes: dict[str, int] = {}
        self.refuse_with: int | None = None
        self.mute = False
        self.beat = 0.25
        self.skew = timedelta(0)
        self.pipeline_age: timedelta | None = timedelta(0)
        self.silent_since: dict[str, datetime] = {}
        self.unheard: set[str] = set()
        self.unready: dict[str, str] = {}
        self.sensors: list[LiveSensor] = []
        self.values: list[LiveValue] = []
        self.warnings: list[Warning] = []
        self.hellos: list[Hello] = []
        self.port = 0
        self._watching: set[ServerConnection] = set()
        self._server: Server | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> datetime:
        """The server's time, which `skew` sets apart from the browser's."""
        return clock() + self.skew

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the port it had before when it had one."""
        self._server = await serve(self._watch, "127.0.0.1", self.port, process_request=self._file, compression=None)
        self.port = self._server.sockets[0].getsockname()[1]
        self._beating = asyncio.create_task(self._beat())

    async def stop(self, code: int = 1012) -> None:
        """Close all connections and the port."""
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
        await self.drop(code)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def drop(self, code: int) -> None:
        """Close all live connections with a code."""
        await asyncio.gather(*(connection.close(code) for connection in list(self._watching)))

    def send(
        self, *, warnings: Iterable[Warning] = (), values: Iterable[LiveValue] = (), sensors: Iterable[LiveSensor] = (), at: datetime | None = None
    ) -> None:
        """Say what changed; it is not remembered for later snapshots."""
        delta = Delta(server_time=at or self.now(), position="p1", warnings=tuple(warnings), values=tuple(values), sensors=tuple(sensors))
        self.send_text(delta.model_dump_json())

    def send_text(self, text: str) -> None:
        """Send any text as a frame."""
        broadcast(self._watching, text)

    @property
    def watchers(self) -> int:
        """How many pages watch."""
        return len(self._watching)

    def _snapshot(self, code: str) -> Snapshot:
        def shown(at: str) -> LiveRegion:
            region = TREE[at]
            return LiveRegion(code=region.code, level=region.level, name=region.name)

        below = [sensor for sensor in self.sensors if TREE.covers(code, sensor.street)]
        ids = {sensor.id for sensor in below}
        return Snapshot(
            server_time=self.now(),
            position="p0",
            region=shown(code),
            path=tuple(shown(at) for at in TREE.path(code)),
            children=tuple(shown(child.code) for child in TREE.children(code)),
            sensors=tuple(below),
            warnings=tuple(warning for warning in self.warnings if TREE.covers(code, warning.street)),
            values=tuple(value for value in self.values if value.sensor in ids),
        )

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            server_time=self.now(),
            position="p1",
            pipeline_time=None if self.pipeline_age is None else self.now() - self.pipeline_age,
            services=tuple(self._service(name) for name in SERVICES if name not in self.unheard),
        )

    def _service(self, name: str) -> ServiceHeartbeat:
        at = self.silent_since.get(name, self.now())
        reason = self.unready.get(name, "")
        return ServiceHeartbeat(service=name, node="n1", time=at, ready=not reason, reason=reason, lag=0, event_time=at)

    async def _beat(self) -> None:
        while True:
            if not self.mute:
                self.send_text(self._heartbeat().model_dump_json())
            await asyncio.sleep(self.beat)

    async def _watch(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            hello = Hello.model_validate_json(await connection.recv())
            self.hellos.append(hello)
            if (code := self._refusal(hello)) is not None:
                await connection.close(code)
                return
            await connection.send(self._snapshot(hello.region).model_dump_json())
            self._watching.add(connection)
            try:
                await connection.wait_closed()
            finally:
                self._watching.discard(connection)

    def _refusal(self, hello: Hello) -> int | None:
        if self.refuse_with is not None:
            return self.refuse_with
        if hello.token not in self.known:
            return 4401
        return 4403 if hello.region not in TREE else self.close_codes.get(hello.region)

    def _file(self, _: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/v1/live":
            return None
        if path.startswith("/v1/regions/"):
            return self._region(request, path.removeprefix("/v1/regions/"))
        file = PAGE / ("index.html" if path == "/" else path.removeprefix("/page/"))
        if file.parent != PAGE or not file.is_file():
            return Response(HTTPStatus.NOT_FOUND, "Not Found", Headers({"Content-Length": "0"}), b"")
        return _answer(file.read_bytes(), TYPES[file.suffix])

    def _region(self, request: Request, code: str) -> Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.known:
            return Response(HTTPStatus.UNAUTHORIZED, "Unauthorized", Headers({"Content-Length": "0"}), b"")
        children = [child.model_dump(mode="json") for child in TREE.children(code)]
        return _answer(json.dumps({"children": children}).encode(), "application/json")


def _answer(body: bytes, kind: str) -> Response:
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": POLICY, "Connection": "close"})
    return Response(HTTPStatus.OK, "OK", headers, body)
