"""Rules' worker: records of `city.observations` through `step`, their effects committed, their state written down now and then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry, Counter, Histogram

from schemas import wire
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.kit import database, logs, outbox
from services.kit.clock import Clock
from services.kit.consumer import Batches
from services.kit.errors import Fenced
from services.kit.health import Check
from services.kit.partitions import Claim
from services.rules.domain.step import Outcome, Partition, Reason
from services.rules.store import Store

_log = logs.get(__name__)

SNAPSHOT_RECORDS = 200_000
"""A partition is written down after so many records at the latest, to bound what a restart works off again."""


class Owned:
    """A partition that is ours."""

    def __init__(self, claim: Claim, partition: Partition, position: int, taken_at: float) -> None:
        self.claim = claim
        self.partition = partition
        self.position = position
        self.taken_at = taken_at
        self.records = 0


class RulesWorker:
    """See `services.kit.consumer.Worker`."""

    def __init__(self, store: Store, relay: outbox.Relay, clock: Clock, check: Check, registry: CollectorRegistry, snapshot_s: float) -> None:
        self._store = store
        self._relay = relay
        self._clock = clock
        self._check = check
        self._snapshot_s = snapshot_s
        self._owned: dict[TopicPartition, Owned] = {}
        self._encoder = msgspec.msgpack.Encoder()
        self._reasons = Counter("tongguan_rules_records", "Records by what became of them", ["reason"], registry=registry)
        self._raised = Counter("tongguan_rules_warnings", "New revisions of warnings", registry=registry)
        self._commits = Histogram("tongguan_rules_commit_seconds", "Time of a commit with effects", registry=registry)
        self._snapshots = Histogram("tongguan_rules_snapshot_seconds", "Time of writing a partition's state", registry=registry)

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions from their newest snapshots."""
        self._owned = {}
        found = await database.retrying(lambda: self._store.take(taken), what="take over partitions", check=self._check)
        now = self._clock.monotonic()
        # Snapshots are spread over their interval, so that no poll waits for many.
        spread = self._snapshot_s / max(1, len(found))
        for at, (tp, one) in enumerate(sorted(found.items())):
            self._owned[tp] = Owned(one.claim, Partition(one.state), one.next_offset, now - at * spread)
        self._check.ok()
        return {tp: owned.position for tp, owned in self._owned.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Step through a poll; commit when it had effects; write down what is due."""
        warnings: list[Warning] = []
        offsets: dict[TopicPartition, int] = {}
        reached: dict[TopicPartition, datetime] = {}
        for tp, records in batches.items():
            owned = self._owned.get(tp)
            if owned is None:
                raise Fenced(f"records of {tp.topic}/{tp.partition} arrived, which is not ours")
            warnings += self._step(owned, records)
            offsets[tp] = owned.position
            if owned.partition.state.now:
                reached[tp] = wire.from_micros(owned.partition.state.now)
        if warnings:
            await self._commit(offsets, warnings)
        await self._write_down()
        return reached

    def _step(self, owned: Owned, records: Sequence[ConsumerRecord]) -> list[Warning]:
        warnings: list[Warning] = []
        counts: dict[Reason, int] = {}
        for record in records:
            reason, raised = _judge(owned.partition, record)
            counts[reason] = counts.get(reason, 0) + 1
            warnings += raised
        owned.position = records[-1].offset + 1
        owned.records += len(records)
        for reason, count in counts.items():
            self._reasons.labels(reason).inc(count)
        return warnings

    async def _commit(self, offsets: Mapping[TopicPartition, int], warnings: Sequence[Warning]) -> None:
        claims = {tp: self._owned[tp].claim for tp in offsets}
        with self._commits.time():
            new = await database.retrying(lambda: self._store.commit(claims, offsets, warnings), what="commit warnings", check=self._check)
        self._check.ok()
        self._relay.wake()
        self._raised.inc(new)

    async def _write_down(self) -> None:
        """Write the state of one partition whose turn it is: one a poll, so that no record waits for many."""
        now = self._clock.monotonic()
        due = [
            (owned.taken_at, tp)
            for tp, owned in self._owned.items()
            if owned.records and (now - owned.taken_at >= self._snapshot_s or owned.records >= SNAPSHOT_RECORDS)
        ]
        if due:
            await self._snapshot(min(due)[1])

    async def _snapshot(self, tp: TopicPartition) -> None:
        owned = self._owned[tp]
        with self._snapshots.time():
            state = self._encoder.encode(owned.partition.state)
            await database.retrying(lambda: self._store.snapshot(tp, owned.claim, state, owned.position), what="write a snapshot", check=self._check)
        owned.taken_at, owned.records = self._clock.monotonic(), 0


def _judge(partition: Partition, record: ConsumerRecord) -> Outcome:
    """Return what becomes of a record. Only ingest writes here, so one that fails is a fault of ours: it stays in Kafka, and harms no other."""
    try:
        return partition.step(wire.decode(record.value or b""))
    except msgspec.DecodeError as error:
        _log.error("undecodable_record", partition=record.partition, offset=record.offset, error=str(error))
        return Reason.UNDECODABLE, []
    except Exception:  # noqa: BLE001 - whatever it is, it would come again after a restart
        _log.exception("record_failed", partition=record.partition, offset=record.offset)
        return Reason.FAILED, []
