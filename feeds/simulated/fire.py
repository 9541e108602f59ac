"""Fire safety in a building: smoke first, then heat, then the sprinklers; and detectors that only say whether they warn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from feeds.simulated.spot import Force, Physics, Spot, within
from schemas.base import Finite

OPENS_AT, ALL_OPEN_AT = 68.0, 140.0
"""A sprinkler's bulb breaks at 68 Cel, the usual red one; the hotter, the more have opened."""
HEATS_AFTER_S = 20.0
"""The smoke is at the ceiling before the heat is."""


class Building(Physics):
    """A building's fire system: `smoke` (dB/m), `temperature` under the ceiling (Cel), `sprinkler` pressure (MPa)."""

    model: Literal["building"] = "building"
    room: Finite = 22.0
    """Cel"""
    smoke: Finite = Field(default=1.6, ge=0)
    """Obscuration in a full fire, dB/m."""
    heat: Finite = Field(default=220.0, ge=0)
    """How much hotter a full fire makes the ceiling, K."""
    sprinkler: Finite = Field(default=0.55, gt=0)
    """Pressure at rest, MPa."""
    drop: Finite = Field(default=0.42, ge=0)
    """What all open sprinklers take of it, MPa."""

    def read(self, spot: Spot) -> dict[str, float]:
        """Return all three."""
        fire, earlier = (within(spot.force(Force.FIRE, ago), 0.0, 1.0) for ago in (0.0, HEATS_AFTER_S))
        temperature = self.room + 0.1 * (spot.air - 15) + self.heat * earlier + 0.8 * spot.drift("room", 3_600)
        opened = within((temperature - OPENS_AT) / (ALL_OPEN_AT - OPENS_AT), 0.0, 1.0)
        return {
            "smoke": max(0.008 + self.smoke * fire + 0.004 * abs(spot.drift("air", 600)) + 0.001 * spot.jitter("smoke"), 0.0),
            "temperature": temperature + 0.1 * spot.jitter("temperature"),
            "sprinkler": max(self.sprinkler - self.drop * opened + 0.003 * spot.jitter("sprinkler"), 0.0),
        }


class Alarm(Physics):
    """A detector or call point: `fire` and `fault` (0 or 1), and the `temperature` at it (Cel)."""

    model: Literal["alarm"] = "alarm"
    room: Finite = 22.0
    """Cel"""
    heat: Finite = Field(default=220.0, ge=0)
    """As of a building."""
    trips: Finite = Field(default=0.06, gt=0)
    """Strength of fire from which on it warns."""

    def read(self, spot: Spot) -> dict[str, float]:
        """Return state and temperature."""
        fire, earlier = (within(spot.force(Force.FIRE, ago), 0.0, 1.0) for ago in (0.0, HEATS_AFTER_S))
        temperature = self.room + 0.1 * (spot.air - 15) + self.heat * earlier + 0.8 * spot.drift("room", 3_600)
        return {"fire": float(fire >= self.trips), "fault": 0.0, "temperature": temperature + 0.1 * spot.jitter("temperature")}
