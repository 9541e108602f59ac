"""What a provider of identities says, in our words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.access import Grant, Role
from schemas.base import Code
from services.gateway.domain.identity import display_name, granted, parse_grant, user_id

CITYS = Grant(role=Role.CITY, region="620100")
WATERS = Grant(role=Role.DEPARTMENT, region="620100", departments=frozenset({"water", "drainage"}))
BY_GROUP = {"duty": [CITYS], "water": [WATERS], "both": [WATERS, CITYS]}
anything = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of))


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("city:620100", CITYS),
        (" city : 620100 ", CITYS),
        ("city:620100:", CITYS),
        ("department:620100:water, drainage", WATERS),
    ],
)
def test_a_grant_is_written_on_one_line(text: str, grant: Grant):
    assert parse_grant(text) == grant


@pytest.mark.parametrize("text", ["", "city", "emperor:620100", "city:", "city:6 2", "department:620100:wat er"])
def test_what_is_no_grant_is_refused(text: str):
    with pytest.raises(ValueError, match=r".+"):
        parse_grant(text)


@given(st.text(min_size=1), st.text(min_size=1))
def test_ids_of_the_provider_are_ours_and_stay_apart(one: str, other: str):
    id_ = user_id(one)
    assert id_ is not None
    assert TypeAdapter(Code).validate_python(id_).startswith("oidc:")
    assert (id_ == user_id(other)) is (one == other)


def test_an_id_that_can_be_read_stays_so():
    assert user_id("li.wei") == "oidc:li.wei"
    assert len(str(user_id("auth0|5f7c"))) == len("oidc:") + 64


@given(anything)
def test_whatever_it_says_nobody_is_granted_what_no_group_is(claim: object):
    if not isinstance(claim, str):
        assert user_id(claim) is None
    assert display_name(claim, "oidc:x").zh
    groups = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    assert bool(granted(claim, BY_GROUP)) is any(group in list(BY_GROUP) for group in groups)


def test_groups_add_up():
    assert granted(["duty", "both", "none", 7], BY_GROUP) == (CITYS, WATERS)
    assert granted("water", BY_GROUP) == (WATERS,)
