"""When the platform counts as silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.domain.watching import PARTS, Cause, Limits, Look, Outage, Verdict, Watch, begin, step

START = datetime(2026, 5, 3, 6, tzinfo=UTC)
LIMITS = Limits(silence_s=60, calm_s=15, repeat=timedelta(minutes=10))
OLD = START - timedelta(days=1)
TOLD = {Verdict.BEGAN, Verdict.REPEATED, Verdict.ENDED}


@dataclass
class Platform:
    """What is seen of it at looks five seconds apart."""

    watch: Watch
    second: float = 0
    ticked: datetime | None = OLD
    beats: dict[str, datetime] = field(default_factory=lambda: dict.fromkeys(PARTS, OLD))

    def look(self, *, ticks: bool = True, answers: bool = True, behind: bool = False, works: Iterable[str] = PARTS) -> Verdict:
        """Look once; `works` are the parts of alerts that do."""
        self.second += 5
        now = START + timedelta(seconds=self.second)
        if ticks:
            self.ticked = now
        self.beats |= dict.fromkeys(works, now)
        look = Look(self.second, now, answers, self.ticked, behind, dict(self.beats)) if answers else Look(self.second, now, answered=False)
        self.watch, verdict = step(self.watch, look, LIMITS)
        return verdict

    def looks(self, times: int, **seen: Any) -> list[Verdict]:
        return [self.look(**seen) for _ in range(times)]


def running() -> Platform:
    platform = Platform(begin(0.0))
    assert platform.looks(3) == [Verdict.STARTING, Verdict.WELL, Verdict.WELL]
    return platform


def test_a_minute_without_a_tick_is_an_outage_from_the_last_one_on():
    platform = running()
    verdicts = platform.looks(12, ticks=False)
    assert verdicts == [*[Verdict.WELL] * 11, Verdict.BEGAN]
    assert platform.watch.outage == Outage(began=START + timedelta(seconds=15), cause=Cause.SILENT, round=1, told_at=START + timedelta(seconds=75))


def test_a_minute_without_an_answer_of_the_database_is_one_too():
    platform = running()
    assert Verdict.BEGAN in platform.looks(12, answers=False)
    assert platform.watch.outage
    assert platform.watch.outage.cause is Cause.BLIND


def test_alerts_that_leaves_its_timers_waiting_is_one_too():
    platform = running()
    assert Verdict.BEGAN in platform.looks(12, behind=True)
    assert platform.watch.outage
    assert platform.watch.outage.cause is Cause.STUCK


@pytest.mark.parametrize("dead", [*([part] for part in PARTS), PARTS])
def test_a_part_of_alerts_that_does_nothing_is_one_too_though_nothing_is_due(dead):
    platform = running()
    works = [part for part in PARTS if part not in dead]
    assert platform.looks(12, works=works) == [*[Verdict.WELL] * 11, Verdict.BEGAN]
    assert platform.watch.outage
    assert platform.watch.outage.cause is Cause.STUCK
    assert Verdict.ENDED not in platform.looks(20, works=works)
    assert Verdict.ENDED in platform.looks(4)


def test_alerts_that_has_never_started_is_one_too_and_never_well_before():
    platform = Platform(begin(0.0), beats={})
    assert platform.looks(12, works=()) == [*[Verdict.STARTING] * 11, Verdict.BEGAN]
    assert platform.watch.outage
    assert platform.watch.outage.cause is Cause.STUCK


def test_a_platform_that_stands_still_as_a_whole_is_told_as_that():
    platform = running()
    platform.looks(1, works=())
    assert Verdict.BEGAN in platform.looks(12, ticks=False, works=())
    assert platform.watch.outage
    assert platform.watch.outage.cause is Cause.SILENT


def test_a_short_pause_is_none():
    platform = running()
    for _ in range(5):
        assert TOLD.isdisjoint([*platform.looks(11, ticks=False), *platform.looks(1)])
        assert TOLD.isdisjoint([*platform.looks(11, works=()), *platform.looks(1)])


def test_a_platform_that_starts_after_a_night_has_a_minute_to_begin():
    platform = Platform(begin(0.0))
    assert set(platform.looks(11, ticks=False)) == {Verdict.STARTING}
    assert platform.look() is Verdict.WELL


def test_it_is_told_again_while_it_lasts_with_what_is_wrong_now():
    platform = running()
    platform.looks(12, ticks=False)
    verdicts = platform.looks(240, answers=False)
    assert [at for at, verdict in enumerate(verdicts, start=1) if verdict is Verdict.REPEATED] == [120, 240]
    assert platform.watch.outage
    assert (platform.watch.outage.round, platform.watch.outage.cause) == (3, Cause.BLIND)


def test_the_end_is_told_once_it_has_been_well_for_a_while():
    platform = running()
    platform.looks(12, ticks=False)
    assert platform.looks(4) == [Verdict.RECOVERING] * 3 + [Verdict.ENDED]
    assert set(platform.looks(20)) == {Verdict.WELL}


def test_one_sign_of_life_does_not_end_it():
    platform = running()
    platform.looks(12, ticks=False)
    assert platform.looks(1) == [Verdict.RECOVERING]
    assert Verdict.ENDED not in platform.looks(30, ticks=False)
    assert Verdict.ENDED in platform.looks(4)


def test_who_begins_in_an_outage_goes_on_with_it_and_does_not_take_an_old_tick_for_life():
    platform = Platform(begin(0.0, Outage(OLD, Cause.SILENT, 3, START)))
    assert set(platform.looks(30, ticks=False)) == {Verdict.GOES_ON}
    assert platform.looks(4)[-1] is Verdict.ENDED


def test_a_clock_that_is_set_back_is_a_sign_of_life():
    platform = running()
    platform.looks(11, ticks=False)
    platform.ticked = OLD
    assert platform.look(ticks=False) is Verdict.WELL


KINDS = st.sampled_from(
    [(True, True, False, None), (False, True, False, None), (True, False, False, None), (True, True, True, None)]
    + [(True, True, False, part) for part in PARTS]
)


@given(st.lists(st.tuples(KINDS, st.integers(1, 40)), max_size=12))
def test_it_is_told_exactly_when_a_minute_has_been_missing(runs):
    """Against the plain reading: an outage begins at the first look before which a sign has been missing for a minute, and ends only in a calm."""
    platform = Platform(begin(0.0))
    platform.look()
    moved_at, kept_at = dict.fromkeys(("ticks", *PARTS), 0.0), 5.0
    during, unseen, well = False, set[str](), 0
    for (ticks, answers, behind, dead), times in runs:
        for _ in range(times):
            verdict = platform.look(ticks=ticks, answers=answers, behind=behind, works=set(PARTS) - {dead})
            at = platform.second
            unseen |= {"ticks"} if ticks else set()
            unseen |= set(PARTS) - {dead}
            if answers:  # what moved while nobody could see it shows now
                moved_at |= dict.fromkeys(unseen, at)
                unseen = set()
                kept_at = kept_at if behind else at
            well = well + 1 if ticks and answers and not behind and dead is None else 0
            missing = at - min(kept_at, *moved_at.values()) >= 60
            assert (verdict is Verdict.BEGAN) == (not during and missing)
            during = during or missing
            if verdict is Verdict.ENDED:
                assert during
                assert not missing
                during = False
            assert not (during and well > 4), "a calm of 20 s ends it"
