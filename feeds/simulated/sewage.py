"""Sewage: what people let off comes an hour after they used it, rain comes on top, and what stands still turns foul."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from feeds.simulated.demand import INFILTRATION, ON_THE_WAY_H, demand
from feeds.simulated.spot import Force, Physics, Spot, delayed, within
from schemas.base import Finite

MANNING = 0.6
"""In a wide channel the depth goes by this power of the flow."""
WARMTH = 1.07
"""What makes hydrogen sulphide works faster by this factor a degree."""
FULL = 1.0


class _Sewer(Physics):
    mean: Finite = Field(default=20.0, gt=0)
    """Mean flow in dry weather, L/s."""
    catchment: Finite = Field(default=3.0, ge=0)
    """Flow that a mm/h of rain brings, L/s: of the roofs and yards that drain where they should not."""
    lag: Finite = Field(default=300.0, gt=0)
    """Seconds from the rain to the height of its flow."""

    def _flows(self, spot: Spot) -> tuple[float, float]:
        """Flow of dry weather and of rain, L/s."""
        used = demand((spot.hour - ON_THE_WAY_H) % 24, weekend=spot.weekend)
        usual = spot.sewage(INFILTRATION + (1 - INFILTRATION) * used)
        dry = self.mean * self.size(spot) * usual * (1 + 0.05 * spot.drift("flow", 900))
        return dry, self.catchment * self.size(spot) * delayed(spot, Force.RAIN, self.lag)


class _Pipe(_Sewer):
    diameter: Finite = Field(default=0.8, gt=0)
    """m"""
    capacity: Finite = Field(default=60.0, gt=0)
    """Flow with which the pipe is just full, L/s."""
    depth: Finite = Field(default=4.5, gt=0)
    """From the pipe's bottom to the street, m: where a manhole floods it rises no further."""
    surcharge: Finite = Field(default=0.9, ge=0)
    """How far the water rises in the shaft when twice the capacity comes, m."""

    def _level(self, flow: float, blocked: float) -> float:
        """The level, m: Manning-like in the pipe, and above it the pressure that is needed to push the rest through."""
        filled = flow / (self.capacity * (1 - within(blocked, 0.0, 0.95)))
        if filled <= FULL:
            return self.diameter * math.pow(filled, MANNING)
        return min(self.diameter + self.surcharge * (filled**2 - 1) / 3, self.depth)


class Manhole(_Pipe):
    """A manhole: `level` (m), `flow` (L/s), `h2s` (mg/m3), `gas` (% LEL)."""

    model: Literal["manhole"] = "manhole"
    h2s: Finite = Field(default=1.2, ge=0)
    """At 20 Cel and the mean flow, mg/m3."""
    gas: Finite = Field(default=2.5, ge=0)
    """Of the ordinary day, % LEL."""
    silted: Finite = Field(default=0.0, ge=0, lt=1)
    """Part of the cross-section that silt has taken for good."""

    def read(self, spot: Spot) -> dict[str, float]:
        """Return level, flow and both gases."""
        dry, rain = self._flows(spot)
        blocked = 1 - (1 - self.silted) * (1 - within(spot.force(Force.BLOCKAGE), 0.0, 1.0))
        stands = within(self.mean * self.size(spot) / (dry + rain), 0.2, 3.0) ** 0.6 * (1 + blocked)
        warm = WARMTH ** (within(16 + 0.3 * (spot.air - 10), 8.0, 28.0) - 20)
        h2s = self.h2s * warm * stands * (1 + 0.15 * spot.drift("h2s", 1_800)) + spot.force(Force.H2S)
        gas = self.gas * (1 + 0.08 * spot.drift("gas", 3_600)) + spot.force(Force.GAS)
        return {
            "level": max(self._level(dry + rain, blocked) + 0.01 * spot.jitter("level"), 0.0),
            "flow": max(dry + rain + 0.2 * spot.jitter("flow"), 0.0),
            "h2s": max(h2s + 0.1 * spot.jitter("h2s"), 0.0),
            "gas": within(gas + 0.2 * spot.jitter("gas"), 0.0, 100.0),
        }


class TrunkSewer(_Pipe):
    """A trunk sewer: `flow` (L/s), `level` (m), `cod` and `nh3n` (mg/L), thinned by rain."""

    model: Literal["trunk-sewer"] = "trunk-sewer"
    mean: Finite = Field(default=180.0, gt=0)
    catchment: Finite = Field(default=20.0, ge=0)
    lag: Finite = Field(default=600.0, gt=0)
    diameter: Finite = Field(default=1.6, gt=0)
    capacity: Finite = Field(default=600.0, gt=0)
    depth: Finite = Field(default=7.0, gt=0)
    cod: Finite = Field(default=320.0, ge=0)
    """Without rain, mg/L."""
    nh3n: Finite = Field(default=30.0, ge=0)
    """The same."""

    def read(self, spot: Spot) -> dict[str, float]:
        """Return flow, level and both concentrations."""
        dry, rain = self._flows(spot)
        strength = dry / (dry + rain) * (1 + 0.1 * spot.drift("strength", 3_600))
        return {
            "flow": max(dry + rain + spot.jitter("flow"), 0.0),
            "level": max(self._level(dry + rain, spot.force(Force.BLOCKAGE)) + 0.01 * spot.jitter("level"), 0.0),
            "cod": max(self.cod * strength + 3 * spot.jitter("cod"), 0.0),
            "nh3n": max(self.nh3n * strength + 0.3 * spot.jitter("nh3n"), 0.0),
        }


class Outfall(_Sewer):
    """The outfall of a sewage works: `flow` (L/s), `cod`, `nh3n` (mg/L), `ph`: a part of what came in is left, more when it went through faster."""

    model: Literal["outfall"] = "outfall"
    mean: Finite = Field(default=900.0, gt=0)
    catchment: Finite = Field(default=60.0, ge=0)
    lag: Finite = Field(default=1_200.0, gt=0)
    cod: Finite = Field(default=28.0, ge=0)
    """Let off at the mean flow, mg/L."""
    nh3n: Finite = Field(default=2.0, ge=0)
    """The same."""
    incoming: Finite = Field(default=320.0, ge=0)
    """COD that comes to the works, mg/L; with an upset a part of it goes through."""

    def read(self, spot: Spot) -> dict[str, float]:
        """Return flow, both concentrations and pH."""
        dry, rain = self._flows(spot)
        upset = within(spot.force(Force.UPSET), 0.0, 1.0)
        left = (dry + rain) / (self.mean * self.size(spot))
        hurried = dry / (dry + rain) * left**0.2 * (1 + 0.08 * spot.drift("works", 7_200))
        return {
            "flow": max(dry + rain + 2 * spot.jitter("flow"), 0.0),
            "cod": max(self.cod * hurried + upset * (self.incoming - self.cod) + 0.4 * spot.jitter("cod"), 0.0),
            "nh3n": max(self.nh3n * hurried * (1 + 12 * upset) + 0.03 * spot.jitter("nh3n"), 0.0),
            "ph": within(7.3 + 0.1 * spot.drift("ph", 7_200) - 0.8 * upset + 0.01 * spot.jitter("ph"), 0.0, 14.0),
        }
