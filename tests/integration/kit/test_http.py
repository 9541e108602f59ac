"""HTTP servers inside a service: ready when they listen, drained when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from services.kit import http
from services.kit.clock import SystemClock
from services.kit.health import Health
from tests.lanes import free_plan


class Slow:
    """An application whose answer comes when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def answer(self, _: Request) -> PlainTextResponse:
        self.asked.set()
        await self.let.wait()
        return PlainTextResponse("done")

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/", self.answer)])


def serving(app: Starlette, port: int, stop: asyncio.Event, ready: Callable[[], None]) -> asyncio.Task[None]:
    return asyncio.create_task(http.serve(app, host="127.0.0.1", port=port, stop=stop, ready=ready))


async def test_a_request_under_way_is_answered_and_no_new_one_is_taken():
    slow, stop, listening, port = Slow(), asyncio.Event(), asyncio.Event(), free_plan().ingest
    server = serving(slow.app, port, stop, listening.set)
    await asyncio.wait_for(listening.wait(), 10)
    async with httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await asyncio.wait_for(slow.asked.wait(), 10)
        stop.set()
        await asyncio.sleep(0.2)
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/")
        assert not server.done()
        slow.let.set()
        assert (await asking).text == "done"
    await asyncio.wait_for(server, 10)


async def test_a_port_that_is_taken_is_told():
    stop, listening, port = asyncio.Event(), asyncio.Event(), free_plan().ingest
    first = serving(Slow().app, port, stop, listening.set)
    await asyncio.wait_for(listening.wait(), 10)
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
        await asyncio.wait_for(serving(Slow().app, port, stop, lambda: None), 10)
    stop.set()
    await asyncio.wait_for(first, 10)


async def test_cancelling_closes_at_once():
    slow, listening, port = Slow(), asyncio.Event(), free_plan().ingest
    server = serving(slow.app, port, asyncio.Event(), listening.set)
    await asyncio.wait_for(listening.wait(), 10)
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(server, 10)
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/")


async def test_the_admin_pages_say_what_is_wrong():
    health, registry = Health(SystemClock()), CollectorRegistry()
    vital, ready = health.check("loop", max_age=60, vital=True), health.check("kafka", max_age=60)
    Counter("things", "Things", registry=registry).inc()
    vital.ok()
    transport = httpx.ASGITransport(http.admin(health, registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ok": False, "problems": ["kafka: not started"]})
        assert (await client.get("/livez")).status_code == 200
        ready.ok()
        assert (await client.get("/readyz")).json() == {"ok": True, "problems": []}
        assert "things_total 1.0" in (await client.get("/metrics")).text
        vital.max_age = -1
        assert (await client.get("/livez")).status_code == 503
