"""Signing in and out, in a real browser against a stage."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from schemas.rest import Provider
from tests.browser.conftest import Opener
from tests.browser.frames import CITY, DISTRICT, STREET, TREE, warning
from tests.browser.looking import banner, does, loaded, panel, rows
from tests.browser.stage import PEOPLE, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITYS = ZoneInfo("Asia/Shanghai")
NOT_SIGNED_IN = "401 (Unauthorized)"
"""The browser logs it when the page asks who is signed in, and nobody is."""


def shown(at: datetime, today: datetime | None = None) -> str:
    """Return a time as the page shows it in the city, which is far from where the browser stands."""
    here, day = at.astimezone(CITYS), (today or at).astimezone(CITYS)
    if today is None:
        return here.strftime("%Y-%m-%d %H:%M:%S")
    return here.strftime("%H:%M:%S" if here.date() == day.date() else "%m-%d %H:%M:%S")


async def sign_in(page: Page, who: str, password: str | None = None) -> None:
    await page.locator("[name=user]").fill(who)
    await page.locator("[name=password]").fill(password or PEOPLE[who].password)
    await page.locator("[name=password]").press("Enter")


@pytest.mark.parametrize(("who", "region"), [("chen", CITY), ("dong", DISTRICT), ("jie", STREET)])
async def test_each_level_begins_with_its_own_region(stage: Stage, open_page: Opener, who: str, region: str) -> None:
    stage.guest = None
    async with open_page(stage.url, tolerate=NOT_SIGNED_IN) as page:
        await sign_in(page, who)
        await loaded(page, region)
        await expect(page.locator("h1")).to_have_text(TREE[region].name.zh)
        await page.reload()
        await loaded(page, region)
        assert all(hello.token is None for hello in stage.hellos)


async def test_wrong_password_is_said_and_the_next_one_works(stage: Stage, open_page: Opener) -> None:
    stage.guest = None
    async with open_page(stage.url, tolerate=NOT_SIGNED_IN) as page:
        await sign_in(page, "chen", "not it at all")
        await expect(page.locator(".why")).to_have_text("用户名或密码不对。")
        await expect(page.locator("[name=user]")).to_have_value("chen")
        await expect(page.locator("[name=password]")).to_be_focused()
        await sign_in(page, "chen")
        await loaded(page)


async def test_lock_says_how_long_it_lasts(stage: Stage, open_page: Opener) -> None:
    stage.guest, stage.locked_s = None, 2
    async with open_page(stage.url, tolerate="Failed to load resource") as page:
        await sign_in(page, "chen")
        await expect(page.locator(".why")).to_contain_text("暂时锁定：2 秒")
        stage.locked_s = 0
        await expect(page.locator(".why")).to_contain_text("锁定时间已过")
        await sign_in(page, "chen")
        await loaded(page)


async def test_address_is_kept_through_signing_in(stage: Stage, open_page: Opener) -> None:
    stage.guest = None
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at(DISTRICT, 1), tolerate=NOT_SIGNED_IN) as page:
        await sign_in(page, "chen")
        await loaded(page, DISTRICT)
        await expect(panel(page)).to_contain_text("管网流量偏低")


async def test_session_that_ends_takes_the_data_off_the_screen_and_leads_back(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at(), tolerate=NOT_SIGNED_IN, timezone_id="America/New_York") as page:
        await loaded(page)
        await expect(rows(page)).to_have_count(1)
        stage.guest = None
        before = shown(stage.now())
        await stage.drop(1012)
        await expect(page.locator(".why")).to_contain_text("登录已失效")
        await expect(page.locator(".screen")).to_have_count(0)
        said = await banner(page, "ended").locator(".text").inner_text()
        since = said.removeprefix("登录已结束：本屏自 ").removesuffix(" 起不再显示任何数据。")
        assert before <= since <= shown(stage.now()), "by the city's time, and of the moment"
        await expect(page.locator('[data-say="assertive"]')).to_have_text(said)
        assert await page.title() == "⚠ 登录已结束 · 登录 · 统管"
        await does(page, "language").click()
        await expect(banner(page, "ended")).to_contain_text(f"this screen shows nothing since {since}.")
        await does(page, "language").click()
        await sign_in(page, "dong")
        await loaded(page, DISTRICT)
        await expect(page).to_have_title("黄 Ⅲ 1 · 城关区 · 统管")


async def test_end_of_a_session_on_a_page_that_watched_nothing_is_no_alarm(stage: Stage, open_page: Opener) -> None:
    stage.guest = "shen"
    async with open_page(f"{stage.url}/#/audit", tolerate=NOT_SIGNED_IN) as page:
        await expect(page.locator("h1")).to_have_text("审计记录")
        await page.route("**/v1/audit*", lambda route: route.fulfill(status=401, json={"title": "unauthorised"}))
        stage.guest = None
        await page.reload()
        await expect(page.locator("[name=user]")).to_be_visible()
        await expect(banner(page, "ended")).to_have_count(0)
        await sign_in(page, "shen")
        await expect(page.locator(".why")).to_contain_text("登录已失效")
        await expect(banner(page, "ended")).to_have_count(0)


async def test_end_of_a_session_is_told_before_and_signing_in_again_leads_back(stage: Stage, open_page: Opener) -> None:
    ends = stage.now() + timedelta(hours=11)
    stage.ends_at = ends
    async with open_page(stage.at(STREET), tolerate=NOT_SIGNED_IN) as page:
        await loaded(page, STREET)
        await expect(banner(page, "ending")).to_contain_text(f"此次登录将于 {shown(ends, stage.now())} 结束")
        await expect(page.locator('[data-say="polite"]')).to_contain_text("此次登录将于")
        stage.ends_at = None
        await banner(page, "ending").get_by_role("button", name="重新登录").click()
        await sign_in(page, "dong")
        await loaded(page, STREET)
        await expect(banner(page, "ending")).to_have_count(0)


async def test_end_that_use_puts_off_is_not_told(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at()) as page:
        await loaded(page)
        await page.wait_for_timeout(1500)
        await expect(banner(page, "ending")).to_have_count(0)


async def change_password(page: Page, present: str, new: str, again: str | None = None) -> None:
    for name, text in {"present": present, "new": new, "again": new if again is None else again}.items():
        await page.locator(f"dialog [name={name}]").fill(text)
    await page.locator("dialog button[type=submit]").click()


async def test_own_password_is_changed_and_the_session_goes_on(stage: Stage, open_page: Opener) -> None:
    right, new = PEOPLE["chen"].password, "battery staple 马"
    async with open_page(stage.at(), tolerate="Failed to load resource") as page:
        await loaded(page)
        await does(page, "account").click()
        await does(page, "password").click()
        why = page.locator("dialog .why")
        await change_password(page, right, "elf zeichen")
        await expect(why).to_have_text("新密码至少要有 12 位。")
        await change_password(page, right, new, new + "!")
        await expect(why).to_have_text("两次输入的新密码不一样。")
        await change_password(page, "not it at all", new)
        await expect(why).to_have_text("现在的密码不对。")
        await expect(page.locator("dialog [name=present]")).to_be_focused()
        stage.locked_s = 30
        await change_password(page, right, new)
        await expect(why).to_contain_text("暂时锁定：30 秒")
        stage.locked_s = 0
        assert stage.told.passwords == []
        await change_password(page, right, new)
        await expect(page.locator("dialog [role=status]")).to_contain_text("你在其他地方的登录已全部结束")
        assert [(who, wanted.new) for who, wanted in stage.told.passwords] == [("chen", new)]
        await page.get_by_role("button", name="关闭").click()
        await expect(does(page, "account")).to_be_focused()
        await expect(page.locator(".pulse")).to_have_attribute("data-state", "live")
        assert stage.watchers == 1


async def test_session_that_has_ended_changes_no_password(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at(), tolerate=NOT_SIGNED_IN) as page:
        await loaded(page)
        await does(page, "account").click()
        await does(page, "password").click()
        stage.guest = None
        await change_password(page, PEOPLE["chen"].password, "battery staple 马")
        await expect(banner(page, "ended")).to_be_visible()
        await expect(page.locator("dialog")).to_have_count(0)


async def test_who_comes_from_a_provider_has_no_password_here(stage: Stage, open_page: Opener) -> None:
    stage.guest = "oidc:ning"
    async with open_page(stage.at()) as page:
        await loaded(page)
        await does(page, "account").click()
        await expect(does(page, "sign-out")).to_be_visible()
        await expect(does(page, "password")).to_have_count(0)


async def test_signing_out_ends_it(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at(), tolerate=NOT_SIGNED_IN) as page:
        await loaded(page)
        await does(page, "account").click()
        await expect(page.locator(".menu")).to_contain_text("市级值守")
        await does(page, "sign-out").click()
        await expect(page.locator("[name=user]")).to_be_visible()
        await expect(page.locator(".screen")).to_have_count(0)
        assert stage.guest is None, "the gateway was not told"
        assert stage.watchers == 0
        await page.go_back()
        await expect(page.locator("[name=user]")).to_be_visible()


async def test_provider_is_offered_and_told_where_to_come_back(stage: Stage, open_page: Opener) -> None:
    stage.guest, stage.oidc = None, Provider(name="政务统一认证", url="/v1/oidc/start")
    async with open_page(stage.at(STREET), tolerate=NOT_SIGNED_IN) as page:
        link = page.get_by_role("link", name="用 政务统一认证 登录")
        await expect(link).to_have_attribute("href", f"/v1/oidc/start?to=%2Fregions%2F{STREET}")


async def test_gateway_that_does_not_answer_at_first_is_said(stage: Stage, open_page: Opener) -> None:
    async with open_page(stage.at(), tolerate="Failed to load resource") as page:
        await loaded(page)
        await page.route("**/v1/session", lambda route: route.abort())
        await page.reload()
        await expect(page.locator('.banners [data-key="unreached"]')).to_contain_text("连不上网关")
        await page.unroute("**/v1/session")
        await loaded(page)
