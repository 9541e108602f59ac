"""History's worker: observations, warnings and reports into rows, each poll one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry, Counter, Histogram
from pydantic import BaseModel, ValidationError

from schemas import wire
from schemas.report import Report
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.history.store import Logged, Store
from services.kit import database, logs
from services.kit.consumer import Batches
from services.kit.health import Check
from services.kit.partitions import Claim
from services.kit.topics import OBSERVATIONS, REPORTS

_log = logs.get(__name__)

M = TypeVar("M", bound=BaseModel)


class HistoryWorker:
    """See `services.kit.consumer.Worker`."""

    def __init__(self, store: Store, check: Check, registry: CollectorRegistry) -> None:
        self._store = store
        self._check = check
        self._claims: dict[TopicPartition, Claim] = {}
        self._observations = Counter("tongguan_history_observations", "Observations written, repetitions included", registry=registry)
        self._undecodable = Counter("tongguan_history_undecodable", "Records passed over", ["topic"], registry=registry)
        self._commits = Histogram("tongguan_history_commit_seconds", "Time of a commit", registry=registry)

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions at their committed offsets."""
        self._claims = await database.retrying(lambda: self._store.take(taken), what="take over partitions", check=self._check)
        self._check.ok()
        return {tp: claim.next_offset for tp, claim in self._claims.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Write a poll."""
        if not batches:
            return {}
        observations: list[Logged] = []
        warnings: list[Warning] = []
        reports: list[Report] = []
        reached: dict[TopicPartition, datetime] = {}
        for tp, records in batches.items():
            if tp.topic == OBSERVATIONS:
                if (tick := self._observe(records, observations)) is not None:
                    reached[tp] = wire.from_micros(tick)
            elif tp.topic == REPORTS:
                reports += self._decoded(Report, records)
            else:
                warnings += self._decoded(Warning, records)
        offsets = {tp: records[-1].offset + 1 for tp, records in batches.items()}
        claims = self._claims  # of this poll: the partitions may be assigned anew while it is tried again
        with self._commits.time():
            await database.retrying(
                lambda: self._store.commit(claims, offsets, observations, warnings, reports), what="write history", check=self._check
            )
        self._check.ok()
        self._observations.inc(len(observations))
        return reached

    def _observe(self, records: Sequence[ConsumerRecord], observations: list[Logged]) -> int | None:
        """Collect a partition's observations; return its newest tick."""
        tick: int | None = None
        for record in records:
            try:
                value = wire.decode(record.value or b"")
            except msgspec.DecodeError as error:
                self._pass_over(record, error)
                continue
            if type(value) is wire.Observation:
                observations.append(Logged(value, record.partition, record.offset))
            elif type(value) is wire.Tick:
                tick = value.time
        return tick

    def _decoded(self, model: type[M], records: Sequence[ConsumerRecord]) -> list[M]:
        decoded: list[M] = []
        for record in records:
            try:
                decoded.append(model.model_validate_json(record.value or b""))
            except ValidationError as error:
                self._pass_over(record, error)
        return decoded

    def _pass_over(self, record: ConsumerRecord, error: Exception) -> None:
        """A record that only our own rooms could have written badly: it stays in Kafka, and harms no other."""
        self._undecodable.labels(record.topic).inc()
        _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
