"""The page on the real platform: a department publishes by HTTP, and the warning arrives on an open page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx
import pytest
import yaml
from playwright.async_api import Page, expect

from schemas.base import Origin
from schemas.observation import Measurement
from schemas.rule import Threshold
from schemas.sensor import Sensor
from schemas.tiers import Tier
from tests.browser.conftest import Opener
from tests.browser.frames import clock

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITY = Path(__file__).parents[2] / "cities" / "620100"
DISTRICT = "620102"
GAS_RULE, GAS_SENSOR = "sewage-well-gas", "lz-sewage-well-01"
REPLAY_MS = 150_000
"""The replayed feed starts so that its first warning comes within about a minute of `up`; starting and a busy machine are allowed for."""


class Platform(Protocol):
    """What these tests ask of the fixture `platform`: all services and the replayed feed, ready."""

    gateway_url: str
    ingest_url: str
    tokens: dict[str, str]
    keys: dict[str, str]


def _rule(name: str) -> Threshold:
    return Threshold.model_validate(yaml.safe_load((CITY / "rules" / f"{name}.yaml").read_text()))


def _sensor(name: str) -> Sensor:
    sensors = [Sensor.model_validate(item) for item in yaml.safe_load((CITY / "sensors.yaml").read_text())]
    return next(sensor for sensor in sensors if sensor.id == name)


async def _publish(platform: Platform, sensor: Sensor, metric: str, number: float) -> None:
    now = clock()
    event = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "type": "cn.tongguan.observation.v1",
        "source": f"/departments/{sensor.department}/test",
        "time": now.isoformat(),
        "data": Measurement(sensor=sensor.id, values={metric: number}, end=now, origin=Origin.EXERCISE).model_dump(mode="json", exclude_none=True),
    }
    headers = {"Authorization": f"Bearer {platform.keys[sensor.department]}", "Content-Type": "application/cloudevents+json"}
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.post(f"{platform.ingest_url}/v1/events", json=event, headers=headers)
    assert answer.is_success, answer.text


async def _live(page: Page) -> None:
    await expect(page.locator("#pulse")).to_have_attribute("data-state", "live", timeout=15_000)
    await expect(page.locator("#services [data-state=ok]")).to_have_count(5, timeout=15_000)
    await page.evaluate("window.same = true")


async def test_published_readings_raise_a_warning_on_the_open_page(platform: Platform, open_page: Opener) -> None:
    rule, sensor = _rule(GAS_RULE), _sensor(GAS_SENSOR)
    yellow, red = rule.tiers[Tier.YELLOW].up, rule.tiers[Tier.RED].up
    metric = rule.applies.metric
    async with open_page(f"{platform.gateway_url}/#token={platform.tokens[DISTRICT]}&region={DISTRICT}") as page:
        await _live(page)
        row = page.locator("#open > li", has_text=rule.name.zh)
        for tier, way in (("yellow", yellow), ("red", red)):
            for _ in range(way.readings):
                await _publish(platform, sensor, metric, way.limit + 0.5)
            published = time.monotonic()
            await expect(row).to_have_attribute("data-tier", tier)
            print(f"{tier}: on the page {1000 * (time.monotonic() - published):.0f} ms after ingest's answer")
        await expect(row).to_contain_text(sensor.name.zh)
        await expect(row.locator(".origin")).to_have_text("演练")
        await expect(row.locator(".limit")).to_contain_text("≥ 50")
        card = page.locator(f'#sensors > [data-sensor="{sensor.id}"]')
        await expect(card).to_have_attribute("data-tier", "red")
        await expect(card).to_contain_text(f"{red.limit + 0.5:g}")
        assert await page.evaluate("window.same")


async def test_replayed_pipe_raises_a_warning_on_the_open_page(platform: Platform, open_page: Opener) -> None:
    async with open_page(f"{platform.gateway_url}/#token={platform.tokens[DISTRICT]}&region={DISTRICT}") as page:
        await _live(page)
        row = page.locator("#open > li", has_text=_rule("water-pipe-low-flow").name.zh)
        await expect(row).to_be_visible(timeout=REPLAY_MS)
        await expect(row.locator(".origin")).to_have_text("回放")
        assert await page.evaluate("window.same")
