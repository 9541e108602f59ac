"""The Kafka door: what departments write to their own topics `inbound.<department>`, judged as HTTP's events are.

A poll is judged and handed to Kafka as it is stepped, and the next goes on meanwhile. A commit is in this order:

1. Kafka has acknowledged all that was accepted and all that was refused of the polls that were stepped;
2. the offsets move on, in PostgreSQL.

After a crash in between, or while either is away, records are read and published again: consumers ignore repetitions. The department is the topic's,
whatever an event says. What is refused goes to `city.rejected` with its place, `inbound.water/3@1234`, for an address.

Topics are those of the departments at the start of the process: one that is added to the city later is read after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry, Gauge

from schemas import wire
from schemas.rejected import Problem
from schemas.report import Report
from services.ingest.domain.accept import Accepted, Judge, Refused, Sender
from services.ingest.domain.cloudevents import Malformed, of_record
from services.ingest.door import Door
from services.ingest.doors import unpacking
from services.ingest.intake import Intake, Judged, Origin
from services.ingest.store import ROOM
from services.kit import database, logs, partitions, room
from services.kit.consumer import Batches, Subscription, consume
from services.kit.errors import Overloaded, Unavailable
from services.kit.health import Check
from services.kit.partitions import Claim
from services.kit.progress import Progress

_log = logs.get(__name__)

GROUP = "ingest-inbound"
MAX_RECORDS = 2_000
"""Of a poll: other doors answer on the same loop, and these take it for 15 ms or so."""
FULL_S = 0.2
"""How soon it is tried again when a lane of the producer is full."""
LOOK_S = 0.5
"""How often it is looked whether the door listens."""


class Inbound:
    """See `services.kit.consumer.Stepper`."""

    def __init__(self, *, intake: Intake, door: Door, pool: database.Pool, topics: Mapping[str, str], check: Check) -> None:
        """`topics` gives each topic's department."""
        self._intake = intake
        self._door = door
        self._pool = pool
        self._departments = topics
        self._check = check
        self._claims: dict[TopicPartition, Claim] = {}
        self._offsets: dict[TopicPartition, int] = {}
        self._under_way: list[asyncio.Task[None]] = []

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions at their committed offsets."""
        await self.drop()

        async def claim() -> dict[TopicPartition, Claim]:
            async with self._pool.acquire() as connection, connection.transaction():
                return await partitions.claim(connection, ROOM, taken)

        self._claims = await database.retrying(claim, what="take over inbound partitions", check=self._check)
        self._check.ok()
        return {tp: claim.next_offset for tp, claim in self._claims.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Step and commit."""
        reached = await self.step(batches)
        await self.commit()
        return reached

    async def step(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Have a poll judged and published."""
        if batches:
            self._under_way.append(asyncio.create_task(self._take(batches)))
            self._offsets |= {tp: records[-1].offset + 1 for tp, records in batches.items()}
            await asyncio.sleep(0)  # it is judged now: so a step takes its time, and the next poll comes after it
        self._check.ok()
        return {}

    async def commit(self) -> None:
        """Move the offsets on, once Kafka has all that was stepped.

        Raises TimeoutError when Kafka did not take it: then the group is left, and what was stepped is read again.
        """
        stepped, self._under_way = self._under_way, []
        claims, offsets, self._offsets = self._claims, self._offsets, {}
        try:
            await asyncio.gather(*stepped)
        except Unavailable as error:
            raise TimeoutError(f"Kafka did not take what was read: {error}") from error
        finally:
            await _end(stepped)
        if offsets:
            await database.retrying(lambda: self._advance(claims, offsets), what="move inbound offsets on", check=self._check)

    async def drop(self) -> None:
        """Forget what was stepped and not committed: whoever owns it reads it again."""
        stepped, self._under_way, self._offsets = self._under_way, [], {}
        await _end(stepped)

    async def _advance(self, claims: Mapping[TopicPartition, Claim], offsets: Mapping[TopicPartition, int]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.advance(connection, ROOM, claims, offsets)

    async def _take(self, batches: Batches) -> None:
        with self._door.under_way() as now:
            judged = [(department, self._judged(department, own, now)) for department, own in self._by_department(batches).items()]
            await asyncio.gather(*(self._publish(one, department, now) for department, one in judged))

    def _by_department(self, batches: Batches) -> dict[str, list[Sequence[ConsumerRecord]]]:
        found: dict[str, list[Sequence[ConsumerRecord]]] = {}
        for tp, records in batches.items():
            found.setdefault(self._departments[tp.topic], []).append(records)
        return found

    def _judged(self, department: str, polled: Sequence[Sequence[ConsumerRecord]], now: datetime) -> Judged:
        accept = Judge(Sender(department), self._intake.known, now, self._intake.limits).accept
        observations: list[wire.Observation] = []
        reports: list[Report] = []
        refused: list[Refused] = []
        for one in (_judge(record, accept) for records in polled for record in records):
            if type(one) is wire.Observation:
                observations.append(one)
            elif isinstance(one, Report):
                reports.append(one)
            elif isinstance(one, Refused):
                refused.append(one)
        return Judged(observations, reports, refused)

    async def _publish(self, judged: Judged, department: str, now: datetime) -> None:
        while True:
            try:
                await self._intake.publish(judged, Origin(department, f"inbound.{department}", ""), self._door, now)
            except Overloaded:
                await asyncio.sleep(FULL_S)
            else:
                return


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _judge(record: ConsumerRecord, accept: Callable[[bytes], Accepted | Refused]) -> Accepted | Refused:
    value, headers = record.value, record.headers
    try:
        if value is None:
            return _placed(Refused(_empty(headers), None, b""), record)
        judged = accept(of_record(value, headers) if headers else value)
    except Malformed as malformed:
        return _placed(Refused(malformed.problem, None, value), record)
    except Exception as error:  # noqa: BLE001 - it would come again for ever, and hold up all that stands behind it
        _log.exception("not_judged", topic=record.topic, partition=record.partition, offset=record.offset)
        problem = Problem(code="not_judged", where="", message=f"our mistake: {error!r}", hint="tell whoever runs the platform; send it again after")
        return _placed(Refused(problem, None, value), record)
    return _placed(judged, record) if isinstance(judged, Refused) else judged


def _placed(refused: Refused, record: ConsumerRecord) -> Refused:
    """Return what is refused with the place at which it stands."""
    content_type = next((text.decode("latin-1") for name, text in record.headers if name.lower() == "content-type" and text), "")
    address = f"{record.topic}/{record.partition}@{record.offset}"
    return Refused(refused.problem, refused.id, refused.item, refused.sensor, address, content_type)


def _empty(headers: Sequence[tuple[str, bytes]]) -> Problem:
    if (why := unpacking.unreadable(headers)) is not None:
        return Problem(code="unreadable_batch", where="", message=why, hint="send smaller batches, as a client of Kafka makes them by itself")
    return Problem(code="tombstone", where="", message="the record has no value", hint="nothing is deleted by a record: send an event")


async def read(opened: room.Room, intake: Intake, door: Door, topics: Mapping[str, str]) -> None:
    """Read departments' topics until cancelled; `topics` gives each topic's department.

    The door listens while this node has partitions and has read what waited on them when it was last asked: what stands unread there was said by
    somebody, so their silence must not count yet.
    """
    if not topics:
        return
    unpacking.install()
    progress = Progress(opened.clock, CollectorRegistry())  # the room's own tells of the worker
    waiting = Gauge("tongguan_ingest_inbound_waiting", "Records that wait on departments' topics", registry=opened.registry)
    waiting.set_function(lambda: progress.lag)
    worker = Inbound(
        intake=intake, door=door, pool=opened.pool, topics=topics, check=opened.health.check("inbound", max_age=float("inf"), only_told=True)
    )
    subscription = Subscription(
        bootstrap=opened.settings.kafka,
        group=GROUP,
        topics=sorted(topics),
        progress=progress,
        alive=opened.health.check("inbound consumer", max_age=120, only_told=True),
        ready=opened.health.check("inbound assignment", max_age=10, only_told=True),
        max_records=MAX_RECORDS,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(progress.probe(opened.settings.kafka))
            tasks.create_task(_listen(door, subscription.ready, progress))
            tasks.create_task(consume(subscription, worker))
    finally:
        door.listening = False
        await worker.drop()


async def _listen(door: Door, assigned: Check, progress: Progress) -> None:
    while True:
        door.listening = not assigned.problem and progress.is_at_end
        await asyncio.sleep(LOOK_S)
