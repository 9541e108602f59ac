"""The page of a region in a real browser, against a stage that speaks the live protocol."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from playwright.async_api import expect

from schemas.base import Domain, Name, Origin
from schemas.observation import Quality
from schemas.tiers import Tier
from schemas.warning import Change, WarningState
from tests.browser.conftest import Opener
from tests.browser.frames import CITY, DISTRICT, FLOW, OTHER_DISTRICT, OTHER_STREET, PRESSURE, STREET, acknowledgement, sensor, value, warning
from tests.browser.looking import banner, cleared, does, line, loaded, rows, tile
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_snapshot_shows_warnings_gravest_first_with_all_that_is_promised(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.sensors = [sensor(place=Name(zh="泵房", en="Pump house"))]
    stage.warnings = [
        warning(1, now - timedelta(minutes=1), tier=Tier.BLUE),
        warning(2, now - timedelta(minutes=9), tier=Tier.RED, origin=Origin.REPLAYED),
        warning(3, now - timedelta(minutes=5), tier=Tier.RED, origin=Origin.EXERCISE),
        warning(4, now - timedelta(minutes=2), tier=Tier.ORANGE, origin=Origin.SIMULATED),
    ]
    stage.actions = [acknowledgement(3, now)]
    async with open_page(stage.at()) as page:
        await loaded(page)
        await expect(rows(page).locator(".tier")).to_have_text(["红 Ⅰ", "红 Ⅰ", "橙 Ⅱ", "蓝 Ⅳ"])
        await expect(rows(page).locator(".origin")).to_have_text(["演练", "回放", "模拟"])
        await expect(rows(page).last.locator(".origin")).to_have_count(0)
        promised = ("管网流量偏低", "酒泉路街道 · 一号计量区 · 泵房", "供水 · 水务局", "6.5 L/s", "限值 ≤ 8 L/s", "9 分", "始于", "已持续 9 分")
        for part in promised:
            await expect(rows(page).nth(1)).to_contain_text(part)
        await expect(rows(page).locator(".ack")).to_have_text(["✓ 已确认"])
        await expect(rows(page).first).to_contain_text("已确认")
        for tier, count in {"red": "2", "orange": "1", "yellow": "0", "blue": "1"}.items():
            await expect(tile(page, tier)).to_have_text(count)
        shapes = await rows(page).locator(".tier path").evaluate_all("nodes => nodes.map((node) => node.getAttribute('d'))")
        assert len(set(shapes)) == 3, "each tier has its own shape"
        assert await page.title() == "红 Ⅰ 2 · 城关区 · 统管"


async def test_delta_raises_lowers_and_clears_a_warning(stage: Stage, open_page: Opener) -> None:
    began = stage.now() - timedelta(seconds=20)
    stage.sensors = [sensor()]
    stage.warnings = [warning(9, began, tier=Tier.ORANGE)]
    async with open_page(stage.at()) as page:
        await loaded(page)
        stage.send(warnings=[warning(1, began)])
        await expect(rows(page).locator(".tier")).to_have_text(["橙 Ⅱ", "黄 Ⅲ"])
        await expect(page.locator('[data-say="polite"]')).to_have_text("黄色预警新发：管网流量偏低，一号计量区")
        stage.send(warnings=[warning(1, began, rev=2, tier=Tier.RED, change=Change.RAISED, changed=stage.now())])
        await expect(rows(page).locator(".tier")).to_have_text(["红 Ⅰ", "橙 Ⅱ"])
        await expect(rows(page).locator(".change")).to_have_text(["升级", "新发"])
        await expect(page.locator('[data-say="assertive"]')).to_contain_text("红色预警升级")
        stage.send(warnings=[warning(1, began, rev=3, tier=Tier.BLUE, change=Change.LOWERED, changed=stage.now())])
        await expect(rows(page).locator(".tier")).to_have_text(["橙 Ⅱ", "蓝 Ⅳ"])
        stage.send(warnings=[warning(1, began, rev=4, tier=Tier.BLUE, change=Change.RECOVERED, state=WarningState.CLEARED, changed=stage.now())])
        await expect(rows(page)).to_have_count(1)
        await expect(cleared(page)).to_contain_text("解除")
        await expect(tile(page, "blue")).to_have_text("0")
        await expect(page.locator(".log > li strong")).to_have_text(["恢复", "降级", "升级", "新发", "新发"])


async def test_broken_frame_is_followed_by_a_new_snapshot(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at(), tolerate="a frame could not be applied") as page:
        await loaded(page)
        stage.warnings = [warning(1, stage.now())]
        hellos = len(stage.hellos)
        stage.send_text("no such thing")
        await expect(rows(page)).to_have_count(1)
        assert len(stage.hellos) == hellos + 1


async def test_unknown_frame_and_new_words_are_borne(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at()) as page:
        await loaded(page)
        stage.send_text(json.dumps({"type": "later", "server_time": stage.now().isoformat()}))
        frame = json.loads(warning(1, stage.now()).model_dump_json()) | {"change": "postponed"}
        delta = {"type": "delta", "server_time": stage.now().isoformat(), "position": "p", "warnings": [frame], "values": [], "sensors": []}
        stage.send_text(json.dumps(delta))
        await expect(rows(page).locator(".change")).to_have_text("postponed")
        assert len(stage.hellos) == 1


async def test_from_city_to_street_and_up_without_a_reload(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor(), sensor("dma-2", zh="二号计量区", street=OTHER_STREET)]
    stage.warnings = [
        warning(1, stage.now()),
        warning(2, stage.now(), street=OTHER_STREET, tier=Tier.ORANGE),
        warning(3, stage.now(), street="620103001"),
    ]
    async with open_page(stage.at(CITY)) as page:
        await loaded(page, CITY)
        await page.evaluate("window.same = true")
        below = page.locator(".children li")
        await expect(below.locator(".name")).to_have_text(["城关区", "七里河区"])
        await expect(below.first.locator(".some")).to_have_text(["橙1", "黄1"])
        await expect(rows(page).filter(has_text="西园街道")).to_have_count(1)
        await below.get_by_role("link", name="城关区").click()
        await loaded(page, DISTRICT)
        await page.locator(f'.children [data-region="{OTHER_STREET}"]').press("Enter")
        await loaded(page, OTHER_STREET)
        await expect(page.locator("h1")).to_have_text("张掖路街道")
        await expect(rows(page)).to_have_count(1)
        await expect(page.locator(".lines strong", has_text="计量区")).to_have_text("二号计量区")
        await expect(page.locator(".whereabouts li")).to_have_text(["兰州市", "城关区"])
        await page.get_by_role("link", name="兰州市").click()
        await loaded(page, CITY)
        await page.go_back()
        await loaded(page, OTHER_STREET)
        assert await page.evaluate("window.same")
        assert stage.watchers == 1


async def test_what_is_not_theirs_is_no_link_and_refused_by_address(stage: Stage, open_page: Opener) -> None:
    stage.guest = "dong"
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at()) as page:
        await loaded(page)
        await expect(page.locator(".whereabouts ol a")).to_have_count(0)
        await page.evaluate(f"location.hash = '#/regions/{OTHER_DISTRICT}'")
        await expect(banner(page, "refused")).to_contain_text(f"你无权查看区域 {OTHER_DISTRICT}。（4403）仍停留在 城关区。")
        await expect(rows(page)).to_have_count(1)
        await expect(page.locator(".pulse")).to_have_attribute("data-state", "live")
        assert page.url.endswith(f"/regions/{DISTRICT}")
        await page.get_by_role("button", name="知道了").click()
        await expect(page.locator(".banners > li")).to_have_count(0)


async def test_refused_region_leads_to_ones_own(stage: Stage, open_page: Opener) -> None:
    stage.guest = "dong"
    async with open_page(stage.at(OTHER_DISTRICT)) as page:
        await expect(page.locator(".opening")).to_contain_text("你无权查看区域")
        await page.get_by_role("link", name="打开我的区域").click()
        await loaded(page, DISTRICT)


async def test_old_page_is_told_to_reload(stage: Stage, open_page: Opener) -> None:
    stage.refuse_with = 4400
    async with open_page(stage.at()) as page:
        await expect(page.locator(".opening")).to_contain_text("页面可能已过期")
        await page.wait_for_timeout(1500)
        assert len(stage.hellos) == 1


async def test_counts_are_filters(stage: Stage, open_page: Opener) -> None:
    now = stage.now()
    stage.warnings = [warning(1, now), warning(2, now, tier=Tier.RED), warning(3, now, domain=Domain.FIRE)]
    async with open_page(stage.at()) as page:
        await loaded(page)
        await page.get_by_role("button", name="只看消防：1 条预警").click()
        await expect(rows(page)).to_have_count(1)
        await expect(page.locator("#warnings-title output")).to_have_text("1 / 3")
        await page.get_by_role("button", name="只看红色预警：1 条").click()
        await expect(page.locator(".warnings .none")).to_have_text("没有符合筛选条件的预警。")
        await page.get_by_role("button", name="清除筛选").click()
        await expect(rows(page)).to_have_count(3)


async def test_filter_finds_sensors(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor(), sensor("dma-2", zh="二号计量区"), sensor("dma-3", zh="三号计量区")]
    stage.values = [value(1, stage.now()), value(2, stage.now(), sensor="dma-2")]
    stage.warnings = [warning(1, stage.now(), sensor="dma-2")]
    async with open_page(stage.at()) as page:
        await loaded(page)
        seen = page.locator(".lines .series .label strong")
        await page.locator("[name=find]").fill("三号")
        await expect(seen).to_have_text(["三号计量区"])
        await page.locator("[name=find]").fill("")
        await page.locator("[name=show]").select_option("warned")
        await expect(seen).to_have_text(["二号计量区"])
        await page.locator("[name=show]").select_option("unsound")
        await expect(seen).to_have_text(["三号计量区"])


async def test_language_and_theme_are_switched_and_kept(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor()]
    stage.values = [value(12.5, stage.now())]
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at(), color_scheme="light") as page:
        await loaded(page)
        root = page.locator("html")
        await expect(root).to_have_attribute("data-theme", "light")
        await does(page, "theme").click()
        await does(page, "language").click()
        for _ in range(2):
            await expect(root).to_have_attribute("lang", "en")
            await expect(root).to_have_attribute("data-theme", "dark")
            await expect(rows(page)).to_contain_text("Low pipe flow")
            await expect(rows(page)).to_contain_text("limit ≤ 8 L/s")
            await expect(page.locator("h1")).to_have_text("Chengguan")
            await expect(line(page, "Flow").locator(".age")).to_contain_text("s ago")
            await page.reload()
        await does(page, "language").click()
        await expect(rows(page)).to_contain_text("管网流量偏低")


async def test_system_theme_is_followed_until_one_is_chosen(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at(), color_scheme="dark") as page:
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
    async with open_page(stage.at(DISTRICT, 1)) as page:
        await loaded(page)
        for place in (".row .rule", ".lines .name", ".log .rule", "#panel-title"):
            await expect(page.locator(place)).to_have_text(hostile)
        await expect(banner(page, "rules:unready")).to_contain_text(hostile)
        assert await page.evaluate("window.broken === undefined && document.querySelectorAll('img, main script').length === 0")


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_phone_width_needs_no_sideways_scrolling(stage: Stage, open_page: Opener, language: str) -> None:
    now = stage.now()
    stage.sensors = [sensor(), sensor("dma-2", zh="名字很长很长的东岗西路地下综合管廊一号计量区", flow=FLOW, pressure=PRESSURE)]
    stage.values = [value(123456.789, now), value(0.31, now - timedelta(hours=30), sensor="dma-2", metric="pressure", quality=Quality.CALIBRATION)]
    stage.warnings = [warning(1, now - timedelta(hours=30), origin=Origin.REPLAYED, tier=Tier.RED)]
    stage.pipeline_age = timedelta(minutes=10)
    async with open_page(stage.at(), viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True) as page:
        await loaded(page)
        if language == "en":
            await does(page, "language").tap()
        await expect(banner(page, "stalled")).to_be_visible()
        for where in (".values", ".changes"):
            await page.locator(where).last.scroll_into_view_if_needed()
            assert await page.evaluate("document.documentElement.scrollWidth") == 390
        first = await rows(page).first.bounding_box()
        others = await page.locator(".values").bounding_box()
        assert first
        assert others
        assert first["y"] < others["y"], "the list comes first"
        await rows(page).first.tap()
        await expect(page.locator("#panel-title")).to_be_in_viewport()
        await expect(page.locator(".values")).to_be_hidden()
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        await does(page, "close").tap()
        await expect(page.locator(f'.screen[data-region="{DISTRICT}"]')).to_be_visible()


async def test_street_without_children_shows_its_sensors(stage: Stage, open_page: Opener) -> None:
    stage.sensors = [sensor()]
    stage.values = [value(12.5, stage.now())]
    async with open_page(stage.at(STREET)) as page:
        await loaded(page, STREET)
        await expect(page.locator(".children")).to_have_count(0)
        await expect(line(page).locator(".value")).to_have_text("12.5")
