"""Districts and the city: the part of the engine that judges regions, in partitions of `city.derived`. See `services.rules.domain.kinds.regional`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, isfinite
from typing import Any

import msgspec

from schemas import wire
from schemas.grace import HOUR_GRACE
from schemas.measure import Aggregate, Background, Regional
from schemas.observation import Statistic
from schemas.warning import Change
from services.rules.domain import tracker as folding
from services.rules.domain.core import REVISE, Core, page_of
from services.rules.domain.episodes import Life
from services.rules.domain.index import Ruled, Scene
from services.rules.domain.kinds.regional import Region
from services.rules.domain.ladder import NEVER
from services.rules.domain.outcome import NOTHING, Outcome, Reason
from services.rules.domain.pages import HEAD
from services.rules.domain.plan import micros
from services.rules.domain.revision import Forward, Output
from services.rules.domain.state import Place, Samples, Sensor, Tracker, series_key


class Districts(Core):
    """Rules of kinds `regional` and `background`."""

    def _forward_rule(self, record: wire.Activation, new: Ruled) -> list[Output]:
        regional = isinstance(new.rule.measure, Regional | Background)
        if not self.derived:
            if not regional:
                self.statistics.forget(record.rule)
            return [Forward(record, partition=self.source)]
        if not regional:  # it was, and is no more
            self.regions.closing.pop(record.rule, None)
            for one in [one for one in self.regions.known.values() if one.rule == record.rule]:
                self.pages.touch(one.page)
                self.pages.remove(one)
                del self.regions.known[one.rule, one.region, one.origin]
            return []
        found: list[Output] = []
        for region in self.regions.of(record.rule, new.meaning):  # partials of other sources may be here before the rule
            found += self._judge_region(region, [end for end in sorted(region.windows) if end <= self.regions.complete(record.rule, new.meaning)])
        return found

    def _partial(self, record: wire.Partial) -> Outcome:
        if self._outdated(record):
            return Reason.OLD_VERSION, NOTHING
        known = self.regions.known.get((record.rule, record.region, record.origin))
        if known is not None:
            self.pages.touch(known.page)
        region = self.regions.of_partial(record, page_of)
        if region is None:
            return Reason.OLD_VERSION, NOTHING
        if region is not known:
            if known is not None:
                self.pages.remove(known)
            self.pages.touch(region.page)
            self.pages.add(region)
        ruled = self._rules.get(record.rule)
        if ruled is not None and region.meaning == ruled.meaning and record.end < _settled(region, ruled):
            return Reason.TOO_LATE, NOTHING
        if not region.put(record):
            return Reason.REPEATED, NOTHING
        if record.end > region.judged or not region.whole(record):
            return Reason.APPLIED, NOTHING
        return Reason.APPLIED, self._judge_region(region, [record.end])

    def _outdated(self, record: wire.Partial | wire.Closed) -> bool:
        ruled = self._rules.get(record.rule)
        return ruled is not None and ruled.meaning > record.meaning

    def _closed(self, record: wire.Closed) -> Outcome:
        before = self.regions.complete(record.rule, record.meaning)
        self.pages.touch(HEAD)
        if self._outdated(record) or not self.regions.take_closed(record):
            return Reason.OLD_VERSION, NOTHING
        complete = self.regions.complete(record.rule, record.meaning)
        self.now = max(self.now, complete)
        outputs: list[Output] = []
        for region in self.regions.of(record.rule, record.meaning):
            outputs += self._judge_region(region, [end for end in sorted(region.windows) if region.judged < end <= complete])
            if complete > before and region.waiting:
                outputs += self._pass_time(region)
        return Reason.APPLIED, outputs

    def _pass_time(self, region: Region) -> list[Output]:
        """Decide what waits for no further window."""
        ruled = self._rules.get(region.rule)
        if ruled is None or ruled.meaning != region.meaning:
            return []
        outputs: list[Output] = []
        for _, one in sorted(region.waiting.items()):
            if one.owner is None or one.meaning != ruled.meaning:
                continue
            self.pages.touch(one.owner.page)
            assert one.samples is not None  # noqa: S101 - made with them
            news = folding.tick(one, one.samples, one.scene.plan, self._region_moment(one, ruled))
            if news:
                outputs += self._tell(one, news, None)
        region.waiting = {subject: one for subject, one in region.waiting.items() if _waits(one)}
        return outputs

    def _wait_anew(self) -> None:
        """Find after a restore which trackers wait for time to pass."""
        if not self.derived:
            return
        for place in self.places.values():
            rule = place.key.partition("\n")[0]
            self._wait(self.regions.known.get((rule, place.street, place.origin)), place.tracker)
        for sensor in self.sensors.values():
            for series in sensor.series.values():
                for rule, one in series.trackers.items():
                    if one.samples is not None and one.samples.told_by is not None:
                        self._wait(self.regions.known.get((rule, one.samples.told_by[0], series.origin)), one)

    @staticmethod
    def _wait(region: Region | None, one: Tracker | None) -> None:
        if region is not None and one is not None and one.meaning == region.meaning and _waits(one):
            region.waiting[one.owner.subject] = one

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
            for one, sample in self._region_samples(region, ruled, end, number, outputs):
                self.pages.touch(one.owner.page)
                assert one.samples is not None  # noqa: S101 - made with them
                if sample is None:
                    one.samples.remove(end)
                else:
                    one.samples.put(end, sample)
                touched.setdefault(id(one), (one, end))
        settled = _settled(region, ruled)
        for one, first in touched.values():
            if one.owner is None:  # its sensor has moved between these windows
                continue
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
            self._wait(region, one)
        for end in [end for end in region.windows if end < settled]:
            del region.windows[end]
        return outputs

    def _region_moment(self, one: Tracker, ruled: Ruled) -> folding.Moment:
        complete = self.regions.complete(ruled.rule.id, ruled.meaning)
        return folding.Moment(one, complete, one.scene.fresh(one.owner.period_s), complete)

    def _region_samples(self, region: Region, ruled: Ruled, end: int, number: float | None, outputs: list[Output]) -> Iterator[tuple[Tracker, Any]]:
        """Yield the trackers that a window of a region concerns, with their samples of it."""
        measure = ruled.rule.measure
        if isinstance(measure, Regional):
            yield self._region_tracker(region, ruled, measure), number
            return
        assert isinstance(measure, Background)  # noqa: S101 - there is no other
        background = None if number is None else number if measure.cap is None else min(number, measure.cap)
        for site, partial in region.sites(end):
            one = self._site_tracker(site, partial, region, ruled, outputs)
            if one is not None:
                difference = inf if background is None else site.mean - background
                yield one, (difference, background) if isfinite(difference) else None

    def _region_tracker(self, region: Region, ruled: Ruled, measure: Regional) -> Tracker:
        length_s = micros(measure.length) // 1_000_000
        statistic = "instant" if measure.aggregate is Aggregate.COUNT else measure.aggregate.value
        metric = ruled.rule.applies.metric
        key = _region_key(region, ruled, measure)
        place = self.places.get(key)
        if place is None:
            place = Place(key, region.region, region.name, page_of(key))
            place.metric, place.statistic, place.period_s, place.origin = metric, statistic, length_s, region.origin
            place.domain = ruled.rule.applies.domain or region.domain
            place.department = ruled.rule.applies.department or region.department
            self.pages.touch(place.page)
            self.keep_place(place)
        self.pages.touch(place.page)
        one = place.tracker
        if one is None or one.meaning != ruled.meaning:
            one = place.tracker = Tracker(region.rule, ruled.meaning, NEVER)
            one.samples = Samples()
            self._go_on(one, place)
        one.owner, one.scene = place, ruled.scene({})
        return one

    def _site_tracker(self, site: wire.Site, partial: wire.Partial, region: Region, ruled: Ruled, outputs: list[Output]) -> Tracker | None:
        """Return the tracker of a sensor that is compared; None when a later partial has told of it elsewhere."""
        measure = ruled.rule.measure
        assert isinstance(measure, Background)  # noqa: S101 - others have no sites
        sensor = self.sensors.get(site.sensor)
        if sensor is None:
            sensor = self.sensors[site.sensor] = Sensor(site.sensor)
            sensor.page = page_of(site.sensor)
            self.pages.touch(sensor.page)
            self.pages.add(sensor)
        self.pages.touch(sensor.page)
        length_s = micros(measure.length) // 1_000_000
        series = self._bare_series(sensor, ruled.rule.applies.metric, Statistic.MEAN.value, length_s, region.origin)
        one = series.trackers.get(region.rule)
        told_by = one.samples.told_by if one is not None and one.meaning == ruled.meaning and one.samples is not None else None
        if one is not None and told_by is not None and told_by[:2] != (region.region, partial.source):
            if partial.sequence <= told_by[2]:
                return None
            outputs += self._end(one, Change.SENSOR_MOVED, series)
            series.trackers.pop(region.rule, None)
            one = told_by = None
        sensor.name_json, sensor.street = msgspec.json.encode(site.name), site.street
        sensor.facts = self.facts_of((site.department, site.domain))
        if one is None or one.meaning != ruled.meaning:
            one = series.trackers[region.rule] = Tracker(region.rule, ruled.meaning, NEVER)
            one.samples = Samples(values=[])
            if series.closed is not None and region.rule in series.closed:
                one.life = Life(used=series.closed[region.rule])
            self._go_on(one, series)
        one.owner, one.scene = series, ruled.scene({})
        assert one.samples is not None  # noqa: S101 - made with them
        one.samples.told_by = (self._same(region.region), partial.source, max(partial.sequence, told_by[2] if told_by is not None else NEVER))
        return one

    def _left(self, record: wire.Left) -> Outcome:
        for (rule, code, _), region in self.regions.known.items():
            if rule == record.rule and code == record.region:
                self.pages.touch(region.page)
                region.leave(record)
        sensor = self.sensors.get(record.sensor)
        if sensor is None:
            return Reason.NOT_WATCHED, NOTHING
        self.pages.touch(sensor.page)
        outputs: list[Output] = []
        for series in sensor.series.values():
            one = series.trackers.get(record.rule)
            told_by = one.samples.told_by if one is not None and one.samples is not None else None
            if one is None or told_by is None or told_by[:2] != (record.region, record.source) or told_by[2] > record.sequence:
                continue
            outputs += self._end(one, Change.SENSOR_MOVED, series)
            series.trackers.pop(record.rule, None)
        return Reason.APPLIED, outputs


def _settled(region: Region, ruled: Ruled) -> int:
    """Return the time before which nothing of a region is revised any more."""
    measure = ruled.rule.measure
    assert isinstance(measure, Regional | Background)  # noqa: S101 - others have no regions
    return region.judged - REVISE - HOUR_GRACE - 2 * micros(measure.length)


def _waits(one: Tracker) -> bool:
    return one.owner is not None and (bool(one.runs) or (one.life is not None and one.life.held is not None))


def _region_key(region: Region, ruled: Ruled, measure: Regional) -> str:
    key = series_key(ruled.rule.applies.metric, measure.aggregate.value, micros(measure.length) // 1_000_000, region.origin)
    return f"{region.rule}\n{region.region}/{key}"
