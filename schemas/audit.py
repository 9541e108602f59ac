"""The audit: who did what, when, from where, with what result. It is only ever added to."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from schemas.base import Code, Frozen, Text, Time


class Outcome(StrEnum):
    """What became of it."""

    DONE = "done"
    REFUSED = "refused"


class AuditEntry(Frozen):
    """One entry."""

    id: UUID
    at: Time
    actor: Text
    """The user's id, or `token/<region>` of a machine; `(system)` is the gateway itself, `(unknown)` who did not prove to be anybody,
    `(various)` many together."""
    action: Code
    """Such as `session.open`, `warning.acknowledge`, `user.change`, `region.watch`."""
    subject: Text
    """What it was done to, such as `user/li-wei`, `warning/<id>`, `region/620102`."""
    region: Code | None
    """Whose auditors may read it; None is for the city's alone."""
    outcome: Outcome
    reason: Text | None = None
    """Why it was refused."""
    detail: dict[Code, Text] = Field(default={}, max_length=32)
    """What was changed, never a password or a token."""
    address: Text
    """Where it came from: the client's address, behind proxies that are trusted the one that they name."""
