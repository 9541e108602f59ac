"""A warning as far as telling needs it: what `alerts.warnings` keeps of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.alerting import By
from schemas.base import Domain, Name, Origin
from schemas.regions import RegionTree
from schemas.tiers import TIERS, Tier
from schemas.warning import Warning, WarningState  # noqa: A004 - the field's own word


@dataclass(frozen=True, slots=True)
class Known:
    """A warning at its newest revision, and what people did of it."""

    id: UUID
    rev: int
    street: str
    """Of a warning of a district or the city, that region."""
    path: tuple[str, ...]
    """From there up to the city; of a region that the tree has not, the city alone."""
    district: str
    """The code of its district; of what lies in none, the city's."""
    department: str
    domain: Domain
    rule: str
    subject: str
    sensor: str | None
    origin: Origin
    tags: frozenset[str]
    open: bool
    gravity: int
    """Of its tier; of a cleared one of the tier it had last."""
    raised_rev: int
    """The revision that last made it graver or opened it: an answer to an earlier one does not hold."""
    reached: tuple[int, ...]
    """For each gravity from 1 to 4 the newest revision at which it was open at that or a graver one; 0 where none was."""
    began_at: datetime
    changed_at: datetime
    place: Name | None
    text: Name
    acked_gravity: int = 0
    acked_rev: int = 0
    acked_at: datetime | None = None
    done: bool = False
    """Somebody in the field said so."""
    cleared_gravity: int = 0
    """At which it was cleared by hand; 0 when it is not."""

    @property
    def tier(self) -> Tier:
        """Its tier."""
        return TIERS[self.gravity - 1]

    @property
    def live(self) -> bool:
        """Whether it asks for anything: open, and not cleared by hand at this gravity or a greater one."""
        return self.open and self.gravity > self.cleared_gravity

    @property
    def answered(self) -> bool:
        """Whether somebody has answered for it as it is now."""
        return self.acked_gravity >= self.gravity and self.acked_rev >= self.raised_rev

    def value(self, by: By) -> str:
        """Return what it has of something that warnings may have in common."""
        return _VALUES[by](self)


_VALUES: Mapping[By, Callable[[Known], str]] = {
    By.WARNING: lambda one: str(one.id),
    By.SUBJECT: lambda one: one.subject,
    By.SENSOR: lambda one: one.sensor or one.subject,
    By.RULE: lambda one: one.rule,
    By.STREET: lambda one: one.street,
    By.DISTRICT: lambda one: one.district,
    By.DEPARTMENT: lambda one: one.department,
    By.DOMAIN: lambda one: one.domain.value,
    By.TIER: lambda one: one.tier.value,
}

NEVER = (0,) * len(TIERS)


def whereabouts(street: str, tree: RegionTree) -> tuple[tuple[str, ...], str]:
    """Return the path and the district of a warning's region."""
    if street not in tree:
        return (tree.root.code,), tree.root.code
    return tree.path(street), tree.district(street)


def taken(known: Known | None, warning: Warning, tree: RegionTree, text: Callable[[Warning], Name]) -> Known | None:
    """Return what is known after a revision, None when it is not newer. What people did stays, but for what a rise undoes.

    A warning of which only a command has come so far is known with `rev` 0.
    """
    before = known.rev if known is not None else 0
    if warning.rev <= before:
        return None
    is_open = warning.state is WarningState.OPEN
    gravity = warning.tier.gravity
    rises = is_open and (known is None or not known.open or gravity > known.gravity)
    reached = known.reached if known is not None else NEVER
    path, district = whereabouts(warning.street, tree)
    return Known(
        id=warning.id,
        rev=warning.rev,
        street=warning.street,
        path=path,
        district=district,
        department=warning.department,
        domain=warning.domain,
        rule=warning.rule,
        subject=warning.subject,
        sensor=warning.sensor,
        origin=warning.origin,
        tags=warning.tags,
        open=is_open,
        gravity=gravity,
        raised_rev=warning.rev if rises or known is None else known.raised_rev,
        reached=tuple(warning.rev if is_open and gravity >= at else rev for at, rev in enumerate(reached, 1)),
        began_at=warning.began_at,
        changed_at=warning.changed_at,
        place=tree[warning.street].name if warning.street in tree else None,
        text=text(warning),
        acked_gravity=known.acked_gravity if known is not None else 0,
        acked_rev=known.acked_rev if known is not None else 0,
        acked_at=known.acked_at if known is not None else None,
        done=known is not None and known.done and not rises,
        cleared_gravity=known.cleared_gravity if known is not None else 0,
    )
