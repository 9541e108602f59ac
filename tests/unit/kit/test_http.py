"""HTTP servers: who may keep a connection."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import Response

from services.kit import http
from tests.lanes import free_plan


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTT"])
async def test_who_says_nothing_or_half_of_it_is_sent_away_and_keeps_no_file_open(monkeypatch: pytest.MonkeyPatch, said: bytes):
    monkeypatch.setattr(http, "HEAD_S", 0.1)
    port, stop, ready = free_plan().ingest, asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(http.serve(Response("ok"), host="127.0.0.1", port=port, stop=stop, ready=ready.set, timeout_keep_alive=60))
    await ready.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        answers = await asyncio.wait_for(reader.read(), 10)
        assert answers.count(b"200 OK") == said.count(b"\r\n\r\n")
    finally:
        writer.close()
        stop.set()
        await serving
