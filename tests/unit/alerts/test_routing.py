"""Who is told of a revision, in which words, and that a repetition is the same notification."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Name, Origin
from schemas.notification import Channel, Notification, Result
from schemas.observation import Statistic
from schemas.regions import Level, Region, RegionTree
from schemas.rule import Direction
from schemas.tiers import TIERS, Tier
from schemas.warning import Change, Evidence, Warning, WarningState  # noqa: A004 - the field's own word
from services.alerts.domain.routing import route, told_of

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def name(text: str) -> Name:
    return Name(zh=text, en=text)


TREE = RegionTree(
    [
        Region(code="99", parent=None, level=Level.CITY, name=name("市")),
        Region(code="9901", parent="99", level=Level.DISTRICT, name=name("区")),
        Region(code="990101", parent="9901", level=Level.STREET, name=name("街道")),
        Region(code="999901", parent="99", level=Level.STREET, name=name("直辖街道")),
    ]
)


def warning(**fields: Any) -> Warning:
    evidence = Evidence(
        metric="flow",
        value=12.5,
        unit="L/s",
        limit=10,
        direction=Direction.ABOVE,
        statistic=Statistic.INSTANT,
        period_s=0,
        observation="o1",
        observed_at=NOW,
        received_at=NOW,
    )
    whole = {
        "id": UUID(int=7),
        "rev": 1,
        "rule": "r1",
        "rule_version": 1,
        "meaning": 1,
        "rule_name": Name(zh="流量过高", en="High flow"),
        "subject": "s1/flow",
        "sensor": "s1",
        "sensor_name": Name(zh="一号管", en="Pipe 1"),
        "street": "990101",
        "domain": "water",
        "department": "water",
        "state": WarningState.OPEN,
        "tier": Tier.BLUE,
        "peak": fields.get("tier", Tier.BLUE),
        "change": Change.OPENED,
        "began_at": NOW,
        "changed_at": NOW,
        "origin": "replayed",
        "evidence": evidence,
    }
    return Warning.model_validate(whole | fields)


def routed(one: Warning, gravest: int | None = None, now: datetime = NOW) -> list[Notification]:
    return list(route(one, one.peak.gravity if gravest is None else gravest, TREE, now))


def told(one: Warning) -> list[str]:
    return [notification.recipient for notification in routed(one)]


@pytest.mark.parametrize(
    ("peak", "recipients"),
    [
        (Tier.BLUE, ["region/990101"]),
        (Tier.YELLOW, ["region/990101"]),
        (Tier.ORANGE, ["region/990101", "region/9901"]),
        (Tier.RED, ["region/990101", "region/9901", "region/99"]),
    ],
)
@pytest.mark.parametrize("change", [change for change in Change if change is not Change.REVISED])
def test_who_was_told_of_the_peak_is_told_of_all_that_follows(peak: Tier, recipients: list[str], change: Change):
    assert told(warning(tier=Tier.BLUE, peak=peak, change=change)) == recipients


def test_a_street_right_below_the_city_has_no_district_to_tell():
    assert told(warning(street="999901", tier=Tier.ORANGE)) == ["region/999901"]
    assert told(warning(street="999901", tier=Tier.RED)) == ["region/999901", "region/99"]


@pytest.mark.parametrize("tier", TIERS)
def test_of_a_street_that_the_tree_does_not_know_the_city_is_told(tier: Tier):
    assert told(warning(street="123456", tier=tier)) == ["region/99"]


@given(st.integers(1, 9), st.sampled_from(TIERS), st.sampled_from(Change), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_the_same_revision_is_the_same_notification_whenever_it_is_decided(rev: int, tier: Tier, change: Change, later: timedelta):
    one = warning(rev=rev, tier=tier, change=change)
    first, again = routed(one), routed(one, now=NOW + later)
    assert [notification.id for notification in first] == [notification.id for notification in again]
    others = [*routed(warning(rev=rev + 1, tier=tier, change=change)), *routed(warning(id=UUID(int=8), rev=rev, tier=tier))]
    ids = {notification.id for notification in [*first, *others]}
    assert len(ids) == len(first) + len(others)


def test_a_notification_says_all_of_itself_and_its_id_is_for_ever():
    (one,) = routed(warning())
    assert one == Notification(
        id=UUID("692ddda8-1555-5dd1-90a3-18da7def17c7"),
        warning=UUID(int=7),
        warning_rev=1,
        recipient="region/990101",
        street="990101",
        department="water",
        channel=Channel.IN_APP,
        result=Result.DELIVERED,
        change=Change.OPENED,
        tier=Tier.BLUE,
        text=Name(zh="蓝色预警:一号管 流量过高 12.5 L/s", en="Blue warning: Pipe 1, High flow 12.5 L/s"),
        origin=Origin.REPLAYED,
        decided_at=NOW,
    )


@pytest.mark.parametrize(
    ("change", "tier", "zh", "en"),
    [
        (Change.RAISED, Tier.RED, "红色预警升级:一号管 流量过高 12.5 L/s", "Red warning, raised: Pipe 1, High flow 12.5 L/s"),
        (Change.LOWERED, Tier.ORANGE, "橙色预警降级:一号管 流量过高 12.5 L/s", "Orange warning, lowered: Pipe 1, High flow 12.5 L/s"),
        (Change.RECOVERED, Tier.YELLOW, "黄色预警解除:一号管 流量过高", "Yellow warning cleared: Pipe 1, High flow"),
        (
            Change.RULE_CHANGED,
            Tier.BLUE,
            "蓝色预警因规则变更而关闭:一号管 流量过高",
            "Blue warning closed, its rule was changed: Pipe 1, High flow",
        ),
        (
            Change.SENSOR_MOVED,
            Tier.BLUE,
            "蓝色预警因传感器迁移而关闭:一号管 流量过高",
            "Blue warning closed, its sensor was moved: Pipe 1, High flow",
        ),
        (
            Change.REOPENED,
            Tier.RED,
            "红色预警重新开启（迟到或更正的数据表明尚未结束）:一号管 流量过高 12.5 L/s",
            "Red warning reopened, late or corrected data say that it is not over: Pipe 1, High flow 12.5 L/s",
        ),
        (
            Change.RETRACTED,
            Tier.BLUE,
            "蓝色预警撤销（迟到或更正的数据表明不应发出）:一号管 流量过高",
            "Blue warning withdrawn, late or corrected data say that it should not have been: Pipe 1, High flow",
        ),
        (
            Change.MERGED,
            Tier.BLUE,
            "蓝色预警并入更早的一条（迟到或更正的数据表明为同一过程）:一号管 流量过高",
            "Blue warning merged into an earlier one by late or corrected data: Pipe 1, High flow",
        ),
    ],
)
def test_the_words_of_each_change(change: Change, tier: Tier, zh: str, en: str):
    state = WarningState.OPEN if change in {Change.RAISED, Change.LOWERED, Change.REOPENED} else WarningState.CLEARED
    (one, *_) = routed(warning(change=change, tier=tier, state=state))
    assert (one.text.zh, one.text.en) == (zh, en)


def test_names_as_long_as_names_may_be_are_cut_not_refused():
    long = name("长" * 256)
    (one,) = routed(warning(sensor_name=long, rule_name=long))
    assert len(one.text.zh) == 256


@pytest.mark.parametrize("state", WarningState)
def test_a_changed_past_alone_is_told_nobody(state: WarningState):
    one = warning(change=Change.REVISED, tier=Tier.RED, state=state)
    assert routed(one) == []
    assert told_of(one) == 0


@pytest.mark.parametrize("change", [Change.RECOVERED, Change.RETRACTED, Change.MERGED])
def test_who_was_told_of_red_is_told_how_it_ends_though_late_data_say_that_it_never_was(change: Change):
    one = warning(change=change, tier=Tier.YELLOW, state=WarningState.CLEARED)
    assert [notification.recipient for notification in routed(one, Tier.RED.gravity)] == ["region/990101", "region/9901", "region/99"]


@pytest.mark.parametrize(
    ("region", "tier", "recipients"),
    [
        ("9901", Tier.BLUE, ["region/9901"]),
        ("9901", Tier.RED, ["region/9901", "region/99"]),
        ("99", Tier.BLUE, ["region/99"]),
    ],
)
def test_a_district_s_or_the_city_s_own_warning_is_told_there_at_every_tier_and_never_below(region: str, tier: Tier, recipients: list[str]):
    one = warning(street=region, sensor=None, sensor_name=TREE[region].name, tier=tier)
    assert told(one) == recipients


@pytest.mark.parametrize(
    ("measured", "zh", "en"),
    [
        ({"measure": "absence", "value": 725, "unit": "s"}, "静默 12 分钟 5 秒", "silent for 12 min 5 s"),
        ({"measure": "absence", "value": 7_200, "unit": "s"}, "静默 2 小时", "silent for 2 h"),
        ({"measure": "agreement", "value": 3, "unit": "1"}, "3 个传感器", "3 sensors"),
        ({"measure": "exceedances", "value": 7, "unit": "1"}, "当日 7 次", "7 times that day"),
        ({"measure": "rate", "value": 0.25, "unit": "m/h"}, "0.25 m/h", "0.25 m/h"),
        ({"measure": "window", "value": 4, "unit": "1"}, "4", "4"),
    ],
)
def test_what_was_measured_is_told_in_its_own_words(measured: dict[str, Any], zh: str, en: str):
    one = warning()
    (notification,) = routed(one.model_copy(update={"evidence": one.evidence.model_copy(update=measured)}))
    assert (notification.text.zh, notification.text.en) == (f"蓝色预警:一号管 流量过高 {zh}", f"Blue warning: Pipe 1, High flow {en}")
