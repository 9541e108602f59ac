"""The numbered SQL files of the rooms."""

from __future__ import annotations

from itertools import pairwise

from services.kit.migrations import ROOMS, Migration, found


def test_every_room_s_files_run_in_order_the_kit_s_first():
    order = [(ROOMS.index(migration.room), migration.number) for migration in found()]
    assert order == sorted(order)
    assert len(order) == len(set(order)), "a number is given twice"
    assert order[0] == (0, 1)


def test_no_number_is_left_out():
    for before, after in pairwise(found()):
        assert after.number == (before.number + 1 if before.room == after.room else 1)


def test_a_digest_is_that_of_the_text():
    first, second = Migration("kit", 1, "a", "select 1"), Migration("kit", 1, "a", "select 2")
    assert first.digest == "822ae07d4783158bc1912bb623e5107cc9002d519e1143a9c200ed6ee18b6d0f"
    assert first.digest != second.digest
