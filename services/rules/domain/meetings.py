"""Which rules meet which series: found at a series' first reading and remembered until a rule or the sensor changes."""

from __future__ import annotations

import math

from schemas.measure import Background, Regional
from schemas.rule import MAIN, Also
from services.rules.domain.core import REVISE, SLACK
from services.rules.domain.episodes import Life
from services.rules.domain.index import Ruled, Scene, concerns, watches
from services.rules.domain.kinds import regional
from services.rules.domain.ladder import NEVER
from services.rules.domain.places import Places
from services.rules.domain.plan import micros
from services.rules.domain.ring import Ring
from services.rules.domain.state import Samples, Sensor, Series, Tracker, series_key


class Meetings(Places):
    """Series and the trackers that they concern."""

    def _series(self, sensor: Sensor, metric: str, statistic: str, period_s: int, origin: str) -> Series:
        """Return a series of a sensor, met."""
        series = self._bare_series(sensor, metric, statistic, period_s, origin)
        if series.generation != self._generation:
            self._meet(series)
        return series

    def _meet(self, series: Series) -> None:
        """Find what concerns a series; remembered until a rule or the sensor changes."""
        sensor = series.sensor
        series.generation = self._generation
        used: list[Tracker] = []
        statistics: list[Ruled] = []
        lookback, watched = 0, False
        for ruled in self._index.main(series.metric):
            if isinstance(ruled.rule.measure, Regional | Background):
                if regional.covers(ruled.rule, series):
                    statistics.append(ruled)
                    self.statistics.add(ruled, series)
                    lookback = max(lookback, micros(ruled.rule.measure.length) + regional.grace_of(ruled.rule.applies))
                continue
            if ruled.rule.measure.kind == "absence" or not watches(ruled.rule.applies, series) or not concerns(ruled.rule.applies, sensor):
                continue
            scene = ruled.scene(sensor.attributes)
            watched = True
            one = self._of(ruled, scene, series)
            if one is not None:
                used.append(one)
                lookback = max(lookback, scene.lookback)
        for ruled in self._index.also(series.metric):
            for also in ruled.rule.also.values():
                if _fits(also, series) and concerns(ruled.rule.applies, sensor):
                    watched = True
                    lookback = max(lookback, ruled.scene(sensor.attributes).lookback)
                    one = self._judged_with(ruled, series)
                    if one is not None and one not in used:
                        used.append(one)
        series.used_by, series.statistics, series.watched = tuple(used), tuple(statistics), watched or bool(statistics)
        series.keep = self._same(REVISE + series.grace + lookback + SLACK)
        rest(series)

    def _of(self, ruled: Ruled, scene: Scene, series: Series) -> Tracker | None:
        """Return the tracker of a rule on a series; None where it has failed, or the sensor stands in no place of it."""
        if series.subject in self.aside.get(ruled.rule.id, ()):
            return None
        return self._in_place(ruled, series.sensor, series) if scene.past is not None else self._tracker(ruled, scene, series)

    def _judged_with(self, ruled: Ruled, series: Series) -> Tracker | None:
        """Return the tracker of a rule that uses a series beside that of its own measure."""
        applies = ruled.rule.applies
        period_s = 0 if applies.period is None else round(applies.period.total_seconds())
        own = self._bare_series(series.sensor, applies.metric, applies.statistic.value, period_s, series.origin)
        scene = ruled.scene(series.sensor.attributes)
        if series.key not in {also_key(scene, name, own) for name in ruled.rule.also}:
            return None
        return self._of(ruled, scene, own)

    def _tracker(self, ruled: Ruled, scene: Scene, series: Series) -> Tracker:
        one = series.trackers.get(ruled.rule.id)
        if one is None or one.meaning != ruled.meaning:
            one = series.trackers[self._same(ruled.rule.id)] = Tracker(self._same(ruled.rule.id), ruled.meaning, series.newest)
            if scene.kind is not None:
                one.samples = Samples()
            if scene.columns:
                others = {name: series.sensor.series.get(also_key(scene, name, series)) for name in ruled.rule.also}
                one.samples = Samples(values=[])
                one.samples.leaves = {}
                one.samples.births = {MAIN: one.birth} | {name: NEVER if other is None else other.newest for name, other in others.items()}
                for other in series.sensor.series.values():
                    other.generation = other.generation if other is series else -1
            if series.closed is not None and ruled.rule.id in series.closed:
                one.life = Life(used=series.closed[ruled.rule.id])
            self._go_on(one, series)
        one.owner, one.scene = series, scene
        return one


EVERYWHERE = (-math.inf, math.inf)
NOWHERE = (math.inf, -math.inf)
"""Bands; one object for each, a million series hold them."""


def rest(series: Series) -> None:
    """Say between which values nothing happens as long as all that is concerned rests."""
    low, high = NOWHERE if series.statistics else EVERYWHERE
    for one in series.used_by:
        if one.scene is None or one.samples is not None or one.runs or one.reached > series.newest:
            low, high = NOWHERE
            break
        under, over = one.scene.plan.band(one.mask)
        low, high = max(low, under), min(high, over)
    series.low, series.high = low, high


def _fits(also: Also, series: Series) -> bool:
    statistic = also.metric == series.metric and also.statistic.value == series.statistic
    return statistic and (also.period is None or also.period.total_seconds() == series.period_s)


def also_key(scene: Scene, name: str, own: Series) -> str:
    """Return the key of the series of another measure that goes with one of the rule's own."""
    also = scene.rule.also[name]
    statistic = also.statistic.value
    period_s = round(also.period.total_seconds()) if also.period is not None else 0 if statistic == "instant" else own.period_s
    return series_key(also.metric, statistic, period_s, own.origin)


def columns_of(one: Tracker, scene: Scene) -> list[tuple[str, Ring, Series | None]]:
    """Return (name, samples, readings) of each measure of a condition, the rule's own first."""
    own: Series = one.owner
    leaves = one.samples.leaves if one.samples is not None else None
    assert leaves is not None  # noqa: S101 - a condition has them
    found: list[tuple[str, Ring, Series | None]] = []
    for name in scene.plan.columns:
        series = own if name == MAIN else own.sensor.series.get(also_key(scene, name, own))
        if scene.columns[name] is None:
            found.append((name, Ring() if series is None else series, series))
        else:
            found.append((name, leaves.setdefault(name, Ring()), series))
    return found
