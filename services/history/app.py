"""The composition of the history service."""

from __future__ import annotations

import asyncio

from services.history.consumer import HistoryWorker
from services.history.settings import Settings
from services.history.store import ROOM, Store
from services.kit import database, logs, room
from services.kit.consumer import Subscription, consume
from services.kit.topics import OBSERVATIONS, WARNINGS

_log = logs.get(__name__)

PARTITIONS_S = 3_600
"""How often partitions are made ahead: a week of them is there, so that many turns may fail."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`."""
    async with room.opened(ROOM, settings, settings.history.admin_port, stop) as opened:
        store = Store(opened.pool)
        await database.retrying(store.make_partitions, what="make partitions")
        worker = HistoryWorker(store, opened.health.check("writes", max_age=float("inf")), opened.registry)
        subscription = Subscription(
            bootstrap=settings.kafka,
            group=ROOM,
            topics=[OBSERVATIONS, WARNINGS],
            progress=opened.progress,
            alive=opened.health.check("consumer", max_age=120, vital=True),
            ready=opened.health.check("assignment", max_age=10),
        )
        tasks = [
            opened.tasks.create_task(_make_partitions(store)),
            opened.tasks.create_task(consume(subscription, worker)),
        ]
        opened.started.ok()
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _make_partitions(store: Store) -> None:
    while True:
        await asyncio.sleep(PARTITIONS_S)
        await database.retrying(store.make_partitions, what="make partitions")
