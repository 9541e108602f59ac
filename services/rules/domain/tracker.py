"""A tracker taken on by samples: forward in the common case, again from the last stretch of rest when the past has changed.

Every function returns the revisions that follow, as `episodes.News`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from services.rules.domain import episodes
from services.rules.domain.episodes import OPEN_END, Life, News, identity
from services.rules.domain.ladder import NEVER, Flip, Run, advance
from services.rules.domain.plan import Plan, Tier
from services.rules.domain.ring import Ring
from services.rules.domain.state import Stretch, Tracker

Runs = dict[int, Run] | None


def forward(tracker: Tracker, ring: Ring, plan: Plan, moment: Moment, end: int, value: Any) -> list[News]:
    """Take the newest sample."""
    return _on(tracker, ring, plan, moment, [(end, value)])


def tick(tracker: Tracker, ring: Ring, plan: Plan, moment: Moment) -> list[News]:
    """Decide what has become due."""
    return _on(tracker, ring, plan, moment, [])


class Moment:
    """What a fold needs besides samples: whose it is, the horizon, what `fresh` is, and the partition's time."""

    __slots__ = ("_one", "fresh", "horizon", "now")

    def __init__(self, one: Tracker, horizon: int, fresh: int, now: int) -> None:
        self._one = one
        self.horizon = horizon
        self.fresh = fresh
        self.now = now

    def identify(self, opened: int) -> UUID:
        """Return the id of an episode that opened at a time."""
        one = self._one
        return identity(one.rule, one.meaning, one.owner.subject, opened)


def _on(tracker: Tracker, ring: Ring, plan: Plan, moment: Moment, new: list[tuple[int, Any]]) -> list[News]:
    mask, rested = tracker.mask, not tracker.runs
    flips: list[Flip] = []
    after, runs = mask, tracker.runs
    for tier in _tiers(tracker, plan):
        on = bool(mask >> tier.gravity & 1)
        run = runs.get(tier.gravity) if runs else None
        if run is None:
            if not new or not (tier.down if on else tier.up).test(*new[0]):
                continue
            samples: Iterable[tuple[int, Any]] = new
        else:
            samples = _since(tracker, ring, run.since + (tier.down if on else tier.up).dwell) if run.waiting else new
        now_on, now_run, found, reached = advance(tier, run, samples, on=on, horizon=moment.horizon, fresh=moment.fresh)
        tracker.reached = max(tracker.reached, reached)
        after = after | 1 << tier.gravity if now_on else after & ~(1 << tier.gravity)
        flips += found
        runs = _with(runs, tier.gravity, now_run)
    tracker.runs, tracker.mask = runs or None, after
    _note_rest(tracker, mask, new[0][0] if new else ring.ends[-1] if ring.ends else NEVER, flips, rested=rested)
    held = tracker.life.held if tracker.life is not None else None
    if not flips and (held is None or moment.horizon < held):
        return []
    return _tell(tracker, plan, moment, mask, sorted(flips, key=lambda flip: flip.at))


def _with(runs: Runs, gravity: int, run: Run | None) -> Runs:
    if run is not None:
        runs = {} if runs is None else runs
        runs[gravity] = run
    elif runs:
        runs.pop(gravity, None)
    return runs


def _since(tracker: Tracker, ring: Ring, first: int) -> list[tuple[int, Any]]:
    """Return the samples from a time on, those at or before the floor as they were there then."""
    if first > tracker.floor:
        return ring.since(first)
    return [(end, value) for end, (value, _) in (tracker.kept or {}).items() if end >= first] + ring.since(tracker.floor + 1)


def _tiers(tracker: Tracker, plan: Plan) -> Sequence[Tier]:
    """Return the tiers of a plan, which say of samples at or before the floor what was said of them then."""
    return plan.tiers if tracker.kept is None else [tier.after(tracker.kept) for tier in plan.tiers]


def _note_rest(tracker: Tracker, mask: int, end: int, flips: list[Flip], *, rested: bool) -> None:
    """Keep account of the stretches in which all latches rested."""
    rests = not tracker.runs
    if rested and rests and mask == tracker.mask and not flips:
        return
    if tracker.stretches is None:
        tracker.stretches = [Stretch(tracker.floor, OPEN_END, mask)]
    last = tracker.stretches[-1]
    if rested:
        last.end = end - 1
    if rests:
        begin = max(end, tracker.reached, tracker.floor)
        decided = None
        if begin <= last.begin:
            tracker.stretches.pop()
            decided = [*(tracker.life.flips if tracker.life else ()), *flips]
        tracker.stretches.append(Stretch(begin, OPEN_END, tracker.mask, None, decided))


def again(tracker: Tracker, ring: Ring, plan: Plan, moment: Moment, first: int) -> list[News]:
    """Fold again: samples from `first` on have changed."""
    stretches = tracker.stretches
    if stretches is None:
        stretches = tracker.stretches = [Stretch(tracker.floor, OPEN_END, 0)]
    at = bisect_left(stretches, first, key=lambda stretch: stretch.begin) - 1
    if at < 0:
        return []
    start = stretches[at]
    del stretches[at + 1 :]
    life = tracker.life or Life()
    if start.runs is None:
        begin = min(first, start.end + 1)
        start.end = begin - 1
    else:
        begin = start.begin + 1
    kept = (
        [flip for flip in life.flips if flip.at <= start.begin] if start.flips is None else [flip for flip in start.flips if flip.at > life.settled]
    )
    runs: Runs = {gravity: run.copy() for gravity, run in start.runs.items()} if start.runs else None
    samples = _since(tracker, ring, begin)
    flips: list[Flip] = []
    mask = start.mask
    for tier in _tiers(tracker, plan):
        on = bool(mask >> tier.gravity & 1)
        run = runs.get(tier.gravity) if runs else None
        mine = samples
        if run is not None and run.waiting:
            mine = _since(tracker, ring, run.since + (tier.down if on else tier.up).dwell)
        now_on, now_run, found, reached = advance(tier, run, mine, on=on, horizon=moment.horizon, fresh=moment.fresh)
        tracker.reached = max(tracker.reached, reached)
        mask = mask | 1 << tier.gravity if now_on else mask & ~(1 << tier.gravity)
        flips += found
        runs = _with(runs, tier.gravity, now_run)
    tracker.runs, tracker.mask = runs or None, mask
    if not tracker.runs:
        begun = max([start.begin, start.end, tracker.reached, *(end for end, _ in samples[-1:])])
        if begun > start.begin:
            stretches.append(Stretch(begun, OPEN_END, mask))
        else:
            start.end = OPEN_END
    flips = [flip for flip in flips if flip.at > life.settled]
    if tracker.life is None and not flips:
        return []
    tracker.life = life
    life.flips = sorted(kept + flips, key=lambda flip: flip.at)
    return _compare(tracker, plan, moment)


def _tell(tracker: Tracker, plan: Plan, moment: Moment, mask: int, flips: list[Flip]) -> list[News]:
    life = tracker.life
    if life is None:
        life = tracker.life = Life()
    if plan.guard is None and (not life.flips or flips[0].at > life.flips[-1].at):
        found = episodes.transitions(mask, flips)
        life.flips += flips
        if not found:
            return []
        news = episodes.follow(life, found, moment.identify)
        if news is not None:
            return news
    else:
        life.flips = sorted(life.flips + flips, key=lambda flip: flip.at)
    return _compare(tracker, plan, moment)


def _compare(tracker: Tracker, plan: Plan, moment: Moment) -> list[News]:
    life = tracker.life
    assert life is not None  # noqa: S101 - the callers have made it
    found = episodes.transitions(life.base, life.flips)
    if plan.guard is not None:
        found, state = episodes.guarded(found, plan.guard, life.guard, moment.horizon)
        life.held = None if state.ending is None else state.ending.at + plan.guard[2]
    now_are = episodes.present(found, life, guarded_too=plan.guard is not None)
    return episodes.compare(life, now_are, moment.identify, moment.now)


def due(tracker: Tracker, plan: Plan) -> int:
    """Return the horizon at which something of the latches will be decided; `OPEN_END` for none."""
    found = OPEN_END
    for gravity, run in (tracker.runs or {}).items():
        tier = plan.by_gravity[gravity]
        dwell = (tier.down if tracker.mask >> gravity & 1 else tier.up).dwell
        if dwell and run.since + dwell < found:
            found = run.since + dwell
    if tracker.life is not None and tracker.life.held is not None:
        found = min(found, tracker.life.held)
    return found


def freeze(tracker: Tracker, ring: Ring, plan: Plan, fresh: int, newest: int) -> None:
    """Set the floor: up to `newest` no sample comes any more, changes, or is judged otherwise; what was decided of later times is still open."""
    floor = max(tracker.floor, newest)
    decided = max(tracker.reached, ring.ends[-1] if ring.ends else NEVER)
    if decided > floor:  # a sample that comes before them still counts
        stretches = tracker.stretches or [Stretch(tracker.floor, OPEN_END, 0)]
        start = stretches[max(0, bisect_right(stretches, floor, key=lambda stretch: stretch.begin) - 1)]
        there = _marked(tracker, ring, plan, fresh, start, floor)
        tracker.stretches = [there]
        if not tracker.runs:
            tracker.stretches.append(Stretch(decided, OPEN_END, tracker.mask))
        tracker.kept, tracker.floor = None, floor
        return
    waiting = [run.since + (tier.down if tracker.mask >> tier.gravity & 1 else tier.up).dwell for tier, run in _runs(tracker, plan) if run.waiting]
    kept = _since(tracker, ring, min(waiting)) if waiting else []
    tiers = _tiers(tracker, plan)
    tracker.kept = {end: (value, {tier.gravity: tier.judge(end, value) for tier in tiers}) for end, value in kept} or None
    tracker.floor = floor
    tracker.reached = NEVER
    flips = list(tracker.life.flips) if tracker.life else []
    if tracker.runs:
        runs = {gravity: run.copy() for gravity, run in tracker.runs.items()}
        tracker.stretches = [Stretch(tracker.floor, tracker.floor, tracker.mask, runs, flips)]
    elif tracker.stretches is not None or tracker.mask:
        tracker.stretches = [Stretch(tracker.floor, OPEN_END, tracker.mask, None, flips)]


def _runs(tracker: Tracker, plan: Plan) -> Iterable[tuple[Any, Run]]:
    return [(plan.by_gravity[gravity], run) for gravity, run in (tracker.runs or {}).items()]


def settle(tracker: Tracker, ring: Ring, plan: Plan, fresh: int, cut: int) -> None:
    """Make ready for samples before `cut` to be forgotten: none of them can change any more."""
    stretches = tracker.stretches
    if stretches is None:
        return
    at = bisect_left(stretches, cut, key=lambda stretch: stretch.begin) - 1
    if at < 0:
        return
    start = stretches[at]
    if start.end < cut - 1:
        stretches[at] = _marked(tracker, ring, plan, fresh, start, cut - 1)
    del stretches[:at]
    if stretches[0].begin > tracker.floor:
        tracker.kept = None
    if tracker.life is not None:
        tracker.life.settle(min(cut, stretches[0].begin + 1), plan.guard)


def _marked(tracker: Tracker, ring: Ring, plan: Plan, fresh: int, start: Stretch, until: int) -> Stretch:
    """Return the latches as they stood after all samples up to a time in the middle of a disturbance."""
    runs: Runs = {gravity: run.copy() for gravity, run in start.runs.items()} if start.runs else None
    mask = start.mask
    for tier in _tiers(tracker, plan):
        on = bool(mask >> tier.gravity & 1)
        run = runs.get(tier.gravity) if runs else None
        begin = run.since + (tier.down if on else tier.up).dwell if run is not None and run.waiting else start.end + 1
        samples = [one for one in _since(tracker, ring, begin) if one[0] <= until]
        now_on, now_run, _, _ = advance(tier, run, samples, on=on, horizon=until, fresh=fresh)
        mask = mask | 1 << tier.gravity if now_on else mask & ~(1 << tier.gravity)
        runs = _with(runs, tier.gravity, now_run)
    flips = [flip for flip in tracker.life.flips if flip.at <= until] if tracker.life else []
    return Stretch(until, until, mask, runs or None, flips)
