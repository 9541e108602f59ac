"""The cause of a warning, and taking note of it, in a real browser against a stage."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from schemas.base import Name
from schemas.tiers import Tier
from schemas.warning import Change, Warning, WarningState  # noqa: A004 - the field's own word
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
        await expect(page.locator(".people")).to_contain_text("确认时为黄色，此后升级或重新开启，需要再次确认。")
        await expect(does(page, "acknowledge")).to_be_visible()
        await expect(rows(page).locator(".ack")).to_have_count(0)


async def test_change_of_the_past_alone_asks_nothing_and_a_reopened_warning_asks_again(stage: Stage, open_page: Opener) -> None:
    began = stage.now()
    stage.warnings = [warning(1, began)]
    stage.actions = [acknowledgement(1, began, tier=Tier.YELLOW)]
    async with open_page(stage.at(DISTRICT, 1)) as page:
        await loaded(page)
        stage.send(warnings=[warning(1, began, rev=2, change=Change.REVISED, changed=stage.now())])
        await expect(page.locator(".timeline li strong").first).to_have_text("修正")
        await expect(panel(page)).to_contain_text("迟到或更正的数据改变了经过，现状不变。")
        await expect(does(page, "acknowledge")).to_have_count(0)
        stage.send(warnings=[warning(1, began, rev=3, state=WarningState.CLEARED, change=Change.RETRACTED, changed=stage.now())])
        await expect(panel(page).locator("header")).to_contain_text("已撤销")
        await expect(panel(page)).to_contain_text("迟到或更正的数据表明它不应发出。")
        stage.send(warnings=[warning(1, began, rev=4, change=Change.REOPENED, changed=stage.now())])
        await expect(page.locator(".timeline li strong").first).to_have_text("重新开启")
        await expect(does(page, "acknowledge")).to_be_visible()


async def test_merged_warning_leads_to_the_one_that_goes_on(stage: Stage, open_page: Opener) -> None:
    began = stage.now()
    merged = warning(2, began, rev=2, state=WarningState.CLEARED, change=Change.MERGED, changed=stage.now())
    stage.warnings = [warning(1, began), warning(2, began)]
    async with open_page(stage.at(DISTRICT, 2)) as page:
        await loaded(page)
        stage.send(warnings=[merged.model_copy(update={"merged_into": identity(1)})])
        await expect(panel(page).locator("header")).to_contain_text("已并入")
        await page.get_by_role("link", name="查看并入的预警").click()
        await expect(page).to_have_url(re.compile(f"{identity(1)}$"))


def measured(evidence: dict[str, Any], **fields: Any) -> Callable[[datetime], Warning]:
    """Return how warning 1 is made with other evidence."""

    def made(began: datetime) -> Warning:
        whole = warning(1, began).model_dump()
        bare = {"readings": None, "clears_at": None, "observation": None, "received_at": None}
        return Warning.model_validate(whole | {"evidence": whole["evidence"] | bare | evidence} | fields)

    return made


KINDS = {
    "rate": (
        measured({"measure": "rate", "value": 420, "unit": "L/s/h", "limit": 400, "direction": "above", "window_s": 900}),
        ["420 L/s/h", "≥ 400 L/s/h", "变化率 15 分 0 秒"],
    ),
    "window": (
        measured(
            {"measure": "window", "value": 7.25, "window_s": 600, "clears": {"limit": 9, "direction": "above", "readings": None, "dwell_s": 300}}
        ),
        ["7.25 L/s", "时段统计 10 分 0 秒", "≥ 9 L/s · 持续 5 分 0 秒"],
    ),
    "count": (
        measured({"measure": "exceedances", "value": 7, "unit": "1", "limit": 7, "direction": "above"}),
        ["当日 7 次", "≥ 当日 7 次", "当日超限次数"],
    ),
    "silence": (
        measured(
            {
                "measure": "absence",
                "value": 720,
                "unit": "s",
                "limit": 600,
                "direction": "above",
                "clears": {"limit": 0, "direction": "below", "readings": 2, "dwell_s": None},
            }
        ),
        ["静默 12 分 0 秒", "≥ 10 分 0 秒", "再次收到 2 个读数"],
    ),
    "background": (
        measured({"measure": "background", "value": 95, "unit": "ug/m3", "limit": 80.1, "direction": "above", "background": 150, "window_s": 3600}),
        ["95 µg/m³", "≥ 80.1 µg/m³", "扣除的背景值", "150 µg/m³", "与区域背景之差 1 小时 0 分"],
    ),
    "condition": (
        measured(
            {
                "measure": "condition",
                "limit": None,
                "parts": [
                    {"measure": "main", "metric": "flow", "value": 6.5, "direction": "below", "limit": 8, "holds": True},
                    {"measure": "p", "metric": "pressure", "value": None, "direction": "below", "limit": 0.14, "holds": None},
                ],
                "clears": {"limit": None, "direction": "above", "readings": None, "dwell_s": 60},
            }
        ),
        ["组合条件", "✓ 流量 6.5 L/s (≤ 8 L/s)", "? pressure 无法判断", "条件不再成立 · 持续 1 分 0 秒"],
    ),
    "agreement": (
        measured(
            {"measure": "agreement", "value": 2, "unit": "1", "limit": 2, "direction": "above", "sensors": ["dma-1", "elsewhere"], "window_s": 60},
            sensor=None,
            sensor_name=Name(zh="酒泉路街道 b1", en="Jiuquan Road b1"),
        ),
        ["2 个传感器", "≥ 2 个传感器", "一致的传感器（2 个）", "一号计量区", "elsewhere", "酒泉路街道 b1"],
    ),
    "district": (
        measured(
            {"measure": "regional", "value": 162, "unit": "ug/m3", "limit": 150.1, "direction": "above", "window_s": 3600},
            sensor=None,
            street=DISTRICT,
            sensor_name=Name(zh="城关区", en="Chengguan"),
        ),
        ["162 µg/m³", "区域统计 1 小时 0 分", "城关区"],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_evidence_is_told_in_its_own_words(stage: Stage, open_page: Opener, kind: str) -> None:
    made, told = KINDS[kind]
    stage.sensors = [sensor()]
    stage.values = [value(5.25, stage.now())]
    stage.warnings = [made(stage.now() - timedelta(minutes=3))]
    async with open_page(stage.at(DISTRICT)) as page:
        await loaded(page)
        await rows(page).first.click()
        for part in told:
            await expect(panel(page)).to_contain_text(part)
        await expect(panel(page).locator(".timeline li")).to_have_count(1)
        for text in (await page.locator(".warnings").inner_text(), await panel(page).inner_text()):
            assert not re.search(r"undefined|null|NaN|\bms_|\bev[A-Z]", text), text


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
