"""The rule kind `threshold`: a limit in up to four tiers, each a latch with its own way up and its own way down.

A reading is fed to every tier's latch on its arrival. A dwell that counts readings is decided right there. A dwell in time is decided by
`decide`, called by a tick that lies a grace after it was due; readings that end at the due time or later wait, and are fed after the
decision, so that what a tier decides does not depend on when the tick came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.rule import Direction, Threshold, Way
from services.rules.domain.state import Latch, Reading, Tracker

WAITING_LIMIT = 10_000
"""Readings kept for a dwell that waits for its tick, of which one comes each second: more than an hour of one reading a second, which is all that
rules take late. Beyond it the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A latch changed at an event time, decided by a reading by a way."""

    at: int
    gravity: int
    reading: Reading
    way: Way


@dataclass(frozen=True, slots=True)
class _Plan:
    """A way, ready for the hot path: `value * sign >= limit` means past it."""

    way: Way
    sign: int
    limit: float
    readings: int
    dwell: int
    """Microseconds; 0 where readings are counted."""


class Judge:
    """A rule of this kind, ready to be met by readings; holds nothing that changes."""

    def __init__(self, rule: Threshold) -> None:
        sign = 1 if rule.direction is Direction.ABOVE else -1
        self.rule = rule
        self.dwells = any(way.dwell for step in rule.tiers.values() for way in (step.up, step.down))
        """Whether anything of it waits for ticks."""
        self._plans = {tier.gravity: (_plan(step.up, sign), _plan(step.down, -sign)) for tier, step in rule.tiers.items()}

    def tracker(self, meaning: int) -> Tracker:
        """Return the state of a series that this rule has not yet met."""
        return Tracker(meaning, {gravity: Latch() for gravity in sorted(self._plans)})

    def feed(self, tracker: Tracker, reading: Reading) -> list[Flip]:
        """Feed a reading that is newer than all before; return what it flips."""
        flips: list[Flip] = []
        for gravity, latch in tracker.latches.items():
            if (flip := self._feed(gravity, latch, reading)) is not None:
                flips.append(flip)
        return flips

    def dues(self, tracker: Tracker) -> Iterator[tuple[int, int]]:
        """Yield (gravity, event time) of each dwell in time that runs: when it will have lasted."""
        for gravity, latch in tracker.latches.items():
            if latch.since >= 0 and (dwell := self._plan(gravity, latch).dwell):
                yield gravity, latch.since + dwell

    def decide(self, tracker: Tracker, until: int) -> Iterator[list[Flip]]:
        """Decide, in order of event time, all dwells that were due by `until` and the readings that had waited for them.

        Yields the flips of each moment; of one event time the dwells come before the readings.
        """
        while moments := {gravity: moment for gravity, latch in tracker.latches.items() if (moment := self._moment(gravity, latch, until))}:
            first = min(moments.values())
            decided = [self._advance(gravity, tracker.latches[gravity], first) for gravity, moment in moments.items() if moment == first]
            if flips := [flip for flip in decided if flip is not None]:
                yield flips

    def _moment(self, gravity: int, latch: Latch, until: int) -> tuple[int, bool] | None:
        """Return (event time, whether a reading that had waited) of what can be decided next of a latch."""
        dwell = self._plan(gravity, latch).dwell
        due = latch.since + dwell if dwell and latch.since >= 0 else None
        if latch.waiting and (due is None or latch.waiting[0].end < due):
            return latch.waiting[0].end, True
        return (due, False) if due is not None and due <= until else None

    def _advance(self, gravity: int, latch: Latch, moment: tuple[int, bool]) -> Flip | None:
        at, waited = moment
        if waited:
            return self._feed(gravity, latch, latch.waiting.pop(0))
        assert latch.last is not None  # noqa: S101 - a run has a reading
        return _flip(latch, gravity, at, latch.last, self._plan(gravity, latch))

    def _plan(self, gravity: int, latch: Latch) -> _Plan:
        return self._plans[gravity][latch.on]

    def _feed(self, gravity: int, latch: Latch, reading: Reading) -> Flip | None:
        plan = self._plans[gravity][latch.on]
        if plan.dwell and latch.since >= 0 and latch.since + plan.dwell <= reading.end:
            _wait(latch, reading)
            return None
        if reading.value * plan.sign < plan.limit:
            latch.since, latch.count, latch.last = -1, 0, None
            return None
        if latch.since < 0:
            latch.since, latch.count = reading.end, 0
        latch.count += 1
        latch.last = reading
        if not plan.dwell and latch.count >= plan.readings:
            return _flip(latch, gravity, reading.end, reading, plan)
        return None


def _wait(latch: Latch, reading: Reading) -> None:
    if len(latch.waiting) >= WAITING_LIMIT:
        del latch.waiting[0]
    latch.waiting.append(reading)


def _flip(latch: Latch, gravity: int, at: int, reading: Reading, plan: _Plan) -> Flip:
    latch.on = not latch.on
    latch.since, latch.count, latch.last = -1, 0, None
    return Flip(at, gravity, reading, plan.way)


def _plan(way: Way, sign: int) -> _Plan:
    dwell = 0 if way.dwell is None else round(way.dwell.total_seconds() * 1_000_000)
    return _Plan(way, sign, way.limit * sign, way.readings, dwell)
