"""History as a process: through kill -9 every observation has one row, every revision one, and what is no record harms none."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import asyncpg

from schemas import wire
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.kit.producer import Producer
from tests.integration.parts import Servers, Service, eventually
from tests.integration.rooms import partition_for, publish_records, publish_warnings
from tests.unit.gateway.city import MICROS, STREETS, observation, warning

ROUNDS = 60


async def test_all_is_there_once_whenever_history_is_killed(
    servers: Servers, pool: asyncpg.Pool, database: str, producer: Producer, start: Callable[..., Service]
):
    run: Callable[[], Service] = lambda: start("history", TONGGUAN_KAFKA=servers.kafka, TONGGUAN_DATABASE=database)  # noqa: E731
    dice = random.Random(3)
    newest: dict[tuple[str, int], float] = {}
    revisions: dict[tuple[str, int], Warning] = {}

    async def publish() -> None:
        for second in range(ROUNDS):
            for street in STREETS:
                readings = [observation(f"{street}-{at}", second - (at == 3), street=street, flow=round(dice.uniform(-9, 9), 3)) for at in range(20)]
                readings += dice.choices(readings, k=3)
                newest.update({(one.sensor, one.end): one.values["flow"] for one in readings})
                await publish_records(
                    producer, partition_for(street), [*readings, b"no record", b"", wire.Tick(MICROS + second * 1_000_000, "n1", {})]
                )
            told = [warning(number, second + 1, state="open" if second % 2 else "cleared") for number in range(1, 6)]
            revisions.update({(str(one.id), one.rev): one for one in told})
            await publish_warnings(producer, [*told, b"no warning", *dice.choices(list(revisions.values()), k=2)])
            await asyncio.sleep(0.2)

    first = run()
    await first.ready()
    publishing = asyncio.create_task(publish())
    await asyncio.sleep(dice.uniform(0.5, 2))
    first.kill()
    second = run()
    await second.ready()
    await asyncio.sleep(dice.uniform(0.1, 1))
    second.kill()
    await publishing
    last = run()

    async def complete() -> bool:
        counts = "select (select count(*) from history.observations) as observations, (select count(*) from history.warnings) as warnings"
        row = await pool.fetchrow(counts)
        return row is not None and (row["observations"], row["warnings"]) == (len(newest), len(revisions))

    await eventually(complete, f"{len(newest)} observations and {len(revisions)} revisions")
    rows = await pool.fetch(
        'select sensor, (extract(epoch from ended_at) * 1000000)::bigint as ended, "values"[1] as value from history.observations'
    )
    assert {(row["sensor"], row["ended"]): row["value"] for row in rows} == newest
    kept = [Warning.model_validate_json(row["body"]) for row in await pool.fetch("select body from history.warnings")]
    assert {(str(one.id), one.rev): one for one in kept} == revisions
    now = await pool.fetch("select rev, open from history.warnings_now")
    assert [(row["rev"], row["open"]) for row in now] == [(ROUNDS, True)] * 5
    assert {event["event"] for event in last.events()} & {"crashed", "undecodable_record"} <= {"undecodable_record"}
    assert last.problems() == []
    assert last.stop() == 0
