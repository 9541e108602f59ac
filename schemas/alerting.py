"""Who is told of what, as data: a city's `alerting.yaml`.

A warning goes down the tree of `routes` to the deepest that matches; there it joins an alert with those that share the values of `group_by`.
An alert is told to people by the steps of an escalation, again and again until somebody answers for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import Field, PrivateAttr, model_validator

from schemas.base import Code, Domain, Frozen, Name, Origin
from schemas.measure import Span
from schemas.regions import Level
from schemas.tiers import GRAVITY, Tier

Wait = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=7))]
"""A length of time that may be none: ISO 8601 (`PT15M`) or seconds."""


class By(StrEnum):
    """What warnings may have in common. Where a warning has none of it (the district of a warning of the city), that counts as a value."""

    WARNING = "warning"
    SUBJECT = "subject"
    SENSOR = "sensor"
    RULE = "rule"
    STREET = "street"
    DISTRICT = "district"
    DEPARTMENT = "department"
    DOMAIN = "domain"
    TIER = "tier"


class Matched(Protocol):
    """What of a warning a `Match` looks at."""

    @property
    def tier(self) -> Tier: ...
    @property
    def domain(self) -> Domain: ...
    @property
    def department(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def origin(self) -> Origin: ...
    @property
    def tags(self) -> frozenset[str]: ...


class Match(Frozen):
    """Which warnings are meant; what is left out matches all."""

    regions: frozenset[Code] | None = None
    """At any level; a warning is in a region when its street is, or lies below it."""
    departments: frozenset[Code] | None = None
    domains: frozenset[Domain] | None = None
    tiers: frozenset[Tier] | None = None
    rules: frozenset[Code] | None = None
    tags: frozenset[Code] = frozenset()
    """All of them must be the rule's."""
    origins: frozenset[Origin] | None = None

    def meets(self, warning: Matched, path: tuple[str, ...]) -> bool:
        """Say whether a warning is meant; `path` are the codes from its street up to the city."""
        return (
            (self.tiers is None or warning.tier in self.tiers)
            and (self.domains is None or warning.domain in self.domains)
            and (self.departments is None or warning.department in self.departments)
            and (self.rules is None or warning.rule in self.rules)
            and (self.regions is None or not self.regions.isdisjoint(path))
            and (self.origins is None or warning.origin in self.origins)
            and self.tags <= warning.tags
        )


class Route(Frozen):
    """A node of the tree: what it leaves out it has of the node above."""

    id: Code
    match: Match = Match()
    group_by: tuple[By, ...] | None = None
    wait: Wait | None = None
    """How long an alert is gathered before it is first told."""
    interval: Span | None = None
    """How long at least between two messages of an alert about what has changed."""
    urgent: Tier | None = None
    """From this tier on nobody waits: neither for `wait`, nor for `interval` where the alert has become graver than was told."""
    escalation: Code | None = None
    carry_on: bool = False
    """Whether the routes after this one are looked at too, so that a warning may join several alerts."""
    routes: tuple[Route, ...] = ()


class TeamRole(StrEnum):
    """What a team is there for."""

    FIELD = "field"
    DESK = "desk"
    LEAD = "lead"
    SUPERVISOR = "supervisor"
    """Who sees to it that others do their work (督办)."""


class Target(Frozen):
    """Who is told: one of these."""

    team: Code | None = None
    role: TeamRole | None = None
    """The team of this role at `level` of the warning's region and of its department; where there is none, at the next level up."""
    level: Level | None = None
    screen: Level | None = None
    """The screens of the region at this level."""
    chat: Code | None = None
    """A channel that is a group of its own (a robot)."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(given is not None for given in (self.team, self.role, self.screen, self.chat)) != 1:
            raise ValueError("give one of `team`, `role` (with `level`), `screen`, `chat`")
        if (self.role is None) != (self.level is None):
            raise ValueError("`role` and `level` go together")
        return self


class Step(Frozen):
    """A step of an escalation."""

    after: Wait
    """Since the alert was first told, or since an answer ran out."""
    tell: Annotated[tuple[Target, ...], Field(min_length=1, max_length=16)]
    channels: tuple[Code, ...] = ()
    """By which people are told, all of them at once. In the app they are told always."""


class Plan(Frozen):
    """How an alert of a tier is told."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=16)]
    answer: bool = True
    """Whether somebody has to answer for it. Without, the first step is all."""
    repeat: Span | None = None
    """After the last step all who were told are told again so often, until somebody answers."""
    answered_for: Span | None = None
    """How long an answer holds while the warning goes on; then it escalates anew."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if [step.after for step in self.steps] != sorted(step.after for step in self.steps):
            raise ValueError("steps: each `after` counts from the beginning, so none may be less than the one before")
        return self


class Escalation(Frozen):
    """The plans of the tiers; a tier without one has that of the next graver, of the gravest the next milder."""

    id: Code
    plans: Annotated[dict[Tier, Plan], Field(min_length=1)]

    _of: dict[Tier, Plan] = PrivateAttr(default_factory=dict)

    def model_post_init(self, _: Any) -> None:
        """Find the plan of each tier."""
        for tier in Tier:
            graver = [one for one in self.plans if one.gravity >= tier.gravity]
            self._of[tier] = self.plans[min(graver, key=GRAVITY.__getitem__) if graver else max(self.plans, key=GRAVITY.__getitem__)]

    def plan(self, tier: Tier) -> Plan:
        """Return the plan of a tier."""
        return self._of[tier]


class Inhibition(Frozen):
    """While a warning that meets `source` is open, those that meet `target` and have the same `equal` are not told."""

    id: Code
    source: Match
    target: Match
    equal: Annotated[tuple[By, ...], Field(min_length=1)]


class Window(Frozen):
    """A maintenance window: in it what it matches is not told; all else is."""

    id: Code
    match: Match
    weekdays: frozenset[Annotated[int, Field(ge=1, le=7)]] = frozenset(range(1, 8))
    """1 Monday to 7 Sunday: on which it begins."""
    since: time
    until: time
    """In the city's time; not after `since` it is of the next day."""
    first: date | None = None
    last: date | None = None
    reason: Name


class Storm(Frozen):
    """When more than so many warnings begin in an area within a time they become one alert, until it has been calm."""

    id: Code
    match: Match = Match()
    by: Annotated[tuple[By, ...], Field(min_length=1)] = (By.DISTRICT, By.DOMAIN)
    more_than: int = Field(ge=1, le=100_000)
    within: Span
    calm: Span
    """So long fewer than that must have begun before it is over."""
    interval: Span
    escalation: Code


class Person(Frozen):
    """Somebody who is told. `id` is their user's."""

    id: Code
    name: Name
    language: Literal["zh", "en"] = "zh"


class Shift(Frozen):
    """A part of the day, in the city's time."""

    name: Name
    since: time
    until: time
    """Not after `since` it is of the next day; equal to it, a whole day later."""


class Rotation(Frozen):
    """Crews that take turns."""

    shifts: Annotated[tuple[Shift, ...], Field(min_length=1, max_length=6)]
    crews: Annotated[tuple[Annotated[tuple[Code, ...], Field(min_length=1)], ...], Field(min_length=1, max_length=62)]
    turn: Literal["shift", "day", "week"]
    """How long a crew stays on duty before the next takes over."""
    begins: date
    """The day, of a week its Monday, with whose first shift the first crew begins."""
    days: Literal["all", "working", "off"] = "all"
    """On which days its shifts begin: of the calendar. Crews take turns by the calendar's days, whether it is theirs or not."""


class Team(Frozen):
    """People of one region and role."""

    id: Code
    name: Name
    region: Code
    role: TeamRole
    departments: frozenset[Code] | None = None
    """Of whose warnings they are told; None for all."""
    rotations: tuple[Rotation, ...] = ()
    always: tuple[Code, ...] = ()
    """On duty at any time."""

    @property
    def members(self) -> frozenset[str]:
        """All who are ever on duty by the file."""
        return frozenset((*self.always, *(person for rotation in self.rotations for crew in rotation.crews for person in crew)))


class Calendar(Frozen):
    """Which days are worked: Monday to Friday, but for these."""

    off: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()
    """Weekends that are worked instead (调休)."""

    def is_off(self, day: date) -> bool:
        """Say whether a day is off."""
        return day in self.off or (day.isoweekday() > 5 and day not in self.worked)  # noqa: PLR2004 - Friday


class Bucket(Frozen):
    """So many at most within a time; they come back one by one."""

    most: int = Field(ge=1, le=100_000)
    per: Span


class Success(Frozen):
    """How an HTTP answer says that a message was taken: its status, and a value in its JSON."""

    statuses: frozenset[Annotated[int, Field(ge=200, le=599)]] = frozenset({200})
    path: tuple[str, ...] = ()
    """Keys to a value in the JSON; empty: the status says all."""
    equals: tuple[str, ...] = ()
    """What that value, as text, has to be: one of these."""


class HttpRequest(Frozen):
    """A request of an HTTP gateway (SMS, voice).

    Texts are Jinja templates of `address`, `title`, `text`, `key`, `name`, `language`, and `secret`: what `contacts.yaml` gives for the channel.
    """

    method: Literal["POST", "GET", "PUT"] = "POST"
    url: str = Field(min_length=1, max_length=2_000)
    headers: dict[str, str] = Field(default_factory=dict)
    json_body: dict[str, str] | None = None
    form: dict[str, str] | None = None
    answered: Success = Success()
    key: bool = False
    """Whether the gateway knows a message that comes again by `key` and sends it once."""


class Channel(Frozen):
    """A way to people outside the app."""

    id: Code
    name: Name
    kind: Literal["apprise", "http"]
    group: bool = False
    """Whether it is one address for many, such as a group's robot, and not one for each person."""
    url: str | None = Field(default=None, max_length=2_000)
    """Of Apprise, a Jinja template of `address` and `secret`: `mailto://…`, `dingtalk://…`, `wecombot://…`, `feishu://…`, `ntfy://…`, `json://…`."""
    request: HttpRequest | None = None
    endpoint: str | None = Field(default=None, max_length=2_000)
    """Where the service is, when it is not the public one: `https://host[:port]` in the place of the robot's own host."""
    bucket: Bucket | None = None
    """Of the whole channel: a DingTalk robot takes 20 a minute."""
    flood: Bucket = Bucket(most=12, per=timedelta(minutes=10))
    """Of each address."""
    digest: bool = True
    """Whether what waits may be told in one message. Without, each is sent by itself when its turn comes."""
    timeout: Span = timedelta(seconds=10)
    give_up: Span = timedelta(minutes=10)
    """How long it is tried; then the duty lead is told."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind == "apprise") != (self.url is not None) or (self.kind == "http") != (self.request is not None):
            raise ValueError("`url` goes with `kind: apprise`, `request` with `kind: http`")
        return self


class Wording(Frozen):
    """Texts of a channel, Jinja templates of a `Message`; what is left out has the words of the platform."""

    channel: Code | None = None
    """None for all channels without one of their own."""
    language: Literal["zh", "en"]
    title: str | None = Field(default=None, max_length=2_000)
    text: str | None = Field(default=None, max_length=8_000)


class Alerting(Frozen):
    """All of `alerting.yaml`."""

    routes: Route
    """The root, which matches everything and leaves nothing out."""
    escalations: tuple[Escalation, ...]
    inhibitions: tuple[Inhibition, ...] = ()
    windows: tuple[Window, ...] = ()
    storms: tuple[Storm, ...] = ()
    people: tuple[Person, ...] = ()
    teams: tuple[Team, ...] = ()
    calendar: Calendar = Calendar()
    channels: tuple[Channel, ...] = ()
    wordings: tuple[Wording, ...] = ()
    lead: Code | None = None
    """The team that is told when telling others fails, or when the platform is silent."""
    lead_channels: tuple[Code, ...] = ()
    tests: frozenset[Code] = frozenset()
    """People and group channels whom replayed, simulated and exercise warnings reach outside the app too."""
    keep_days: int = Field(default=180, ge=1, le=3_650)
    """How long positions and photos of field answers are kept."""

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        root, unknown = self.routes, []
        if root.match != Match() or None in {root.group_by, root.wait, root.interval, root.escalation}:
            raise ValueError("routes: the root has no `match`, and gives `group_by`, `wait`, `interval` and `escalation`")
        ids = [route.id for route in _all(root)]
        if twice := sorted({one for one in ids if ids.count(one) > 1}):
            raise ValueError(f"routes: {twice} are given twice")
        escalations = {one.id for one in self.escalations}
        people, teams, channels = ({one.id for one in given} for given in (self.people, self.teams, self.channels))
        groups = {one.id for one in self.channels if one.group}
        named = [*(one.escalation for one in _all(root)), *(one.escalation for one in self.storms)]
        unknown += [f"escalation {one}" for one in named if one not in {None, *escalations}]
        for step in (step for one in self.escalations for plan in one.plans.values() for step in plan.steps):
            unknown += [f"channel {one}" for one in step.channels if one not in channels - groups]
            unknown += [f"team {target.team}" for target in step.tell if target.team not in {None, *teams}]
            unknown += [f"group channel {target.chat}" for target in step.tell if target.chat not in {None, *groups}]
        for team in self.teams:
            unknown += [f"person {one} of team {team.id}" for one in sorted(team.members - people)]
        unknown += [f"channel {one.channel} of a wording" for one in self.wordings if one.channel not in {None, *channels}]
        unknown += [f"lead {self.lead}"] if self.lead not in {None, *teams} else []
        unknown += [f"channel {one} of the lead" for one in self.lead_channels if one not in channels - groups]
        if unknown:
            raise ValueError(f"these are named and not given: {', '.join(dict.fromkeys(unknown))}")
        return self


def _all(route: Route) -> Iterator[Route]:
    yield route
    for below in route.routes:
        yield from _all(below)
