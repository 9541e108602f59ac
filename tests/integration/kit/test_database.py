"""A database that goes away and comes back."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from services.kit import database as kit_database
from services.kit.clock import SystemClock
from services.kit.errors import Unavailable
from services.kit.health import Health
from tests.integration.parts import eventually, gate_to


async def test_a_pool_waits_for_its_server(database: str):
    async with gate_to(database) as (gate, through):
        await gate.shut()
        opening = asyncio.create_task(kit_database.open_pool(through))
        await asyncio.sleep(0.3)
        assert not opening.done()
        await gate.open()
        pool = await asyncio.wait_for(opening, 20)
        assert await pool.fetchval("select 1") == 1
        pool.terminate()


async def test_a_transaction_is_run_again_until_the_server_is_back_and_the_check_says_why(database: str):
    async with gate_to(database) as (gate, through):
        pool = await kit_database.open_pool(through)
        await pool.execute("create table if not exists kept (n int)")
        health = Health(SystemClock())
        check = health.check("writing", max_age=60)
        inside = asyncio.Event()

        async def write() -> int:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("insert into kept values (1)")
                if not inside.is_set():
                    inside.set()
                    await gate.shut()
                return int(await connection.fetchval("select count(*) from kept"))

        writing = asyncio.create_task(kit_database.retrying(write, what="write", check=check))
        await inside.wait()

        async def told() -> bool:
            return any("cannot write" in problem for problem in health.unready())

        await eventually(told, "the check to fail")
        await gate.open()
        assert await asyncio.wait_for(writing, 20) == 1, "what was cut off left nothing"
        pool.terminate()


async def test_a_mistake_of_ours_is_not_tried_again(pool: asyncpg.Pool):
    with pytest.raises(asyncpg.UndefinedTableError):
        await kit_database.retrying(lambda: pool.execute("select * from no_such_table"), what="err")


async def test_a_server_that_is_back_and_refuses_is_back(pool: asyncpg.Pool):
    """As when the connection was cut, and meanwhile another has become the owner of what was to be written."""
    health = Health(SystemClock())
    check = health.check("writing", max_age=60)
    check.ok()
    failing: list[str] = []

    async def write() -> None:
        if not failing:
            failing.append("cut off")
            raise asyncpg.InterfaceError("the underlying connection is closed")
        failing.extend(health.unready())
        await pool.execute("select * from no_such_table")

    with pytest.raises(asyncpg.UndefinedTableError):
        await kit_database.retrying(write, what="write", check=check)
    assert len(failing) == 2
    assert health.unready() == []


async def test_a_request_is_told_soon(database: str):
    async with gate_to(database) as (gate, through):
        pool = await kit_database.open_pool(through)
        assert await kit_database.once(lambda: pool.fetchval("select 1"), what="ask") == 1
        await gate.shut()
        with pytest.raises(Unavailable, match="cannot ask"):
            await kit_database.once(lambda: pool.fetchval("select 1"), what="ask")
        pool.terminate()


async def test_the_watch_tells_of_an_outage_and_of_its_end(database: str, monkeypatch: pytest.MonkeyPatch):
    async with gate_to(database) as (gate, through):
        pool = await kit_database.open_pool(through)
        health = Health(SystemClock())
        watching = asyncio.create_task(kit_database.watch(pool, health.check("database", max_age=10)))

        async def well() -> bool:
            return not health.unready()

        async def ill() -> bool:
            return any("PostgreSQL does not answer" in problem for problem in health.unready())

        await eventually(well, "the first answer")
        await gate.shut()
        await eventually(ill, "the outage")
        await gate.open()
        await eventually(well, "the end of the outage")
        watching.cancel()
        pool.terminate()


async def test_a_session_takes_the_role_that_it_is_given(database: str):
    pool = await kit_database.open_pool(database, role="tongguan_reader")
    assert await pool.fetchval("select current_user") == "tongguan_reader"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("select * from ingest.sensors")
    pool.terminate()
