"""What REST answers, for pages and others."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from schemas.access import Grant
from schemas.action import Acknowledgement, Actor, Decision, Deed, Disposition, Progress, WarningActions
from schemas.alerting import Match, TeamRole
from schemas.base import Code, Domain, Finite, Frozen, Lines, Name, Origin, Text, Time
from schemas.city import Department
from schemas.command import Digest, KeyScope, Position, System
from schemas.explain import Explanation
from schemas.live import LiveRegion
from schemas.observation import Quality, Statistic
from schemas.outcome import Decided
from schemas.rejected import Problem
from schemas.report import Report
from schemas.rule import Rule
from schemas.sensor import Sensor
from schemas.tiers import Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word


class Provider(Frozen):
    """A provider of identities (OpenID Connect)."""

    name: Text
    url: Text
    """Where the browser goes to sign in."""


class SignIn(Frozen):
    """How one can sign in; told to anybody."""

    city: Name
    version: Text
    oidc: Provider | None


class Credentials(Frozen):
    """A local user's."""

    user: Text
    password: str = Field(min_length=1, max_length=256)


class OwnPassword(Frozen):
    """A local user's own password, to be changed by who knows the present one."""

    present: str = Field(min_length=1, max_length=256)
    new: str = Field(min_length=12, max_length=256)


class May(Frozen):
    """What the user may do somewhere; the server decides again each time."""

    watch: bool
    acknowledge: bool
    direct: bool
    """Assign, clear by hand, silence, hand over, change who is on duty."""
    rules: bool
    audit: bool
    users: bool
    events: bool
    """See what became of a department's events, and mend what was refused."""
    registry: bool
    """Change the registry of a department's sensors."""


class Session(Frozen):
    """Who is signed in, and what is theirs."""

    user: Code
    name: Name
    grants: tuple[Grant, ...]
    regions: tuple[LiveRegion, ...]
    """The regions that they may open, each with all below it; the first is where they begin. Empty for who may watch none."""
    may: May
    csrf: Text
    """To be sent as `X-CSRF-Token` with every request that changes something."""
    expires_at: Time
    city: LiveRegion
    timezone: Text
    departments: tuple[Department, ...]
    """Of the city, for their names."""


class RegionMap(Frozen):
    """A region and those right below it as GeoJSON, CGCS2000 (EPSG:4490), longitude before latitude.

    Each feature's `properties` are `code`, `role` (`self` or `child`), `name` {zh, en}, `level` and `schematic`: whether its shape is made
    up (a hexagon) because no boundary is known. `label` is a point in it [longitude, latitude].
    """

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: tuple[dict[str, Any], ...]
    source: Name | None
    """Where the boundaries come from; None when all of them are schematic."""


class Point(Frozen):
    """One value of a series."""

    at: Time
    value: Finite
    quality: Quality
    origin: Origin


class WarningStory(Frozen):
    """One warning from its beginning: its revisions, the newest explained, the values around it, and its rule as far as that is still in force."""

    identifier: Text
    """Of the warning, by GB/T 35965.1-2018 (`schemas.identifier`)."""
    explanation: Explanation
    revisions: tuple[Warning, ...]
    """The oldest first."""
    metric: Code
    statistic: Statistic
    period_s: int
    unit: Text
    """Of the points; what the rule measured of them may have another, which its evidence says."""
    points: tuple[Point, ...]
    """Of the deciding series, none of a place's warning; from before the beginning until after the end; of a long warning only around its
    beginning, its decision and its end."""
    thinned: bool
    """There are more than `points` has: of many the lowest and highest of each part are kept."""
    rule: Rule | None


class Acknowledging(Frozen):
    """Somebody takes note of a warning as they see it."""

    rev: int = Field(ge=1)
    """The revision that they see."""
    note: Text | None = None


class Mute(Frozen):
    """A screen's sound is switched off by somebody."""

    name: Text
    minutes: int = Field(ge=1, le=480)
    warnings: tuple[UUID, ...] = Field(max_length=1_000)
    """The red warnings that were sounding."""


class NewUser(Frozen):
    """A local user to be made."""

    id: Code
    name: Name
    password: str = Field(min_length=12, max_length=256)
    grants: tuple[Grant, ...] = Field(max_length=64)


class UserChange(Frozen):
    """What is to be changed of a user; what is left out stays."""

    name: Name | None = None
    password: str | None = Field(default=None, min_length=12, max_length=256)
    grants: tuple[Grant, ...] | None = Field(default=None, max_length=64)
    disabled: bool | None = None


class User(Frozen):
    """A user as administrators see them."""

    id: Code
    name: Name
    grants: tuple[Grant, ...]
    disabled: bool
    locked_until: Time | None
    """Until when wrong passwords lock them, at one address at least; None when nowhere."""
    provider: Text | None
    """The issuer (OpenID Connect) that vouches for them; None for local users."""
    last_seen: Time | None


# What people do of warnings


class Assigning(Frozen):
    """A warning is given to somebody."""

    rev: int = Field(ge=1)
    to: Code
    """A user's id."""
    note: Text | None = None


class Commenting(Frozen):
    """Something is said of a warning."""

    rev: int = Field(ge=1)
    note: Text


class ClearingByHand(Frozen):
    """A warning is cleared by hand."""

    rev: int = Field(ge=1)
    reason: Text


class Answering(Frozen):
    """An answer from the field to all warnings of an alert, maybe given while the phone was offline."""

    command: UUID
    """Made by the phone: sent again after no answer came, it is decided once."""
    message: int = Field(ge=1, le=2_147_483_647)
    """The newest message of the alert that was seen."""
    deed: Literal[Deed.ACKNOWLEDGE, Deed.COMMENT, Deed.ON_MY_WAY, Deed.ARRIVED, Deed.DONE]
    note: Text | None = None
    position: Position | None = None
    photos: tuple[Digest, ...] = Field(default=(), max_length=6)
    at: Time | None = None
    """When it was given, by the phone's clock; now where that lies ahead."""
    sent_at: Time | None = None
    """What the phone's clock said at sending. With it the answer was given so long before now as `at` lies before it, however wrong that clock is."""
    given_by: Code | None = None
    """The user who gave it. It is refused (409, `another_user`) when somebody else is signed in by then."""


class Answered(Frozen):
    """What became of an answer."""

    command: UUID
    outcome: Decision | None
    """None: it is on its way."""


class Stored(Frozen):
    """A photo that was taken."""

    digest: Digest


class FieldAnswer(Frozen):
    """Where somebody stood when they answered, and what they photographed. Whoever looks at it is audited."""

    command: UUID
    deed: Deed
    by: Actor
    at: Time
    position: Position | None
    photos: tuple[Digest, ...]


class FieldWarning(Frozen):
    """A warning as a phone shows it."""

    id: UUID
    rev: int
    tier: Tier
    open: bool
    text: Name
    place: Name | None
    sensor: Code | None
    street: Code
    department: Code
    longitude: Finite | None
    latitude: Finite | None
    began_at: Time
    changed_at: Time
    actions: WarningActions | None


class FieldAlert(Frozen):
    """An alert as a phone shows it: those of its warnings that are the reader's, at most 50, the gravest first."""

    id: UUID
    message: int
    """Of its messages, the newest."""
    tier: Tier
    text: Name
    count: int
    """How many of its warnings are open, all together."""
    storm: bool
    origin: Origin
    opened_at: Time
    told_at: Time | None
    closed_at: Time | None
    unanswered: bool
    """Somebody has to answer for it still."""
    assigned: bool
    """One of its warnings was given to the reader."""
    warnings: tuple[FieldWarning, ...]


class FieldView(Frozen):
    """What a phone shows."""

    now: Time
    alerts: tuple[FieldAlert, ...]


class Link(Frozen):
    """What a link from a message leads to. Looking at it changes nothing: previews do that."""

    city: Name
    person: Name
    state: Literal["open", "used", "expired", "over"]
    until: Time
    used_as: Decision | None
    alert: FieldAlert


class LinkUse(Frozen):
    """What is answered by a link, once."""

    deed: Literal[Deed.ACKNOWLEDGE, Deed.ON_MY_WAY]
    note: Text | None = None


class Silencing(Frozen):
    """Nobody in a region shall be told of what matches, for a time."""

    match: Match
    since: Time | None = None
    """Now, where it is left out."""
    until: Time
    reason: Text


class SilenceShown(Frozen):
    """A silence."""

    id: UUID
    region: Code
    match: Match
    since: Time
    until: Time
    reason: Text
    by: Actor
    ended_by: Actor | None = None


class DutyPerson(Frozen):
    """Somebody who is on duty."""

    person: Code
    name: Name
    since: Time
    until: Time
    shift: Name | None
    instead_of: Code | None
    contacts: dict[Code, str]
    """By channel, masked; the whole address is told one by one, and audited."""


class DutyTeam(Frozen):
    """A team, who of it is on duty now, and who in the next days."""

    team: Code
    name: Name
    region: Code
    role: TeamRole
    now: tuple[DutyPerson, ...]
    later: tuple[DutyPerson, ...]


class Contacts(Frozen):
    """Somebody's whole addresses, by channel."""

    person: Code
    contacts: dict[Code, str]


class Overriding(Frozen):
    """Somebody is on duty for a time."""

    person: Code
    instead_of: Code | None = None
    since: Time
    until: Time
    reason: Text


class HandingOver(Frozen):
    """The desk is handed over."""

    note: Lines


class HandOverShown(Frozen):
    """A hand-over, and who has taken it."""

    id: UUID
    region: Code
    day: date
    at: Time
    by: Actor
    note: str
    open: int
    unanswered: int
    taken_by: Actor | None = None
    taken_at: Time | None = None


class BriefWarning(Frozen):
    """A warning in a brief."""

    id: UUID
    tier: Tier
    open: bool
    text: Name
    place: Name | None
    street: Code
    department: Code
    domain: Domain
    origin: Origin
    began_at: Time
    changed_at: Time
    acknowledged: Acknowledgement | None
    progress: Progress | None
    cleared: Disposition | None


class Brief(Frozen):
    """The daily brief of a region: what was, what stands, who was on duty."""

    region: LiveRegion
    since: Time
    until: Time
    made_at: Time
    began: dict[Tier, int]
    """How many warnings began in the time, by tier as they are now."""
    open: dict[Tier, int]
    unanswered: int
    """Open orange and red ones that nobody answered for."""
    by_domain: dict[Domain, int]
    by_region: dict[Code, int]
    """Of the regions right below."""
    answered_s: Finite | None
    """Median seconds from the beginning of a warning to its acknowledgement, of those that have one."""
    warnings: tuple[BriefWarning, ...]
    """Red and orange ones, and all that are open, at most 200, the gravest first."""
    more: int
    """How many of these are left out."""
    duty: tuple[DutyTeam, ...]
    handovers: tuple[HandOverShown, ...]
    """Of the time."""


# What became of departments' events


class FlowHour(Frozen):
    """What became of a department's events by one way in one hour."""

    hour: Time
    """Its beginning (UTC)."""
    door: Code
    """The protocol; `again` is what was sent again."""
    observations: int
    reports: int
    refused: int
    late: int
    """Of the observations: came later than rules wait for."""


class RefusedCount(Frozen):
    """How many refusals of one reason are in one state."""

    code: Code
    state: Literal["kept", "sent_again", "discarded"]
    count: int
    newest: Time


class EventsSummary(Frozen):
    """What became of a department's events in a time, by the time of receipt."""

    department: Code
    since: Time
    until: Time
    observations: int
    """Accepted."""
    reports: int
    """Accepted."""
    refused: int
    """As they came; of these some may have been sent again since."""
    late: int
    hours: tuple[FlowHour, ...]
    reasons: tuple[RefusedCount, ...]
    """Of those that are kept."""
    left_out: int
    """Refusals that are kept no longer, of whatever time, because there were too many: `city.rejected` has them for 30 days."""
    warned: dict[Tier, int]
    """Warnings of the department's sensors that began in the time, by the gravest tier that they had."""


class RefusalShown(Frozen):
    """Something that was refused, without what came."""

    id: UUID
    door: Code
    """The protocol."""
    address: str
    content_type: str
    received: Time
    problem: Problem
    event: str | None
    """Its own id, where that could be read."""
    sensor: str | None
    """A sensor's id, or a device as `<protocol>:<name>`, known or not."""
    size: int
    """Bytes of the whole."""
    kept: int
    """Bytes of it that are kept; what is not kept whole cannot be sent again."""
    sha256: str
    state: Literal["kept", "sent_again", "discarded"]
    changed_at: Time | None
    changed_by: str | None
    """A user's id."""
    again: dict[str, Any] | None
    """What became of it the last time that it was sent again (`became`, `accepted`, `problem`), or the note with which it was discarded."""


class RefusalBody(Frozen):
    """A refusal with what came, as far as that is kept."""

    refusal: RefusalShown
    text: str | None
    """Where it is UTF-8."""
    hex: str | None
    """Where it is not."""


class SendingAgain(Frozen):
    """What was refused is to be judged again, as it came or, of one, mended."""

    rejected: tuple[UUID, ...] = Field(min_length=1, max_length=500)
    mended: str | None = Field(default=None, max_length=60_000)
    """Text that takes its place."""
    mended_hex: str | None = Field(default=None, max_length=60_000)
    """The same as hexadecimal digits, where it is no text."""


class Discarding(Frozen):
    """Nothing is to be done any more about what was refused."""

    rejected: tuple[UUID, ...] = Field(min_length=1, max_length=500)
    note: Text | None = None


class DoorShown(Frozen):
    """A way by which a department is heard."""

    protocol: Code
    heard_at: Time | None
    """The newest minute in which something came."""
    stopped_at: Time | None
    """Since when it takes no more of the department's of what it would refuse, because it refused all that it had taken before."""
    why: str | None
    """What was said of the newest that it refused."""
    nodes: tuple[Code, ...]
    """Where it is stopped."""


class AcceptedValue(Frozen):
    """One value of a reading."""

    value: Finite
    quality: Quality


class AcceptedReading(Frozen):
    """A reading as history keeps it."""

    sensor: Code
    statistic: Statistic
    period_s: int
    end: Time
    values: dict[Code, AcceptedValue]
    origin: Origin
    source: str
    event: str
    """The id of the event that said it last."""
    received: Time


class ReportShown(Frozen):
    """A report with its id here."""

    id: UUID
    report: Report


class EventFate(Frozen):
    """What became of an event, or of what a sensor said around a time."""

    since: Time
    until: Time
    """In which time readings were looked for, by their ends."""
    accepted: tuple[AcceptedReading, ...]
    """At most 20."""
    report: ReportShown | None
    refused: tuple[RefusalShown, ...]
    """At most 20, the newest first; by the event's id, whatever its source."""
    warned: tuple[Warning, ...]
    """The warnings that were decided by one of these readings, each as it was then."""


# The registry


class SensorHealth(Frozen):
    """How a sensor is: what was heard of it since its first reading."""

    state: Literal["well", "doubtful", "silent", "unheard", "unused"]
    """Silent: not heard for twice its `every`, or for an hour where it has none. Unused: neither heard nor in use. Doubtful: a tenth of its values is
    flagged."""
    heard_at: Time | None
    """When the last reading came."""
    ended_at: Time | None
    """Of which time it told last."""
    age_s: Finite | None
    """Seconds since then."""
    readings: int
    values: int
    bad: int
    """Values with any flag but good."""
    late: int
    gaps: int
    longest_gap_s: Finite
    skew_s: Finite
    """How far ahead of our clock its readings end."""


class SensorShown(Frozen):
    """A sensor of the registry."""

    sensor: Sensor
    health: SensorHealth
    changeable: bool
    """Whether the reader may change it."""


class SensorPage(Frozen):
    """Sensors by id."""

    sensors: tuple[SensorShown, ...]
    after: Code | None
    """Ask for those after it; None when there are no more."""


class Importing(Frozen):
    """Sensors of a file are registered and changed, all or none."""

    file: Digest
    """As `/v1/uploads` answered."""
    form: Literal["csv", "geojson"]
    system: System
    """In which the file's positions are."""


class UnknownShown(Frozen):
    """A device or a sensor that was heard and that nobody registered."""

    protocol: str
    device: str
    """Its name in the protocol, or the sensor's id."""
    department: str
    first_at: Time
    last_at: Time
    count: int
    said: str
    """The beginning of what it said last."""


class Draft(Frozen):
    """A sensor that is not complete: what is known of it beforehand."""

    sensor: dict[str, Any]
    missing: tuple[str, ...]
    """Paths of what must be given."""


# Departments' keys


class KeyMaking(Frozen):
    """A key is to be made."""

    label: Text
    """What it is for."""
    scope: KeyScope = KeyScope()
    expires: Time | None = None


class KeyReplacing(Frozen):
    """A key is to be replaced by a new one."""

    overlap_s: int = Field(default=86_400, ge=0, le=30 * 86_400)
    """How long the old one is good for beside it."""
    expires: Time | None = None
    """Of the new one."""


class KeyMade(Frozen):
    """A key that was made."""

    decided: Decided
    key: Code
    """Its public name."""
    secret: str | None
    """What is to be sent as `Authorization: Bearer …`; it is shown here alone. None where it was refused."""


class KeyShown(Frozen):
    """A department's key, without what lets in."""

    id: Code
    department: Code
    label: Text
    scope: KeyScope
    made_at: Time
    made_by: str
    """A user's id."""
    expires_at: Time | None
    revoked_at: Time | None
    revoked_by: str | None
    used_at: Time | None
    """Up to some seconds ago."""


# Devices that keep a connection


class DeviceShown(Frozen):
    """A device behind a department's sensors: a monitor (HJ 212) or a fire transmission device (GB/T 26875.3)."""

    protocol: Code
    device: Code
    """Its name in the protocol."""
    sensors: int
    connected: bool
    address: str | None
    """From where it came last; None of one that was never heard."""
    connected_at: Time | None
    last_at: Time | None
    """When something came of it last."""
    skew_s: Finite | None
    """How far ahead of ours its clock is."""


class PatrolAsked(Frozen):
    """Whoever is on duty at a building is to answer (查岗)."""

    within_s: int = Field(default=600, ge=10, le=3_600)


class PatrolShown(Frozen):
    """A patrol check, and what came of it."""

    id: UUID
    device: Code
    asked_by: str
    asked_at: Time
    until: Time
    state: Literal["asked", "sent", "answered", "missed", "denied", "not_connected"]
    sent_at: Time | None
    answered_at: Time | None
    operator: int | None
    """The number of who answered, as the device gives it."""
