"""Alerts' worker: warnings and commands in, notifications and what people did out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry, Counter
from pydantic import TypeAdapter, ValidationError

from schemas.command import Command
from schemas.notification import Notification
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.store import Polled, Store
from services.kit import database, logs
from services.kit.consumer import Batches
from services.kit.health import Check
from services.kit.outbox import Relay
from services.kit.partitions import Claim
from services.kit.topics import COMMANDS, WARNINGS

_log = logs.get(__name__)

_MODELS: dict[str, TypeAdapter[Any]] = {WARNINGS: TypeAdapter(Warning), COMMANDS: TypeAdapter(Command)}


class AlertsWorker:
    """See `services.kit.consumer.Worker`."""

    def __init__(
        self, store: Store, relay: Relay, route: Callable[[Warning, int], Iterable[Notification]], check: Check, registry: CollectorRegistry
    ) -> None:
        self._store = store
        self._relay = relay
        self._route = route
        self._check = check
        self._claims: dict[TopicPartition, Claim] = {}
        self._told = Counter("tongguan_alerts_notifications", "Notifications decided", registry=registry)

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions at their committed offsets."""
        self._claims = await database.retrying(lambda: self._store.take(taken), what="take over partitions", check=self._check)
        self._check.ok()
        return {tp: claim.next_offset for tp, claim in self._claims.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Deal with a poll."""
        if not batches:
            return {}
        polled = Polled(list(_decoded(batches, WARNINGS)), list(_decoded(batches, COMMANDS)))
        offsets = {tp: records[-1].offset + 1 for tp, records in batches.items()}
        claims = self._claims  # of this poll: the partitions may be assigned anew while it is tried again
        told = await database.retrying(
            lambda: self._store.commit(claims, offsets, polled, self._route), what="write notifications", check=self._check
        )
        self._check.ok()
        self._relay.wake()
        self._told.inc(told)
        return {}


def _decoded(batches: Batches, topic: str) -> Iterator[Any]:
    """Yield a topic's records in order; what does not decode is told and passed over."""
    for tp, records in batches.items():
        if tp.topic == topic:
            for record in records:
                try:
                    yield _MODELS[topic].validate_json(record.value)
                except ValidationError as error:
                    _pass_over(record, error)


def _pass_over(record: ConsumerRecord, error: Exception) -> None:
    """A record that only our own rooms could have written badly: it stays in Kafka, and harms no other."""
    _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
