"""Who may do what: the decision against an oracle, what follows from it, and tokens."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.access import Grant, Role
from services.gateway.domain.access import CAPABILITIES, Capability, Extent, Principal, Scope, Tokens, Verdict, decide, home
from services.gateway.errors import Forbidden, Unauthorised
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_DISTRICT, OTHER_STREET, SIBLING, STREET, TREE, name

TOKENS = {CITY: "tgr_city", DISTRICT: "tgr_district", STREET: "tgr_street"}
ACCESS = Tokens(TOKENS, TREE)
ALL = [CITY, DISTRICT, STREET, SIBLING, OTHER_DISTRICT, OTHER_STREET]
BELOW = {CITY: set(ALL), DISTRICT: {DISTRICT, STREET, SIBLING}, OTHER_DISTRICT: {OTHER_DISTRICT, OTHER_STREET}}
BELOW |= {street: {street} for street in (STREET, SIBLING, OTHER_STREET)}
DEPARTMENTS = ["d", "e", "f"]

MAY = {
    "city": {"watch", "acknowledge", "direct"},
    "district": {"watch", "acknowledge", "direct"},
    "street": {"watch", "acknowledge", "direct"},
    "field": {"watch", "acknowledge"},
    "department": {"watch", "events", "registry"},
    "rule_author": {"watch", "rules"},
    "auditor": {"audit"},
    "admin": {"users", "events", "registry"},
}

departments = st.none() | st.frozensets(st.sampled_from(DEPARTMENTS))
grants = st.lists(st.builds(Grant, role=st.sampled_from(Role), region=st.sampled_from([*ALL, "gone"]), departments=departments), max_size=5)
asked_department = st.sampled_from([*DEPARTMENTS, *Extent])


def scope(*held: Grant) -> Scope:
    return Scope(Principal("somebody", name("somebody"), held), TREE)


def grant(role: str, region: str, *of: str) -> Grant:
    return Grant(role=Role(role), region=region, departments=frozenset(of) or None)


def things(held: list[Grant]) -> set[tuple[str, str, str]]:
    """Spell out all that grants allow, thing by thing: the oracle."""
    allowed = set()
    for one in held:
        if (one.role is Role.DEPARTMENT and one.departments is None) or (one.role is Role.AUDITOR and one.departments is not None):
            continue
        of = {*DEPARTMENTS, "not named yet"} if one.departments is None else one.departments
        allowed |= set(product(MAY[one.role], BELOW.get(one.region, set()), of))
    return allowed


def test_each_role_may_what_the_order_says():
    assert {role.value: {one.value for one in may} for role, may in CAPABILITIES.items()} == MAY


@given(grants, st.sampled_from(Capability), st.sampled_from([*ALL, "gone", ""]), asked_department)
def test_what_is_allowed_is_what_some_grant_allows(held: list[Grant], capability: Capability, region: str, department: str | Extent):
    allowed = {of for can, where, of in things(held) if (can, where) == (capability, region)}
    wanted = {Extent.ANY: bool(allowed), Extent.ALL: "not named yet" in allowed}.get(department, department in allowed)  # type: ignore[call-overload]
    verdict = decide(held, TREE, capability, region, department)
    assert (verdict is Verdict.ALLOWED) is wanted
    if verdict is Verdict.NOT_YOUR_ROLE:
        assert not {one for one in things(held) if one[0] == capability}
    if verdict is Verdict.NOT_YOUR_DEPARTMENT:
        assert [one for one in held if region in BELOW.get(one.region, set())]


@given(grants, grants)
def test_a_grant_more_takes_nothing_away(held: list[Grant], more: list[Grant]):
    for asked in product(Capability, ALL, [*DEPARTMENTS, *Extent]):
        if decide(held, TREE, *asked) is Verdict.ALLOWED:
            assert decide(held + more, TREE, *asked) is Verdict.ALLOWED


@given(grants)
def test_a_reach_takes_in_what_is_allowed_and_nothing_else(held: list[Grant]):
    who = scope(*held)
    watched = {(where, of) for can, where, of in things(held) if can == "watch"}
    for region in ALL:
        if not any(where == region for where, _ in watched):
            with pytest.raises(Forbidden):
                who.reach(region)
            continue
        reach = who.reach(region)
        for street, department in product(ALL, [*DEPARTMENTS, None]):
            wanted = street in BELOW[region] and (street, department or "not named yet") in watched
            assert reach.sees(TREE.path(street), department) is wanted
            if street in BELOW[region]:
                assert who.sees(street, department) is wanted
                assert who.sees(street, department) or not (who.whole and street in who.streets())


@given(grants, st.randoms())
def test_who_sees_the_same_has_the_same_reach(held: list[Grant], random: object):
    """So that one frame serves all of them, however their grants are written."""
    shuffled = sorted(held, key=lambda _: random.random())  # type: ignore[attr-defined]
    split = [
        part
        for one in shuffled
        for part in (
            [one] if not one.departments else [one.model_copy(update={"departments": frozenset({each})}) for each in sorted(one.departments)]
        )
    ]
    for region in scope(*held).streets():
        assert scope(*held).reach(region) == scope(*shuffled, *held).reach(region) == scope(*split).reach(region)


@given(grants, st.data())
def test_a_grant_that_says_nothing_new_changes_no_reach(held: list[Grant], data: st.DataObject):
    who = scope(*held)
    for one in [one for one in held if one.role in {Role.CITY, Role.FIELD} and one.departments != frozenset() and one.region in TREE]:
        below = data.draw(st.sampled_from(sorted(BELOW[one.region])))
        some = data.draw(st.frozensets(st.sampled_from(sorted(one.departments or DEPARTMENTS)), min_size=1))
        again = scope(*held, Grant(role=Role.DEPARTMENT, region=below, departments=some))
        assert [who.reach(region) for region in who.streets()] == [again.reach(region) for region in again.streets()]


def test_a_role_at_a_desk_and_one_in_the_field_share_their_frames():
    assert scope(grant("street", STREET)).reach(STREET) == scope(grant("city", CITY)).reach(STREET) == scope(grant("field", STREET)).reach(STREET)
    assert scope(grant("city", CITY), grant("department", DISTRICT, "d")).reach(CITY) == scope(grant("city", CITY)).reach(CITY)


@given(grants)
def test_where_one_begins_takes_in_all_that_is_theirs(held: list[Grant]):
    who = scope(*held)
    for capability in Capability:
        tops = who.regions(capability)
        allowed = {where for can, where, _ in things(held) if can == capability}
        assert set(tops) <= allowed
        assert allowed == set().union(*(BELOW[top] for top in tops)) == set(who.streets(capability))
        assert not [one for one, other in product(tops, tops) if one != other and one in BELOW[other]]
        assert who.may(capability) is bool(allowed)


def test_what_stands_in_no_region_is_the_citys():
    assert scope(grant("city", CITY)).sees("123456", "d")
    assert scope(grant("department", CITY, "d")).sees("123456", "d")
    assert not scope(grant("department", CITY, "d")).sees("123456", None)
    assert not scope(grant("district", DISTRICT), grant("district", OTHER_DISTRICT)).sees("123456", "d")


@given(grants, st.sampled_from([*ALL, "gone"]), departments)
def test_what_is_for_several_departments_concerns_who_sees_one_and_is_done_by_who_may_for_all(
    held: list[Grant], region: str, of: frozenset[str] | None
):
    who, at = scope(*held), region if region in TREE else CITY
    mine = {each for can, where, each in things(held) if (can, where) == ("watch", at)}
    assert who.concerns(region, of) is bool(mine & of if of else mine)
    able = {each for can, where, each in things(held) if (can, where) == ("direct", at)}
    try:
        who.require_for(region, Capability.DIRECT, of)
    except Forbidden:
        assert not (of or {"not named yet"}) <= able
    else:
        assert (of or {"not named yet"}) <= able


def test_what_is_personal_is_shown_to_no_machine():
    scope(grant("city", CITY)).require_person(CITY)
    with pytest.raises(Forbidden, match="users only"):
        Scope(ACCESS.principal("tgr_city"), TREE).require_person(CITY)


@given(grants, grants)
def test_nobody_administers_what_they_could_not_grant(held: list[Grant], theirs: list[Grant]):
    who = scope(*held)
    administered = {(where, of) for can, where, of in things(held) if can == "users"}
    for one in theirs:
        of = one.departments or {"not named yet"}
        at = one.region if one.region in TREE else CITY
        assert who.gives(one) is all((at, each) in administered for each in of)
    assert who.administers(theirs) is (all(who.gives(one) for one in theirs) if theirs else (CITY, "not named yet") in administered)


@pytest.mark.parametrize(
    ("regions", "found"),
    [([], None), ([STREET], STREET), ([STREET, SIBLING], DISTRICT), ([STREET, OTHER_STREET], CITY), ([DISTRICT, STREET], DISTRICT), (["gone"], CITY)],
)
def test_whose_auditors_are_told_of_somebody(regions: list[str], found: str | None):
    assert home([grant("street", region) for region in regions], TREE) == found


@pytest.mark.parametrize("own", TOKENS)
@pytest.mark.parametrize("region", ALL)
def test_a_token_is_good_for_its_region_and_all_below_it_and_no_other(own: str, region: str):
    machine = Scope(ACCESS.principal(TOKENS[own]), TREE)
    assert machine.principal.id == f"token/{own}"
    for capability in Capability:
        wanted = region in BELOW[own] and capability.value in {"watch", "acknowledge", "direct"}
        assert (machine.decide(capability, region, Extent.ALL) is Verdict.ALLOWED) is wanted
    if region not in BELOW[own]:
        with pytest.raises(Forbidden, match=region):
            machine.require(region)


@pytest.mark.parametrize("region", ["", "nowhere", STREET + " ", STREET[:-1], "*", "x" * 10_000])
def test_an_unknown_region_is_forbidden_to_all_as_another_ones_is(region: str):
    for token in TOKENS.values():
        with pytest.raises(Forbidden) as refused:
            Scope(ACCESS.principal(token), TREE).require(region)
        assert (refused.value.verdict, refused.value.region) == ("not_your_region", None)


@given(st.one_of(st.text(), st.sampled_from(["", "tgr_city ", "TGR_CITY", "tgr_cit", "\ud800"])))
def test_a_token_is_known_to_the_letter_or_not_at_all(token: str):
    with pytest.raises(Unauthorised):
        ACCESS.principal(token)


def test_a_token_of_a_region_that_is_no_more_opens_nothing():
    with pytest.raises(Unauthorised):
        Tokens({"gone": "tgr_gone"}, TREE).principal("tgr_gone")


def test_tokens_are_not_kept():
    assert "tgr_city" not in repr(vars(ACCESS))
