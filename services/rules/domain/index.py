"""Rules as they apply, compiled; and the index by which a series meets the few that concern it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.control import RuleActivation
from schemas.measure import Agreement, Background, Regional
from schemas.rule import MAIN, Applies, Direction, Rule
from schemas.sensor import Life
from services.rules.domain import kinds
from services.rules.domain.kinds.base import Kind
from services.rules.domain.plan import Bound, Plan, fresh_of, micros, relevant
from services.rules.domain.state import Sensor, Series


class Scene:
    """A rule for sensors of certain attributes."""

    __slots__ = ("_fresh", "columns", "kind", "past", "plan", "rule", "within")

    def __init__(self, rule: Rule, attributes: Mapping[str, str]) -> None:
        self.rule = rule
        self.plan = Plan(rule, attributes)
        self.kind: Kind | None = kinds.of_readings(rule.measure, rule.direction, attributes, rule.timezone)
        self.columns: dict[str, Kind | None] = {}
        """Of a rule with other measures beside its own: the kind of each."""
        if rule.also:
            self.columns = {
                name: self.kind if name == MAIN else kinds.of_readings(rule.also[name].measure, rule.direction, attributes, rule.timezone)
                for name in self.plan.columns
            }
        self._fresh: dict[int, int] = {}
        self.past: Any = None
        self.within = 0
        if isinstance(rule.measure, Agreement):
            bound, above = Bound(rule.measure.past, attributes, rule.timezone), rule.direction is Direction.ABOVE
            self.past = (lambda at, value: value >= bound.at(at)) if above else (lambda at, value: value <= bound.at(at))
            self.within = micros(rule.measure.within)

    def fresh(self, period_s: int) -> int:
        """Return how long a reading of a series with such periods stands, in microseconds."""
        found = self._fresh.get(period_s)
        if found is None:
            found = self._fresh[period_s] = fresh_of(self.rule, period_s)
        return found

    @property
    def lookback(self) -> int:
        """How long readings are needed before a time that may be revised, in microseconds."""
        of_kinds = [kind.lookback for kind in (self.kind, *self.columns.values()) if kind is not None]
        periods = [span for span in (self.rule.applies.period, *(also.period for also in self.rule.also.values())) if span is not None]
        slowest = max((round(span.total_seconds()) for span in periods), default=0)
        fresh = [fresh_of(self.rule, slowest, also.fresh) for also in self.rule.also.values()]
        return max([0, self.within, *of_kinds]) + max([0, *fresh])

    @property
    def window(self) -> int:
        """What evidence tells as the window, in microseconds; 0 for none."""
        if isinstance(self.rule.measure, Regional | Background):
            return micros(self.rule.measure.length)
        return self.within or (self.kind.window if self.kind is not None else 0)


class Ruled:
    """A rule in force."""

    __slots__ = ("_attributes", "_scenes", "activation", "meaning", "names", "rule", "tags")

    def __init__(self, activation: RuleActivation) -> None:
        self.activation = activation
        self.rule = activation.rule
        self.meaning = activation.meaning
        self.names: Any = (activation.rule.name.model_dump(), activation.rule.standard.model_dump() if activation.rule.standard else None)
        """The rule's name and standard as JSON has them."""
        self.tags = tuple(sorted(activation.rule.tags))
        self._attributes = relevant(activation.rule)
        self._scenes: dict[tuple[str | None, ...], Scene] = {}

    def scene(self, attributes: Mapping[str, str]) -> Scene:
        """Return the rule for a sensor's attributes."""
        key = tuple(attributes.get(name) for name in self._attributes)
        found = self._scenes.get(key)
        if found is None:
            found = self._scenes[key] = Scene(self.rule, attributes)
        return found


class Index:
    """Rules in force by the metric they watch."""

    def __init__(self, ruled: Iterable[Ruled] = ()) -> None:
        self._main: dict[str, list[Ruled]] = {}
        self._also: dict[str, list[Ruled]] = {}
        self.regional: list[Ruled] = []
        """Rules of districts and the city."""
        for one in sorted(ruled, key=lambda one: one.rule.id):
            if one.rule.enabled:
                self._main.setdefault(one.rule.applies.metric, []).append(one)
                if isinstance(one.rule.measure, Regional | Background):
                    self.regional.append(one)
                for metric in {also.metric for also in one.rule.also.values()}:
                    self._also.setdefault(metric, []).append(one)

    def main(self, metric: str) -> list[Ruled]:
        """Return the rules whose own measure is of a metric."""
        return self._main.get(metric, [])

    def also(self, metric: str) -> list[Ruled]:
        """Return the rules that use a metric in conditions."""
        return self._also.get(metric, [])


def concerns(applies: Applies, sensor: Sensor) -> bool:
    """Say whether a rule watches a sensor: none watches one that is gone for good."""
    return sensor.facts.life != Life.RETIRED and applies.concerns(sensor.id, sensor.domain, sensor.department, sensor.path, sensor.tags)


def watches(applies: Applies, series: Series) -> bool:
    """Say whether a rule watches a series, as far as it is not the sensor that matters."""
    return (
        applies.metric == series.metric
        and applies.statistic.value == series.statistic
        and (applies.period is None or micros(applies.period) == series.period_s * 1_000_000)
    )
