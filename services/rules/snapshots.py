"""Partitions are written down while they go on: a few pages between two polls, and a task that writes what has been encoded.

One partition at a time. A snapshot is begun between two polls; the engine keeps its pages as they were then. What is written counts only once
all of it is there and all effects of what the state had seen are committed, so an owner may die at any point.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, Counter, Histogram

from services.kit import database
from services.kit.clock import Clock
from services.kit.errors import Fenced
from services.kit.health import Check
from services.kit.partitions import Claim
from services.rules.domain.step import Partition
from services.rules.store import Page, Store

T = TypeVar("T")

RECORDS = 200_000
"""A partition is written down after so many records at the latest, to bound what a restart works off again."""
ENCODE_S = 0.005
"""So long pages are encoded between two polls: few enough that no warning waits for them."""
TAKE_BYTES = 64 << 10
"""Encoded in one go, between two looks at the clock."""
WRITE_BYTES = 1 << 20
"""Written in one transaction, about."""
WAITING_BYTES = 4 << 20
"""No more is encoded while so much waits to be written; a page that is about to change is encoded all the same, so the state's size bounds it."""


class Owned:
    """A partition that is ours."""

    def __init__(self, tp: TopicPartition, claim: Claim, partition: Partition, position: int, written_at: float) -> None:
        self.tp = tp
        self.claim = claim
        self.partition = partition
        self.position = position
        self.committed = position
        """All effects of the records before this are known to be committed."""
        self.written_at = written_at
        self.records = 0
        """Since the newest snapshot was begun."""


class _Snapshot:
    """The one under way."""

    def __init__(self, owned: Owned, begun_at: float) -> None:
        self.owned = owned
        self.next_offset = owned.position
        self.begun_at = begun_at
        self.pages: deque[Page] = deque()
        """Encoded, not yet written."""
        self.bytes = 0
        self.encoded = False
        """All of it."""
        self.number: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it may count, if all of it is written."""
        return self.encoded and not self.pages and self.owned.committed >= self.next_offset

    def take(self) -> bool:
        """Encode some pages; say whether there were any."""
        pages = self.owned.partition.take_pages(TAKE_BYTES)
        self.pages.extend(pages)
        self.bytes += sum(len(body) for _, body in pages)
        return bool(pages)

    def batch(self) -> list[Page]:
        """Take out what one transaction writes."""
        pages: list[Page] = []
        size = 0
        while self.pages and size < WRITE_BYTES:
            pages.append(self.pages.popleft())
            size += len(pages[-1][1])
        self.bytes -= size
        return pages


class Snapshots:
    """Writes down what is due; `turn` it between polls, and let `run` run beside."""

    def __init__(self, store: Store, clock: Clock, check: Check, registry: CollectorRegistry, every_s: float) -> None:
        self._store = store
        self._clock = clock
        self._check = check
        self._every_s = every_s
        self._under_way: _Snapshot | None = None
        self._fenced: Fenced | None = None
        self._wake = asyncio.Event()
        self._seconds = Histogram("tongguan_rules_snapshot_seconds", "Time from a snapshot's beginning until it counts", registry=registry)
        self._pages = Counter("tongguan_rules_snapshot_pages", "Pages written in snapshots", registry=registry)

    def spread(self, at: int, count: int) -> float:
        """Return when the `at`-th of `count` partitions that are just taken over counts as written, so that not all are due at once."""
        return self._clock.monotonic() - at * self._every_s / count

    def drop(self) -> None:
        """Leave the one under way: its partition's state is dropped, too."""
        self._under_way = self._fenced = None

    def turn(self, owned: Iterable[Owned]) -> None:
        """Begin what is due, and encode for `ENCODE_S`. Raises `Fenced`."""
        if self._fenced is not None:
            raise self._fenced
        until = self._clock.monotonic() + ENCODE_S
        if self._under_way is None:
            self._under_way = self._begin(owned)
        snapshot = self._under_way
        if snapshot is None or snapshot.encoded:
            return
        while snapshot.bytes < WAITING_BYTES:
            if not snapshot.take():
                snapshot.encoded = True
                break
            if self._clock.monotonic() >= until:
                break
        self._wake.set()

    def committed(self) -> None:
        """Look whether the one under way waits for what was just committed."""
        if self._under_way is not None and self._under_way.counts:
            self._wake.set()

    def _begin(self, all_owned: Iterable[Owned]) -> _Snapshot | None:
        now = self._clock.monotonic()
        due = [one for one in all_owned if one.records and (now - one.written_at >= self._every_s or one.records >= RECORDS)]
        if not due:
            return None
        owned = min(due, key=lambda one: (one.written_at, one.tp))
        owned.partition.begin_snapshot()
        owned.written_at, owned.records = now, 0
        return _Snapshot(owned, now)

    async def run(self) -> None:
        """Write until cancelled; a database that is away is waited for."""
        self._check.ok()
        while True:
            await self._wake.wait()
            self._wake.clear()
            snapshot = self._under_way
            if snapshot is None:
                continue
            try:
                await self._write(snapshot)
            except Fenced as error:
                if self._under_way is snapshot:
                    self._fenced = error

    async def _write(self, snapshot: _Snapshot) -> None:
        """Write what has been encoded, and make it count when that is all and its effects are committed."""
        tp, claim = snapshot.owned.tp, snapshot.owned.claim
        while self._under_way is snapshot and snapshot.pages:
            if snapshot.number is None:
                snapshot.number = await self._retrying(partial(self._store.begin, tp, claim, snapshot.next_offset))
            pages = snapshot.batch()
            await self._retrying(partial(self._store.write, tp, claim, snapshot.number, pages))
            self._pages.inc(len(pages))
        if self._under_way is snapshot and snapshot.counts:
            if snapshot.number is not None:
                await self._retrying(partial(self._store.finish, tp, claim, snapshot.number, snapshot.next_offset))
            if self._under_way is snapshot:
                self._under_way = None
                self._seconds.observe(self._clock.monotonic() - snapshot.begun_at)

    async def _retrying(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await database.retrying(operation, what="write a snapshot", check=self._check)
