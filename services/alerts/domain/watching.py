"""Whether the platform is silent, from what is seen of it every few seconds.

What says that it works: PostgreSQL answers, ticks go on, each part of alerts says that it does its work, and alerts leaves nothing waiting that is
due. Silence is counted by our own clock and from our own start, so a platform that starts after a night of rest is not told as one that was away
for a night, and one that has just been made has as long to begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

PARTS = DESK, SENDING, WORKER = ("desk", "sending", "worker")
"""Of alerts: what decides, what sends, what takes warnings and commands in. Each has to work, in one process or another."""
_STEADY = 4
"""A recovery in which a sign of life stays out for a fourth of the silence that counts begins anew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When what is told."""

    silence_s: float
    """So long without a sign of life is an outage."""
    calm_s: float
    """So long all must be well again before it is over."""
    repeat: timedelta
    """Between two messages of one outage."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at a time."""

    at: float
    """Monotonic seconds."""
    now: datetime
    answered: bool
    """Whether PostgreSQL did; without, nothing else is known."""
    ticked: datetime | None = None
    """The newest tick that Kafka has."""
    behind: bool = False
    """Whether alerts has left something waiting that is due."""
    beats: Mapping[str, datetime] = field(default_factory=dict)
    """What each part of alerts said last; of one that never did there is nothing."""


class Cause(StrEnum):
    """What is wrong."""

    BLIND = "blind"
    """PostgreSQL does not answer: nothing is known, and nothing can be told by others."""
    SILENT = "silent"
    """No tick: ingest or Kafka does not work."""
    STUCK = "stuck"
    """Alerts, or a part of it, does not work, or does not work off what is due."""


class Verdict(StrEnum):
    """What a look comes to."""

    STARTING = "starting"
    """Not every sign of life has come since our start, which is not long ago."""
    WELL = "well"
    BEGAN = "began"
    """To be told."""
    GOES_ON = "goes_on"
    REPEATED = "repeated"
    """To be told again."""
    RECOVERING = "recovering"
    """It looks well, and not for long enough yet."""
    ENDED = "ended"
    """To be told."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The platform is silent."""

    began: datetime
    """When the last sign of life was."""
    cause: Cause
    """As it was last told."""
    round: int
    """How often it was told."""
    told_at: datetime


@dataclass(frozen=True, slots=True)
class Sign:
    """A time that somebody moves on while he works."""

    at: float
    """Monotonic seconds at which it last moved, or we began."""
    value: datetime | None = None
    moved: bool = False
    """Whether it moved since we began."""

    def seen(self, value: datetime | None, at: float) -> Sign:
        """Note what it is. The first value is no sign of life: it may be of yesterday. Any other is, one of a clock that was set back included."""
        if value is None or value == self.value:
            return self
        return replace(self, value=value) if self.value is None else Sign(at, value, moved=True)


@dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered from look to look."""

    ticks: Sign
    beats: Mapping[str, Sign]
    """By the part of alerts, of `PARTS`."""
    kept_at: float
    """Monotonic seconds at which alerts was last not behind, or we began."""
    calm_at: float | None = None
    outage: Outage | None = None

    @property
    def signs(self) -> tuple[Sign, ...]:
        """All that has to move."""
        return (self.ticks, *self.beats.values())


def begin(at: float, outage: Outage | None = None) -> Watch:
    """Return a watch that begins, with the outage that a predecessor has told."""
    return Watch(ticks=Sign(at), beats={part: Sign(at) for part in PARTS}, kept_at=at, outage=outage)


def step(watch: Watch, look: Look, limits: Limits) -> tuple[Watch, Verdict]:
    """Take a look into account."""
    watch = _seen(watch, look)
    if watch.outage is not None:
        return _during(watch, watch.outage, look, limits)
    if silence(watch, look.at) >= limits.silence_s:
        since = look.now - timedelta(seconds=silence(watch, look.at))
        outage = Outage(began=since, cause=_cause(watch, look, limits), round=1, told_at=look.now)
        return replace(watch, outage=outage, calm_at=None), Verdict.BEGAN
    return watch, Verdict.WELL if _alive(watch) else Verdict.STARTING


def silence(watch: Watch, at: float) -> float:
    """Return for how many seconds a sign of life has been missing."""
    return at - min(watch.kept_at, *(sign.at for sign in watch.signs))


def _seen(watch: Watch, look: Look) -> Watch:
    """Note signs of life."""
    if not look.answered:
        return watch
    return replace(
        watch,
        ticks=watch.ticks.seen(look.ticked, look.at),
        beats={part: sign.seen(look.beats.get(part), look.at) for part, sign in watch.beats.items()},
        kept_at=watch.kept_at if look.behind else look.at,
    )


def _alive(watch: Watch) -> bool:
    """Say whether every sign has moved since we began."""
    return all(sign.moved for sign in watch.signs)


def _during(watch: Watch, outage: Outage, look: Look, limits: Limits) -> tuple[Watch, Verdict]:
    watch = replace(watch, calm_at=_calm(watch, look, limits))
    if watch.calm_at is not None and look.at - watch.calm_at >= limits.calm_s:
        return replace(watch, outage=None, calm_at=None), Verdict.ENDED
    if look.now - outage.told_at >= limits.repeat and watch.calm_at is None:
        again = replace(outage, cause=_cause(watch, look, limits), round=outage.round + 1, told_at=look.now)
        return replace(watch, outage=again), Verdict.REPEATED
    return watch, Verdict.GOES_ON if watch.calm_at is None else Verdict.RECOVERING


def _calm(watch: Watch, look: Look, limits: Limits) -> float | None:
    """Return since when all has been well; None while it is not."""
    if not look.answered or look.behind or silence(watch, look.at) >= limits.silence_s / _STEADY:
        return None
    if watch.calm_at is not None:
        return watch.calm_at
    return look.at if watch.ticks.at == look.at and _alive(watch) else None


def _cause(watch: Watch, look: Look, limits: Limits) -> Cause:
    """Return what is wrong. Without ticks alerts may well say nothing either: it is not what has to be mended then."""
    if not look.answered:
        return Cause.BLIND
    return Cause.SILENT if look.at - watch.ticks.at >= limits.silence_s / _STEADY else Cause.STUCK
