"""SQL of history: rows and offsets in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka import TopicPartition

from schemas import wire
from schemas.report import Report, identity
from schemas.warning import Warning, WarningState  # noqa: A004 - the field's own word
from services.kit import database, partitions

ROOM = "history"

STATEMENT_ROWS = 2_000
"""Rows of one insert: small enough for any server's message limit."""

# An identity may come in several events, each with some of the metrics: they are one row. Of one identity and metric the higher log position wins.
# On a topic that was made anew offsets begin at 0 again: there the later receipt wins.
_OBSERVATIONS = """
insert into history.observations as o (sensor, statistic, period_s, ended_at, street, domain, department, metrics, "values", quality, origin,
    source, event_id, received_at, log_partition, log_offset)
select sensor, statistic, period_s, 'epoch'::timestamptz + ended * interval '1 microsecond', street, domain, department, metrics::text[],
    vals::float8[], quality::text[], origin, source, event_id, 'epoch'::timestamptz + received * interval '1 microsecond', log_partition, log_offset
from unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::text[], $13::text[], $14::bigint[], $15::int[], $16::bigint[])
    as t (sensor, statistic, period_s, ended, street, domain, department, metrics, vals, quality, origin, source, event_id, received,
    log_partition, log_offset)
on conflict (sensor, ended_at, statistic, period_s) do update set
    street = excluded.street, domain = excluded.domain, department = excluded.department,
    (metrics, "values", quality) = (
        select * from history.merged(o.metrics, o."values", o.quality, excluded.metrics, excluded."values", excluded.quality)),
    origin = excluded.origin, source = excluded.source, event_id = excluded.event_id,
    received_at = excluded.received_at, log_partition = excluded.log_partition, log_offset = excluded.log_offset
where (o.log_partition <> excluded.log_partition or o.log_offset < excluded.log_offset or o.received_at < excluded.received_at)
    and (o.metrics, o."values", o.quality) is distinct from (excluded.metrics, excluded."values", excluded.quality)
"""

_WARNINGS = """
insert into history.warnings (id, rev, open, street, department, changed_at, body)
select * from unnest($1::uuid[], $2::int[], $3::bool[], $4::text[], $5::text[], $6::timestamptz[], $7::jsonb[]) on conflict do nothing
"""

_WARNINGS_NOW = """
insert into history.warnings_now as w (id, rev, open, street, department, began_at, body)
select distinct on (id) id, rev, open, street, department, began_at, body
from unnest($1::uuid[], $2::int[], $3::bool[], $4::text[], $5::text[], $6::timestamptz[], $7::jsonb[])
    as t (id, rev, open, street, department, began_at, body)
order by id, rev desc
on conflict (id) do update set rev = excluded.rev, open = excluded.open, street = excluded.street, department = excluded.department,
    began_at = excluded.began_at, body = excluded.body
where w.rev < excluded.rev
"""

# To CloudEvents the same source and id is the same event: the first stands.
_REPORTS = """
insert into history.reports (id, department, source, event_id, region, matter, kind, channel, origin, occurred_at, received_at, body)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::timestamptz[], $11::timestamptz[], $12::jsonb[]) on conflict do nothing
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """An observation with its place in the log."""

    observation: wire.Observation
    partition: int
    offset: int


class Store:
    """All of history's writing."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def take(self, taken: Sequence[TopicPartition]) -> dict[TopicPartition, partitions.Claim]:
        """Become the owner of partitions."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await partitions.claim(connection, ROOM, taken)

    async def make_partitions(self) -> int:
        """Make the daily partitions of yesterday to a week ahead; returns how many were missing."""
        made: int = await self._pool.fetchval(
            "select history.make_partitions((now() at time zone 'UTC')::date - 1, (now() at time zone 'UTC')::date + 7)"
        )
        return made

    async def drop_partitions(self, days: int) -> int:
        """Drop the observations of days that are older than `days`; returns how many daily partitions went."""
        dropped: int = await self._pool.fetchval("select history.drop_partitions((now() at time zone 'UTC')::date - $1::int)", days)
        return dropped

    async def commit(
        self,
        claims: partitions.Claims,
        offsets: Mapping[TopicPartition, int],
        observations: Iterable[Logged],
        warnings: Sequence[Warning],
        reports: Sequence[Report] = (),
    ) -> None:
        """Write a poll and move its offsets on, all in one transaction. Raises `Fenced`, having changed nothing."""
        rows = list(newest(observations))
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.advance(connection, ROOM, claims, offsets)
            for at in range(0, len(rows), STATEMENT_ROWS):
                await connection.execute(_OBSERVATIONS, *_columns(rows[at : at + STATEMENT_ROWS]))
            if warnings:
                await _write_warnings(connection, warnings)
            for at in range(0, len(reports), STATEMENT_ROWS):
                await _write_reports(connection, reports[at : at + STATEMENT_ROWS])


async def _write_warnings(connection: database.Connection, warnings: Sequence[Warning]) -> None:
    ids = [warning.id for warning in warnings]
    revs = [warning.rev for warning in warnings]
    opens = [warning.state is WarningState.OPEN for warning in warnings]
    streets = [warning.street for warning in warnings]
    departments = [warning.department for warning in warnings]
    bodies = [warning.model_dump_json() for warning in warnings]
    await connection.execute(_WARNINGS, ids, revs, opens, streets, departments, [warning.changed_at for warning in warnings], bodies)
    await connection.execute(_WARNINGS_NOW, ids, revs, opens, streets, departments, [warning.began_at for warning in warnings], bodies)


async def _write_reports(connection: database.Connection, reports: Sequence[Report]) -> None:
    rows = [
        (
            identity(one),
            one.department,
            one.source,
            one.id,
            one.region,
            one.matter.value,
            one.kind,
            one.channel.value,
            one.origin.value,
            one.occurred,
            one.received,
            one.model_dump_json(),
        )
        for one in reports
    ]
    await connection.execute(_REPORTS, *(list(column) for column in zip(*rows, strict=True)))


def newest(observations: Iterable[Logged]) -> Iterable[Logged]:
    """Return one observation an identity, of each metric the value of the highest log position: an upsert must not meet a row twice."""
    kept: dict[tuple[str, str, int, int], Logged] = {}
    for logged in observations:
        one = logged.observation
        key = (one.sensor, one.statistic, wire.period_s(one.start, one.end), one.end)
        before = kept.get(key)
        kept[key] = logged if before is None else Logged(_merged(before.observation, one), logged.partition, logged.offset)
    return kept.values()


def _merged(older: wire.Observation, newer: wire.Observation) -> wire.Observation:
    kept = {metric: flag for metric, flag in older.quality.items() if metric not in newer.values}
    return msgspec.structs.replace(newer, values={**older.values, **newer.values}, quality={**kept, **newer.quality})


def _columns(rows: Sequence[Logged]) -> list[list[object]]:
    observations = [row.observation for row in rows]
    return [
        [one.sensor for one in observations],
        [one.statistic for one in observations],
        [wire.period_s(one.start, one.end) for one in observations],
        [one.end for one in observations],
        [one.street for one in observations],
        [one.domain for one in observations],
        [one.department for one in observations],
        # Array literals. Metrics are codes: nothing in them needs escaping, but unquoted one that is called `null` would be none.
        ["{" + ",".join(f'"{metric}"' for metric in one.values) + "}" for one in observations],
        ["{" + ",".join(map(repr, one.values.values())) + "}" for one in observations],
        [_quality(one) for one in observations],
        [one.origin for one in observations],
        [one.source for one in observations],
        [one.id for one in observations],
        [one.received for one in observations],
        [row.partition for row in rows],
        [row.offset for row in rows],
    ]


def _quality(one: wire.Observation) -> str | None:
    if not one.quality:
        return None
    return "{" + ",".join(one.quality.get(metric, "good") for metric in one.values) + "}"
