"""Rules' worker: records of `city.observations` and `city.derived` through `step`, their effects committed, their state written down now and then."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry, Counter, Histogram

from schemas import wire
from services.kit import database, logs, outbox
from services.kit.clock import Clock
from services.kit.consumer import Batches
from services.kit.errors import Fenced
from services.kit.health import Check
from services.kit.partitions import Claim
from services.rules.domain.revision import Forward, Output, Revision
from services.rules.domain.step import Reason
from services.rules.snapshots import Owned, Snapshots
from services.rules.store import Store, Taken, ToldOpen

_log = logs.get(__name__)

BREATH = 1_000
"""After so many records of a poll other tasks have their turn: heartbeats, the relay, what is written down."""
SENT_AGAIN = 25 * 3_600_000_000
"""Within so long, in microseconds, ingest sends every sensor and rule again: daily, and some time for it."""
SETTLE_S = 60.0
"""How often what has come to stay is taken out of the garbage collector's sight."""


class Replayed:
    """What a partition without a snapshot computes again, up to the committed offset: it was told already.

    Unless another version of the engine told it: that one may have seen the same log otherwise. So at the committed offset the newest
    revision of each episode that is open now, or was told as open, is given out: where it was told, its (id, rev) is there.
    """

    def __init__(self, told_open: Sequence[ToldOpen]) -> None:
        self._told_open = frozenset(one.warning.id for one in told_open)
        self._newest: dict[UUID, Revision] = {}

    def add(self, outputs: Iterable[Output]) -> None:
        """Note what is not given out now."""
        for one in outputs:
            if type(one) is not Revision:
                continue
            if one.state == "open" or one.id in self._told_open:
                self._newest[one.id] = one
            else:
                self._newest.pop(one.id, None)

    def newest(self) -> list[Revision]:
        """Return what is given out at the committed offset."""
        return list(self._newest.values())


class Effects:
    """What has been brought about and is of no commit yet."""

    def __init__(self) -> None:
        self.warnings: list[Revision] = []
        self.forwards: list[Forward] = []
        self.stepped: dict[TopicPartition, Mine] = {}
        """What has stepped meanwhile, with effects or without: all of it must still be ours."""

    def add(self, outputs: Iterable[Output]) -> None:
        for one in outputs:
            if type(one) is Revision:
                self.warnings.append(one)
            else:
                assert type(one) is Forward  # noqa: S101 - there is no other
                self.forwards.append(one)

    def __bool__(self) -> bool:
        return bool(self.warnings or self.forwards)


class Mine(Owned):
    """A partition that is ours, with what of its outputs is known to be committed."""

    def __init__(self, tp: TopicPartition, taken: Taken, written_at: float) -> None:
        super().__init__(tp, taken.claim, taken.partition, taken.next_offset, written_at)
        self.aside: dict[str, dict[str, str]] = {}
        """Rules of which it was told that they failed."""
        self.told_open = taken.told_open
        """Not None: the first record decides which of these are taken over."""
        self.replayed = Replayed(taken.told_open) if taken.told_open is not None and taken.claim.next_offset else None

    def adopt(self, first: ConsumerRecord) -> None:
        """Take over the open episodes that the log from its first record does not compute again exactly as they were told.

        A log from which retention has taken records tells of each sensor and rule within a day, when ingest sends it again. Where nothing was
        committed on this topic, they are of one that is gone.
        """
        told, self.told_open = self.told_open or (), None
        known = 0 if first.offset == 0 else first.timestamp * 1000 + SENT_AGAIN
        anew = not self.claim.next_offset
        self.partition.adopt([one.warning for one in told if anew or not one.exact or wire.to_micros(one.warning.began_at) < known])


class RulesWorker:
    """See `services.kit.consumer.Stepper`."""

    def __init__(self, store: Store, snapshots: Snapshots, relay: outbox.Relay, clock: Clock, check: Check, registry: CollectorRegistry) -> None:
        self._store = store
        self._snapshots = snapshots
        self._relay = relay
        self._clock = clock
        self._check = check
        self._mine: dict[TopicPartition, Mine] = {}
        self._effects = Effects()
        self._settled_at = clock.monotonic()
        self._failed = Counter("tongguan_rules_failed", "Rules set aside on a subject, or as a whole, because they failed", registry=registry)
        self._reasons = Counter("tongguan_rules_records", "Records by what became of them", ["reason"], registry=registry)
        self._raised = Counter("tongguan_rules_warnings", "New revisions of warnings", registry=registry)
        self._forwarded = Counter("tongguan_rules_forwards", "Records for city.derived", registry=registry)
        self._commits = Histogram("tongguan_rules_commit_seconds", "Time of a commit with effects", registry=registry)
        self._refused = Counter("tongguan_rules_refused_commits", "Commits refused because another is the owner", registry=registry)
        self._taken = Histogram("tongguan_rules_take_over_seconds", "Time of taking over the partitions of an assignment", registry=registry)

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions from their newest snapshots."""
        self._drop()
        with self._taken.time(), _loading():
            found = await database.retrying(lambda: self._store.take(taken), what="take over partitions", check=self._check)
        self._mine = {tp: Mine(tp, one, self._snapshots.spread(at, len(found))) for at, (tp, one) in enumerate(sorted(found.items()))}
        self._check.ok()
        return {tp: mine.position for tp, mine in self._mine.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Step through a poll and commit its effects; write down a little of what is due."""
        reached = await self.step(batches)
        await self.commit()
        self._keep()
        return reached

    async def step(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Write down a little of what is due and step through a poll, gathering its effects."""
        self._keep()
        reached: dict[TopicPartition, datetime] = {}
        owned = self._mine
        for tp, records in batches.items():
            mine = owned.get(tp)
            for at in range(0, len(records), BREATH):
                if at:
                    await asyncio.sleep(0)  # a commit may begin here, or be refused
                if mine is None or self._mine is not owned:
                    raise Fenced(f"records of {tp.topic}/{tp.partition} arrived, which is not ours")
                self._step(mine, records[at : at + BREATH], self._effects)
            if mine is not None and mine.partition.now and not mine.partition.derived:  # a window's end says nothing of how old the news are
                reached[tp] = wire.from_micros(mine.partition.now)
        return reached

    async def commit(self) -> None:
        """Commit what was gathered, if it has effects."""
        effects, self._effects, owned = self._effects, Effects(), self._mine
        positions = {tp: mine.position for tp, mine in effects.stepped.items()}
        if effects:
            try:
                await self._commit(effects, positions)
            except BaseException as error:
                # The state is ahead of what is committed, and what was told of it meanwhile is gone.
                if self._mine is owned:
                    self._drop()
                if isinstance(error, Fenced):
                    self._refused.inc()
                raise
        for tp, mine in effects.stepped.items():
            mine.committed = positions[tp]
        self._snapshots.committed()

    def _drop(self) -> None:
        """Forget all state, and all effects that are of no commit."""
        self._mine = {}
        self._effects = Effects()
        self._snapshots.drop()

    def _keep(self) -> None:
        try:
            self._snapshots.turn(self._mine.values())
        except Fenced:
            self._refused.inc()
            self._drop()
            raise
        self._settle()

    def _settle(self) -> None:
        now = self._clock.monotonic()
        if now - self._settled_at >= SETTLE_S:
            self._settled_at = now
            gc.collect(1)  # what is young and garbage must not stay
            gc.freeze()

    def _step(self, mine: Mine, records: Sequence[ConsumerRecord], effects: Effects) -> None:
        """Step through some records; outputs of those below the committed offset are known to be committed."""
        committed = mine.claim.next_offset
        effects.stepped[mine.tp] = mine
        if mine.told_open is not None:
            mine.adopt(records[0])
        if mine.position < committed:
            split = sum(record.offset < committed for record in records)
            _judge(mine, records[:split], mine.replayed, self._reasons)
            records = records[split:]
        if records:
            if mine.replayed is not None:
                effects.add(mine.replayed.newest())
                mine.replayed = None
            _judge(mine, records, effects, self._reasons)
        if mine.partition.aside != mine.aside:
            self._tell_aside(mine)

    def _tell_aside(self, mine: Mine) -> None:
        """Say loudly which rules have failed, and on what."""
        for rule, failed in mine.partition.aside.items():
            for subject, error in failed.items():
                if subject not in mine.aside.get(rule, ()):
                    _log.error("rule_failed", rule=rule, subject=subject or "all of it", partition=mine.tp.partition, error=error)
                    self._failed.inc()
        mine.aside = {rule: dict(failed) for rule, failed in mine.partition.aside.items()}

    async def _commit(self, effects: Effects, offsets: Mapping[TopicPartition, int]) -> None:
        claims: dict[TopicPartition, Claim] = {tp: mine.claim for tp, mine in effects.stepped.items()}
        with self._commits.time():
            new = await database.retrying(
                lambda: self._store.commit(claims, offsets, effects.warnings, effects.forwards), what="commit warnings", check=self._check
            )
        self._check.ok()
        self._relay.wake()
        self._raised.inc(new)
        self._forwarded.inc(len(effects.forwards))


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Load state without the garbage collector, and out of its sight afterwards; what was dropped before is collected.

    State is many objects that refer to each other and live long: a look at those of 50,000 sensors takes 0.4 s, in which nothing is stepped
    and no heartbeat sent, and the collector would look ever again.
    """
    gc.unfreeze()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _judge(mine: Mine, records: Sequence[ConsumerRecord], into: Effects | Replayed | None, counter: Counter) -> None:
    """Take records into the state. Only our own services write here, so one that fails is a fault of ours: it stays in Kafka, and harms no other."""
    if not records:
        return
    step, decode = mine.partition.step, wire.decoder.decode
    counts: defaultdict[Reason, int] = defaultdict(int)
    for record in records:
        try:
            reason, outputs = step(decode(record.value or b""))
        except wire.UNDECODABLE as error:
            _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
            reason, outputs = Reason.UNDECODABLE, []
        except Exception:  # noqa: BLE001 - whatever it is, it would come again after a restart
            _log.exception("record_failed", topic=record.topic, partition=record.partition, offset=record.offset)
            reason, outputs = Reason.FAILED, []
        counts[reason] += 1
        if outputs and into is not None:
            into.add(outputs)
    mine.position = records[-1].offset + 1
    mine.records += len(records)
    for reason, count in counts.items():
        counter.labels(reason).inc(count)
