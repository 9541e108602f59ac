"""Alerts as a process, killed with -9: what it was to tell is told once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from schemas.notification import Notification
from services.kit.producer import Producer
from services.kit.topics import NOTIFICATIONS
from tests.integration.alerts.rooms import red
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import publish_warnings, write_city
from tests.takers import Takers
from tests.unit.alerts.policies import WIDE, alerting
from tests.unit.gateway.city import STREETS, warning

PHONE = "13800000001"
Start = Callable[[], Service]


@pytest.fixture(scope="module")
def takers() -> Iterator[Takers]:
    with Takers() as started:
        yield started


@pytest.fixture
def run(servers: Servers, database: str, start: Callable[..., Service], takers: Takers, tmp_path: Path) -> Start:
    """Start alerts, again and again, by a policy that gathers for two seconds and sends red to a phone."""
    takers.clear()
    city, contacts = write_city(tmp_path / "city"), tmp_path / "contacts.yaml"
    (city / "alerting.yaml").write_text(yaml.safe_dump(policy(takers), allow_unicode=True))
    contacts.write_text(yaml.safe_dump({"people": {"li": {"sms": PHONE}}}))
    contacts.chmod(0o600)
    told = {"TONGGUAN_KAFKA": servers.kafka, "TONGGUAN_DATABASE": database, "TONGGUAN_CITY": str(city), "TONGGUAN_ALERTS__CONTACTS": str(contacts)}
    return lambda: start("alerts", **told)


def policy(takers: Takers) -> Any:
    request = {
        "url": f"{takers.url}/sms/send",
        "json_body": {"to": "{{ address }}", "text": "{{ text }}", "key": "{{ key }}"},
        "answered": {"path": ["code"], "equals": ["OK"]},
        "key": True,
    }
    steps = [{"after": 0, "tell": [{"screen": "street"}, {"team": "street-field"}], "channels": ["sms"]}]
    made = alerting(
        routes={
            "id": "all",
            "group_by": ["subject"],
            "wait": 2,
            "interval": 600,
            "escalation": "standard",
            "routes": [{"id": "red", "match": {"tiers": ["red"]}, "urgent": "red"}],
        },
        escalations=[
            {
                "id": "standard",
                "plans": {
                    "red": {"steps": steps, "repeat": 7200},
                    "blue": {"steps": [{"after": 0, "tell": [{"screen": "street"}]}], "answer": False},
                },
            }
        ],
        channels=[{"id": "sms", "name": WIDE, "kind": "http", "request": request, "flood": {"most": 10_000, "per": 60}}],
        lead_channels=[],
    )
    return made.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


async def test_the_case_of_alertmanager_killed_within_its_group_wait_loses_none_of_5000(
    run: Start, pool: asyncpg.Pool, producer: Producer, servers: Servers
):
    """Alertmanager 0.34.2, without resending, loses 5,000 of 5,000."""
    tape = await Tape.of(servers.kafka, NOTIFICATIONS)
    first = run()
    await first.ready()
    await publish_warnings(producer, [warning(number, street=STREETS[number % 3], subject=f"a{number}/flow") for number in range(1, 5_001)])
    await eventually(lambda: some(pool, "alerts.alerts", 1_000), "alerts that are gathered")
    first.kill()
    last = run()
    await eventually(lambda: some(pool, "alerts.notifications", 5_000), "all notifications")
    await eventually(lambda: none(pool, "alerts.outbox"), "the outbox")
    told = Counter(Notification.model_validate_json(record.value or b"").warning.int for record in await tape.records())
    assert told == dict.fromkeys(range(1, 5_001), 1)
    assert last.stop() == 0


async def test_the_case_of_alertmanager_killed_after_notifying_sends_none_of_200_again(
    run: Start, pool: asyncpg.Pool, producer: Producer, takers: Takers
):
    """Alertmanager 0.34.2 with its default snapshot sends 200 duplicates."""
    first = run()
    await first.ready()
    await publish_warnings(producer, [red(number, street=STREETS[number % 3]) for number in range(10_001, 10_201)])
    await eventually(lambda: taken(takers, 200), "200 messages")
    first.kill()
    last = run()
    await last.ready()
    await asyncio.sleep(3)
    assert len(takers.taken_by("sms")) == 200
    assert last.stop() == 0


async def test_killed_at_random_it_sends_each_red_warning_once(run: Start, pool: asyncpg.Pool, producer: Producer, takers: Takers):
    dice = random.Random(11)
    service = run()
    await service.ready()
    numbers = range(20_001, 20_181)
    for chunk in range(6):
        await publish_warnings(producer, [red(number, street=STREETS[number % 3]) for number in numbers[chunk * 30 : chunk * 30 + 30]])
        await asyncio.sleep(dice.uniform(0.2, 1.5))
        if chunk % 2:
            service.kill()
            service = run()
    await eventually(lambda: delivered(pool, 180), "all of them delivered", 90)
    assert service.stop() == 0
    keys = Counter(one.key for one in takers.taken_by("sms"))
    assert set(keys.values()) == {1}
    rows = await pool.fetch("select body from alerts.notifications where channel = 'sms' and (body ->> 'told_at') is not null")
    told = Counter(Notification.model_validate_json(row["body"]).warning.int for row in rows)
    assert {number: told[number] for number in numbers} == dict.fromkeys(numbers, 1)


async def some(pool: asyncpg.Pool, table: str, least: int) -> bool:
    return int(await pool.fetchval(f"select count(*) from {table}")) >= least


async def none(pool: asyncpg.Pool, table: str) -> bool:
    return not await pool.fetchval(f"select count(*) from {table}")


async def taken(takers: Takers, count: int) -> bool:
    return len(takers.taken_by("sms")) >= count


async def delivered(pool: asyncpg.Pool, count: int) -> bool:
    found = await pool.fetchval(
        "select count(*) from alerts.notifications where channel = 'sms' and state = 'delivered' and warning >= $1",
        "00000000-0000-0000-0000-000000004e20",
    )
    return int(found) >= count
