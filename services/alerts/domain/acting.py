"""What becomes of a warning's actions by a command."""

from __future__ import annotations

from schemas.action import Acknowledgement, WarningActions
from schemas.command import Command


def act(known: WarningActions | None, command: Command) -> WarningActions:
    """Return the next revision, which answers the command; an acknowledgement of the same or a later revision stays whose it was."""
    acknowledged = known.acknowledged if known is not None else None
    if acknowledged is None or command.seen_rev > acknowledged.seen_rev:
        acknowledged = Acknowledgement(by=command.actor, at=command.at, seen_rev=command.seen_rev, tier=command.tier, note=command.note)
    return WarningActions(
        warning=command.warning,
        rev=known.rev + 1 if known is not None else 1,
        street=command.street,
        department=command.department,
        acknowledged=acknowledged,
        command=command.id,
    )
