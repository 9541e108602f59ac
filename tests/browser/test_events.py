"""What became of a department's events, in a real browser: counts, what was refused and is mended, stopped ways in, one event's fate, keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from schemas.rest import Discarding, KeyMaking, KeyReplacing, SendingAgain
from tests.browser.bureau import KNOWN, SECRET, Bureau, busy
from tests.browser.conftest import Opener
from tests.browser.frames import identity
from tests.browser.looking import does, overflow, serious

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"viewport": {"width": 390, "height": 844}}


@pytest_asyncio.fixture(loop_scope="module")
async def bureau() -> AsyncIterator[Bureau]:
    async with Bureau() as made:
        made.guest = "shui"
        busy(made)
        yield made


def url(bureau: Bureau) -> str:
    return f"{bureau.url}/#/departments"


def refused(number: int) -> str:
    return f'[data-refusal="{identity(20_000 + number)}"]'


async def test_department_sees_its_counts_and_what_of_them_was_refused(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(f"{bureau.url}/#/") as page:
        await does(page, "account").click()
        await page.locator(".menu").get_by_role("link", name="我的数据去哪了").click()
        await expect(page.locator('[data-sum="observations"]')).to_contain_text("172,431")
        assert page.url == f"{url(bureau)}/water"
        await expect(page.locator('[data-sum="refused"]')).to_contain_text("占收到的 0.3 %")
        await expect(page.locator('[data-sum="warned"] [data-tier="yellow"]').first).to_contain_text("4")
        await expect(page.locator('[data-reason="unknown_sensor"]')).to_contain_text("传感器未登记")
        await expect(page.locator('[data-reason="bad_time"]')).to_contain_text("12 条待处理")
        await page.locator('[data-range="week"]').click()
        await expect(page.locator('[data-range="week"]')).to_have_attribute("aria-pressed", "true")
        await expect(page.locator(".flow rect.refused")).to_have_count(7 * 24 + 1)
        await expect(page.locator(".times")).to_contain_text("秒前")


async def test_stopped_way_in_is_said_loudly_and_opened_again(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        stopped = page.locator('[data-door="mqtt"] [role="alert"]')
        await expect(stopped).to_contain_text("there is no sensor 'dma-l' in the registry")
        await expect(page.locator("[data-stopped]")).to_have_count(1)
        await stopped.get_by_role("button").click()
        await expect(page.locator(".doors .well")).to_contain_text("已要求重新开通")
        await expect(page.locator("[data-stopped]")).to_have_count(0)
        assert ("reopen mqtt", None) in bureau.asked


async def test_refused_event_is_mended_until_it_is_accepted(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        await page.locator(refused(1)).get_by_role("button").click()
        sheet = page.get_by_role("dialog")
        for part in ("there is no sensor 'dma-l' in the registry", "data.sensor", "correct the id", "192.0.2.17"):
            await expect(sheet).to_contain_text(part)
        body = sheet.locator("textarea")
        came = await body.input_value()
        await body.fill(came.replace("dma-l", "dma-2"))
        await expect(does(page, "again")).to_be_disabled()
        await does(page, "mended").click()
        await expect(sheet.locator(".anew")).to_contain_text("再次提交后仍被拒：传感器未登记")
        await body.fill(came.replace("dma-l", KNOWN))
        await does(page, "mended").click()
        await expect(sheet.locator(".became")).to_contain_text("再次提交后已接受（1 条）")
        await expect(does(page, "mended")).to_have_count(0)
        await does(page, "close").click()
        await expect(page.locator(refused(1))).to_have_count(0)
        [_, (_, last)] = bureau.asked_of("again")
        assert last == SendingAgain(rejected=(identity(20_001),), mended=came.replace("dma-l", KNOWN))


async def test_bytes_that_are_no_text_are_mended_as_digits(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        await page.locator(refused(5)).get_by_role("button").click()
        body = page.locator("dialog textarea")
        await expect(body).to_have_value(b"##0101QN=2026\xff\xfe".hex())
        await body.fill("23 23 30")
        await does(page, "mended").click()
        await expect(page.locator("dialog .anew")).to_be_visible()
        assert bureau.asked_of("again") == [("again", SendingAgain(rejected=(identity(20_005),), mended_hex="232330"))]


async def test_many_are_found_and_sent_again_or_discarded(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        rows = page.locator(".refusals tbody tr")
        await expect(rows).to_have_count(6)
        await page.locator(".sieve [name=reason]").select_option("unknown_sensor")
        await expect(rows).to_have_count(4)
        await page.get_by_label("全选").check()
        await page.locator(refused(3)).get_by_role("checkbox").uncheck()
        await expect(page.locator(".bulk")).to_contain_text("已选 3 条")
        await does(page, "again-many").click()
        await expect(page.locator(".refusals .well")).to_have_text("已提交 3 条：仍被拒 3")
        await page.locator(refused(0)).get_by_role("checkbox").check()
        await page.locator(".bulk [name=note]").fill("旧网关的测试数据")
        await does(page, "discard-many").click()
        await expect(rows).to_have_count(3)
        await page.locator(".sieve [name=state]").select_option("discarded")
        await expect(page.locator(refused(0))).to_contain_text("不再处理")
        assert bureau.asked_of("discard") == [("discard", Discarding(rejected=(identity(20_000),), note="旧网关的测试数据"))]


async def test_fate_of_one_event_is_found(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        fate = page.locator(".fate")
        await fate.locator("[name=sensor]").fill(KNOWN)
        await fate.locator("[name=at]").fill("2026-11-23T08:00")
        await does(page, "find").click()
        await expect(fate.locator('[data-became="accepted"]')).to_contain_text("flow 6.5 · pressure 9.9（突变）")
        await expect(fate.locator('[data-became="refused"]')).to_contain_text("传感器未登记")
        await expect(fate.locator('[data-became="warned"]')).to_contain_text("管网流量偏低")
        assert bureau.asked[-1][0] == "event sensor=dma-1&at=2026-11-23T00%3A00%3A00.000Z"
        bureau.fate = None
        await fate.locator("[name=by]").select_option("event")
        await fate.locator("[name=source]").fill("urn:water:scada")
        await fate.locator("[name=id]").fill("e-9")
        await does(page, "find").click()
        await expect(fate.locator(".found")).to_contain_text("既没有接受，也没有被拒")


async def test_key_is_shown_once_replaced_and_revoked(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau)) as page:
        await does(page, "make-key").click()
        form = page.locator(".keys .doing")
        await form.locator("[name=label]").fill("二号主站")
        await form.get_by_label("事件上报").check()
        await does(page, "key").click()
        await expect(page.locator(".secret input")).to_have_value(SECRET)
        await does(page, "kept-it").click()
        await expect(page.locator(".secret")).to_have_count(0)
        assert SECRET not in await page.content()
        made = page.locator('[data-key="key-2"]')
        await expect(made).to_contain_text("范围：事件上报")
        await made.locator("[data-do=replace-key]").click()
        await form.locator("[name=overlap]").fill("1.5")
        await does(page, "key").click()
        await expect(page.locator(".secret input")).to_be_visible()
        await made.locator("[data-do=revoke-key]").click()
        await does(page, "key").click()
        await expect(made).to_have_attribute("data-state", "keyRevoked")
        assert KeyMaking.model_validate(bureau.asked_of("key")[0][1]).scope.types == {"report"}
        assert bureau.asked_of("replace") == [("replace", KeyReplacing(overlap_s=5_400))]


async def test_who_has_no_department_is_told_so_or_not_let_in(bureau: Bureau, open_page: Opener) -> None:
    bureau.guest = "chen"
    async with open_page(url(bureau)) as page:
        await expect(page.locator("h1")).to_have_text("你的账户没有可以打开的区域。")
    bureau.guest, bureau.departments = "guan", []
    async with open_page(url(bureau)) as page:
        await expect(page.locator(".events .none")).to_contain_text("没有全市范围内由你查看的部门")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing_serious(bureau: Bureau, open_page: Opener, theme: str) -> None:
    async with open_page(url(bureau), color_scheme=theme) as page:
        await does(page, "make-key").click()
        await page.locator(".keys [name=label]").fill("x")
        await does(page, "key").click()
        await page.locator(".refusals [name=pick]").first.check()
        await page.locator(".flow summary").click()
        assert not await serious(page)
        await page.locator(refused(0)).get_by_role("button").click()
        await does(page, "again").click()
        await expect(page.locator("dialog .anew")).to_be_visible()
        assert not await serious(page)


async def test_phone_shows_a_stopped_way_in_first_and_nothing_is_cut(bureau: Bureau, open_page: Opener) -> None:
    async with open_page(url(bureau), **PHONE) as page:
        await expect(page.locator(".refusals tbody tr")).to_have_count(6)
        door, rows = await page.locator(".doors").bounding_box(), await page.locator(".refusals").bounding_box()
        assert door
        assert rows
        assert door["y"] < rows["y"]
        assert await overflow(page) <= 0
        await page.locator(refused(0)).get_by_role("button").click()
        await expect(page.locator("dialog textarea")).to_be_visible()
        assert await overflow(page) <= 0
