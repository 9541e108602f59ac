"""What happens in a scenario, where and when: effects on a timeline that starts with the feed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from feeds.simulated.spot import Force
from schemas.base import Code, Domain, Finite, Frozen, Name
from schemas.regions import RegionTree
from schemas.sensor import Sensor

AFTER_A_DRILL_S = 240.0
"""How long, by the wall clock, a sensor's readings are still an exercise after its drill: rules keep exercises apart, so only such readings close
what the drill opened, and the ways down of fire rules last a minute or two. They are for as long after each start, too, of the sensors that any of
the city's drills meets: a feed that ended in a drill, or is started with another scenario, does not know what it left open."""

_Codes = Annotated[frozenset[Code], Field(min_length=1)]
_Time = Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=7))]


class Where(Frozen):
    """Which sensors; all that is given must be so, and something must be given."""

    sensors: _Codes | None = None
    regions: _Codes | None = None
    """Of any level; a sensor is in a region when its street is, or lies below it."""
    domain: Domain | None = None
    tags: _Codes | None = None
    """All of them must be the sensor's."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name sensors, regions, domain or tags")
        return self

    def covers(self, sensor: Sensor, regions: RegionTree) -> bool:
        """Say whether a sensor is meant."""
        return (
            (self.sensors is None or sensor.id in self.sensors)
            and (self.regions is None or any(regions.covers(region, sensor.street) for region in self.regions))
            and self.domain in {None, sensor.domain}
            and (self.tags is None or self.tags <= sensor.tags)
        )


class Effect(Frozen):
    """A force that rises from its start, holds and falls; without a fall it ends at once."""

    force: Force
    of: Where
    amount: Finite
    """In the force's unit."""
    start: _Time = timedelta(0)
    rise: _Time = timedelta(0)
    hold: _Time = timedelta(0)
    fall: _Time = timedelta(0)
    drill: bool = False
    """What the sensors say meanwhile is an exercise."""

    @property
    def end(self) -> timedelta:
        """When nothing of it is left."""
        return self.start + self.rise + self.hold + self.fall

    def at(self, seconds: float) -> float:
        """Return how much of it acts at a time of the timeline."""
        since = seconds - self.start.total_seconds()
        rise, hold, fall = self.rise.total_seconds(), self.hold.total_seconds(), self.fall.total_seconds()
        if since < 0 or since >= rise + hold + fall:
            return 0.0
        if since < rise:
            return self.amount * since / rise
        return self.amount * (min(1.0, (rise + hold + fall - since) / fall) if fall else 1.0)


class Scenario(Frozen):
    """The file `scenarios/<name>.yaml`."""

    name: Name
    about: Name
    every: Annotated[timedelta, Field(ge=timedelta(minutes=1), le=timedelta(days=7))] | None = None
    """After this it starts over; with None it is played once."""
    effects: tuple[Effect, ...] = Field(min_length=1, max_length=500)

    @model_validator(mode="after")
    def _ends_before_it_starts_over(self) -> Self:
        if self.every is not None and (late := [at for at, effect in enumerate(self.effects) if effect.end > self.every]):
            raise ValueError(f"effects {late} end after `every`, when the scenario starts over: shorten them or raise `every`")
        return self

    def place(self, seconds: float) -> float:
        """Return where on its timeline the scenario is so long after its start; what was before the start is nowhere."""
        return seconds % self.every.total_seconds() if self.every is not None and seconds >= 0 else seconds


@dataclass(frozen=True, slots=True)
class Acting:
    """All that scenarios do to one sensor."""

    effects: tuple[tuple[Scenario, Effect], ...]
    pace: float
    """Seconds of scenarios in one of the wall clock."""
    drilled: bool = False
    """One of the city's drills meets the sensor, whether it is played or not."""

    def amount(self, force: Force, seconds: float, ago_s: float = 0.0) -> float:
        """Return how much of a force acts so many seconds after the feed's start, or did `ago_s` before that by the scenario's clock.

        In an exercise only drills act: what another scenario raised as an exercise would stay open once the readings are none any more.
        """
        at = seconds * self.pace - ago_s
        mine = [(scenario, effect) for scenario, effect in self.effects if effect.force is force]
        drills_only = any(not effect.drill for _, effect in mine) and self.exercise(seconds)
        return sum(effect.at(scenario.place(at)) for scenario, effect in mine if effect.drill or not drills_only)

    def exercise(self, seconds: float) -> bool:
        """Say whether a drill is on or only just over, or may have been before the start."""
        if self.drilled and seconds < AFTER_A_DRILL_S:
            return True
        return any(self._drills(scenario, effect, seconds * self.pace) for scenario, effect in self.effects if effect.drill)

    def _drills(self, scenario: Scenario, effect: Effect, at: float) -> bool:
        since = scenario.place(at) - effect.start.total_seconds()
        if since < 0 and scenario.every is not None and at >= scenario.every.total_seconds():
            since += scenario.every.total_seconds()
        return 0 <= since < (effect.end - effect.start).total_seconds() + AFTER_A_DRILL_S * self.pace


def acting(sensor: Sensor, scenarios: Iterable[Scenario], regions: RegionTree, pace: float, drills: Iterable[Where] = ()) -> Acting:
    """Return what scenarios do to a sensor; `drills` says where the city holds any."""
    met = ((scenario, effect) for scenario in scenarios for effect in scenario.effects if effect.of.covers(sensor, regions))
    return Acting(tuple(met), pace, any(where.covers(sensor, regions) for where in drills))


def idle(scenario: Scenario, sensors: Sequence[Sensor], regions: RegionTree) -> list[int]:
    """Return which effects of a scenario meet no sensor: most likely a name is misspelt."""
    return [at for at, effect in enumerate(scenario.effects) if not any(effect.of.covers(sensor, regions) for sensor in sensors)]
