"""A command: what a person asks for. The gateway writes it with actor and scope; the room that owns the subject decides and answers with its id."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from schemas.action import Actor, Deed
from schemas.alerting import Match
from schemas.base import Code, Finite, Frozen, Lines, Text, Time
from schemas.tiers import Tier

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a photo, by which it is known."""


class Position(Frozen):
    """Where somebody stood, CGCS2000 (EPSG:4490), degrees."""

    longitude: Annotated[Finite, Field(ge=-180, le=180)]
    latitude: Annotated[Finite, Field(ge=-90, le=90)]
    accuracy_m: Annotated[Finite, Field(ge=0, le=1e6)] | None = None


class _Given(Frozen):
    id: UUID
    """Whoever gives it again after no answer came gives the same, and it is decided once."""
    actor: Actor
    at: Time
    """When the actor gave it; from a phone that was offline earlier than the gateway wrote it."""


class _OfWarning(_Given):
    warning: UUID
    street: Code
    department: Code
    """Of the warning, as the gateway knew it when it allowed the command."""
    seen_rev: int = Field(ge=1)
    """The warning's revision that the actor saw."""
    tier: Tier
    """Of that revision."""


class Acknowledge(_OfWarning):
    """Acknowledge a warning. Decided by alerts; one that is acknowledged already at this revision or a later one stays as it is."""

    kind: Literal["acknowledge"] = "acknowledge"
    note: Text | None = None


class Assign(_OfWarning):
    """Give a warning to somebody."""

    kind: Literal["assign"] = "assign"
    to: Actor
    note: Text | None = None


class Comment(_OfWarning):
    """Say something of a warning."""

    kind: Literal["comment"] = "comment"
    note: Text


class Clear(_OfWarning):
    """Clear a warning by hand, with the reason."""

    kind: Literal["clear"] = "clear"
    note: Text


class Answer(_OfWarning):
    """Answer from the field."""

    kind: Literal["answer"] = "answer"
    step: Literal[Deed.ON_MY_WAY, Deed.ARRIVED, Deed.DONE]
    note: Text | None = None
    position: Position | None = None
    photos: tuple[Digest, ...] = Field(default=(), max_length=6)


class AnswerAlert(_Given):
    """Answer for all warnings of an alert as they were told up to a message: by a link in it, or from a phone."""

    kind: Literal["answer_alert"] = "answer_alert"
    alert: UUID
    message: int = Field(ge=1)
    """The number of the newest message of the alert that the actor has seen."""
    deed: Literal[Deed.ACKNOWLEDGE, Deed.COMMENT, Deed.ON_MY_WAY, Deed.ARRIVED, Deed.DONE]
    note: Text | None = None
    position: Position | None = None
    photos: tuple[Digest, ...] = Field(default=(), max_length=6)


class Silence(_Given):
    """Tell nobody of what matches, for a time, with the reason."""

    kind: Literal["silence"] = "silence"
    region: Code
    """In which alone it silences."""
    match: Match
    since: Time
    until: Time
    reason: Text


class EndSilence(_Given):
    """End a silence before its time."""

    kind: Literal["end_silence"] = "end_silence"
    silence: UUID
    region: Code


class Override(_Given):
    """Somebody is on duty in a team for a time, instead of somebody else where `instead_of` says so."""

    kind: Literal["override"] = "override"
    team: Code
    person: Code
    instead_of: Code | None = None
    since: Time
    until: Time
    reason: Text


class HandOver(_Given):
    """The desk of a region is handed over (交接班): what stands, and what the next shift has to know."""

    kind: Literal["hand_over"] = "hand_over"
    region: Code
    day: date
    note: Lines
    open: int = Field(ge=0)
    unanswered: int = Field(ge=0)
    """How many warnings were open, and how many of them nobody answered for, when it was signed."""


class TakeOver(_Given):
    """The next shift has read what was handed over and takes the desk."""

    kind: Literal["take_over"] = "take_over"
    region: Code
    handover: UUID


Command = Annotated[
    Acknowledge | Assign | Comment | Clear | Answer | AnswerAlert | Silence | EndSilence | Override | HandOver | TakeOver,
    Field(
        discriminator="kind",
        description="A command of any kind. The key is the subject: `warning/<id>`, `alert/<id>`, `silence/<id>`, `team/<id>`, `region/<code>`.",
    ),
]

OfWarning = Acknowledge | Assign | Comment | Clear | Answer
