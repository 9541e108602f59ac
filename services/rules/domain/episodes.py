"""From flips to what is told: transitions, the flapping guard, episodes, and the revisions by which they differ from what was told.

See `docs/adr/0008-the-engine.md`, "Tier and transitions" to "What is told".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple
from uuid import UUID, uuid5

from schemas.warning import Change
from services.rules.domain.ladder import Flip
from services.rules.domain.revision import Evidence

NAMESPACE = UUID("b0a5d2f4-6d1e-5c57-9a3f-0c6e4d7b8a91")
"""Of our warnings' identities."""

OPEN_END = 1 << 62


def identity(rule: str, meaning: int, subject: str, opened: int) -> UUID:
    """Return a warning's id: the same episode gets the same id however often it is computed. `opened` is in µs since the epoch."""
    return uuid5(NAMESPACE, f"{rule}\n{meaning}\n{subject}\n{opened}")


class Transition(NamedTuple):
    """The tier changes at a time, decided by a flip."""

    at: int
    tier: int
    flip: Flip


@dataclass(slots=True)
class Present:
    """An episode as the readings now have it."""

    began: int
    steps: list[tuple[int, int]]
    """(time, gravity); the last one has gravity 0 where it is over."""
    flips: list[Flip | None]
    """What decided each step."""
    peak: int = 0
    """Of settled steps."""

    @property
    def end(self) -> int:
        """When it was over; `OPEN_END` while it is not."""
        return self.steps[-1][0] if self.steps[-1][1] == 0 else OPEN_END


@dataclass(slots=True)
class Episode:
    """An episode as it was told."""

    id: UUID
    opened: int
    """The time in its id."""
    began: int
    rev: int = 0
    steps: list[tuple[int, int]] = field(default_factory=list)
    flips: list[Flip | None] = field(default_factory=list)
    """What decided each step; None where that is not known any more."""
    peak: int = 0
    settled_peak: int = 0
    """Of steps that are settled and no longer kept."""
    gone: bool = False
    """Retracted or merged."""
    evidence: Evidence | None = None
    """Of the newest revision."""

    @property
    def end(self) -> int:
        """When it was over as told; `OPEN_END` while it is open."""
        return self.steps[-1][0] if self.steps[-1][1] == 0 else OPEN_END

    @property
    def tier(self) -> int:
        """Gravity of the newest step."""
        return self.steps[-1][1]

    @property
    def shown(self) -> int:
        """The tier that is shown: of an episode that is over the one it had last."""
        return self.steps[-1][1] or (self.steps[-2][1] if len(self.steps) > 1 else self.peak)


@dataclass(frozen=True, slots=True)
class Guard:
    """How far the flapping guard has come."""

    starts: tuple[int, ...] = ()
    """When episodes began, of the time that still counts."""
    tier: int = 0
    """Gravity after the guard."""
    ending: Transition | None = None
    """An end that is held."""


@dataclass(slots=True)
class Life:
    """All that is kept of a tracker's decisions."""

    base: int = 0
    """Mask of the latches before the first of `flips`."""
    flips: list[Flip] = field(default_factory=list)
    told: list[Episode] = field(default_factory=list)
    """In order of beginning."""
    settled: int = -1
    """Time before which nothing can change any more; `flips` begin after it."""
    guard: Guard = field(default_factory=Guard)
    """The flapping guard as it stood then."""
    used: tuple[int, ...] = ()
    """Times in ids that an earlier tracker of this rule and subject gave."""
    held: int | None = None
    """Until when the flapping guard holds an end; None when it holds none."""

    @property
    def open(self) -> Episode | None:
        """The episode that is told and not over."""
        return next((episode for episode in reversed(self.told) if not episode.gone and episode.tier), None)

    def settle(self, cut: int, guard: tuple[int, int, int] | None) -> None:
        """Forget what lies before a time that late data cannot reach."""
        keep = 0
        while keep < len(self.flips) and self.flips[keep].at < cut:
            keep += 1
        if keep:
            old, self.flips = self.flips[:keep], self.flips[keep:]
            found = transitions(self.base, old)
            for flip in old:
                self.base = self.base | 1 << flip.gravity if flip.on else self.base & ~(1 << flip.gravity)
            self.settled = old[-1].at
            if guard is not None:
                counted, self.guard = guarded(found, guard, self.guard, self.settled)
                self.settled = max([self.settled, *(one.at for one in counted)])
        self.told = [episode for episode in self.told if max(episode.end, episode.opened) >= self.settled]
        for episode in self.told:
            while len(episode.steps) > 1 and episode.steps[1][0] <= self.settled:
                episode.settled_peak = max(episode.settled_peak, episode.steps.pop(0)[1])
                del episode.flips[0]


class News(NamedTuple):
    """A revision to be told, as it is at that revision."""

    episode: Episode
    change: Change
    at: int
    flip: Flip | None
    """What decided it; None when nothing new did."""
    rev: int
    tier: int
    """0: over."""
    shown: int
    peak: int
    began: int
    into: UUID | None = None


def _news(episode: Episode, change: Change, at: int, flip: Flip | None) -> News:
    return News(episode, change, at, flip, episode.rev, episode.tier, episode.shown, episode.peak, episode.began)


Identify = Callable[[int], UUID]


def transitions(base: int, flips: Sequence[Flip]) -> list[Transition]:
    """Return the changes of the gravest latch that is on; flips must be in order of time."""
    mask, tier = base, _gravest(base)
    found: list[Transition] = []
    for at, together in _by_time(flips):
        for flip in together:
            mask = mask | 1 << flip.gravity if flip.on else mask & ~(1 << flip.gravity)
        now = _gravest(mask)
        if now != tier:
            decider = max(now, tier)
            found.append(Transition(at, now, next(flip for flip in reversed(together) if flip.gravity == decider)))
            tier = now
    return found


def _by_time(flips: Sequence[Flip]) -> Iterable[tuple[int, Sequence[Flip]]]:
    if len(flips) == 1:  # as nearly always
        return ((flips[0].at, flips),)
    return [(at, list(group)) for at, group in groupby(flips, key=lambda flip: flip.at)]


def _gravest(mask: int) -> int:
    return max(0, mask.bit_length() - 1)


def guarded(found: Sequence[Transition], rule: tuple[int, int, int], state: Guard, horizon: int) -> tuple[list[Transition], Guard]:
    """Hold the ends of episodes that flap; returns what counts, and how far that has come."""
    begins, within, hold = rule
    counted: list[Transition] = []
    starts, tier, ending = list(state.starts), state.tier, state.ending
    for one in found:
        if ending is not None:
            if one.at <= ending.at + hold:
                ending = None
                if one.tier != tier:
                    counted.append(one)
                    tier = one.tier
                continue
            counted.append(Transition(ending.at + hold, 0, ending.flip))
            tier, ending = 0, None
        if one.tier == 0 and starts and len(starts) - bisect_right(starts, starts[-1] - within) >= begins:
            ending = one
            continue
        if tier == 0 and one.tier:
            starts.append(one.at)
        counted.append(one)
        tier = one.tier
    if ending is not None and horizon >= ending.at + hold:
        counted.append(Transition(ending.at + hold, 0, ending.flip))
        tier, ending = 0, None
    kept = bisect_right(starts, starts[-1] - within) if starts else 0
    return counted, Guard(tuple(starts[kept:]), tier, ending)


def present(found: Sequence[Transition], life: Life, *, guarded_too: bool) -> list[Present]:
    """Return the episodes of some transitions, the first of them the one that was open before, with its steps that are settled."""
    episodes: list[Present] = []
    going_on = None
    if life.guard.tier or (not guarded_too and _gravest(life.base)):
        going_on = next((episode for episode in life.told if not episode.gone and episode.began <= life.settled < episode.end), None)
    if going_on is not None:
        steps = [step for step in going_on.steps if step[0] <= life.settled]
        episodes.append(Present(going_on.began, steps, going_on.flips[: len(steps)], going_on.settled_peak))
    for one in found:
        if not episodes or episodes[-1].steps[-1][1] == 0:
            episodes.append(Present(one.at, [], []))
        episodes[-1].steps.append((one.at, one.tier))
        episodes[-1].flips.append(one.flip)
    return episodes


def compare(life: Life, now_are: Sequence[Present], identify: Identify, time: int) -> list[News]:
    """Bring what is told to what is so; returns the revisions. `time` is the partition's now."""
    own: dict[int, Episode] = {}
    """By the place of a present episode."""
    news: list[News] = []
    lost: list[tuple[Episode, Episode | None]] = []
    for episode in life.told:
        if episode.gone or episode.end <= life.settled:
            continue
        at = next((at for at, one in enumerate(now_are) if episode.began < one.end and one.began < episode.end), None)
        if at is None:
            lost.append((episode, None))
        elif at in own:
            lost.append((episode, own[at]))
        else:
            own[at] = episode
    for episode, into in lost:
        episode.gone = True
        episode.rev += 1
        when = max(episode.steps[-1][0], time)
        one_news = _news(episode, Change.RETRACTED if into is None else Change.MERGED, when, None)
        news.append(one_news._replace(tier=0, into=None if into is None else into.id))
    for at, one in enumerate(now_are):
        known = own.get(at)
        if known is None:
            news += _begin(life, one, identify)
        else:
            news += _go_on(known, one)
    life.told.sort(key=lambda episode: (episode.began, episode.opened))
    return news


def close(life: Life, change: Change, time: int) -> News | None:
    """End the open episode for another reason than readings, at `time` or at its newest step; None when there is none."""
    episode = life.open
    if episode is None:
        return None
    episode.rev += 1
    at = max(time, episode.steps[-1][0])
    news = _news(episode, change, at, None)._replace(tier=0)
    episode.steps.append((at, 0))
    episode.flips.append(None)
    return news


def _begin(life: Life, one: Present, identify: Identify) -> list[News]:
    taken = {episode.opened: episode for episode in life.told}
    found = taken.get(one.began)
    if found is not None and found.gone:
        found.gone, found.began, found.steps, found.flips, found.peak = False, one.began, [], [], found.settled_peak
        first = _step(found, one.steps[0], one.flips[0])._replace(change=Change.REOPENED)
        return [first, *(_step(found, step, flip) for step, flip in zip(one.steps[1:], one.flips[1:], strict=True))]
    opened = one.began
    while opened in taken or opened in life.used:
        opened += 1
    episode = Episode(identify(opened), opened, one.began)
    life.told.append(episode)
    return [_step(episode, step, flip) for step, flip in zip(one.steps, one.flips, strict=True)]


def _go_on(episode: Episode, one: Present) -> list[News]:
    known = len(episode.steps)
    episode.flips = list(one.flips[:known])
    if one.steps == episode.steps and one.began == episode.began:
        return []
    if one.began == episode.began and one.steps[:known] == episode.steps:
        return [_step(episode, step, flip) for step, flip in zip(one.steps[known:], one.flips[known:], strict=True)]
    before, after = episode.tier, one.steps[-1][1]
    if before == after:
        return [_rewrite(episode, one, Change.REVISED)]
    return [_rewrite(episode, one, Change.REOPENED if not before else _change(before, after))]


def _rewrite(episode: Episode, one: Present, change: Change) -> News:
    episode.began, episode.steps, episode.flips = one.began, list(one.steps), list(one.flips)
    episode.peak = max(one.peak, *(tier for _, tier in one.steps))
    episode.rev += 1
    return _news(episode, change, one.steps[-1][0], one.flips[-1])


def _step(episode: Episode, step: tuple[int, int], flip: Flip | None) -> News:
    before = episode.tier if episode.steps else 0
    episode.steps.append(step)
    episode.flips.append(flip)
    episode.peak = max(episode.peak, step[1])
    episode.rev += 1
    return _news(episode, Change.OPENED if episode.rev == 1 else _change(before, step[1]), step[0], flip)


def _change(before: int, after: int) -> Change:
    return Change.RECOVERED if not after else Change.RAISED if after > before else Change.LOWERED


def follow(life: Life, new: Sequence[Transition], identify: Identify) -> list[News] | None:
    """Tell transitions that are later than all before, the common case; None when that takes a comparison."""
    if any(known.opened >= new[0].at for known in life.told):
        return None
    episode = life.open
    news: list[News] = []
    for one in new:
        if episode is None:
            opened = one.at
            while opened in life.used:
                opened += 1
            episode = Episode(identify(opened), opened, one.at)
            life.told.append(episode)
        news.append(_step(episode, (one.at, one.tier), one.flip))
        if not one.tier:
            episode = None
    return news
