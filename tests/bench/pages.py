"""The city's page under load, in a real browser: `./tongguan bench pages [--sensors N] [--warnings N] [--changes N] [--seconds S]`.

Starts everything with a made-up city, opens its warnings, signs in, and goes on publishing value changes. It tells how long it took until the
signed-in page showed its first warnings, how much JavaScript was loaded for that (the map's comes later), and the longest task of the browser's main
thread after the page had settled. One JSON line comes last; the exit code is 1 when the page did not show what is true.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from services.cli.browser import find_or_get
from tests.load import CITY, METRICS, Publisher, write_city
from tests.running import Running

LONGEST_TASK_MS, FIRST_VIEW_MS, SCRIPT_KB = 100, 2_000, 400
"""The limits beside which the figures stand."""
SETTLE_S = 10.0
"""For the map to load and be drawn: by software here, on the cores that also run the platform."""
NEVER = 1 << 60
BROWSER = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking"]
WATCH = """
  window.tasks = [];
  new PerformanceObserver((list) => { for (const task of list.getEntries()) window.tasks.push([task.startTime, task.duration]); })
    .observe({ type: 'longtask', buffered: true });
"""
FIRST = """
  () => new Promise((resolve) => {
    const look = () => (document.querySelector('.row[data-tier]') ? resolve(performance.now()) : requestAnimationFrame(look));
    look();
  })
"""
SCRIPTS = """
  () => performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('.js'))
    .map((entry) => [entry.startTime, entry.decodedBodySize, entry.name.split('/').pop()])
"""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; `argv` is what follows `bench pages`."""
    parser = argparse.ArgumentParser(prog="tongguan bench pages")
    parser.add_argument("--sensors", type=int, default=1_000)
    parser.add_argument("--warnings", type=int, default=200)
    parser.add_argument("--changes", type=float, default=500, help="value changes a second")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args(argv)
    executable = find_or_get(lambda text: print(text, flush=True))
    with tempfile.TemporaryDirectory(prefix="tongguan-bench-") as folder:
        city = Path(folder) / "city"
        write_city(city, options.sensors)
        print("starting the platform in a fresh folder …", flush=True)
        with Running(Path(folder), city=city).until_done() as running:
            result = asyncio.run(_measure(running, executable, options))
    print(json.dumps(result))
    return 0 if result["rows_told"] == options.warnings and result["live"] else 1


async def _measure(running: Running, executable: str, options: argparse.Namespace) -> dict[str, Any]:
    publisher = Publisher(running.ingest_url, running.keys["water"], options.sensors, exceeds_each=NEVER, always_over=options.warnings)
    rate = options.changes / len(METRICS)
    await publisher.run(options.sensors / 2, 2)
    print(f"{options.warnings} warnings are open; publishing {options.changes:g} value changes/s …", flush=True)
    publishing = asyncio.create_task(publisher.run(rate, NEVER))
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=executable, args=BROWSER)
            return await _seen(running, browser, options)
    finally:
        publisher.stop()
        await publishing


async def _seen(running: Running, browser: Browser, options: argparse.Namespace) -> dict[str, Any]:
    context = await browser.new_context(viewport={"width": 1920, "height": 1080}, locale="zh-CN", timezone_id="Asia/Shanghai")
    page = await context.new_page()
    await page.add_init_script(WATCH)
    await _sign_in(page, running)
    views = [await _first_view(page) for _ in range(5)]
    scripts: list[tuple[float, int, str]] = await page.evaluate(SCRIPTS)
    first = views[-1]
    await page.wait_for_selector(".pane.map canvas", timeout=60_000)
    await asyncio.sleep(SETTLE_S)
    since = await page.evaluate("performance.now()")
    print(f"first view after {first:.0f} ms; watching for {options.seconds:g} s …", flush=True)
    await asyncio.sleep(options.seconds)
    tasks: list[tuple[float, float]] = await page.evaluate("window.tasks")
    late = [duration for start, duration in tasks if start > since]
    before_map = [size for start, size, _ in scripts if start <= first]
    loaded: list[tuple[float, int, str]] = await page.evaluate(SCRIPTS)
    figures = {
        "first_view_ms": round(sorted(views)[len(views) // 2]),
        "first_view_worst_ms": round(max(views)),
        "script_kb_before_map": round(sum(before_map) / 1000, 1),
        "longest_task_ms": round(max(late, default=0.0)),
    }
    return {
        "bench": "pages",
        "sensors": options.sensors,
        "warnings": options.warnings,
        "changes_per_s": options.changes,
        "seconds": options.seconds,
        **figures,
        "first_view_ratio": round(figures["first_view_ms"] / FIRST_VIEW_MS, 2),
        "script_ratio": round(figures["script_kb_before_map"] / SCRIPT_KB, 2),
        "longest_task_ratio": round(figures["longest_task_ms"] / LONGEST_TASK_MS, 2),
        "long_tasks": len(late),
        "longest_task_while_loading_ms": round(max((duration for start, duration in tasks if start <= since), default=0.0)),
        "script_kb_in_all": round(sum(size for _, size, _ in loaded) / 1000, 1),
        "rows_told": await _told(page),
        "live": await page.locator(".pulse[data-state=live]").count() == 1,
        "cores": os.cpu_count(),
    }


async def _sign_in(page: Page, running: Running) -> None:
    await page.goto(running.gateway_url)
    await page.fill("input[name=user]", "watch")
    await page.fill("input[name=password]", running.users["watch"])
    await page.click("button[type=submit]")
    await page.wait_for_selector(f".screen[data-region='{CITY}'] .row[data-tier]")


async def _first_view(page: Page) -> float:
    """Load the page anew, as a browser that has its session does, with nothing in its cache; milliseconds to the first warnings."""
    client = await page.context.new_cdp_session(page)
    await client.send("Network.clearBrowserCache")
    await client.detach()
    await page.reload(wait_until="commit")
    shown: float = await page.evaluate(FIRST)
    return shown


async def _told(page: Page) -> int:
    """Return how many open warnings the page counts."""
    return sum(int(count) for count in await page.locator(".tiles.tiers .number").all_text_contents())
