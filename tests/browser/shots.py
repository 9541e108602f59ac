"""Screenshots of every page in both themes, on a wall and on a phone: `python -m tests.browser.shots --out DIR`.

The city is the demo city's; what stands in it is made up here, and shown by the stage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from playwright.async_api import Browser, Page, async_playwright

from schemas.access import Grant, Role
from schemas.alerting import TeamRole
from schemas.base import Domain, Name, Origin
from schemas.live import LiveSensor, LiveValue
from schemas.notification import Result
from schemas.observation import Quality
from schemas.rest import HandOverShown, Provider, User
from schemas.sensor import Metric
from schemas.tiers import TIERS, Tier
from schemas.warning import Change, Warning, WarningState  # noqa: A004 - the field's own word
from services.cli import boundaries
from services.kit import city
from tests.browser.conftest import ARGUMENTS
from tests.browser.crew import TOKEN, Crew, actor, alert, brief, duty_team, link, notification, on_the_way, silence
from tests.browser.frames import acknowledgement, sensor, value, warning
from tests.browser.stage import Stage, audited

CITY = Path(__file__).parents[2] / "cities" / "620100"
DISTRICT, STREET = "620102", "620102001"
SIZES = {"wall": {"width": 1920, "height": 1080}, "phone": {"width": 390, "height": 844}}
SETTLED_MS = 1500


def _metric(zh: str, en: str, unit: str) -> Metric:
    return Metric(unit=unit, name=Name(zh=zh, en=en))


KINDS: dict[Domain, tuple[str, str, dict[str, Metric], str, str]] = {
    Domain.WATER: (
        "号计量区",
        "DMA",
        {"flow": _metric("流量", "Flow", "L/s"), "pressure": _metric("压力", "Pressure", "MPa")},
        "管网流量偏低",
        "Low pipe flow",
    ),
    Domain.SEWAGE: (
        "号污水井",
        "Sewage well",
        {"level": _metric("液位", "Level", "m"), "h2s": _metric("硫化氢", "H2S", "mg/m3")},
        "污水井液位过高",
        "High sewage level",
    ),
    Domain.DUST: ("号工地", "Site", {"pm10": _metric("PM10", "PM10", "ug/m3")}, "工地扬尘超标", "Dust over its limit"),
    Domain.FIRE: (
        "号楼消防",
        "Building",
        {"smoke": _metric("烟感", "Smoke", "%/m"), "hydrant": _metric("栓压", "Hydrant", "MPa")},
        "烟雾浓度过高",
        "Dense smoke",
    ),
}


def _fill(stage: Stage, now: datetime) -> None:
    streets = [region.code for region in stage.tree if region.level == "street"]
    for at in range(120):
        _add_sensor(stage, now, at, streets[(at * 7) % len(streets)] if at % 3 else streets[at % 12])
    for at in range(26):
        _add_warning(stage, now, at)
    stage.actions = [acknowledgement(3, now - timedelta(minutes=2), note="已派人到场"), acknowledgement(7, now - timedelta(minutes=9))]


def _add_sensor(stage: Stage, now: datetime, at: int, street: str) -> None:
    domain = list(Domain)[at % 4]
    zh, en, metrics, _, _ = KINDS[domain]
    place = (103.6 + (at * 37 % 60) / 150, 36.03 + (at * 53 % 40) / 500)
    made = sensor(f"s-{at}", zh=f"{at + 1}{zh}", en=f"{en} {at + 1}", street=street, domain=domain, at=place, **metrics)
    stage.sensors.append(made)
    stage.values += [_reading(made, metric, now, at) for metric in metrics if at % 29]


def _reading(made: LiveSensor, metric: str, now: datetime, at: int) -> LiveValue:
    stale = timedelta(minutes=9) if at % 17 == 16 else timedelta(seconds=at % 5)
    quality = Quality.CALIBRATION if at % 23 == 5 else Quality.GOOD
    return value(round(3.4 + at * 0.37, 2), now - stale, sensor=made.id, metric=metric, quality=quality, origin=Origin.SIMULATED)


def _add_warning(stage: Stage, now: datetime, at: int) -> None:
    made = stage.sensors[at * 3 % len(stage.sensors)]
    _, _, metrics, zh, en = KINDS[made.domain]
    tier = Tier.RED if at < 2 else TIERS[at % 3]
    began = now - timedelta(seconds=40 + at * 97)
    origin = (Origin.SIMULATED, Origin.REPLAYED, Origin.EXERCISE)[0 if at % 5 else at // 5 % 3]
    raised = warning(
        at,
        began,
        tier=tier,
        sensor=made.id,
        sensor_name=made.name,
        street=made.street,
        domain=made.domain,
        origin=origin,
        rule_name=Name(zh=zh, en=en),
        measured=6.5 + at,
        metric=next(iter(metrics)),
        unit=next(iter(metrics.values())).unit,
    )
    stage.warnings.append(raised)


def _news(stage: Stage, now: datetime) -> list[Warning]:
    """Return what changes while the page is open: one is raised, one recovers."""
    first, last = stage.warnings[0], stage.warnings[-1]
    risen = first.model_copy(update={"rev": 2, "change": Change.RAISED, "changed_at": now})
    over = last.model_copy(update={"rev": 2, "change": Change.RECOVERED, "state": WarningState.CLEARED, "changed_at": now, "cleared_at": now})
    return [risen, over]


def _people(stage: Stage, now: datetime) -> None:
    stage.audit = [
        audited(now - timedelta(minutes=at * 3), ("session.open", "warning.acknowledge", "screen.mute", "user.change")[at % 4]) for at in range(24)
    ]
    names = [
        ("chen", "陈值守", "Chen", Role.CITY, CITY.name),
        ("dong", "董区长", "Dong", Role.DISTRICT, DISTRICT),
        ("shen", "申审计", "Shen", Role.AUDITOR, CITY.name),
    ]
    stage.users = [
        User(
            id=id_,
            name=Name(zh=zh, en=en),
            grants=(Grant(role=role, region=region),),
            disabled=False,
            locked_until=None,
            provider=None,
            last_seen=now,
        )
        for id_, zh, en, role, region in names
    ]


def _crew(stage: Crew) -> None:
    now = stage.now()
    stage.alerts = [
        alert(stage, 1, origin=Origin.REAL),
        alert(stage, 2, tier=Tier.ORANGE, actions=on_the_way(stage), assigned=True, origin=Origin.REAL),
        alert(stage, 3, tier=Tier.YELLOW, count=46, storm=True),
        alert(stage, 4, tier=Tier.BLUE, closed_at=now),
    ]
    stage.link = link(stage)
    stage.teams = [
        duty_team(stage, "城关区值守", "Desk", TeamRole.DESK, "dong", "chen", "jie"),
        duty_team(stage, "酒泉路现场", "Field", TeamRole.FIELD, "li", "zhao"),
        duty_team(stage, "城关区督办", "Supervision", TeamRole.SUPERVISOR, "chen"),
        duty_team(stage, "张掖路现场", "Field2", TeamRole.FIELD),
    ]
    stage.silences = [silence(stage)]
    stage.brief = brief(stage, warnings=24)
    night = HandOverShown(
        id=uuid4(), region=CITY.name, day=now.date(), at=now - timedelta(hours=8), by=actor("dong"), note="夜间两处渗漏待查", open=3, unanswered=0
    )
    day = night.model_copy(update={"id": uuid4(), "at": now - timedelta(hours=16), "taken_by": actor("chen"), "taken_at": now - timedelta(hours=15)})
    stage.handovers = [night, day]
    stage.notifications = [
        notification(stage, f"region/{DISTRICT}", "in_app", Result.DELIVERED),
        notification(stage, "person/li", "sms", Result.FAILED, "运营商拒绝：号码停机"),
    ]
    first = stage.warnings[0]
    stage.actions.append(on_the_way(stage).model_copy(update={"warning": first.id}))


def _stage(folder: Path) -> Crew:
    tree = city.load(CITY).regions
    stage = Crew(tree)
    file = folder / "boundaries.geojson"
    if boundaries.make(tree, file):
        stage.boundaries = json.loads(file.read_text("utf-8"))
    _fill(stage, stage.now())
    _people(stage, stage.now())
    _crew(stage)
    return stage


PAGES = {
    "city": ("chen", f"/regions/{CITY.name}"),
    "district": ("chen", f"/regions/{DISTRICT}"),
    "street": ("chen", f"/regions/{STREET}"),
    "field": ("li", "/field"),
    "link": ("li", f"/l/{TOKEN}"),
    "duty": ("chen", f"/regions/{DISTRICT}/duty"),
    "handover": ("chen", f"/regions/{CITY.name}/handover"),
    "audit": ("shen", "/audit"),
    "users": ("guan", "/users"),
}


async def _shoot(page: Page, stage: Stage, path: str, file: Path) -> None:
    await page.goto(f"{stage.url}/#{path}")
    if path.startswith("/regions") and path.count("/") == 2:
        await page.locator(".region-map .over[data-ready]").wait_for(state="attached")
    await page.wait_for_timeout(SETTLED_MS)
    if STREET not in path:  # the stage says what it says to all, a gateway only to whom it concerns
        stage.send(warnings=_news(stage, stage.now()))
        await page.wait_for_timeout(600)
    await page.screenshot(path=file)


async def _round(browser: Browser, stage: Stage, out: Path, size: str, theme: str) -> None:
    context = await browser.new_context(
        viewport={"width": SIZES[size]["width"], "height": SIZES[size]["height"]},
        locale="zh-CN",
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = await context.new_page()
    for name, (who, path) in PAGES.items():
        stage.guest = who
        await page.goto("about:blank")
        await _shoot(page, stage, path, out / f"{name}-{size}-{theme}.png")
    stage.guest = "chen"
    await page.goto("about:blank")
    await _shoot(page, stage, f"/regions/{CITY.name}/warnings/{stage.warnings[0].id}", out / f"warning-{size}-{theme}.png")
    stage.guest, stage.oidc = None, Provider(name="政务统一认证", url="/v1/oidc/start")
    await page.goto("about:blank")
    await _shoot(page, stage, "/sign-in", out / f"sign-in-{size}-{theme}.png")
    await context.close()


async def shoot(out: Path) -> None:
    """Write all of them into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    webgl = [flag for flag in ARGUMENTS if flag != "--disable-gpu"] + ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with tempfile.TemporaryDirectory() as folder:
        async with _stage(Path(folder)) as stage, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=os.environ.get("TONGGUAN_CHROMIUM"), args=webgl)
            for size in SIZES:
                for theme in ("dark", "light"):
                    await _round(browser, stage, out, size, theme)
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    asyncio.run(shoot(parser.parse_args().out))
