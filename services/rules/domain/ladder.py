"""The latches of a rule's tiers, folded over samples in order of time. See `docs/adr/0008-the-engine.md`, "Latches"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from services.rules.domain.plan import Limit, Sample, Tier

NEVER = -(1 << 62)
"""A time before all."""


class Flip(NamedTuple):
    """A latch turned at a time, decided by a sample."""

    at: int
    gravity: int
    on: bool
    end: int
    value: Sample
    limit: Limit
    """What the sample was held against."""


class Run:
    """Samples in a row for which a latch's test is true."""

    __slots__ = ("count", "last", "since", "waiting")

    def __init__(self, since: int, count: int, last: tuple[int, Sample, Limit], *, waiting: bool = False) -> None:
        self.since = since
        self.count = count
        self.last = last
        """The newest sample of the run: (end, value, what it was held against)."""
        self.waiting = waiting
        """Whether samples at its due time or later have come, which are looked at again once it is decided."""

    def copy(self) -> Run:
        """Return one to go on with."""
        return Run(self.since, self.count, self.last, waiting=self.waiting)


class Taken(NamedTuple):
    """A latch taken on."""

    on: bool
    run: Run | None
    flips: list[Flip]
    reached: int
    """The latest due time that was decided; `NEVER` for none."""


def advance(  # noqa: C901 - one loop: a call a sample would cost more than the rest
    tier: Tier, run: Run | None, samples: Iterable[tuple[int, Sample]], *, on: bool, horizon: int, fresh: int
) -> Taken:
    """Take a latch through samples that it has not seen. Of a waiting run the samples begin at its due time."""
    flips: list[Flip] = []
    reached = NEVER
    way = tier.down if on else tier.up
    for end, value in samples:
        if run is not None and way.dwell and run.since + way.dwell <= end:
            due = run.since + way.dwell
            if due > horizon:
                run.waiting = True
                return Taken(on, run, flips, reached)
            reached = due
            if due - run.last[0] <= fresh:
                on = not on
                flips.append(Flip(due, tier.gravity, on, *run.last))
                way = tier.down if on else tier.up
            run = None
        truth = way.test(end, value)
        if truth is None:
            continue
        if not truth:
            run = None
            continue
        if run is None or end - run.last[0] > fresh:
            run = Run(end, 0, (end, value, ()))
        run.count += 1
        run.last = (end, value, way.limit_at(end))
        if not way.dwell and run.count >= way.readings:
            on = not on
            flips.append(Flip(end, tier.gravity, on, end, value, way.limit_at(end)))
            way = tier.down if on else tier.up
            run = None
    if run is not None and way.dwell and run.since + way.dwell <= horizon:
        reached = due = run.since + way.dwell
        if due - run.last[0] <= fresh:
            on = not on
            flips.append(Flip(due, tier.gravity, on, *run.last))
        run = None
    if run is not None:
        run.waiting = False
    return Taken(on, run, flips, reached)
