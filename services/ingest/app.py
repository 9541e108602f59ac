"""The composition of the ingest service."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from schemas.kind import Kind
from schemas.sensor import Sensor
from services.ingest import files, keys
from services.ingest.controls import LEASE, Activator, Ticker, resend_daily
from services.ingest.domain.accept import TimeLimits
from services.ingest.domain.registration import Ground
from services.ingest.domain.registry import Registry
from services.ingest.flow import Flow
from services.ingest.intake import Intake
from services.ingest.keyring import Keyring, KeyTable
from services.ingest.opening import ALWAYS, Opening
from services.ingest.patrols import Patrolling
from services.ingest.presence import Presence
from services.ingest.refusals import Ledger, Mending
from services.ingest.registering import Registering, follow, ground
from services.ingest.settings import Settings
from services.ingest.stopping import Reopening, Stops
from services.ingest.store import ROOM, Store
from services.ingest.units import conversion
from services.ingest.worker import Decider, IngestWorker
from services.kit import city, database, kinds, logs, room
from services.kit.consumer import Subscription, consume
from services.kit.outbox import Relay
from services.kit.reader import Reader
from services.kit.topics import COMMANDS, OBSERVATIONS, REJECTED, RULES, SENSORS, load

_log = logs.get(__name__)

RELEASE_S = 0.3
"""The supervisor kills 4 s after it has asked to stop, and up to 2 s went into draining."""
LAST_WORDS_S = 0.5
"""For what is only counted."""
MOST_AT_ONCE = 500
"""Records of a poll of commands and refusals: they are laid out between the answers to devices."""


@dataclass(frozen=True)
class Given:
    """What the city's folder and the secrets say."""

    place: city.CityFolder
    sensors: list[Sensor]
    kinds: Mapping[str, Kind]
    ground: Ground
    keys: keys.Keys


def read(settings: Settings) -> Given:
    """Return it; raises `Misconfigured`. A sensor that is wrong is told and set aside."""
    place = city.load(settings.city)
    sensors, set_aside = city.sensors(settings.city, place)
    for problem in set_aside:
        _log.error("sensor_set_aside", problem=str(problem))
    return Given(
        place,
        sensors,
        kinds.load(settings.city, place),
        ground(place, settings.city, settings.ingest.boundaries),
        keys.load(settings.secrets),
    )


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`; then what the doors have under way is answered before it ends."""
    given, own = read(settings), settings.ingest
    files.allow_many()
    async with room.opened(ROOM, settings, own.admin_port, stop) as opened:
        store = Store(opened.pool, opened.clock, given.place.regions, load()[OBSERVATIONS].partitions)
        relay = Relay(opened.pool, opened.producer, ROOM, opened.health.check("outbox", max_age=10), opened.registry)
        flow = Flow(store)
        stops = Stops(opened.pool, opened.clock, opened.health.check("doors", max_age=ALWAYS, only_told=True), opened.registry)
        intake = Intake(
            producer=opened.producer,
            clock=opened.clock,
            limits=TimeLimits(own.future, own.past),
            max_items=own.max_items,
            acknowledge_s=own.acknowledge_s,
            flow=flow,
            stops=stops,
            metrics=opened.registry,
        )
        presence = Presence(opened.pool, settings.node)
        opening = Opening(settings, given.place, opened, intake, given.keys, presence)
        doors, table = opening.doors(), KeyTable(opened.pool)
        ticker = Ticker(store, opened.producer, opened.clock, settings.node, [one.door for one in doors], opened.health.check("ticks", max_age=10))
        rules = Reader(settings.kafka, {RULES: Activator(store, relay).take}, opened.health.check("rules topic", max_age=10))
        registered = opened.health.check("registry", max_age=ALWAYS)
        sensors_topic = opened.health.check("sensors topic", max_age=10)
        opened.started.ok()
        tasks = [opened.tasks.create_task(work) for work in (relay.run(), rules.run({}), resend_daily(store, relay))]
        known = await room.until_stopped(_prepare(store, relay, rules, given, table, stops), stop)
        if known is not None:
            intake.registry = Registry(given.place.regions, known, conversion)
            intake.registry.kinds = given.kinds
            for sensor, why in intake.registry.problems.items():
                _log.error("link_set_aside", sensor=sensor, problem=why)
            registered.ok()
            gc.collect()
            gc.freeze()  # sensors live long: a full collection that looks at 5,000 of them keeps devices waiting for half a second
            works = (
                Reader(settings.kafka, {SENSORS: follow(intake.registry)}, sensors_topic).run({}),
                _work(settings, opened, store, relay, opening, given),
                given.keys.run(table),
                flow.run(lambda: intake.registry),
                stops.run(),
                presence.run(),
            )
            tasks += [opened.tasks.create_task(work) for work in works]
            ticking = opened.tasks.create_task(ticker.run())
            await asyncio.gather(*(one.run(stop) for one in doors))
            await _end_ticks(ticking, store, settings.node)
            await _last_words(flow.write(None), presence.write())
        for task in tasks:
            task.cancel()


async def _work(settings: Settings, opened: room.Room, store: Store, relay: Relay, opening: Opening, given: Given) -> None:
    """Decide commands and lay out what was refused, until cancelled."""
    ledger = Ledger()
    deciders: list[Decider] = [
        Registering(store, given.ground),
        Mending(opening.intake, opened.clock, settings.ingest.max_items, opening.judges()),
        Keyring(),
        Reopening(),
        Patrolling(lambda: opening.intake.registry),
    ]
    alive = opened.health.check("consumer", max_age=120, vital=True)
    worker = IngestWorker(opened.pool, relay, opened.health.check("commands", max_age=ALWAYS), deciders, ledger, alive)
    subscription = Subscription(
        bootstrap=settings.kafka,
        group=ROOM,
        topics=[COMMANDS, REJECTED],
        max_records=MOST_AT_ONCE,
        progress=opened.progress,
        alive=alive,
        ready=opened.health.check("assignment", max_age=10),
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ledger.prune(opened.pool))
        tasks.create_task(consume(subscription, worker))


async def _prepare(store: Store, relay: Relay, rules: Reader, given: Given, table: KeyTable, stops: Stops) -> list[Sensor]:
    """Register the sensors and return the whole registry, once all that readings need stands in the log."""
    await database.retrying(stops.load, what="read what was accepted before")
    given.keys.keep(await database.retrying(table.good, what="read departments' keys"))
    await database.retrying(lambda: store.resend(only_if_made_anew=True), what="send the registry to topics made anew")
    for problem in await database.retrying(lambda: store.register(given.sensors), what="register sensors"):
        _log.error("sensor_set_aside", problem=problem)
    relay.wake()
    # A sensor's record must stand in its partition before its first reading, and rules' activations before that.
    await rules.caught_up.wait()
    await relay.emptied()
    return await database.retrying(store.sensors, what="read the registry")


async def _last_words(*works: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_S):
            await asyncio.gather(*works)


async def _end_ticks(ticking: asyncio.Task[None], store: Store, node: str) -> None:
    """Let another node tick at once; when the database is away, it waits until the lease ends."""
    ticking.cancel()
    try:
        async with asyncio.timeout(RELEASE_S):
            await asyncio.wait([ticking])  # else it might take the lease again
            await store.release(LEASE, node)
    except database.TRANSIENT as error:
        _log.info("lease_not_released", error=repr(error))
