"""A notification: that somebody was told of an alert, by which channel and with what result."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from schemas.base import Code, Frozen, Name, Origin, Text, Time
from schemas.tiers import Tier

IN_APP = "in_app"
"""The channel that is the screens and phones' pages of the platform itself; all others are those of `alerting.yaml`."""


class Why(StrEnum):
    """Why an alert is told."""

    OPENED = "opened"
    CHANGED = "changed"
    """More warnings, graver or milder ones, or fewer."""
    ESCALATED = "escalated"
    REPEATED = "repeated"
    ENDED = "ended"
    UNDELIVERED = "undelivered"
    """That somebody else could not be told."""


class Result(StrEnum):
    """What became of it."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    """It was tried for as long as the channel says, or cannot be sent at all."""
    UNCERTAIN = "uncertain"
    """We were stopped while it was being sent, on a channel that cannot tell: it was sent again, so that it may have come twice."""
    WITHHELD = "withheld"
    """Of a replayed, simulated or exercise warning: such leave by no outside channel."""


class Notification(Frozen):
    """One notification, as it was decided and, with the same `id`, with its result."""

    id: UUID
    """A UUIDv5 of alert, message, channel and recipient, so that a repetition is the same notification."""
    alert: UUID
    message: int = Field(ge=1)
    """The number of the alert's message."""
    warning: UUID
    """The gravest of the alert's warnings."""
    warning_rev: int
    warnings: int = Field(ge=1)
    """How many it tells of."""
    recipient: Text
    """`region/<code>`: the screens of a region; `person/<id>`; `chat/<channel>`."""
    street: Code
    """Of the gravest warning."""
    department: Code
    channel: Code
    result: Result
    reason: Text | None = None
    """Why it failed, is uncertain or was withheld."""
    why: Why
    tier: Tier
    text: Name
    origin: Origin
    decided_at: Time
    """When alerts decided, by its clock."""
    told_at: Time | None = None
    """When the channel took it."""
    digest: int = 1
    """How many notifications were told in one message."""
