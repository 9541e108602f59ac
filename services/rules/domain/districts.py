"""Districts and the city: the part of the engine that judges regions, in partitions of `city.derived`. See `services.rules.domain.kinds.regional`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from schemas import wire
from schemas.measure import Aggregate, Background, Regional
from schemas.observation import Statistic
from schemas.warning import Change
from services.rules.domain import tracker as folding
from services.rules.domain.core import REVISE, Core, page_of, series_key
from services.rules.domain.episodes import Life
from services.rules.domain.index import Ruled, Scene
from services.rules.domain.kinds.regional import Region
from services.rules.domain.ladder import NEVER
from services.rules.domain.outcome import NOTHING, Outcome, Reason
from services.rules.domain.pages import HEAD
from services.rules.domain.plan import fresh_of, micros
from services.rules.domain.revision import Forward, Output
from services.rules.domain.state import HOUR_GRACE, Place, Samples, Sensor, Tracker


class Districts(Core):
    """Rules of kinds `regional` and `background`."""

    def _forward_rule(self, record: wire.Activation, new: Ruled) -> list[Output]:
        if not self.derived:
            return [Forward(record, partition=self.source)]
        found: list[Output] = []
        for region in self.regions.of(record.rule, new.meaning):  # partials of other sources may be here before the rule
            found += self._judge_region(region, [end for end in sorted(region.windows) if end <= self.regions.complete(record.rule, new.meaning)])
        return found

    def _partial(self, record: wire.Partial) -> Outcome:
        known = self.regions.known.get((record.rule, record.region, record.origin))
        if known is not None:
            self.pages.touch(known.page)
        region = self.regions.take_partial(record, page_of)
        if region is None:
            return Reason.OLD_VERSION, NOTHING
        if region is not known:
            if known is not None:
                self.pages.remove(known)
            self.pages.touch(region.page)
            self.pages.add(region)
        return Reason.APPLIED, self._judge_region(region, [record.end]) if record.end <= region.judged else NOTHING

    def _closed(self, record: wire.Closed) -> Outcome:
        self.pages.touch(HEAD)
        if not self.regions.take_closed(record):
            return Reason.OLD_VERSION, NOTHING
        complete = self.regions.complete(record.rule, record.meaning)
        self.now = max(self.now, complete)
        outputs: list[Output] = []
        for region in self.regions.of(record.rule, record.meaning):
            outputs += self._judge_region(region, [end for end in sorted(region.windows) if region.judged < end <= complete])
            outputs += self._pass_time(region)
        return Reason.APPLIED, outputs

    def _pass_time(self, region: Region) -> list[Output]:
        """Decide what waits for no further window."""
        ruled = self._rules.get(region.rule)
        if ruled is None or ruled.meaning != region.meaning:
            return []
        outputs: list[Output] = []
        for one in self._trackers_of(region, ruled):
            self.pages.touch(one.owner.page if isinstance(one.owner, Place) else one.owner.sensor.page)
            assert one.samples is not None  # noqa: S101 - made with them
            news = folding.tick(one, one.samples, one.scene.plan, self._region_moment(one, ruled))
            if news:
                outputs += self._tell(one, news, None)
        return outputs

    def _trackers_of(self, region: Region, ruled: Ruled) -> Iterator[Tracker]:
        measure = ruled.rule.measure
        if isinstance(measure, Regional):
            place = self.places.get(_region_key(region, ruled, measure))
            if place is not None and place.tracker is not None and place.tracker.owner is not None:
                yield place.tracker
            return
        assert isinstance(measure, Background)  # noqa: S101 - there is no other
        key = series_key(ruled.rule.applies.metric, Statistic.MEAN.value, micros(measure.length) // 1_000_000, region.origin)
        for name in sorted({site for end in region.windows for site in region.sites(end)}):
            series = self.sensors[name].series.get(key) if name in self.sensors else None
            one = series.trackers.get(region.rule) if series is not None else None
            if one is not None and one.owner is not None:
                yield one

    def _judge_region(self, region: Region, ends: Sequence[int]) -> list[Output]:
        ruled = self._rules.get(region.rule)
        if ruled is None or ruled.meaning != region.meaning or not ends:
            return []
        measure = ruled.rule.measure
        assert isinstance(measure, Regional | Background)  # noqa: S101 - others have no regions
        self.pages.touch(region.page)
        region.judged = max(region.judged, ends[-1])
        outputs: list[Output] = []
        touched: dict[int, tuple[Tracker, int]] = {}
        for end in ends:
            number = region.number(measure, end)
            for one, sample in self._region_samples(region, ruled, end, number):
                self.pages.touch(one.owner.page if isinstance(one.owner, Place) else one.owner.sensor.page)
                assert one.samples is not None  # noqa: S101 - made with them
                if sample is None:
                    one.samples.remove(end)
                else:
                    one.samples.put(end, sample)
                touched.setdefault(id(one), (one, end))
        settled = region.judged - REVISE - HOUR_GRACE - 2 * micros(measure.length)
        for one, first in touched.values():
            scene: Scene = one.scene
            moment = self._region_moment(one, ruled)
            news = self._refold(one, scene, first, moment)
            ring = one.samples
            assert ring is not None  # noqa: S101 - see above
            news += folding.tick(one, ring, scene.plan, moment)
            if ring.ends and ring.ends[0] < settled:
                folding.settle(one, ring, scene.plan, moment.fresh, settled)
                ring.cut(settled)
            if news:
                outputs += self._tell(one, news, None)
        for end in [end for end in region.windows if end < settled]:
            del region.windows[end]
        return outputs

    def _region_moment(self, one: Tracker, ruled: Ruled) -> folding.Moment:
        complete = self.regions.complete(ruled.rule.id, ruled.meaning)
        return folding.Moment(complete, fresh_of(ruled.rule, one.owner.period_s), complete, self._moment(one).identify)

    def _region_samples(self, region: Region, ruled: Ruled, end: int, number: float | None) -> Iterator[tuple[Tracker, Any]]:
        """Yield the trackers that a window of a region concerns, with their samples of it."""
        measure = ruled.rule.measure
        if isinstance(measure, Regional):
            yield self._region_tracker(region, ruled, measure), number
            return
        assert isinstance(measure, Background)  # noqa: S101 - there is no other
        background = None if number is None else number if measure.cap is None else min(number, measure.cap)
        for site in region.sites(end).values():
            yield self._site_tracker(site, region, ruled, measure), None if background is None else (site.mean - background, background)

    def _region_tracker(self, region: Region, ruled: Ruled, measure: Regional) -> Tracker:
        length_s = micros(measure.length) // 1_000_000
        statistic = "instant" if measure.aggregate is Aggregate.COUNT else measure.aggregate.value
        metric = ruled.rule.applies.metric
        key = _region_key(region, ruled, measure)
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = Place(key, region.region, region.name, page_of(key))
            place.metric, place.statistic, place.period_s, place.origin = metric, statistic, length_s, region.origin
            place.domain = ruled.rule.applies.domain or region.domain
            place.department = ruled.rule.applies.department or region.department
            self.pages.touch(place.page)
            self.pages.add(place)
        self.pages.touch(place.page)
        one = place.tracker
        if one is None or one.meaning != ruled.meaning:
            one = place.tracker = Tracker(region.rule, ruled.meaning, NEVER)
            one.samples = Samples()
            self._go_on(one, place)
        one.owner, one.scene = place, ruled.scene({})
        return one

    def _site_tracker(self, site: wire.Site, region: Region, ruled: Ruled, measure: Background) -> Tracker:
        sensor = self.sensors.get(site.sensor)
        if sensor is None:
            sensor = self.sensors[site.sensor] = Sensor(site.sensor)
            sensor.page = page_of(site.sensor)
            self.pages.touch(sensor.page)
            self.pages.add(sensor)
        self.pages.touch(sensor.page)
        sensor.name_json, sensor.street = msgspec.json.encode(site.name), site.street
        sensor.facts = self.facts_of((site.department, site.domain))
        length_s = micros(measure.length) // 1_000_000
        series = self._bare_series(sensor, ruled.rule.applies.metric, Statistic.MEAN.value, length_s, region.origin)
        one = series.trackers.get(region.rule)
        if one is None or one.meaning != ruled.meaning:
            one = series.trackers[region.rule] = Tracker(region.rule, ruled.meaning, NEVER)
            one.samples = Samples(values=[])
            if series.closed is not None and region.rule in series.closed:
                one.life = Life(used=series.closed[region.rule])
            self._go_on(one, series)
        one.owner, one.scene = series, ruled.scene({})
        return one

    def _left(self, record: wire.Left) -> Outcome:
        for (rule, code, _), region in self.regions.known.items():
            if rule == record.rule and code == record.region:
                self.pages.touch(region.page)
                region.leave(record.sensor)
        sensor = self.sensors.get(record.sensor)
        if sensor is None:
            return Reason.NOT_WATCHED, NOTHING
        self.pages.touch(sensor.page)
        outputs: list[Output] = []
        for series in sensor.series.values():
            one = series.trackers.pop(record.rule, None)
            if one is not None:
                outputs += self._end(one, Change.SENSOR_MOVED)
        return Reason.APPLIED, outputs


def _region_key(region: Region, ruled: Ruled, measure: Regional) -> str:
    key = series_key(ruled.rule.applies.metric, measure.aggregate.value, micros(measure.length) // 1_000_000, region.origin)
    return f"{region.rule}\n{region.region}/{key}"
