"""Links in messages: who has the key makes them, and nobody else."""

from __future__ import annotations

import string
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.kit import links

KEY = "k" * 32
keys = st.text(st.characters(codec="utf-8"), min_size=1)


@given(keys, st.uuids())
def test_a_link_leads_to_its_notification_and_fits_a_message(key: str, notification: UUID):
    token = links.make(key, notification)
    assert links.read(key, token) == notification
    assert len(token) == 38
    assert set(token) <= {*string.ascii_letters, *string.digits, "-", "_"}


@given(st.uuids(), st.integers(0, 37), st.sampled_from([*string.ascii_letters, *string.digits, "-", "_", "=", "é", "\ud800", ""]))
def test_a_link_in_which_one_letter_is_another_is_none(notification: UUID, at: int, letter: str):
    token = links.make(KEY, notification)
    changed = token[:at] + letter + token[at + 1 :]
    assert (links.read(KEY, changed) is None) is (changed != token)


@given(st.uuids(), keys)
def test_a_link_made_with_another_key_is_none(notification: UUID, key: str):
    assert links.read(KEY, links.make(key + "x", notification)) is None


@given(st.one_of(st.text(), st.text("AB-_=", max_size=60)))
def test_what_anybody_makes_up_is_no_link(token: str):
    assert links.read(KEY, token) is None
