"""The composition of the ingest service."""

from __future__ import annotations

import asyncio

from services.ingest import http, keys
from services.ingest.controls import Activator, Ticker, resend_daily
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


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`; then requests under way are answered before it ends."""
    place = city.load(settings.city)
    sensors = city.sensors(settings.city, place)
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
        for problem in await database.retrying(lambda: store.register(sensors), what="register sensors"):
            _log.error("sensor_set_aside", problem=problem)
        relay.wake()
        # A sensor's record must stand in its partition before its first reading, and rules' activations before that.
        await rules.caught_up.wait()
        await relay.emptied()
        intake.registry = Registry(place.regions, await database.retrying(store.sensors, what="read the registry"))
        registered.ok()
        tasks.append(opened.tasks.create_task(ticker.run()))
        door = http.app(intake, departments, max_body=own.max_body, max_waiting=own.max_waiting, metrics=opened.registry)
        await serve_http(door, host=settings.bind, port=own.port, stop=stop, ready=listening.ok)
        await database.once(lambda: store.release("tick", settings.node), what="release the lease")
        for task in tasks:
            task.cancel()
