"""What every service is built on: pool, producer, health, metrics, admin port, heartbeat; opened and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, disable_created_metrics
from pydantic import ValidationError

from schemas.envelope import EventType, to_headers
from schemas.health import Heartbeat
from services.kit import database, http, logs
from services.kit.clock import Clock, SystemClock
from services.kit.errors import Misconfigured, Unavailable, places
from services.kit.health import Check, Health
from services.kit.producer import Outgoing, Producer
from services.kit.progress import Progress
from services.kit.settings import CommonSettings
from services.kit.topics import HEALTH

_log = logs.get(__name__)

T = TypeVar("T")

HEARTBEAT_S = 1.0
EXIT_MISCONFIGURED = 78
"""sysexits' EX_CONFIG: starting again will not help until somebody mends what the log says."""


@dataclass(frozen=True)
class Room:
    """What a service works with. `stop` is set when it should drain."""

    name: str
    settings: CommonSettings
    clock: Clock
    pool: database.Pool
    producer: Producer
    health: Health
    registry: CollectorRegistry
    progress: Progress
    tasks: asyncio.TaskGroup
    stop: asyncio.Event
    started: Check
    """To be renewed once the service has added its checks: before that it is not ready."""


S = TypeVar("S", bound=CommonSettings)


def run(name: str, load: Callable[[], S], service: Callable[[S, asyncio.Event], Awaitable[None]]) -> None:
    """Run a service with the settings that `load` returns until SIGTERM or SIGINT; the process's exit code says whether it ended well."""
    logs.configure(name, "starting", "info")

    async def main() -> None:
        settings = _settings(load)
        logs.configure(name, settings.node, settings.log_level)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await service(settings, stop)

    try:
        uvloop.run(main())
    except Exception as error:  # noqa: BLE001 - the process ends with it
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, Misconfigured):
                _log.critical("misconfigured", error=str(cause))
            else:
                _log.critical("crashed", error=str(cause), exc_info=cause)
        # The log has said it all: a traceback besides would only hide it.
        raise SystemExit(EXIT_MISCONFIGURED if any(isinstance(cause, Misconfigured) for cause in causes) else 1) from None


def _settings(load: Callable[[], S]) -> S:
    try:
        return load()
    except ValidationError as error:
        raise Misconfigured(f"settings (TONGGUAN_… or the file named by TONGGUAN_SETTINGS): {places(error)}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a task group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    else:
        yield error


@contextlib.asynccontextmanager
async def opened(name: str, settings: CommonSettings, admin_port: int, stop: asyncio.Event) -> AsyncIterator[Room]:
    """Open a room: its admin port answers at once, then Kafka and PostgreSQL are waited for. On leaving, its tasks are cancelled."""
    clock = SystemClock()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    health = Health(clock)
    loop_turns = health.check("event loop", max_age=15, vital=True)
    database_answers = health.check("database", max_age=10)
    kafka_answers = health.check("kafka", max_age=10)
    started = health.check("start", max_age=float("inf"))
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(http.serve(http.admin(health, registry), host=settings.admin_bind, port=admin_port, stop=asyncio.Event())),
            tasks.create_task(_turn(loop_turns)),
        ]
        connected = await until_stopped(_connect(settings, registry), stop)
        if connected is None:
            for task in running:
                task.cancel()
            raise SystemExit(0)
        pool, producer = connected
        progress = Progress(clock, registry)
        room = Room(name, settings, clock, pool, producer, health, registry, progress, tasks, stop, started)
        running += [
            tasks.create_task(database.watch(pool, database_answers)),
            tasks.create_task(progress.probe(settings.kafka)),
            tasks.create_task(_beat(room, kafka_answers)),
        ]
        try:
            yield room
        finally:
            for task in running:
                task.cancel()
            await producer.__aexit__()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await pool.close()
            pool.terminate()


async def _connect(settings: CommonSettings, registry: CollectorRegistry) -> tuple[database.Pool, Producer]:
    pool = await database.open_pool(settings.database)
    producer = Producer(settings.kafka, registry)
    wait = 0.2
    while True:
        try:
            await producer.kafka()
        except Unavailable as error:
            _log.warning("kafka_unavailable", error=str(error))
            await asyncio.sleep(wait)
            wait = min(wait * 2, 2.0)
        else:
            return pool, producer


async def until_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """Return what the work returns, or None when `stop` came first; it is cancelled then, as it is when the caller is."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.wait([task])


async def _turn(check: Check) -> None:
    while True:
        check.ok()
        await asyncio.sleep(1)


async def _beat(room: Room, check: Check) -> None:
    """Say each second on `city.health` how the service is; by that it also learns whether Kafka takes records."""
    while True:
        problems = [problem for problem in room.health.unready() if not problem.startswith("kafka:")]
        now = room.clock.now()
        beat = Heartbeat(
            service=room.name,
            node=room.settings.node,
            time=now,
            ready=not problems,
            # Names of checks only: every screen shows this, and errors of drivers hold addresses. `/readyz` and the log say all.
            reason=", ".join(problem.partition(":")[0] for problem in problems),
            lag=room.progress.lag,
            event_time=room.progress.event_time,
        )
        headers = to_headers(
            id=f"{room.settings.node}:{now.isoformat()}", type=EventType.HEALTH, source=f"/services/{room.name}", subject=room.name, time=now
        )
        record = Outgoing(beat.model_dump_json().encode(), key=room.name.encode(), headers=headers)
        try:
            async with asyncio.timeout(8):
                await room.producer.publish(HEALTH, [record])
            check.ok()
        except (Unavailable, TimeoutError) as error:
            check.fail(f"Kafka takes no records: {error!r}")
        await asyncio.sleep(HEARTBEAT_S)
