"""The engine broken on purpose: rounds against the oracle must see each fault."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from random import Random
from typing import Any

import pytest

from services.rules.domain import episodes, ladder, pages, tracker
from services.rules.domain.core import Core
from services.rules.domain.kinds.absence import Listening
from services.rules.domain.step import Partition
from tests.unit.rules.histories import SHAPES, activation, reading, rule, sensor, tick, way
from tests.unit.rules.rounds import Difference, compare, history

Break = Callable[[pytest.MonkeyPatch], None]
SEEDS = range(60)


def fresh_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """A run goes on over any gap."""
    sound = ladder.advance
    patch.setattr(tracker, "advance", lambda *what, **given: sound(*what, **{**given, "fresh": 1 << 60}))


def late_data_are_not_folded_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tracker, "again", lambda *_: [])


def a_page_is_written_after_the_change(patch: pytest.MonkeyPatch) -> None:
    """A page that is pending is not written before a record changes it."""

    def touch(self: pages.Pages, page: int) -> None:
        self.changed[page] = 1

    patch.setattr(pages.Pages, "touch", touch)


def a_dwell_is_a_reading_too_long(patch: pytest.MonkeyPatch) -> None:
    """Where `n` readings are asked for, `n + 1` are."""
    sound = ladder.advance

    def advance(tier: Any, *what: Any, **given: Any) -> Any:
        return sound(_Longer(tier), *what, **given)  # type: ignore[arg-type]

    patch.setattr(tracker, "advance", advance)


class _Longer:
    def __init__(self, of: Any) -> None:
        self.gravity = of.gravity
        self.up, self.down = (_LongerWay(way) for way in (of.up, of.down))


class _LongerWay:
    def __init__(self, of: Any) -> None:
        self.test, self.dwell, self.readings = of.test, of.dwell, of.readings + (of.readings > 1)


def ids_are_of_the_present_beginning(patch: pytest.MonkeyPatch) -> None:
    """An episode that began earlier than was thought gets another id."""
    sound = episodes._rewrite

    def rewrite(episode: Any, one: Any, change: Any) -> Any:
        if one.began != episode.began:
            episode.id = episodes.identity("r1", 1, "s1/flow", one.began)
        return sound(episode, one, change)

    patch.setattr(episodes, "_rewrite", rewrite)


def nothing_is_due_after_a_restore(patch: pytest.MonkeyPatch) -> None:
    """What waited for a tick is forgotten by a restart."""
    sound = Partition.put_together

    def put_together(self: Partition) -> None:
        sound(self)
        for _, _, one in self._dues:
            one.due = episodes.OPEN_END
        self._dues.clear()

    patch.setattr(Partition, "put_together", put_together)


def the_guard_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(episodes, "guarded", lambda found, *_: (list(found), None))


def a_latch_is_left_on_the_wrong_side(patch: pytest.MonkeyPatch) -> None:
    """The band in which nothing happens is too wide: readings at a limit are taken for rest."""
    from services.rules.domain.plan import Plan

    sound = Plan.band
    patch.setattr(Plan, "band", lambda self, mask: tuple(edge + step for edge, step in zip(sound(self, mask), (-6, 6), strict=True)))


def nothing_settles_in_time(patch: pytest.MonkeyPatch) -> None:
    """Marks are forgotten, and with them what lay before."""

    def settle(one: Any, *_: Any) -> None:
        one.stretches = None

    patch.setattr(tracker, "settle", settle)


def a_gap_of_the_adapter_counts_as_silence(patch: pytest.MonkeyPatch) -> None:
    def silence(self: Listening, of: Any) -> int:
        return int(self.clock(of.sensor.adapter).listened - of.heard)

    patch.setattr(Listening, "silence", silence)


def a_change_of_meaning_closes_nothing(patch: pytest.MonkeyPatch) -> None:
    """What a change of a rule or a sensor ends is not told."""
    patch.setattr(Core, "_end", lambda *_: [])


BREAKS: tuple[Break, ...] = (
    fresh_is_ignored,
    late_data_are_not_folded_again,
    a_page_is_written_after_the_change,
    a_dwell_is_a_reading_too_long,
    ids_are_of_the_present_beginning,
    nothing_is_due_after_a_restore,
    the_guard_is_ignored,
    a_latch_is_left_on_the_wrong_side,
    nothing_settles_in_time,
    a_gap_of_the_adapter_counts_as_silence,
    a_change_of_meaning_closes_nothing,
)


SHAPES_OF: dict[Break, tuple[str, ...]] = {the_guard_is_ignored: ("value",), a_gap_of_the_adapter_counts_as_silence: ("absence",)}
"""Where few shapes of rules can show a fault, only these are drawn."""


def found(seeds: range, shapes: tuple[str, ...] = tuple(SHAPES)) -> Difference | None:
    """Return the first difference of the engine from the oracle."""
    return next((one for seed in seeds if (one := compare(history(seed, 120, shapes), Random(seed))) is not None), None)


def test_the_sound_engine_passes_what_the_broken_ones_fail():
    assert found(range(12)) is None


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.__name__)
def test_rounds_find_a_broken_engine(broken: Break, monkeypatch: pytest.MonkeyPatch):
    broken(monkeypatch)
    difference = found(SEEDS, SHAPES_OF.get(broken, tuple(SHAPES)))
    assert difference is not None
    assert not difference.error, "it tells something else, and does not merely fall over"


def test_a_history_by_hand_finds_a_page_written_too_late(monkeypatch: pytest.MonkeyPatch):
    """The same without chance: the snapshot begun before a reading must not have it."""

    def restored() -> Partition:
        partition = Partition()
        for record in (sensor(), activation(rule({"yellow": (way(80), way(70))})), tick(0)):
            partition.step(record)
        partition.begin_snapshot()
        partition.step(reading(1, flow=90))
        return Partition.restore(dict(chain.from_iterable(iter(lambda: partition.take_pages(1), []))))

    assert len(restored().step(reading(1, flow=90))[1]) == 1
    a_page_is_written_after_the_change(monkeypatch)
    assert len(restored().step(reading(1, flow=90))[1]) == 0
