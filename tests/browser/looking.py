"""Where things stand on a page, so that the tests say what they look at and not how it is built."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, expect

WITHIN_MS = 5000
"""What is lost or stale shows within five seconds."""


def rows(page: Page) -> Locator:
    """Return the open warnings that are rendered."""
    return page.locator(".rows.open .row")


def cleared(page: Page) -> Locator:
    """Return the warnings cleared lately."""
    return page.locator(".rows.cleared .row")


def tile(page: Page, tier: str) -> Locator:
    """Return the count of a tier."""
    return page.locator(f'.tiers [data-tier="{tier}"] .number').first


def banner(page: Page, key: str) -> Locator:
    """Return the banner of a finding."""
    return page.locator(f'.banners [data-key="{key}"]')


def line(page: Page, name: str = "流量") -> Locator:
    """Return the lines of the live values that name a metric."""
    return page.locator(".lines .series", has_text=name)


def panel(page: Page) -> Locator:
    """Return the panel of a warning."""
    return page.locator(".panel")


def does(page: Page, what: str) -> Locator:
    """Return the control that does something."""
    return page.locator(f'[data-do="{what}"]')


async def mapped(page: Page) -> None:
    """Wait until the map is drawn, which takes its time where no graphics card helps."""
    await expect(page.locator(".region-map .over[data-ready]")).to_be_attached(timeout=30_000)


async def loaded(page: Page, region: str | None = None) -> None:
    """Wait until a region, or the named one, is shown live."""
    screen = page.locator(".screen" if region is None else f'.screen[data-region="{region}"]')
    await expect(screen).to_be_visible()
    await expect(page.locator(".pulse")).to_have_attribute("data-state", "live")


async def serious(page: Page) -> list[tuple[str, list[object]]]:
    """Return what axe finds on a page that is serious."""
    found = await Axe().run(page)
    return [
        (one["id"], [(node["target"], node["failureSummary"]) for node in one["nodes"]][:3])
        for one in found.response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


async def overflow(page: Page) -> int:
    """Return by how many pixels a page, or the dialog on it, is wider than what shows it."""
    script = "Math.max(...[document.documentElement, ...document.querySelectorAll('dialog')].map((one) => one.scrollWidth - one.clientWidth))"
    return int(await page.evaluate(script))
