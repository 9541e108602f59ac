"""The composition of the history service."""

from __future__ import annotations

import asyncio

from services.history.consumer import HistoryWorker
from services.history.settings import Settings
from services.history.store import ROOM, Store
from services.kit import database, logs, room
from services.kit.consumer import Subscription, consume
from services.kit.topics import OBSERVATIONS, REPORTS, WARNINGS

_log = logs.get(__name__)

PARTITIONS_S = 3_600
"""How often partitions are made ahead and old ones dropped: a week of them is there, so that many turns may fail."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`."""
    async with room.opened(ROOM, settings, settings.history.admin_port, stop) as opened:
        store = Store(opened.pool)
        if await room.until_stopped(database.retrying(store.make_partitions, what="make partitions"), stop) is None:
            return
        worker = HistoryWorker(store, opened.health.check("writes", max_age=float("inf")), opened.registry)
        subscription = Subscription(
            bootstrap=settings.kafka,
            group=ROOM,
            topics=[OBSERVATIONS, WARNINGS, REPORTS],
            progress=opened.progress,
            alive=opened.health.check("consumer", max_age=120, vital=True),
            ready=opened.health.check("assignment", max_age=10),
        )
        tasks = [
            opened.tasks.create_task(_keep_partitions(store, settings.history.raw_days)),
            opened.tasks.create_task(consume(subscription, worker)),
        ]
        opened.started.ok()
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _keep_partitions(store: Store, raw_days: int) -> None:
    while True:
        if dropped := await database.retrying(lambda: store.drop_partitions(raw_days), what="drop old partitions"):
            _log.info("old_days_dropped", partitions=dropped, kept_days=raw_days)
        await asyncio.sleep(PARTITIONS_S)
        await database.retrying(store.make_partitions, what="make partitions")
