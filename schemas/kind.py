"""The kinds of cases and events that a city takes, as data: what stands in `cities/<code>/kinds.yaml`.

Names follow the manner of GB/T 30428, which tells components (部件: what stands in the city) from events (事件: what happens in it).
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from schemas.base import Code, Frozen, Name
from schemas.report import Matter
from schemas.tiers import Tier


class Nature(StrEnum):
    """What a kind is of."""

    COMPONENT = "component"
    """部件: something that stands in the city and has an owner, such as a manhole cover."""
    EVENT = "event"
    """事件: something that happens, such as water on a road."""


class Kind(Frozen):
    """A kind of case or event."""

    code: Code
    matter: Matter
    name: Name
    nature: Nature
    department: Code | None = None
    """Who deals with it unless somebody decides otherwise; None where that goes by the place."""
    urgency: Tier = Tier.BLUE
    """How urgent one is by itself."""


class Catalogue(Frozen):
    """All kinds of a city."""

    kinds: tuple[Kind, ...] = Field(max_length=1_000)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if twice := sorted(code for code, times in Counter(kind.code for kind in self.kinds).items() if times > 1):
            raise ValueError(f"kinds: {twice} are given twice")
        return self
