"""Samples made anew after readings have changed. Every function returns the end of the first sample that is another now, None for none."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence

from services.rules.domain.episodes import OPEN_END
from services.rules.domain.kinds.base import Kind
from services.rules.domain.ladder import NEVER
from services.rules.domain.plan import Sample
from services.rules.domain.ring import Ring
from services.rules.domain.state import Samples, Tracker

MOST_SENSORS = 100
"""Named in evidence."""


def at_reading(kind: Kind, readings: Ring, tracker: Tracker, end: int, horizon: int) -> int | None:
    """Make the samples anew that depend on the reading of this end."""
    samples = _own(tracker)
    if end <= tracker.birth:
        return None
    first, last = max(end, tracker.floor + 1), kind.reaches(end)
    if kind.gridded and end < samples.first:
        if samples.first != OPEN_END:
            last = max(last, samples.first)
        samples.first = end
    made: list[tuple[int, Sample]] = []
    if kind.at_readings:
        made = kind.numbers(readings, readings.places(first, last), tracker.birth)
    if kind.gridded and samples.grid > NEVER:
        made += _grid(kind, readings, tracker, first - 1, min(last, samples.grid))
        made.sort()
    changed = _replace(samples, first, last, made)
    new = at_tick(kind, readings, tracker, horizon) if kind.gridded else []
    return changed if not new else new[0][0] if changed is None else min(changed, new[0][0])


def _own(tracker: Tracker) -> Samples:
    assert tracker.samples is not None  # noqa: S101 - kinds that make samples have them
    return tracker.samples


def _grid(kind: Kind, readings: Ring, tracker: Tracker, after: int, until: int) -> list[tuple[int, Sample]]:
    samples = _own(tracker)
    made: list[tuple[int, Sample]] = []
    grid = kind.next_grid(max(after, samples.first)) if samples.first < OPEN_END else OPEN_END
    while grid <= until:
        number = kind.grid_number(readings, grid, tracker.birth)
        if number is not None:
            made.append((grid, number))
        elif kind.skips:  # after a long silence there may be millions of grid times
            following = bisect_right(readings.ends, grid)
            if following == len(readings.ends):
                break
            grid = max(grid, readings.ends[following] - 1)
        grid = kind.next_grid(grid)
    return made


def at_tick(kind: Kind, readings: Ring, tracker: Tracker, horizon: int) -> list[tuple[int, Sample]]:
    """Make the samples at grid times that the horizon has come to; returns them."""
    samples = _own(tracker)
    if samples.first == OPEN_END or horizon <= samples.grid:
        return []
    made = _grid(kind, readings, tracker, max(samples.grid, tracker.floor), horizon)
    samples.grid = horizon
    for end, number in made:
        samples.put(end, number)
    return made


def next_grid(kind: Kind, tracker: Tracker) -> int:
    """Return the next grid time to be looked at; `OPEN_END` before the first reading."""
    samples = _own(tracker)
    return OPEN_END if samples.first == OPEN_END else kind.next_grid(max(samples.grid, samples.first, tracker.floor))


def of_leaf(kind: Kind, readings: Ring, ring: Ring, birth: int, end: int) -> None:
    """Make the samples of one measure of a condition anew."""
    for at in readings.places(end, kind.reaches(end)):
        number = kind.number(readings, at, birth) if readings.ends[at] > birth else None
        if number is None:
            ring.remove(readings.ends[at])
        else:
            ring.put(readings.ends[at], number)


def of_several(columns: Sequence[tuple[Ring, int, int]], tracker: Tracker, end: int) -> int | None:
    """Make a condition's samples anew from an end on: each measure's newest number, which stands for its `fresh`; (ring, fresh, birth) of each."""
    samples = _own(tracker)
    first = max(end, tracker.floor + 1)
    ends = sorted({one for ring, _, birth in columns for one in ring.ends[bisect_left(ring.ends, max(first, birth + 1)) :]})
    made = [(one, tuple(ring.latest(one, max(one - fresh - 1, birth)) for ring, fresh, birth in columns)) for one in ends]
    return _replace(samples, first, OPEN_END, made)


def of_place(members: Mapping[str, tuple[Ring, int]], past: Callable[[int, float], bool], within: int, tracker: Tracker, end: int) -> int | None:
    """Make a place's samples anew: how many of its members are past their limit by their newest reading not older than `within`, and which.

    Of each member (readings, birth): readings up to its birth do not count.
    """
    samples = _own(tracker)
    first, last = max(end, tracker.floor + 1), end + within - 1
    ends = sorted({ring.ends[at] for ring, birth in members.values() for at in ring.places(max(first, birth + 1), last)})
    made = [(one, _agreeing(members, past, within, one)) for one in ends]
    return _replace(samples, first, last, made)


def _agreeing(members: Mapping[str, tuple[Ring, int]], past: Callable[[int, float], bool], within: int, at: int) -> tuple[float, tuple[str, ...]]:
    names = [name for name, (ring, birth) in members.items() if agrees(ring, past, max(at - within, birth), at)]
    return float(len(names)), tuple(sorted(names)[:MOST_SENSORS])


def agrees(ring: Ring, past: Callable[[int, float], bool], after: int, at: int) -> bool:
    """Say whether a member is past its limit at a time, by its newest reading later than another."""
    value = ring.latest(at, after)
    return value is not None and past(at, value)


def _replace(samples: Ring, first: int, last: int, made: list[tuple[int, Sample]]) -> int | None:
    low, high = bisect_left(samples.ends, first), bisect_right(samples.ends, last)
    if low == len(samples.ends):
        for end, number in made:
            samples.put(end, number)
        return made[0][0] if made else None
    before = list(zip(samples.ends[low:high], samples.values[low:high], strict=True))
    if before == made:
        return None
    same = next((at for at, (old, new) in enumerate(zip(before, made, strict=False)) if old != new), min(len(before), len(made)))
    changed = min(rows[same][0] for rows in (before, made) if same < len(rows))
    tail = list(zip(samples.ends[high:], samples.values[high:], strict=True))
    samples.drop(first)
    for end, number in (*made, *tail):
        samples.put(end, number)
    return changed
