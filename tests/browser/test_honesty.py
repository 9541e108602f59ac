"""That the page never passes off as the present what is not: lost, late, silent, and whose silence it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from playwright.async_api import expect

from schemas.base import Origin
from schemas.observation import Quality
from schemas.tiers import Tier
from schemas.warning import Change, WarningState
from tests.browser.conftest import Opener
from tests.browser.frames import DISTRICT, FLOW, PRESSURE, sensor, value, warning
from tests.browser.looking import WITHIN_MS, banner, cleared, line, loaded, mapped, rows, tile
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_lost_gateway_is_said_within_five_seconds_and_comes_back_right(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.sensors = [sensor()]
    stage.values = [value(12.5, now)]
    stage.warnings = [warning(1, now), warning(2, now, tier=Tier.RED)]
    async with open_page(stage.at(), tolerate="Failed to load resource") as page:
        await loaded(page)
        await mapped(page)
        await stage.stop(1001)
        lost = banner(page, "lost")
        await expect(lost).to_contain_text("与网关失联", timeout=WITHIN_MS)
        await expect(lost).to_contain_text("画面停在")
        await expect(lost).to_contain_text("次重连")
        await expect(page.locator(".screen")).to_have_class("screen stale")
        await expect(page.locator('.health [data-service="rules"]')).to_contain_text("无法判断")
        await expect(page.locator('[data-say="assertive"]')).to_contain_text("与网关失联")
        assert (await page.title()).startswith("⚠")
        stage.warnings = [warning(2, now, rev=2, tier=Tier.ORANGE, change=Change.LOWERED), warning(3, stage.now())]
        stage.values = [value(7, stage.now())]
        await stage.start()
        await expect(page.locator(".pulse")).to_have_attribute("data-state", "live", timeout=15_000)
        await expect(lost).to_have_count(0)
        await expect(rows(page).locator(".tier")).to_have_text(["橙 Ⅱ", "黄 Ⅲ"])
        await expect(cleared(page)).to_contain_text("断线期间已结束")
        await expect(line(page).locator(".value")).to_have_text("7")
        await expect(page.locator(".screen")).to_have_class("screen")


async def test_map_that_the_loss_kept_away_comes_with_the_gateway(stage: Stage, open_page: Opener) -> None:
    async with open_page(f"{stage.url}/#/nothing", tolerate="Failed to load resource") as page:
        await expect(page.locator("h1")).to_be_visible()
        await page.route("**/assets/RegionMap*.js", lambda route: route.abort())
        await page.evaluate(f"location.hash = '#/regions/{DISTRICT}'")
        await expect(page.locator(".map .none")).to_contain_text("地图没有加载成功")
        await page.unroute("**/assets/RegionMap*.js")
        await stage.drop(1013)
        await expect(banner(page, "lost")).to_be_visible()
        await mapped(page)


async def test_silent_socket_is_said_and_given_up(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at()) as page:
        await loaded(page)
        stage.mute = True
        await expect(banner(page, "lost")).to_be_visible(timeout=WITHIN_MS)
        hellos = len(stage.hellos)
        await expect(banner(page, "lost")).to_have_count(0, timeout=15_000)
        assert len(stage.hellos) == hellos + 1, "a socket that says nothing is given up for a new one"


async def test_reconnect_now(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at()) as page:
        await loaded(page)
        await stage.drop(1013)
        await expect(banner(page, "lost")).to_be_visible()
        await page.get_by_role("button", name="立即重连").click()
        await expect(banner(page, "lost")).to_have_count(0, timeout=2000)


async def test_unreachable_gateway_is_said(stage: Stage, open_page: Opener) -> None:
    stage.refuse_with = 1013
    async with open_page(stage.at()) as page:
        await expect(banner(page, "unreached")).to_contain_text("连不上网关", timeout=WITHIN_MS)
        await expect(page.locator(".screen")).to_have_count(0)


async def test_stalled_pipeline_is_said(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor()]
    stage.values = [value(12.5, stage.now() - timedelta(minutes=5))]
    async with open_page(stage.at()) as page:
        await loaded(page)
        await expect(line(page).locator(".age")).to_contain_text("静默 5 分")
        stage.pipeline_age = timedelta(seconds=6)
        await expect(banner(page, "stalled")).to_contain_text("数据链路停滞", timeout=WITHIN_MS)
        await expect(line(page).locator(".age")).to_contain_text("未更新 5 分")  # our own silence is not the sensor's
        await expect(page.locator('[data-gauge="silent"]')).to_contain_text("无法判断")
        await expect(page.locator(".warnings .none")).to_contain_text("不能据此认为一切正常")
        stage.pipeline_age = timedelta(0)
        await expect(banner(page, "stalled")).to_have_count(0)
        await expect(page.locator(".warnings .none")).to_have_text("当前没有未解除的预警。")


async def test_missing_tick_is_said(stage: Stage, open_page: Opener) -> None:
    stage.pipeline_age = None
    async with open_page(stage.at()) as page:
        await expect(banner(page, "noTick")).to_be_visible(timeout=WITHIN_MS)


async def test_missing_heartbeats_are_said_though_deltas_flow(stage: Stage, open_page: Opener) -> None:
    stage.mute = True
    async with open_page(stage.at()) as page:
        await expect(page.locator(".screen")).to_be_visible()
        for _ in range(11):
            stage.send(values=[])
            await asyncio.sleep(0.5)
        await expect(banner(page, "noTick")).to_be_visible()


@pytest.mark.alone
async def test_silent_rules_are_said(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at()) as page:
        await loaded(page)
        stage.silent_since["rules"] = stage.now()
        await expect(banner(page, "rules:late")).to_contain_text("预警可能不全", timeout=WITHIN_MS + 500)
        await expect(page.locator(".warnings header .note")).to_have_text("预警可能不全")
        await expect(page.locator('.health [data-service="rules"]')).to_contain_text("无心跳")
        stage.silent_since.clear()
        await expect(banner(page, "rules:late")).to_have_count(0)
        stage.unready["rules"] = "等待 Kafka"
        await expect(banner(page, "rules:unready")).to_contain_text("等待 Kafka")


async def test_service_never_heard_is_said(stage: Stage, open_page: Opener) -> None:
    stage.unheard = {"history"}
    async with open_page(stage.at()) as page:
        await expect(banner(page, "history:unheard")).to_contain_text("从未听到历史服务的心跳", timeout=WITHIN_MS)


async def test_late_frames_are_said(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at()) as page:
        await loaded(page)
        stage.mute = True
        for _ in range(8):
            stage.send(at=stage.now() - timedelta(seconds=9))
            await asyncio.sleep(0.25)
        await expect(banner(page, "behind")).to_contain_text("落后")


async def test_ages_go_by_the_servers_clock_and_times_by_the_citys_zone(stage: Stage, open_page: Opener) -> None:
    stage.skew = timedelta(hours=-7)
    stage.sensors = [sensor(flow=FLOW, pressure=PRESSURE)]
    stage.values = [value(12.5, stage.now())]
    async with open_page(stage.at(), timezone_id="America/Lima") as page:
        await loaded(page)
        age = line(page).locator(".age")
        await expect(age).to_have_text("3 秒前")
        await expect(age).to_have_text("4 秒前")
        await expect(page.locator(".banners > li")).to_have_count(0)
        await expect(line(page, "压力").locator(".age")).to_have_text("从未收到")
        shown = await page.locator(".clock time").inner_text()
        there = stage.now() + timedelta(hours=8)
        assert shown[:5] in {f"{moment:%H:%M}" for moment in (there, there - timedelta(seconds=2))}
        await expect(page.locator(".clock .zone")).to_contain_text("UTC+08:00")


async def test_value_that_stops_is_not_shown_as_healthy(stage: Stage, open_page: Opener) -> None:
    start = stage.now() - timedelta(seconds=14)
    stage.sensors = [sensor()]
    stage.values = [value(1, start)]
    async with open_page(stage.at()) as page:
        await loaded(page)
        for second in range(1, 5):
            stage.send(values=[value(second, start + timedelta(seconds=second), quality=Quality.FAULT, origin=Origin.REPLAYED)])
        await expect(line(page).locator(".quality")).to_have_text("故障")
        await expect(line(page).locator(".origin")).to_have_text("回放")
        await expect(line(page)).to_have_attribute("data-state", "silent", timeout=10_000)
        await expect(line(page).locator(".age")).to_contain_text("静默")
        await expect(page.locator('[data-gauge="silent"] .number')).to_have_text("1")


async def test_older_revision_changes_nothing(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.warnings = [warning(1, now, rev=3, tier=Tier.RED)]
    async with open_page(stage.at()) as page:
        await loaded(page)
        stage.send(warnings=[warning(1, now, rev=2, tier=Tier.BLUE), warning(1, now, rev=3, tier=Tier.BLUE), warning(2, now)])
        await expect(rows(page)).to_have_count(2)
        await expect(rows(page).first).to_have_attribute("data-tier", "red")
        stage.send(warnings=[warning(1, now, rev=4, state=WarningState.CLEARED)])
        await expect(rows(page)).to_have_count(1)
        stage.send(warnings=[warning(1, now, rev=3, tier=Tier.RED), warning(3, now)])
        await expect(rows(page)).to_have_count(2)
        await expect(tile(page, "red")).to_have_text("0")
        stage.send(warnings=[warning(1, now, rev=5, tier=Tier.RED)])
        await expect(tile(page, "red")).to_have_text("1")
        await expect(cleared(page)).to_have_count(0)
