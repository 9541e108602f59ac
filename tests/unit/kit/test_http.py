"""HTTP servers: who may keep a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.responses import Response

from services.kit import http
from tests.lanes import free_plan

LIMIT_S = 10
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection to a server that says ok to everything."""
    port, stop, ready = free_plan().ingest, asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(http.serve(Response("ok"), host="127.0.0.1", port=port, stop=stop, ready=ready.set))
    await ready.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        stop.set()
        await serving


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: ", REQUEST + b"GET / HTT"])
async def test_who_says_nothing_or_half_of_it_is_sent_away_and_keeps_no_file_open(monkeypatch: pytest.MonkeyPatch, said: bytes):
    monkeypatch.setattr(http, "HEAD_S", 0.1)
    async with connected() as (reader, writer):
        writer.write(said)
        answers = await asyncio.wait_for(reader.read(), LIMIT_S)
        assert answers.count(b"200 OK") == said.count(b"\r\n\r\n")


async def test_who_has_an_answer_may_be_silent_longer_than_a_proxy_keeps_it_and_no_longer(monkeypatch: pytest.MonkeyPatch):
    nginx_s = 60
    assert nginx_s < http.KEEP_ALIVE_S
    monkeypatch.setattr(http, "HEAD_S", 0.1)
    monkeypatch.setattr(http, "KEEP_ALIVE_S", 1)
    uvicorns_own_s = 5
    async with connected() as (reader, writer):
        for _ in range(2):
            writer.write(REQUEST)
            assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"ok"), LIMIT_S)
            await asyncio.sleep(0.4)
        assert await asyncio.wait_for(reader.read(), uvicorns_own_s - 1) == b""
