"""The page of a region in a real browser, against a stage that speaks the live protocol."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from playwright.async_api import Locator, Page, expect

from schemas.base import Name, Origin
from schemas.observation import Quality
from schemas.tiers import TIERS, Tier
from schemas.warning import Change, WarningState
from tests.browser.conftest import Opener
from tests.browser.frames import CITY, DISTRICT, FLOW, OTHER_DISTRICT, OTHER_STREET, PRESSURE, STREET, sensor, value, warning
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN_MS = 5000
"""What is lost or stale shows within five seconds."""


def at(stage: Stage, region: str = DISTRICT, token: str = "tgr_test") -> str:
    return f"{stage.url}/#token={token}&region={region}"


def rows(page: Page) -> Locator:
    return page.locator("#open > li")


def tile(page: Page, tier: str) -> Locator:
    return page.locator(f'#tiers [data-tier="{tier}"] .number').first


def banner(page: Page, key: str) -> Locator:
    return page.locator(f'#banners [data-key="{key}"]')


def line(page: Page, name: str = "流量") -> Locator:
    return page.locator("#sensors ul > li", has_text=name)


async def loaded(page: Page) -> None:
    await expect(page.locator("#screen")).to_be_visible()
    await expect(page.locator("#pulse")).to_have_attribute("data-state", "live")


# ---- opening ------------------------------------------------------------------------------------------------------------------------


async def test_fragment_is_taken_kept_and_removed_from_the_address(stage: Stage, open_page: Opener) -> None:
    async with open_page(at(stage)) as page:
        await loaded(page)
        assert page.url == f"{stage.url}/"
        await page.reload()
        await loaded(page)
        await expect(page.locator("h1")).to_have_text("城关区")
        assert [(hello.token, hello.region) for hello in stage.hellos] == [("tgr_test", DISTRICT)] * 2


async def test_without_a_token_the_page_asks(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.url) as page:
        await page.locator("[name=region]").fill(STREET)
        await page.locator("[name=token]").fill("tgr_test")
        await page.get_by_role("button", name="打开").click()
        await loaded(page)
        await expect(page.locator("h1")).to_have_text("酒泉路街道")
        await page.get_by_role("button", name="更换令牌").click()
        await expect(page.locator("#ask")).to_be_visible()
        await expect(page.locator("#screen")).to_be_hidden()
        assert stage.hellos[-1].region == STREET


async def test_snapshot_shows_warnings_gravest_first_with_all_that_is_promised(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.sensors = [sensor()]
    stage.warnings = [
        warning(1, now - timedelta(minutes=1), tier=Tier.BLUE),
        warning(2, now - timedelta(minutes=9), tier=Tier.RED, origin=Origin.REPLAYED),
        warning(3, now - timedelta(minutes=5), tier=Tier.RED, origin=Origin.EXERCISE),
        warning(4, now - timedelta(minutes=2), tier=Tier.ORANGE, origin=Origin.SIMULATED),
    ]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await expect(rows(page).locator(".tier")).to_have_text(["红 Ⅰ", "红 Ⅰ", "橙 Ⅱ", "蓝 Ⅳ"])
        await expect(rows(page).locator(".origin")).to_have_text(["演练", "回放", "模拟", ""])
        await expect(rows(page).last.locator(".origin")).to_be_hidden()
        for part in ("管网流量偏低", "供水 · 一号计量区 · 酒泉路街道", "CJJ 92-2016 §5.3", "流量 6.5 L/s", "限值 ≤ 8 L/s", "始于", "已持续 9 分"):
            await expect(rows(page).nth(1)).to_contain_text(part)
        for tier, count in {"red": "2", "orange": "1", "yellow": "0", "blue": "1"}.items():
            await expect(tile(page, tier)).to_have_text(count)
        shapes = await rows(page).locator("use").evaluate_all("nodes => nodes.map((node) => node.getAttribute('href'))")
        assert shapes == ["#tier-red", "#tier-red", "#tier-orange", "#tier-blue"]


async def test_evidence_stands_behind_a_warning(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor()]
    stage.values = [value(5.25, stage.now())]
    stage.warnings = [warning(1, stage.now() - timedelta(minutes=3))]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await rows(page).locator("summary").press("Enter")
        evidence = page.locator(".evidence")
        for part in ("water.flow.low · 第 4 版", "连续 3 个读数", "≥ 10 L/s", "reading-1-1", "5.25 L/s", "第 1 次修订", "+350 ms"):
            await expect(evidence).to_contain_text(part)
        later = stage.now()
        stage.send(
            warnings=[warning(1, later - timedelta(minutes=3), rev=2, tier=Tier.RED, change=Change.RAISED, changed=later, readings=None, dwell_s=120)]
        )
        await expect(evidence).to_contain_text("升级")
        await expect(evidence).to_contain_text("持续 2 分 0 秒")


# ---- the protocol -------------------------------------------------------------------------------------------------------------------


async def test_delta_raises_lowers_and_clears_a_warning(stage: Stage, open_page: Opener) -> None:
    began = stage.now() - timedelta(seconds=20)
    stage.sensors = [sensor()]
    stage.warnings = [warning(9, began, tier=Tier.ORANGE)]
    async with open_page(at(stage)) as page:
        await loaded(page)
        stage.send(warnings=[warning(1, began)])
        await expect(rows(page).locator(".tier")).to_have_text(["橙 Ⅱ", "黄 Ⅲ"])
        await expect(page.locator("#polite")).to_have_text("黄色预警新发：管网流量偏低，一号计量区")
        stage.send(warnings=[warning(1, began, rev=2, tier=Tier.RED, change=Change.RAISED, changed=stage.now())])
        await expect(rows(page).locator(".tier")).to_have_text(["红 Ⅰ", "橙 Ⅱ"])
        await expect(rows(page).locator(".change")).to_have_text(["升级", "新发"])
        await expect(page.locator("#assertive")).to_contain_text("红色预警升级")
        stage.send(warnings=[warning(1, began, rev=3, tier=Tier.BLUE, change=Change.LOWERED, changed=stage.now())])
        await expect(rows(page).locator(".tier")).to_have_text(["橙 Ⅱ", "蓝 Ⅳ"])
        stage.send(warnings=[warning(1, began, rev=4, tier=Tier.BLUE, change=Change.RECOVERED, state=WarningState.CLEARED, changed=stage.now())])
        await expect(rows(page)).to_have_count(1)
        await expect(page.locator("#cleared > li")).to_contain_text("解除")
        await expect(tile(page, "blue")).to_have_text("0")
        await expect(page.locator("#changes > li strong")).to_have_text(["恢复", "降级", "升级", "新发", "新发"])


async def test_older_revision_changes_nothing(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.warnings = [warning(1, now, rev=3, tier=Tier.RED)]
    async with open_page(at(stage)) as page:
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
        await expect(page.locator("#cleared > li")).to_have_count(0)


async def test_older_value_changes_nothing_and_a_correction_does(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.sensors = [sensor()]
    stage.values = [value(12.5, now)]
    async with open_page(at(stage)) as page:
        await loaded(page)
        number = line(page).locator(".value")
        await expect(number).to_have_text("12.5")
        stage.send(values=[value(99, now - timedelta(microseconds=1))], sensors=[sensor("late", zh="最后一个")])
        await expect(page.locator("#sensors > li")).to_have_count(2)
        await expect(number).to_have_text(["12.5", "无数据"])
        stage.send(values=[value(13, now)])
        await expect(number).to_have_text(["13", "无数据"])
        stage.send(values=[value(14.25, now + timedelta(microseconds=1))])
        await expect(number).to_have_text(["14.25", "无数据"])


async def test_broken_frame_is_followed_by_a_new_snapshot(stage: Stage, open_page: Opener) -> None:
    async with open_page(at(stage), tolerate="a frame could not be applied") as page:
        await loaded(page)
        stage.warnings = [warning(1, stage.now())]
        hellos = len(stage.hellos)
        stage.send_text("no such thing")
        await expect(rows(page)).to_have_count(1)
        assert len(stage.hellos) == hellos + 1


async def test_unknown_frame_and_new_words_are_borne(stage: Stage, open_page: Opener) -> None:
    async with open_page(at(stage)) as page:
        await loaded(page)
        stage.send_text(json.dumps({"type": "later", "server_time": stage.now().isoformat()}))
        frame = json.loads(warning(1, stage.now()).model_dump_json()) | {"change": "retracted"}
        delta = {"type": "delta", "server_time": stage.now().isoformat(), "position": "p", "warnings": [frame], "values": [], "sensors": []}
        stage.send_text(json.dumps(delta))
        await expect(rows(page).locator(".change")).to_have_text("retracted")
        assert len(stage.hellos) == 1


# ---- age and loss -------------------------------------------------------------------------------------------------------------------


async def test_lost_gateway_is_said_within_five_seconds_and_comes_back_right(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.sensors = [sensor()]
    stage.values = [value(12.5, now)]
    stage.warnings = [warning(1, now), warning(2, now, tier=Tier.RED)]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await stage.stop(1001)
        lost = banner(page, "lost")
        await expect(lost).to_contain_text("与网关失联", timeout=WITHIN_MS)
        await expect(lost).to_contain_text("画面停在")
        await expect(lost).to_contain_text("次重连")
        await expect(page.locator("#screen")).to_have_class("screen stale")
        await expect(page.locator('#services [data-service="rules"]')).to_contain_text("无法判断")
        await expect(page.locator("#assertive")).to_contain_text("与网关失联")
        stage.warnings = [warning(2, now, rev=2, tier=Tier.ORANGE, change=Change.LOWERED), warning(3, stage.now())]
        stage.values = [value(7, stage.now())]
        await stage.start()
        await expect(page.locator("#pulse")).to_have_attribute("data-state", "live", timeout=15_000)
        await expect(lost).to_have_count(0)
        await expect(rows(page).locator(".tier")).to_have_text(["橙 Ⅱ", "黄 Ⅲ"])
        await expect(page.locator("#cleared > li")).to_contain_text("断线期间已结束")
        await expect(line(page).locator(".value")).to_have_text("7")
        await expect(page.locator("#screen")).to_have_class("screen")


async def test_silent_socket_is_said_and_given_up(stage: Stage, open_page: Opener) -> None:
    async with open_page(at(stage)) as page:
        await loaded(page)
        stage.mute = True
        await expect(banner(page, "lost")).to_be_visible(timeout=WITHIN_MS)
        hellos = len(stage.hellos)
        await expect(banner(page, "lost")).to_have_count(0, timeout=15_000)
        assert len(stage.hellos) == hellos + 1, "a socket that says nothing is given up for a new one"


async def test_reconnect_now(stage: Stage, open_page: Opener) -> None:
    async with open_page(at(stage)) as page:
        await loaded(page)
        await stage.drop(1013)
        await expect(banner(page, "lost")).to_be_visible()
        await page.get_by_role("button", name="立即重连").click()
        await expect(banner(page, "lost")).to_have_count(0, timeout=2000)


async def test_delays_follow_the_close_codes(stage: Stage, open_page: Opener) -> None:
    ask = "([code, attempt, random]) => import('/page/live.js').then(({ retryDelay }) => retryDelay(code, attempt, random))"
    async with open_page(at(stage)) as page:
        cases = [(1012, 0, 0), (1001, 0, 1), (1013, 0, 0), (1006, 0, 0), (1006, 2, 0), (1006, 50, 1)]
        assert [await page.evaluate(ask, list(case)) for case in cases] == [1000, 1500, 5000, 500, 2000, 7500]


async def test_unreachable_gateway_is_said(stage: Stage, open_page: Opener) -> None:
    stage.refuse_with = 1013
    async with open_page(at(stage)) as page:
        await expect(banner(page, "unreached")).to_contain_text("连不上网关", timeout=WITHIN_MS)
        await expect(page.locator("#screen")).to_be_hidden()


async def test_stalled_pipeline_is_said(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor()]
    stage.values = [value(12.5, stage.now() - timedelta(minutes=5))]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await expect(line(page).locator(".age")).to_contain_text("静默 5 分")
        stage.pipeline_age = timedelta(seconds=6)
        await expect(banner(page, "stalled")).to_contain_text("数据链路停滞", timeout=WITHIN_MS)
        await expect(line(page).locator(".age")).to_contain_text("未更新 5 分")  # our own silence is not the sensor's
        await expect(page.locator("#gauges")).to_contain_text("无法判断")
        await expect(page.locator("#open-none")).to_contain_text("不能据此认为一切正常")
        stage.pipeline_age = timedelta(0)
        await expect(banner(page, "stalled")).to_have_count(0)
        await expect(page.locator("#open-none")).to_have_text("当前没有未解除的预警。")


async def test_missing_tick_is_said(stage: Stage, open_page: Opener) -> None:
    stage.pipeline_age = None
    async with open_page(at(stage)) as page:
        await expect(banner(page, "noTick")).to_be_visible(timeout=WITHIN_MS)


async def test_missing_heartbeats_are_said_though_deltas_flow(stage: Stage, open_page: Opener) -> None:
    stage.mute = True
    async with open_page(at(stage)) as page:
        await expect(page.locator("#screen")).to_be_visible()
        for _ in range(11):
            stage.send(values=[])
            await asyncio.sleep(0.5)
        await expect(banner(page, "noTick")).to_be_visible()


async def test_silent_rules_are_said(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now())]
    async with open_page(at(stage)) as page:
        await loaded(page)
        stage.silent_since["rules"] = stage.now()
        await expect(banner(page, "rules:late")).to_contain_text("预警可能不全", timeout=WITHIN_MS + 500)
        await expect(page.locator("#warnings-note")).to_have_text("预警可能不全")
        await expect(page.locator('#services [data-service="rules"]')).to_contain_text("无心跳")
        stage.silent_since.clear()
        await expect(banner(page, "rules:late")).to_have_count(0)
        stage.unready["rules"] = "等待 Kafka"
        await expect(banner(page, "rules:unready")).to_contain_text("等待 Kafka")


async def test_service_never_heard_is_said(stage: Stage, open_page: Opener) -> None:
    stage.unheard = {"history"}
    async with open_page(at(stage)) as page:
        await expect(banner(page, "history:unheard")).to_contain_text("从未听到历史服务的心跳", timeout=WITHIN_MS)


async def test_late_frames_are_said(stage: Stage, open_page: Opener) -> None:
    async with open_page(at(stage)) as page:
        await loaded(page)
        stage.mute = True
        for _ in range(8):
            stage.send(at=stage.now() - timedelta(seconds=9))
            await asyncio.sleep(0.25)
        await expect(banner(page, "behind")).to_contain_text("落后")


async def test_ages_go_by_the_servers_clock(stage: Stage, open_page: Opener) -> None:
    stage.skew = timedelta(hours=-7)
    stage.sensors = [sensor(flow=FLOW, pressure=PRESSURE)]
    stage.values = [value(12.5, stage.now())]
    async with open_page(at(stage)) as page:
        await loaded(page)
        age = line(page).locator(".age")
        await expect(age).to_have_text("2 秒前")
        await expect(age).to_have_text("3 秒前")
        await expect(page.locator("#banners > li")).to_have_count(0)
        await expect(line(page, "压力").locator(".age")).to_have_text("从未收到")
        shown = await page.locator("#clock time").inner_text()
        here = stage.now() + timedelta(hours=8)
        assert shown[:5] in {f"{moment:%H:%M}" for moment in (here, here - timedelta(seconds=2))}


async def test_value_that_stops_is_not_shown_as_healthy(stage: Stage, open_page: Opener) -> None:
    start = stage.now() - timedelta(seconds=14)
    stage.sensors = [sensor()]
    stage.values = [value(1, start)]
    async with open_page(at(stage)) as page:
        await loaded(page)
        for second in range(1, 5):
            stage.send(values=[value(second, start + timedelta(seconds=second), quality=Quality.FAULT, origin=Origin.REPLAYED)])
        await expect(line(page).locator(".quality")).to_have_text("故障")
        await expect(page.locator("#sensors .head .origin")).to_have_text("回放")
        await expect(line(page)).to_have_attribute("data-state", "silent", timeout=10_000)
        await expect(line(page).locator(".age")).to_contain_text("静默")
        await expect(page.locator("#gauges > div").nth(1).locator(".number")).to_have_text("1")


# ---- regions ------------------------------------------------------------------------------------------------------------------------


async def test_down_and_up_without_a_reload(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor(), sensor("dma-2", zh="二号计量区", street=OTHER_STREET)]
    stage.warnings = [warning(1, stage.now()), warning(2, stage.now(), street=OTHER_STREET)]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await page.evaluate("window.same = true")
        await page.locator("#below summary").click()
        await expect(page.locator("#below li")).to_have_text(["酒泉路街道1 条预警", "张掖路街道1 条预警"])
        await page.get_by_role("link", name="张掖路街道").click()
        await expect(page.locator("h1")).to_have_text("张掖路街道")
        await expect(rows(page)).to_have_count(1)
        await expect(page.locator("#sensors h3")).to_have_text("二号计量区")
        await expect(page.locator("#path a")).to_have_text(["兰州市", "城关区"])
        await page.get_by_role("link", name="兰州市").click()
        await expect(page.locator("h1")).to_have_text("兰州市")
        await expect(page.locator("#path a")).to_have_count(0)
        await page.go_back()
        await expect(page.locator("h1")).to_have_text("张掖路街道")
        assert await page.evaluate("window.same")
        assert stage.watchers == 1


async def test_city_names_streets_and_counts_by_district(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now()), warning(2, stage.now(), street="620103001"), warning(3, stage.now(), street=OTHER_STREET)]
    async with open_page(at(stage, CITY)) as page:
        await loaded(page)
        await expect(rows(page).filter(has_text="西园街道")).to_have_count(1)
        await expect(page.locator("#below li")).to_have_text(["城关区2 条预警", "七里河区1 条预警"])


async def test_refused_region_is_said_and_the_present_one_stays(stage: Stage, open_page: Opener) -> None:
    stage.close_codes = {CITY: 4403}
    stage.warnings = [warning(1, stage.now())]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await page.get_by_role("link", name="兰州市").click()
        await expect(banner(page, "refused")).to_contain_text("该令牌无权查看区域 兰州市 (620100)。（4403）仍停留在 城关区。")
        await expect(rows(page)).to_have_count(1)
        await expect(page.locator("#pulse")).to_have_attribute("data-state", "live")
        await page.get_by_role("button", name="知道了").click()
        await expect(page.locator("#banners > li")).to_have_count(0)


@pytest.mark.parametrize(("code", "says"), [(4400, "协议"), (4401, "令牌无效"), (4403, f"该令牌无权查看区域 {OTHER_DISTRICT}")])
async def test_refusal_is_said_and_not_repeated(stage: Stage, open_page: Opener, code: int, says: str) -> None:
    stage.refuse_with = code
    async with open_page(at(stage, OTHER_DISTRICT)) as page:
        await expect(page.locator("#ask-why")).to_contain_text(says)
        await asyncio.sleep(1.5)
        assert len(stage.hellos) == 1
        stage.refuse_with = None
        await expect(page.locator("[name=region]")).to_have_value(OTHER_DISTRICT)
        await page.locator("[name=token]").fill("tgr_test")
        await page.locator("[name=token]").press("Enter")
        await loaded(page)


async def test_token_that_ends_takes_the_data_off_the_screen(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now())]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await expect(rows(page)).to_have_count(1)
        stage.known.clear()
        await stage.drop(1012)
        await expect(page.locator("#ask-why")).to_contain_text("4401")
        await expect(page.locator("#screen")).to_be_hidden()
        await expect(rows(page)).to_have_count(0)


# ---- language, theme, size, hostile text, load --------------------------------------------------------------------------------------


async def test_language_and_theme_are_switched_and_kept(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor()]
    stage.values = [value(12.5, stage.now())]
    stage.warnings = [warning(1, stage.now())]
    async with open_page(at(stage), color_scheme="light") as page:
        await loaded(page)
        root = page.locator("html")
        await expect(root).to_have_attribute("data-theme", "light")
        await page.locator("#theme").click()
        await page.locator("#language").click()
        for _ in range(2):
            await expect(root).to_have_attribute("lang", "en")
            await expect(root).to_have_attribute("data-theme", "dark")
            await expect(rows(page)).to_contain_text("Low pipe flow")
            await expect(rows(page)).to_contain_text("limit ≤ 8 L/s")
            await expect(page.locator("h1")).to_have_text("Chengguan")
            await expect(line(page, "Flow").locator(".age")).to_contain_text("s ago")
            await page.reload()
        await page.locator("#language").click()
        await expect(rows(page)).to_contain_text("管网流量偏低")


async def test_system_theme_is_followed_until_one_is_chosen(stage: Stage, open_page: Opener) -> None:
    async with open_page(at(stage), color_scheme="dark") as page:
        await loaded(page)
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.emulate_media(color_scheme="light")
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")


async def test_hostile_text_is_text(stage: Stage, open_page: Opener) -> None:
    hostile = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'
    name = Name(zh=hostile, en=hostile)
    stage.sensors = [sensor(zh=hostile, flow=FLOW.model_copy(update={"name": name}))]
    stage.values = [value(1, stage.now())]
    stage.warnings = [warning(1, stage.now(), rule_name=name, sensor_name=name)]
    stage.unready["rules"] = hostile
    async with open_page(at(stage)) as page:
        await loaded(page)
        await rows(page).locator("summary").click()
        for place in ("#open h3", "#sensors h3", "#sensors .name", "#changes .rule"):
            await expect(page.locator(place)).to_have_text(hostile)
        await expect(banner(page, "rules:unready")).to_contain_text(hostile)
        assert await page.evaluate("window.broken === undefined && document.querySelectorAll('img, main script').length === 0")


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_phone_width_needs_no_sideways_scrolling(stage: Stage, open_page: Opener, language: str) -> None:
    now = stage.now()
    stage.sensors = [sensor(), sensor("dma-2", zh="名字很长很长的东岗西路地下综合管廊一号计量区", flow=FLOW, pressure=PRESSURE)]
    stage.values = [value(123456.789, now), value(0.31, now - timedelta(hours=30), sensor="dma-2", metric="pressure", quality=Quality.CALIBRATION)]
    stage.warnings = [warning(1, now - timedelta(hours=30), origin=Origin.REPLAYED)]
    stage.pipeline_age = timedelta(minutes=10)
    async with open_page(at(stage), viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True) as page:
        await loaded(page)
        if language == "en":
            await page.locator("#language").tap()
        await rows(page).locator("summary").tap()
        await expect(banner(page, "stalled")).to_be_visible()
        await page.locator("#sensors > li").last.scroll_into_view_if_needed()
        assert await page.evaluate("document.documentElement.scrollWidth") == 390


async def test_filter_finds_sensors(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor(), sensor("dma-2", zh="二号计量区"), sensor("dma-3", zh="三号计量区")]
    stage.values = [value(1, stage.now()), value(2, stage.now(), sensor="dma-2")]
    stage.warnings = [warning(1, stage.now(), sensor="dma-2")]
    async with open_page(at(stage)) as page:
        await loaded(page)
        seen = page.locator("#sensors > li:not([hidden]) h3")
        await page.locator("#find").fill("三号")
        await expect(seen).to_have_text(["三号计量区"])
        await page.locator("#find").fill("")
        await page.locator("#show").select_option("warned")
        await expect(seen).to_have_text(["二号计量区"])
        await page.locator("#show").select_option("unsound")
        await expect(seen).to_have_text(["三号计量区"])


COUNT_DRAWS = """() => {
  window.draws = 0;
  window.longest = 0;
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(() => { window.draws += 1; }).observe(document.body, all);
  new PerformanceObserver((list) => { for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration); })
    .observe({ type: "longtask" });
}"""


async def test_thousand_sensors_and_two_hundred_warnings(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.sensors = [sensor(f"s-{at}", zh=f"{at} 号测点", flow=FLOW, pressure=PRESSURE) for at in range(1000)]
    stage.values = [value(at, now, sensor=f"s-{at}", metric=metric) for at in range(1000) for metric in ("flow", "pressure")]
    stage.warnings = [warning(at, now - timedelta(seconds=at), tier=TIERS[at % 4], sensor=f"s-{at}") for at in range(200)]
    async with open_page(at(stage)) as page:
        await loaded(page)
        await expect(rows(page)).to_have_count(200)
        await expect(page.locator("#sensors > li")).to_have_count(1000)
        await page.evaluate(COUNT_DRAWS)
        seconds, sent = 4, 0
        for _ in range(seconds * 20):
            batch = [value(sent + at, stage.now(), sensor=f"s-{(sent + at) % 1000}") for at in range(25)]
            sent += len(batch)
            stage.send(values=batch, warnings=[warning(sent % 200, now, rev=sent, tier=TIERS[sent % 3], sensor=f"s-{sent % 200}")])
            await asyncio.sleep(1 / 20)
        draws, longest = await page.evaluate("[window.draws, window.longest]")
        print(f"{sent / seconds:.0f} values/s: {draws / seconds:.1f} draws a second, longest task {longest:.0f} ms")
        assert 0 < draws <= 4 * (seconds + 2)
        await expect(page.locator('#sensors > [data-sensor="s-999"] .value').first).to_have_text("1,999")
