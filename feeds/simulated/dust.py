"""Dust and noise of building: what comes from everywhere, and what the site adds."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from feeds.simulated.spot import Force, Physics, Spot, within
from schemas.base import Finite

WASHED_OUT = 0.03
"""Part of the dust in the air that a mm/h of rain takes."""
COARSE_BACKGROUND, COARSE_SITE = 1.3, 2.6
"""All particles (TSP) against PM10: far from where it rose the coarse has fallen."""
WATERED_EVERY_S = 5_400


def regional(spot: Spot) -> float:
    """PM10 without any site, ug/m3: the same for all sensors that a scenario does not tell apart."""
    return (spot.weather.background(spot.time, spot.chance) + spot.force(Force.DUST)) * _dry(spot)


def _dry(spot: Spot) -> float:
    return math.exp(-WASHED_OUT * spot.force(Force.RAIN))


class Background(Physics):
    """A station away from all sites: `pm10`, `pm25` (ug/m3)."""

    model: Literal["background"] = "background"

    def read(self, spot: Spot) -> dict[str, float]:
        """Return both."""
        pm10 = regional(spot) * self.size(spot) * (1 + 0.02 * spot.drift("place", 3_600))
        return {"pm10": max(pm10 + spot.jitter("pm10"), 0.0), "pm25": max(0.45 * pm10 + 0.8 * spot.jitter("pm25"), 0.0)}


class Site(Physics):
    """A building site: `pm10` (ug/m3), `tsp` (mg/m3), `leq` (dB(A))."""

    model: Literal["site"] = "site"
    begins: Finite = Field(default=7.0, ge=0, le=24)
    """Hour of the day; so is `ends`."""
    ends: Finite = Field(default=19.0, ge=0, le=24)
    emission: Finite = Field(default=55.0, ge=0)
    """PM10 that full work adds at a wind of 2 m/s, ug/m3."""
    watered: Finite = Field(default=0.5, ge=0, le=1)
    """Part of the dust that fresh watering keeps down; it dries within an hour and a half."""
    noise: Finite = Field(default=64.0, ge=0)
    """Of full work at the site's boundary, dB(A)."""
    quiet: Finite = Field(default=48.0, ge=0)
    """Without work, dB(A)."""

    def read(self, spot: Spot) -> dict[str, float]:
        """Return dust and noise."""
        work = self._work(spot)
        background = regional(spot)
        added = self.emission * self.size(spot) * work * self._dust_factor(spot)
        # Sound levels add as energies.
        energy = 10 ** (self.quiet / 10) + work * 10 ** ((self.noise + 0.8 * spot.drift("machines", 300)) / 10)
        return {
            "pm10": max(background + added + 1.5 * spot.jitter("pm10"), 0.0),
            "tsp": max((COARSE_BACKGROUND * background + COARSE_SITE * added) / 1000 + 0.003 * spot.jitter("tsp"), 0.0),
            "leq": 10 * math.log10(energy) + 0.4 * spot.jitter("leq"),
        }

    def _work(self, spot: Spot) -> float:
        """How much is done, 1 for full work: it begins and ends within half an hour, rests at noon, and less is done on Sunday."""
        hours = within((spot.hour - self.begins) * 2, 0.0, 1.0) * within((self.ends - spot.hour) * 2, 0.0, 1.0)
        rest = 1 - 0.6 * math.exp(-(((spot.hour - 12.5) / 0.6) ** 2))
        usual = hours * rest * (0.5 if spot.time.isoweekday() == 7 else 1.0) * within(0.85 + 0.12 * spot.drift("work", 1_800), 0.3, 1.2)  # noqa: PLR2004 - Sunday
        return usual + spot.force(Force.WORK)

    def _dust_factor(self, spot: Spot) -> float:
        """What wind, watering and rain make of the dust: wind thins it, and from 4 m/s on raises it from the ground."""
        wind = spot.weather.wind_speed(spot.time, spot.chance)
        raised = (1 + 0.12 * max(wind - 4, 0.0) ** 2) / (0.5 + wind / 4)
        since = (spot.time.timestamp() / WATERED_EVERY_S + spot.phase) % 1
        return raised * (1 - self.watered * (1 - since)) * _dry(spot)
