"""A notification: that somebody was told of a warning, by which channel and with what result."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from schemas.base import Code, Frozen, Name, Origin, Text, Time
from schemas.tiers import Tier
from schemas.warning import Change


class Channel(StrEnum):
    """A way to reach people; `in_app` is the screens of the platform itself."""

    IN_APP = "in_app"


class Result(StrEnum):
    """What became of the sending."""

    DELIVERED = "delivered"


class Notification(Frozen):
    """One notification; `id` is a UUIDv5 of warning, revision, channel and recipient, so that a repetition is the same notification."""

    id: UUID
    warning: UUID
    warning_rev: int
    recipient: Text
    """`region/<code>`: the desk of a region."""
    street: Code
    department: Code
    channel: Channel
    result: Result
    change: Change
    tier: Tier
    text: Name
    origin: Origin
    decided_at: Time
    """When alerts decided, by its clock."""
