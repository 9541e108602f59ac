"""The pages of phones in a real browser: my alerts, answering with and without a network, and links in messages."""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from schemas.action import Decision
from schemas.tiers import Tier
from tests.browser.conftest import Opener
from tests.browser.crew import TOKEN, Crew, alert, link, on_the_way, picture
from tests.browser.frames import identity

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"width": 390, "height": 844}
OFFLINE = "ailed to load"
"""What a browser logs of each request that finds no network."""


@pytest_asyncio.fixture(loop_scope="module")
async def crew() -> AsyncIterator[Crew]:
    async with Crew() as made:
        made.guest = "li"
        yield made


async def _shell_is_kept(page: Page) -> None:
    await page.evaluate("navigator.serviceWorker.ready.then((known) => known.active && new Promise((done) => setTimeout(done, 50)))")


async def test_my_alerts_stand_gravest_first_with_who_answers_and_the_way_there(crew: Crew, open_page: Opener) -> None:
    crew.alerts = [
        alert(crew, 3, tier=Tier.YELLOW, count=46, storm=True),
        alert(crew, 2, tier=Tier.ORANGE, actions=on_the_way(crew), assigned=True),
        alert(crew, 1),
    ]
    async with open_page(crew.url, viewport=PHONE, has_touch=True) as page:
        await expect(page.locator("h1")).to_have_text("我的告警")
        await expect(page.locator(".alert .tier")).to_contain_text(["红 Ⅰ", "橙 Ⅱ", "黄 Ⅲ"])
        await expect(page.locator(".alert").nth(0)).to_contain_text("还没有人答复")
        await expect(page.locator(".alert").nth(1)).to_contain_text("赵现场 已出发")
        await expect(page.locator(".alert").nth(1)).to_contain_text("指派给我")
        await expect(page.locator(".alert").nth(2)).to_contain_text("告警风暴 · 46 条")
        await expect(page.locator(".as-of")).to_contain_text(re.compile(r"截至 \d\d:\d\d:\d\d"))
        amap = await page.locator("[data-way=amap]").first.get_attribute("href")
        assert amap is not None
        assert re.search(r"to=103\.83\d+%2C36\.0\d+", amap)
        assert "103.83417" not in amap, "the map programs' system is not ours"
        small = await page.locator(".field button, .field .button, .field summary").evaluate_all(
            "all => all.filter((one) => one.offsetHeight < 44).map((one) => one.textContent)"
        )
        assert small == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_answer_is_told_with_its_outcome(crew: Crew, open_page: Opener) -> None:
    crew.alerts = [alert(crew, 1)]
    async with open_page(crew.url, viewport=PHONE) as page:
        await page.locator("[data-deed=acknowledge]").click()
        await expect(page.locator(".sent")).to_contain_text("已生效")
        await expect(page.locator("[data-deed=on_my_way]")).to_have_class("")
        crew.outcome = Decision.STALE
        await page.locator("[data-deed=on_my_way]").click()
        await expect(page.locator(".sent [data-state=stale]")).to_contain_text("未生效：预警此后已升级")
        crew.outcome = Decision.TOO_LATE
        await page.locator("[data-deed=arrived]").click()
        await expect(page.locator(".sent [data-state=too_late]")).to_contain_text("已记录：预警已结束。")
        await expect(page.locator(".outgoing")).to_have_count(0)
        assert [given.deed for _, _, given in crew.answers] == ["acknowledge", "on_my_way", "arrived"]


async def test_done_goes_with_words_photos_and_the_place_that_somebody_chose_to_tell(crew: Crew, open_page: Opener, tmp_path: Path) -> None:
    crew.alerts = [alert(crew, 1)]
    photo = tmp_path / "well.png"
    photo.write_bytes(picture(2000, 500, b"36.06138 N"))
    place = {"longitude": 103.834, "latitude": 36.061, "accuracy": 8}
    async with open_page(crew.url, viewport=PHONE, geolocation=place, permissions=["geolocation"]) as page:
        await page.locator("[data-deed=done]").click()
        await page.locator("dialog [name=note]").fill("阀门已关，\n\n水退")
        await page.locator("dialog [name=photos]").set_input_files([photo, photo])
        await expect(page.locator("dialog figure img")).to_have_count(2)
        await page.locator("dialog [name=located]").check()
        await expect(page.locator("dialog")).to_contain_text("误差约 8 米")
        await page.locator("[data-do=answer]").click()
        await expect(page.locator(".sent")).to_contain_text("已生效")
        [(who, of, given)] = crew.answers
        assert given.given_by == "li"
        assert given.sent_at is not None
        assert given.at is not None
        assert given.sent_at >= given.at
        assert (who, of, given.deed, given.note) == ("li", identity(10_001), "done", "阀门已关， 水退")
        assert given.position is not None
        assert (given.position.longitude, given.position.latitude, given.position.accuracy_m) == (103.834, 36.061, 8)
        assert len(given.photos) == 2
        [body] = [crew.photos[digest] for digest in set(given.photos)]
        assert body.startswith(b"\xff\xd8\xff")
        assert b"36.06138" not in body, "what the camera says of where it was stays on the phone"
        frame = body.index(b"\xff\xc0")
        assert struct.unpack(">HH", body[frame + 5 : frame + 9]) == (400, 1600)


async def test_page_opens_offline_and_what_was_answered_there_is_sent_once_when_the_network_is_back(crew: Crew, open_page: Opener) -> None:
    crew.alerts = [alert(crew, 1)]
    async with open_page(crew.url, viewport=PHONE, tolerate=OFFLINE) as page:
        await expect(page.locator(".alert")).to_have_count(1)
        await _shell_is_kept(page)
        await page.context.set_offline(True)
        await page.reload()
        await expect(page.locator(".alert h2")).to_have_text("管网流量偏低")
        await expect(page.locator('[data-key="field-lost"]')).to_contain_text("不是现状")
        await page.locator("[data-deed=acknowledge]").click()
        await page.locator("[data-deed=on_my_way]").click()
        await expect(page.locator("[data-say=waiting]")).to_have_text("待发送 (2)")
        await page.reload()
        await expect(page.locator("[data-say=waiting]")).to_have_text("待发送 (2)")
        assert crew.answers == []
        crew.ill = True  # the first is taken, and the answer to it is lost on the way
        await page.context.set_offline(False)
        await expect(page.locator('[data-key="field-lost"]')).to_have_count(0, timeout=10_000)
        while not crew.answers:
            await page.wait_for_timeout(50)
        crew.ill = False
        await page.locator("[data-do=send-now]").click()
        await expect(page.locator(".outgoing")).to_have_count(0)
        deeds = {given.command: given.deed for _, _, given in crew.answers}
        assert list(deeds.values()) == ["acknowledge", "on_my_way"], "each has one command, however often it was sent"
        assert all(given.at is not None and given.message == 1 for _, _, given in crew.answers)


async def test_answer_that_is_refused_for_good_is_kept_with_the_reason_and_holds_up_no_other(crew: Crew, open_page: Opener) -> None:
    crew.alerts = [alert(crew, 1), alert(crew, 2)]
    crew.refuse_answers = (404, "not_found")
    async with open_page(crew.url, viewport=PHONE, tolerate=OFFLINE) as page:
        await page.locator(f'[data-alert="{identity(10_001)}"] [data-deed=arrived]').click()
        await expect(page.locator(".outgoing [data-state=refused]")).to_contain_text("not_found")
        await page.locator(f'[data-alert="{identity(10_002)}"] [data-deed=acknowledge]').click()
        await expect(page.locator(".sent")).to_contain_text(["被拒：已到场", "已生效"])
        await page.locator("[data-do=drop]").click()
        await expect(page.locator(".outgoing")).to_have_count(0)
        assert [of for _, of, _ in crew.answers] == [identity(10_002)]


async def test_answer_whose_photo_does_not_get_through_holds_up_no_other_alert_and_can_go_without_it(
    crew: Crew, open_page: Opener, tmp_path: Path
) -> None:
    crew.alerts = [alert(crew, 1), alert(crew, 2)]
    crew.refuse_photos = (429, "too_many")
    photo = tmp_path / "well.png"
    photo.write_bytes(picture(40, 30))
    async with open_page(crew.url, viewport=PHONE, tolerate=OFFLINE) as page:
        first, second = (page.locator(f'[data-alert="{identity(10_000 + number)}"]') for number in (1, 2))
        await first.locator("[data-deed=done]").click()
        await page.locator("dialog [name=photos]").set_input_files([photo])
        await expect(page.locator("dialog figure img")).to_have_count(1)
        await page.locator("[data-do=answer]").click()
        await expect(page.locator("[data-say=waiting]")).to_have_text("待发送 (1)")
        await second.locator("[data-deed=acknowledge]").click()
        await expect(second.locator(".sent")).to_contain_text("已生效")
        await first.locator("[data-deed=arrived]").click()
        await expect(page.locator("[data-say=waiting]")).to_have_text("待发送 (2)")
        await page.locator("[data-do=queue]").click()
        queue = page.locator(".queue li")
        await expect(queue).to_contain_text(["照片 1", "已到场"])
        await queue.nth(1).locator("[data-do=drop]").click()
        await expect(queue.nth(1)).to_contain_text("删除后不会再发送")
        await queue.nth(1).locator("[data-do=keep]").click()
        await queue.nth(1).locator("[data-do=drop]").click()
        await queue.nth(1).locator("[data-do=sure]").click()
        await expect(queue).to_have_count(1)
        await queue.locator("[data-do=bare]").click()
        await expect(queue).to_contain_text("照片将从这部手机删除")
        await queue.locator("[data-do=sure]").click()
        await expect(first.locator(".sent")).to_contain_text("处置完成")
        await expect(page.locator(".outgoing")).to_have_count(0)
        assert [(of, given.deed, given.photos) for _, of, given in crew.answers] == [
            (identity(10_002), "acknowledge", ()),
            (identity(10_001), "done", ()),
        ]


async def test_answer_waits_for_who_gave_it_where_somebody_else_has_signed_in_in_another_tab(crew: Crew, open_page: Opener) -> None:
    crew.alerts, crew.guest = [alert(crew, 1)], None
    async with open_page(f"{crew.url}/#/field", viewport=PHONE, tolerate=OFFLINE) as page:
        for user in ("li", "zhao"):
            given = {"user": user, "password": "correct horse"}
            assert (await page.context.request.post(f"{crew.url}/v1/session", data=given)).ok
            if user == "li":
                await page.reload()
                await expect(page.locator("[data-do=account]")).to_contain_text("李现场")
        await page.locator("[data-deed=arrived]").click()
        await expect(page.locator("[data-do=account]")).to_contain_text("赵现场")
        await expect(page.locator("[data-say=others]")).to_have_text("这部手机上有 1 条答复待发送：由 li 登录后自动发送。")
        await expect(page.locator(".sent")).to_have_count(0)
        assert crew.answers == []


NO_ROOM = "IDBObjectStore.prototype.put = () => { throw new DOMException('there is no room', 'QuotaExceededError'); };"
NO_STORAGE = "indexedDB.open = () => { throw new DOMException('it is forbidden', 'SecurityError'); };"


@pytest.mark.parametrize("fault", [NO_ROOM, NO_STORAGE])
async def test_where_the_browser_keeps_nothing_answers_are_sent_all_the_same_and_it_says_so(crew: Crew, open_page: Opener, fault: str) -> None:
    crew.alerts = [alert(crew, 1)]
    async with open_page(crew.url, viewport=PHONE, tolerate=OFFLINE) as page:
        await page.context.add_init_script(fault)
        await page.reload()
        await expect(page.locator('[data-key="field-not-kept"]')).to_contain_text("关闭本页会丢失没有发送的")
        await page.locator("[data-deed=acknowledge]").click()
        await expect(page.locator(".sent")).to_contain_text("已生效")
        await page.locator("[data-deed=comment]").click()
        await page.locator("dialog [name=note]").fill("水位在降")
        await page.locator("[data-do=answer]").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.locator(".sent li")).to_contain_text(["已生效", "已生效"])
        assert [given.note for _, _, given in crew.answers] == [None, "水位在降"]
        crew.ill = True
        await page.locator("[data-deed=arrived]").click()
        await expect(page.locator("[data-say=waiting]")).to_have_text("待发送 (1)")
        await page.locator("[data-do=account]").click()
        await page.locator("[data-do=sign-out]").click()
        await expect(page.locator(".menu .why")).to_contain_text("有 1 条现场答复没有发送")
        await page.locator("[data-do=sign-out]").click()
        await expect(page.locator("[name=user]")).to_be_visible()


async def test_page_opens_offline_for_as_long_as_the_session_lasts_that_it_has_used(crew: Crew, open_page: Opener) -> None:
    crew.alerts = [alert(crew, 1)]
    async with open_page(crew.url, viewport=PHONE, tolerate=OFFLINE) as page:
        await _shell_is_kept(page)
        await page.clock.install()
        await page.reload()
        await expect(page.locator(".alert")).to_have_count(1)
        crew.skew = timedelta(hours=11)
        async with page.expect_response("**/v1/session"), page.expect_response("**/v1/field"):
            await page.clock.fast_forward("11:00:00")
        await expect(page.locator('[data-key="field-lost"]')).to_have_count(0)
        await page.context.set_offline(True)
        await page.clock.fast_forward("02:00:00")
        await page.reload()
        await expect(page.locator(".alert")).to_have_count(1)
        await expect(page.locator('[data-key="field-lost"]')).to_contain_text("不是现状")


async def test_what_waits_is_sent_after_the_same_user_has_signed_in_again(crew: Crew, open_page: Opener) -> None:
    crew.alerts = [alert(crew, 1)]
    async with open_page(crew.url, viewport=PHONE, tolerate=OFFLINE) as page:
        await expect(page.locator(".alert")).to_have_count(1)
        crew.guest = None
        await page.locator("[data-deed=arrived]").click()
        await expect(page.locator(".unsent")).to_have_text("这部手机上有 1 条答复待发送：由 li 登录后自动发送。")
        for user, sent in (("zhao", 0), ("li", 1)):
            await page.locator("[name=user]").fill(user)
            await page.locator("[name=password]").fill("correct horse")
            await page.locator("[name=password]").press("Enter")
            await expect(page.locator(".alert")).to_have_count(1)
            if user == "li":
                await expect(page.locator(".sent")).to_contain_text("已生效")
            assert [who for who, _, _ in crew.answers] == ["li"] * sent
            await page.locator("[data-do=account]").click()
            await page.locator("[data-do=sign-out]").click()
            await expect(page.locator("[name=user]")).to_be_visible()


async def test_signing_out_says_what_is_lost_and_leaves_nothing_on_the_phone(crew: Crew, open_page: Opener) -> None:
    crew.alerts = [alert(crew, 1)]
    async with open_page(crew.url, viewport=PHONE, tolerate=OFFLINE) as page:
        await expect(page.locator(".alert")).to_have_count(1)
        await _shell_is_kept(page)
        crew.ill = True
        await page.locator("[data-deed=arrived]").click()
        await expect(page.locator("[data-say=waiting]")).to_be_visible()
        await page.locator("[data-do=account]").click()
        await page.locator("[data-do=sign-out]").click()
        await expect(page.locator(".menu .why")).to_contain_text("有 1 条现场答复没有发送")
        await page.locator("[data-do=sign-out]").click()
        await expect(page.locator("[name=user]")).to_be_visible()
        await page.context.set_offline(True)
        await page.goto(f"{crew.url}/#/field")
        await page.reload()
        await expect(page.locator(".opening")).to_be_visible()
        await expect(page.locator(".alert")).to_have_count(0)
        await expect(page.locator('[data-key="unreached"]')).to_contain_text("连不上网关")


async def test_link_answers_only_when_its_button_is_pressed(crew: Crew, open_page: Opener) -> None:
    crew.guest, crew.link = None, link(crew)
    async with open_page(f"{crew.url}/#/l/{TOKEN}", viewport=PHONE, tolerate=OFFLINE) as page:
        await expect(page.locator("h1")).to_have_text("管网流量偏低")
        await expect(page.locator(".link")).to_contain_text("以 李现场 的名义答复")
        assert crew.asked == []
        await page.locator("[name=note]").fill("马上到")
        await page.locator("[data-deed=on_my_way]").click()
        await expect(page.locator(".link-state")).to_have_text("这个链接已经用过：已生效。")
        await expect(page.locator("[data-deed]")).to_have_count(0)
        [(_, used)] = crew.asked
        assert used is not None
        assert used.model_dump() == {"deed": "on_my_way", "note": "马上到"}
        for state, words in {"expired": "过期", "over": "告警已经结束"}.items():
            crew.link = link(crew, state=state)
            await page.reload()
            await expect(page.locator(".link-state")).to_contain_text(words)
            await expect(page.locator("[data-deed]")).to_have_count(0)
        crew.link = None
        await page.reload()
        await expect(page.locator(".why")).to_have_text("没有这个链接，或它已经失效。")
