"""Between a door and its answer: what was judged is flagged by quality control and published; the door answers after Kafka has acknowledged."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import msgspec
from prometheus_client import CollectorRegistry, Counter

from schemas import wire
from schemas.envelope import EventType, to_headers
from schemas.grace import INSTANT_GRACE, grace
from schemas.rejected import KEPT_BYTES, Problem, Rejected
from schemas.report import Report
from services.ingest.domain.accept import Judge, Refused, Sender, TimeLimits
from services.ingest.domain.cloudevents import Malformed, split
from services.ingest.domain.quality import doubts, remember
from services.ingest.domain.registry import Known, Registry
from services.ingest.door import Door
from services.ingest.flow import Flow
from services.ingest.stopping import Stops
from services.kit import logs
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.outbox import Posting
from services.kit.producer import Outgoing, Producer
from services.kit.topics import OBSERVATIONS, REJECTED, REPORTS

_log = logs.get(__name__)


@dataclass(frozen=True)
class Refusal:
    """What the sender is told of one refused event."""

    index: int
    id: str | None
    problem: Problem


@dataclass(frozen=True)
class Answer:
    """What became of a request's events, all of it on Kafka."""

    accepted: int
    refused: tuple[Refusal, ...]
    malformed: bool = False


@dataclass(frozen=True)
class Origin:
    """Where something came from: what is refused is kept with it."""

    department: str
    address: str
    content_type: str


@dataclass(frozen=True)
class Request:
    """CloudEvents in a body, with where they came from."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]
    sender: Sender
    address: str

    @property
    def origin(self) -> Origin:
        """Where it came from."""
        return Origin(self.sender.department, self.address, self.content_type)


@dataclass(frozen=True)
class Judged:
    """What became of one delivery. All of it goes to Kafka before anybody is told."""

    observations: Sequence[wire.Observation] = ()
    reports: Sequence[Report] = ()
    refused: Sequence[Refused] = ()


_Doubted = tuple[wire.Observation, Known | None]
"""With its quality flags, and the sensor that it is of."""


class Intake:
    """Judges and publishes, for all doors of this node."""

    def __init__(
        self,
        *,
        producer: Producer,
        clock: Clock,
        limits: TimeLimits,
        max_items: int,
        acknowledge_s: float,
        flow: Flow,
        stops: Stops,
        metrics: CollectorRegistry,
    ) -> None:
        self._producer = producer
        self.clock = clock
        self.limits = limits
        self._max_items = max_items
        self._acknowledge_s = acknowledge_s
        self._flow = flow
        self._stops = stops
        self.registry: Registry | None = None
        self._accepted = Counter("tongguan_ingest_accepted", "Events accepted", ["department", "type"], registry=metrics)
        self._refused = Counter("tongguan_ingest_refused", "Events refused", ["department", "reason"], registry=metrics)

    @property
    def known(self) -> Registry:
        """The registry; raises `Unavailable` before it is loaded."""
        if self.registry is None:
            raise Unavailable("the registry of sensors is not loaded yet")
        return self.registry

    async def take(self, request: Request, door: Door) -> Answer:
        """Take CloudEvents; returns once Kafka has all that was accepted and all that was refused.

        Raises `Unavailable` when it has not: then it is to be sent again.
        """
        registry = self.known
        with door.under_way() as now:
            try:
                items = split(request.body, request.content_type, request.headers, self._max_items)
            except Malformed as malformed:
                return await self._refuse(request, malformed.problem, door, now)
            judged, indices = self.judge(items, request.sender, registry, now)
            await self.publish(judged, request.origin, door, now)
            refused = tuple(Refusal(index, one.id, one.problem) for index, one in zip(indices, judged.refused, strict=True))
            return Answer(len(judged.observations) + len(judged.reports), refused)

    async def refuse(self, request: Request, problem: Problem, door: Door) -> Answer:
        """Refuse a body that cannot be read; returns once Kafka has it. Raises `Unavailable` as `take` does."""
        with door.under_way() as now:
            return await self._refuse(request, problem, door, now)

    async def _refuse(self, request: Request, problem: Problem, door: Door, now: datetime) -> Answer:
        await self.publish(Judged(refused=[Refused(problem, None, request.body)]), request.origin, door, now)
        return Answer(0, (Refusal(0, None, problem),), malformed=True)

    def judge(self, items: Sequence[bytes], sender: Sender, registry: Registry, now: datetime) -> tuple[Judged, list[int]]:
        """Judge events; returns with it the places of those that are refused."""
        observations: list[wire.Observation] = []
        reports: list[Report] = []
        refused: list[Refused] = []
        indices: list[int] = []
        accept = Judge(sender, registry, now, self.limits).accept
        for index, item in enumerate(items):
            judged = accept(item)
            if type(judged) is wire.Observation:
                observations.append(judged)
            elif isinstance(judged, Report):
                reports.append(judged)
            elif isinstance(judged, Refused):
                refused.append(judged)
                indices.append(index)
        return Judged(observations, reports, refused), indices

    async def publish(self, judged: Judged, origin: Origin, door: Door, now: datetime) -> None:
        """Return once all of it is on Kafka; call it within `door.under_way()`.

        Raises `Unavailable` when Kafka did not acknowledge in time, `Stopped` when the door takes nothing now: either way it is to be sent again.
        """
        self._stops.admit(door.name, origin.department, len(judged.observations) + len(judged.reports), len(judged.refused))
        doubted = self._doubted(judged.observations)
        try:
            async with asyncio.timeout(self._acknowledge_s):
                await self._publish(
                    (OBSERVATIONS, [_record(*one) for one in doubted]),
                    (REPORTS, [_report(one) for one in judged.reports]),
                    (REJECTED, [_rejected(one, origin, door.name, now) for one in judged.refused]),
                )
        except TimeoutError as error:
            raise Unavailable(f"Kafka has not acknowledged within {self._acknowledge_s:g} s") from error
        _remember(doubted)  # once, however often it was tried
        self._count(judged, origin, door, now)

    async def _publish(self, *batches: tuple[str, Sequence[Outgoing]]) -> None:
        works = [self._producer.publish(topic, records) for topic, records in batches if records]
        await (works[0] if len(works) == 1 else asyncio.gather(*works))

    def _doubted(self, observations: Sequence[wire.Observation]) -> list[_Doubted]:
        """Return observations with what quality control doubts of them."""
        get, found = self.known.get if observations else None, []
        for one in observations:
            known = get(one.sensor) if get else None
            doubt = doubts(known.checks, known.memory, one.values, one.quality, one.start, one.end) if known is not None and known.checks else None
            if doubt:
                one = msgspec.structs.replace(one, quality=one.quality | doubt)  # noqa: PLW2901 - it is the observation from here on
            found.append((one, known))
        return found

    def postings(self, judged: Judged) -> list[Posting]:
        """Return what is accepted, flagged, as `publish` would publish it: for the outbox of a transaction that tells of it."""
        doubted = self._doubted(judged.observations)
        _remember(doubted)
        observations = [Posting(OBSERVATIONS, _record(*one)) for one in doubted]
        return [*observations, *(Posting(REPORTS, _report(one)) for one in judged.reports)]

    def _count(self, judged: Judged, origin: Origin, door: Door, now: datetime) -> None:
        self._accepted.labels(origin.department, EventType.OBSERVATION).inc(len(judged.observations))
        if judged.reports:
            self._accepted.labels(origin.department, EventType.REPORT).inc(len(judged.reports))
        for one in judged.refused:
            self._refused.labels(origin.department, one.problem.code).inc()
        self._flow.count(
            origin.department,
            door.name,
            now,
            observations=len(judged.observations),
            reports=len(judged.reports),
            refused=len(judged.refused),
            late=sum(1 for one in judged.observations if late(one)),
        )
        why = judged.refused[0].problem.message if judged.refused else ""
        accepted = len(judged.observations) + len(judged.reports)
        self._stops.count(door.name, origin.department, accepted=accepted, refused=len(judged.refused), why=why)
        if judged.refused:
            first = judged.refused[0].problem.model_dump()
            _log.warning("refused", department=origin.department, count=len(judged.refused), first=first, address=origin.address, door=door.name)


def late(one: wire.Observation) -> bool:
    """Say whether it came later than rules wait for it by default."""
    age = one.received - one.end
    return age > INSTANT_GRACE and age > grace(wire.period_s(one.start, one.end))


def _record(one: wire.Observation, known: Known | None) -> Outgoing:
    return Outgoing(wire.encode(one), known.key if known is not None and known.street == one.street else one.street.encode())


def _remember(doubted: Sequence[_Doubted]) -> None:
    """Note that sensors were heard."""
    for one, known in doubted:
        if known is not None:
            remember(
                known.memory,
                values=len(one.values),
                bad=len(one.quality),
                start=one.start,
                end=one.end,
                received=one.received,
                every_us=known.every_us,
            )


def _report(report: Report) -> Outgoing:
    headers = to_headers(id=report.id, type=EventType.REPORT, source=report.source, subject=report.region, time=report.occurred)
    return Outgoing(report.model_dump_json().encode(), key=report.source.encode(), headers=headers)


def _rejected(refused: Refused, origin: Origin, adapter: str, now: datetime) -> Outgoing:
    rejected = Rejected(
        id=uuid4(),
        department=origin.department,
        adapter=adapter,
        address=refused.address or origin.address,
        content_type=(origin.content_type if refused.content_type is None else refused.content_type)[:256],
        received=now,
        problem=refused.problem,
        event=refused.id,
        sensor=refused.sensor,
        body=base64.b64encode(refused.item[:KEPT_BYTES]).decode(),
        size=len(refused.item),
        sha256=hashlib.sha256(refused.item).hexdigest(),
    )
    headers = to_headers(
        id=str(rejected.id), type=EventType.REJECTED, source=f"/departments/{origin.department}", subject=origin.department, time=now
    )
    return Outgoing(rejected.model_dump_json().encode(), key=origin.department.encode(), headers=headers)
