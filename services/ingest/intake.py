"""What happens to a request's events between the door and the answer: judged, published, and answered only after Kafka has acknowledged."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter

from schemas import wire
from schemas.envelope import EventType, to_headers
from schemas.rejected import KEPT_BYTES, Problem, Rejected
from schemas.report import Report
from services.ingest.domain.accept import Refused, Sender, TimeLimits, accept
from services.ingest.domain.cloudevents import Malformed, split
from services.ingest.domain.registry import Registry
from services.kit import logs
from services.kit.clock import Clock
from services.kit.errors import Unavailable
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
class Request:
    """A request's body with where it came from."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]
    sender: Sender
    address: str


class Intake:
    """Judges and publishes."""

    def __init__(
        self, *, producer: Producer, clock: Clock, node: str, limits: TimeLimits, max_items: int, acknowledge_s: float, metrics: CollectorRegistry
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._adapter = f"http@{node}"
        self._limits = limits
        self._max_items = max_items
        self._acknowledge_s = acknowledge_s
        self._under_way: dict[object, datetime] = {}
        self.registry: Registry | None = None
        self._accepted = Counter("tongguan_ingest_accepted", "Events accepted", ["department", "type"], registry=metrics)
        self._refused = Counter("tongguan_ingest_refused", "Events refused", ["department", "reason"], registry=metrics)

    def acknowledged_until(self) -> datetime:
        """Return up to when all that was taken is in Kafka."""
        return min(self._under_way.values(), default=self._clock.now())

    async def take(self, request: Request) -> Answer:
        """Return once Kafka has all that was accepted and all that was refused; raises `Unavailable` when it has not: send again."""
        if self.registry is None:
            raise Unavailable("the registry of sensors is not loaded yet")
        now = self._clock.now()
        token = object()
        self._under_way[token] = now
        try:
            async with asyncio.timeout(self._acknowledge_s):
                return await self._take(request, self.registry, now)
        except TimeoutError as error:
            raise Unavailable(f"Kafka has not acknowledged within {self._acknowledge_s:g} s") from error
        finally:
            del self._under_way[token]

    async def _take(self, request: Request, registry: Registry, now: datetime) -> Answer:
        try:
            items = split(request.body, request.content_type, request.headers, self._max_items)
        except Malformed as malformed:
            await self._keep(request, [Refused(malformed.problem, None, request.body)], now)
            return Answer(0, (Refusal(0, None, malformed.problem),), malformed=True)
        observations: list[Outgoing] = []
        reports: list[Outgoing] = []
        refused: list[tuple[int, Refused]] = []
        for index, item in enumerate(items):
            judged = accept(item, request.sender, registry, now, self._limits)
            if type(judged) is wire.Observation:
                observations.append(Outgoing(wire.encode(judged), key=judged.street.encode()))
            elif isinstance(judged, Report):
                reports.append(_report(judged))
            elif isinstance(judged, Refused):
                refused.append((index, judged))
        await asyncio.gather(
            self._producer.publish(OBSERVATIONS, observations),
            self._producer.publish(REPORTS, reports),
            self._keep(request, [refusal for _, refusal in refused], now),
        )
        department = request.sender.department
        self._accepted.labels(department, EventType.OBSERVATION).inc(len(observations))
        if reports:
            self._accepted.labels(department, EventType.REPORT).inc(len(reports))
        return Answer(len(observations) + len(reports), tuple(Refusal(index, one.id, one.problem) for index, one in refused))

    async def _keep(self, request: Request, refused: Sequence[Refused], now: datetime) -> None:
        """Put what is refused on `city.rejected`, as it came."""
        department = request.sender.department
        await self._producer.publish(REJECTED, [self._rejected(request, one, now) for one in refused])
        for one in refused:
            self._refused.labels(department, one.problem.code).inc()
        if refused:
            _log.warning("refused", department=department, count=len(refused), first=refused[0].problem.model_dump(), address=request.address)

    def _rejected(self, request: Request, refused: Refused, now: datetime) -> Outgoing:
        department = request.sender.department
        rejected = Rejected(
            id=uuid4(),
            department=department,
            adapter=self._adapter,
            address=request.address,
            content_type=request.content_type[:256],
            received=now,
            problem=refused.problem,
            body=base64.b64encode(refused.item[:KEPT_BYTES]).decode(),
            size=len(refused.item),
            sha256=hashlib.sha256(refused.item).hexdigest(),
        )
        headers = to_headers(id=str(rejected.id), type=EventType.REJECTED, source=f"/departments/{department}", subject=department, time=now)
        return Outgoing(rejected.model_dump_json().encode(), key=department.encode(), headers=headers)


def _report(report: Report) -> Outgoing:
    headers = to_headers(id=report.id, type=EventType.REPORT, source=report.source, subject=report.region, time=report.occurred)
    return Outgoing(report.model_dump_json().encode(), key=report.source.encode(), headers=headers)
