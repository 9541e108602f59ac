"""The composition of the alerts service."""

from __future__ import annotations

import asyncio

from services.alerts.consumer import AlertsWorker
from services.alerts.domain.routing import route
from services.alerts.settings import Settings
from services.alerts.store import ROOM, Store
from services.kit import city, room
from services.kit.consumer import Subscription, consume
from services.kit.outbox import Relay
from services.kit.topics import COMMANDS, WARNINGS

MOST_AT_ONCE = 1_000
"""Records of a poll: each warning takes some statements, and all of a poll are one transaction, whose length is bounded."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`."""
    regions = city.load(settings.city).regions
    async with room.opened(ROOM, settings, settings.alerts.admin_port, stop) as opened:
        relay = Relay(opened.pool, opened.producer, ROOM, opened.health.check("outbox", max_age=10), opened.registry)
        worker = AlertsWorker(
            Store(opened.pool),
            relay,
            lambda warning, gravest: route(warning, gravest, regions, opened.clock.now()),
            opened.health.check("writes", max_age=float("inf")),
            opened.registry,
        )
        subscription = Subscription(
            bootstrap=settings.kafka,
            group=ROOM,
            topics=[WARNINGS, COMMANDS],
            max_records=MOST_AT_ONCE,
            progress=opened.progress,
            alive=opened.health.check("consumer", max_age=120, vital=True),
            ready=opened.health.check("assignment", max_age=10),
        )
        tasks = [
            opened.tasks.create_task(relay.run()),
            opened.tasks.create_task(consume(subscription, worker)),
        ]
        opened.started.ok()
        await stop.wait()
        for task in tasks:
            task.cancel()
