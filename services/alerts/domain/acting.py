"""What becomes of a warning's actions by a command, or by a rise that undoes what a command did.

Warnings and commands come by two topics, in an order that nobody promises. What holds in the end is the same in every order that keeps each
topic's own: an acknowledgement counts for the revision that was seen, so that one that comes late reopens nothing; clearing by hand holds unless
the warning was graver at a later revision than the one that was seen. What the order does change is the `Decision` that the actor is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import uuid5

from schemas.action import FIELD_DEEDS, TRAIL, Acknowledgement, Actor, Assignment, Decision, Deed, Disposition, Entry, Progress, WarningActions
from schemas.base import Name
from schemas.command import Acknowledge, Answer, Assign, Clear, Comment, OfWarning
from services.alerts.domain.known import Known

_PLATFORM = Actor(id="platform", name=Name(zh="平台", en="The platform"))


@dataclass(frozen=True, slots=True)
class Acted:
    """A warning and its record after something was done; `known` is None of a warning that has not come yet."""

    known: Known | None
    actions: WarningActions


def act(known: Known | None, actions: WarningActions | None, command: OfWarning) -> Acted:
    """Return what a command makes of a warning: the next revision of its record, which answers the command, and what follows for telling."""
    record = actions or _blank(command)
    decision = _decide(known, record, command)
    record = record.model_copy(
        update={
            "rev": (actions.rev if actions else 0) + 1,
            "street": known.street if known else command.street,
            "department": known.department if known else command.department,
            "acknowledged": _acknowledged(record, command),
            "assigned": _assigned(record, command),
            "progress": _progress(record, command),
            "cleared": _cleared(known, record, command),
            "trail": (*record.trail, _entry(command, decision))[-TRAIL:],
            "command": command.id,
            "outcome": decision,
        }
    )
    return Acted(known and followed(known, record), record)


def noted(known: Known | None, actions: WarningActions | None, command: OfWarning) -> Acted:
    """Return the next revision of a warning's record with a command that changes nothing: what its actor saw is not what there is now."""
    record = actions or _blank(command)
    entry = _entry(command, Decision.STALE)
    update = {"rev": (actions.rev if actions else 0) + 1, "trail": (*record.trail, entry)[-TRAIL:], "command": command.id, "outcome": Decision.STALE}
    return Acted(known, record.model_copy(update=update))


def reopened(known: Known, actions: WarningActions) -> WarningActions | None:
    """Return the next revision of the record of a warning that was cleared by hand and became graver; None where there is nothing to undo."""
    if actions.cleared is None or _holds(actions.cleared, known):
        return None
    command = uuid5(actions.warning, f"reopen\n{known.rev}")
    entry = Entry(command=command, deed=Deed.REOPEN, outcome=Decision.APPLIED, by=_PLATFORM, at=known.changed_at)
    update = {"rev": actions.rev + 1, "cleared": None, "trail": (*actions.trail, entry)[-TRAIL:], "command": command, "outcome": Decision.APPLIED}
    return actions.model_copy(update=update)


def followed(known: Known, actions: WarningActions) -> Known:
    """Return a warning with what its record says of it."""
    acknowledged, progress, cleared = actions.acknowledged, actions.progress, actions.cleared
    return replace(
        known,
        acked_gravity=acknowledged.tier.gravity if acknowledged else 0,
        acked_rev=acknowledged.seen_rev if acknowledged else 0,
        acked_at=acknowledged.renewed_at or acknowledged.at if acknowledged else None,
        done=progress is not None and progress.step is Deed.DONE and progress.seen_rev >= known.raised_rev,
        cleared_gravity=cleared.tier.gravity if cleared and _holds(cleared, known) else 0,
    )


def deed_of(command: OfWarning) -> Deed:
    """Return what a command does."""
    return command.step if isinstance(command, Answer) else Deed(command.kind)


def _blank(command: OfWarning) -> WarningActions:
    return WarningActions(warning=command.warning, rev=1, street=command.street, department=command.department, command=command.id)


def _decide(known: Known | None, record: WarningActions, command: OfWarning) -> Decision:
    if isinstance(command, Acknowledge) and record.acknowledged is not None and record.acknowledged.seen_rev >= command.seen_rev:
        return Decision.ALREADY
    if isinstance(command, Clear) and _says_more(record.cleared, command):
        return Decision.ALREADY
    if isinstance(command, Comment) or known is None:
        return Decision.APPLIED
    if known.open and (_graver_since(known, command.tier.gravity, command.seen_rev) or _began_anew(known, command)):
        return Decision.STALE
    if not known.live:
        return Decision.TOO_LATE
    return Decision.APPLIED


def _began_anew(known: Known, command: OfWarning) -> bool:
    """Say whether an answer does not count: the warning was over, or milder, since the revision that was seen, and rose again."""
    return _answers(command) and command.seen_rev < known.raised_rev


def _answers(command: OfWarning) -> bool:
    return isinstance(command, Acknowledge) or deed_of(command) in FIELD_DEEDS


def _acknowledged(record: WarningActions, command: OfWarning) -> Acknowledgement | None:
    """Return who answers for it: an acknowledgement of the same or a later revision stays whose it was, and holds anew from then."""
    now = record.acknowledged
    if not _answers(command) or (now is not None and now.seen_rev > command.seen_rev):
        return now
    if now is not None and now.seen_rev == command.seen_rev:
        return now.model_copy(update={"renewed_at": max(now.renewed_at or now.at, command.at)})
    return Acknowledgement(by=command.actor, at=command.at, seen_rev=command.seen_rev, tier=command.tier, note=command.note)


def _assigned(record: WarningActions, command: OfWarning) -> Assignment | None:
    if not isinstance(command, Assign):
        return record.assigned
    return Assignment(to=command.to, by=command.actor, at=command.at, note=command.note)


def _progress(record: WarningActions, command: OfWarning) -> Progress | None:
    """Return how far the field has come: by when it was given, since a phone may send later."""
    if not isinstance(command, Answer) or (record.progress is not None and record.progress.at > command.at):
        return record.progress
    return Progress(step=command.step, by=command.actor, at=command.at, seen_rev=command.seen_rev, note=command.note)


def _cleared(known: Known | None, record: WarningActions, command: OfWarning) -> Disposition | None:
    """Return the clearing by hand that holds: the newest, unless the one before says as much."""
    if not isinstance(command, Clear) or _says_more(record.cleared, command):
        return record.cleared
    wanted = Disposition(by=command.actor, at=command.at, seen_rev=command.seen_rev, tier=command.tier, note=command.note)
    return wanted if known is None or _holds(wanted, known) else None


def _says_more(cleared: Disposition | None, command: Clear) -> bool:
    return cleared is not None and cleared.tier.gravity >= command.tier.gravity and cleared.seen_rev >= command.seen_rev


def _holds(cleared: Disposition, known: Known) -> bool:
    return not _graver_since(known, cleared.tier.gravity, cleared.seen_rev)


def _graver_since(known: Known, gravity: int, rev: int) -> bool:
    """Say whether a warning was open at a graver tier at a later revision."""
    return gravity < len(known.reached) and known.reached[gravity] > rev


def _entry(command: OfWarning, decision: Decision) -> Entry:
    field = command if isinstance(command, Answer) else None
    return Entry(
        command=command.id,
        deed=deed_of(command),
        outcome=decision,
        by=command.actor,
        at=command.at,
        note=command.note,
        to=command.to if isinstance(command, Assign) else None,
        photos=len(field.photos) if field else 0,
        located=field is not None and field.position is not None,
    )
