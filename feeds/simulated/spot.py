"""What a model may ask: one sensor at one moment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from feeds.simulated.chance import Chance
from feeds.simulated.hydraulics import Hydraulics
from feeds.simulated.weather import Weather, hour
from schemas.base import Frozen

SATURDAY = 5
_OWN = Chance(0)
"""What makes one sensor's surroundings unlike another's does not change with the seed: the city stays the same city."""


class Force(StrEnum):
    """What a scenario can do to a sensor's surroundings."""

    LEAK = "leak"
    """Water lost from the network at nominal pressure, L/s."""
    RAIN = "rain"
    """mm/h"""
    BLOCKAGE = "blockage"
    """Part of a sewer's cross-section that is blocked, 0 to 1."""
    GAS = "gas"
    """Combustible gas, % of its lower explosive limit."""
    H2S = "h2s"
    """Hydrogen sulphide, mg/m3."""
    UPSET = "upset"
    """Lost cleaning of a sewage works, 0 to 1."""
    DUST = "dust"
    """Regional PM10 on top of the background, ug/m3."""
    WORK = "work"
    """Work on a site on top of the usual, as a multiple of it."""
    FIRE = "fire"
    """Strength of a fire in a building, 0 to 1."""
    DRAW = "draw"
    """Pressure that somebody's drawing takes from a hydrant, MPa."""
    FAULT = "fault"
    """Above 0 the sensor's values are flagged as faulty."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One sensor at one moment of local time."""

    sensor: str
    time: datetime
    chance: Chance
    weather: Weather
    acting: Callable[[Force, float], float]
    hydraulics: Hydraulics | None = None

    @property
    def hour(self) -> float:
        """Hour of the day."""
        return hour(self.time)

    @property
    def weekend(self) -> bool:
        """Whether it is Saturday or Sunday."""
        return self.time.weekday() >= SATURDAY

    @property
    def air(self) -> float:
        """Air temperature, Cel."""
        return self.weather.temperature(self.time, self.chance)

    @property
    def phase(self) -> float:
        """0 to 1, a part of whatever comes round: not all do the same thing at the same time."""
        return _OWN.uniform(f"{self.sensor}/phase")

    @property
    def place(self) -> float:
        """0 to 1, where the sensor is in the city's pipes."""
        return _OWN.uniform(f"{self.sensor}/place")

    def lost(self, otherwise: float) -> float:
        """What head the network's use costs here now, of the loss at the mean flow; `otherwise` where no network was computed."""
        return self.hydraulics.loss(self.place, self.time, otherwise) if self.hydraulics is not None else otherwise

    def sewage(self, otherwise: float) -> float:
        """What sewage flows here now in dry weather, of the mean; `otherwise` where no sewer was computed."""
        return self.hydraulics.sewage(self.place, self.time, otherwise) if self.hydraulics is not None else otherwise

    def force(self, force: Force, ago_s: float = 0.0) -> float:
        """How much of a force acts on the sensor, or did some seconds ago by the scenario's clock."""
        return self.acting(force, ago_s)

    def drift(self, what: str, memory_s: float) -> float:
        """A slow change of the sensor's own: mean 0, deviation about 1."""
        return self.chance.drift(f"{self.sensor}/{what}", self.time.timestamp(), memory_s)

    def jitter(self, what: str) -> float:
        """The instrument's noise: mean 0, deviation 1, new at each reading."""
        return self.chance.normal(f"{self.sensor}/{what}", round(self.time.timestamp() * 1000))


class Physics(Frozen, ABC):
    """A model with its parameters."""

    vary: float = Field(default=0.15, ge=0, le=0.5)
    """By how much the sensors of a group differ in size, each way."""

    @abstractmethod
    def read(self, spot: Spot) -> dict[str, float]:
        """Return what the sensor would say of all that the model knows, by metric."""

    def size(self, spot: Spot) -> float:
        """How large this sensor's surroundings are against its group's, about 1."""
        return 1 + self.vary * (2 * _OWN.uniform(f"{spot.sensor}/size") - 1)


def within(value: float, low: float, high: float) -> float:
    """Return the value, or the bound it is past."""
    return min(max(value, low), high)


def delayed(spot: Spot, force: Force, lag_s: float) -> float:
    """A force as it arrives after a run through the ground and the pipes: a triangle in time that peaks after the lag and ends after 2.5 of them."""
    return sum(share * spot.force(force, lag_s * lags) for lags, share in _TRIANGLE)


def _triangle(points: Iterable[float]) -> tuple[tuple[float, float], ...]:
    heights = [(at, at if at <= 1 else (2.5 - at) / 1.5) for at in points]
    total = sum(height for _, height in heights)
    return tuple((at, height / total) for at, height in heights)


_TRIANGLE = _triangle(at / 4 for at in range(1, 10))
