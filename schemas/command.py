"""A command: what a person asks for. The gateway writes it with actor and scope; the room that owns the subject decides and answers with its id."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from schemas.action import Actor
from schemas.base import Code, Frozen, Text, Time
from schemas.tiers import Tier


class Acknowledge(Frozen):
    """Acknowledge a warning. Decided by alerts; one that is acknowledged already at this tier or a graver one stays as it is."""

    kind: Literal["acknowledge"] = "acknowledge"
    id: UUID
    warning: UUID
    street: Code
    department: Code
    """Of the warning, as the gateway knew it when it allowed the command."""
    tier: Tier
    """Of the warning, as the actor saw it."""
    actor: Actor
    at: Time
    note: Text | None = None


Command = Acknowledge
"""All kinds of command; a union by `kind` as kinds are added."""
