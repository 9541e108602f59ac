"""What every feed does as a process: it tells the time, logs, checks its options, and ends in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import click
import httpx
import structlog

Log = structlog.typing.FilteringBoundLogger
Clock = Callable[[], datetime]

NOTHING_TO_DO = 3
"""The exit code that tells a supervisor not to try again: what the feed would play is not there."""


def system_clock() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)  # noqa: TID251 - a feed is a client and may not import the platform's clock; this one is injected in the same way


def logger(service: str) -> Log:
    """Return a logger that writes one JSON object a line to stderr, as the services do."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    log: Log = structlog.get_logger(service=service)
    return log


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run a feed as the process: SIGTERM and SIGINT cancel it, and that is an end in order."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise


def address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Check an option that says where ingest listens."""
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL as error:
        raise click.BadParameter(str(error)) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise click.BadParameter(f"{value!r} is not like http://127.0.0.1:8801; set it here or as TONGGUAN_FEED_INGEST")
    return value


def usable(key: str) -> bool:
    """Say whether a key can stand in a header."""
    return bool(key) and key.isascii() and key.isprintable() and " " not in key
