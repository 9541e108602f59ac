"""The worker: commands to ingest are decided, what was refused is laid out for the departments; each in the transaction of its offsets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, Self

import asyncpg
import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from pydantic import TypeAdapter, ValidationError

from schemas.command import Command
from schemas.outcome import Outcome
from schemas.rejected import Problem, Rejected
from services.ingest.store import ROOM
from services.kit import database, logs, outbox, partitions
from services.kit.consumer import Batches
from services.kit.database import Connection
from services.kit.health import Check
from services.kit.outbox import Posting, Relay
from services.kit.partitions import Claim, Claims
from services.kit.topics import COMMANDS, REJECTED

_log = logs.get(__name__)

_MODELS: dict[str, TypeAdapter[Any]] = {COMMANDS: TypeAdapter(Command), REJECTED: TypeAdapter(Rejected)}


@dataclass(frozen=True)
class Decision:
    """What was decided of a command, and what follows from it."""

    outcome: Outcome
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Whatever msgspec writes as JSON."""
    postings: Sequence[Posting] = ()

    @classmethod
    def refused(cls, code: str, where: str, message: str, hint: str) -> Self:
        """Return that a command is refused, and why."""
        return cls(Outcome.REFUSED, {"problems": [Problem(code=code, where=where, message=message, hint=hint).model_dump()]})


class Decider(Protocol):
    """Decides commands of some kinds, each in the transaction that moves its offset: it must not wait for anything but the database."""

    kinds: frozenset[str]

    async def decide(self, connection: Connection, command: Any) -> Decision:
        """Decide one command, whose id is new."""
        ...


class Keeper(Protocol):
    """Lays out what was refused."""

    async def keep(self, connection: Connection, refused: Sequence[Rejected]) -> None:
        """Keep what is new of it: a repetition changes nothing."""
        ...


class IngestWorker:
    """See `services.kit.consumer.Worker`. A command that comes again changes nothing; one of another room is passed over."""

    def __init__(self, pool: database.Pool, relay: Relay, check: Check, deciders: Iterable[Decider], keeper: Keeper, alive: Check) -> None:
        """`alive` is renewed while a poll of many slow commands is worked off, too."""
        self._pool = pool
        self._relay = relay
        self._check = check
        self._alive = alive
        self._deciders = {kind: decider for decider in deciders for kind in decider.kinds}
        self._keeper = keeper
        self._claims: dict[TopicPartition, Claim] = {}

    async def assign(self, taken: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over partitions at their committed offsets."""

        async def claim() -> dict[TopicPartition, Claim]:
            async with self._pool.acquire() as connection, connection.transaction():
                return await partitions.claim(connection, ROOM, taken)

        self._claims = await database.retrying(claim, what="take over partitions", check=self._check)
        self._check.ok()
        return {tp: claim.next_offset for tp, claim in self._claims.items()}

    async def work(self, batches: Batches) -> Mapping[TopicPartition, datetime]:
        """Take a poll in."""
        claims = self._claims  # of this poll: the partitions may be assigned anew while it is tried again
        for part in self._parts(batches):
            try:
                await self._take(claims, part)
            except asyncpg.DataError:  # one record holds what the database does not take: it harms no other
                await self._take_singly(claims, part)
            self._relay.wake()
            self._alive.ok()
        self._check.ok()
        return {}

    def _parts(self, batches: Batches) -> Iterator[Batches]:
        """Yield what is taken in one transaction: each of our commands in its own, as some take seconds of its `partitions.LONGEST_S`."""
        if refused := {tp: records for tp, records in batches.items() if tp.topic == REJECTED}:
            yield refused
        for tp, records in batches.items():
            part: list[ConsumerRecord] = []
            for record in records if tp.topic == COMMANDS else ():
                part.append(record)
                if _kind(record) in self._deciders:
                    yield {tp: part}
                    part = []
            if part:
                yield {tp: part}

    async def _take(self, claims: Claims, batches: Batches, *, leave: bool = False) -> None:
        offsets = {tp: records[-1].offset + 1 for tp, records in batches.items()}

        async def commit() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await partitions.advance(connection, ROOM, claims, offsets)
                if not leave:
                    await self._effects(connection, batches)

        await database.retrying(commit, what="take a poll in", check=self._check)

    async def _take_singly(self, claims: Claims, batches: Batches) -> None:
        for tp, record in ((tp, record) for tp, records in batches.items() for record in records):
            try:
                await self._take(claims, {tp: [record]})
            except asyncpg.DataError as error:
                _log.error("unusable_record", topic=tp.topic, partition=tp.partition, offset=record.offset, error=repr(error))
                await self._take(claims, {tp: [record]}, leave=True)

    async def _effects(self, connection: Connection, batches: Batches) -> None:
        refused = [one for record in _of(batches, REJECTED) if (one := _decoded(record)) is not None]
        if refused:
            await self._keeper.keep(connection, refused)
        for record in _of(batches, COMMANDS):
            command = _decoded(record)
            if command is not None and command.kind in self._deciders:
                await self._decide(connection, command)

    async def _decide(self, connection: Connection, command: Any) -> None:
        if await connection.fetchval("select true from ingest.commands where id = $1", command.id):
            return
        decision = await self._deciders[command.kind].decide(connection, command)
        await connection.execute(
            "insert into ingest.commands (id, decided_at, outcome, detail) values ($1, clock_timestamp(), $2, $3)",
            command.id,
            decision.outcome.value,
            msgspec.json.encode(decision.detail).decode(),
        )
        await outbox.post(connection, ROOM, decision.postings)
        _log.info("decided", kind=command.kind, command=str(command.id), actor=command.actor.id, outcome=decision.outcome.value)


class _Kind(msgspec.Struct):
    kind: str = ""


def _kind(record: ConsumerRecord) -> str:
    try:
        return msgspec.json.decode(record.value or b"", type=_Kind).kind
    except msgspec.MsgspecError:
        return ""


def _of(batches: Batches, topic: str) -> Iterable[ConsumerRecord]:
    return (record for tp, records in batches.items() if tp.topic == topic for record in records)


def _decoded(record: ConsumerRecord) -> Any | None:
    """Return what a record says; one that only our own rooms could have written badly is told and passed over."""
    try:
        return _MODELS[record.topic].validate_json(record.value)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False, include_url=False)[:5])
        _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=wrong)
        return None
