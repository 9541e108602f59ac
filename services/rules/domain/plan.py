"""A rule made ready: limits resolved for a sensor's attributes, tests of samples, and the band in which nothing happens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple

from schemas.limit import WEEKDAYS, Case, Limits
from schemas.measure import Window
from schemas.rule import FRESH, MAIN, All, Compare, Condition, Direction, Either, Not, Rule, Way
from services.rules.domain.calendar import local

Truth = bool | None
Limit = float | tuple[float, ...]
"""What a way held a sample against: a number; of a condition the number of each of its comparisons, in the order written."""
Sample = Any
"""A number; of a rule with other measures beside its own a tuple of numbers or None, the rule's own first; of a place (number, names)."""


def micros(span: timedelta | None) -> int:
    """Return a span in microseconds, 0 for none."""
    return 0 if span is None else span // timedelta(microseconds=1)


def fresh_of(rule: Rule, period_s: int, own: timedelta | None = None) -> int:
    """Return how long a reading stands, in microseconds."""
    given = own or rule.fresh
    if given is not None:
        return micros(given)
    every = micros(rule.measure.every) if isinstance(rule.measure, Window) else 0
    return max(micros(FRESH), 3_000_000 * period_s, 3 * every)


class Bound:
    """A limit for sensors of certain attributes: a number, or one that depends on the time."""

    __slots__ = ("_cases", "_default", "_zone", "constant", "high", "low")

    def __init__(self, limits: Limits, attributes: Mapping[str, str], zone: str) -> None:
        cases = [case for case in limits.cases if _has(case, attributes)]
        default = limits.default
        for at, case in enumerate(cases):
            if case.hours is None and case.weekdays is None and case.dates is None:
                default, cases = case.limit, cases[:at]
                break
        self._default = default
        self._cases = tuple(cases)
        self._zone = zone
        self.constant: float | None = None if cases else default
        self.low = min([default, *(case.limit for case in cases)])
        self.high = max([default, *(case.limit for case in cases)])

    def at(self, time: int) -> float:
        """Return the limit at a time."""
        if self.constant is not None:
            return self.constant
        there = local(self._zone, time)
        minute = there.hour * 60 + there.minute
        for case in self._cases:
            hours, day = case.minutes, there.date()
            if hours is not None and not (hours[0] <= minute < hours[1] if hours[0] < hours[1] else minute >= hours[0] or minute < hours[1]):
                continue
            if case.weekdays is not None and WEEKDAYS[there.weekday()] not in case.weekdays:
                continue
            if case.dates is not None and not any(dates.first <= day <= dates.last for dates in case.dates):
                continue
            return case.limit
        return self._default


def _has(case: Case, attributes: Mapping[str, str]) -> bool:
    return case.attributes is None or all(attributes.get(name) in wanted for name, wanted in case.attributes.items())


@dataclass(frozen=True, slots=True)
class WayPlan:
    """One way of one tier: its test and its dwell in microseconds or samples."""

    way: Way
    bound: Bound | None
    sign: int
    readings: int
    dwell: int
    test: Callable[[int, Sample], Truth]
    limit_at: Callable[[int], Limit]
    parts: tuple[tuple[Compare, Bound, int], ...]
    """Of a condition: its comparisons in the order written, with the place of each one's measure in the sample."""


class Verdict(NamedTuple):
    """What a way says of a sample."""

    truth: Truth
    limit: Limit


Judged = tuple[Sample, Mapping[int, tuple[Verdict, Verdict]]]
"""A sample, and what each tier, by gravity, says of it on its way up and on its way down."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One latch's plan."""

    gravity: int
    up: WayPlan
    down: WayPlan

    def judge(self, end: int, value: Sample) -> tuple[Verdict, Verdict]:
        """Return what the ways up and down say of a sample."""
        return Verdict(self.up.test(end, value), self.up.limit_at(end)), Verdict(self.down.test(end, value), self.down.limit_at(end))

    def after(self, judged: Mapping[int, Judged]) -> Tier:
        """Return a tier like this one that says of some samples, by their ends, what was said of them before."""

        def way(of: WayPlan, side: int) -> WayPlan:
            def test(end: int, value: Sample) -> Truth:
                return judged[end][1][self.gravity][side].truth if end in judged else of.test(end, value)

            def limit_at(end: int) -> Limit:
                return judged[end][1][self.gravity][side].limit if end in judged else of.limit_at(end)

            return replace(of, test=test, limit_at=limit_at)

        return Tier(self.gravity, way(self.up, 0), way(self.down, 1))


class Plan:
    """A rule's tiers for sensors of certain attributes."""

    def __init__(self, rule: Rule, attributes: Mapping[str, str]) -> None:
        self.rule = rule
        self._columned = bool(rule.also) or rule.measure.kind in {"agreement", "background"}
        self.sign = 1 if rule.direction is Direction.ABOVE else -1
        self.columns = (MAIN, *sorted(rule.also))
        self.tiers = tuple(
            Tier(tier.gravity, self._way(step.up, self.sign, attributes), self._way(step.down, -self.sign, attributes))
            for tier, step in sorted(rule.tiers.items(), key=lambda item: item[0].gravity)
        )
        self.by_gravity = {tier.gravity: tier for tier in self.tiers}
        self.guard = (rule.flapping.begins, micros(rule.flapping.within), micros(rule.flapping.hold)) if rule.flapping else None
        self._bands: dict[int, tuple[float, float]] = {}

    def band(self, mask: int) -> tuple[float, float]:
        """Return (low, high): a number between them is past no limit of these latches, whenever it comes; (inf, -inf) where that cannot be said."""
        found = self._bands.get(mask)
        if found is None:
            found = self._bands[mask] = self._band(mask)
        return found

    def _band(self, mask: int) -> tuple[float, float]:
        low, high = -math.inf, math.inf
        for tier in self.tiers:
            way = tier.down if mask >> tier.gravity & 1 else tier.up
            if way.bound is None or self._columned:
                return math.inf, -math.inf
            if way.sign > 0:
                high = min(high, way.bound.low)
            else:
                low = max(low, way.bound.high)
        return low, high

    def _way(self, way: Way, sign: int, attributes: Mapping[str, str]) -> WayPlan:
        zone = self.rule.timezone
        bound = None if way.limit is None else Bound(way.limit, attributes, zone)
        parts = tuple((one, Bound(one.above or one.below, attributes, zone), self.columns.index(one.measure)) for one in way.compares())  # type: ignore[arg-type]
        test = _limit_test(bound, sign, several=self._columned) if bound is not None else _condition(way.when, iter(parts), several=self._columned)
        limit_at = bound.at if bound is not None else lambda end: tuple(part[1].at(end) for part in parts)
        return WayPlan(way, bound, sign, way.readings, micros(way.dwell), test, limit_at, parts)


def relevant(rule: Rule) -> tuple[str, ...]:
    """Return the names of the attributes on which a rule's limits depend."""
    limits = [way.limit for way in rule.ways() if way.limit is not None]
    limits += [one.above or one.below for way in rule.ways() for one in way.compares()]  # type: ignore[misc]
    limits += [limit for limit in (getattr(rule.measure, "over", None), getattr(rule.measure, "past", None)) if isinstance(limit, Limits)]
    return tuple(sorted({name for limit in limits for case in limit.cases for name in case.attributes or ()}))


def _limit_test(bound: Bound, sign: int, *, several: bool) -> Callable[[int, Sample], Truth]:
    if bound.constant is not None and not several:
        limit = bound.constant
        return (lambda _, value: value >= limit) if sign > 0 else (lambda _, value: value <= limit)

    def number(at: int, value: Sample) -> Truth:
        return bool(value * sign >= bound.at(at) * sign)

    def first(at: int, values: Sample) -> Truth:
        return None if values[0] is None else bool(values[0] * sign >= bound.at(at) * sign)

    return first if several else number


def holds(compare: Compare, limit: float, value: float | None) -> Truth:
    """Say whether a comparison holds; None when its measure is unknown."""
    if value is None:
        return None
    return value >= limit if compare.above is not None else value <= limit


def _condition(condition: Condition | None, parts: Any, *, several: bool) -> Callable[[int, Sample], Truth]:
    match condition:
        case Compare():
            part = next(parts)

            def compare(at: int, sample: Sample) -> Truth:
                return holds(part[0], part[1].at(at), sample[part[2]] if several else sample)

            return compare
        case Not():
            inner = _condition(condition.not_, parts, several=several)

            def negated(at: int, sample: Sample) -> Truth:
                truth = inner(at, sample)
                return None if truth is None else not truth

            return negated
        case All():
            return _several([_condition(one, parts, several=several) for one in condition.all], decisive=False)
        case Either():
            return _several([_condition(one, parts, several=several) for one in condition.any], decisive=True)
    raise AssertionError(condition)


def _several(tests: list[Callable[[int, Sample], Truth]], *, decisive: bool) -> Callable[[int, Sample], Truth]:
    """And (false decides) or or (true decides); unknown where nothing decides and something is unknown."""

    def combined(at: int, sample: Sample) -> Truth:
        truths = [test(at, sample) for test in tests]
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive

    return combined
