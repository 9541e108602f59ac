"""The part of ingest that keeps the registry, as one node has it: commands are decided, the outbox is relayed, `city.sensors` is followed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
from prometheus_client import CollectorRegistry

from schemas.action import Actor
from schemas.base import Name
from schemas.command import ChangeSensor, ImportSensors, Within
from schemas.outcome import Decided, Outcome
from schemas.sensor import Sensor
from services.ingest.domain.accept import TimeLimits
from services.ingest.domain.registry import Registry
from services.ingest.flow import Flow
from services.ingest.intake import Intake
from services.ingest.refusals import Ledger
from services.ingest.registering import Registering, follow, ground
from services.ingest.stopping import Stops
from services.ingest.store import ROOM, Store
from services.ingest.units import conversion
from services.ingest.worker import IngestWorker
from services.kit import city as city_folder
from services.kit.clock import SystemClock
from services.kit.consumer import Subscription, consume
from services.kit.health import Health
from services.kit.outbox import Relay
from services.kit.producer import Outgoing, Producer
from services.kit.progress import Progress
from services.kit.reader import Reader
from services.kit.topics import COMMANDS, OBSERVATIONS, REJECTED, SENSORS, load
from tests.integration.parts import eventually

PARTITIONS = load()[OBSERVATIONS].partitions
ANNA = Actor(id="anna", name=Name(zh="安娜", en="Anna"))
CLOCK = SystemClock()


@dataclass
class Registrar:
    """One node's."""

    registry: Registry
    intake: Intake
    producer: Producer
    pool: asyncpg.Pool

    async def change(self, sensor: Sensor, *within: Within, dry_run: bool = False) -> Decided:
        """Ask as the gateway does."""
        whole = within or (Within(region=self.registry.regions.root.code),)
        return await self._ask(ChangeSensor(id=uuid4(), actor=ANNA, at=CLOCK.now(), sensor=sensor, within=whole, dry_run=dry_run))

    async def bring(self, body: bytes | None, *within: Within, form: str = "csv", system: str = "cgcs2000", dry_run: bool = False) -> Decided:
        """Ask for an import as the gateway does; None is a file that is not there any more."""
        add = "insert into gateway.uploads values (encode(sha256($1), 'hex'), $1, 'anna', now()) on conflict (digest) do update set at = now()"
        digest = "0" * 64 if body is None else await self.pool.fetchval(f"{add} returning digest", body)
        whole = within or (Within(region=self.registry.regions.root.code),)
        fields = {"id": uuid4(), "actor": ANNA, "at": CLOCK.now(), "file": digest, "form": form, "system": system, "within": whole}
        return await self._ask(ImportSensors.model_validate({**fields, "dry_run": dry_run}))

    async def _ask(self, command: ChangeSensor | ImportSensors) -> Decided:
        await self.producer.publish(COMMANDS, [Outgoing(command.model_dump_json().encode(), key=b"sensor/x")])

        async def decided() -> asyncpg.Record | None:
            return await self.pool.fetchrow("select outcome, detail from api_ingest.decided($1)", [command.id])

        row = await eventually(decided, "the decision")
        assert row is not None
        return Decided(command=command.id, outcome=Outcome(row["outcome"]), detail=json.loads(row["detail"]))


@contextlib.asynccontextmanager
async def registrar(kafka: str, pool: asyncpg.Pool, producer: Producer, folder: Path, boundaries: Path | None = None) -> AsyncIterator[Registrar]:
    """Yield a node of ingest in a city, once it consumes."""
    place, health, metrics = city_folder.load(folder), Health(CLOCK), CollectorRegistry()
    store = Store(pool, CLOCK, place.regions, PARTITIONS)
    relay = Relay(pool, producer, ROOM, health.check("outbox", max_age=10), metrics)
    registry = Registry(place.regions, await store.sensors(), conversion)
    limits = TimeLimits(timedelta(minutes=1), timedelta(days=90))
    stops = Stops(pool, CLOCK, health.check("doors", max_age=1), metrics)
    intake = Intake(producer=producer, clock=CLOCK, limits=limits, max_items=100, acknowledge_s=20, flow=Flow(store), stops=stops, metrics=metrics)
    intake.registry = registry
    deciders = [Registering(store, ground(place, folder, boundaries))]
    worker = IngestWorker(pool, relay, health.check("worker", max_age=10), deciders, Ledger(), health.check("alive", max_age=120))
    reader = Reader(kafka, {SENSORS: follow(registry)}, health.check("sensors topic", max_age=10))
    subscription = Subscription(
        bootstrap=kafka,
        group=ROOM,
        topics=[COMMANDS, REJECTED],
        progress=Progress(CLOCK, metrics),
        alive=health.check("consumer", max_age=120),
        ready=health.check("assignment", max_age=10),
    )
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in (relay.run(), reader.run({}), consume(subscription, worker))]

        async def works() -> bool:
            return not [problem for problem in health.unready() if problem.startswith(("assignment", "worker"))]

        await eventually(works, "the consumer")
        await reader.caught_up.wait()
        yield Registrar(registry, intake, producer, pool)
        for task in running:
            task.cancel()
