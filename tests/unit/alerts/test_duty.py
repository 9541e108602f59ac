"""Who is on duty when, held against a model that looks at one moment alone; and which team answers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerting import Calendar, Rotation, Shift, Team, TeamRole
from schemas.base import Name
from schemas.regions import Level, Region, RegionTree
from services.alerts.domain.duty import OnDuty, Override, on_duty, responsible, roster
from services.alerts.domain.wallclock import instant

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
QUARTER, DAY = timedelta(minutes=15), timedelta(days=1)
PLACES = [
    (SHANGHAI, date(2026, 2, 18)),
    (BERLIN, date(2026, 3, 29)),
    (BERLIN, date(2026, 10, 25)),
    (ZoneInfo("America/Sao_Paulo"), date(2018, 2, 18)),  # a midnight that came twice
    (ZoneInfo("America/Sao_Paulo"), date(2018, 11, 4)),  # a midnight that never was
    (ZoneInfo("Australia/Lord_Howe"), date(2026, 4, 5)),
    (ZoneInfo("Pacific/Apia"), date(2011, 12, 30)),  # a day that never was
]
PEOPLE = ["li", "wang", "zhao", "chen", "liu"]


def name(text: str) -> Name:
    return Name(zh=text, en=text)


def shift(since: str, until: str) -> Shift:
    return Shift(name=name(f"{since}-{until}"), since=time.fromisoformat(since), until=time.fromisoformat(until))


def team(*rotations: Rotation, **fields: Any) -> Team:
    whole = {"id": "t", "name": name("t"), "region": "99", "role": "desk"}
    return Team.model_validate({**whole, "rotations": rotations, **fields})


def rotation(*shifts: Shift, **fields: Any) -> Rotation:
    crews = (("li",), ("wang",), ("zhao",))
    return Rotation.model_validate({"shifts": shifts, "crews": crews, "turn": "day", "begins": date(2026, 1, 5), **fields})


# A model of one moment: no span is cut, added or sorted in it.


@cache
def quarters(zone: ZoneInfo, around: date) -> tuple[datetime, list[datetime]]:
    """Return the beginning of the days around one and, for each quarter of an hour since, the latest that clocks have shown so far."""
    begin = datetime(around.year, around.month, around.day, tzinfo=UTC) - 12 * DAY
    shown = [(begin + number * QUARTER).astimezone(zone).replace(tzinfo=None) for number in range(24 * 96)]
    return begin, list(accumulate(shown, max))


def first_shown(wall: datetime, zone: ZoneInfo, around: date) -> datetime:
    begin, shown = quarters(zone, around)
    return begin + bisect_left(shown, wall) * QUARTER


Turned = tuple[str, str | None]


def at_work(one: Team, calendar: Calendar, overrides: Sequence[Override], at: datetime, zone: ZoneInfo, around: date) -> set[Turned]:
    there: list[Turned] = [(person, None) for person in one.always]
    for turns in one.rotations:
        there += [(person, None) for number in range(-6, 7) for person in shifts_of(turns, calendar, around + number * DAY, at, zone, around)]
    for by in overrides:
        if by.team == one.id and by.since <= at < by.until:
            there = [*there, (by.person, None)] if by.instead_of is None else [replaced(entry, by) for entry in there]
    return set(there)


def replaced(entry: Turned, by: Override) -> Turned:
    person, turn = entry
    if by.instead_of not in entry:
        return entry
    return by.person, None if (turn or person) == by.person else turn or person


def shifts_of(turns: Rotation, calendar: Calendar, day: date, at: datetime, zone: ZoneInfo, around: date) -> list[str]:
    off = day in calendar.off or (day.weekday() in {5, 6} and day not in calendar.worked)
    if day < turns.begins or (turns.days == "working" and off) or (turns.days == "off" and not off):
        return []
    there: list[str] = []
    for number, one in enumerate(turns.shifts):
        last = day + DAY if one.until <= one.since else day
        ends = first_shown(datetime.combine(last, one.until), zone, around)
        if first_shown(datetime.combine(day, one.since), zone, around) <= at < ends:
            there += turns.crews[crew(turns, day, number)]
    return there


def crew(turns: Rotation, day: date, number: int) -> int:
    """Return whose turn it is by counting it up from the first."""
    at, turn = turns.begins, 0
    while at < day:
        at += DAY
        turn += {"shift": len(turns.shifts), "day": 1, "week": at.weekday() == 0}[turns.turn]
    return (turn + (number if turns.turn == "shift" else 0)) % len(turns.crews)


TIMES = st.integers(0, 95).map(lambda number: time(number // 4, number % 4 * 15))
CREWS = st.lists(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2, unique=True).map(tuple), min_size=1, max_size=4).map(tuple)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Team, Calendar, list[Override], ZoneInfo, date]:
    zone, around = draw(st.sampled_from(PLACES))
    near = st.integers(-4, 4).map(lambda number: around + number * DAY)
    shifts = st.lists(st.builds(lambda since, until: Shift(name=name("s"), since=since, until=until), TIMES, TIMES), min_size=1, max_size=3)
    rotations = st.builds(
        Rotation,
        shifts=shifts.map(tuple),
        crews=CREWS,
        turn=st.sampled_from(["shift", "day", "week"]),
        begins=st.integers(-40, 2).map(lambda number: around + number * DAY),
        days=st.sampled_from(["all", "all", "working", "off"]),
    )
    calendar = st.builds(Calendar, off=st.frozensets(near, max_size=3), worked=st.frozensets(near, max_size=3))
    always = draw(st.lists(st.sampled_from(PEOPLE), max_size=1))
    whole = team(*draw(st.lists(rotations, max_size=2)), always=always)
    return whole, draw(calendar), draw(st.lists(overrides(zone, around), max_size=4)), zone, around


def overrides(zone: ZoneInfo, around: date) -> st.SearchStrategy[Override]:
    moments = st.integers(-300, 300).map(lambda number: middle(zone, around) + number * QUARTER)
    return st.builds(Override, st.sampled_from(["t", "t", "t", "u"]), st.sampled_from(PEOPLE), st.sampled_from([None, *PEOPLE]), moments, moments)


def middle(zone: ZoneInfo, around: date) -> datetime:
    return instant(around, time(0), zone)


@given(scenes(), st.lists(st.integers(-300, 300), min_size=1, max_size=6))
def test_at_any_moment_those_are_on_duty_whom_shifts_and_overrides_say(
    scene: tuple[Team, Calendar, list[Override], ZoneInfo, date], numbers: list[int]
):
    whole, calendar, given_, zone, around = scene
    for number in numbers:
        at = middle(zone, around) + number * QUARTER
        expected = at_work(whole, calendar, given_, at, zone, around)
        found = on_duty(whole, calendar, given_, at, zone)
        assert {one.person for one in found} == {person for person, _ in expected}
        assert {(one.person, one.instead_of) for one in found} <= expected
        assert all(one.since <= at < one.until for one in found)


@given(scenes(), st.integers(-200, 200), st.integers(1, 300))
def test_a_roster_says_of_each_moment_what_is_said_when_it_has_come(
    scene: tuple[Team, Calendar, list[Override], ZoneInfo, date], first: int, length: int
):
    whole, calendar, given_, zone, around = scene
    since = middle(zone, around) + first * QUARTER
    until = since + length * QUARTER
    spans = roster(whole, calendar, given_, since, until, zone)
    assert all(one.since < one.until and one.since < until and since < one.until for one in spans)
    assert len({(one.since, one.person) for one in spans}) == len(spans)
    assert spans == sorted(spans, key=lambda one: (one.since, one.until, one.person))
    assert all(moment.tzinfo is UTC for one in spans for moment in (one.since, one.until))
    for at in (since, since + (length // 2) * QUARTER, until - timedelta(microseconds=1)):
        there = {one.person for one in spans if one.since <= at < one.until}
        assert there == {one.person for one in on_duty(whole, calendar, given_, at, zone)}


def persons(found: Sequence[OnDuty]) -> list[str]:
    return [one.person for one in found]


def at_clock(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


DAY_AND_NIGHT = (shift("08:00", "20:00"), shift("20:00", "08:00"))


def test_a_night_shift_belongs_to_the_day_on_which_it_begins():
    nights = team(rotation(*DAY_AND_NIGHT, days="working"))
    (friday_night,) = on_duty(nights, Calendar(), (), at_clock("2026-01-10 03:00"), SHANGHAI)  # Saturday
    assert (friday_night.person, friday_night.since) == ("wang", at_clock("2026-01-09 20:00").astimezone(UTC))
    assert on_duty(nights, Calendar(), (), at_clock("2026-01-10 08:00"), SHANGHAI) == ()


def test_a_shift_that_ends_when_it_begins_lasts_a_whole_day():
    whole = team(rotation(shift("09:00", "09:00")))
    found = roster(whole, Calendar(), (), at_clock("2026-01-06 09:00"), at_clock("2026-01-08 09:00"), SHANGHAI)
    assert [(one.person, one.until - one.since) for one in found] == [("wang", DAY), ("zhao", DAY)]


@pytest.mark.parametrize(
    ("turn", "crews"),
    [("shift", ["li", "wang", "zhao", "li", "wang", "zhao"]), ("day", ["li", "li", "wang", "wang", "zhao", "zhao"]), ("week", ["li"] * 6)],
)
def test_crews_take_turns_by_shift_day_or_week(turn: str, crews: list[str]):
    whole = team(rotation(*DAY_AND_NIGHT, turn=turn))
    assert persons(roster(whole, Calendar(), (), at_clock("2026-01-05 08:00"), at_clock("2026-01-08 08:00"), SHANGHAI)) == crews


def test_crews_take_turns_on_days_off_too_so_that_a_holiday_changes_nobody_s_week():
    calendar = Calendar(off=frozenset({date(2026, 1, 6)}), worked=frozenset({date(2026, 1, 10)}))
    whole = team(rotation(shift("08:00", "18:00"), days="working"))
    found = roster(whole, calendar, (), at_clock("2026-01-05"), at_clock("2026-01-12"), SHANGHAI)
    assert [(one.since.astimezone(SHANGHAI).day, one.person) for one in found] == [(5, "li"), (7, "zhao"), (8, "li"), (9, "wang"), (10, "zhao")]
    others = team(rotation(shift("08:00", "18:00"), days="off"))
    found = roster(others, calendar, (), at_clock("2026-01-05"), at_clock("2026-01-12"), SHANGHAI)
    assert [(one.since.astimezone(SHANGHAI).day, one.person) for one in found] == [(6, "wang"), (11, "li")]


def test_before_a_rotation_begins_nobody_is_on_duty():
    whole = team(rotation(*DAY_AND_NIGHT))
    assert on_duty(whole, Calendar(), (), at_clock("2026-01-05 07:59"), SHANGHAI) == ()
    assert persons(on_duty(whole, Calendar(), (), at_clock("2026-01-05 08:00"), SHANGHAI)) == ["li"]


def test_a_century_ahead_it_is_known_whose_turn_it_is():
    whole = team(rotation(*DAY_AND_NIGHT))
    ahead = at_clock("2126-01-05 12:00")
    assert persons(on_duty(whole, Calendar(), (), ahead, SHANGHAI)) == [PEOPLE[(ahead.date() - date(2026, 1, 5)).days % 3]]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 11), ("2026-10-24", 13), ("2026-06-01", 12)])
def test_a_night_in_which_clocks_change_is_an_hour_shorter_or_longer(day: str, hours: int):
    whole = team(rotation(*DAY_AND_NIGHT))
    (night,) = on_duty(whole, Calendar(), (), at_clock(f"{day} 23:00", BERLIN), BERLIN)
    assert night.until - night.since == timedelta(hours=hours)


def test_shifts_that_meet_in_the_hour_that_is_skipped_leave_no_gap_and_do_not_overlap():
    whole = team(rotation(shift("00:00", "02:30"), shift("02:30", "03:00"), shift("03:00", "00:00"), turn="shift"))
    found = roster(whole, Calendar(), (), at_clock("2026-03-29 00:00", BERLIN), at_clock("2026-03-30 00:00", BERLIN), BERLIN)
    assert [one.shift and one.shift.zh for one in found] == ["00:00-02:30", "03:00-00:00"]
    assert found[0].until == found[1].since == datetime(2026, 3, 29, 1, tzinfo=UTC)


def override(person: str, instead_of: str | None, since: str, until: str) -> Override:
    return Override("t", person, instead_of, at_clock(since), at_clock(until))


def test_who_stands_in_for_somebody_has_a_part_of_their_shift():
    whole = team(rotation(*DAY_AND_NIGHT))
    by = override("chen", "li", "2026-01-05 10:00", "2026-01-05 12:00")
    found = roster(whole, Calendar(), [by], at_clock("2026-01-05 08:00"), at_clock("2026-01-05 20:00"), SHANGHAI)
    hours = [(one.since.astimezone(SHANGHAI).hour, one.until.astimezone(SHANGHAI).hour, one.person, one.instead_of) for one in found]
    assert hours == [(8, 10, "li", None), (10, 12, "chen", "li"), (12, 20, "li", None)]
    assert {one.shift for one in found} == {DAY_AND_NIGHT[0].name}


def test_who_is_added_is_on_duty_besides_the_others_and_whoever_replaces_nobody_is_not():
    whole = team(rotation(*DAY_AND_NIGHT))
    added, in_vain = override("chen", None, "2026-01-05 10:00", "2026-01-05 12:00"), override("liu", "zhao", "2026-01-05 10:00", "2026-01-05 12:00")
    found = on_duty(whole, Calendar(), [added, in_vain], at_clock("2026-01-05 11:00"), SHANGHAI)
    assert sorted(persons(found)) == ["chen", "li"]


def test_the_last_override_holds_and_who_comes_back_stands_in_for_nobody():
    whole = team(rotation(*DAY_AND_NIGHT))
    hours = ("2026-01-05 08:00", "2026-01-05 20:00")
    chain = [override("chen", "li", *hours), override("liu", "li", *hours), override("zhao", "liu", *hours)]
    at = at_clock("2026-01-05 11:00")
    (one,) = on_duty(whole, Calendar(), chain, at, SHANGHAI)
    assert (one.person, one.instead_of) == ("zhao", "li")
    (one,) = on_duty(whole, Calendar(), [*chain, override("li", "zhao", *hours)], at, SHANGHAI)
    assert (one.person, one.instead_of) == ("li", None)


def test_who_is_always_on_duty_is_so_for_whole_days_and_can_be_replaced():
    whole = team(always=("li",))
    found = roster(
        whole, Calendar(), [override("wang", "li", "2026-01-06", "2026-01-07")], at_clock("2026-01-05 12:00"), at_clock("2026-01-08"), SHANGHAI
    )
    assert [(one.since.astimezone(SHANGHAI).day, one.person) for one in found] == [(5, "li"), (6, "wang"), (7, "li")]
    assert persons(on_duty(whole, Calendar(), (), at_clock("2026-01-05 12:00"), SHANGHAI)) == ["li"]


def test_who_begins_two_shifts_at_once_is_on_duty_until_the_longer_ends():
    twice = team(*(rotation(shift("08:00", until), crews=(("li",),)) for until in ("20:00", "12:00")))
    (one,) = roster(twice, Calendar(), (), at_clock("2026-01-05 08:00"), at_clock("2026-01-06"), SHANGHAI)
    assert one.until == at_clock("2026-01-05 20:00")


def test_of_no_time_there_is_no_roster():
    at = at_clock("2026-01-05 12:00")
    assert roster(team(always=("li",)), Calendar(), (), at, at, SHANGHAI) == []


# Which team answers

TREE = RegionTree(
    [
        Region(code="99", parent=None, level=Level.CITY, name=name("市")),
        Region(code="9901", parent="99", level=Level.DISTRICT, name=name("区")),
        Region(code="990101", parent="9901", level=Level.STREET, name=name("街道")),
        Region(code="999901", parent="99", level=Level.STREET, name=name("直辖街道")),
    ]
)
REGIONS = ["99", "9901", "990101", "999901"]


@st.composite
def crowds(draw: st.DrawFn) -> list[Team]:
    departments = st.sampled_from([None, frozenset({"water"}), frozenset({"fire"}), frozenset({"water", "fire"})])
    made = st.tuples(st.sampled_from(REGIONS), st.sampled_from(["desk", "lead"]), departments)
    return [team(id=f"t{at}", region=region, role=role, departments=of) for at, (region, role, of) in enumerate(draw(st.lists(made, max_size=6)))]


@given(crowds(), st.sampled_from(TeamRole), st.sampled_from(Level), st.sampled_from(REGIONS), st.sampled_from(["water", "fire", "none"]))
def test_the_nearest_team_of_a_role_answers_and_one_that_names_the_department_before_one_for_all(
    teams: list[Team], role: TeamRole, level: Level, region: str, department: str
):
    heights = {Level.STREET: 0, Level.DISTRICT: 1, Level.CITY: 2}
    fit = [
        one
        for one in teams
        if one.role is role
        and TREE.covers(one.region, region)
        and heights[TREE[one.region].level] >= heights[level]
        and (one.departments is None or department in one.departments)
    ]
    nearest = min(fit, key=lambda one: (heights[TREE[one.region].level], one.departments is None), default=None)
    assert responsible(teams, role, level, TREE.path(region), TREE, department) == nearest


def test_where_a_level_has_no_team_or_the_path_has_no_such_level_the_next_one_up_answers():
    city, district = team(id="c", region="99"), team(id="d", region="9901")
    street = TREE.path("990101")
    assert responsible([city, district], TeamRole.DESK, Level.STREET, street, TREE, "water") == district
    assert responsible([city, district], TeamRole.DESK, Level.CITY, street, TREE, "water") == city
    assert responsible([city, district], TeamRole.DESK, Level.DISTRICT, TREE.path("999901"), TREE, "water") == city
    assert responsible([city, district], TeamRole.LEAD, Level.STREET, street, TREE, "water") is None
