"""PostgreSQL on the hot path: pools, and trying again what a restart of the server broke off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from services.kit import logs
from services.kit.errors import Unavailable
from services.kit.health import Check

_log = logs.get(__name__)

T = TypeVar("T")
Pool = asyncpg.Pool
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

TRANSIENT: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
)
"""Errors after which the same transaction may succeed. `InterfaceError` and `InternalClientError` are what asyncpg says of a connection that was
just cut."""

COMMAND_TIMEOUT_S = 20.0
"""Longer than any statement of ours; a server that answers nothing for so long is away."""


async def open_pool(dsn: str, *, size: int = 4, role: str | None = None) -> Pool:
    """Return a pool; waits for the server as long as it takes, telling so now and then. `role` is what its sessions become (SET ROLE)."""
    server_settings = {"application_name": "tongguan"} | ({"role": role} if role else {})

    async def connect() -> Pool:
        return await asyncpg.create_pool(
            dsn, min_size=1, max_size=size, timeout=5, command_timeout=COMMAND_TIMEOUT_S, server_settings=server_settings
        )

    return await retrying(connect, what="connect to PostgreSQL")


async def retrying(operation: Callable[[], Awaitable[T]], *, what: str, check: Check | None = None) -> T:
    """Run an operation until no transient error stops it; it must be one whole transaction that may be run again.

    Waits 0.1 s to 2 s between tries, for ever: the caller holds its place, and its check says why. Cancellation ends it.
    """
    wait, since = 0.1, None
    seldom = logs.Seldom()
    loop = asyncio.get_running_loop()
    while True:
        try:
            result = await operation()
        except TRANSIENT as error:
            end_if_cancelled(error)
            now = loop.time()
            since = since or now
            if check is not None:
                check.fail(f"cannot {what}: {error!r}")
            if seldom.due(now):
                _log.warning("database_unavailable", what=what, error=repr(error), for_s=round(now - since, 1))
            await asyncio.sleep(wait)
            wait = min(wait * 2, 2.0)
        except Exception:  # what else it says, such as that another owns this now: it is there to say so
            if since is not None and check is not None:
                check.ok()
            raise
        else:
            if since is not None:
                if check is not None:
                    check.ok()
                _log.info("database_back", what=what, after_s=round(loop.time() - since, 1))
            return result


def end_if_cancelled(error: BaseException) -> None:
    """Raise the cancellation in whose place a connection that broke meanwhile raised its own error: the task was told to end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


async def watch(pool: Pool, check: Check) -> None:
    """Renew a check as long as the database answers; runs until cancelled."""
    while True:
        try:
            async with asyncio.timeout(5), pool.acquire() as connection:
                await connection.execute("select 1")
            check.ok()
        except TRANSIENT as error:
            end_if_cancelled(error)
            check.fail(f"PostgreSQL does not answer: {error!r}")
        await asyncio.sleep(2)


async def once(operation: Callable[[], Awaitable[T]], *, what: str) -> T:
    """Run an operation once, as a request does that must answer soon; raises `Unavailable` instead of a driver's error."""
    try:
        async with asyncio.timeout(5):
            return await operation()
    except TRANSIENT as error:
        raise Unavailable(f"cannot {what}: {error!r}") from error
