"""What ingest decided of a command."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from schemas.base import Frozen


class Outcome(StrEnum):
    """What was decided."""

    APPLIED = "applied"
    ALREADY = "already"
    """It was so before; nothing changed."""
    PREVIEWED = "previewed"
    """A dry run: the detail says what would change."""
    REFUSED = "refused"
    """The detail's `problems` say why."""


class Decided(Frozen):
    """A command's outcome, None while nothing was decided; what the detail holds goes by the command's kind."""

    command: UUID
    outcome: Outcome | None
    detail: dict[str, Any] = Field(default_factory=dict)
