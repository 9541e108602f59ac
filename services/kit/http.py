"""HTTP servers inside a service's own task group, and the admin port that every service has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.kit.health import Health

DRAIN_S = 2
"""How long requests under way may take once the service stops: the supervisor kills after 4 s, and what comes after takes its time too."""
HEAD_S = 10.0
"""How long a connection may take to say what it wants: of itself uvicorn lets one be silent for ever, and each is an open file."""
KEEP_ALIVE_S = 75
"""How long one that has its answer is kept for the next request. Longer than proxies keep theirs (nginx 60 s), so that it is they who close:
uvicorn's 5 s end just when a department that sends every five seconds sends again, and its request is lost."""


class _Connection(HttpToolsProtocol):
    """A connection that is closed when the head of a request does not come to its end in time."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._has_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the head of a later request on the same connection."""
        self._wait_for_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Wait no longer: the body has its own time."""
        self._has_head()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

    def _has_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Server(uvicorn.Server):
    """A server that leaves signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(app: Any, *, host: str, port: int, stop: asyncio.Event, ready: Callable[[], None] = lambda: None, **options: Any) -> None:
    """Serve until `stop`, then let requests under way end for `DRAIN_S`.

    `ready` is called once the port listens. Raises OSError when the port is taken. Cancelling closes at once.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Connection,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        lifespan="off",
        **options,
    )
    server = _Server(config)
    task = asyncio.create_task(_run(server, host, port))
    stopping = asyncio.create_task(stop.wait())
    try:
        while not server.started and not task.done():
            await asyncio.wait([task], timeout=0.01)
        if server.started:
            ready()
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await task
    finally:
        stopping.cancel()
        if not task.done():
            server.should_exit = server.force_exit = True
            await task


async def _run(server: uvicorn.Server, host: str, port: int) -> None:
    try:
        await server.serve()
    except SystemExit as error:  # uvicorn's way to say that the port is taken
        raise OSError(f"cannot listen on {host}:{port}") from error


class _Readiness(Collector):
    """What `/readyz` says, as metrics: a service that waits for its servers has few others, and must not look well for it."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the verdict of this moment, and each check's."""
        problems = self._health.problems()
        yield GaugeMetricFamily("tongguan_ready", "Whether the service takes work", value=not self._health.unready())
        checks = GaugeMetricFamily("tongguan_check_ok", "Whether a check of readiness holds", labels=["check"])
        for name, problem in problems.items():
            checks.add_metric([name], not problem)
        yield checks


def admin(health: Health, registry: CollectorRegistry) -> Starlette:
    """Return the admin pages: `/livez` (503: end this process), `/readyz` (503: send it no work), `/metrics`, which tells of readiness, too."""
    registry.register(_Readiness(health))

    def verdict(problems: list[str]) -> Response:
        return JSONResponse({"ok": not problems, "problems": problems}, status_code=503 if problems else 200)

    async def livez(_: Request) -> Response:
        return verdict(health.dead())

    async def readyz(_: Request) -> Response:
        return verdict(health.unready())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])
