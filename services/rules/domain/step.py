"""`step`: one record of one partition in, revisions out. No clock, no I/O: the same records in the same order give the same revisions.

It knows sensors and rules only from control records. See `docs/adr/0008-the-engine.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop

import msgspec
from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation
from schemas.grace import INSTANT_GRACE, grace
from schemas.rule import MAIN
from services.rules.domain import samples
from services.rules.domain import tracker as folding
from services.rules.domain.controls import Controls
from services.rules.domain.core import MOST_READINGS, REVISE, SLACK
from services.rules.domain.episodes import OPEN_END, News
from services.rules.domain.index import Ruled, Scene
from services.rules.domain.meetings import columns_of, rest
from services.rules.domain.outcome import NOTHING, Outcome, Reason
from services.rules.domain.pages import HEAD, Store
from services.rules.domain.plan import fresh_of
from services.rules.domain.revision import Output
from services.rules.domain.ring import FEW, Ring
from services.rules.domain.state import Place, Series, Tracker, series_key

LOOKS = FEW - 1
"""With each thirty-second reading that a series holds it is looked whether the oldest are to be forgotten; with one that comes late before it is
taken, so that what is judged by it is still there."""


class Partition(Controls):
    """One partition's state, taken on by its records."""

    # --- snapshots: see `services.rules.domain.pages` ---

    def begin_snapshot(self) -> None:
        """Make all that changed since the last snapshot pending; it will be written as it is now."""
        self.pages.begin()

    def take_pages(self, at_most_bytes: int) -> list[tuple[int, bytes]]:
        """Return pages of the snapshot under way, at least one; none once it is complete."""
        return self.pages.take(at_most_bytes)

    @property
    def snapshotting(self) -> bool:
        """Whether a snapshot is under way."""
        return self.pages.under_way

    @classmethod
    def restore(cls, pages: Mapping[int, bytes], *, derived: bool = False, source: int = 0, sources: int = 1) -> Partition:
        """Return the partition as a snapshot has it; raises `ValueError` when it cannot be used."""
        partition = cls(derived=derived, source=source, sources=sources)
        try:
            store = Store(partition)
            for page, body in pages.items():
                store.read(page, body)
            partition.put_together()
        except (msgspec.DecodeError, ValidationError, TypeError, KeyError) as error:
            raise ValueError(f"a snapshot cannot be read: {error!r}") from error
        return partition

    def put_together(self) -> None:
        """Make anew what is derived from what was read."""
        self._read_rules()
        self._index_anew()
        for sensor in self.sensors.values():
            for series in sensor.series.values():
                for name, meaning in series.counted:
                    counting = self._rules.get(name)
                    if counting is not None and counting.meaning == meaning:
                        self.statistics.add(counting, series)
        for place in self.places.values():
            for name in place.members:
                member = self.sensors[name]
                place.members[name] = member.series[(member.places or {})[place.key]]
        self._resume()
        for sensor in self.sensors.values():
            for silence in (sensor.silences or {}).values():
                self.listening.expect(silence)
        self._wait_anew()

    def _read_rules(self) -> None:
        for name, body in self.bodies.items():
            try:
                self._rules[name] = Ruled(RuleActivation.model_validate_json(body))
            except ValidationError as error:  # one that an older version took
                self._set_aside(name, "", error)

    # --- records ---

    def step(self, record: wire.Record) -> Outcome:  # noqa: C901, PLR0912 - the hot path: each call would cost a tenth of it
        """Take one record; returns what became of it and what is to be told."""
        if type(record) is not wire.Observation:
            return self._other(record)
        sensor = self.sensors.get(record.sensor)
        if sensor is None or record.street != sensor.street:
            return (Reason.UNKNOWN_SENSOR if sensor is None else Reason.ELSEWHERE), NOTHING
        page, pages = sensor.page, self.pages
        pages.changed[page] = 1
        if pages.pending[page]:
            pages.touch(page)
        end, quality, known = record.end, record.quality, sensor.series
        plain = record.start == end and record.origin == "real" and record.statistic == "instant"
        outputs: list[Output] | None = None
        if sensor.silences is not None:
            outputs = self._heard(sensor, record)
        if end < self.now - REVISE - INSTANT_GRACE and end < self.now - REVISE - grace(wire.period_s(record.start, end)):
            return Reason.TOO_LATE, NOTHING if outputs is None else outputs
        reason = Reason.NOT_GOOD if quality else Reason.NOT_WATCHED
        for metric, value in record.values.items():
            if quality and metric in quality:
                continue
            key = metric if plain else series_key(metric, record.statistic, wire.period_s(record.start, end), record.origin)
            series = known.value if known.key == key else known.get(key)
            if series is None or series.generation != self._generation:
                series = self._series(sensor, metric, record.statistic, wire.period_s(record.start, end), record.origin)
            if not series.watched:
                series.note(end)
                continue
            if end > series.newest:
                series.newest = end
                ends = series.ends
                ends.append(end)
                series.values.append(value)
                reason = Reason.EVALUATED
                if not len(ends) & LOOKS:
                    self._look(series)
                if series.low < value < series.high:
                    continue
                found = self._reading(series, end, value, record, late=False)
            else:
                if not (len(series.ends) + 1) & LOOKS:
                    self._look(series)
                found_late = self._late(series, end, value)
                reason = reason if reason is Reason.EVALUATED else found_late
                if found_late is not Reason.LATE and found_late is not Reason.CORRECTED:
                    continue
                found = self._reading(series, end, value, record, late=True)
            if found:
                outputs = found if outputs is None else outputs + found
        if self._conditions:
            outputs = (outputs or []) + self._judge(record)
        return reason, NOTHING if outputs is None else outputs

    def _other(self, record: wire.Record) -> Outcome:
        """Take a record that is no observation."""
        if type(record) is wire.Tick:
            return self._tick(record)
        if type(record) is wire.Sensor:
            return self._sensor(record)
        if type(record) is wire.Activation:
            return self._activation(record)
        if type(record) is wire.Partial:
            return self._partial(record)
        if type(record) is wire.Closed:
            reason, outputs = self._closed(record)
            return reason, [*outputs, *self._give_up_late()] if self.adopted else outputs
        assert type(record) is wire.Left  # noqa: S101 - the union has no other
        return self._left(record)

    def _late(self, series: Series, end: int, value: float) -> Reason:
        """Put a reading that is not the newest at its place."""
        if end <= series.base:
            return Reason.TOO_LATE
        before = series.get(end)
        if before == value:
            return Reason.REPEATED
        series.put(end, value)
        return Reason.LATE if before is None else Reason.CORRECTED

    def _reading(self, series: Series, end: int, value: float, record: wire.Observation, *, late: bool) -> list[Output]:
        """Take all trackers on that a reading concerns."""
        found: list[Output] = []
        for ruled in series.statistics:
            self.pages.touch(HEAD)
            self.statistics.changed(ruled, end)
        for one in series.used_by:
            if one.owner is None:
                continue  # it has failed, in this very record
            if one.samples is not None and one.samples.leaves is not None:  # judged once all values of the record are there
                self._conditions.setdefault(id(one), (one, []))[1].append(series)
                continue
            try:
                news = self._take(one, series, end, value, late=late)
                if news:
                    found += self._tell(one, news, record)
                self._schedule(one)
            except Exception as error:  # noqa: BLE001 - whatever it is: one rule that fails stops no other
                self._give_over(one, error)
        rest(series)
        return found

    def _take(self, one: Tracker, series: Series, end: int, value: float, *, late: bool) -> list[News]:
        scene: Scene = one.scene
        if one.samples is not None:
            changed = self._resample(one, scene, series, end)
            return [] if changed is None else self._refold(one, scene, changed)
        if end <= one.floor:
            return []
        if not late and end >= one.reached:
            low, high = scene.plan.band(one.mask)
            if one.runs is None and low < value < high and (one.life is None or one.life.held is None):
                return []  # it rests, and goes on resting
            return folding.forward(one, series, scene.plan, self._moment(one), end, value)
        low, high = scene.plan.band(0)
        if one.stretches is None and low < value < high:
            return []  # it has rested all the time, and this is no reading to wake it
        return folding.again(one, series, scene.plan, self._moment(one), end)

    def _resample(self, one: Tracker, scene: Scene, series: Series, end: int) -> int | None:
        if isinstance(one.owner, Place):
            self.pages.touch(one.owner.page)
            one.owner.newest = max(one.owner.newest, end)
            members = {name: (ring, one.owner.births.get(name, one.birth)) for name, ring in one.owner.members.items()}
            return samples.of_place(members, scene.past, scene.within, one, end)
        assert scene.kind is not None  # noqa: S101 - it has samples of its own
        return samples.at_reading(scene.kind, series, one, end, self.now - series.grace)

    def _judge(self, record: wire.Observation) -> list[Output]:
        """Take the conditions on that a record concerns."""
        found: list[Output] = []
        conditions, self._conditions = self._conditions, {}
        for one, changed in conditions.values():
            try:
                found += self._judge_one(one, changed, record)
            except Exception as error:  # noqa: BLE001 - see `_reading`
                self._give_over(one, error)
        return found

    def _judge_one(self, one: Tracker, changed: Sequence[Series], record: wire.Observation) -> list[Output]:
        scene: Scene = one.scene
        rings: list[tuple[Ring, int, int]] = []
        births = (one.samples.births if one.samples is not None else None) or {}
        for name, ring, source in columns_of(one, scene):
            kind = scene.columns[name]
            if kind is not None and source is not None and source in changed:
                samples.of_leaf(kind, source, ring, births[name], record.end)
            rings.append((ring, fresh_of(scene.rule, one.owner.period_s, None if name == MAIN else scene.rule.also[name].fresh), births[name]))
        begin = samples.of_several(rings, one, record.end)
        news = [] if begin is None else self._refold(one, scene, begin)
        self._schedule(one)
        return self._tell(one, news, record) if news else []

    def _tick(self, record: wire.Tick) -> Outcome:
        if record.time <= self.now:
            return Reason.LATE_TICK, NOTHING
        self.pages.touch(HEAD)
        self.now = record.time
        outputs: list[Output] = []
        outputs += self._give_up_late()
        self.listening.tick(record)
        for silence in self.listening.missed():
            outputs += self._missed(silence)
        for ruled in self._index.regional:
            try:
                outputs += list(self.statistics.tick([ruled], self.now, self.source, self.sources))
            except Exception as error:  # noqa: BLE001 - see `_reading`
                self._set_aside(ruled.rule.id, "", error)
        dues = self._dues
        while dues and dues[0][0] <= record.time:
            at, _, one = heappop(dues)
            if one.owner is not None and one.due + grace(one.owner.period_s) == at:
                one.due = OPEN_END
                try:
                    outputs += self._decide(one)
                except Exception as error:  # noqa: BLE001 - see `_reading`
                    self._give_over(one, error)
        return Reason.TICK, outputs

    def _decide(self, one: Tracker) -> list[Output]:
        ruled = self._rules.get(one.rule)
        if ruled is None or ruled.meaning != one.meaning or "" in self.aside.get(one.rule, ()):
            return []
        scene: Scene = one.scene
        owner = one.owner
        self.pages.touch(owner.page)
        moment = self._moment(one)
        news: list[News] = []
        if scene.kind is not None and scene.kind.gridded:
            made = samples.at_tick(scene.kind, owner, one, moment.horizon)
            if made:
                news += self._refold(one, scene, made[0][0])
        news += folding.tick(one, owner if one.samples is None else one.samples, scene.plan, moment)
        self._settle(one, self.now - REVISE - grace(owner.period_s))
        self._schedule(one)
        if isinstance(owner, Series):
            rest(owner)
        return self._tell(one, news, None) if news else []

    def _settle(self, one: Tracker, settled: int) -> None:
        """Forget samples that nothing can change any more."""
        ring = one.samples
        if ring is not None and ring.ends and ring.ends[0] < settled - SLACK:
            folding.settle(one, ring, one.scene.plan, one.scene.fresh(one.owner.period_s), settled)
            ring.cut(settled)

    def _look(self, series: Series) -> None:
        ends = series.ends
        if len(ends) == FEW:
            series.widen()
        if ends[0] + series.keep < self.now or len(ends) >= MOST_READINGS - 1:
            self._forget(series)

    def _forget(self, series: Series) -> None:
        """Drop readings that are too old to be revised or looked back at; of a series that speaks too often the oldest."""
        cut = self.now - series.keep + SLACK
        most = MOST_READINGS if series.keep <= 2 * REVISE + SLACK else 4 * MOST_READINGS
        if len(series.ends) >= most - 1:
            at = most // 8
            series.base = max(series.base, series.ends[at - 1])
            cut = max(cut, series.ends[at])
        settled = max(self.now - REVISE - series.grace, series.base + 1)
        for one in series.used_by:
            scene: Scene = one.scene
            fresh = scene.fresh(one.owner.period_s)
            if one.samples is None:
                folding.settle(one, series, scene.plan, fresh, cut)
            else:
                self._settle(one, settled)
            for ring in ((one.samples.leaves if one.samples is not None else None) or {}).values():
                ring.cut(self.now - series.keep)
                if len(ring.ends) > 4 * MOST_READINGS:
                    ring.cut(ring.ends[len(ring.ends) // 8])
        series.cut(cut)


__all__ = ["Outcome", "Partition", "Reason", "grace"]
