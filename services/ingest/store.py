"""SQL of ingest: the registry of sensors, activations of rules, adapters and leases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from schemas import wire
from schemas.control import RuleActivation, SensorRecord
from schemas.envelope import EventType, to_headers
from schemas.partitioner import partition_of
from schemas.regions import RegionTree
from schemas.sensor import Sensor
from services.ingest.domain.quality import Memory
from services.kit import database, epochs, logs, outbox
from services.kit.clock import Clock
from services.kit.producer import Outgoing
from services.kit.topics import OBSERVATIONS, SENSORS

if TYPE_CHECKING:
    from services.ingest.flow import Counts

_log = logs.get(__name__)

ROOM = "ingest"
SOURCE = "/services/ingest"
LEASE_S = 5
"""A node that is killed leaves the lease for so long: ticks pause meanwhile, no longer than the grace of instant values."""
ADAPTER_FORGOTTEN_S = 60
"""An adapter that has not reported for so long is named in no tick."""


@dataclass(frozen=True)
class Lease:
    """Whether this node holds a lease, and what the database's clock says."""

    held: bool
    database_time: datetime


@dataclass(frozen=True)
class Record:
    """What is to be written of sensors, and to be posted with it."""

    rows: Sequence[tuple[str, int, str, str]]
    postings: Sequence[outbox.Posting]


@dataclass(frozen=True)
class Heard:
    """What is to be added to how a sensor is."""

    sensor: str
    received: int
    end: int
    readings: int
    values: int
    bad: int
    late: int
    gaps: int
    gap_us: int
    skew_us: float

    @classmethod
    def of(cls, sensor: str, memory: Memory) -> Self:
        """Return what a node noted since it last wrote."""
        return cls(
            sensor,
            memory.received,
            memory.end,
            memory.readings,
            memory.values,
            memory.bad,
            memory.late,
            memory.gaps,
            memory.gap_us,
            memory.skew_us,
        )

    def taken_out_of(self, memory: Memory) -> None:
        """Take what was written out of the counts; what came meanwhile stays."""
        memory.readings -= self.readings
        memory.values -= self.values
        memory.bad -= self.bad
        memory.late -= self.late
        memory.gaps -= self.gaps
        memory.gap_us = 0
        memory.changed = memory.readings > 0


class Store:
    """All of ingest's reading and writing in PostgreSQL."""

    def __init__(self, pool: database.Pool, clock: Clock, regions: RegionTree, partitions: int) -> None:
        self._pool = pool
        self._clock = clock
        self._regions = regions
        self._partitions = partitions

    async def register(self, sensors: Sequence[Sensor]) -> list[str]:
        """Take the sensors whose version is newer than the registry's; return what is wrong with the others.

        In one transaction with the registry go the records for `city.sensors` and for the street's partition, and, of a sensor that
        moved, for its old street's.
        """
        problems: list[str] = []
        async with self._pool.acquire() as connection, connection.transaction():
            await self.lock(connection)
            known = {row["id"]: row for row in await connection.fetch("select id, version, street, body from ingest.sensors")}
            newer: list[tuple[Sensor, str | None]] = []
            for sensor in sensors:
                row = known.get(sensor.id)
                if row is not None and sensor.version <= row["version"]:
                    if sensor.version == row["version"] and sensor != Sensor.model_validate_json(row["body"]):
                        problems.append(f"sensor {sensor.id} was changed without raising its version {sensor.version}; the registered one stays")
                    continue
                newer.append((sensor, row["street"] if row else None))
            record = self.record(newer)
            await self.keep(connection, record)
            await outbox.post(connection, ROOM, record.postings)
        if newer:
            _log.info("sensors_registered", count=len(newer))
        return problems

    def record(self, changes: Sequence[tuple[Sensor, str | None]]) -> Record:
        """Return what is to be written of sensors, each given with the street where it stood, and what is to be posted in the same transaction."""
        rows = [(sensor.id, sensor.version, sensor.street, sensor.model_dump_json()) for sensor, _ in changes]
        controls = [self._control(sensor, street) for sensor, old in changes for street in sorted({sensor.street, old or sensor.street})]
        # First the streets' partitions: who learns of a sensor by `city.sensors` may publish a reading of it at once.
        return Record(rows, [*controls, *(self._registered(sensor) for sensor, _ in changes)])

    @staticmethod
    async def keep(connection: database.Connection, record: Record) -> None:
        """Write sensors in the caller's transaction; their postings are the caller's to post. Take `lock` before they are read."""
        await connection.executemany(
            "insert into ingest.sensors (id, version, street, body) values ($1, $2, $3, $4)"
            " on conflict (id) do update set version = excluded.version, street = excluded.street, body = excluded.body",
            record.rows,
        )

    @staticmethod
    async def lock(connection: database.Connection) -> None:
        """Be the only one who changes the registry, until the caller's transaction ends."""
        await connection.execute("select pg_advisory_xact_lock(hashtext('ingest.sensors'))")

    async def sensors(self) -> list[Sensor]:
        """Return the whole registry."""
        rows = await self._pool.fetch("select body from ingest.sensors")
        return [Sensor.model_validate_json(row["body"]) for row in rows]

    async def activate(self, activation: RuleActivation) -> bool:
        """Post a rule's activation to every partition, unless that or a newer version was posted before; returns whether it was."""
        rule = activation.rule
        async with self._pool.acquire() as connection, connection.transaction():
            new = await connection.fetchval(
                "insert into ingest.activations as a (rule, version, body) values ($1, $2, $3)"
                " on conflict (rule) do update set version = excluded.version, body = excluded.body where a.version < excluded.version"
                " returning true",
                rule.id,
                rule.version,
                activation.model_dump_json(by_alias=True),
            )
            if new:
                await outbox.post(connection, ROOM, self._to_all(activation))
        return bool(new)

    async def resend(self, *, only_if_made_anew: bool = False) -> None:
        """Post every sensor and activation again, so that the log alone can rebuild what rules know."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await epochs.made_anew(connection, ROOM, [OBSERVATIONS, SENSORS]) and only_if_made_anew:
                return
            sensors = [Sensor.model_validate_json(row["body"]) for row in await connection.fetch("select body from ingest.sensors")]
            rules = [RuleActivation.model_validate_json(row["body"]) for row in await connection.fetch("select body from ingest.activations")]
            for sensor in sensors:
                if sensor.street in self._regions:
                    await outbox.post(connection, ROOM, self.record([(sensor, None)]).postings)
                else:
                    _log.error(
                        "sensor_without_region",
                        sensor=sensor.id,
                        street=sensor.street,
                        hint="give it a region of regions.yaml, and raise its version",
                    )
            for activation in rules:
                await outbox.post(connection, ROOM, self._to_all(activation))

    async def lease(self, name: str, holder: str, ticked: datetime | None = None) -> Lease:
        """Take or keep a lease when nobody else holds it; note beside it the tick that Kafka has since."""
        row = await self._pool.fetchrow(
            "with noted as (insert into ingest.ticks as t (ticked_at) select $4::timestamptz where $4::timestamptz is not null"
            " on conflict (one) do update set ticked_at = excluded.ticked_at),"
            " mine as (insert into ingest.leases as l (name, holder, expires_at) values ($1, $2, clock_timestamp() + make_interval(secs => $3))"
            " on conflict (name) do update set holder = $2, expires_at = excluded.expires_at"
            " where l.holder = $2 or l.expires_at < clock_timestamp() returning 1)"
            " select exists (select from mine) as held, clock_timestamp() as now",
            name,
            holder,
            float(LEASE_S),
            ticked,
        )
        assert row is not None  # noqa: S101 - a select without from has one row
        return Lease(row["held"], row["now"])

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""
        await self._pool.execute("delete from ingest.leases where name = $1 and holder = $2", name, holder)

    async def report(self, acknowledged_until: Mapping[str, datetime]) -> None:
        """Say for each adapter up to when all that it took is in Kafka."""
        await self._pool.execute(
            "insert into ingest.adapters (adapter, acknowledged_until, reported_at)"
            " select adapter, until, clock_timestamp() from unnest($1::text[], $2::timestamptz[]) as t (adapter, until) order by adapter"
            " on conflict (adapter) do update set acknowledged_until = excluded.acknowledged_until, reported_at = excluded.reported_at",
            list(acknowledged_until),
            list(acknowledged_until.values()),
        )

    async def add_flow(self, counts: Mapping[tuple[str, str, datetime], Counts]) -> None:
        """Add what became of events, by department, door and minute."""
        rows = sorted((*key, one.observations, one.reports, one.refused, one.late) for key, one in counts.items())
        await self._pool.execute(
            "insert into ingest.flow as f (department, door, minute, observations, reports, refused, late)"
            " select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])"
            " on conflict (department, minute, door) do update set observations = f.observations + excluded.observations,"
            " reports = f.reports + excluded.reports, refused = f.refused + excluded.refused, late = f.late + excluded.late",
            *map(list, zip(*rows, strict=True)),
        )

    async def add_health(self, heard: Sequence[Heard]) -> None:
        """Add what was heard of sensors."""
        rows = sorted(
            (
                one.sensor,
                wire.from_micros(one.received),
                wire.from_micros(one.end),
                one.readings,
                one.values,
                one.bad,
                one.late,
                one.gaps,
                one.gap_us / 1e6,
                one.skew_us / 1e6,
            )
            for one in heard
        )
        await self._pool.execute(
            'insert into ingest.sensor_health as h (sensor, heard_at, ended_at, readings, "values", bad, late, gaps, longest_gap_s, skew_s)'
            " select * from unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],"
            " $8::bigint[], $9::float8[], $10::float8[])"
            " on conflict (sensor) do update set heard_at = greatest(h.heard_at, excluded.heard_at),"
            " ended_at = greatest(h.ended_at, excluded.ended_at),"
            ' readings = h.readings + excluded.readings, "values" = h."values" + excluded."values", bad = h.bad + excluded.bad,'
            " late = h.late + excluded.late, gaps = h.gaps + excluded.gaps, longest_gap_s = greatest(h.longest_gap_s, excluded.longest_gap_s),"
            " skew_s = excluded.skew_s",
            *map(list, zip(*rows, strict=True)),
        )

    async def adapters(self) -> dict[str, datetime]:
        """Return how far each adapter is that has reported lately, and forget the others."""
        await self._pool.execute(
            "delete from ingest.adapters where reported_at < clock_timestamp() - make_interval(secs => $1)", float(ADAPTER_FORGOTTEN_S)
        )
        rows = await self._pool.fetch("select adapter, acknowledged_until from ingest.adapters order by adapter")
        return {row["adapter"]: row["acknowledged_until"] for row in rows}

    def _registered(self, sensor: Sensor) -> outbox.Posting:
        headers = to_headers(id=f"{sensor.id}:{sensor.version}", type=EventType.SENSOR, source=SOURCE, subject=sensor.id, time=self._clock.now())
        return outbox.Posting(SENSORS, Outgoing(sensor.model_dump_json().encode(), key=sensor.id.encode(), headers=headers))

    def _control(self, sensor: Sensor, street: str) -> outbox.Posting:
        path = self._regions.path(sensor.street)
        record = SensorRecord(sensor=sensor, path=path, names=tuple(self._regions[code].name for code in path))
        key = street.encode()
        value = wire.encode(wire.of_sensor(record))
        return outbox.Posting(OBSERVATIONS, Outgoing(value, key=key, partition=partition_of(key, self._partitions)))

    def _to_all(self, activation: RuleActivation) -> list[outbox.Posting]:
        value = wire.encode(wire.of_activation(activation))
        return [outbox.Posting(OBSERVATIONS, Outgoing(value, partition=partition)) for partition in range(self._partitions)]
