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
from services.alerts.domain.routing import route

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


def told(one: Warning) -> list[str]:
    return [notification.recipient for notification in route(one, TREE, NOW)]


@pytest.mark.parametrize(
    ("peak", "recipients"),
    [
        (Tier.BLUE, ["region/990101"]),
        (Tier.YELLOW, ["region/990101"]),
        (Tier.ORANGE, ["region/990101", "region/9901"]),
        (Tier.RED, ["region/990101", "region/9901", "region/99"]),
    ],
)
@pytest.mark.parametrize("change", [Change.OPENED, Change.RAISED, Change.LOWERED, Change.RECOVERED, Change.RULE_CHANGED, Change.SENSOR_MOVED])
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
    first, again = list(route(one, TREE, NOW)), list(route(one, TREE, NOW + later))
    assert [notification.id for notification in first] == [notification.id for notification in again]
    others = [*route(warning(rev=rev + 1, tier=tier, change=change), TREE, NOW), *route(warning(id=UUID(int=8), rev=rev, tier=tier), TREE, NOW)]
    ids = {notification.id for notification in [*first, *others]}
    assert len(ids) == len(first) + len(others)


def test_a_notification_says_all_of_itself_and_its_id_is_for_ever():
    (one,) = route(warning(), TREE, NOW)
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
    ],
)
def test_the_words_of_each_change(change: Change, tier: Tier, zh: str, en: str):
    state = WarningState.OPEN if change in {Change.RAISED, Change.LOWERED} else WarningState.CLEARED
    (one, *_) = route(warning(change=change, tier=tier, state=state), TREE, NOW)
    assert (one.text.zh, one.text.en) == (zh, en)


def test_names_as_long_as_names_may_be_are_cut_not_refused():
    long = name("长" * 256)
    (one,) = route(warning(sensor_name=long, rule_name=long), TREE, NOW)
    assert len(one.text.zh) == 256
