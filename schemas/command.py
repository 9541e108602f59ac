"""A command: what a person asks for. The gateway writes it with actor and scope; the room that owns the subject decides and answers with its id."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from schemas.action import Actor
from schemas.base import Code, Frozen, Text, Time
from schemas.tiers import Tier


class Acknowledge(Frozen):
    """Acknowledge a warning. Decided by alerts; one that is acknowledged already at this revision or a later one stays as it is."""

    kind: Literal["acknowledge"] = "acknowledge"
    id: UUID
    warning: UUID
    street: Code
    department: Code
    """Of the warning, as the gateway knew it when it allowed the command."""
    seen_rev: int = Field(ge=1)
    """The warning's revision that the actor saw."""
    tier: Tier
    """Of that revision."""
    actor: Actor
    at: Time
    note: Text | None = None


Command = Acknowledge
"""All kinds of command; a union by `kind` as kinds are added."""
