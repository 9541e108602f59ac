"""The cause of a warning, and taking note of it, in a real browser against a stage."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.async_api import expect

from schemas.tiers import Tier
from schemas.warning import Change
from tests.browser.conftest import Opener
from tests.browser.frames import CITY, DISTRICT, acknowledgement, identity, sensor, value, warning
from tests.browser.looking import does, loaded, panel, rows
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_cause_is_one_click_away(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor()]
    stage.values = [value(5.25, stage.now())]
    stage.warnings = [warning(1, stage.now() - timedelta(minutes=3), tier=Tier.RED)]
    async with open_page(stage.at(CITY)) as page:
        await loaded(page)
        await rows(page).first.click()
        await expect(page.locator("#panel-title")).to_be_focused()
        for part in ("流量 · 判定值", "6.5 L/s", "≤ 8 L/s", "CJJ 92-2016 第 5.3 条", "5.25 L/s"):
            await expect(page.locator(".cause")).to_contain_text(part)
        for part in ("water.flow.low · 第 4 版", "连续 3 个读数", "≥ 10 L/s", "reading-1-1", "水务局", "实测", "+350 ms"):
            await expect(page.locator(".evidence")).to_contain_text(part)
        await expect(panel(page)).to_contain_text("酒泉路街道 · 一号计量区")
        await expect(page.locator(".chart canvas, .chart svg").first).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(panel(page)).to_have_count(0)
        assert page.url.endswith(f"/regions/{CITY}")


async def test_timeline_follows_the_live_connection(stage: Stage, open_page: Opener) -> None:
    began = stage.now() - timedelta(minutes=3)
    stage.sensors = [sensor()]
    stage.warnings = [warning(1, began)]
    async with open_page(stage.at(DISTRICT, 1)) as page:
        await loaded(page)
        steps = page.locator(".timeline li strong")
        await expect(steps).to_have_text(["新发"])
        stage.send(warnings=[warning(1, began, rev=2, tier=Tier.RED, change=Change.RAISED, changed=stage.now(), readings=None, dwell_s=120)])
        await expect(steps).to_have_text(["升级", "新发"])
        await expect(panel(page)).to_have_attribute("data-tier", "red")
        await expect(page.locator(".evidence")).to_contain_text("持续 2 分 0 秒")


async def test_acknowledging_says_who_and_when(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now(), tier=Tier.RED)]
    async with open_page(stage.at(DISTRICT, 1)) as page:
        await loaded(page)
        await expect(page.locator(".people")).to_contain_text("还没有人确认")
        await page.locator(".people [name=note]").fill("已派人到场")
        await does(page, "acknowledge").click()
        await expect(page.locator(".people")).to_contain_text("陈值守 于")
        await expect(page.locator(".people blockquote")).to_have_text("已派人到场")
        await expect(rows(page).locator(".ack")).to_have_text(["✓ 已确认"])
        assert [(of, seen.rev, seen.note) for of, seen in stage.told.notes] == [(identity(1), 1, "已派人到场")]


async def test_acknowledgement_that_takes_time_arrives_live(stage: Stage, open_page: Opener) -> None:
    stage.slow_ack = True
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at(DISTRICT, 1)) as page:
        await loaded(page)
        await does(page, "acknowledge").click()
        await expect(page.locator(".people")).to_contain_text("等待生效")
        stage.send(actions=[acknowledgement(1, stage.now())])
        await expect(page.locator(".people .said")).to_contain_text("陈值守")


async def test_graver_warning_asks_again(stage: Stage, open_page: Opener) -> None:
    began = stage.now()
    stage.warnings = [warning(1, began)]
    stage.actions = [acknowledgement(1, began, tier=Tier.YELLOW)]
    async with open_page(stage.at(DISTRICT, 1)) as page:
        await loaded(page)
        await expect(does(page, "acknowledge")).to_have_count(0)
        stage.send(warnings=[warning(1, began, rev=2, tier=Tier.RED, change=Change.RAISED, changed=stage.now())])
        await expect(page.locator(".people")).to_contain_text("确认时为黄色，此后升级，需要再次确认。")
        await expect(does(page, "acknowledge")).to_be_visible()
        await expect(rows(page).locator(".ack")).to_have_count(0)


async def test_who_may_not_acknowledge_is_told(stage: Stage, open_page: Opener) -> None:
    stage.guest = "du"
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at(DISTRICT, 1)) as page:
        await loaded(page)
        await expect(page.locator(".people")).to_contain_text("你的角色不能确认预警")
        await expect(does(page, "acknowledge")).to_have_count(0)


async def test_warning_that_is_not_there_is_said(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at(DISTRICT, 7), tolerate="404 (Not Found)") as page:
        await loaded(page)
        await expect(panel(page)).to_contain_text("没有这条预警，或它不在你的范围内。")
