"""The daily brief: of which time it is, and what it counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from schemas.rest import Brief
from schemas.tiers import GRAVITY, TIERS
from services.gateway.domain.briefs import SHOWN, Span, Told, counted, duty_day, span
from tests.unit.gateway.city import CITY, DISTRICT, NOW, OTHER_DISTRICT, STREET, STREETS, TREE, name

ZONE = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
OF = Span(NOW - DAY, NOW)


def told(number: int = 1, hours: float = -1, **fields: Any) -> Told:
    whole = {
        "id": UUID(int=number),
        "street": STREET,
        "department": "d",
        "domain": "water",
        "gravity": 3,
        "open": True,
        "text": name("flow"),
        "place": None,
        "origin": "real",
        "began_at": NOW + timedelta(hours=hours),
        "changed_at": NOW,
        "raised_rev": 1,
        "actions": None,
    }
    return Told.model_validate(whole | fields)


def answer(tier: str, minutes: float = 0) -> dict[str, Any]:
    by = {"id": "li", "name": name("li")}
    return {"by": by, "at": NOW - timedelta(hours=1) + timedelta(minutes=minutes), "seen_rev": 1, "tier": tier, "note": "note"}


def brief(*some: Told, region: str = CITY) -> dict[str, Any]:
    made = counted(some, OF, region, TREE)
    root = {"code": CITY, "parent": None, "level": "city", "name": name("city")}
    Brief.model_validate({"region": root, "since": OF.since, "until": OF.until, "made_at": NOW, "duty": (), "handovers": (), **made})
    return made


@given(st.timedeltas(timedelta(0), timedelta(days=800)).map(lambda after: NOW + after))
def test_by_default_a_brief_is_of_the_last_whole_duty_day(now: datetime):
    found = span(None, None, now, ZONE)
    assert found.until - found.since == DAY
    assert found.until <= now < found.until + DAY
    assert (found.until.astimezone(ZONE).hour, found.until.minute) == (8, 0)
    assert found.until.astimezone(ZONE).date() == duty_day(now, ZONE)


def test_a_brief_with_a_beginning_is_until_now_and_one_with_an_end_is_of_a_day():
    assert span(NOW - 2 * DAY, None, NOW, ZONE) == Span(NOW - 2 * DAY, NOW)
    assert span(None, NOW - DAY, NOW, ZONE) == Span(NOW - 2 * DAY, NOW - DAY)
    assert span(NOW - 3 * DAY, NOW - DAY, NOW, ZONE) == Span(NOW - 3 * DAY, NOW - DAY)


@given(st.lists(st.tuples(st.sampled_from(STREETS), st.integers(1, 4), st.booleans(), st.floats(-48, 2), st.sampled_from(["water", "fire"]))))
def test_what_began_is_counted_by_tier_domain_and_region_and_what_is_open_as_it_is(known: list[tuple[str, int, bool, float, str]]):
    some = [
        told(number, hours, street=street, gravity=gravity, open=open_, domain=domain)
        for number, (street, gravity, open_, hours, domain) in enumerate(known)
    ]
    made, began = brief(*some), [one for one in some if OF.since <= one.began_at < OF.until]
    assert made["began"] == {tier: sum(one.tier is tier for one in began) for tier in TIERS}
    assert made["open"] == {tier: sum(one.open and one.tier is tier for one in some) for tier in TIERS}
    assert sum(made["by_domain"].values()) == len(began)
    assert made["by_region"].keys() == {DISTRICT, OTHER_DISTRICT}
    assert sum(made["by_region"].values()) == len(began)
    listed = made["warnings"]
    assert {one.id for one in listed} == {one.id for one in some if one.open or one.gravity >= GRAVITY[TIERS[2]]}
    assert [one.tier.gravity for one in listed] == sorted((one.tier.gravity for one in listed), reverse=True)


def test_who_answered_for_less_has_not_answered_and_blue_ones_need_no_answer():
    waiting = [told(1), told(2, gravity=4, actions={"acknowledged": answer("orange")}), told(3, gravity=2), told(4, open=False)]
    settled = [told(5, actions={"acknowledged": answer("orange")}), told(6, actions={"cleared": answer("red")})]
    assert brief(*waiting, *settled)["unanswered"] == 2


def test_who_answered_before_a_warning_rose_or_began_again_has_not_answered_for_it_as_it_is():
    outdated = told(1, raised_rev=2, actions={"acknowledged": answer("red")})
    answered = told(2, raised_rev=1, actions={"acknowledged": answer("red")})
    by_hand = told(3, raised_rev=2, actions={"cleared": answer("red")})
    assert brief(outdated, answered, by_hand)["unanswered"] == 1


def test_the_median_time_to_an_answer_is_of_what_began_in_the_time_and_was_answered():
    some = [told(at, actions={"acknowledged": answer("red", minutes)}) for at, minutes in enumerate((1, 4, 90))]
    before = told(8, hours=-30, actions={"acknowledged": answer("red")})
    assert brief(*some, told(9), before)["answered_s"] == 240
    assert brief(told(9))["answered_s"] is None


def test_a_brief_lists_so_many_and_says_how_many_more_there_are():
    made = brief(*(told(at) for at in range(SHOWN + 7)))
    assert (len(made["warnings"]), made["more"]) == (SHOWN, 7)
