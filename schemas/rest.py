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
from schemas.command import Digest, Position
from schemas.explain import Explanation
from schemas.live import LiveRegion
from schemas.observation import Quality, Statistic
from schemas.rule import Rule
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
