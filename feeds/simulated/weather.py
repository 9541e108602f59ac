"""The sky over the city: all its sensors see the same."""

from __future__ import annotations

import math
from datetime import datetime

from pydantic import Field

from feeds.simulated.chance import Chance
from schemas.base import Finite, Frozen

WARMEST_DAY, WARMEST_HOUR = 200, 15
"""Of the year, in the middle of July; of the day."""


class Weather(Frozen):
    """A climate in a few numbers; rain comes from scenarios only."""

    winter: Finite = 0.0
    """Mean air temperature in the middle of January, Cel."""
    summer: Finite = 25.0
    """The same in July."""
    daily: Finite = Field(default=5.0, ge=0)
    """Half the difference between afternoon and morning, K."""
    wind: Finite = Field(default=2.0, gt=0)
    """Mean wind speed, m/s."""
    pm10: Finite = Field(default=65.0, gt=0)
    """Mean regional background of PM10, ug/m3."""

    def temperature(self, time: datetime, chance: Chance) -> float:
        """Air temperature, Cel; it turns with the year and the day, and the weather of some days moves it."""
        yearly = (1 + math.cos(2 * math.pi * (time.timetuple().tm_yday - WARMEST_DAY) / 365)) / 2
        daily = self.daily * math.cos(2 * math.pi * (hour(time) - WARMEST_HOUR) / 24)
        return self.winter + (self.summer - self.winter) * yearly + daily + 1.5 * chance.drift("air", time.timestamp(), 86_400)

    def wind_speed(self, time: datetime, chance: Chance) -> float:
        """Wind, m/s; stronger by day."""
        by_day = 1 + 0.3 * math.cos(2 * math.pi * (hour(time) - WARMEST_HOUR) / 24)
        return self.wind * by_day * math.exp(0.25 * chance.drift("wind", time.timestamp(), 3_600))

    def background(self, time: datetime, chance: Chance) -> float:
        """PM10 that comes from everywhere, ug/m3: highest in the morning, when the air stands."""
        daily = 1 + 0.12 * math.cos(2 * math.pi * (hour(time) - 9) / 24)
        return self.pm10 * daily * math.exp(0.22 * chance.drift("pm10", time.timestamp(), 21_600))


def hour(time: datetime) -> float:
    """Return the hour of the day with its fraction."""
    return time.hour + time.minute / 60 + time.second / 3600
