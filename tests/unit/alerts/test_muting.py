"""What is not told, and that all else is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerting import By, Inhibition, Match, Window
from schemas.base import Domain, Name, Origin
from schemas.tiers import TIERS, Tier
from services.alerts.domain.known import Known
from services.alerts.domain.muting import Mute, Muted, Silenced, Sources, in_force, in_window, mute, on

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)  # a Sunday, 16:00 in the city
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAME = Name(zh="名", en="name")
PATHS = {"990101": ("990101", "9901", "99"), "990102": ("990102", "9901", "99"), "9901": ("9901", "99"), "99": ("99",)}


def known(number: int = 1, street: str = "990101", **fields: Any) -> Known:
    whole = {
        "id": UUID(int=number),
        "rev": 1,
        "street": street,
        "path": PATHS[street],
        "district": "9901" if "9901" in PATHS[street] else "99",
        "department": "water",
        "domain": Domain.WATER,
        "rule": "r",
        "subject": f"s{number}/flow",
        "sensor": f"s{number}",
        "origin": Origin.REAL,
        "tags": frozenset(),
        "open": True,
        "gravity": 1,
        "reached": (1, 0, 0, 0),
        "raised_rev": 1,
        "began_at": NOW,
        "changed_at": NOW,
        "place": NAME,
        "text": NAME,
    }
    return Known(**{**whole, **fields})


def muted(one: Known, *, by: Sequence[Any] = (), others: Sequence[Known] = (), now: datetime = NOW) -> Mute | None:
    silences = [given for given in by if isinstance(given, Silenced)]
    windows = [given for given in by if isinstance(given, Window)]
    inhibitions = [given for given in by if isinstance(given, Inhibition)]
    return mute(one, in_force(silences, now), on(windows, now, SHANGHAI), inhibitions, Sources(others))


# Silences


def silence(number: int = 1, region: str = "9901", since: float = -1, until: float = 1, **match: Any) -> Silenced:
    return Silenced(UUID(int=number), region, Match.model_validate(match), NOW + since * HOUR, NOW + until * HOUR)


def test_what_is_silenced_is_not_told_until_the_silence_is_over():
    assert muted(known(), by=[silence()]) == Mute(Muted.SILENCED, str(UUID(int=1)), NOW + HOUR)
    assert muted(known(), by=[silence()], now=NOW + HOUR) is None
    assert muted(known(), by=[silence(since=0)]) is not None


def test_of_several_silences_the_one_that_is_over_last_is_told():
    last = muted(known(), by=[silence(1), silence(2, until=3), silence(3, until=2)])
    assert last is not None
    assert (last.by, last.until) == (str(UUID(int=2)), NOW + 3 * HOUR)


def test_a_silence_mutes_only_inside_its_region():
    held = [street for street in PATHS if muted(known(street=street), by=[silence()]) is not None]
    assert held == ["990101", "990102", "9901"]


@pytest.mark.parametrize(
    "match",
    [
        {"domains": ["fire"]},
        {"departments": ["fire"]},
        {"tiers": ["red"]},
        {"rules": ["r2"]},
        {"tags": ["leak"]},
        {"origins": ["simulated"]},
        {"regions": ["990102"]},
    ],
)
def test_what_a_silence_does_not_mean_is_told(match: dict[str, Any]):
    assert muted(known(), by=[silence(**match)]) is None


# Maintenance windows


def window(since: str, until: str, **fields: Any) -> Window:
    return Window.model_validate({"id": "w", "match": {}, "since": since, "until": until, "reason": NAME, **fields})


def test_promise_17_a_window_mutes_one_kind_on_schedule_and_still_tells_of_another():
    flushing = window("15:00", "17:00", match={"domains": ["water"], "tags": ["flow"]})
    flow, gas = known(tags=frozenset({"flow", "pipe"})), known(2, domain=Domain.FIRE)
    pressure = known(3, tags=frozenset({"pipe"}))
    assert muted(flow, by=[flushing]) == Mute(Muted.WINDOW, "w", NOW + HOUR)
    assert muted(gas, by=[flushing]) is None
    assert muted(pressure, by=[flushing]) is None
    assert muted(flow, by=[flushing], now=NOW + HOUR) is None
    assert muted(flow, by=[flushing], now=NOW + DAY) == Mute(Muted.WINDOW, "w", NOW + DAY + HOUR)


def clock(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins():
    nights = window("22:00", "06:00", weekdays=[5], first="2026-01-09", last="2026-01-16")  # Fridays
    assert in_window(nights, clock("2026-01-10 05:59"), SHANGHAI) == clock("2026-01-10 06:00")
    assert in_window(nights, clock("2026-01-17 05:59"), SHANGHAI) == clock("2026-01-17 06:00")
    for other in ("2026-01-09 05:59", "2026-01-09 21:59", "2026-01-10 06:00", "2026-01-10 22:00", "2026-01-24 05:59"):
        assert in_window(nights, clock(other), SHANGHAI) is None


def test_a_window_that_ends_when_it_begins_lasts_a_whole_day():
    assert in_window(window("16:00", "16:00"), NOW, SHANGHAI) == NOW + DAY


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 8), ("2026-10-24", 10), ("2026-06-01", 9)])
def test_a_window_ends_by_the_clock_of_its_city_in_nights_in_which_clocks_change_too(day: str, hours: int):
    begins = clock(f"{day} 22:00", BERLIN).astimezone(UTC)
    assert in_window(window("22:00", "07:00"), begins, BERLIN) == begins + timedelta(hours=hours)


TIMES = st.integers(0, 95).map(lambda number: time(number // 4, number % 4 * 15))
WINDOWS = st.builds(
    Window,
    id=st.just("w"),
    match=st.just(Match()),
    weekdays=st.frozensets(st.integers(1, 7)),
    since=TIMES,
    until=TIMES,
    first=st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 14)),
    last=st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 14)),
    reason=st.just(NAME),
)


def by_quarters(one: Window, at: datetime) -> datetime | None:
    """Return when a window ends by walking back to where it began and on to its end, a quarter of an hour at a time."""
    quarter, ends = timedelta(minutes=15), []
    for steps in range(96):
        began = at - steps * quarter
        fits = (one.first or date.min) <= began.date() <= (one.last or date.max)
        if began.time() == one.since and began.isoweekday() in one.weekdays and fits:
            end = began + quarter
            while end.time() != one.until:
                end += quarter
            ends += [end] if at < end else []
    return max(ends, default=None)


@given(WINDOWS, st.integers(0, 14 * 96))
def test_a_window_is_on_when_it_began_on_one_of_its_days_and_has_not_ended(one: Window, quarters: int):
    at = clock("2026-01-01") + quarters * timedelta(minutes=15)
    assert in_window(one, at, SHANGHAI) == by_quarters(one, at)


# Inhibitions


def inhibition(source: dict[str, Any], target: dict[str, Any], *equal: str) -> Inhibition:
    return Inhibition.model_validate({"id": "i", "source": source, "target": target, "equal": equal})


RED_MUTES = inhibition({"tiers": ["red"]}, {"tiers": ["blue", "yellow"]}, "street", "domain")


def test_what_follows_from_a_graver_warning_nearby_is_not_told():
    assert muted(known(), by=[RED_MUTES], others=[known(2, gravity=4)]) == Mute(Muted.INHIBITED, "i", None)
    assert muted(known(gravity=3), by=[RED_MUTES], others=[known(2, gravity=4)]) is None
    assert muted(known(), by=[RED_MUTES], others=[known(2, "990102", gravity=4)]) is None
    assert muted(known(), by=[RED_MUTES], others=[known(2, gravity=4, domain=Domain.FIRE)]) is None


@pytest.mark.parametrize("over", [{"open": False}, {"cleared_gravity": 4}])
def test_what_is_over_or_cleared_by_hand_inhibits_nothing(over: dict[str, Any]):
    assert muted(known(), by=[RED_MUTES], others=[known(2, gravity=4, **over)]) is None


def test_what_was_cleared_by_hand_and_became_graver_inhibits_again():
    assert muted(known(), by=[RED_MUTES], others=[known(2, gravity=4, cleared_gravity=3)]) is not None


def test_what_is_simulated_never_mutes_what_is_real():
    red = known(2, gravity=4, origin=Origin.SIMULATED)
    assert muted(known(), by=[RED_MUTES], others=[red]) is None
    assert muted(known(origin=Origin.SIMULATED), by=[RED_MUTES], others=[red]) is not None


def test_a_warning_does_not_inhibit_itself_though_an_earlier_state_of_it_would():
    assert muted(known(), by=[RED_MUTES], others=[known(gravity=4)]) is None


def test_two_warnings_that_are_source_and_target_both_do_not_mute_each_other():
    each = inhibition({"domains": ["water"]}, {"domains": ["water"]}, "street")
    one, other = known(1), known(2)
    assert muted(one, by=[each], others=[one, other]) is None
    assert muted(other, by=[each], others=[one, other]) is None


def test_promise_16_what_is_inhibited_is_not_told_after_a_restart_either():
    """What is muted follows from what is now, not from what was seen before: whatever comes first after a restart, the answer is the same."""
    mild, red = known(1), known(2, gravity=4)
    for order in ([mild, red], [red, mild]):
        restarted = Sources(order)
        assert mute(mild, [], [], [RED_MUTES], restarted) == Mute(Muted.INHIBITED, "i", None)
    assert muted(mild, by=[RED_MUTES], others=[mild]) is None  # and when the red one is over it is told


ORIGINS = [Origin.REAL, Origin.REAL, Origin.SIMULATED]
MATCHES = st.builds(
    Match,
    tiers=st.none() | st.frozensets(st.sampled_from(TIERS), max_size=3),
    domains=st.none() | st.frozensets(st.sampled_from([Domain.WATER, Domain.FIRE]), max_size=2),
    regions=st.none() | st.frozensets(st.sampled_from(sorted(PATHS)), max_size=2),
)
EQUALS = st.lists(st.sampled_from([By.STREET, By.DISTRICT, By.DOMAIN, By.SENSOR]), min_size=1, max_size=2).map(tuple)


@st.composite
def crowds(draw: st.DrawFn) -> list[Known]:
    one = st.tuples(
        st.sampled_from(sorted(PATHS)),
        st.integers(1, 4),
        st.booleans(),
        st.integers(0, 4),
        st.sampled_from([Domain.WATER, Domain.FIRE]),
        st.sampled_from(ORIGINS),
        st.sampled_from([None, "a", "b"]),
    )
    return [
        known(number, street, gravity=gravity, open=open_, cleared_gravity=cleared, domain=domain, origin=origin, sensor=sensor)
        for number, (street, gravity, open_, cleared, domain, origin, sensor) in enumerate(draw(st.lists(one, min_size=1, max_size=6)))
    ]


@given(crowds(), st.lists(st.tuples(MATCHES, MATCHES, EQUALS), max_size=3))
def test_a_warning_is_inhibited_when_another_live_one_is_a_source_of_the_same_values(
    crowd: list[Known], given_: list[tuple[Match, Match, tuple[By, ...]]]
):
    inhibitions = [Inhibition(id=f"i{at}", source=source, target=target, equal=equal) for at, (source, target, equal) in enumerate(given_)]
    sources = Sources(crowd)
    for target in crowd:
        expected = [one.id for one in inhibitions if any(inhibits(one, source, target) for source in crowd)]
        found = mute(target, [], [], inhibitions, sources)
        assert found == (Mute(Muted.INHIBITED, expected[0], None) if expected else None)


def inhibits(by: Inhibition, source: Known, target: Known) -> bool:
    return (
        source.id != target.id
        and source.origin == target.origin
        and source.open
        and source.gravity > source.cleared_gravity
        and by.source.meets(source, source.path)
        and by.target.meets(target, target.path)
        and not by.source.meets(target, target.path)
        and [source.value(one) for one in by.equal] == [target.value(one) for one in by.equal]
    )


def test_a_silence_is_told_before_a_window_and_a_window_before_an_inhibition():
    by = [silence(), window("15:00", "17:00"), RED_MUTES]
    red = [known(2, gravity=Tier.RED.gravity)]
    reasons = [told.reason for at in range(3) if (told := muted(known(), by=by[at:], others=red))]
    assert reasons == [Muted.SILENCED, Muted.WINDOW, Muted.INHIBITED]
