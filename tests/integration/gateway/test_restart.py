"""The gateway's start and end: sessions are told to come back, and what they find then is right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest

from schemas.action import WarningActions
from services.history.store import Store as History
from services.kit.producer import Producer
from services.kit.topics import WARNINGS
from tests.integration.gateway.session import closed_with, connected, session
from tests.integration.gateway.told import keep_warning
from tests.integration.parts import Servers, Service, eventually
from tests.integration.rooms import all_partitions, partition_for, publish_records, publish_warnings, write_city, write_secrets
from tests.unit.gateway.city import CITY, NOW, STREET, name, observation, warning


@pytest.fixture
def run(servers: Servers, database: str, tmp_path: Path, start: Callable[..., Service]) -> Callable[[], Service]:
    city, secrets = write_city(tmp_path / "city"), write_secrets(tmp_path / "secrets.json")
    own = {"TONGGUAN_CITY": str(city), "TONGGUAN_SECRETS": str(secrets), "TONGGUAN_KAFKA": servers.kafka, "TONGGUAN_DATABASE": database}
    return lambda: start("gateway", **own)


async def test_a_stopped_gateway_says_come_back_and_its_successor_knows_all(run: Callable[[], Service], producer: Producer):
    first = run()
    await first.ready()
    async with session(first, STREET) as one, connected(first) as silent:
        await publish_warnings(producer, [warning(1), warning(2)])
        await publish_records(producer, partition_for(STREET), [observation(flow=1.0)])
        await one.until(lambda one: len(one.open) == 2 and one.values, "two warnings and a value")
        stopping = asyncio.create_task(asyncio.to_thread(first.stop))
        assert await closed_with(one.socket) == 1012
        assert await closed_with(silent) == 1012
        assert await stopping == 0
    await publish_warnings(producer, [warning(1, 2, tier="red"), warning(2, 2, state="cleared"), warning(3)])
    await publish_records(producer, partition_for(STREET), [observation(seconds=5, flow=2.0), b"no record"])
    second = run()
    await second.ready()
    async with session(second, CITY) as one:
        assert {key.int: each.rev for key, each in one.open.items()} == {1: 2, 3: 1}
        assert [each.value for each in one.values.values()] == [2.0]
        await publish_warnings(producer, [warning(3, 2, state="cleared")])
        await one.until(lambda one: UUID(int=3) not in one.open, "its end")
    second.kill()


async def test_a_successor_counts_as_unanswered_what_rose_since_it_was_acknowledged(run: Callable[[], Service], pool: asyncpg.Pool):
    """Although history tells it of the newest revision alone, which is a later one."""
    newest = [warning(number, 3, tier="red", change="revised") for number in (21, 22)]
    history = History(pool)
    await history.commit(await history.take(all_partitions(WARNINGS)), {}, [], newest)
    for one, rose in zip(newest, (2, 1), strict=True):
        await keep_warning(pool, one, "text")
        await pool.execute("update alerts.warnings set raised_rev = $2 where id = $1", one.id, rose)
        seen = {"by": {"id": "li", "name": name("li")}, "at": NOW, "seen_rev": 1, "tier": "red"}
        done = {"warning": one.id, "rev": 1, "street": STREET, "department": "d", "command": one.id, "acknowledged": seen}
        body = WarningActions.model_validate(done).model_dump_json()
        await pool.execute("insert into alerts.actions values ($1, 1, $2, 'd', $3)", one.id, STREET, body)
    service = run()
    await service.ready()
    async with httpx.AsyncClient(base_url=service.url, timeout=20, headers={"Authorization": "Bearer tgr_street"}) as desk:
        assert (await desk.post(f"/v1/regions/{STREET}/handovers", json={"note": ""})).status_code == 202
    entry = json.loads(await pool.fetchval("select body from gateway.audit where body ->> 'action' = 'desk.hand_over'"))
    assert int(entry["detail"]["open"]) - int(entry["detail"]["unanswered"]) == 1
    service.kill()


async def test_it_ends_when_asked_while_it_waits_for_history(run: Callable[[], Service], pool: asyncpg.Pool):
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table history.warnings_now in access exclusive mode")
        service = run()

        async def waits() -> bool:
            blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%open_warnings%'"
            return bool(await pool.fetchval(blocked))

        await eventually(waits, "it to read history")
        problems = service.problems() or []
        assert any(problem.startswith("view:") for problem in problems)
        assert await asyncio.to_thread(service.stop) == 0
    assert service.events("crashed") == []
