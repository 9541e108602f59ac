"""What REST answers, for pages and others."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from schemas.access import Grant
from schemas.base import Code, Finite, Frozen, Name, Origin, Text, Time
from schemas.city import Department
from schemas.explain import Explanation
from schemas.live import LiveRegion
from schemas.observation import Quality, Statistic
from schemas.rule import Rule
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
