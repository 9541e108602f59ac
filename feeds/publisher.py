"""A department's client of ingest: one CloudEvent or one batch a request, in order, each until ingest has answered for it."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import httpx
import structlog

from schemas.envelope import SPEC_VERSION, EventType
from schemas.observation import Measurement

CAPACITY = 600
"""Ten minutes at a reading a second: longer than any restart of the platform, and under half a megabyte."""

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
"""After an outage of any length the feed is back within 5 s, and asks no more than once in about that time while it lasts."""

TIMEOUT = httpx.Timeout(10.0, connect=2.0)
"""Ingest answers after Kafka's acknowledgement; a broker that comes back takes up to 7 s."""

REASON_CHARS = 500
"""How much of an answer is worth a log line."""


STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
PARTLY = 207
"""Ingest took some of a batch and refused the others."""


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent or a batch of them, ready to be sent: a repetition has the same bytes, thus the same ids."""

    id: str
    body: bytes
    place: int = 0
    """The sender's own mark, given back when the event is settled."""
    media_type: str = STRUCTURED
    size: int = 1
    """How many CloudEvents it holds."""


def observation_event(*, event_id: str, source: str, time: datetime, measurement: Measurement, place: int = 0) -> Event:
    """Return a measurement as a CloudEvent in structured mode."""
    envelope = {
        "specversion": SPEC_VERSION,
        "id": event_id,
        "type": EventType.OBSERVATION,
        "source": source,
        "subject": measurement.sensor,
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        "data": measurement.model_dump(mode="json", exclude_unset=True),
    }
    return Event(event_id, json.dumps(envelope, ensure_ascii=False, allow_nan=False).encode(), place)


def batch(events: Sequence[Event]) -> Event:
    """Return single events as one request; it is named after the first of them."""
    return Event(events[0].id, b"[" + b",".join(event.body for event in events) + b"]", media_type=BATCHED, size=len(events))


class Verdict(StrEnum):
    """What an answer means for the event."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    TRY_AGAIN = "try_again"


def judge(status: int) -> Verdict:
    """Say what an HTTP status means: 408, 429 and every 5xx speak of now, everything else but 2xx of the event itself."""
    if 200 <= status < 300:  # noqa: PLR2004 - the classes of HTTP
        return Verdict.ACCEPTED
    if status in {408, 429} or status >= 500:  # noqa: PLR2004 - as above
        return Verdict.TRY_AGAIN
    return Verdict.REFUSED


def delay(failures: int, first: float = FIRST_DELAY_S) -> float:
    """Return how long to wait after so many failures in a row: doubling up to the longest, less up to half of it by chance."""
    return float(min(first * 2 ** min(failures - 1, 16), LONGEST_DELAY_S) * random.uniform(0.5, 1))


@dataclass(slots=True)
class Counts:
    """What became of the events so far; those of a batch count one by one."""

    accepted: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    verdict: Verdict
    reason: str
    refused: int = 0
    """How many of a batch that was taken in part."""


def _refused(response: httpx.Response) -> int:
    """Return how many of a batch ingest says it refused; at least one, or it would not have answered so."""
    try:
        return max(1, len(response.json()["refused"]))
    except (ValueError, LookupError, TypeError):
        return 1


class Publisher:
    """Sends events (or batches) in the order in which they were offered, one request at a time, through a bounded queue.

    While ingest cannot be reached, answers 408, 429 or 5xx, the same event is sent again with back-off, for as long as it takes. Any other
    refusal is logged with ingest's reason, counted, and not sent again. `offer` never waits: when `capacity` events wait,
    the oldest of them is dropped, counted and logged, because the newest say what is the case now. `settled` is called for each event that was
    accepted or refused, not for dropped ones.

    To be used on one event loop; `run` by one task only. Cancelling `run` gives up the request under way, which ingest may or may not have taken.
    """

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        url: str,
        log: structlog.typing.FilteringBoundLogger,
        capacity: int = CAPACITY,
        first_delay_s: float = FIRST_DELAY_S,
        settled: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self._client = client
        self._url = url
        self._log = log
        self._capacity = capacity
        self._first_delay_s = first_delay_s
        self._settled = settled
        self._waiting: deque[Event] = deque()
        self._sending = False
        self._drops = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def unsent(self) -> int:
        """Events that ingest has not answered for."""
        return len(self._waiting) + self._sending

    def offer(self, event: Event) -> None:
        """Take an event to be sent."""
        if len(self._waiting) >= self._capacity:
            self._drop_oldest()
        self._waiting.append(event)
        self._idle.clear()
        self._arrived.set()

    async def drained(self) -> None:
        """Return when nothing is unsent."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            while not self._waiting:
                self._idle.set()
                self._arrived.clear()
                await self._arrived.wait()
            event = self._waiting.popleft()
            self._sending = True
            await self._deliver(event)
            self._sending = False
            self._settled(event)

    def _drop_oldest(self) -> None:
        dropped = self._waiting.popleft()
        self.counts.dropped += dropped.size
        # The first, then one line in as many as the queue holds.
        if self._drops % self._capacity == 0:
            self._log.error("events_dropped", why="the queue is full", id=dropped.id, dropped=self.counts.dropped, waiting=len(self._waiting) + 1)
        self._drops += 1

    async def _deliver(self, event: Event) -> None:
        failures = 0
        while (answer := await self._send(event)).verdict is Verdict.TRY_AGAIN:
            failures += 1
            wait = delay(failures, self._first_delay_s)
            self._log.warning(
                "ingest_unavailable", reason=answer.reason, id=event.id, failures=failures, again_in_s=round(wait, 2), unsent=self.unsent
            )
            await asyncio.sleep(wait)
        if failures:
            self._log.info("ingest_is_back", id=event.id, failures=failures, unsent=self.unsent)
        refused = answer.refused if answer.verdict is Verdict.ACCEPTED else event.size
        self.counts.accepted += event.size - refused
        self.counts.refused += refused
        if refused:
            self._log.error("event_refused", reason=answer.reason, id=event.id, of=event.size, refused=self.counts.refused)

    async def _send(self, event: Event) -> _Answer:
        try:
            response = await self._client.post(self._url, content=event.body, headers={"Content-Type": event.media_type})
        except httpx.RequestError as error:
            return _Answer(Verdict.TRY_AGAIN, f"{type(error).__name__}: {error}")
        reason = f"{response.status_code} {response.text[:REASON_CHARS]}"
        return _Answer(judge(response.status_code), reason, _refused(response) if response.status_code == PARTLY else 0)
