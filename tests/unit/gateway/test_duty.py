"""Who is on duty as pages show it: now and later, with addresses that nobody can use."""

from __future__ import annotations

import string
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerting import Team, TeamRole
from services.gateway.domain.duty import Turn, masked, teams
from tests.unit.gateway.city import NOW, STREET, name

HOUR = timedelta(hours=1)
TEAM = Team(id="water", name=name("water"), region=STREET, role=TeamRole.FIELD)


def turn(person: str | None, begins: int = 0, team: Team = TEAM) -> Turn:
    if person is None:
        return Turn(team, None, None, None, None, None, None)
    return Turn(team, person, name(person), NOW + begins * HOUR, NOW + (begins + 8) * HOUR, name("day"), None)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("13812345678", "138****5678"),
        ("+8613812345678", "+86****5678"),
        ("li.wei@water.example", "l***@water.example"),
        ("@nobody", "***@nobody"),
        ("wx_liwei", "wx***"),
        ("1234", "***"),
        ("8123456", "81***"),
        ("", "***"),
    ],
)
def test_of_an_address_only_its_ends_are_shown(address: str, shown: str):
    assert masked(address) == shown


@given(st.text(string.ascii_letters + string.digits, min_size=1), st.sampled_from(["", "@water.example"]))
def test_no_address_is_shown_whole(address: str, host: str):
    assert len(address) == 1 or address not in masked(address + host).partition("@")[0]


def test_who_is_on_duty_now_stands_before_who_comes_later():
    shown = teams([turn("li", -1), turn("wang", 7)], NOW, {"li": {"sms": "13812345678"}}, {"water"})
    assert [(one.team, [each.person for each in one.now], [each.person for each in one.later]) for one in shown] == [("water", ["li"], ["wang"])]
    assert shown[0].now[0].contacts == {"sms": "138****5678"}
    assert shown[0].later[0].contacts == {}


def test_a_team_in_which_nobody_is_on_duty_is_shown_empty():
    other = TEAM.model_copy(update={"id": "fire"})
    assert [(one.team, one.now, one.later) for one in teams([turn(None), turn(None, team=other)], NOW, {}, ())] == [
        ("water", (), ()),
        ("fire", (), ()),
    ]


def test_addresses_are_shown_only_of_the_teams_that_the_reader_leads():
    other = TEAM.model_copy(update={"id": "fire"})
    shown = teams([turn("li"), turn("li", team=other)], NOW, {"li": {"sms": "13812345678"}}, {"fire"})
    assert {one.team: one.now[0].contacts for one in shown} == {"water": {}, "fire": {"sms": "138****5678"}}
