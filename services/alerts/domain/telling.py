"""What a message of an alert says: the gravest of its warnings, how many there are, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from schemas.base import Name
from schemas.notification import Why
from schemas.regions import RegionTree
from schemas.tiers import TIERS
from services.alerts.domain.alert import Look, Member
from services.alerts.domain.known import Known
from services.alerts.domain.message import LINES, Line, Message
from services.alerts.domain.recipients import Place

_REGIONS = 10


def leading(members: Sequence[Member]) -> Known:
    """Return the warning that stands for an alert: the gravest of those that ask, of those that are over where none does."""
    return max((member.known for member in members), key=_weight)


def place_of(members: Sequence[Member]) -> Place:
    """Return the lowest region that takes in all warnings that ask for something, or all where none does."""
    of = [member.known for member in members if member.asks] or [member.known for member in members]
    shared = next(at for at, code in enumerate(of[0].path) if all(code in one.path for one in of))
    departments = {one.department for one in of}
    return Place(of[0].path[shared:], departments.pop() if len(departments) == 1 else "")


def message(alert: UUID, look: Look, members: Sequence[Member], tree: RegionTree, *, storm: bool, now: datetime) -> Message:
    """Return what is said now; `look` has something due."""
    assert look.due is not None  # noqa: S101 - the caller's own condition
    over = look.due.why is Why.ENDED
    told = sorted((member.known for member in members if over or member.asks), key=_weight, reverse=True)
    place = place_of(members)
    gravity = look.state.peak if over else max(one.gravity for one in told)
    return Message(
        alert=alert,
        number=look.state.messages,
        why=look.due.why,
        tier=TIERS[gravity - 1],
        origin=told[0].origin,
        storm=storm,
        region=tree[place.path[0]].name,
        count=len(told),
        where=_where(told, place.path[0], tree),
        lines=tuple(Line(one.tier, one.text, one.place, one.open, one.changed_at) for one in told[:LINES]),
        opened_at=look.state.opened_at,
        decided_at=now,
        step=look.due.step,
    )


def _where(told: Sequence[Known], region: str, tree: RegionTree) -> tuple[tuple[Name, int], ...]:
    """Return how many there are in each region right below, or in the region itself."""
    counts: Counter[str] = Counter()
    for one in told:
        at = one.path.index(region) if region in one.path else 0
        counts[one.path[max(at - 1, 0)]] += 1
    return tuple((tree[code].name, count) for code, count in counts.most_common(_REGIONS))


def _weight(one: Known) -> tuple[bool, int, datetime, str]:
    return one.live, one.gravity, one.changed_at, str(one.id)
