"""What people did of a warning: its own record, beside the warning that rules alone write."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from schemas.base import Code, Frozen, Name, Text, Time
from schemas.tiers import Tier


class Actor(Frozen):
    """Who did something: a user by id and name as they were then."""

    id: Text
    name: Name


class Acknowledgement(Frozen):
    """Somebody has taken note of a warning and answers for it."""

    by: Actor
    at: Time
    seen_rev: int = Field(ge=1)
    """The warning's revision that they saw."""
    tier: Tier
    """The tier that they saw. A warning that is graver now, or was raised at a later revision, asks for another acknowledgement."""
    note: Text | None = None


class WarningActions(Frozen):
    """All that was done of a warning, at one revision; a consumer ignores a `rev` that is not newer than the one it has."""

    warning: UUID
    rev: int = Field(ge=1)
    street: Code
    department: Code
    acknowledged: Acknowledgement | None = None
    command: UUID
    """The command that made this revision."""
