"""Who may do what: a role in a region, for some departments or all."""

from __future__ import annotations

from enum import StrEnum

from schemas.base import Code, Frozen
from schemas.regions import Level


class Role(StrEnum):
    """What somebody may do; where, and for which departments, a grant says."""

    CITY = "city"
    DISTRICT = "district"
    STREET = "street"
    FIELD = "field"
    DEPARTMENT = "department"
    RULE_AUTHOR = "rule_author"
    AUDITOR = "auditor"
    ADMIN = "admin"

    @property
    def level(self) -> Level | None:
        """The level of region to which the role belongs; None for those that go with any."""
        return _LEVELS.get(self)


_LEVELS = {Role.CITY: Level.CITY, Role.DISTRICT: Level.DISTRICT, Role.STREET: Level.STREET}


class Grant(Frozen):
    """A role in a region and all below it, for some departments or, with None, for all."""

    role: Role
    region: Code
    departments: frozenset[Code] | None = None
