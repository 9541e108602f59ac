"""Signing in and out, in a real browser against a stage."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from schemas.rest import Provider
from tests.browser.conftest import Opener
from tests.browser.frames import CITY, DISTRICT, STREET, TREE, warning
from tests.browser.looking import does, loaded, panel, rows
from tests.browser.stage import PEOPLE, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_SIGNED_IN = "401 (Unauthorized)"
"""The browser logs it when the page asks who is signed in, and nobody is."""


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
    async with open_page(stage.at(), tolerate=NOT_SIGNED_IN) as page:
        await loaded(page)
        await expect(rows(page)).to_have_count(1)
        stage.guest = None
        await stage.drop(1012)
        await expect(page.locator(".why")).to_contain_text("登录已失效")
        await expect(page.locator(".screen")).to_have_count(0)
        await sign_in(page, "dong")
        await loaded(page, DISTRICT)


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
