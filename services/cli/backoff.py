"""How long to wait before a child is started again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.5
"""Short enough that one kill is hardly noticed."""
LONGEST_S = 15.0
"""A child that cannot live costs little, and comes back soon after its reason is mended."""
STEADY_S = 30.0
"""Who lived this long did not fail at its start: the next wait is the first again."""
LOOP = 4
"""From so many quick deaths in a row we speak of a crash loop."""


@dataclass
class Backoff:
    """Waits of one child, doubling while it dies young."""

    quick_deaths: int = 0

    def died(self, alive: float) -> float:
        """Count a death after `alive` seconds and return the wait before the next start."""
        self.quick_deaths = 1 if alive >= STEADY_S else self.quick_deaths + 1
        return float(min(LONGEST_S, FIRST_S * 2 ** min(self.quick_deaths - 1, 10)))

    @property
    def looping(self) -> bool:
        """Tell whether it dies again and again."""
        return self.quick_deaths >= LOOP
