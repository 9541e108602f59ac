"""Who may do what: one function, `decide`, says it for REST, snapshot and live.

Somebody's grants are added up: what one of them allows is allowed. What is not theirs, and what does not exist, is refused alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import reduce
from typing import Literal

from schemas.access import Grant, Role
from schemas.base import Name
from schemas.regions import Level, RegionTree
from services.gateway.errors import Forbidden, Unauthorised


class Capability(StrEnum):
    """What may be done in a region."""

    WATCH = "watch"
    ACKNOWLEDGE = "acknowledge"
    DIRECT = "direct"
    """Assign, clear by hand, silence, hand over, change who is on duty; and see where somebody in the field stood, and whole addresses."""
    RULES = "rules"
    AUDIT = "audit"
    USERS = "users"
    EVENTS = "events"
    """See what became of a department's events, mend what was refused and send it again; its keys."""
    REGISTRY = "registry"
    """Change the registry of a department's sensors."""


class Verdict(StrEnum):
    """What was decided, and why not."""

    ALLOWED = "allowed"
    NOT_YOUR_ROLE = "not_your_role"
    NOT_YOUR_REGION = "not_your_region"
    NOT_YOUR_DEPARTMENT = "not_your_department"


class Extent(Enum):
    """What is asked for when it is not one department."""

    ANY = "any"
    """Something of whatever department: enough to open a region."""
    ALL = "all"
    """What may be of any department, such as what a sensor says that the registry does not know."""


_DUTY = frozenset({Capability.WATCH, Capability.ACKNOWLEDGE})
_DESK = _DUTY | {Capability.DIRECT}
CAPABILITIES: Mapping[Role, frozenset[Capability]] = {
    Role.CITY: _DESK,
    Role.DISTRICT: _DESK,
    Role.STREET: _DESK,
    Role.FIELD: _DUTY,
    Role.DEPARTMENT: frozenset({Capability.WATCH, Capability.EVENTS, Capability.REGISTRY}),
    Role.RULE_AUTHOR: frozenset({Capability.WATCH, Capability.RULES}),
    Role.AUDITOR: frozenset({Capability.AUDIT}),
    Role.ADMIN: frozenset({Capability.USERS, Capability.EVENTS, Capability.REGISTRY}),
}
_DESKS = {Level.CITY: Role.CITY, Level.DISTRICT: Role.DISTRICT, Level.STREET: Role.STREET}


def decide(grants: Iterable[Grant], tree: RegionTree, capability: Capability, region: str, department: str | Extent = Extent.ANY) -> Verdict:
    """Decide whether grants allow something in a region for a department; an unknown region is nobody's."""
    able = [grant for grant in grants if _gives(grant, capability)]
    if not able:
        return Verdict.NOT_YOUR_ROLE
    here = [grant for grant in able if tree.covers(grant.region, region)]
    if not here:
        return Verdict.NOT_YOUR_REGION
    return Verdict.ALLOWED if any(_extends(grant.departments, department) for grant in here) else Verdict.NOT_YOUR_DEPARTMENT


def _gives(grant: Grant, capability: Capability) -> bool:
    """Say whether a grant gives a capability at all.

    A department's that names none gives nothing, nor does an auditor's that names some: entries do not say whose department they concern.
    """
    if capability not in CAPABILITIES[grant.role]:
        return False
    return {Role.DEPARTMENT: grant.departments is not None, Role.AUDITOR: grant.departments is None}.get(grant.role, True)


def _extends(departments: frozenset[str] | None, to: str | Extent) -> bool:
    if departments is None:
        return True
    return bool(departments) if to is Extent.ANY else to in departments


@dataclass(frozen=True)
class Part:
    """A region with all below it, for some departments or, with None, for all."""

    region: str
    departments: frozenset[str] | None


@dataclass(frozen=True)
class Reach:
    """What of a region somebody sees. Those whose reach is equal see the same, so that one frame is built for all of them."""

    region: str
    parts: tuple[Part, ...]
    """Each within the region; none says what another says already."""

    def sees(self, path: Collection[str], department: str | None) -> bool:
        """Say whether it takes in what stands at a path of regions; of an unknown department (None) only what all may see."""
        return any(part.region in path and (part.departments is None or department in part.departments) for part in self.parts)


@dataclass(frozen=True)
class Principal:
    """Who asks, and what was granted to them."""

    id: str
    name: Name
    grants: tuple[Grant, ...]
    kind: Literal["user", "token"] = "user"


@dataclass(frozen=True)
class Scope:
    """What a principal may do and see."""

    principal: Principal
    tree: RegionTree

    def decide(self, capability: Capability, region: str, department: str | Extent = Extent.ANY) -> Verdict:
        """See `decide`."""
        return decide(self.principal.grants, self.tree, capability, region, department)

    def require(self, region: str, capability: Capability = Capability.WATCH, department: str | Extent = Extent.ANY) -> None:
        """Raise `Forbidden` unless it is allowed."""
        verdict = self.decide(capability, region, department)
        if verdict is not Verdict.ALLOWED:
            known = region if region in self.tree else None
            raise Forbidden(f"region {region[:64]}: {verdict.value}", capability=capability.value, verdict=verdict.value, region=known)

    def require_somewhere(self, capability: Capability) -> None:
        """Raise `Forbidden` unless it is allowed in one region at least."""
        if not self.may(capability):
            verdict = Verdict.NOT_YOUR_ROLE
            raise Forbidden(f"{capability.value}: {verdict.value}", capability=capability.value, verdict=verdict.value, region=None)

    def may(self, capability: Capability) -> bool:
        """Say whether it is allowed in one region at least."""
        return bool(self.regions(capability))

    def sees(self, street: str, department: str | None) -> bool:
        """Say whether something of a street and a department is theirs to see; what stands in no region of the tree is the city's."""
        return self.holds(Capability.WATCH, street, department)

    def holds(self, capability: Capability, region: str | None, department: str | None) -> bool:
        """Say whether a thing is theirs: what has no region, or one that the tree has not, is the city's, and what has no department is of all."""
        return self.decide(capability, self.place(region), Extent.ALL if department is None else department) is Verdict.ALLOWED

    def place(self, region: str | None) -> str:
        """Return the region whose readers a thing is for: the city, where it has none or one that the tree has not."""
        return region if region is not None and region in self.tree else self.tree.root.code

    def concerns(self, region: str, departments: frozenset[str] | None) -> bool:
        """Say whether what is for some departments of a region, or with None for all, is theirs to see in part at least."""
        some: Iterable[str | Extent] = departments or [Extent.ANY]
        return any(self.decide(Capability.WATCH, self.place(region), one) is Verdict.ALLOWED for one in some)

    def require_for(self, region: str, capability: Capability, departments: frozenset[str] | None) -> None:
        """Raise `Forbidden` unless it is allowed for all of some departments of a region, or with None for whatever department."""
        for one in sorted(departments) if departments else [Extent.ALL]:
            self.require(self.place(region), capability, one)

    def directs(self, region: str, departments: frozenset[str] | None) -> bool:
        """Say whether what is for some departments of a region, or with None for all, is theirs to direct as a whole."""
        return all(self.holds(Capability.DIRECT, region, one) for one in departments or [None])

    @property
    def is_user(self) -> bool:
        """Whether they are a user: a machine is shown nothing personal."""
        return self.principal.kind == "user"

    def require_person(self, region: str) -> None:
        """Raise `Forbidden` for a machine: what is personal is shown to people only, by name."""
        if not self.is_user:
            verdict = Verdict.NOT_YOUR_ROLE
            raise Forbidden("what is personal is shown to users only", capability=Capability.DIRECT, verdict=verdict, region=self.place(region))

    def gives(self, grant: Grant) -> bool:
        """Say whether they may give or take a grant: they administer its region for all of its departments."""
        departments: Iterable[str | None] = grant.departments or [None]
        return all(self.holds(Capability.USERS, grant.region, one) for one in departments)

    def administers(self, grants: Iterable[Grant]) -> bool:
        """Say whether somebody with these grants is theirs to administer: all are within theirs; who has none is the city's."""
        held = list(grants)
        return all(map(self.gives, held)) if held else self.holds(Capability.USERS, None, None)

    def regions(self, capability: Capability = Capability.WATCH) -> list[str]:
        """Return the topmost regions where it is allowed, in the order of their grants."""
        granted = dict.fromkeys(
            grant.region
            for grant in self.principal.grants
            if _gives(grant, capability) and _extends(grant.departments, Extent.ANY) and grant.region in self.tree
        )
        return [code for code in granted if not any(code != other and self.tree.covers(other, code) for other in granted)]

    def streets(self, capability: Capability = Capability.WATCH) -> list[str]:
        """Return all regions where it is allowed for some department: what `sees` is to be asked about."""
        return [region.code for region in self.tree if self.decide(capability, region.code) is Verdict.ALLOWED]

    @property
    def whole(self) -> bool:
        """Whether all that they may watch is of all departments: then they see everything in `streets`."""
        return all(grant.departments is None for grant in self.principal.grants if _gives(grant, Capability.WATCH))

    def reach(self, region: str) -> Reach:
        """Return what of a region they see; raises `Forbidden`."""
        self.require(region)
        return Reach(region, self._parts(region))

    def _parts(self, region: str) -> tuple[Part, ...]:
        """Return the watching grants narrowed to a region, in one form for all that come to the same."""
        narrowed: dict[str, frozenset[str] | None] = {}
        for grant in self.principal.grants:
            at = region if self.tree.covers(grant.region, region) else grant.region
            if _gives(grant, Capability.WATCH) and self.tree.covers(region, at):
                narrowed[at] = _union(narrowed.get(at, _NONE), grant.departments)
        parts = []
        for code, departments in sorted(narrowed.items()):
            above = [narrowed[other] for other in self.tree.path(code)[1:] if other in narrowed]
            rest = _rest(departments, reduce(_union, above, _NONE))
            if rest is None or rest:
                parts.append(Part(code, rest))
        return tuple(parts)


def home(grants: Iterable[Grant], tree: RegionTree) -> str | None:
    """Return the lowest region that takes in all grants, None when there are none: whose auditors are told of somebody who has them."""
    return lowest((grant.region for grant in grants), tree)


def lowest(regions: Iterable[str], tree: RegionTree) -> str | None:
    """Return the lowest region that takes in all of some, None when there are none; one that the tree has not is the city's."""
    paths = [tree.path(region) if region in tree else (tree.root.code,) for region in dict.fromkeys(regions)]
    return next((code for code in paths[0] if all(code in path for path in paths)), None) if paths else None


_NONE: frozenset[str] | None = frozenset()


def _union(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other


def _rest(departments: frozenset[str] | None, above: frozenset[str] | None) -> frozenset[str] | None:
    """Return what departments say beyond what the regions above say already; empty when that is nothing."""
    if above is None:
        return frozenset()
    return None if departments is None else departments - above


class Tokens:
    """The tokens of machines, of which only the SHA-256 is kept: each does what the desk of its region does, but is shown nothing personal."""

    def __init__(self, tokens: Mapping[str, str], tree: RegionTree) -> None:
        """`tokens` are by region."""
        self._principals = {digest(token): _machine(region, tree) for region, token in tokens.items() if region in tree}

    def principal(self, token: str) -> Principal:
        """Return whose token it is; raises `Unauthorised`."""
        found = self._principals.get(digest(token))
        if found is None:
            raise Unauthorised("no token, or an unknown one")
        return found


def _machine(code: str, tree: RegionTree) -> Principal:
    region = tree[code]
    name = Name(zh=f"接口 {region.name.zh}"[:256], en=f"Interface {region.name.en}"[:256])
    return Principal(f"token/{code}", name, (Grant(role=_DESKS[region.level], region=code),), "token")


def digest(secret: str) -> bytes:
    """Return the SHA-256 by which a token or a session is known: both are random enough that no slower hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
