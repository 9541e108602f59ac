"""The registry in a real browser: sensors found and changed after a preview, files imported, devices that nobody knew registered."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Locator, Page, expect

from schemas.sensor import Life
from tests.browser.bureau import KNOWN, Bureau, busy, registered
from tests.browser.conftest import Opener
from tests.browser.frames import STREET
from tests.browser.looking import does, overflow, serious

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED = "Failed to load resource"


@pytest_asyncio.fixture(loop_scope="module")
async def bureau() -> AsyncIterator[Bureau]:
    async with Bureau() as made:
        made.guest = "shui"
        busy(made)
        yield made


def url(bureau: Bureau) -> str:
    return f"{bureau.url}/#/registry"


def row(page: Page, sensor: str) -> Locator:
    return page.locator(f'[data-sensor="{sensor}"]')


async def _edit(page: Page, sensor: str = KNOWN) -> Locator:
    await row(page, sensor).get_by_role("button").click()
    await does(page, "edit").click()
    return page.get_by_role("dialog")


def _file(text: str) -> FilePayload:
    return {"name": "sensors.csv", "mimeType": "text/csv", "buffer": text.encode()}


async def test_sensors_are_found_with_how_they_are_page_by_page(bureau: Bureau, open_page: Opener) -> None:
    bureau.registry |= {f"pipe-{at:03}": registered(f"pipe-{at:03}", f"{at} 号管", f"Pipe {at}") for at in range(100)}
    async with open_page(url(bureau)) as page:
        await expect(row(page, KNOWN)).to_contain_text("酒泉路 12 号")
        await expect(row(page, "dma-2")).to_contain_text("静默")
        await expect(row(page, "dma-2").locator(".aged")).to_contain_text("5 小时 3 分前")
        await expect(row(page, "dma-4").locator(".aged")).to_have_text("从未收到")
        await does(page, "more").click()
        await expect(page.locator("tbody tr")).to_have_count(109)
        await page.locator("[name=health]").select_option("silent")
        await expect(page.locator("tbody tr")).to_have_count(1)
        assert bureau.asked[-1][0] == "sensors health=silent&limit=100"
        await expect(does(page, "csv")).to_have_attribute("href", "/v1/sensors.csv?health=silent")


async def test_who_may_only_watch_reads_and_changes_nothing(bureau: Bureau, open_page: Opener) -> None:
    bureau.guest = "chen"
    async with open_page(url(bureau)) as page:
        await row(page, KNOWN).get_by_role("button").click()
        sheet = page.get_by_role("dialog")
        for part in ("5 分 0 秒", "zone=a", "120 L/s", "慢 7 秒", "4 次，最长 1 小时 30 分"):
            await expect(sheet).to_contain_text(part)
        await expect(page.locator("[data-do=edit], [data-do=add-sensor], .importing, .unknown")).to_have_count(0)


async def test_change_is_previewed_and_then_saved(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        sheet = await _edit(page)
        await sheet.locator("[name=high]").fill("90")
        await sheet.locator("[name=life]").select_option("suspended")
        await sheet.locator("[name=street]").fill("620109")
        await expect(does(page, "save")).to_be_disabled()
        await does(page, "preview").click()
        await expect(sheet.locator('[data-fault="region"]')).to_contain_text("there is no street 620109")
        await expect(does(page, "save")).to_be_disabled()
        await sheet.locator("[name=street]").fill(STREET)
        await does(page, "preview").click()
        change = sheet.locator(f'[data-change="{KNOWN}"]')
        await expect(change.locator(".field")).to_contain_text(["metrics.flow.high", "life"])
        await expect(change).to_contain_text("120 → 90")
        assert bureau.registry[KNOWN].life is Life.ACTIVE
        await does(page, "save").click()
        await expect(sheet).to_have_count(0)
        await expect(row(page, KNOWN)).to_contain_text("暂停")
        changed = bureau.registry[KNOWN]
        assert (changed.version, changed.life, changed.metrics["flow"].high, changed.metrics["flow"].spike) == (4, Life.SUSPENDED, 90, 30)


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau), tolerate=REFUSED) as page:
        sheet = await _edit(page)
        await sheet.locator("[name=station]").fill("st-1")
        await does(page, "preview").click()
        await expect(does(page, "save")).to_be_enabled()
        bureau.meddle = lambda before: before.model_copy(update={"version": 4, "cim": "cim-7"})
        await does(page, "save").click()
        await expect(sheet.locator(".conflict")).to_contain_text("现在是第 4 版：没有保存")
        await does(page, "take-there").click()
        await expect(sheet.locator("[name=cim]")).to_have_value("cim-7")
        await sheet.locator("[name=station]").fill("st-1")
        await does(page, "preview").click()
        await does(page, "save").click()
        await expect(sheet).to_have_count(0)
        assert (bureau.registry[KNOWN].version, bureau.registry[KNOWN].cim, bureau.registry[KNOWN].station) == (5, "cim-7", "st-1")


async def test_file_is_imported_after_a_preview_or_not_at_all(bureau: Bureau, open_page: Opener) -> None:
    head = "id,name_zh,metric.flow.high\n"
    async with open_page(url(bureau)) as page:
        choose = page.locator("[name=file]")
        await choose.set_input_files(_file(f"{head}dma-1,一号入口,90\ndma-2,二号入口,many\n"))
        await does(page, "preview-file").click()
        await expect(page.locator(".importing [data-fault]")).to_contain_text("第 3 行")
        await expect(page.locator(".importing [data-fault]")).to_contain_text("metric.flow.high")
        await expect(does(page, "import")).to_be_disabled()
        await choose.set_input_files(_file(f"{head}dma-1,一号入口,90\ndma-2,二号入口,120\n"))
        await does(page, "preview-file").click()
        await expect(page.locator(".importing .registration")).to_contain_text("新增 0 · 修改 2")
        await expect(page.locator('.importing [data-change="dma-1"]')).to_contain_text("一号计量区 → 一号入口")
        assert bureau.registry[KNOWN].version == 3
        await does(page, "import").click()
        await expect(page.locator(".importing .well")).to_contain_text("已导入")
        await expect(row(page, KNOWN)).to_contain_text("一号入口")
        assert bureau.registry["dma-2"].name.zh == "二号入口"


async def test_device_that_nobody_knew_is_registered_from_what_it_said(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        device = page.locator('[data-device="LZ0000000000000000000099"]')
        await expect(device).to_contain_text("421 次")
        await device.get_by_role("button").click()
        sheet = page.get_by_role("dialog")
        await expect(sheet.locator("[name=metric]")).to_have_count(2)
        for name, text in {"zh": "新工地", "en": "New site", "street": STREET}.items():
            await sheet.locator(f"[name={name}]").fill(text)
        await sheet.locator("[name=domain]").select_option("dust")
        for at in range(2):
            await sheet.locator("[name=unit]").nth(at).fill("mg/m3")
        await does(page, "preview").click()
        await expect(sheet.locator(".registration")).to_contain_text("新增 1")
        await does(page, "save").click()
        await expect(device).to_have_count(0)
        made = bureau.registry["hj212-LZ0000000000000000000099"]
        assert (made.version, made.adapter, set(made.metrics)) == (1, "hj212", {"a34002", "a34004"})


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing_serious(bureau: Bureau, open_page: Opener, theme: str) -> None:
    async with open_page(url(bureau), color_scheme=theme) as page:
        await page.locator("[name=file]").set_input_files(_file("id,metric.flow.high\ndma-1,many\n"))
        await does(page, "preview-file").click()
        await expect(page.locator(".importing [data-fault]")).to_be_visible()
        assert not await serious(page)
        sheet = await _edit(page)
        await sheet.locator("[name=high]").fill("90")
        await does(page, "preview").click()
        await expect(sheet.locator("[data-change]")).to_be_visible()
        assert not await serious(page)


async def test_phone_cuts_nothing_off(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau), viewport={"width": 390, "height": 844}) as page:
        await expect(row(page, KNOWN)).to_be_visible()
        assert await overflow(page) <= 0
        await _edit(page)
        assert await overflow(page) <= 0
