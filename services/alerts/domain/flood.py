"""How much may be told at once: token buckets that hold in any window of time, and digests of what has to wait.

At most `most` within any `per`: a bucket of `most` tokens that fills while it is emptied would let nearly twice as many through. So it holds half
of them, and the others come back one by one within `per`: of 12 in ten minutes 6 are there at once, and one comes back every 86 s.
What is kept is a whole number of tokens and a time to the microsecond: nothing is rounded to our favour, and the bound is strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from schemas.alerting import Bucket
from schemas.tiers import Tier

_RESERVED_FROM = 4
"""A bucket of so many keeps its last token for red ones; of a smaller one that would be too great a part."""
_RED = Tier.RED.gravity


@dataclass(frozen=True, slots=True)
class Level:
    """What a bucket holds."""

    tokens: float
    """Always whole."""
    at: datetime
    """Since when the next token has been on its way; of a full bucket when it was looked at."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that is to be told."""

    id: UUID
    gravity: int
    decided_at: datetime
    due_at: datetime
    """Before that it is not tried (again)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is told now, and what comes later."""

    now: tuple[tuple[UUID, ...], ...]
    """Messages in the order of sending: each a single one or a digest of several, the gravest first."""
    later: datetime | None
    """When to look again; None when nothing is left."""


def refill(level: Level | None, bucket: Bucket, now: datetime) -> Level:
    """Return what a bucket holds now, full at first. A level of a time to come (a clock was wrong) counts as of now."""
    holds = _holds(bucket)
    if level is None:
        return Level(holds, now)
    at = min(level.at, now)
    back = (now - at) // _every(bucket)
    if level.tokens + back >= holds:
        return Level(holds, now)
    return Level(level.tokens + back, at + back * _every(bucket))


def plan(  # noqa: PLR0917 - what waits, and the two buckets through which it goes
    waiting: Sequence[Waiting],
    lane: Level | None,
    flood: Bucket,
    channel: Level | None,
    bucket: Bucket | None,
    digest: bool,  # noqa: FBT001 - the channel's
    now: datetime,
) -> tuple[Plan, Level, Level | None]:
    """Return what is sent now, and what the lane's and the channel's buckets hold after it; a channel without a bucket has no level.

    The gravest is sent first, of equals the oldest. Red takes the last token of a bucket; what is milder leaves one to it (`_RESERVED_FROM`).
    Where tokens are fewer than messages the last that is used carries all the rest in one digest, or, without digests, the rest waits.
    """
    due = sorted((one for one in waiting if one.due_at <= now), key=lambda one: (-one.gravity, one.decided_at, one.id))
    buckets = [_Filled(flood, refill(lane, flood, now))]
    if bucket is not None:
        buckets.append(_Filled(bucket, refill(channel, bucket, now)))
    singles = min(one.takes(due) for one in buckets)
    sent = _sent(due, singles, digest=digest)
    left = due[sum(map(len, sent)) :]
    after = [one.less(len(sent)) for one in buckets]
    moments = [one.due_at for one in waiting if one.due_at > now]
    if left:
        moments.append(max(one.ready(left[0]) for one in after))
    told = Plan(tuple(tuple(one.id for one in message) for message in sent), min(moments, default=None))
    return told, after[0].level, after[1].level if bucket is not None else None


@dataclass(frozen=True, slots=True)
class _Filled:
    bucket: Bucket
    level: Level

    def takes(self, due: Sequence[Waiting]) -> int:
        """Return how many of what is due, red ones first, have a token each."""
        red = min(sum(one.gravity >= _RED for one in due), int(self.level.tokens))
        milder = max(0, int(self.level.tokens) - red - _reserved(self.bucket))
        return min(len(due), red + milder)

    def less(self, tokens: int) -> _Filled:
        return replace(self, level=replace(self.level, tokens=self.level.tokens - tokens))

    def ready(self, one: Waiting) -> datetime:
        """Return when there is a token for something that waits."""
        needed = 1 if one.gravity >= _RED else 1 + _reserved(self.bucket)
        return self.level.at + max(0, needed - int(self.level.tokens)) * _every(self.bucket)


def _sent(due: list[Waiting], singles: int, *, digest: bool) -> list[list[Waiting]]:
    if digest and 0 < singles < len(due):
        return [*([one] for one in due[: singles - 1]), due[singles - 1 :]]
    return [[one] for one in due[:singles]]


def _reserved(bucket: Bucket) -> int:
    return 1 if bucket.most >= _RESERVED_FROM else 0


def _holds(bucket: Bucket) -> int:
    return (bucket.most + 1) // 2


def _every(bucket: Bucket) -> timedelta:
    """Return how long a token takes to come back.

    Who takes the first of all h that a bucket holds finds, before `per` is over, h - 1 more and those that come back meanwhile: with
    `per` / (most + 1 - h), rounded up, these are at most `most` - h. Who takes the first of fewer may find one more that comes back.
    """
    return -(-bucket.per // (bucket.most + 1 - _holds(bucket)))
