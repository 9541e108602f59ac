"""What an alert has to say at one time, before it is put into words for a channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.base import Name, Origin
from schemas.notification import Why
from schemas.tiers import Tier

NAMESPACE = UUID("6d9f6f0e-8a43-5b0e-9d57-2b8f4f0a7c11")
"""Of the identities of alerts and notifications."""
LINES = 5
"""So many of the gravest warnings are told one by one."""


@dataclass(frozen=True, slots=True)
class Line:
    """One warning."""

    tier: Tier
    text: Name
    place: Name | None
    """Its region."""
    open: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """A message of an alert."""

    alert: UUID
    number: int
    why: Why
    tier: Tier
    """The gravest of what is open; of an alert that has ended the gravest that was told."""
    origin: Origin
    storm: bool
    region: Name
    """The lowest region that takes in all of it."""
    count: int
    """How many warnings are open; of an alert that has ended, how many there were."""
    where: tuple[tuple[Name, int], ...]
    """The regions with how many each, the most first, at most ten."""
    lines: tuple[Line, ...]
    opened_at: datetime
    decided_at: datetime
    step: int = 0
    """Of the escalation: 0 who is told first."""
    answered_by: Name | None = None
    """Whose answer has run out, of an alert that asks again."""
    failed: tuple[tuple[Name, str, str], ...] = ()
    """Of `Why.UNDELIVERED`: whom, by which channel, why not."""
