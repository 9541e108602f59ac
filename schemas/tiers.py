"""The four tiers of a warning, Ⅳ blue to Ⅰ red (国家突发事件 practice; red is the gravest)."""

from __future__ import annotations

from enum import StrEnum


class Tier(StrEnum):
    """A tier; compare by `gravity`, 1 (blue) to 4 (red)."""

    BLUE = "blue"
    YELLOW = "yellow"
    ORANGE = "orange"
    RED = "red"

    @property
    def gravity(self) -> int:
        """1 for blue to 4 for red."""
        return GRAVITY[self]


TIERS: tuple[Tier, ...] = tuple(Tier)
GRAVITY: dict[Tier, int] = {tier: at for at, tier in enumerate(TIERS, start=1)}


def gravest(tiers: frozenset[Tier] | set[Tier]) -> Tier | None:
    """Return the gravest of some tiers, None of none."""
    return max(tiers, key=GRAVITY.__getitem__, default=None)
