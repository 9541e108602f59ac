"""What people did of a warning: its own record, beside the warning that rules alone write."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from schemas.base import Code, Frozen, Name, Text, Time
from schemas.tiers import Tier

TRAIL = 100
"""So many of the newest entries of a trail are kept with it; all of them stay in `city.commands` and the audit."""


class Actor(Frozen):
    """Who did something: a user by id and name as they were then."""

    id: Text
    name: Name


class Deed(StrEnum):
    """What was done of a warning."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    COMMENT = "comment"
    CLEAR = "clear"
    """Cleared by hand: a disposition, beside the rule's own episode."""
    ON_MY_WAY = "on_my_way"
    ARRIVED = "arrived"
    DONE = "done"
    REOPEN = "reopen"
    """The platform's: a warning that was cleared by hand became graver than it was then."""


FIELD_DEEDS = frozenset({Deed.ON_MY_WAY, Deed.ARRIVED, Deed.DONE})
"""What is answered from the field. Who does so answers for the warning, too."""


class Decision(StrEnum):
    """What was decided of a command."""

    APPLIED = "applied"
    ALREADY = "already"
    """It was so before, and stays whose it was."""
    STALE = "stale"
    """The actor saw a milder tier than the warning has now, or it began anew since: it asks for another answer."""
    TOO_LATE = "too_late"
    """The warning was over when it was decided: it stands in the trail, and begins nothing anew."""


class Acknowledgement(Frozen):
    """Somebody has taken note of a warning and answers for it."""

    by: Actor
    at: Time
    seen_rev: int = Field(ge=1)
    """The warning's revision that they saw."""
    tier: Tier
    """The tier that they saw. A warning that is graver now, or was raised at a later revision, asks for another acknowledgement."""
    note: Text | None = None
    renewed_at: Time | None = None
    """When anybody answered last for the same revision: how long the answer holds counts from then."""


class Assignment(Frozen):
    """To whom a warning was given."""

    to: Actor
    by: Actor
    at: Time
    note: Text | None = None


class Progress(Frozen):
    """How far somebody in the field has come."""

    step: Deed
    by: Actor
    at: Time
    seen_rev: int = Field(ge=1)
    note: Text | None = None


class Disposition(Frozen):
    """A warning was cleared by hand. It holds until the warning becomes graver than `tier`."""

    by: Actor
    at: Time
    seen_rev: int = Field(ge=1)
    tier: Tier
    note: Text


class Entry(Frozen):
    """One thing that was done, or was asked for in vain."""

    command: UUID
    deed: Deed
    outcome: Decision
    by: Actor
    at: Time
    note: Text | None = None
    to: Actor | None = None
    """Of an assignment."""
    photos: int = 0
    located: bool = False
    """Whether a position came with it. Positions and photos are personal: they are read apart, and that is audited."""


class WarningActions(Frozen):
    """All that was done of a warning, at one revision; a consumer ignores a `rev` that is not newer than the one it has."""

    warning: UUID
    rev: int = Field(ge=1)
    street: Code
    department: Code
    acknowledged: Acknowledgement | None = None
    assigned: Assignment | None = None
    progress: Progress | None = None
    cleared: Disposition | None = None
    trail: tuple[Entry, ...] = ()
    """The newest last, at most `TRAIL`."""
    command: UUID
    """The command that made this revision; of a `reopen` one that nobody gave."""
    outcome: Decision = Decision.APPLIED
    """Of that command."""
