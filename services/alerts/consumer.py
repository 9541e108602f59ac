"""Alerts' worker: warnings in, notifications out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

from schemas.notification import Notification
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.store import Store
from services.kit import database, logs
from services.kit.consumer import Batches
from services.kit.health import Check
from services.kit.outbox import Relay
from services.kit.partitions import Claim

_log = logs.get(__name__)


class AlertsWorker:
    """See `services.kit.consumer.Worker`."""

    def __init__(
        self, store: Store, relay: Relay, route: Callable[[Warning], Iterable[Notification]], check: Check, registry: CollectorRegistry
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
        warnings: list[Warning] = []
        for records in batches.values():
            for record in records:
                try:
                    warnings.append(Warning.model_validate_json(record.value))
                except ValidationError as error:
                    # Only rules writes here, so this is a fault of ours; the record stays in Kafka, and harms no other.
                    _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
        offsets = {tp: records[-1].offset + 1 for tp, records in batches.items()}
        claims = self._claims  # of this poll: the partitions may be assigned anew while it is tried again
        told = await database.retrying(
            lambda: self._store.commit(claims, offsets, warnings, self._route), what="write notifications", check=self._check
        )
        self._check.ok()
        self._relay.wake()
        self._told.inc(told)
        return {}
