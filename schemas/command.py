"""A command: what a person asks for. The gateway writes it with actor and scope; the room that owns the subject decides and answers with its id."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from schemas.action import Actor, Deed
from schemas.alerting import Match
from schemas.base import Code, Domain, Finite, Frozen, Lines, Text, Time
from schemas.sensor import Sensor
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


ToAlerts = Acknowledge | Assign | Comment | Clear | Answer | AnswerAlert | Silence | EndSilence | Override | HandOver | TakeOver
"""Decided by alerts."""


class Within(Frozen):
    """A part of the city that is the actor's to change: a region with all below it, for some departments or, with None, for all."""

    region: Code
    departments: frozenset[Code] | None = None


class System(StrEnum):
    """A coordinate system in which positions are given. They are kept in CGCS2000, which for our purposes equals WGS 84 (to some decimetres)."""

    CGCS2000 = "cgcs2000"
    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    """Of Chinese phone maps (Amap, Tencent)."""
    BD09 = "bd09"
    """Of Baidu maps."""


class ChangeSensor(_Given):
    """Register a sensor, or change it as a whole. Decided by ingest, which refuses it when the sensor was changed since it was seen."""

    kind: Literal["change_sensor"] = "change_sensor"
    sensor: Sensor
    """With the version after the one that was seen; a new one has version 1. Its position is in CGCS2000."""
    within: tuple[Within, ...] = Field(min_length=1, max_length=64)
    dry_run: bool = False


class ImportSensors(_Given):
    """Register and change the sensors of a file. All or none."""

    kind: Literal["import_sensors"] = "import_sensors"
    file: Digest
    """A blob of the gateway's, by its SHA-256."""
    form: Literal["csv", "geojson"]
    system: System
    within: tuple[Within, ...] = Field(min_length=1, max_length=64)
    dry_run: bool = False


class SendAgain(_Given):
    """Judge again what was refused: as it came, or one of it mended."""

    kind: Literal["send_again"] = "send_again"
    department: Code
    rejected: tuple[UUID, ...] = Field(min_length=1, max_length=500)
    mended: Annotated[str, Field(max_length=90_000)] | None = None
    """Base64 of what takes the place of the one that is named."""


class Discard(_Given):
    """Nothing is to be done any more about what was refused; it stays kept for its time."""

    kind: Literal["discard"] = "discard"
    department: Code
    rejected: tuple[UUID, ...] = Field(min_length=1, max_length=500)
    note: Text | None = None


class KeyScope(Frozen):
    """What a department's key is good for; None means all of the department's."""

    types: frozenset[Literal["observation", "report"]] | None = None
    sensors: frozenset[Code] | None = Field(default=None, max_length=1_000)
    domains: frozenset[Domain] | None = None


class MakeKey(_Given):
    """Make a key, of which only the SHA-256 is ever written down; `replaces` is good for `overlap_s` more (rotation)."""

    kind: Literal["make_key"] = "make_key"
    department: Code
    key: Code
    """The new key's public name."""
    digest: Digest
    label: Text
    scope: KeyScope = KeyScope()
    expires: Time | None = None
    replaces: Code | None = None
    overlap_s: int = Field(default=86_400, ge=0, le=30 * 86_400)


class RevokeKey(_Given):
    """A key is good for nothing from now on."""

    kind: Literal["revoke_key"] = "revoke_key"
    department: Code
    key: Code


class ReopenDoor(_Given):
    """Let a way in go on that was stopped because it refused all that came."""

    kind: Literal["reopen_door"] = "reopen_door"
    door: Annotated[str, Field(pattern="^[a-z0-9]{1,16}$")]
    """The protocol."""
    department: Code


class Patrol(_Given):
    """Ask whoever is on duty at a building's fire transmission device to answer (查岗)."""

    kind: Literal["patrol"] = "patrol"
    device: Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
    department: Code
    within_s: int = Field(default=600, ge=10, le=3_600)


ToIngest = ChangeSensor | ImportSensors | SendAgain | Discard | MakeKey | RevokeKey | ReopenDoor | Patrol
"""Decided by ingest."""

Command = Annotated[
    ToAlerts | ToIngest,
    Field(
        discriminator="kind",
        description="A command of any kind. The key is the subject: `warning/<id>`, `alert/<id>`, `silence/<id>`, `team/<id>`, `region/<code>`, "
        "`sensor/<id>`, `rejected/<department>`, `key/<department>`, `door/<protocol>`.",
    ),
]

OfWarning = Acknowledge | Assign | Comment | Clear | Answer
