"""Who may see what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.access import Access
from services.gateway.errors import Forbidden, Unauthorised
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_DISTRICT, OTHER_STREET, SIBLING, STREET, TREE

TOKENS = {CITY: "tgr_city", DISTRICT: "tgr_district", STREET: "tgr_street"}
ACCESS = Access(TOKENS, TREE)
ALL = [CITY, DISTRICT, STREET, SIBLING, OTHER_DISTRICT, OTHER_STREET]
MAY = {
    CITY: {CITY, DISTRICT, STREET, SIBLING, OTHER_DISTRICT, OTHER_STREET},
    DISTRICT: {DISTRICT, STREET, SIBLING},
    STREET: {STREET},
}


@pytest.mark.parametrize("own", MAY)
@pytest.mark.parametrize("region", ALL)
def test_a_reader_sees_the_own_region_and_all_below_it_and_no_other(own: str, region: str):
    scope = ACCESS.scope(TOKENS[own])
    if region in MAY[own]:
        scope.require(region)
        assert set(scope.regions(region)) == {code for code in ALL if region in TREE.path(code)}
    else:
        with pytest.raises(Forbidden, match=region):
            scope.require(region)
        with pytest.raises(Forbidden):
            scope.regions(region)


@pytest.mark.parametrize("region", ["", "nowhere", STREET + " ", STREET[:-1], "*", "x" * 10_000])
def test_an_unknown_region_is_forbidden_to_all_as_another_ones_is(region: str):
    for token in TOKENS.values():
        with pytest.raises(Forbidden):
            ACCESS.scope(token).require(region)


@given(st.one_of(st.text(), st.sampled_from(["", "tgr_city ", "TGR_CITY", "tgr_cit", "\ud800"])))
def test_a_token_is_known_to_the_letter_or_not_at_all(token: str):
    with pytest.raises(Unauthorised):
        ACCESS.scope(token)


def test_a_token_of_a_region_that_is_no_more_opens_nothing():
    with pytest.raises(Unauthorised):
        Access({"gone": "tgr_gone"}, TREE).scope("tgr_gone")


def test_tokens_are_not_kept():
    assert "tgr_city" not in repr(vars(ACCESS))
