"""A thousand sensors, two hundred open warnings and five hundred new values a second: what it takes to show them. The figures are printed."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from playwright.async_api import Response, Route, expect

from schemas.tiers import TIERS
from tests.browser.conftest import Opener
from tests.browser.frames import FLOW, PRESSURE, sensor, value, warning
from tests.browser.looking import loaded, mapped, rows
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENSORS, WARNINGS, VALUES_A_SECOND, SECONDS = 1000, 200, 500, 5
JAVASCRIPT_BYTES = 400_000
LONG_MS = 100

MEASURE = """() => {
  window.tasks = [];
  window.draws = 0;
  const all = { subtree: true, childList: true, characterData: true };
  new MutationObserver(() => { window.draws += 1; }).observe(document.querySelector('.lines'), all);
  new PerformanceObserver((list) => { for (const task of list.getEntries()) window.tasks.push(task.duration); })
    .observe({ type: 'longtask' });
}"""


def fill(stage: Stage) -> None:
    now = stage.now()
    stage.sensors = [sensor(f"s-{at}", zh=f"{at} 号测点", flow=FLOW, pressure=PRESSURE) for at in range(SENSORS)]
    stage.values = [value(at, now, sensor=f"s-{at}", metric=metric) for at in range(SENSORS) for metric in ("flow", "pressure")]
    stage.warnings = [warning(at, now, tier=TIERS[at % 3], sensor=f"s-{at}") for at in range(WARNINGS)]


async def stream(stage: Stage) -> int:
    """Send new values for some seconds, and with each batch a change of a warning; returns how many values were sent."""
    sent, step = 0, 20
    began = stage.now()
    for _ in range(SECONDS * step):
        batch = [value(sent + at, stage.now(), sensor=f"s-{(sent + at) % SENSORS}") for at in range(VALUES_A_SECOND // step)]
        sent += len(batch)
        stage.send(values=batch, warnings=[warning(sent % WARNINGS, began, rev=sent, tier=TIERS[sent % 3], sensor=f"s-{sent % WARNINGS}")])
        await asyncio.sleep(1 / step)
    return sent


@pytest.mark.alone
async def test_thousand_sensors_and_two_hundred_warnings(stage: Stage, open_page: Opener) -> None:
    fill(stage)
    async with open_page(stage.at()) as page:
        await loaded(page)
        await expect(page.locator("#warnings-title output")).to_have_text(str(WARNINGS))
        await expect(page.locator("#values-title output")).to_have_text(str(SENSORS))
        assert await rows(page).count() < WARNINGS, "only rows near the screen are rendered"
        await mapped(page)
        await page.wait_for_timeout(1000)
        await page.evaluate(MEASURE)
        sent = await stream(stage)
        draws, tasks = await page.evaluate("[window.draws, window.tasks]")
        slow = sum(task > LONG_MS for task in tasks)
        told = f"{draws / SECONDS:.1f} draws a second, longest task {max(tasks, default=0):.0f} ms, {slow} over {LONG_MS} ms"
        print(f"{sent / SECONDS:.0f} values/s on {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f}: {told}")
        assert 0 < draws <= 4 * (SECONDS + 2), "values are shown in batches, four times a second at most"
        await page.locator("[name=find]").fill("s-499")
        await expect(page.locator(".lines .value").first).to_have_text(f"{sent - 1:,}")


async def test_first_view_needs_little(stage: Stage, open_page: Opener) -> None:
    fill(stage)
    shown = asyncio.Event()

    async def hold(route: Route) -> None:
        """Keep the map back, which comes after the first view and is not weighed."""
        await shown.wait()
        await route.continue_()

    async with open_page(f"{stage.url}/#/nothing") as page:
        await page.route("**/assets/RegionMap*", hold)
        scripts: list[Response] = []
        page.on("response", lambda response: scripts.append(response) if response.url.endswith(".js") else None)
        began = time.monotonic()
        await page.goto("about:blank")
        await page.goto(stage.at())
        await rows(page).first.wait_for()
        took = time.monotonic() - began
        weight = sum([len(await script.body()) for script in list(scripts)])
        shown.set()
        print(f"first view of {SENSORS} sensors after {1000 * took:.0f} ms, with {weight / 1000:.0f} kB of JavaScript")
        assert 0 < weight < JAVASCRIPT_BYTES
