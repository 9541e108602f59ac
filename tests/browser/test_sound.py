"""The sound of red: heard through the browser's own audio, counted by its tones."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from schemas.tiers import Tier
from tests.browser.conftest import Opener
from tests.browser.frames import DISTRICT, acknowledgement, identity, warning
from tests.browser.looking import does, loaded, rows
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTEN = """() => {
  window.tones = 0;
  const { start } = OscillatorNode.prototype;
  OscillatorNode.prototype.start = function (...given) { window.tones += 1; return start.apply(this, given); };
}"""
HOLD_BACK = """() => {
  const { AudioContext } = window;
  window.AudioContext = class extends AudioContext { constructor() { super(); void this.suspend(); } };
}"""
"""Audio waits for a gesture, as on a desk. By itself it would not surely: what the tests ask of the page counts as one."""
QUIET_S = 4
"""Longer than the pause between two soundings."""


async def tones(page: Page) -> int:
    return int(await page.evaluate("window.tones"))


async def sounds_on(page: Page, beyond: int) -> None:
    """Wait until more tones than these were heard (the page's policy forbids to wait inside it)."""
    async with asyncio.timeout(10):
        while await tones(page) <= beyond:
            await asyncio.sleep(0.1)


async def sounding(page: Page) -> None:
    """Listen from here on, after a gesture, and wait for the sound."""
    await page.evaluate(LISTEN)
    await page.locator("h1").click()
    await expect(page.locator(".sound")).to_have_attribute("data-state", "sounding")
    await sounds_on(page, 1)


async def silence(page: Page) -> None:
    before = await tones(page)
    await asyncio.sleep(QUIET_S)
    assert await tones(page) == before


async def test_red_sounds_until_it_is_acknowledged(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now(), tier=Tier.RED), warning(2, stage.now(), tier=Tier.ORANGE)]
    async with open_page(f"{stage.url}/#/nothing") as page:
        await expect(page.locator("h1")).to_be_visible()
        await page.evaluate(HOLD_BACK)
        await page.evaluate(f"location.hash = '#/regions/{DISTRICT}'")
        await loaded(page)
        await expect(page.locator(".sound")).to_contain_text("声音未开启：有 1 条红色预警未确认")
        await page.evaluate(LISTEN)
        await does(page, "sound-on").click()
        await sounds_on(page, 1)
        await sounds_on(page, 3)
        await rows(page).first.click()
        await does(page, "acknowledge").click()
        await expect(page.locator(".sound")).to_have_count(0)
        await silence(page)


async def test_muting_has_a_name_and_a_new_red_sounds_nevertheless(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now(), tier=Tier.RED)]
    async with open_page(stage.at()) as page:
        await loaded(page)
        await sounding(page)
        await does(page, "mute").click()
        dialog = page.get_by_role("dialog", name="静音")
        await expect(dialog.locator("[name=name]")).to_have_value("陈值守")
        await dialog.locator("[name=minutes]").fill("15")
        await dialog.get_by_role("button", name="静音").click()
        await expect(page.locator(".sound")).to_contain_text("陈值守 已静音至")
        [(region, mute)] = stage.told.mutes
        assert (region, mute.name, mute.minutes, mute.warnings) == (DISTRICT, "陈值守", 15, (identity(1),))
        await silence(page)
        before = await tones(page)
        stage.send(warnings=[warning(2, stage.now(), tier=Tier.RED)])
        await expect(page.locator(".sound")).to_have_attribute("data-state", "sounding")
        await sounds_on(page, before)


async def test_muting_that_the_audit_does_not_take_does_not_mute(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now(), tier=Tier.RED)]
    async with open_page(stage.at(), tolerate="Failed to load resource") as page:
        await loaded(page)
        await sounding(page)
        await page.route("**/mutes", lambda route: route.abort())
        await does(page, "mute").click()
        await page.get_by_role("dialog").get_by_role("button", name="静音").click()
        await expect(page.get_by_role("dialog").locator(".why")).to_contain_text("没有成功")
        await expect(page.locator(".sound")).to_have_attribute("data-state", "sounding")


async def test_nothing_sounds_below_red_or_once_taken_note_of(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now(), tier=Tier.RED), warning(2, stage.now(), tier=Tier.ORANGE)]
    stage.actions = [acknowledgement(1, stage.now())]
    async with open_page(stage.at()) as page:
        await loaded(page)
        await expect(rows(page)).to_have_count(2)
        await expect(page.locator(".sound")).to_have_count(0)
