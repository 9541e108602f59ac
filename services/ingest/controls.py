"""Control records: ticks by the node that holds the lease, activations of what stands on `city.rules`, and all of it again daily."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation, Tick
from services.ingest.door import Door
from services.ingest.store import Store
from services.kit import database, logs
from services.kit.clock import Clock
from services.kit.health import Check
from services.kit.outbox import WAIT_FOR, Relay
from services.kit.producer import Outgoing, Producer
from services.kit.topics import OBSERVATIONS

_log = logs.get(__name__)

LEASE = "tick"
TICK_S = 1.0
MAX_SKEW = timedelta(seconds=2)
"""A node whose clock is further from the database's may not write ticks."""
RESEND_S = 86_400.0


class Ticker:
    """Writes a tick to every partition each second while this node holds the lease."""

    def __init__(self, store: Store, producer: Producer, clock: Clock, node: str, doors: Sequence[Door], check: Check) -> None:
        self._store = store
        self._producer = producer
        self._clock = clock
        self._node = node
        self._doors = doors
        self._check = check
        self._seldom = logs.Seldom()
        self._ticked: datetime | None = None

    async def run(self) -> None:
        """Tick until cancelled; while the database or Kafka is away time stands still, and says so."""
        next_at = self._clock.monotonic()
        while True:
            try:
                async with asyncio.timeout(10):
                    await self._turn()
            except WAIT_FOR as error:
                database.end_if_cancelled(error)
                self._check.fail(f"no tick: {error!r}")
                if self._seldom.due(self._clock.monotonic()):
                    _log.warning("no_tick", error=repr(error))
            next_at = max(next_at + TICK_S, self._clock.monotonic() - TICK_S)
            await asyncio.sleep(max(0.0, next_at - self._clock.monotonic()))

    async def _turn(self) -> None:
        # Read before the row is written: what this says is in Kafka is in Kafka.
        await self._store.report({door.name: door.acknowledged_until() for door in self._doors if door.listening})
        lease, self._ticked = await self._store.lease(LEASE, self._node, self._ticked), None
        skew = abs(self._clock.now() - lease.database_time)
        if skew > MAX_SKEW:
            self._check.fail(f"our clock is {skew.total_seconds():.1f} s off the database's: mend it (NTP)")
            _log.error("clock_skew", seconds=skew.total_seconds())
            await self._store.release(LEASE, self._node)
            return
        if lease.held:
            tick = Tick(time=lease.database_time, node=self._node, adapters=await self._store.adapters())
            value = wire.encode(wire.of_tick(tick))
            partitions = await self._producer.partitions(OBSERVATIONS)
            await self._producer.publish(OBSERVATIONS, [Outgoing(value, partition=partition) for partition in range(partitions)])
            self._ticked = tick.time
        self._check.ok()


class Activator:
    """Takes the records of `city.rules` and posts their activations."""

    def __init__(self, store: Store, relay: Relay) -> None:
        self._store = store
        self._relay = relay

    async def take(self, record: ConsumerRecord) -> None:
        """Post one rule's activation, when it is new."""
        try:
            activation = RuleActivation.model_validate_json(record.value)
        except ValidationError as error:
            _log.error("undecodable_rule", offset=record.offset, error=str(error))
            return
        if await database.retrying(lambda: self._store.activate(activation), what="activate a rule"):
            self._relay.wake()
            _log.info("rule_activated", rule=activation.rule.id, version=activation.rule.version)


async def resend_daily(store: Store, relay: Relay) -> None:
    """Post all sensors and rules again each day, until cancelled."""
    while True:
        await asyncio.sleep(RESEND_S)
        await database.retrying(store.resend, what="send sensors and rules again")
        relay.wake()
