"""Readings of a city's sensors: the same seed, start and time give the same values."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from feeds.simulated.chance import Chance
from feeds.simulated.folder import Folder, Simulated
from feeds.simulated.hydraulics import Hydraulics
from feeds.simulated.means import Means
from feeds.simulated.scenario import Acting, Scenario, acting
from feeds.simulated.spot import Force, Spot, within
from schemas.base import Origin
from schemas.observation import Measurement, Quality, Statistic
from schemas.sensor import Metric

FAULT_SLOTS_A_DAY = 144
"""Of ten minutes each: as long as a fault lasts."""
_DIGITS = {"MPa": 3, "tsp": 3, "dB/m": 3, "m": 2, "[pH]": 2, "ug/m3": 0}
"""Digits after the point that an instrument shows, by metric or unit; of others it is one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a department publishes of a sensor."""

    department: str
    measurement: Measurement
    number: int
    """Counts the sensor's readings of this run; with sensor and period it names the reading."""

    @property
    def name(self) -> str:
        """The reading's name within this run."""
        measurement = self.measurement
        kind = "" if measurement.start is None or measurement.end is None else f"/{(measurement.end - measurement.start).total_seconds():g}s"
        return f"{measurement.sensor}{kind}/{self.number}"


class Source:
    """One sensor: its readings in the order of time."""

    def __init__(
        self,
        simulated: Simulated,
        place: Folder,
        scenarios: list[Scenario],
        *,
        start: datetime,
        chance: Chance,
        pace: float,
        hydraulics: Hydraulics | None = None,
    ) -> None:
        self.sensor = simulated.sensor
        self.every = simulated.group.every
        self._model = simulated.model
        self._faults = simulated.group.faults
        self._place = place
        self._start = start
        self._chance = chance
        self._hydraulics = hydraulics
        self._acting: Acting = acting(self.sensor, scenarios, place.regions, pace, place.drills)
        # Spread over the interval, so that there is a steady trickle and no beat.
        self.first = start + self.every * Chance(0).uniform(f"{self.sensor.id}/first")
        self._means = [Means(period, self.every) for period in sorted(simulated.group.means)]

    def due(self, number: int) -> datetime:
        """Return when a reading is taken."""
        return self.first + number * self.every

    def next_after(self, time: datetime) -> int:
        """Return the number of the first reading that is taken at a time or later."""
        return max(0, -((self.first - time) // self.every))

    def values(self, time: datetime) -> dict[str, float]:
        """Return what the sensor says at a time, within what its instrument can say and as finely."""
        local = time.astimezone(self._place.zone)
        seconds = (time - self._start).total_seconds()
        spot = Spot(self.sensor.id, local, self._chance, self._place.weather, partial(self._force, seconds), self._hydraulics)
        read = self._model.read(spot)
        return {name: shown(read[name], name, metric) for name, metric in self.sensor.metrics.items() if name in read}

    def faulty(self, time: datetime) -> bool:
        """Say whether the sensor has a fault: by chance, or by a scenario."""
        slot = int(time.timestamp() * FAULT_SLOTS_A_DAY / 86_400)
        by_chance = self._chance.uniform(f"{self.sensor.id}/fault", slot) < self._faults / FAULT_SLOTS_A_DAY
        return by_chance or self._force((time - self._start).total_seconds(), Force.FAULT, 0.0) > 0

    def readings(self, number: int) -> Iterator[Reading]:
        """Yield a reading, and before it the means that its coming completes."""
        time = self.due(number)
        values, faulty = self.values(time), self.faulty(time)
        origin = Origin.EXERCISE if self._acting.exercise((time - self._start).total_seconds()) else Origin.SIMULATED
        if not faulty and origin is Origin.SIMULATED:
            yield from self._completed(time, values, number)
        quality = dict.fromkeys(values, Quality.FAULT) if faulty else {}
        yield self._reading(Measurement(sensor=self.sensor.id, values=values, end=time, quality=quality, origin=origin), number)

    def _completed(self, time: datetime, values: dict[str, float], number: int) -> Iterator[Reading]:
        for means in self._means:
            if (ended := means.take(time.astimezone(self._place.zone), values)) is not None:
                start, end, mean = ended
                shown_mean = {name: shown(value, name, self.sensor.metrics[name]) for name, value in mean.items()}
                measurement = Measurement(
                    sensor=self.sensor.id, values=shown_mean, start=start, end=end, statistic=Statistic.MEAN, origin=Origin.SIMULATED
                )
                yield self._reading(measurement, number)

    def _reading(self, measurement: Measurement, number: int) -> Reading:
        return Reading(self.sensor.department, measurement, number)

    def _force(self, seconds: float, force: Force, ago_s: float) -> float:
        return self._acting.amount(force, seconds, ago_s)


def sources(
    place: Folder, scenarios: list[Scenario], *, start: datetime, seed: int, pace: float, hydraulics: Hydraulics | None = None
) -> list[Source]:
    """Return a source for each simulated sensor; networks that were computed are used from when they are."""
    chance = Chance(seed)
    return [Source(simulated, place, scenarios, start=start, chance=chance, pace=pace, hydraulics=hydraulics) for simulated in place.sensors]


def shown(value: float, name: str, metric: Metric) -> float:
    """Return a value as the instrument shows it."""
    low = metric.low if metric.low is not None else value
    high = metric.high if metric.high is not None else value
    return round(within(value, low, high), _DIGITS.get(name, _DIGITS.get(metric.unit, 1)))


class Schedule:
    """All sources' readings in the order of their times."""

    def __init__(self, all_: list[Source]) -> None:
        self._sources = all_
        self._due = [(source.due(0), at, 0) for at, source in enumerate(all_)]
        heapq.heapify(self._due)
        self.skipped = 0
        """Readings that were left out because their time had passed long ago."""

    def until(self, now: datetime, *, stale: timedelta) -> Iterator[Reading]:
        """Yield what is due by now; what is older than `stale` is skipped, since a machine that slept has nothing to say of it."""
        while self._due and self._due[0][0] <= now:
            due, at, number = self._due[0]
            source = self._sources[at]
            if due < now - stale:
                fresh = max(number + 1, source.next_after(now - stale))
                self.skipped += fresh - number
                heapq.heapreplace(self._due, (source.due(fresh), at, fresh))
                continue
            heapq.heapreplace(self._due, (source.due(number + 1), at, number + 1))
            yield from source.readings(number)
