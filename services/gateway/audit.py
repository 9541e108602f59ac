"""The audit: an entry is a row and a record of `city.audit`, both written in the transaction of what it tells of."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from prometheus_client import CollectorRegistry, Counter

from schemas.audit import AuditEntry, Outcome
from schemas.envelope import EventType, to_headers
from services.gateway.domain.pace import Pace
from services.gateway.domain.repeats import Act, Repeats
from services.gateway.errors import TooMany
from services.kit import database, logs, outbox
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.outbox import Relay
from services.kit.producer import Outgoing
from services.kit.topics import AUDIT

_log = logs.get(__name__)

ROOM = "gateway"
SOURCE = "/services/gateway"
COUNT_EVERY_S = 5.0
"""How often it is looked whether a count of repeated refusals is to be written."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 256

_INSERT = "insert into gateway.audit (id, at, region, body) values ($1, $2, $3, $4)"
_ENTRIES = """
select body from gateway.audit
where (region = any($1) or ($2 and region is null)) and ($3::uuid is null or seq < (select b.seq from gateway.audit b where b.id = $3))
order by seq desc limit $4
"""


With = Callable[[database.Connection], Awaitable[bool]]
"""Does something in the transaction of an entry; returns whether it was not done before."""


class Audit:
    """Writes and reads the audit."""

    def __init__(self, pool: database.Pool, relay: Relay, clock: Clock, registry: CollectorRegistry, per_minute: int) -> None:
        """`per_minute` is what one principal may do in a minute."""
        self._pool = pool
        self._relay = relay
        self._clock = clock
        self._repeats = Repeats()
        self._pace = Pace(per_minute)
        self._written = Counter("tongguan_audit_entries", "Entries of the audit", ["outcome"], registry=registry)

    async def write(self, connection: database.Connection, act: Act, outcome: Outcome = Outcome.DONE) -> None:
        """Write an entry in the caller's transaction; `wake` after the commit."""
        entry = self._entry(act, outcome)
        body = entry.model_dump_json()
        await connection.execute(_INSERT, entry.id, entry.at, entry.region, body)
        headers = to_headers(id=str(entry.id), type=EventType.AUDIT, source=SOURCE, subject=entry.subject, time=entry.at)
        await outbox.post(connection, ROOM, [outbox.Posting(AUDIT, Outgoing(body.encode(), key=entry.actor.encode(), headers=headers))])
        self._written.labels(outcome.value).inc()

    def wake(self) -> None:
        """Have what was committed published."""
        self._relay.wake()

    def keep_pace(self, principal: str) -> None:
        """Count something that a principal is about to do, which the audit will keep; raises `TooMany`."""
        if wait := self._pace.wait(principal, self._clock.monotonic()):
            raise TooMany(math.ceil(wait))

    async def done(self, act: Act, postings: Sequence[outbox.Posting] = (), with_: With | None = None) -> bool:
        """Write an entry, and in the same transaction what `with_` does and what is to be published. Raises `TooMany`, `Unavailable`: then none is.

        Where `with_` says that it was done before, neither entry nor postings are written, and this returns False.
        """
        self.keep_pace(act.actor)

        async def commit() -> bool:
            async with self._pool.acquire() as connection, connection.transaction():
                if with_ is not None and not await with_(connection):
                    return False
                await self.write(connection, act)
                await outbox.post(connection, ROOM, postings)
                return True

        new = await database.once(commit, what="write the audit")
        self.wake()
        return new

    async def refuse(self, connection: database.Connection, act: Act) -> None:
        """Write a refusal in the caller's transaction; one that repeats another is counted instead."""
        if self._repeats.first(act, self._clock.monotonic()):
            await self.write(connection, act, Outcome.REFUSED)

    async def refused(self, act: Act) -> None:
        """Write a refusal by itself, as `refuse` does. It raises nothing: who is refused is so without a database too, and the log tells it."""
        if self._repeats.first(act, self._clock.monotonic()):
            await self._write_refusal(act)

    async def count(self) -> None:
        """Write the counts of repeated refusals in their time, until cancelled; then those that are left."""
        try:
            while True:
                await asyncio.sleep(COUNT_EVERY_S)
                await self._tell(self._clock.monotonic())
        finally:
            await self._tell(float("inf"))

    async def entries(self, regions: Sequence[str], before: UUID | None, most: int, *, citys: bool) -> list[str]:
        """Return the newest entries of some regions, with `citys` those of none too, as JSON; those before one of them. Raises `Unavailable`."""
        rows = await database.once(lambda: self._pool.fetch(_ENTRIES, regions, citys, before, most), what="read the audit")
        return [row["body"] for row in rows]

    async def _tell(self, now: float) -> None:
        for act, times in self._repeats.over(now):
            await self._write_refusal(replace(act, detail={**act.detail, "repeated": str(times)}))

    async def _write_refusal(self, act: Act) -> None:
        async def commit() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await self.write(connection, act, Outcome.REFUSED)

        try:
            await database.once(commit, what="write the audit")
        except Unavailable as error:
            _log.error("refusal_not_audited", actor=act.actor, action=act.action, subject=act.subject, address=act.address, error=str(error))
        else:
            self.wake()

    def _entry(self, act: Act, outcome: Outcome) -> AuditEntry:
        return AuditEntry(
            id=uuid4(),
            at=self._clock.now(),
            actor=line(act.actor),
            action=act.action,
            subject=line(act.subject),
            region=act.region,
            outcome=outcome,
            reason=None if act.reason is None else line(act.reason),
            detail={name: line(value) for name, value in act.detail.items()},
            address=line(act.address),
        )


def line(text: str) -> str:
    """Return a text as one line that can be kept (`schemas.base.Text`), whatever somebody sent."""
    return _CONTROL.sub("?", text.encode("utf-8", "replace").decode())[:_LONGEST] or "-"
