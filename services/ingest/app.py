"""The composition of the ingest service."""

from __future__ import annotations

import asyncio

from schemas.sensor import Sensor
from services.ingest import http, keys
from services.ingest.controls import LEASE, Activator, Ticker, resend_daily
from services.ingest.domain.accept import TimeLimits
from services.ingest.domain.registry import Registry
from services.ingest.intake import Intake
from services.ingest.settings import Settings
from services.ingest.store import ROOM, Store
from services.kit import city, database, logs, room
from services.kit.http import serve as serve_http
from services.kit.outbox import Relay
from services.kit.reader import Reader
from services.kit.topics import OBSERVATIONS, RULES, load

_log = logs.get(__name__)

RELEASE_S = 0.3
"""The supervisor kills 4 s after it has asked to stop, and up to 2 s went into draining."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`; then requests under way are answered before it ends."""
    place = city.load(settings.city)
    sensors, set_aside = city.sensors(settings.city, place)
    for problem in set_aside:
        _log.error("sensor_set_aside", problem=str(problem))
    departments = keys.load(settings.secrets)
    own = settings.ingest
    async with room.opened(ROOM, settings, own.admin_port, stop) as opened:
        store = Store(opened.pool, opened.clock, place.regions, load()[OBSERVATIONS].partitions)
        relay = Relay(opened.pool, opened.producer, ROOM, opened.health.check("outbox", max_age=10), opened.registry)
        intake = Intake(
            producer=opened.producer,
            clock=opened.clock,
            node=settings.node,
            limits=TimeLimits(own.future, own.past),
            max_items=own.max_items,
            acknowledge_s=own.acknowledge_s,
            metrics=opened.registry,
        )
        ticker = Ticker(store, opened.producer, opened.clock, settings.node, intake.acknowledged_until, opened.health.check("ticks", max_age=10))
        rules = Reader(settings.kafka, {RULES: Activator(store, relay).take}, opened.health.check("rules topic", max_age=10))
        registered = opened.health.check("registry", max_age=float("inf"))
        listening = opened.health.check("http", max_age=float("inf"))
        opened.started.ok()
        tasks = [
            opened.tasks.create_task(relay.run()),
            opened.tasks.create_task(rules.run({})),
            opened.tasks.create_task(resend_daily(store, relay)),
        ]
        known = await room.until_stopped(_prepare(store, relay, rules, sensors), stop)
        if known is not None:
            intake.registry = Registry(place.regions, known)
            registered.ok()
            ticking = opened.tasks.create_task(ticker.run())
            door = http.app(intake, departments, max_body=own.max_body, max_waiting=own.max_waiting, body_s=own.body_s, metrics=opened.registry)
            await serve_http(door, host=settings.bind, port=own.port, stop=stop, ready=listening.ok)
            await _end_ticks(ticking, store, settings.node)
        for task in tasks:
            task.cancel()


async def _prepare(store: Store, relay: Relay, rules: Reader, sensors: list[Sensor]) -> list[Sensor]:
    """Register the sensors and return the whole registry, once all that readings need stands in the log."""
    await database.retrying(lambda: store.resend(only_if_made_anew=True), what="send the registry to topics made anew")
    for problem in await database.retrying(lambda: store.register(sensors), what="register sensors"):
        _log.error("sensor_set_aside", problem=problem)
    relay.wake()
    # A sensor's record must stand in its partition before its first reading, and rules' activations before that.
    await rules.caught_up.wait()
    await relay.emptied()
    return await database.retrying(store.sensors, what="read the registry")


async def _end_ticks(ticking: asyncio.Task[None], store: Store, node: str) -> None:
    """Let another node tick at once; when the database is away, it waits until the lease ends."""
    ticking.cancel()
    try:
        async with asyncio.timeout(RELEASE_S):
            await asyncio.wait([ticking])  # else it might take the lease again
            await store.release(LEASE, node)
    except database.TRANSIENT as error:
        _log.info("lease_not_released", error=repr(error))
