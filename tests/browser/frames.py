"""What the stage of these tests can say: regions, sensors, values and warnings, all of them valid by `schemas`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from schemas.action import Acknowledgement, Actor, WarningActions
from schemas.base import Domain, Name, Origin
from schemas.city import Department
from schemas.explain import explain
from schemas.live import LiveSensor, LiveValue
from schemas.observation import Quality, Statistic
from schemas.regions import Level, Region, RegionTree
from schemas.rest import Point, WarningStory
from schemas.rule import Direction
from schemas.sensor import Metric
from schemas.tiers import Tier
from schemas.warning import Change, Evidence, Warning, WarningState  # noqa: A004 - the field's own word

CITY, DISTRICT, OTHER_DISTRICT, STREET, OTHER_STREET = "620100", "620102", "620103", "620102001", "620102002"


def _region(code: str, parent: str | None, level: Level, zh: str, en: str) -> Region:
    return Region(code=code, parent=parent, level=level, name=Name(zh=zh, en=en))


TREE = RegionTree(
    [
        _region(CITY, None, Level.CITY, "兰州市", "Lanzhou"),
        _region(DISTRICT, CITY, Level.DISTRICT, "城关区", "Chengguan"),
        _region(OTHER_DISTRICT, CITY, Level.DISTRICT, "七里河区", "Qilihe"),
        _region(STREET, DISTRICT, Level.STREET, "酒泉路街道", "Jiuquan Road"),
        _region(OTHER_STREET, DISTRICT, Level.STREET, "张掖路街道", "Zhangye Road"),
        _region("620103001", OTHER_DISTRICT, Level.STREET, "西园街道", "Xiyuan"),
    ]
)

DEPARTMENTS = (
    Department(id="water", name=Name(zh="水务局", en="Water Bureau")),
    Department(id="fire", name=Name(zh="消防救援支队", en="Fire Brigade")),
    Department(id="housing", name=Name(zh="住建局", en="Housing Bureau")),
)
"""Whose sensors a stream's are, in these tests."""
OF_DOMAIN = {Domain.WATER: "water", Domain.SEWAGE: "water", Domain.DUST: "housing", Domain.FIRE: "fire"}

FLOW = Metric(unit="L/s", name=Name(zh="流量", en="Flow"))
PRESSURE = Metric(unit="MPa", name=Name(zh="压力", en="Pressure"))
SENSOR_NAME = Name(zh="一号计量区", en="DMA 1")
RULE_NAME = Name(zh="管网流量偏低", en="Low pipe flow")
NAMESPACE = UUID("2f5c9f6e-6c5b-5d0a-8f6f-0d6b8f1c2a3b")


def clock() -> datetime:
    """The time by this machine's clock, which the browser under test shares."""
    return datetime.now(UTC)  # noqa: TID251 - the page under test runs by the real clock too


def sensor(
    id: str = "dma-1",  # noqa: A002 - the field's own name
    *,
    zh: str = "一号计量区",
    en: str = "DMA 1",
    street: str = STREET,
    domain: Domain = Domain.WATER,
    place: Name | None = None,
    at: tuple[float, float] | None = None,
    **metrics: Metric,
) -> LiveSensor:
    """A sensor, of flow unless told otherwise; `at` is its longitude and latitude."""
    return LiveSensor(
        id=id,
        name=Name(zh=zh, en=en),
        street=street,
        domain=domain,
        department=OF_DOMAIN[domain],
        place=place,
        longitude=at[0] if at else None,
        latitude=at[1] if at else None,
        metrics=metrics or {"flow": FLOW},
    )


def value(
    number: float,
    at: datetime,
    *,
    sensor: str = "dma-1",
    metric: str = "flow",
    quality: Quality = Quality.GOOD,
    origin: Origin = Origin.REAL,
) -> LiveValue:
    """A value of an instant."""
    return LiveValue(
        sensor=sensor, metric=metric, statistic=Statistic.INSTANT, period_s=0, value=number, quality=quality, at=at, received_at=at, origin=origin
    )


def identity(number: int) -> UUID:
    """The id of warning `number`."""
    return uuid5(NAMESPACE, str(number))


def acknowledgement(
    number: int, at: datetime, *, zh: str = "陈值守", en: str = "Chen", tier: Tier = Tier.RED, seen_rev: int = 1, note: str | None = None
) -> WarningActions:
    """What is known of warning `number` after somebody acknowledged it."""
    by = Actor(id="chen", name=Name(zh=zh, en=en))
    said = Acknowledgement(by=by, at=at, seen_rev=seen_rev, tier=tier, note=note)
    return WarningActions(
        warning=identity(number), rev=1, street=STREET, department="water", acknowledged=said, command=uuid5(NAMESPACE, f"ack {number}")
    )


def story(revisions: list[Warning]) -> WarningStory:
    """What is told of a warning: its revisions, and a flow that sinks below its limit over twenty minutes."""
    newest = revisions[-1]
    start = revisions[0].began_at - timedelta(minutes=15)
    points = [
        Point(at=start + timedelta(seconds=15 * at), value=12 - at * 0.07 + (at * 7 % 5) * 0.1, quality=Quality.GOOD, origin=newest.origin)
        for at in range(80)
    ]
    return WarningStory(
        identifier="99010000000000_20261122160000_000000001",
        explanation=explain(revisions[-1]),
        revisions=tuple(revisions),
        metric=newest.evidence.metric,
        statistic=newest.evidence.statistic,
        period_s=newest.evidence.period_s,
        unit=newest.evidence.unit,
        points=tuple(points),
        thinned=False,
        rule=None,
    )


def warning(
    number: int,
    began: datetime,
    *,
    rev: int = 1,
    tier: Tier = Tier.YELLOW,
    state: WarningState = WarningState.OPEN,
    change: Change = Change.OPENED,
    changed: datetime | None = None,
    sensor: str = "dma-1",
    sensor_name: Name = SENSOR_NAME,
    rule_name: Name = RULE_NAME,
    street: str = STREET,
    domain: Domain = Domain.WATER,
    origin: Origin = Origin.REAL,
    measured: float = 6.5,
    metric: str = "flow",
    unit: str = "L/s",
    readings: int | None = 3,
    dwell_s: float | None = None,
) -> Warning:
    """Warning `number` at a revision: a flow below its limit of 8 L/s."""
    changed = changed or began
    evidence = Evidence(
        metric=metric,
        value=measured,
        unit=unit,
        limit=8,
        direction=Direction.BELOW,
        readings=readings,
        dwell_s=dwell_s,
        statistic=Statistic.INSTANT,
        period_s=0,
        standard=Name(zh="CJJ 92-2016 第 5.3 条", en="CJJ 92-2016 §5.3"),
        clears_at=10 if state is WarningState.OPEN else None,
        observation=f"reading-{number}-{rev}",
        observed_at=changed,
        received_at=changed + timedelta(milliseconds=350),
    )
    return Warning(
        id=identity(number),
        rev=rev,
        rule="water.flow.low",
        rule_version=4,
        meaning=1,
        rule_name=rule_name,
        subject=f"{sensor}/{metric}",
        sensor=sensor,
        sensor_name=sensor_name,
        street=street,
        domain=domain,
        department=OF_DOMAIN[domain],
        state=state,
        tier=tier,
        peak=tier,
        change=change,
        began_at=began,
        changed_at=changed,
        cleared_at=changed if state is WarningState.CLEARED else None,
        origin=origin,
        evidence=evidence,
    )
