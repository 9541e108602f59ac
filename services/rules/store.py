"""SQL of rules: the commit of a poll, snapshots by pages, and the published rules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypedDict

import asyncpg
from aiokafka import TopicPartition
from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation
from schemas.envelope import EventType, to_headers
from schemas.partitioner import partition_of
from schemas.rule import Rule
from schemas.warning import Warning, WarningState  # noqa: A004 - the field's own word
from services.kit import database, epochs, logs, outbox, partitions, topics
from services.kit.clock import Clock
from services.kit.errors import RecordTooLarge
from services.kit.producer import Outgoing
from services.kit.topics import DERIVED, OBSERVATIONS, RULES, WARNINGS
from services.rules.domain.revision import Forward, Revision
from services.rules.domain.state import VERSION
from services.rules.domain.step import Partition

_log = logs.get(__name__)

ROOM = "rules"
SOURCE = "/services/rules"

Page = tuple[int, bytes]


@dataclass(frozen=True)
class ToldOpen:
    """The newest revision of an episode that was told as open."""

    warning: Warning
    exact: bool
    """Told by this version of the engine, which computes it again from the log exactly as it was."""


@dataclass(frozen=True)
class Taken:
    """A partition as its new owner finds it."""

    claim: partitions.Claim
    partition: Partition
    next_offset: int
    """Of the first record that the state has not seen; 0 without a snapshot."""
    told_open: Sequence[ToldOpen] | None
    """Without a snapshot: the episodes that consumers have as open."""


_SNAPSHOTS = """
select s.topic, s.partition, s.snapshot, s.next_offset
from rules.snapshots s
join kit.topics k on k.name = s.topic and k.epoch = s.topic_epoch
join unnest($1::text[], $2::int[]) as t (topic, partition) using (topic, partition)
where s.complete and s.version = $3
order by s.snapshot desc
"""

_PAGES = """
select distinct on (page) page, body from rules.pages
where topic = $1 and partition = $2 and snapshot <= $3
order by page, snapshot desc
"""

_OPEN = """
select body, version from rules.warnings w
where open and case body->'evidence'->>'measure'
    when 'background' then $2
    when 'regional' then $2 and street = any($1)
    else not $2 and street = any($1)
end
and not exists (select from rules.warnings n where n.id = w.id and n.rev > w.rev)
order by id
"""


def _header_rows() -> str:
    """Return the SQL of a warning's headers, as `to_headers` has them, from its JSON in `body`."""
    told = {"ce_id": "(body->>'id') || ':' || (body->>'rev')", "ce_subject": "body->>'subject'", "ce_time": "body->>'changed_at'"}
    headers = to_headers(id="", type=EventType.WARNING, source=SOURCE, subject="", time=wire.from_micros(0))
    values = {name: told.get(name, f"'{value.decode()}'") for name, value in headers}
    pairs = (f"jsonb_build_array('{name}', {value})" for name, value in values.items())
    return f"jsonb_build_array({', '.join(pairs)})"


_TELL = f"""
with told as materialized (
    select line, line::jsonb as body, at from unnest(string_to_array(convert_from($1::bytea, 'UTF8'), E'\\n')) with ordinality as t (line, at)
), kept as (
    insert into rules.warnings (id, rev, open, street, version, body)
    select (body->>'id')::uuid, (body->>'rev')::int, body->>'state' = '{WarningState.OPEN}', body->>'street', {VERSION}, body from told order by at
    on conflict do nothing returning id, rev
)
insert into rules.outbox (topic, key, headers, value)
select '{WARNINGS}', convert_to(body->>'subject', 'UTF8'), {_header_rows()}, convert_to(line, 'UTF8')
from told join kept on kept.id = (body->>'id')::uuid and kept.rev = (body->>'rev')::int
order by at
"""  # noqa: S608 - names of ours
"""Takes one JSON a line: an array a column costs asyncpg more than much else (measured: 10 of 45 µs a warning)."""

_BEGIN = """
insert into rules.snapshots (topic, partition, snapshot, topic_epoch, next_offset, version)
select $1, $2, coalesce(max(snapshot), 0) + 1, $3, $4, $5 from rules.snapshots where topic = $1 and partition = $2
returning snapshot
"""

_WRITE = """
insert into rules.pages (topic, partition, snapshot, page, body) select $1, $2, $3, * from unnest($4::int[], $5::bytea[])
on conflict (topic, partition, page, snapshot) do update set body = excluded.body
"""

_DROP_OLDER = """
with oldest as (
    select min(snapshot) as kept from (
        select snapshot from rules.snapshots where topic = $1 and partition = $2 and complete order by snapshot desc limit 2
    ) as two
), unread as (
    delete from rules.snapshots s using oldest where s.topic = $1 and s.partition = $2 and s.snapshot < oldest.kept
)
delete from rules.pages g using oldest
where g.topic = $1 and g.partition = $2 and g.snapshot < oldest.kept and exists (
    select from rules.pages n
    where n.topic = $1 and n.partition = $2 and n.page = g.page and n.snapshot > g.snapshot and n.snapshot <= oldest.kept
)
"""


class Store:
    """All of rules' reading and writing in PostgreSQL."""

    def __init__(self, pool: database.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def take(self, taken: Sequence[TopicPartition]) -> dict[TopicPartition, Taken]:
        """Become the owner of partitions; return each as its newest usable snapshot has it, else empty.

        The loop goes on while pages are decoded. Raises `Fenced` when somebody else became the owner meanwhile.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            claims = await partitions.claim(connection, ROOM, taken)
            rows = await connection.fetch(_SNAPSHOTS, [tp.topic for tp in claims], [tp.partition for tp in claims], VERSION)
        usable: dict[TopicPartition, list[tuple[int, int]]] = {tp: [] for tp in claims}
        for row in rows:  # the newest of a partition comes first; the older one is read only where that cannot be
            usable[TopicPartition(row["topic"], row["partition"])].append((row["snapshot"], row["next_offset"]))
        return {tp: await self._restored(tp, claim, usable[tp]) for tp, claim in claims.items()}

    async def _restored(self, tp: TopicPartition, claim: partitions.Claim, usable: Sequence[tuple[int, int]]) -> Taken:
        for snapshot, next_offset in usable:
            pages = await self._pool.fetch(_PAGES, tp.topic, tp.partition, snapshot)
            try:
                partition = await asyncio.to_thread(Partition.restore, {row["page"]: row["body"] for row in pages}, **_part(tp))
            except ValueError as error:
                _log.error("unreadable_snapshot", topic=tp.topic, partition=tp.partition, snapshot=snapshot, error=str(error))
            else:
                await self._forget(tp, claim, snapshot)
                return Taken(claim, partition, next_offset, None)
        await self._forget(tp, claim, 0)
        return Taken(claim, Partition(**_part(tp)), 0, await self._open_episodes(tp))

    async def _forget(self, tp: TopicPartition, claim: partitions.Claim, after: int) -> None:
        """Delete what is newer than the snapshot that serves: what could not be used, and what a predecessor did not finish.

        A page that is not written again would else be read from there one day.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            for table in ("pages", "snapshots"):
                await connection.execute(
                    f"delete from rules.{table} where topic = $1 and partition = $2 and snapshot > $3",  # noqa: S608 - one of two
                    *(tp.topic, tp.partition, after),
                )
            await partitions.hold(connection, ROOM, tp, claim)

    async def _open_episodes(self, tp: TopicPartition) -> list[ToldOpen]:
        """Return what was told as open by a partition: its streets, or regions, are those whose code it is the partition of.

        Sensors compared with a background are judged by the partition of their region, which is not told: each partition of regions gets all of
        them, and only that to which the sensor comes goes on. Where several end one, it is the same revision, which counts once.
        """
        count = topics.load()[tp.topic].partitions
        rows = await self._pool.fetch("select distinct street from rules.warnings where open")
        streets = [row["street"] for row in rows if partition_of(row["street"].encode(), count) == tp.partition]
        told = await self._pool.fetch(_OPEN, streets, tp.topic == DERIVED)
        return await asyncio.to_thread(lambda: [one for row in told if (one := _told_open(row)) is not None])

    async def commit(
        self, claims: partitions.Claims, offsets: Mapping[TopicPartition, int], warnings: Sequence[Revision], forwards: Sequence[Forward] = ()
    ) -> int:
        """Commit the effects of what was stepped since the last commit; returns how many warnings were new. Raises `Fenced`, having changed nothing.

        1. The offsets move on, if every partition is still ours: else all is rolled back.
        2. The warnings are inserted by (id, rev), with outbox rows for those really inserted; what a restart computes again is there already and
           changes nothing.
        3. Outbox rows are written for the records that go to `city.derived`. What a restart computes again of these is never given out: the offset
           says that it was committed.
        4. All of it commits at once; the relay publishes after that.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await self._advance(connection, claims, offsets)
            new = await self._tell(connection, warnings) if warnings else 0
            if forwards:
                await self._forward(connection, forwards)
        return new

    async def _advance(self, connection: database.Connection, claims: partitions.Claims, offsets: Mapping[TopicPartition, int]) -> None:
        """Step 1."""
        await partitions.advance(connection, ROOM, claims, offsets)

    async def _tell(self, connection: database.Connection, warnings: Sequence[Revision]) -> int:
        """Step 2."""
        told = {(one.id, one.rev): one.json() for one in warnings}
        status = await connection.execute(_TELL, b"\n".join(told.values()))
        return int(status.rpartition(" ")[2])

    async def _forward(self, connection: database.Connection, forwards: Sequence[Forward]) -> None:
        """Step 3."""
        await outbox.post(connection, ROOM, [outbox.Posting(DERIVED, record) for one in forwards for record in _outgoing(one)])

    async def begin(self, tp: TopicPartition, claim: partitions.Claim, next_offset: int) -> int:
        """Begin a snapshot of the state before `next_offset`; return its number. Raises `Fenced`."""
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.hold(connection, ROOM, tp, claim)
            number: int = await connection.fetchval(_BEGIN, tp.topic, tp.partition, claim.topic_epoch, next_offset, VERSION)
        return number

    async def write(self, tp: TopicPartition, claim: partitions.Claim, snapshot: int, pages: Sequence[Page]) -> None:
        """Write some pages of a snapshot. Raises `Fenced`, having changed nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            await connection.execute(_WRITE, tp.topic, tp.partition, snapshot, [page for page, _ in pages], [body for _, body in pages])
            # Last, so that no commit of warnings waits while pages are written.
            await partitions.hold(connection, ROOM, tp, claim)

    async def finish(self, tp: TopicPartition, claim: partitions.Claim, snapshot: int, next_offset: int) -> None:
        """Make a snapshot count, all of whose pages are written; what neither it nor the one before it needs is deleted.

        Raises `Fenced`, having changed nothing.
        The committed offset moves to the snapshot's: all effects of what it has seen were committed before it was begun.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            await connection.execute(
                "update rules.snapshots set complete = true where topic = $1 and partition = $2 and snapshot = $3", tp.topic, tp.partition, snapshot
            )
            await connection.execute(_DROP_OLDER, tp.topic, tp.partition)
            await partitions.advance(connection, ROOM, {tp: claim}, {tp: next_offset})

    async def publish_rules(self, rules: Sequence[Rule]) -> list[str]:
        """Take the rules whose version is newer than the published one; return what is wrong with the others.

        A rule keeps its meaning's number as long as only texts change.
        """
        problems: list[str] = []
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            await connection.execute("select pg_advisory_xact_lock(hashtext('rules.rules'))")
            rows = await connection.fetch("select id, meaning, body from rules.rules")
            known = {row["id"]: RuleActivation(rule=Rule.model_validate_json(row["body"]), meaning=row["meaning"]) for row in rows}
            if await epochs.made_anew(connection, ROOM, [RULES]):
                for published in known.values():
                    await self._post_rule(connection, published)
            for rule in rules:
                problems += await self._take_rule(connection, rule, known.get(rule.id))
            gone = sorted(known.keys() - {rule.id for rule in rules})
            problems += [
                f"rule {rule} is in force but has no file; to end it, bring the file back with `enabled: false` and a higher version"
                for rule in gone
                if known[rule].rule.enabled
            ]
        return problems

    async def _take_rule(self, connection: database.Connection, rule: Rule, published: RuleActivation | None) -> list[str]:
        """Publish a rule that is newer than the published one; return what is wrong with it, nothing when it is taken or known."""
        meaning = rule.version
        if published is not None:
            if rule.version <= published.rule.version:
                return _old(rule, published.rule)
            meaning = published.meaning if rule.means_the_same(published.rule) else meaning
        try:
            async with connection.transaction():  # a savepoint: one rule that cannot be kept harms no other
                await self._publish_rule(connection, RuleActivation(rule=rule, meaning=meaning))
        except (asyncpg.DataError, RecordTooLarge) as error:
            return [f"rule {rule.id} cannot be kept: {error}"]
        return []

    async def _publish_rule(self, connection: database.Connection, activation: RuleActivation) -> None:
        rule = activation.rule
        await connection.execute(
            "insert into rules.rules (id, version, meaning, body) values ($1, $2, $3, $4)"
            " on conflict (id) do update set version = excluded.version, meaning = excluded.meaning, body = excluded.body",
            rule.id,
            rule.version,
            activation.meaning,
            rule.model_dump_json(by_alias=True),
        )
        await self._post_rule(connection, activation)
        _log.info("rule_published", rule=rule.id, version=rule.version, meaning=activation.meaning)

    async def _post_rule(self, connection: database.Connection, activation: RuleActivation) -> None:
        rule, body = activation.rule, activation.model_dump_json(by_alias=True)
        headers = to_headers(id=f"{rule.id}:{rule.version}", type=EventType.RULE, source=SOURCE, subject=rule.id, time=self._clock.now())
        await outbox.post(connection, ROOM, [outbox.Posting(RULES, Outgoing(body.encode(), key=rule.id.encode(), headers=headers))])


def _old(rule: Rule, published: Rule) -> list[str]:
    if rule.version < published.version:
        return [f"rule {rule.id} has version {rule.version}, but {published.version} is in force; raise it above that"]
    if rule != published:
        return [f"rule {rule.id} was changed without raising its version {rule.version}; the published one stays in force"]
    return []


def _told_open(row: asyncpg.Record) -> ToldOpen | None:
    try:
        return ToldOpen(Warning.model_validate_json(row["body"]), row["version"] == VERSION)
    except ValidationError as error:
        _log.error("unreadable_warning", body=row["body"], error=str(error))
        return None


@cache
def _partitions_of(topic: str) -> int:
    return topics.load()[topic].partitions


class _Part(TypedDict):
    derived: bool
    source: int
    sources: int


def _part(tp: TopicPartition) -> _Part:
    """Say to the engine which partition it has."""
    return _Part(derived=tp.topic == DERIVED, source=tp.partition, sources=_partitions_of(OBSERVATIONS))


def _outgoing(one: Forward) -> list[Outgoing]:
    value = wire.encode(one.record)
    if one.region is not None:
        return [Outgoing(value, key=one.region.encode())]
    every = range(_partitions_of(DERIVED))
    return [Outgoing(value, partition=partition) for partition in ([one.partition % len(every)] if one.partition is not None else every)]
