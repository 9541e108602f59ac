"""What a desk does of a warning, who is on duty, what is silenced, and handing over, in a real browser; and what axe says of all these pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from schemas.action import Decision, Deed
from schemas.alerting import TeamRole
from schemas.command import Position
from schemas.notification import Result
from schemas.rest import FieldAnswer, HandOverShown
from schemas.tiers import Tier
from schemas.warning import Change
from tests.browser.conftest import Opener
from tests.browser.crew import TOKEN, Crew, actor, alert, brief, duty_team, link, notification, on_the_way, silence
from tests.browser.frames import CITY, DISTRICT, identity, warning
from tests.browser.looking import does, loaded, panel, rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON_MS = 1000
"""What one desk does is on the others' screens within a second."""


@pytest_asyncio.fixture(loop_scope="module")
async def crew() -> AsyncIterator[Crew]:
    async with Crew() as made:
        made.warnings = [warning(1, made.now() - timedelta(minutes=3), tier=Tier.RED), warning(2, made.now(), tier=Tier.YELLOW)]
        made.teams = [
            duty_team(made, "城关区值守", "Desk", TeamRole.DESK, "dong", "chen"),
            duty_team(made, "酒泉路现场", "Field", TeamRole.FIELD, "li", "zhao"),
        ]
        yield made


async def _direct(page: Page, way: str, words: str, to: str | None = None) -> None:
    await does(page, way).click()
    if to is not None:
        await page.locator(".direct [name=to]").fill(to)
    await page.locator(".direct [name=words]").fill(words)
    await does(page, "direct").click()


async def test_what_a_desk_does_is_on_another_screen_within_a_second(crew: Crew, open_page: Opener) -> None:
    async with open_page(crew.at(CITY)) as other, open_page(crew.at(DISTRICT, 1)) as page:
        await loaded(other)
        await loaded(page)
        await _direct(page, "assignment", "离你最近", to="li")
        await expect(rows(other).first).to_contain_text("指派 李现场", timeout=SOON_MS)
        await expect(page.locator(".people .assigned")).to_contain_text("指派给 李现场")
        await _direct(page, "comments", "已联系\n产权单位")
        await rows(other).first.click()
        await expect(other.locator(".trail li")).to_have_count(2)
        await expect(other.locator(".trail li").first).to_contain_text("陈值守 备注")
        await expect(other.locator(".trail")).to_contain_text("已联系 产权单位")
        await _direct(page, "clearance", "误报：传感器被遮挡")
        await expect(other.locator(".people .disposed")).to_contain_text("人工解除", timeout=SOON_MS)
        assert [way for way, _ in crew.asked] == ["assignment", "comments", "clearance"]


async def test_warning_that_was_cleared_by_hand_is_shown_as_such_and_sounds_again_when_it_becomes_graver(crew: Crew, open_page: Opener) -> None:
    began = crew.now()
    crew.warnings = [warning(1, began, tier=Tier.RED), warning(2, began)]
    async with open_page(crew.at(DISTRICT, 1)) as page:
        await loaded(page)
        await expect(page.locator(".sound")).to_be_visible()
        await does(page, "clearance").click()
        await expect(does(page, "direct")).to_be_disabled()
        await page.locator(".direct [name=words]").fill("误报")
        await does(page, "direct").click()
        await expect(page.locator(".sound")).to_have_count(0)
        await expect(rows(page).last.locator(".ack")).to_have_text("✓ 已人工解除")
        await expect(panel(page).locator("header")).to_contain_text("已人工解除")
        await expect(does(page, "acknowledge")).to_have_count(0)
        await page.goto(crew.at(DISTRICT, 2))
        await _direct(page, "clearance", "误报")
        await expect(rows(page).locator(".ack")).to_have_text(["✓ 已人工解除"] * 2)
        crew.send(warnings=[warning(2, began, rev=2, tier=Tier.RED, change=Change.RAISED, changed=crew.now())])
        await expect(page.locator(".people .disposed")).to_contain_text("此后升级，解除不再有效")
        await expect(page.locator(".sound")).to_be_visible()
        await expect(does(page, "acknowledge")).to_be_visible()


async def test_what_did_not_take_effect_is_said(crew: Crew, open_page: Opener) -> None:
    outcomes = {Decision.STALE: "你看到的等级低于现在的等级", Decision.TOO_LATE: "预警已结束", Decision.ALREADY: "此前已有人这样做过"}
    async with open_page(crew.at(DISTRICT, 1)) as page:
        await loaded(page)
        for outcome, words in outcomes.items():
            crew.outcome = outcome
            await _direct(page, "clearance", "误报")
            await expect(page.locator(".people .decided")).to_contain_text(words)
        await expect(page.locator(".trail .outcome")).to_have_text(["此前已是", "太晚：已结束", "未生效：已升级"])
        await expect(page.locator(".people .disposed")).to_have_count(0)


async def test_what_is_personal_and_who_was_told_is_asked_for_only_when_somebody_wants_it(crew: Crew, open_page: Opener) -> None:
    crew.actions = [on_the_way(crew)]
    place = Position(longitude=103.83417, latitude=36.06138, accuracy_m=9)
    crew.field_answers = [
        FieldAnswer(command=identity(9), deed=Deed.ON_MY_WAY, by=actor("zhao"), at=crew.now(), position=place, photos=("a" * 64, "b" * 64))
    ]
    crew.notifications = [
        notification(crew, f"region/{DISTRICT}", "in_app", Result.DELIVERED),
        notification(crew, "person/li", "sms", Result.FAILED, "运营商拒绝：号码停机"),
        notification(crew, "person/zhao", "mail", Result.DELIVERED),
        notification(crew, "chat/dingtalk", "dingtalk", Result.DELIVERED),
        notification(crew, "person/zhao", "duty-phone", Result.DELIVERED),
    ]
    async with open_page(crew.at(DISTRICT, 1)) as page:
        await loaded(page)
        await expect(page.locator(".people .progress")).to_contain_text("现场：赵现场 已出发")
        await expect(page.locator(".trail")).to_contain_text("照片 2 · 有位置")
        assert crew.asked == []
        await does(page, "field-answers").click()
        await expect(page.locator(".field-answers img")).to_have_count(2)
        await expect(page.locator(".field-answers")).to_contain_text("103.834170, 36.061380（±9 米）")
        await does(page, "told").click()
        await expect(page.locator(".told li")).to_contain_text(
            ["城关区的屏幕 · 应用内", "运营商拒绝：号码停机", "zhao · 邮件", "群 钉钉 · 钉钉", "zhao · duty-phone"]
        )
        assert [what for what, _ in crew.asked] == ["answers", "notifications"]


async def test_who_may_only_watch_is_offered_nothing(crew: Crew, open_page: Opener) -> None:
    crew.guest, crew.actions = "du", [on_the_way(crew)]
    async with open_page(crew.at(DISTRICT, 1)) as page:
        await loaded(page)
        await expect(page.locator(".trail li")).to_have_count(1)
        await expect(page.locator(".direct, [data-do=field-answers]")).to_have_count(0)
        await does(page, "account").click()
        await expect(page.locator(".menu")).not_to_contain_text("交接班")
        await page.evaluate(f"location.hash = '#/regions/{DISTRICT}/duty'")
        await expect(page.locator("h1")).to_have_text("你的账户没有可以打开的区域。")


async def test_duty_is_shown_with_masked_contacts_and_somebody_stands_in(crew: Crew, open_page: Opener) -> None:
    async with open_page(crew.at(DISTRICT)) as page:
        await loaded(page)
        await does(page, "account").click()
        await page.locator(".menu").get_by_role("link", name="值班").click()
        team = page.locator('[data-team="field"]')
        await expect(team.locator('[data-person="li"]')).to_contain_text("139****1234")
        await expect(team.locator(".later")).to_contain_text("赵现场")
        await team.locator("[data-do=contacts]").click()
        await expect(team.locator('[data-person="li"]')).to_contain_text("13900001234")
        await team.locator("[data-do=override]").click()
        form = page.get_by_role("dialog")
        await form.locator("[name=person]").fill("zhao")
        await form.locator("[name=instead]").select_option("li")
        await form.locator("[name=reason]").fill("李现场请假")
        await form.get_by_role("button", name="保存").click()
        await expect(form).to_have_count(0)
        what, asked = crew.asked[-1]
        assert asked is not None
        told = asked.model_dump()
        assert (what, told["person"], told["instead_of"], told["until"] - told["since"]) == ("override", "zhao", "li", timedelta(hours=8))
        assert ("contacts of li", None) in crew.asked


async def test_silence_is_made_and_ended(crew: Crew, open_page: Opener) -> None:
    async with open_page(f"{crew.url}/#/regions/{DISTRICT}/duty") as page:
        await does(page, "silence").click()
        await page.locator(".silences [name=tiers]").nth(2).check()
        await page.locator(".silences [name=domains]").first.check()
        await page.locator(".silences [name=reason]").fill("主管抢修")
        await page.locator(".silences form").get_by_role("button", name="新建静默").click()
        listed = page.locator(".silences .list li")
        await expect(listed).to_contain_text(["黄 · 供水"])
        await expect(listed.locator(".badge")).to_have_text("生效中")
        await does(page, "end-silence").click()
        await expect(listed).to_contain_text(["陈值守 提前结束"])
        [(_, asked)] = crew.asked
        assert asked is not None
        assert asked.model_dump(exclude_none=True)["match"] == {"tiers": {Tier.YELLOW}, "domains": {"water"}, "tags": frozenset()}


async def test_desk_is_handed_over_and_taken(crew: Crew, open_page: Opener) -> None:
    now = crew.now()
    crew.handovers = [
        HandOverShown(
            id=identity(1), region=CITY, day=now.date(), at=now - timedelta(hours=8), by=actor("dong"), note="夜间两处渗漏待查", open=3, unanswered=0
        )
    ]
    async with open_page(f"{crew.url}/#/regions/{CITY}/handover") as page:
        await expect(page.locator(".brief h2")).to_have_text("兰州市 · 值班日报")
        await expect(page.locator(".brief .figures tbody tr").first.locator("td")).to_have_text(["2", "5", "11", "23", "41"])
        await does(page, "take").click()
        await expect(page.locator(".earlier li")).to_contain_text(["陈值守 于"])
        await page.locator("[name=note]").fill("红色预警两条，均有人到场")
        await does(page, "sign").click()
        await expect(page.locator(".earlier li")).to_contain_text(["红色预警两条，均有人到场", "夜间两处渗漏待查"])
        await expect(page.locator(".brief")).to_contain_text("红色预警两条，均有人到场")
        await expect(page.locator(".brief")).to_contain_text("夜间两处渗漏待查")
        await page.emulate_media(media="print")
        await expect(page.locator(".brief").get_by_text("红色预警两条，均有人到场")).to_be_visible()
        await expect(page.locator(".earlier")).to_be_hidden()
        await page.emulate_media(media="screen")
        async with page.expect_response("**/brief?*"):
            await page.locator(".times [type=submit]").click()
        await expect(page.locator(".brief")).to_contain_text("红色预警两条，均有人到场")
        await does(page, "today").click()
        await expect(page.locator(".brief")).not_to_contain_text("夜间两处渗漏待查")
        assert [re.sub("=[^&]+", "", what) for what, _ in crew.asked] == ["brief ", "brief since&until", "brief since", "brief since", "brief since"]


async def test_brief_prints_black_on_white_and_alone_with_its_heads_on_every_page(crew: Crew, open_page: Opener) -> None:
    crew.brief = brief(crew, warnings=60)
    async with open_page(f"{crew.url}/#/regions/{CITY}/handover", color_scheme="dark") as page:
        await expect(page.locator(".brief .warnings-table tbody tr")).to_have_count(60)
        await page.emulate_media(media="print")
        for gone in (".bar", ".times", ".signing", ".earlier"):
            await expect(page.locator(gone)).to_be_hidden()
        colours = await page.locator(".brief h2, .brief td, html").evaluate_all("all => [...new Set(all.map((one) => getComputedStyle(one).color))]")
        assert colours == ["rgb(0, 0, 0)"]
        assert await page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        printed = await page.pdf(prefer_css_page_size=True)
        pages = len(re.findall(rb"/Type\s*/Page\b", printed))
        assert pages > 1
        assert re.search(rb"/MediaBox\s*\[\s*0 0 59[45]\S* 84[12]", printed), "A4"


async def _field(page: Page, _: Crew) -> None:
    await expect(page.locator(".alert")).to_have_count(3)


async def _sheet(page: Page, crew: Crew) -> None:
    await _field(page, crew)
    await page.locator("[data-deed=done]").first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def _waiting(page: Page, crew: Crew) -> None:
    await _field(page, crew)
    crew.ill = True
    crew.refuse_answers = (404, "not_found")
    await page.locator("[data-deed=acknowledge]").first.click()
    await expect(page.locator(".outgoing [data-state=refused]")).to_be_visible()
    await page.locator("[data-deed=arrived]").first.click()
    await expect(page.locator("[data-say=waiting]")).to_be_visible()
    await does(page, "queue").click()
    await page.locator(".queue [data-do=drop]").click()


async def _link(page: Page, _: Crew) -> None:
    await expect(page.locator(".link [data-deed]")).to_have_count(2)


async def _people(page: Page, _: Crew) -> None:
    await loaded(page)
    await does(page, "assignment").click()
    await does(page, "told").click()
    await does(page, "field-answers").click()
    await expect(page.locator(".told li")).to_have_count(1)


async def _duty(page: Page, _: Crew) -> None:
    await does(page, "silence").click()
    await expect(page.locator(".silences .list li")).to_have_count(1)


async def _hand_over(page: Page, _: Crew) -> None:
    await expect(page.locator(".brief")).to_be_visible()


PHONE, WALL = {"width": 390, "height": 844}, {"width": 1920, "height": 1080}
PAGES: dict[str, tuple[str, str, dict[str, int], Callable[[Page, Crew], Awaitable[None]]]] = {
    "field": ("li", "/field", PHONE, _field),
    "sheet": ("li", "/field", PHONE, _sheet),
    "waiting": ("li", "/field", PHONE, _waiting),
    "link": ("li", f"/l/{TOKEN}", PHONE, _link),
    "people": ("chen", f"/regions/{DISTRICT}/warnings/{identity(1)}", WALL, _people),
    "duty": ("chen", f"/regions/{DISTRICT}/duty", WALL, _duty),
    "handover": ("chen", f"/regions/{CITY}/handover", WALL, _hand_over),
}


@pytest.mark.parametrize("what", PAGES)
async def test_axe_finds_nothing_serious(crew: Crew, open_page: Opener, what: str) -> None:
    crew.guest, path, viewport, make = PAGES[what]
    crew.alerts = [
        alert(crew, 1),
        alert(crew, 2, tier=Tier.ORANGE, actions=on_the_way(crew)),
        alert(crew, 3, tier=Tier.BLUE, count=3, closed_at=crew.now()),
    ]
    crew.link, crew.actions, crew.silences = link(crew), [on_the_way(crew)], [silence(crew)]
    crew.notifications = [notification(crew, "person/li", "sms", Result.FAILED, "号码停机")]
    crew.field_answers = [FieldAnswer(command=identity(9), deed=Deed.ON_MY_WAY, by=actor("zhao"), at=crew.now(), position=None, photos=("a" * 64,))]
    async with open_page(f"{crew.url}/#{path}", tolerate="ailed to load", color_scheme="dark", viewport=viewport) as page:
        await make(page, crew)
        for theme in ("dark", "light"):
            await page.emulate_media(color_scheme=theme)
            await expect(page.locator("html")).to_have_attribute("data-theme", theme)
            await page.wait_for_timeout(900)  # colours that change do so over 0.8 s
            found = await Axe().run(page)
            serious = [one for one in found.response["violations"] if one["impact"] in {"serious", "critical"}]
            told = [
                (one["id"], [node["target"] for node in one["nodes"]][:5], [node["failureSummary"] for node in one["nodes"]][:2]) for one in serious
            ]
            assert not told, (theme, told)
