"""Chance that can be asked again: the same seed, name and place in a series give the same number, in any order and in any process."""

from __future__ import annotations

import math
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()
_STEPS = 4
"""Points of a drift in one memory; between them it goes straight."""
_FORGETS = math.exp(-1 / _STEPS)
_TERMS = 24
"""What is older weighs under 0.3 %."""
_WEIGHTS = tuple(math.sqrt(1 - _FORGETS**2) * _FORGETS**at for at in range(_TERMS))


@lru_cache(maxsize=65_536)
def _uniform(seed: int, name: str, index: int) -> float:
    digest = blake2b(f"{seed}|{name}|{index}".encode(), digest_size=6).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**48


@lru_cache(maxsize=65_536)
def _drifted(seed: int, name: str, index: int) -> float:
    """One point of a stationary autoregressive process of first order, written as the sum of what pushed it."""
    return sum(weight * _NORMAL.inv_cdf(_uniform(seed, name, index - at)) for at, weight in enumerate(_WEIGHTS))


class Chance:
    """Random numbers by name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, name: str, index: int = 0) -> float:
        """Return a number between 0 and 1, both excluded."""
        return _uniform(self._seed, name, index)

    def normal(self, name: str, index: int) -> float:
        """Return a number of a normal distribution with mean 0 and deviation 1; each index is independent of all others."""
        return _NORMAL.inv_cdf(self.uniform(name, index))

    def drift(self, name: str, seconds: float, memory_s: float) -> float:
        """Return the value at a time of a process with mean 0 and deviation about 1 that forgets itself in `memory_s`."""
        at = seconds * _STEPS / memory_s
        first = math.floor(at)
        before, after = (_drifted(self._seed, name, index) for index in (first, first + 1))
        return before + (after - before) * (at - first)
