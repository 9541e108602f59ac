"""Series of districts and the city, and the difference to a background: see `schemas.measure.Regional` and `Background`.

Two halves. At the source, in a partition of `city.observations`, windows of the sensors that such a rule covers are closed by ticks, and what
they add to each region goes out as a `Partial`; late readings send it again. At the region, in a partition of `city.derived`, a
window is judged when all sources have closed it, and judged anew when a partial comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite

import msgspec

from schemas import wire
from schemas.grace import HOUR_GRACE, grace
from schemas.measure import Aggregate, Background, Level, Regional
from schemas.rule import Applies, Rule
from services.rules.domain.calendar import grid_after
from services.rules.domain.index import Ruled, concerns, watches
from services.rules.domain.kinds.window import AGGREGATES, total
from services.rules.domain.ladder import NEVER
from services.rules.domain.plan import micros
from services.rules.domain.revision import Forward
from services.rules.domain.state import Sensor, Series, Tracker

Measure = Regional | Background

BEHIND = 2
"""How many windows before the first tick are not made up for."""

MOST_SITES = 500
"""In one record."""


def region_of(measure: Measure, sensor: Sensor) -> tuple[str, dict[str, str]]:
    """Return (code, name) of the region to which a sensor counts; the city's where a city has no districts."""
    at = -2 if measure.level is Level.DISTRICT and len(sensor.path) > 2 else -1  # noqa: PLR2004 - street, district, city
    code = sensor.path[at] if sensor.path else sensor.street
    return code, sensor.names[at] if sensor.names else {"zh": code, "en": code}


def is_site(rule: Rule, sensor: Sensor) -> bool:
    """Say whether a rule compares a sensor with the background."""
    return isinstance(rule.measure, Background) and concerns(rule.applies, sensor)


def is_counted(rule: Rule, sensor: Sensor) -> bool:
    """Say whether a sensor counts in a region's series."""
    if isinstance(rule.measure, Background) and rule.measure.stations:
        return concerns(rule.applies.model_copy(update={"tags": rule.measure.stations, "sensors": None, "department": None}), sensor)
    return concerns(rule.applies, sensor)


def includes(rule: Rule, sensor: Sensor) -> bool:
    """Say whether a rule, of any kind, has to do with a sensor."""
    return is_site(rule, sensor) or is_counted(rule, sensor)


def covers(rule: Rule, series: Series) -> bool:
    """Say whether a rule needs a series at all."""
    return watches(rule.applies, series) and includes(rule, series.sensor)


def grace_of(applies: Applies) -> int:
    """Return how long after its end a window is closed: the grace of the slowest series that the rule may cover."""
    if applies.period is not None:
        return grace(round(applies.period.total_seconds()))
    return grace(0) if applies.statistic.value == "instant" else HOUR_GRACE


@dataclass(slots=True)
class Source:
    """A rule at the source."""

    meaning: int
    closed: int = NEVER
    """End of the newest window that was sent."""
    again: set[int] = field(default_factory=set)
    """Ends of windows whose readings have changed since."""


class Sources:
    """All such rules of one partition, at the source."""

    def __init__(self) -> None:
        self.state: dict[str, Source] = {}
        self.series: dict[str, dict[tuple[str, str], Series]] = {}
        """By rule: the series it needs, by sensor and key. Put together anew as series are met."""
        self._same: dict[object, tuple[tuple[str, int], ...]] = {}
        """What series are counted by, kept once for all."""

    def known(self, ruled: Ruled) -> Source:
        """Return a rule's state."""
        found = self.state.get(ruled.rule.id)
        if found is None or found.meaning != ruled.meaning:
            found = self.state[ruled.rule.id] = Source(ruled.meaning)
            self.series.pop(ruled.rule.id, None)
        return found

    def add(self, ruled: Ruled, series: Series) -> None:
        """Count a series in."""
        self.known(ruled)
        self.series.setdefault(ruled.rule.id, {})[series.sensor.id, series.key] = series
        if (ruled.rule.id, ruled.meaning) not in series.counted:
            self._count(series, ruled, (ruled.rule.id, ruled.meaning))

    def _count(self, series: Series, ruled: Ruled, *more: tuple[str, int]) -> None:
        counted = (*(one for one in series.counted if one[0] != ruled.rule.id), *more)
        series.counted = self._same.setdefault(counted, counted)

    def forget(self, rule: str) -> None:
        """Forget a rule that is of another kind now."""
        self.state.pop(rule, None)
        self.series.pop(rule, None)

    def changed(self, ruled: Ruled, end: int) -> None:
        """Note that a reading of this end has come late or was corrected."""
        source = self.known(ruled)
        length = micros(_measure(ruled).length)
        if end <= source.closed:
            source.again.add(grid_after(ruled.rule.timezone, length, end - 1))

    def leave(self, ruled: Ruled, sensor: Sensor, now: int, source: int) -> Iterator[Forward]:
        """Count a sensor out; its region is told when it was compared with the background."""
        mine = self._mine(ruled, sensor)
        for key in mine:
            self._count(self.series[ruled.rule.id].pop(key), ruled)
        if mine and is_site(ruled.rule, sensor):
            yield self._left(ruled, sensor, now, source)

    def change(self, ruled: Ruled, old: Sensor, new: Sensor, now: int, source: int) -> Iterator[Forward]:
        """Tell a region of a sensor that goes on being counted, but is no longer compared with this region's background."""
        if not is_site(ruled.rule, old) or not self._mine(ruled, old):
            return
        measure = _measure(ruled)
        if not is_site(ruled.rule, new) or region_of(measure, old)[0] != region_of(measure, new)[0]:
            yield self._left(ruled, old, now, source)

    def _mine(self, ruled: Ruled, sensor: Sensor) -> list[tuple[str, str]]:
        state = self.state.get(ruled.rule.id)
        if state is None or state.meaning != ruled.meaning:
            return []
        series = self.series.get(ruled.rule.id, {})
        return [(sensor.id, one.key) for one in sensor.series.values() if (sensor.id, one.key) in series]

    @staticmethod
    def _left(ruled: Ruled, sensor: Sensor, now: int, source: int) -> Forward:
        region = region_of(_measure(ruled), sensor)[0]
        return Forward(wire.Left(ruled.rule.id, region, sensor.id, source, now), region=region)

    def tick(self, rules: Iterable[Ruled], now: int, source: int, sources: int) -> Iterator[Forward]:
        """Send what a tick closes, and again what has changed."""
        for ruled in rules:
            state, measure, rule = self.known(ruled), _measure(ruled), ruled.rule
            length, horizon = micros(measure.length), now - grace_of(rule.applies)
            if state.closed == NEVER:
                state.closed = grid_after(rule.timezone, length, horizon - BEHIND * length)
            ends = sorted(state.again)
            state.again.clear()
            told = state.closed
            end = grid_after(rule.timezone, length, state.closed)
            while end <= horizon:
                ends.append(end)
                state.closed = end
                end = grid_after(rule.timezone, length, end)
            sent = False
            for one in ends:
                for partial in self._partials(ruled, measure, one, source, now):
                    sent = True
                    yield Forward(partial, region=partial.region)
            if sent or state.closed > told:
                yield Forward(wire.Closed(source, sources, rule.id, ruled.meaning, state.closed))

    def _partials(self, ruled: Ruled, measure: Measure, end: int, source: int, now: int) -> Iterator[wire.Partial]:
        aggregate = AGGREGATES[measure.aggregate if isinstance(measure, Regional) and measure.aggregate is not Aggregate.COUNT else Aggregate.MEAN]
        rule, begin = ruled.rule, end - micros(measure.length)
        found: dict[tuple[str, str], list[tuple[Series, float]]] = {}
        for _, series in sorted(self.series.get(rule.id, {}).items()):
            values = series.between(begin, end)
            if values and covers(rule, series) and isfinite(number := aggregate(values)):
                found.setdefault((region_of(measure, series.sensor)[0], series.origin), []).append((series, number))
        for (code, origin), members in found.items():
            first = members[0][0].sensor
            numbers = [number for series, number in members if is_counted(rule, series.sensor)]
            low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
            sites = tuple(_site(series.sensor, number) for series, number in members if is_site(rule, series.sensor))
            of = (code, region_of(measure, first)[1], first.domain, first.department)
            parts = max(1, -(-len(sites) // MOST_SITES))
            for part in range(parts):
                some = sites[part * MOST_SITES : (part + 1) * MOST_SITES]
                yield wire.Partial(source, rule.id, ruled.meaning, *of, origin, end, len(numbers), total(numbers), low, high, some, now, part, parts)


def _site(sensor: Sensor, mean: float) -> wire.Site:
    return wire.Site(sensor.id, sensor.name, sensor.street, sensor.domain, sensor.department, mean)


def _measure(ruled: Ruled) -> Measure:
    measure = ruled.rule.measure
    assert isinstance(measure, Regional | Background)  # noqa: S101 - others do not come here
    return measure


@dataclass(slots=True)
class Region:
    """A rule on one region and origin, in its partition of `city.derived`."""

    rule: str
    region: str
    origin: str
    meaning: int
    name: dict[str, str]
    domain: str
    department: str
    page: int
    windows: dict[int, dict[int, dict[int, wire.Partial]]] = field(default_factory=dict)
    """By end and source: the parts of the newest sequence."""
    judged: int = NEVER
    """End of the newest window that was judged."""
    waiting: dict[str, Tracker] = field(default_factory=dict)
    """By subject: trackers for which passing time may decide something. Not written down."""

    @property
    def key(self) -> str:
        """What no other has."""
        return f"{self.rule}\n{self.region}\n{self.origin}"

    def number(self, measure: Measure, end: int) -> float | None:
        """Return the region's number of a window; None with too few sensors, or where it is beyond a float."""
        firsts = [next(iter(parts.values())) for _, parts in sorted(self.windows.get(end, {}).items())]
        partials = [partial for partial in firsts if partial.count]
        count = sum(partial.count for partial in partials)
        if count < measure.at_least:
            return None
        added = total([partial.total for partial in partials])
        match measure.aggregate if isinstance(measure, Regional) else Aggregate.MEAN:
            case Aggregate.MEAN:
                return added / count if isfinite(added) else None
            case Aggregate.SUM:
                return added if isfinite(added) else None
            case Aggregate.MIN:
                return min(partial.low for partial in partials)
            case Aggregate.MAX:
                return max(partial.high for partial in partials)
            case Aggregate.COUNT:
                return float(count)

    def put(self, record: wire.Partial) -> bool:
        """Keep a partial; false when it is a repetition, or an older one than is known."""
        sources = self.windows.setdefault(record.end, {})
        parts = sources.get(record.source, {})
        newest = max((part.sequence for part in parts.values()), default=NEVER)
        if record.sequence < newest or (record.sequence == newest and record.part in parts):
            return False
        if record.sequence > newest:
            parts = sources[record.source] = {}
        parts[record.part] = record
        return True

    def whole(self, record: wire.Partial) -> bool:
        """Say whether all parts are here of what a source told of a window."""
        return len(self.windows[record.end][record.source]) >= record.parts

    def leave(self, record: wire.Left) -> None:
        """Forget a sensor that is no longer compared, as far as its source had told of it before."""
        for sources in self.windows.values():
            parts = sources.get(record.source, {})
            for part, partial in parts.items():
                if partial.sequence <= record.sequence and any(site.sensor == record.sensor for site in partial.sites):
                    parts[part] = msgspec.structs.replace(partial, sites=tuple(site for site in partial.sites if site.sensor != record.sensor))

    def sites(self, end: int) -> Iterable[tuple[wire.Site, wire.Partial]]:
        """Return the sensors to be compared with the background in a window; one that moved between partitions counts where it is last named."""
        found: dict[str, tuple[wire.Site, wire.Partial]] = {}
        for _, parts in sorted(self.windows.get(end, {}).items()):
            for _, partial in sorted(parts.items()):
                for site in partial.sites:
                    known = found.get(site.sensor)
                    if known is None or known[1].sequence <= partial.sequence:
                        found[site.sensor] = site, partial
        return found.values()


@dataclass(slots=True)
class Closing:
    """How far the sources of a rule have come."""

    meaning: int
    sources: int
    ends: dict[int, int] = field(default_factory=dict)
    """By source: end of the newest window that it has closed."""

    @property
    def complete(self) -> int:
        """End of the newest window that all sources have closed."""
        return min(self.ends.values()) if len(self.ends) >= self.sources else NEVER


@dataclass(slots=True)
class Regions:
    """All such rules of one partition of `city.derived`."""

    known: dict[tuple[str, str, str], Region] = field(default_factory=dict)
    """By rule, region and origin."""
    closing: dict[str, Closing] = field(default_factory=dict)
    """By rule."""

    def complete(self, rule: str, meaning: int) -> int:
        """Return the end of the newest window that all sources have closed."""
        closing = self.closing.get(rule)
        return closing.complete if closing is not None and closing.meaning == meaning else NEVER

    def take_closed(self, record: wire.Closed) -> bool:
        """Note that a source has closed a window; false when that is of an older meaning."""
        closing = self.closing.get(record.rule)
        if closing is None or closing.meaning < record.meaning:
            closing = self.closing[record.rule] = Closing(record.meaning, record.sources)
        if closing.meaning > record.meaning:
            return False
        closing.sources = record.sources
        closing.ends[record.source] = max(closing.ends.get(record.source, NEVER), record.end)
        return True

    def of_partial(self, record: wire.Partial, page: Callable[[str], int]) -> Region | None:
        """Return a partial's region, made anew for a new meaning; None when the partial is of an older one."""
        key = (record.rule, record.region, record.origin)
        region = self.known.get(key)
        if region is not None and region.meaning > record.meaning:
            return None
        if region is None or region.meaning < record.meaning:
            region = self.known[key] = Region(*key, record.meaning, record.name, record.domain, record.department, page("\n".join(key)))
        return region

    def of(self, rule: str, meaning: int) -> list[Region]:
        """Return a rule's regions."""
        return [region for (name, _, _), region in sorted(self.known.items()) if name == rule and region.meaning == meaning]
