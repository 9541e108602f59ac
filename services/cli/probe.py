"""Asks a service on loopback how it is."""

from __future__ import annotations

import asyncio
import contextlib


async def status(port: int, path: str, *, timeout_s: float = 2.0) -> int | None:
    """Return the HTTP status of a GET, or None when there was no answer in time."""
    answer = await _get(port, path, timeout_s)
    with contextlib.suppress(ValueError, IndexError):
        return int(answer.split(b" ", 2)[1])
    return None


async def body(port: int, path: str, *, timeout_s: float = 2.0) -> str:
    """Return what a GET is answered with; empty when there was no answer in time."""
    _, _, content = (await _get(port, path, timeout_s)).partition(b"\r\n\r\n")
    return content.decode("utf-8", "replace")


async def _get(port: int, path: str, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(port, path)
    except (OSError, TimeoutError):
        return b""


async def _ask(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        # HTTP/1.0: the answer ends with the connection and comes in one piece.
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        return await reader.read(-1)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
