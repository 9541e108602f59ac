"""Columns of readings."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rules.domain.ring import ROOM, Ring


@given(st.lists(st.integers(-(2**62), 2**62), max_size=2 * ROOM))
def test_room_for_more_changes_nothing(ends: list[int]):
    ring = Ring(array("q", ends), array("d", map(float, ends)))
    ring.widen()
    assert ring.ends == array("q", ends)
    assert ring.values == array("d", map(float, ends))


@pytest.mark.parametrize("few", [16, 32])
def test_a_column_with_room_takes_what_comes_without_moving(few: int):
    ring = Ring(array("q", range(few)), array("d", range(few)))
    ring.widen()
    where = ring.ends.buffer_info()[0], ring.values.buffer_info()[0]
    for end in range(few, ROOM):
        ring.put(end, float(end))
    assert (ring.ends.buffer_info()[0], ring.values.buffer_info()[0]) == where
    assert list(ring.ends) == list(range(ROOM))
