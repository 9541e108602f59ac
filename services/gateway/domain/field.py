"""An alert as a phone shows it: of its warnings those that are the reader's, and no sum in which others' are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.action import WarningActions
from schemas.base import Frozen, Name, Origin, Time
from schemas.notification import Notification
from schemas.rest import FieldAlert, FieldWarning
from schemas.sensor import Sensor
from schemas.tiers import TIERS

UNNAMED = Name(zh="预警", en="Warning")
"""What is said of a warning that can be named no better."""


@dataclass(frozen=True, slots=True)
class Share:
    """What an alert has of one street and department."""

    alert: UUID
    street: str
    department: str
    open: int
    gravity: int
    """The greatest."""
    open_gravity: int | None
    """The greatest of those that are open."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The notification by which somebody knows of an alert."""

    notification: Notification
    at: datetime
    """When it was decided."""


class Member(Frozen, extra="ignore"):
    """A warning of an alert, as `api_alerts.seen` tells it."""

    id: UUID
    rev: int
    gravity: int
    open: bool
    text: Name
    place: Name | None
    sensor: str | None
    street: str
    department: str
    began_at: Time
    changed_at: Time
    actions: WarningActions | None


class Seen(Frozen, extra="ignore"):
    """An alert as `api_alerts.seen` tells it, the gravest of its open warnings first."""

    id: UUID
    message: int
    storm: bool
    origin: Origin
    opened_at: Time
    closed_at: Time | None
    unanswered: bool
    warnings: tuple[Member, ...]


Sensors = Callable[[str], Sensor | None]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at an alert."""

    id: str
    shares: Sequence[Share]
    """What of the alert is theirs."""
    whole: bool
    """Whether that is all of it: else what they were told of it may tell of what is not theirs."""
    heard: Heard | None


def shown(seen: Seen, reader: Reader, sensors: Sensors) -> FieldAlert:
    """Return an alert as its reader may see it; they must have a share in it."""
    warnings = tuple(_warning(member, sensors) for member in seen.warnings)
    heard = reader.heard
    told = heard.notification.text if heard is not None and reader.whole else None
    return FieldAlert(
        id=seen.id,
        message=max(1, seen.message if heard is None else heard.notification.message),
        tier=TIERS[gravity(reader.shares) - 1],
        text=told or _gravest(warnings),
        count=sum(share.open for share in reader.shares),
        storm=seen.storm,
        origin=seen.origin,
        opened_at=seen.opened_at,
        told_at=None if heard is None else heard.at,
        closed_at=seen.closed_at,
        unanswered=seen.unanswered,
        assigned=any(_is_given(member, reader.id) for member in seen.warnings),
        warnings=warnings,
    )


def untrailed(seen: Seen) -> Seen:
    """Return an alert without who did and said what of its warnings, one by one; who answers for each stays."""
    return seen.model_copy(update={"warnings": tuple(_untrailed(member) for member in seen.warnings)})


def _untrailed(member: Member) -> Member:
    if member.actions is None:
        return member
    return member.model_copy(update={"actions": member.actions.model_copy(update={"trail": ()})})


def gravity(shares: Iterable[Share]) -> int:
    """Return the greatest gravity of what is open, else of all."""
    some = list(shares)
    return max((share.open_gravity for share in some if share.open_gravity is not None), default=max(share.gravity for share in some))


def _is_given(member: Member, to: str) -> bool:
    assigned = member.actions.assigned if member.actions is not None else None
    return assigned is not None and assigned.to.id == to


def _gravest(warnings: Sequence[FieldWarning]) -> Name:
    return warnings[0].text if warnings else UNNAMED


def _warning(member: Member, sensors: Sensors) -> FieldWarning:
    sensor = sensors(member.sensor) if member.sensor is not None else None
    if sensor is not None and (sensor.street, sensor.department) != (member.street, member.department):
        sensor = None  # it has moved since: where it stands now may not be the reader's
    return FieldWarning(
        id=member.id,
        rev=member.rev,
        tier=TIERS[member.gravity - 1],
        open=member.open,
        text=member.text,
        place=(sensor.place if sensor is not None else None) or member.place,
        sensor=member.sensor,
        street=member.street,
        department=member.department,
        longitude=sensor.longitude if sensor is not None else None,
        latitude=sensor.latitude if sensor is not None else None,
        began_at=member.began_at,
        changed_at=member.changed_at,
        actions=member.actions,
    )
