"""SQL of rules: the commit of a poll, snapshots, and the published rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec
from aiokafka import TopicPartition

from schemas.control import RuleActivation
from schemas.envelope import EventType, to_headers
from schemas.rule import Rule
from schemas.warning import Warning, WarningState  # noqa: A004 - the field's own word
from services.kit import database, epochs, logs, outbox, partitions
from services.kit.clock import Clock
from services.kit.errors import RecordTooLarge
from services.kit.producer import Outgoing
from services.kit.topics import RULES, WARNINGS
from services.rules.domain.state import VERSION, State

_log = logs.get(__name__)

ROOM = "rules"
SOURCE = "/services/rules"


@dataclass(frozen=True)
class Taken:
    """A partition as its new owner finds it."""

    claim: partitions.Claim
    state: State
    next_offset: int


class Store:
    """All of rules' reading and writing in PostgreSQL."""

    def __init__(self, pool: database.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def take(self, taken: Sequence[TopicPartition]) -> dict[TopicPartition, Taken]:
        """Become the owner of partitions; return the newest usable snapshot of each."""
        async with self._pool.acquire() as connection, connection.transaction():
            claims = await partitions.claim(connection, ROOM, taken)
            rows = await connection.fetch(
                "select s.topic, s.partition, s.next_offset, s.state from rules.snapshots s"
                " join kit.topics k on k.name = s.topic and k.epoch = s.topic_epoch"
                " where s.version = $1 order by s.next_offset desc",
                VERSION,
            )
        found: dict[TopicPartition, Taken] = {}
        for row in rows:  # the newest of a partition comes first; the older one is read only where that cannot be
            tp = TopicPartition(row["topic"], row["partition"])
            if tp in claims and tp not in found and (state := _readable(tp, row["state"])) is not None:
                found[tp] = Taken(claims[tp], state, row["next_offset"])
        return {tp: found.get(tp) or Taken(claim, State(), 0) for tp, claim in claims.items()}

    async def commit(self, claims: partitions.Claims, offsets: Mapping[TopicPartition, int], warnings: Sequence[Warning]) -> int:
        """Commit the effects of a poll; returns how many warnings were new. Raises `Fenced`, having changed nothing.

        1. The offsets move on, if every partition is still ours: else all is rolled back.
        2. The warnings are inserted by (id, rev); what a restart computes again is there already and changes nothing.
        3. Outbox rows are written for those really inserted.
        4. All of it commits at once; the relay publishes after that.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.advance(connection, ROOM, claims, offsets)
            bodies = {(warning.id, warning.rev): warning for warning in warnings}
            rows = await connection.fetch(
                "insert into rules.warnings (id, rev, open, body) select * from unnest($1::uuid[], $2::int[], $3::bool[], $4::jsonb[])"
                " on conflict do nothing returning id, rev",
                [key[0] for key in bodies],
                [key[1] for key in bodies],
                [warning.state is WarningState.OPEN for warning in bodies.values()],
                [warning.model_dump_json() for warning in bodies.values()],
            )
            new = {(row["id"], row["rev"]) for row in rows}
            await outbox.post(connection, ROOM, [_posting(warning) for key, warning in bodies.items() if key in new])
        return len(new)

    async def snapshot(self, tp: TopicPartition, claim: partitions.Claim, state: bytes, next_offset: int) -> None:
        """Write a partition's state over the older of its two snapshots. Raises `Fenced`, having changed nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.advance(connection, ROOM, {tp: claim}, {tp: next_offset})
            await connection.execute(
                "insert into rules.snapshots (topic, partition, slot, topic_epoch, next_offset, version, state)"
                " select $1, $2, coalesce((select 1 - slot from rules.snapshots where topic = $1 and partition = $2"
                "  order by taken_at desc limit 1), 0), $3, $4, $5, $6"
                " on conflict (topic, partition, slot) do update set topic_epoch = excluded.topic_epoch,"
                "  next_offset = excluded.next_offset, version = excluded.version, state = excluded.state, taken_at = clock_timestamp()",
                tp.topic,
                tp.partition,
                claim.topic_epoch,
                next_offset,
                VERSION,
                state,
            )

    async def publish_rules(self, rules: Sequence[Rule]) -> list[str]:
        """Take the rules whose version is newer than the published one; return what is wrong with the others.

        A rule keeps its meaning's number as long as only texts change.
        """
        problems: list[str] = []
        async with self._pool.acquire() as connection, connection.transaction():
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


def _readable(tp: TopicPartition, snapshot: bytes) -> State | None:
    """Return a snapshot's state; one that cannot be read is told, and the one before it serves."""
    try:
        return msgspec.msgpack.decode(snapshot, type=State)
    except msgspec.DecodeError as error:
        _log.error("unreadable_snapshot", topic=tp.topic, partition=tp.partition, error=str(error))
        return None


def _posting(warning: Warning) -> outbox.Posting:
    headers = to_headers(id=f"{warning.id}:{warning.rev}", type=EventType.WARNING, source=SOURCE, subject=warning.subject, time=warning.changed_at)
    return outbox.Posting(WARNINGS, Outgoing(warning.model_dump_json().encode(), key=warning.subject.encode(), headers=headers))
