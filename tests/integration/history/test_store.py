"""History's tables on the real PostgreSQL: one row an observation, and what readers may see."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition
from asyncpg.exceptions import InsufficientPrivilegeError

from schemas import wire
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.reads import ROLE, Boot, Reads
from services.history.store import Logged, Store
from services.kit import database as kit_database
from services.kit.errors import Fenced
from services.kit.partitions import Claims
from services.kit.topics import OBSERVATIONS, WARNINGS
from tests.unit.gateway.city import CITY, MICROS, OTHER_STREET, SIBLING, STREET, STREETS, TREE, observation, warning

A, B, W = TopicPartition(OBSERVATIONS, 0), TopicPartition(OBSERVATIONS, 1), TopicPartition(WARNINGS, 0)
ALL = [region.code for region in TREE]


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool) -> None:
    await pool.execute("truncate history.observations, history.warnings, history.warnings_now, history.partitions")


@pytest.fixture
def store(pool: asyncpg.Pool) -> Store:
    return Store(pool)


@pytest.fixture
async def reader(database: str):
    """A pool with the role of those who read."""
    opened = await kit_database.open_pool(database, role=ROLE)
    yield opened
    opened.terminate()


async def write(store: Store, claims: Claims, *observations: wire.Observation, first: int = 0, tp: TopicPartition = A) -> None:
    logged = [Logged(one, tp.partition, first + at) for at, one in enumerate(observations)]
    await store.commit(claims, {tp: first + len(logged)}, logged, [])


async def rows(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    found = await pool.fetch(
        'select sensor, "values", quality, log_partition, log_offset from history.observations order by sensor, ended_at, period_s'
    )
    return [tuple(row.values()) for row in found]


async def boot(pool: asyncpg.Pool, sensors: Sequence[str] = ("s1",), streets: Sequence[str] = tuple(ALL)) -> Boot:
    return await Reads(pool).boot(streets, sensors)


async def test_each_identity_has_one_row_and_of_corrections_the_higher_log_position_wins(store: Store, pool: asyncpg.Pool):
    claims = await store.take([A])
    same = observation(flow=1.0)
    await write(store, claims, same, observation(seconds=1, flow=2.0), same)
    assert await rows(pool) == [("s1", [1.0], None, 0, 2), ("s1", [2.0], None, 0, 1)]
    await write(store, claims, observation(flow=1.5), first=3)
    await write(store, claims, observation(flow=1.5, quality={"flow": "fault"}), first=4)
    assert await rows(pool) == [("s1", [1.5], ["fault"], 0, 4), ("s1", [2.0], None, 0, 1)]
    # A repetition further on in the log is no correction: nothing is written.
    await write(store, claims, observation(flow=1.5, quality={"flow": "fault"}), first=5)
    assert await rows(pool) == [("s1", [1.5], ["fault"], 0, 4), ("s1", [2.0], None, 0, 1)]
    # The poll comes again after a restart, as a whole and in parts: it changes nothing.
    await write(store, claims, same, observation(seconds=1, flow=2.0), same, observation(flow=1.5))
    await write(store, claims, same)
    assert await rows(pool) == [("s1", [1.5], ["fault"], 0, 4), ("s1", [2.0], None, 0, 1)]


@pytest.mark.parametrize("polls", [1, 4])
async def test_events_that_share_an_identity_are_one_row_with_the_newest_value_of_each_metric(store: Store, pool: asyncpg.Pool, polls: int):
    claims = await store.take([A])
    events = [
        observation(flow=1.0, ph=7.0, quality={"ph": "fault"}),
        observation(level=2.0, quality={"level": "over_range"}),
        observation(flow=1.5),
        observation(ph=7.5),
    ]
    for _ in range(2):  # as it comes, and again after a restart
        for at in range(0, 4, 4 // polls):
            await write(store, claims, *events[at : at + 4 // polls], first=at)
        row = await pool.fetchrow('select metrics, "values", quality, log_offset from history.observations')
        assert row is not None
        flags = dict(zip(row["metrics"], row["quality"], strict=True))
        assert dict(zip(row["metrics"], row["values"], strict=True)) == {"flow": 1.5, "level": 2.0, "ph": 7.5}
        assert (flags, row["log_offset"]) == ({"flow": "good", "level": "over_range", "ph": "good"}, 3)
    await write(store, claims, observation(level=2.5), first=4)
    assert await pool.fetchval("select quality from history.observations") is None


async def test_identities_differ_by_sensor_statistic_period_and_end(store: Store, pool: asyncpg.Pool):
    claims = await store.take([A])
    several = [
        observation(),
        observation("s2"),
        observation(seconds=0.000001),
        observation(statistic="mean"),
        observation(statistic="mean", period=60),
        observation(statistic="max", period=60),
    ]
    await write(store, claims, *several)
    assert await pool.fetchval("select count(*) from history.observations") == len(several)


async def test_numbers_times_names_and_flags_come_back_to_the_last_bit(store: Store, reader: asyncpg.Pool):
    claims = await store.take([A])
    values = {"a": -17.25, "b": 1e-320, "c": 1e308, "d": -0.0, "null": 0.1, "NULL": 5e-324, "x.y:z-1_2": -1.7976931348623157e308, "g": 3.0}
    quality = {"a": "fault", "null": "over_range", "g": "stopped"}
    one = observation(seconds=0.123457, period=3600, statistic="mean", quality=quality, **values)
    await write(store, claims, one, observation(seconds=-86_400 * 365 * 5 + 0.999999, period=60, statistic="sum"))
    found = {(each.statistic, each.period_s): each for each in [Found(each) for each in (await boot(reader)).observations]}
    assert found["mean", 3600].same(one)
    assert str(found["mean", 3600].observation.values["d"]) == "-0.0"
    assert found["sum", 60].observation.end == MICROS - 86_400 * 365 * 5 * 1_000_000 + 999_999


class Found:
    """What was read back, with what the gateway uses of it."""

    def __init__(self, one: wire.Observation) -> None:
        self.observation = one
        self.statistic = one.statistic
        self.period_s = wire.period_s(one.start, one.end)

    def same(self, other: wire.Observation) -> bool:
        names = ("sensor", "street", "start", "end", "statistic", "values", "quality", "origin", "received")
        return all(getattr(self.observation, name) == getattr(other, name) for name in names)


async def test_a_poll_is_written_whole_or_not_at_all(store: Store, pool: asyncpg.Pool):
    old = await store.take([A, B])
    await store.take([B])
    with pytest.raises(Fenced):
        await store.commit(old, {A: 1, B: 1}, [Logged(observation(), 0, 0)], [warning()])
    assert await rows(pool) == []
    assert await pool.fetchval("select count(*) from history.warnings") == 0
    assert await pool.fetchval("select max(next_offset) from history.partitions") == 0


async def test_more_rows_than_a_statement_takes(store: Store, pool: asyncpg.Pool):
    claims = await store.take([A])
    await write(store, claims, *(observation(seconds=at, flow=float(at)) for at in range(4_500)))
    assert (
        await pool.fetchval(
            'select count(*) from history.observations where "values"[1] = extract(epoch from ended_at - $1)', wire.from_micros(MICROS)
        )
        == 4_500
    )


async def test_partitions_are_made_ahead_and_old_days_have_a_place(store: Store, pool: asyncpg.Pool):
    today = datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(await pool.fetchval("select extract(epoch from now())")))
    made = await store.make_partitions()
    assert await store.make_partitions() == 0
    assert made in {0, 9}
    claims = await store.take([A])
    days = (-200, -2, -1, 0, 7, 30)
    ends = [wire.to_micros(today + timedelta(days=day)) for day in days]
    await write(store, claims, *(observation(seconds=(end - MICROS) / 1e6) for end in ends))
    found = await pool.fetch("select tableoid::regclass::text as name from history.observations order by ended_at")
    names = [f"history.observations_{today + timedelta(days=day):%Y%m%d}" if day in {-1, 0, 7} else "history.observations_other" for day in days]
    assert [row["name"] for row in found] == names
    # A day of which the default partition holds rows is left to it.
    assert (
        await pool.fetchval("select history.make_partitions($1, $2)", (today + timedelta(days=30)).date(), (today + timedelta(days=31)).date()) == 1
    )


async def test_old_days_are_dropped_and_no_others(store: Store, pool: asyncpg.Pool):
    await store.make_partitions()
    today = (await pool.fetchval("select (now() at time zone 'UTC')::date::timestamp at time zone 'UTC'")).astimezone(UTC)
    await pool.fetchval("select history.make_partitions($1, $2)", (today - timedelta(days=12)).date(), (today - timedelta(days=9)).date())
    claims = await store.take([A])
    ends = [(wire.to_micros(today - timedelta(days=days)) - MICROS) / 1e6 for days in (100, 12, 11, 10, 5, 0)]
    await write(store, claims, *(observation(seconds=end) for end in ends))
    assert await store.drop_partitions(10) == 2
    assert await pool.fetchval("select count(*) from history.observations") == 3
    await write(store, claims, observation(seconds=ends[0]), first=6)
    assert await store.drop_partitions(10) == 0
    assert await pool.fetchval("select count(*) from history.observations") == 3


async def test_every_revision_is_kept_and_the_newest_is_the_present_one(store: Store, pool: asyncpg.Pool):
    claims = await store.take([W])
    revisions = [warning(1, 1), warning(1, 2, tier="red"), warning(1, 3, state="cleared"), warning(2, 1), warning(2, 2, tier="orange")]
    polls = [[revisions[1], revisions[0]], [revisions[3], revisions[3]], [revisions[2], revisions[0], revisions[4]], revisions[:2], [revisions[3]]]
    for at, poll in enumerate(polls):
        await store.commit(claims, {W: at + 1}, [], poll)
    kept = [Warning.model_validate_json(row["body"]) for row in await pool.fetch("select body from history.warnings order by id, rev")]
    assert kept == revisions
    now = await pool.fetch("select rev, open, body from history.warnings_now order by id")
    assert [(row["rev"], row["open"], Warning.model_validate_json(row["body"])) for row in now] == [(3, False, revisions[2]), (2, True, revisions[4])]


async def test_readers_see_their_streets_only_and_no_table(store: Store, reader: asyncpg.Pool):
    await store.make_partitions()
    claims = await store.take([A, W])
    warnings = [warning(at, street=street) for at, street in enumerate(STREETS, 1)] + [warning(9, 2, street=STREET, state="cleared")]
    logged = [Logged(observation(f"s{at}", street=street), 0, at) for at, street in enumerate(STREETS)]
    await store.commit(claims, {A: 3, W: 4}, logged, warnings)
    reads = Reads(reader)
    for street in STREETS:
        found = await reads.boot([street, CITY], ["s0", "s1", "s2"])
        assert [json.loads(body)["street"] for body in found.warnings] == [street]
        assert [one.street for one in found.observations] == [street]
    everything = await reads.boot(ALL, ["s0", "s1", "s2", "s3"])
    assert (len(everything.warnings), len(everything.observations)) == (3, 3)
    assert everything.positions == {A: 3, W: 4}
    revisions = "select body from api_history.warning_revisions($1, $2)"
    assert await reader.fetch(revisions, UUID(int=1), [STREET]) != []
    assert await reader.fetch(revisions, UUID(int=1), [SIBLING, OTHER_STREET]) == []
    assert await reader.fetch(revisions, UUID(int=99), ALL) == []
    assert (await reads.boot([], ["s0"])).warnings == []
    for table in (
        "history.observations",
        "history.observations_other",
        "history.warnings",
        "history.warnings_now",
        "history.partitions",
        "rules.warnings",
        "ingest.sensors",
        "kit.topics",
        "kit.migrations",
        "alerts.notifications",
    ):
        with pytest.raises(InsufficientPrivilegeError):
            await reader.fetch(f"select * from {table}")
    with pytest.raises(InsufficientPrivilegeError):
        await reader.execute("create table public.mine (x int)")


async def test_the_newest_observation_of_each_series_is_found(store: Store, reader: asyncpg.Pool):
    claims = await store.take([A])
    await write(
        store, claims, *(observation(seconds=at, flow=float(at)) for at in range(20)), observation(seconds=18, period=60, statistic="mean", flow=7.0)
    )
    found = (await boot(reader, ["s1", "s9"])).observations
    newest = {one.statistic: one for one in sorted(found, key=lambda one: one.end)}
    assert {statistic: one.values["flow"] for statistic, one in newest.items()} == {"instant": 19.0, "mean": 7.0}
    assert len(found) == 16


async def test_positions_of_a_topic_made_anew_are_not_given(store: Store, pool: asyncpg.Pool, reader: asyncpg.Pool):
    claims = await store.take([A, W])
    await store.commit(claims, {A: 5, W: 7}, [], [])
    old = await pool.fetchval("select epoch from kit.topics where name = $1", OBSERVATIONS)
    await pool.execute("update kit.topics set epoch = gen_random_uuid() where name = $1", OBSERVATIONS)
    assert (await boot(reader)).positions == {W: 7}
    await pool.execute("update kit.topics set epoch = $2 where name = $1", OBSERVATIONS, old)


async def series(reader: asyncpg.Pool, *, most: int = 100, street: str = STREET, department: str = "d", period_s: int = 0) -> list[Any]:
    since, until = wire.from_micros(MICROS - 10_000_000), wire.from_micros(MICROS + 10_000_000_000)
    call = "select * from api_history.series('s1', 'flow', 'instant', $1, $2, $3, $4, $5, $6)"
    return list(await reader.fetch(call, period_s, street, department, since, until, most))


async def test_a_series_is_read_in_order_with_its_flags_and_only_where_and_whose_it_was(store: Store, reader: asyncpg.Pool):
    claims = await store.take([A])
    moved = observation(seconds=3, flow=9.0, street=SIBLING)
    await write(store, claims, observation(seconds=2, flow=2.0, quality={"flow": "fault"}), observation(seconds=1, flow=1.0, level=5.0), moved)
    await write(store, claims, observation(seconds=4, level=7.0), observation(seconds=5, period=1, flow=8.0), first=3)
    assert [(row["value"], row["quality"], row["origin"], row["total"]) for row in await series(reader)] == [
        (1.0, "good", "real", 2),
        (2.0, "fault", "real", 2),
    ]
    assert [row["value"] for row in await series(reader, street=SIBLING)] == [9.0]
    assert [row["value"] for row in await series(reader, period_s=1)] == [8.0]
    assert await series(reader, department="other") == []


async def test_a_long_series_is_thinned_and_keeps_its_peaks(store: Store, reader: asyncpg.Pool):
    claims = await store.take([A])
    peaks = {137: 99.0, 801: -5.0}
    await write(store, claims, *(observation(seconds=at, flow=peaks.get(at, at % 7)) for at in range(1_000)))
    rows = await series(reader, most=20)
    assert 10 <= len(rows) <= 20
    assert {row["total"] for row in rows} == {1_000}
    assert {99.0, -5.0} <= {row["value"] for row in rows}
    assert [row["ended_at"] for row in rows] == sorted(row["ended_at"] for row in rows)
    assert len(await series(reader, most=1_000)) == 1_000
