"""The composition of the rules service."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

from services.kit import city, database, logs, room
from services.kit.consumer import Subscription, consume
from services.kit.outbox import Relay
from services.kit.topics import DERIVED, OBSERVATIONS
from services.rules.consumer import RulesWorker
from services.rules.settings import Settings
from services.rules.snapshots import Snapshots
from services.rules.store import ROOM, Store

_log = logs.get(__name__)

SELDOM = (5_000, 20, 50)
"""Thresholds of the garbage collector. State is many objects that live long and of which few are garbage: at its usual pace the collector looks at
all that is new of them several times a second while sensors are met, a twentieth of all time."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`."""
    gc.set_threshold(*SELDOM)
    async with room.opened(ROOM, settings, settings.rules.admin_port, stop) as opened:
        store = Store(opened.pool, opened.clock)
        relay = Relay(opened.pool, opened.producer, ROOM, opened.health.check("outbox", max_age=10), opened.registry)
        check = opened.health.check("commits", max_age=float("inf"))
        snapshots = Snapshots(store, opened.clock, opened.health.check("snapshots", max_age=float("inf")), opened.registry, settings.rules.snapshot_s)
        worker = RulesWorker(store, snapshots, relay, opened.clock, check, opened.registry)
        subscription = Subscription(
            bootstrap=settings.kafka,
            group=ROOM,
            topics=[OBSERVATIONS, DERIVED],
            progress=opened.progress,
            alive=opened.health.check("consumer", max_age=120, vital=True),
            ready=opened.health.check("assignment", max_age=10),
        )
        tasks = [
            opened.tasks.create_task(relay.run()),
            opened.tasks.create_task(snapshots.run()),
            opened.tasks.create_task(_publish_rules(settings, store, relay)),
            opened.tasks.create_task(consume(subscription, worker)),
        ]
        opened.started.ok()
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _publish_rules(settings: Settings, store: Store, relay: Relay) -> None:
    """Publish the city's rules, and again what changes in its files; a bad file is told once and harms no other."""
    told: set[str] = set()
    while True:
        rules, bad = city.rules(settings.city)
        problems = [str(problem) for problem in bad]
        problems += await database.retrying(partial(store.publish_rules, rules), what="publish rules")
        relay.wake()
        for problem in problems:
            if problem not in told:
                _log.error("rule_set_aside", problem=problem)
        told = set(problems)
        await asyncio.sleep(settings.rules.reload_s)
