"""Alerts' worker: warnings and commands in; who is told is the desk's to decide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry, Counter
from pydantic import TypeAdapter, ValidationError

from schemas.command import Command, Override, ToIngest
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.domain.watching import WORKER
from services.alerts.pulse import Pulse
from services.alerts.store import Polled, Store
from services.kit import database, logs
from services.kit.consumer import Batches
from services.kit.health import Check
from services.kit.outbox import Relay
from services.kit.partitions import Claim, Claims
from services.kit.progress import Progress
from services.kit.topics import COMMANDS, WARNINGS

_log = logs.get(__name__)

_MODELS: dict[str, TypeAdapter[Any]] = {WARNINGS: TypeAdapter(Warning), COMMANDS: TypeAdapter(Command)}


class AlertsWorker:
    """See `services.kit.consumer.Worker`."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        progress: Progress,
        pulse: Pulse,
        check: Check,
        registry: CollectorRegistry,
        *,
        looked: Callable[[], None],
        staffed: Callable[[], None],
    ) -> None:
        """`looked` is called when alerts may be due, `staffed` when somebody else is on duty."""
        self._store = store
        self._relay = relay
        self._check = check
        self._looked = looked
        self._staffed = staffed
        self._claims: dict[TopicPartition, Claim] = {}
        self._progress = progress
        self._pulse = pulse
        self.caught_up = asyncio.Event()
        """Set once what waited at the start is taken in: what was over by then is told nobody."""
        self.taken = 0
        """Records of topics that were taken in."""
        self._taken = Counter("tongguan_alerts_warnings", "Revisions of warnings that were news", registry=registry)
        self._decided = Counter("tongguan_alerts_commands", "Commands taken in, by kind", ["kind"], registry=registry)

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions at their committed offsets."""
        self._claims = await database.retrying(lambda: self._store.take(taken), what="take over partitions", check=self._check)
        self._check.ok()
        return {tp: claim.next_offset for tp, claim in self._claims.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Take a poll in."""
        if self._claims and self._progress.is_at_end:
            self.caught_up.set()
        await database.retrying(partial(self._pulse.beat, WORKER), what="say that warnings are taken in", check=self._check)
        if not batches:
            return {}
        claims = self._claims  # of this poll: the partitions may be assigned anew while it is tried again
        try:
            polled = await self._take(claims, batches)
        except asyncpg.DataError:  # one record holds what the database does not take: it harms no other
            polled = await self._take_singly(claims, batches)
        self._check.ok()
        self._relay.wake()
        self._looked()
        if any(isinstance(one, Override) for one in polled.commands):
            self._staffed()
        for command in polled.commands:
            self._decided.labels(command.kind).inc()
        return {}

    async def _take(self, claims: Claims, batches: Batches, *, leave: bool = False) -> Polled:
        """Take records in, or `leave` them: then only the offsets move on."""
        polled = Polled() if leave else Polled(list(_decoded(batches, WARNINGS)), list(_decoded(batches, COMMANDS)))
        offsets = {tp: records[-1].offset + 1 for tp, records in batches.items()}
        news = await database.retrying(lambda: self._store.commit(claims, offsets, polled), what="take a poll in", check=self._check)
        self._taken.inc(news)
        self.taken += sum(map(len, batches.values()))
        return polled

    async def _take_singly(self, claims: Claims, batches: Batches) -> Polled:
        """Take records in one by one; one that the database does not take is told and passed over."""
        taken: list[Polled] = []
        for tp, record in ((tp, record) for tp, records in batches.items() for record in records):
            try:
                taken.append(await self._take(claims, {tp: [record]}))
            except asyncpg.DataError as error:
                _log.error("unusable_record", topic=tp.topic, partition=tp.partition, offset=record.offset, error=type(error).__name__)
                await self._take(claims, {tp: [record]}, leave=True)
        return Polled([one for polled in taken for one in polled.warnings], [one for polled in taken for one in polled.commands])


def _decoded(batches: Batches, topic: str) -> Iterator[Any]:
    """Yield a topic's records in order; what does not decode is told and passed over."""
    for tp, records in batches.items():
        if tp.topic == topic:
            for record in records:
                try:
                    one = _MODELS[topic].validate_json(record.value)
                    if not isinstance(one, ToIngest):
                        yield one
                except ValidationError as error:
                    _pass_over(record, error)


def _pass_over(record: ConsumerRecord, error: ValidationError) -> None:
    """A record that only our own rooms could have written badly: it stays in Kafka, and harms no other."""
    wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False, include_url=False)[:5])
    _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=wrong)
