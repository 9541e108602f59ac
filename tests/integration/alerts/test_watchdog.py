"""The watchdog tells the duty lead when the platform is silent, by itself: as a process, and as what that process runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
import yaml

from services.alerts.domain.watching import PARTS
from services.alerts.pulse import EVERY_S, Pulse
from services.alerts.settings import WatchingSettings
from services.alerts.watchdog import serve
from services.kit import migrations
from services.kit.database import TRANSIENT
from tests.integration.conftest import quiet
from tests.integration.parts import Servers, Service, eventually, gate_to
from tests.integration.rooms import write_city
from tests.takers import Fault, Taken, Takers

Watchdog = Callable[..., Service]
Lines = list[MutableMapping[str, Any]]
PHONE, MAILBOX, CHEN = "13812345678", "wang@example.org", "13700000000"
TICK = "insert into ingest.ticks (ticked_at) values (clock_timestamp()) on conflict (one) do update set ticked_at = excluded.ticked_at"
BEAT = """
insert into alerts.pulse (part, at) select part, clock_timestamp() from unnest($1::text[]) part on conflict (part) do update set at = excluded.at
"""


@pytest.fixture(name="database", scope="module")
def own_database(servers: Servers) -> Iterator[str]:
    with servers.database() as dsn:
        migrations.migrate(dsn, quiet)
        yield dsn


@pytest.fixture(scope="module")
def takers() -> Iterator[Takers]:
    with Takers() as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(takers: Takers) -> None:
    takers.clear()


@pytest.fixture
def environment(tmp_path: Path, takers: Takers, database: str) -> dict[str, str]:
    """The settings of one that is quick."""
    city = write_city(tmp_path / "city")
    root = next(one["code"] for one in yaml.safe_load((city / "regions.yaml").read_text()) if one["level"] == "city")
    policy = {
        "routes": {"id": "all", "group_by": ["warning"], "wait": 0, "interval": 60, "escalation": "screens"},
        "escalations": [{"id": "screens", "plans": {"red": {"steps": [{"after": 0, "tell": [{"screen": "city"}]}]}}}],
        "people": [{"id": one, "name": {"zh": one, "en": one}} for one in ("wang", "li", "chen")],
        "teams": [{"id": "lead", "name": {"zh": "值班长", "en": "Lead"}, "region": root, "role": "lead", "always": ["wang"]}],
        "channels": [
            {
                "id": "sms",
                "name": {"zh": "短信", "en": "SMS"},
                "kind": "http",
                "timeout": 5,
                "request": {
                    "url": f"{takers.url}/sms",
                    "json_body": {"to": "{{ address }}", "text": "{{ text }}", "key": "{{ key }}"},
                    "answered": {"path": ["code"], "equals": ["OK"]},
                    "key": True,
                },
            },
            {
                "id": "mail",
                "name": {"zh": "邮件", "en": "mail"},
                "kind": "apprise",
                "timeout": 5,
                "url": f"mailto://127.0.0.1:{takers.smtp_port}?mode=insecure&from=tongguan@example.org&to={{{{ address }}}}",
            },
        ],
        "lead": "lead",
        "lead_channels": ["sms", "mail"],
    }
    (city / "alerting.yaml").write_text(yaml.safe_dump(policy, allow_unicode=True))
    contacts = tmp_path / "contacts.yaml"
    contacts.write_text(yaml.safe_dump({"people": {"wang": {"sms": PHONE, "mail": MAILBOX}, "li": {"sms": "13900000000"}, "chen": {"sms": CHEN}}}))
    contacts.chmod(0o600)

    return {
        "TONGGUAN_DATABASE": database,
        "TONGGUAN_KAFKA": "127.0.0.1:1",
        "TONGGUAN_CITY": str(city),
        "TONGGUAN_ALERTS__CONTACTS": str(contacts),
        "TONGGUAN_WATCHDOG__SILENCE_S": "1.5",
        "TONGGUAN_WATCHDOG__LOOK_S": "0.1",
        "TONGGUAN_WATCHDOG__CALM_S": "0.3",
        "TONGGUAN_WATCHDOG__STATE": str(tmp_path / "watchdog.json"),
    }


@pytest.fixture
def watchdog(start: Callable[..., Service], environment: dict[str, str]) -> Watchdog:
    """Start one as a process."""
    return lambda **told: start("watchdog", **environment | told)


@pytest.fixture
def within(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractAsyncContextManager[Lines]]:
    """Run one in here; yields what it logs. On leaving it is cut off, as by a kill."""

    @asynccontextmanager
    async def running(**told: str) -> AsyncIterator[Lines]:
        for name, value in (environment | {"TONGGUAN_WATCHDOG__ADMIN_PORT": "0"} | told).items():
            monkeypatch.setenv(name, value)
        with structlog.testing.capture_logs() as lines:
            task = asyncio.create_task(serve(WatchingSettings(), asyncio.Event()))
            try:
                yield lines
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    return running


class Ticks:
    """Ingest's word each tenth of a second that time goes on, and that of the parts of alerts that they work, while they are let."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.go = True
        self.works = list(PARTS)

    async def run(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            while True:
                if self.go:
                    await connection.execute(TICK)
                await connection.execute(BEAT, self.works)
                await asyncio.sleep(0.1)
        finally:
            connection.terminate()


@pytest.fixture
async def ticks(database: str) -> AsyncIterator[Ticks]:
    ticking = Ticks(database)
    task = asyncio.create_task(ticking.run())
    yield ticking
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Slow:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def pass_(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


async def told(takers: Takers, count: int, channel: str = "sms") -> list[Taken]:
    async def there() -> bool:
        return len(takers.taken_by(channel)) >= count

    await eventually(there, f"{count} messages by {channel}")
    return takers.taken_by(channel)


async def remembered(file: Path, done: set[str]) -> None:
    """Wait until the state says who has it: whoever is cut off before that tells it again, and says that it may be a repetition."""

    async def there() -> bool:
        return set(json.loads(file.read_text())["news"]["done"]) == done

    await eventually(there, f"{done} in the state")


async def verdict(lines: Callable[[], Lines], which: str) -> None:
    async def there() -> bool:
        return any(one.get("verdict") == which for one in lines() if one["event"] == "verdict")

    await eventually(there, which)


async def is_well(lines: Lines) -> None:
    await verdict(lambda: lines, "well")


async def test_ticks_that_stop_are_told_once_and_so_is_that_they_go_on(watchdog: Watchdog, ticks: Ticks, takers: Takers):
    service = watchdog()
    await service.ready()
    await verdict(lambda: list(service.events()), "well")
    ticks.go = False
    (first,) = await told(takers, 1)
    assert first.address == PHONE
    assert "停止运转" in first.text
    assert [one.address for one in await told(takers, 1, "mail")] == [MAILBOX]
    assert service.metric("tongguan_watchdog_outage") == 1
    ticks.go = True
    assert "已恢复运转" in (await told(takers, 2))[1].text
    assert [one.title for one in await told(takers, 2, "mail")] == ["【平台告警】试验市", "【平台恢复】试验市"]
    assert len(takers.taken) == 4
    assert PHONE not in service.log
    assert MAILBOX not in service.log


async def test_a_database_that_is_away_is_told(within, ticks: Ticks, takers: Takers, database: str):
    async with gate_to(database) as (gate, dsn), within(TONGGUAN_DATABASE=dsn) as lines:
        await is_well(lines)
        await gate.shut()
        assert "数据库没有应答" in (await told(takers, 1))[0].text
        await gate.open()
        assert "已恢复运转" in (await told(takers, 2))[1].text


async def test_alerts_that_leaves_its_timers_waiting_is_told(within, ticks: Ticks, takers: Takers, pool: asyncpg.Pool):
    async with within() as lines:
        await is_well(lines)
        await pool.execute(
            "insert into alerts.alerts (id, key, route, escalation, region, origin, opened_at, due_at, hold_until)"
            " values (gen_random_uuid(), 'k', 'r', 'e', '99', 'real', now(), now() - interval '1 minute', now())"
        )
        try:
            assert "告警服务没有按时处理" in (await told(takers, 1))[0].text
        finally:
            await pool.execute("delete from alerts.alerts")
        assert "已恢复运转" in (await told(takers, 2))[1].text


async def test_something_to_send_that_nobody_takes_is_told(within, ticks: Ticks, takers: Takers, pool: asyncpg.Pool):
    lane = """
    insert into alerts.lanes (lane, channel, due_at, tokens, tokens_at, leased_until)
    values ($1, 'sms', now() - $2::interval, 0, now(), now() + $3::interval)
    """
    late = timedelta(seconds=70)
    async with within() as lines:
        await is_well(lines)
        await pool.execute(lane, "taken", late, timedelta(hours=1))
        await pool.execute(lane, "soon", timedelta(seconds=20), None)
        await asyncio.sleep(2)  # longer than the silence that is told
        assert takers.taken == []
        await pool.execute(lane, "left", late, None)
        try:
            assert "告警服务没有按时处理" in (await told(takers, 1))[0].text
        finally:
            await pool.execute("delete from alerts.lanes")


@pytest.mark.parametrize("dead", [["worker"], list(PARTS)], ids=",".join)
async def test_a_part_of_alerts_that_does_nothing_is_told_though_nothing_is_due_and_so_is_its_return(within, ticks: Ticks, takers: Takers, dead):
    async with within() as lines:
        await is_well(lines)
        ticks.works = [part for part in PARTS if part not in dead]
        assert "告警服务没有按时处理" in (await told(takers, 1))[0].text
        ticks.works = list(PARTS)
        assert "已恢复运转" in (await told(takers, 2))[1].text


async def test_alerts_that_has_never_started_is_told(within, ticks: Ticks, takers: Takers, pool: asyncpg.Pool):
    ticks.works = []
    await pool.execute("delete from alerts.pulse")
    async with within() as lines:
        assert "告警服务没有按时处理" in (await told(takers, 1))[0].text
        assert not [one for one in lines if one.get("verdict") == "well"], "nobody elsewhere hears that all is well"


async def test_a_part_of_alerts_says_that_it_works_at_most_every_few_seconds(pool: asyncpg.Pool):
    clock, other = Slow(), Slow()
    pulse = Pulse(pool, clock)
    await pool.execute("delete from alerts.pulse")

    async def beats() -> dict[str, datetime]:
        return {row["part"]: row["at"] for row in await pool.fetch("select part, at from alerts.pulse")}

    first = clock.at
    await pulse.beat("desk")
    clock.pass_(EVERY_S - 1)
    await pulse.beat("desk")
    await pulse.beat("worker")
    assert await beats() == {"desk": first, "worker": clock.at}
    clock.pass_(1)
    await pulse.beat("desk")
    assert (await beats())["desk"] == clock.at
    other.pass_(100)
    await Pulse(pool, other).beat("desk")
    assert (await beats())["desk"] == other.at, "either of two processes does"


async def test_a_part_that_could_not_say_that_it_works_says_so_at_once_when_it_can(database: str, pool: asyncpg.Pool):
    async with gate_to(database) as (gate, dsn), asyncpg.create_pool(dsn, min_size=1, max_size=1, timeout=5) as through:
        clock = Slow()
        pulse = Pulse(through, clock)
        await gate.shut()
        with pytest.raises(TRANSIENT):
            await pulse.beat("desk")
        await gate.open()
        await pulse.beat("desk")
        assert await pool.fetchval("select at from alerts.pulse where part = 'desk'") == clock.at


async def test_a_restart_tells_nobody_twice_and_tells_the_end(within, ticks: Ticks, takers: Takers, tmp_path: Path):
    async with within() as lines:
        await is_well(lines)
        ticks.go = False
        await told(takers, 1)
        await told(takers, 1, "mail")
        await remembered(tmp_path / "watchdog.json", {"wang/sms", "wang/mail"})
    async with within() as lines:
        await verdict(lambda: lines, "goes_on")
        ticks.go = True
        for channel in ("sms", "mail"):
            assert [("已恢复运转" in one.text) for one in await told(takers, 2, channel)] == [False, True]


async def test_what_failed_is_tried_again_and_a_way_that_fails_keeps_no_other_waiting(within, ticks: Ticks, takers: Takers):
    takers.faults["sms"] = Fault.FAIL
    async with within() as lines:
        await is_well(lines)
        ticks.go = False
        await told(takers, 1, "mail")
        del takers.faults["sms"]
        await told(takers, 1)


async def test_it_is_told_again_while_it_lasts(within, ticks: Ticks, takers: Takers):
    ticks.go = False
    async with within(TONGGUAN_WATCHDOG__REPEAT="PT1S"):
        assert len({one.key for one in await told(takers, 3)}) == 3


async def test_of_two_who_were_to_stand_in_the_one_that_was_said_last_is_told(within, ticks: Ticks, takers: Takers, pool: asyncpg.Pool):
    for person, said in (("chen", 1), ("li", 2)):  # the last word stands first in the table
        await pool.execute(
            "insert into alerts.overrides (id, team, person, instead_of, since, until, body) values (gen_random_uuid(), 'lead', $1, 'wang',"
            " now() - interval '1 hour', now() + interval '1 hour', jsonb_build_object('at', now() - $2::interval))",
            person,
            timedelta(minutes=said),
        )
    ticks.go = False
    try:
        async with within():
            assert [one.address for one in await told(takers, 1)] == [CHEN]
    finally:
        await pool.execute("delete from alerts.overrides")


async def test_who_stands_in_for_the_lead_is_told(within, ticks: Ticks, takers: Takers, pool: asyncpg.Pool):
    await pool.execute(
        "insert into alerts.overrides (id, team, person, instead_of, since, until, body)"
        " values (gen_random_uuid(), 'lead', 'li', 'wang', now() - interval '1 hour', now() + interval '1 hour', '{}')"
    )
    ticks.go = False
    try:
        async with within():
            assert [one.address for one in await told(takers, 1)] == ["13900000000"]
    finally:
        await pool.execute("delete from alerts.overrides")


async def test_the_monitor_elsewhere_is_called_only_while_all_is_well(within, ticks: Ticks, takers: Takers):
    heartbeat = {"TONGGUAN_WATCHDOG__HEARTBEAT_URL": f"{takers.url}/heartbeat/s3cret", "TONGGUAN_WATCHDOG__HEARTBEAT_S": "0.05"}

    async def called(more_than: int) -> bool:
        return takers.tries["heartbeat"] > more_than

    async with within(**heartbeat) as lines:
        await eventually(lambda: called(3), "heartbeats")
        ticks.go = False
        await told(takers, 1)
        before = takers.tries["heartbeat"]
        await told(takers, 1, "mail")
        await asyncio.sleep(0.5)  # ten of them would have come
        assert takers.tries["heartbeat"] == before
        ticks.go = True
        await eventually(lambda: called(before), "heartbeats again")
        takers.faults["heartbeat"] = Fault.FAIL
        await eventually(lambda: _logged(lines, "heartbeat_failed"), "a failure to be told")
    assert "s3cret" not in str(lines)


async def _logged(lines: Lines, event: str) -> bool:
    return any(one["event"] == event for one in lines)


async def test_it_starts_and_works_with_neither_kafka_nor_a_database_and_ends_at_once(watchdog: Watchdog, takers: Takers):
    service = watchdog(TONGGUAN_DATABASE="postgresql://tongguan:p4ssword@127.0.0.1:1/tongguan")
    await service.ready()
    assert service.problems("/livez") == []
    assert "数据库没有应答" in (await told(takers, 1))[0].text
    takers.faults["mail"] = Fault.HANG
    assert service.stop() == 0
    assert "p4ssword" not in service.log
