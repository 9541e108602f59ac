"""Who lands where, the pages of auditors and administrators, the keyboard, and what axe says of each page in both themes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from schemas.access import Grant, Role
from schemas.audit import Outcome
from schemas.base import Name, Origin
from schemas.rest import User
from schemas.tiers import TIERS, Tier
from tests.browser.conftest import Opener
from tests.browser.frames import CITY, DISTRICT, FLOW, PRESSURE, STREET, acknowledgement, identity, sensor, value, warning
from tests.browser.looking import banner, does, loaded, panel, rows
from tests.browser.stage import Stage, audited

pytestmark = pytest.mark.asyncio(loop_scope="module")


def user(id_: str = "li-wei", *, disabled: bool = False) -> User:
    grants = (Grant(role=Role.STREET, region=STREET, departments=frozenset({"water"})),)
    return User(id=id_, name=Name(zh="李伟", en="Li Wei"), grants=grants, disabled=disabled, locked_until=None, provider=None, last_seen=None)


@pytest.mark.parametrize(
    ("who", "hash_", "shows"), [("shen", "#/audit", "审计记录"), ("guan", "#/users", "用户"), ("wu", "#/nothing", "你的账户没有可以打开的区域。")]
)
async def test_who_watches_nothing_lands_on_what_is_theirs(stage: Stage, open_page: Opener, who: str, hash_: str, shows: str) -> None:
    stage.guest = who
    async with open_page(stage.url) as page:
        await expect(page.locator("h1")).to_have_text(shows)
        assert page.url == f"{stage.url}/{hash_}"
        assert stage.hellos == []


async def test_pages_of_others_are_not_opened(stage: Stage, open_page: Opener) -> None:
    async with open_page(f"{stage.url}/#/users") as page:
        await expect(page.locator("h1")).to_have_text("你的账户没有可以打开的区域。")


async def test_part_that_is_gone_since_an_upgrade_is_said(stage: Stage, open_page: Opener) -> None:
    stage.guest = "shen"
    async with open_page(f"{stage.url}/#/nothing", tolerate="Failed to load resource") as page:
        await expect(page.locator("h1")).to_have_text("你的账户没有可以打开的区域。")
        await page.route("**/assets/Audit*", lambda route: route.abort())
        await page.evaluate("location.hash = '#/audit'")
        await expect(page.locator('.banners [data-key="broken"]')).to_contain_text("可能已有新版本")
        await page.unroute("**/assets/Audit*")
        await page.get_by_role("button", name="刷新页面").click()
        await expect(page.locator("h1")).to_have_text("审计记录")


async def test_audit_is_newest_first_and_goes_back(stage: Stage, open_page: Opener) -> None:
    stage.guest = "shen"
    now = stage.now()
    stage.audit = [audited(now - timedelta(minutes=at), "session.open") for at in range(60)]
    stage.audit[0] = audited(now, "region.watch", actor="mallory", outcome=Outcome.REFUSED, reason="region 620102 is not yours")
    async with open_page(f"{stage.url}/#/audit") as page:
        entries = page.locator("table.audit tbody tr")
        await expect(entries).to_have_count(50)
        for part in ("mallory", "region.watch", "拒绝", "region 620102 is not yours", "192.0.2.7"):
            await expect(entries.first).to_contain_text(part)
        await expect(entries.nth(1).locator('[title="session.open"]')).to_have_text("登录")
        await does(page, "more").click()
        await expect(entries).to_have_count(60)
        await expect(page.get_by_text("没有更早的记录了。")).to_be_visible()


async def test_user_is_made_with_scoped_grants(stage: Stage, open_page: Opener) -> None:
    stage.guest = "guan"
    async with open_page(f"{stage.url}/#/users", tolerate="422") as page:
        await does(page, "add-user").click()
        form = page.get_by_role("dialog")
        for name, text in {"id": "li-wei", "zh": "李伟", "en": "Li Wei", "password": "a long enough one", "region": STREET}.items():
            await form.locator(f"[name={name}]").fill(text)
        await form.locator("[name=role]").select_option("department")
        await form.locator("[name=all]").uncheck()
        await form.get_by_label("消防救援支队").check()
        await form.get_by_role("button", name="保存").click()
        await expect(page.locator('[data-user="li-wei"]')).to_contain_text(f"部门 · {STREET} · 消防救援支队")
        [made] = stage.told.made
        assert made.grants == (Grant(role=Role.DEPARTMENT, region=STREET, departments=frozenset({"fire"})),)


async def test_user_is_changed_and_disabled(stage: Stage, open_page: Opener) -> None:
    stage.guest = "guan"
    stage.users = [user()]
    async with open_page(f"{stage.url}/#/users") as page:
        await page.get_by_role("button", name="编辑 li-wei").click()
        form = page.get_by_role("dialog")
        await does(page, "add-grant").click()
        await form.locator("[name=role]").last.select_option("auditor")
        await form.locator("[name=disabled]").check()
        await form.get_by_role("button", name="保存").click()
        await expect(page.locator('[data-user="li-wei"]')).to_contain_text("停用")
        [(who, change)] = stage.told.changes
        assert (who, change.disabled, change.password) == ("li-wei", True, None)
        assert change.grants is not None
        assert [grant.role for grant in change.grants] == [Role.STREET, Role.AUDITOR]


async def test_keyboard_alone_finds_the_cause(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(1, stage.now())]
    async with open_page(stage.at()) as page:
        await loaded(page)
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#content")).to_be_focused()
        for _ in range(30):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.classList.contains('row')"):
                break
        await page.keyboard.press("Enter")
        await expect(panel(page)).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(panel(page)).to_have_count(0)


def busy(stage: Stage) -> None:
    """A region with one of everything."""
    now = stage.now()
    stage.sensors = [sensor(), sensor("dma-2", zh="二号计量区", flow=FLOW, pressure=PRESSURE)]
    stage.values = [value(12.5, now), value(3, now - timedelta(hours=2), sensor="dma-2", origin=Origin.SIMULATED)]
    origins = (Origin.REAL, Origin.REPLAYED, Origin.SIMULATED, Origin.EXERCISE)
    stage.warnings = [warning(at, now - timedelta(minutes=at), tier=tier, origin=origins[at]) for at, tier in enumerate(TIERS)]
    stage.actions = [acknowledgement(0, now, note="已派人")]
    stage.silent_since["history"] = now - timedelta(minutes=1)
    stage.audit = [audited(now, "session.open"), audited(now, "region.watch", outcome=Outcome.REFUSED)]
    stage.users = [user(), user("old", disabled=True)]


async def _region(page: Page, stage: Stage) -> None:
    await loaded(page)
    await expect(rows(page)).to_have_count(4)
    await expect(banner(page, "history:late")).to_be_visible()


async def _warning(page: Page, _: Stage) -> None:
    await loaded(page)
    await expect(page.locator(".chart canvas, .chart svg").first).to_be_visible()


async def _mute(page: Page, stage: Stage) -> None:
    await _region(page, stage)
    await does(page, "mute").click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def _menu(page: Page, stage: Stage) -> None:
    await _region(page, stage)
    await does(page, "account").click()


async def _password(page: Page, stage: Stage) -> None:
    await _menu(page, stage)
    await does(page, "password").click()
    await page.locator("dialog [name=present]").fill("x")
    await page.locator("dialog [name=new]").fill("short")
    await page.locator("dialog [name=again]").fill("short")
    await page.locator("dialog [name=again]").press("Enter")
    await expect(page.locator("dialog .why")).to_be_visible()


async def _ending(page: Page, stage: Stage) -> None:
    await _region(page, stage)
    stage.ends_at = stage.now() + timedelta(hours=1)
    await page.reload()
    await expect(banner(page, "ending")).to_be_visible()


async def _ended(page: Page, stage: Stage) -> None:
    await _region(page, stage)
    stage.guest = None
    await stage.drop(1012)
    await expect(banner(page, "ended")).to_be_visible()


async def _lost(page: Page, stage: Stage) -> None:
    await _region(page, stage)
    stage.mute = True
    await expect(page.locator(".screen")).to_have_class("screen stale")


async def _sign_in(page: Page, _: Stage) -> None:
    await page.locator("[name=user]").fill("chen")
    await page.locator("[name=password]").fill("wrong")
    await page.locator("[name=password]").press("Enter")
    await expect(page.locator(".why")).to_be_visible()


async def _audit(page: Page, _: Stage) -> None:
    await expect(page.locator("table.audit tbody tr")).to_have_count(2)


async def _users(page: Page, _: Stage) -> None:
    await expect(page.locator("table.users tbody tr")).to_have_count(2)
    await does(page, "add-user").click()
    await page.locator("[name=all]").uncheck()


PAGES: dict[str, tuple[str | None, str, Callable[[Page, Stage], Awaitable[None]]]] = {
    "sign-in": (None, "/sign-in", _sign_in),
    "city": ("chen", f"/regions/{CITY}", _region),
    "street": ("chen", f"/regions/{STREET}", _region),
    "warning": ("chen", f"/regions/{DISTRICT}/warnings/{identity(3)}", _warning),
    "mute": ("chen", f"/regions/{DISTRICT}", _mute),
    "menu": ("chen", f"/regions/{DISTRICT}", _menu),
    "password": ("chen", f"/regions/{DISTRICT}", _password),
    "ending": ("chen", f"/regions/{DISTRICT}", _ending),
    "ended": ("chen", f"/regions/{DISTRICT}", _ended),
    "stale": ("chen", f"/regions/{DISTRICT}", _lost),
    "audit": ("shen", "/audit", _audit),
    "users": ("guan", "/users", _users),
}


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("what", PAGES)
async def test_axe_finds_nothing_serious(stage: Stage, open_page: Opener, what: str, theme: str) -> None:
    busy(stage)
    who, path, make = PAGES[what]
    stage.guest = who
    async with open_page(f"{stage.url}/#{path}", tolerate="Failed to load resource", color_scheme=theme) as page:
        await make(page, stage)
        await page.wait_for_timeout(900)  # colours that change do so over 0.8 s
        found = await Axe().run(page)
        serious = [one for one in found.response["violations"] if one["impact"] in {"serious", "critical"}]
        told = [(one["id"], [node["target"] for node in one["nodes"]][:5], [node["failureSummary"] for node in one["nodes"]][:2]) for one in serious]
        assert not told, told


async def test_red_is_told_without_colour(stage: Stage, open_page: Opener) -> None:
    stage.warnings = [warning(at, stage.now(), tier=tier) for at, tier in enumerate(TIERS)]
    async with open_page(stage.at()) as page:
        await loaded(page)
        shapes = await rows(page).locator(".tier path").evaluate_all("nodes => nodes.map((node) => node.getAttribute('d'))")
        words = await rows(page).locator(".tier .word").all_inner_texts()
        assert len(set(shapes)) == len(Tier)
        assert words == ["红", "橙", "黄", "蓝"]
