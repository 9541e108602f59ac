"""The daily brief of a region, from the warnings that were open in a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.action import Acknowledgement, Disposition, Progress
from schemas.base import Domain, Frozen, Name, Origin, Time
from schemas.regions import RegionTree
from schemas.rest import BriefWarning
from schemas.tiers import TIERS, Tier

DUTY_BEGINS = time(8)
"""When one day's duty ends and the next begins, in the city's time."""
SHOWN = 200


class Done(Frozen, extra="ignore"):
    """What a brief tells of what was done of a warning."""

    acknowledged: Acknowledgement | None = None
    progress: Progress | None = None
    cleared: Disposition | None = None


class Told(Frozen, extra="ignore"):
    """A warning as `api_alerts.brief` tells it."""

    id: UUID
    street: str
    department: str
    domain: Domain
    gravity: int
    open: bool
    text: Name
    place: Name | None
    origin: Origin
    began_at: Time
    changed_at: Time
    raised_rev: int
    """The revision that last opened it or made it graver: an answer to an earlier one does not hold."""
    actions: Done | None

    @property
    def tier(self) -> Tier:
        """Its tier."""
        return TIERS[self.gravity - 1]

    @property
    def done(self) -> Done:
        """What was done of it."""
        return self.actions or Done()

    @property
    def unanswered(self) -> bool:
        """Whether nobody has answered for it as it is now, or cleared it by hand at its tier."""
        acknowledged, cleared = self.done.acknowledged, self.done.cleared
        if cleared is not None and cleared.tier.gravity >= self.gravity:
            return False
        return acknowledged is None or acknowledged.tier.gravity < self.gravity or acknowledged.seen_rev < self.raised_rev


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, the end not in it."""

    since: datetime
    until: datetime


def span(since: datetime | None, until: datetime | None, now: datetime, zone: ZoneInfo) -> Span:
    """Return the time of a brief: what is not given is a day before the end, or now; with neither it is the last whole duty day."""
    if since is None and until is None:
        day = duty_day(now, zone)
        return Span(_begins(day - timedelta(days=1), zone), _begins(day, zone))
    end = until or now
    return Span(since or end - timedelta(days=1), end)


def duty_day(now: datetime, zone: ZoneInfo) -> date:
    """Return the day whose duty goes on at a time."""
    local = now.astimezone(zone)
    return local.date() if local.time() >= DUTY_BEGINS else local.date() - timedelta(days=1)


def _begins(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, DUTY_BEGINS, zone)


def counted(told: Sequence[Told], of: Span, region: str, tree: RegionTree) -> dict[str, Any]:
    """Return the fields of a `schemas.rest.Brief` that warnings make: what began is counted by tier, domain and region, what is open as it is now."""
    began = [one for one in told if of.since <= one.began_at < of.until]
    listed = _listed(told)
    return {
        "began": _by_tier(began),
        "open": _by_tier([one for one in told if one.open]),
        "unanswered": sum(one.open and one.gravity >= Tier.ORANGE.gravity and one.unanswered for one in told),
        "by_domain": dict(Counter(one.domain for one in began)),
        "by_region": {child.code: sum(tree.covers(child.code, one.street) for one in began) for child in tree.children(region)},
        "answered_s": _answered_s(began),
        "warnings": tuple(_shown(one) for one in listed[:SHOWN]),
        "more": max(0, len(listed) - SHOWN),
    }


def _by_tier(told: Iterable[Told]) -> dict[Tier, int]:
    counts = Counter(one.tier for one in told)
    return {tier: counts[tier] for tier in TIERS}


def _answered_s(told: Iterable[Told]) -> float | None:
    found = [max(0.0, (one.done.acknowledged.at - one.began_at).total_seconds()) for one in told if one.done.acknowledged is not None]
    return median(found) if found else None


def _listed(told: Iterable[Told]) -> list[Told]:
    """Return those that are told one by one, the gravest first."""
    some = (one for one in told if one.open or one.gravity >= Tier.ORANGE.gravity)
    return sorted(some, key=lambda one: (-one.gravity, one.began_at, one.id))


def _shown(one: Told) -> BriefWarning:
    fields = one.model_dump(exclude={"gravity", "raised_rev", "actions"})
    return BriefWarning(tier=one.tier, acknowledged=one.done.acknowledged, progress=one.done.progress, cleared=one.done.cleared, **fields)
