"""What a provider of identities says of somebody, in our words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.access import Grant, Role
from schemas.base import Name

PREFIX = "oidc:"
"""Of the ids of those whom a provider vouches for, so that none can be taken for a local user."""
_FITTING = re.compile(r"[A-Za-z0-9._:-]{1,91}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 256


@dataclass(frozen=True)
class Identity:
    """Somebody whom the provider vouches for."""

    user: str
    name: Name
    grants: tuple[Grant, ...]


def parse_grant(text: str) -> Grant:
    """Return a grant written as `role:region` or `role:region:department,department`; raises ValueError."""
    role, _, rest = text.partition(":")
    region, _, departments = rest.partition(":")
    listed = frozenset(part.strip() for part in departments.split(",") if part.strip())
    return Grant(role=Role(role.strip()), region=region.strip(), departments=listed or None)


def user_id(claim: object) -> str | None:
    """Return our id for the provider's; one that does not fit stands as its hash. None when there is none."""
    if not isinstance(claim, str) or not claim:
        return None
    fitting = _FITTING.fullmatch(claim)
    return PREFIX + (claim if fitting else hashlib.sha256(claim.encode("utf-8", "surrogatepass")).hexdigest())


def display_name(claim: object, user: str) -> Name:
    """Return the name to show; the id when the provider says none."""
    text = _CONTROL.sub(" ", claim.encode("utf-8", "replace").decode()).strip()[:_LONGEST] if isinstance(claim, str) else ""
    return Name(zh=text or user, en=text or user)


def granted(claim: object, by_group: Mapping[str, Sequence[Grant]]) -> tuple[Grant, ...]:
    """Return what somebody's groups are granted, each once; a single group may stand alone."""
    groups = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return tuple(dict.fromkeys(grant for group in groups if isinstance(group, str) for grant in by_group.get(group, ())))
