"""The map of a region and the chart of a warning: by WebGL and, where that does not work, without."""

from __future__ import annotations

import asyncio
import base64
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from schemas.tiers import Tier
from schemas.warning import Change
from tests.browser.conftest import ARGUMENTS, Opener
from tests.browser.frames import CITY, DISTRICT, OTHER_DISTRICT, OTHER_STREET, STREET, sensor, value, warning
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEBGL = [*(flag for flag in ARGUMENTS if flag != "--disable-gpu"), "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PLAIN = [*ARGUMENTS, "--disable-3d-apis"]
READY_MS = 20_000
"""A map by WebGL without a graphics card takes its time on two busy cores."""


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[WEBGL, PLAIN], ids=["webgl", "plain"])
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=os.environ["TONGGUAN_CHROMIUM"], args=request.param)
        yield chromium
        await chromium.close()


def square(code: str, west: float) -> dict[str, object]:
    ring = [[west, 36], [west + 0.5, 36], [west + 0.5, 36.5], [west, 36.5], [west, 36]]
    return {"type": "Feature", "properties": {"code": code}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


@pytest.fixture
def city(stage: Stage) -> Stage:
    """Two districts side by side; a sensor with coordinates and a red warning in the western one, and one without in the same street."""
    features = [square(DISTRICT, 103.5), square(OTHER_DISTRICT, 104.0)]
    stage.boundaries = {"type": "FeatureCollection", "source": {"zh": "测绘院", "en": "The surveyors"}, "features": features}
    stage.sensors = [sensor(at=(103.6, 36.4)), sensor("dma-2", street=OTHER_STREET)]
    stage.warnings = [warning(1, stage.now() - timedelta(minutes=3), tier=Tier.RED)]
    stage.values = [value(6.5, stage.now())]
    return stage


async def drawn(page: Page) -> Locator:
    """Return the map once it is there."""
    await expect(page.locator(".region-map .over[data-ready]")).to_be_attached(timeout=READY_MS)
    return page.locator(".region-map")


def label(page: Page, code: str) -> Locator:
    return page.locator(f".region-map [data-code='{code}']")


@dataclass(frozen=True)
class Colour:
    red: float
    green: float
    blue: float


async def spot(page: Page, code: str, *, down: float = 60) -> tuple[float, float]:
    """Return a point of a region, below its label."""
    box = await label(page, code).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + down


async def colour(page: Page, at: tuple[float, float]) -> Colour:
    """Return the mean colour round a point, as it is seen; a hatch is smaller than that."""
    picture = await page.screenshot(clip={"x": at[0] - 12, "y": at[1] - 12, "width": 24, "height": 24})
    means = await page.evaluate(
        """async (data) => {
            const image = new Image();
            image.src = `data:image/png;base64,${data}`;
            await image.decode();
            const context = Object.assign(document.createElement("canvas"), { width: 24, height: 24 }).getContext("2d");
            context.drawImage(image, 0, 0);
            const { data: all } = context.getImageData(0, 0, 24, 24);
            return [0, 1, 2].map((channel) => all.filter((_, at) => at % 4 === channel).reduce((sum, one) => sum + one, 0) / 576);
        }""",
        base64.b64encode(picture).decode(),
    )
    return Colour(*means)


async def until(page: Page, is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(READY_MS / 1000):
        while not await is_so():
            await page.wait_for_timeout(100)


async def turns(page: Page, code: str, is_right: Callable[[Colour], bool]) -> None:
    """Wait until a region has a colour."""

    async def right() -> bool:
        return is_right(await colour(page, await spot(page, code)))

    await until(page, right)


def reddish(seen: Colour) -> bool:
    return seen.red > seen.blue + 30


def bluish(seen: Colour) -> bool:
    return seen.blue > seen.red + 15


async def test_a_district_is_filled_by_its_gravest_warning_and_opens_by_a_click(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        await drawn(page)
        await expect(label(page, DISTRICT)).to_have_attribute("data-tier", "red")
        await expect(label(page, DISTRICT)).to_contain_text("红1")
        await expect(label(page, DISTRICT).locator("path")).to_have_count(1)
        await expect(label(page, OTHER_DISTRICT)).to_have_attribute("data-tier", "none")
        await turns(page, DISTRICT, reddish)
        await turns(page, OTHER_DISTRICT, bluish)
        await page.mouse.click(*await spot(page, OTHER_DISTRICT))
        await expect(page).to_have_url(city.at(OTHER_DISTRICT))


async def test_a_warning_that_rises_changes_the_map_without_a_reload(city: Stage, open_page: Opener) -> None:
    city.warnings = [warning(1, city.now(), tier=Tier.BLUE)]
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        await drawn(page)
        await turns(page, DISTRICT, bluish)
        city.send(warnings=[warning(1, city.now(), rev=2, tier=Tier.RED, change=Change.RAISED)])
        await expect(label(page, DISTRICT)).to_have_attribute("data-tier", "red")
        await turns(page, DISTRICT, reddish)


async def test_a_warned_sensor_opens_its_warning(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        await drawn(page)
        west, east = [await spot(page, code, down=0) for code in (DISTRICT, OTHER_DISTRICT)]
        degree = (east[0] - west[0]) / 0.5
        told = await page.evaluate("(code) => fetch(`/v1/regions/${code}/map`).then((answer) => answer.json())", CITY)
        longitude, latitude = next(one["properties"]["label"] for one in told["features"] if one["properties"]["code"] == DISTRICT)
        place = west[0] + (103.6 - longitude) * degree, west[1] - (36.4 - latitude) * degree / math.cos(math.radians(36.25))

        async def named() -> bool:
            await page.mouse.move(place[0] + 40, place[1])
            await page.mouse.move(*place)
            return "一号计量区" in "".join(await page.locator(".region-map .told").all_inner_texts())

        await until(page, named)
        await page.mouse.click(*place)
        await expect(page).to_have_url(city.at(CITY, 1))


async def test_what_is_made_up_is_said_to_be_and_the_source_is_named(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(DISTRICT)) as page:
        shown = await drawn(page)
        await expect(shown).to_contain_text("示意")
        await expect(shown).to_contain_text("测绘院")
        await expect(shown).to_contain_text("2 个传感器画在所属区域的示意形状内")
        await expect(label(page, STREET)).to_have_attribute("data-tier", "red")


async def test_sensors_without_coordinates_are_counted_where_shapes_are_true(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        shown = await drawn(page)
        await expect(shown).to_contain_text("1 个传感器没有坐标，未画出")
        await expect(shown).not_to_contain_text("示意")


async def test_a_street_is_shown_with_its_own_tier_and_opens_nothing(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(STREET)) as page:
        shown = await drawn(page)
        await expect(label(page, STREET)).to_have_attribute("data-tier", "red")
        await expect(shown).to_contain_text("示意图")
        await label(page, STREET).click()
        await expect(page).to_have_url(city.at(STREET))


async def test_the_keyboard_goes_from_region_to_region(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        await drawn(page)
        await label(page, DISTRICT).focus()
        await expect(page.locator(".region-map .told")).to_contain_text("城关区")
        await page.keyboard.press("ArrowRight")
        await expect(label(page, OTHER_DISTRICT)).to_be_focused()
        await expect(label(page, OTHER_DISTRICT)).to_have_accessible_name("七里河区，0 个传感器，无未解除预警")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(city.at(OTHER_DISTRICT))


async def test_theme_and_language_are_followed(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        await drawn(page)
        await turns(page, OTHER_DISTRICT, lambda seen: seen.green < 80)
        await page.get_by_role("button", name="切换到浅色主题").click()
        await page.get_by_role("button", name="English").click()
        await expect(label(page, DISTRICT)).to_contain_text("Chengguan")
        await expect(page.locator(".region-map")).to_contain_text("The surveyors")
        await turns(page, OTHER_DISTRICT, lambda seen: seen.green > 200)


async def test_closer_and_back_again(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        shown = await drawn(page)
        at_first = await spot(page, DISTRICT)
        await shown.get_by_role("button", name="放大").click()

        async def nearer() -> bool:
            return (await spot(page, DISTRICT))[0] < at_first[0] - 60

        await until(page, nearer)
        await shown.get_by_role("button", name="显示全图").click()
        assert await spot(page, DISTRICT) == pytest.approx(at_first, abs=2)


async def test_a_map_that_cannot_be_loaded_says_so_and_comes_by_asking_again(city: Stage, open_page: Opener) -> None:
    async with open_page(f"{city.url}/#/sign-in", tolerate="Failed to load resource") as page:
        await page.route("**/map", lambda route: route.abort())
        await page.goto(city.at(CITY))
        await expect(page.locator(".region-map")).to_contain_text("地图没有加载成功")
        await page.unroute("**/map")
        await page.locator(".region-map").get_by_role("button", name="重试").click()
        await drawn(page)


@pytest.mark.parametrize("browser", [pytest.param(WEBGL, id="webgl")], indirect=True)
async def test_a_lost_graphics_context_is_replaced(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY), color_scheme="dark") as page:
        await drawn(page)
        await page.evaluate("document.querySelector('.maplibregl-canvas').getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()")
        await expect(page.locator(".maplibregl-canvas")).to_have_count(0)
        await drawn(page)
        await turns(page, DISTRICT, reddish)
        await page.mouse.click(*await spot(page, OTHER_DISTRICT))
        await expect(page).to_have_url(city.at(OTHER_DISTRICT))


async def test_a_warnings_chart_has_a_table_for_who_cannot_see_it(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(STREET, 1)) as page:
        chart = page.locator(".series-chart")
        await expect(chart.locator("canvas")).to_be_visible(timeout=READY_MS)
        await expect(chart.get_by_role("img")).to_have_accessible_name("管网流量偏低：预警前后的 80 个数值")
        await expect(chart.locator("tbody tr")).to_have_count(20)
        await expect(chart.locator("tbody tr").last).to_contain_text("L/s")
        await expect(chart).to_contain_text("来源：实测")


async def test_a_phone_shows_map_and_chart_without_scrolling_sideways(city: Stage, open_page: Opener) -> None:
    async with open_page(city.at(CITY, 1), viewport={"width": 390, "height": 844}) as page:
        await expect(page.locator(".series-chart canvas")).to_be_visible(timeout=READY_MS)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await page.goto(city.at(CITY))
        await drawn(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
