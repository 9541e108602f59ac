"""`step`: one record of one partition in, revisions out. No clock, no I/O: the same records in the same order give the same revisions.

It knows sensors and rules only from control records. See `docs/adr/0008-the-engine.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar
from zlib import crc32

import msgspec
from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation
from schemas.measure import Aggregate, Agreement, Background, Regional
from schemas.observation import Statistic
from schemas.rule import MAIN, Applies, Rule
from schemas.tiers import GRAVITY
from schemas.warning import Change, Warning  # noqa: A004 - the field's own word
from services.rules.domain import pages as written
from services.rules.domain import samples
from services.rules.domain import tracker as folding
from services.rules.domain.episodes import OPEN_END, Episode, Life, News, close, identity
from services.rules.domain.index import Index, Ruled, Scene, concerns, watches
from services.rules.domain.kinds import regional
from services.rules.domain.kinds.absence import NOT_HEARD, Listening
from services.rules.domain.kinds.regional import Region, Regions, Sources
from services.rules.domain.ladder import NEVER
from services.rules.domain.pages import HEAD, PAGES, Pages, Store
from services.rules.domain.plan import fresh_of, micros
from services.rules.domain.revision import Forward, Output
from services.rules.domain.ring import Ring
from services.rules.domain.state import HOUR_GRACE, Place, Sensor, Series, Silence, Stretch, Tracker, grace
from services.rules.domain.telling import Owner, revision

REVISE = 3_600_000_000
"""Older data than this and its grace go to history and trigger nothing: what a device brings after an outage is no alarm of now. Microseconds."""

SLACK = 60_000_000
"""How much longer than needed readings are kept, so that they are not moved for each. Microseconds."""

MOST_READINGS = 4_096
"""Kept of one series, however often it speaks; four times as many where a rule looks back over more than an hour."""


class Reason(StrEnum):
    """What became of a record; of an observation the most telling of its values'."""

    EVALUATED = "evaluated"
    NOT_WATCHED = "not_watched"
    UNKNOWN_SENSOR = "unknown_sensor"
    ELSEWHERE = "elsewhere"
    """Under another street than the sensor's: it was on its way while the sensor moved, and no later reading would follow it here."""
    REPEATED = "repeated"
    LATE = "late"
    """Earlier than the newest of its series: taken at its place, and what follows from it is told as a revision."""
    TOO_LATE = "too_late"
    CORRECTED = "corrected"
    """The same end with another value: the newer record wins."""
    NOT_GOOD = "not_good"
    TICK = "tick"
    LATE_TICK = "late_tick"
    APPLIED = "applied"
    OLD_VERSION = "old_version"
    BAD_CONTROL = "bad_control"
    UNDECODABLE = "undecodable"
    FAILED = "failed"
    """`step` raised, which is a fault of ours: told loudly by its caller, and the next record counts."""


Outcome = tuple[Reason, Sequence[Output]]
NOTHING: Sequence[Output] = ()

T = TypeVar("T")


def series_key(metric: str, statistic: str, period_s: int, origin: str) -> str:
    """Return a series' key among its sensor's. What is not real is a series of its own: no drill clears an alarm, none makes one an exercise."""
    key = metric if statistic == "instant" and not period_s else f"{metric}/{statistic}.{period_s}s"
    return key if origin == "real" else f"{key}@{origin}"


class _SensorFacts(msgspec.Struct):
    """What rules need of a registry's sensor."""

    name: dict[str, str]
    domain: str
    department: str
    metrics: dict[str, msgspec.Raw]
    tags: list[str] = []
    attributes: dict[str, str] = {}
    adapter: str = "http"


class _SensorBody(msgspec.Struct):
    sensor: _SensorFacts
    path: tuple[str, ...]
    names: tuple[dict[str, str], ...] = ()


_sensor_body = msgspec.json.Decoder(_SensorBody)


class Partition:
    """One partition's state, taken on by its records."""

    def __init__(self) -> None:
        self.now = 0
        """Time of the newest tick, microseconds; 0 before the first."""
        self.sensors: dict[str, Sensor] = {}
        self.places: dict[str, Place] = {}
        self.bodies: dict[str, bytes] = {}
        """By rule: its newest activation as it came."""
        self.pages = Pages(self)
        self.listening = Listening({})
        self.statistics = Sources()
        self.regions = Regions()
        self.derived = False
        """Whether it is one of `city.derived`."""
        self.source, self.sources = 0, 1
        """Which partition it is, of how many."""
        self._rules: dict[str, Ruled] = {}
        self._index = Index()
        self._generation = 0
        self._dues: list[tuple[int, int, Tracker]] = []
        self._order = count()
        self._open: dict[str, dict[int, Tracker]] = {}
        """By rule: trackers that have decided something."""
        self.shared: dict[object, object] = {}
        self._conditions: dict[int, tuple[Tracker, list[Series]]] = {}
        """Of the record under way: conditions that it concerns, and by which series."""
        self._adopted: dict[tuple[str, str], Warning] = {}

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
    def restore(cls, written: Mapping[int, bytes]) -> Partition:
        """Return the partition as a snapshot has it; raises `ValueError` when it cannot be used."""
        partition = cls()
        try:
            store = Store(partition)
            for page, body in written.items():
                store.read(page, body)
        except (msgspec.DecodeError, ValidationError, TypeError, KeyError) as error:
            raise ValueError(f"a snapshot cannot be read: {error}") from error
        partition.put_together()
        return partition

    def put_together(self) -> None:
        """Make anew what is derived from what was read."""
        self._rules = {name: Ruled(RuleActivation.model_validate_json(body)) for name, body in self.bodies.items()}
        self._index = Index(self._rules.values())
        for sensor in self.sensors.values():
            for series in sensor.series.values():
                for one in series.trackers.values():
                    self._resume(one, series, sensor.attributes)
                for ruled in self._index.regional:
                    if regional.covers(ruled.rule, series):
                        self.statistics.add(ruled, series)
            for silence in (sensor.silences or {}).values():
                self._resume(silence.tracker, silence, sensor.attributes)
                self.listening.expect(silence)
        for place in self.places.values():
            if place.tracker is not None:
                for name in place.members:
                    member = self.sensors[name]
                    place.members[name] = member.series[(member.places or {})[place.key]]
                self._resume(place.tracker, place, {})

    def _resume(self, one: Tracker, owner: Owner, attributes: Mapping[str, str]) -> None:
        ruled = self._rules.get(one.rule)
        if ruled is None or ruled.meaning != one.meaning:
            return
        one.owner, one.scene = owner, ruled.scene(attributes)
        if one.life is not None:
            self._open.setdefault(one.rule, {})[id(one)] = one
        if not isinstance(owner, Silence):
            self._schedule(one)

    def adopt(self, warnings: Sequence[Warning]) -> None:
        """Take over open warnings of a state that is lost: where their trackers begin anew with the same meaning, they go on."""
        self._adopted = {(warning.rule, warning.subject): warning for warning in warnings if warning.state == "open"}

    # --- records ---

    def step(self, record: wire.Record) -> Outcome:
        """Take one record; returns what became of it and what is to be told."""
        if type(record) is wire.Observation:
            return self._observe(record)
        if type(record) is wire.Tick:
            return self._tick(record)
        if type(record) is wire.Sensor:
            return self._sensor(record)
        if type(record) is wire.Activation:
            return self._activation(record)
        if type(record) is wire.Partial:
            return self._partial(record)
        if type(record) is wire.Closed:
            return self._closed(record)
        assert type(record) is wire.Left  # noqa: S101 - the union has no other
        return self._left(record)

    def _observe(self, record: wire.Observation) -> Outcome:
        sensor = self.sensors.get(record.sensor)
        if sensor is None or record.street != sensor.street:
            return (Reason.UNKNOWN_SENSOR if sensor is None else Reason.ELSEWHERE), NOTHING
        pages = self.pages
        pages.changed[sensor.page] = 1
        if pages.pending[sensor.page]:
            pages.touch(sensor.page)
        end = record.end
        plain = record.start == end and record.origin == "real" and record.statistic == "instant"
        outputs: list[Output] | None = None
        if sensor.silences is not None:
            outputs = self._heard(sensor, record)
        reason = Reason.NOT_GOOD if record.quality else Reason.NOT_WATCHED
        generation = self._generation
        for metric, value in record.values.items():
            if record.quality and metric in record.quality:
                continue
            key = metric if plain else series_key(metric, record.statistic, wire.period_s(record.start, end), record.origin)
            series = sensor.series.get(key)
            if series is None or series.generation != generation:
                series = self._series(sensor, metric, record.statistic, wire.period_s(record.start, end), record.origin)
            if not series.watched:
                series.newest = max(series.newest, end)
                continue
            if end > series.newest:
                if end < self.now - REVISE - series.grace:
                    reason = Reason.TOO_LATE
                    continue
                series.newest = end
                series.ends.append(end)
                series.values.append(value)
                reason = Reason.EVALUATED
                if series.ends[0] + series.keep < self.now or len(series.ends) > MOST_READINGS:
                    self._forget(series)
                if series.low < value < series.high:
                    continue
                found = self._reading(series, end, value, record, late=False)
            else:
                late = self._late(series, end, value)
                reason = reason if reason is Reason.EVALUATED else late
                if late is not Reason.LATE and late is not Reason.CORRECTED:
                    continue
                found = self._reading(series, end, value, record, late=True)
            if found:
                outputs = found if outputs is None else outputs + found
        if self._conditions:
            outputs = (outputs or []) + self._judge(record)
        return reason, NOTHING if outputs is None else outputs

    def _late(self, series: Series, end: int, value: float) -> Reason:
        """Put a reading that is not the newest at its place."""
        if end <= series.base or end < self.now - REVISE - series.grace:
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
            if one.leaves is not None:  # judged once all values of the record are there
                self._conditions.setdefault(id(one), (one, []))[1].append(series)
                continue
            news = self._take(one, series, end, value, late=late)
            if news:
                found += self._tell(one, news, record)
            self._schedule(one)
        _rest(series)
        return found

    def _take(self, one: Tracker, series: Series, end: int, value: float, *, late: bool) -> list[News]:
        scene: Scene = one.scene
        if one.samples is not None:
            changed = self._resample(one, scene, series, end)
            return [] if changed is None else self._refold(one, scene, changed)
        if end <= one.floor:
            return []
        if not late and end >= one.reached:
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
            scene: Scene = one.scene
            rings: list[tuple[Ring, int, int]] = []
            births = one.births or {}
            for name, ring, source in _columns(one, scene):
                kind = scene.columns[name]
                if kind is not None and source in changed:
                    samples.of_leaf(kind, source, ring, births[name], record.end)
                rings.append(
                    (ring, fresh_of(scene.rule, one.owner.period_s, None if name == MAIN else scene.rule.also[name].fresh), births[name])
                )
            begin = samples.of_several(rings, one, record.end)
            news = [] if begin is None else self._refold(one, scene, begin)
            if news:
                found += self._tell(one, news, record)
            self._schedule(one)
        return found

    def _refold(self, one: Tracker, scene: Scene, changed: int, moment: folding.Moment | None = None) -> list[News]:
        """Take a tracker on whose samples have changed from `changed` on."""
        ring = one.samples
        assert ring is not None  # noqa: S101 - the callers have changed it
        newest = ring.ends[-1] if ring.ends else NEVER
        ahead = changed == newest and changed > one.seen and changed >= one.reached
        one.seen = max(one.seen, newest)
        if not ahead:
            return folding.again(one, ring, scene.plan, moment or self._moment(one), changed)
        value = ring.values[-1]
        low, high = scene.plan.band(one.mask)
        if one.rests and not isinstance(value, tuple) and low < value < high:
            return []
        return folding.forward(one, ring, scene.plan, moment or self._moment(one), changed, value)

    def _moment(self, one: Tracker) -> folding.Moment:
        rule, meaning, owner = one.rule, one.meaning, one.owner
        fresh = fresh_of(one.scene.rule, owner.period_s)
        return folding.Moment(self.now - grace(owner.period_s), fresh, self.now, lambda opened: identity(rule, meaning, owner.subject, opened))

    def _tell(self, one: Tracker, news: Sequence[News], record: wire.Record | None) -> list[Output]:
        self._open.setdefault(one.rule, {})[id(one)] = one
        ruled = self._rules[one.rule]
        return [revision(each, one, one.owner, ruled, record) for each in news]

    def _schedule(self, one: Tracker) -> None:
        """Note when a tick will have something to decide: one entry that holds for each tracker."""
        scene: Scene = one.scene
        if one.runs is None and one.life is None and (scene.kind is None or not scene.kind.gridded):
            return
        due = folding.due(one, scene.plan)
        if scene.kind is not None and scene.kind.gridded:
            due = min(due, samples.next_grid(scene.kind, one))
        if due < one.due:
            one.due = due
            heappush(self._dues, (due + grace(one.owner.period_s), next(self._order), one))

    def _tick(self, record: wire.Tick) -> Outcome:
        if record.time <= self.now:
            return Reason.LATE_TICK, NOTHING
        self.pages.touch(HEAD)
        self.now = record.time
        outputs: list[Output] = []
        self.listening.tick(record)
        for silence in self.listening.missed():
            outputs += self._missed(silence)
        if self._index.regional:
            outputs += self.statistics.tick(self._index.regional, self.now, self.source, self.sources)
        dues = self._dues
        while dues and dues[0][0] <= record.time:
            at, _, one = heappop(dues)
            if one.owner is not None and one.due + grace(one.owner.period_s) == at:
                one.due = OPEN_END
                outputs += self._decide(one)
        return Reason.TICK, outputs

    def _decide(self, one: Tracker) -> list[Output]:
        ruled = self._rules.get(one.rule)
        if ruled is None or ruled.meaning != one.meaning:
            return []
        scene: Scene = one.scene
        owner = one.owner
        self.pages.touch(owner.page if isinstance(owner, Place) else owner.sensor.page)
        moment = self._moment(one)
        news: list[News] = []
        if scene.kind is not None and scene.kind.gridded:
            made = samples.at_tick(scene.kind, owner, one, moment.horizon)
            if made:
                news += self._refold(one, scene, made[0][0])
        news += folding.tick(one, owner if one.samples is None else one.samples, scene.plan, moment)
        self._schedule(one)
        if isinstance(owner, Series):
            _rest(owner)
        return self._tell(one, news, None) if news else []

    # --- silence ---

    def _heard(self, sensor: Sensor, record: wire.Observation) -> list[Output] | None:
        outputs: list[Output] | None = None
        for silence in (sensor.silences or {}).values():
            if silence.metric not in record.values or record.quality.get(silence.metric) in NOT_HEARD:
                continue
            silence.heard = self.listening.clock(sensor.adapter).listened
            if silence.tracker.mask:
                outputs = (outputs or []) + self._silence(silence, 0.0)
            if not silence.tracker.mask:
                silence.origin = record.origin
        return outputs

    def _missed(self, silence: Silence) -> list[Output]:
        tracker = silence.tracker
        if tracker.owner is not silence:
            return []
        self.pages.touch(silence.sensor.page)
        elapsed = self.listening.silence(silence) / 1e6
        limits = [tier.up.bound.constant for tier in tracker.scene.plan.tiers if tier.up.bound and not tracker.mask >> tier.gravity & 1]
        if any(limit is not None and elapsed >= limit for limit in limits):
            return self._silence(silence, elapsed)
        self.listening.expect(silence)
        return []

    def _silence(self, silence: Silence, elapsed: float) -> list[Output]:
        """Take a sample of silence; no two have one time, so that none hides another."""
        one = silence.tracker
        end = max(self.now, one.seen + 1)
        one.seen = end
        moment = folding.Moment(end, OPEN_END, self.now, self._moment(one).identify)
        news = folding.forward(one, Ring(), one.scene.plan, moment, end, elapsed)
        folding.settle(one, Ring(), one.scene.plan, OPEN_END, end - REVISE)
        self.listening.expect(silence)
        return self._tell(one, news, None) if news else []

    def _listen(self, sensor: Sensor) -> None:
        """Begin to expect a sensor by the rules of silence that concern it."""
        for metric in sensor.metrics:
            for ruled in self._index.main(metric):
                if ruled.rule.measure.kind != "absence" or not concerns(ruled.rule.applies, sensor):
                    continue
                silences = sensor.silences = sensor.silences or {}
                known = silences.get(ruled.rule.id)
                if known is not None and known.tracker.meaning == ruled.meaning:
                    known.tracker.scene = ruled.scene(sensor.attributes)
                    self.listening.expect(known)
                    continue
                one = Tracker(ruled.rule.id, ruled.meaning, NEVER)
                one.seen = self.now
                silence = silences[ruled.rule.id] = Silence(sensor, metric, one, self.listening.clock(sensor.adapter).listened)
                one.owner, one.scene = silence, ruled.scene(sensor.attributes)
                self._go_on(one, silence)
                self.listening.expect(silence)

    # --- control records ---

    def _sensor(self, record: wire.Sensor) -> Outcome:
        known = self.sensors.get(record.sensor)
        if known is not None and record.version <= known.version:
            return Reason.OLD_VERSION, NOTHING
        try:
            body = _sensor_body.decode(record.body)
        except msgspec.DecodeError:
            return Reason.BAD_CONTROL, NOTHING
        outputs: list[Output] = []
        if known is None:
            known = self.sensors[record.sensor] = Sensor(record.sensor)
            known.page = page_of(record.sensor)
            self.pages.touch(known.page)
            self.pages.add(known)
        else:
            self.pages.touch(known.page)
            new = Sensor(record.sensor)
            self._take_facts(new, record, body)
            # What is open belongs to whom it was raised for; to the new ones it is raised anew by the next reading.
            if known.street != new.street or known.department != new.department:
                outputs += self._drop(known, Change.SENSOR_MOVED, lambda _: True)
            outputs += self._drop(known, Change.RULE_CHANGED, lambda rule: not concerns(self._rules[rule].rule.applies, new))
            self._freeze(known)
        stood = self._stands(known) if known.version else set()
        self._take_facts(known, record, body)
        outputs += self._stand(known, stood)
        self._listen(known)
        return Reason.APPLIED, outputs

    def _take_facts(self, sensor: Sensor, record: wire.Sensor, body: _SensorBody) -> None:
        facts = body.sensor
        sensor.version, sensor.street, sensor.name, sensor.attributes = record.version, self._same(record.street), facts.name, facts.attributes
        sensor.department, sensor.domain, sensor.adapter = self._same(facts.department), self._same(facts.domain), self._same(facts.adapter)
        sensor.metrics, sensor.tags, sensor.path = self._same(frozenset(facts.metrics)), self._same(frozenset(facts.tags)), self._same(body.path)
        sensor.names = self._names(body)

    def _same(self, value: T) -> T:
        """Return an equal value that is kept once for all sensors."""
        return self.shared.setdefault(value, value)  # type: ignore[return-value]

    def _names(self, body: _SensorBody) -> tuple[dict[str, str], ...]:
        key = ("names", *body.path, *(text for name in body.names for text in name.values()))
        return self.shared.setdefault(key, body.names)  # type: ignore[return-value]

    def _freeze(self, sensor: Sensor) -> None:
        """What was decided before a change of the sensor stays; limits may be others from here on."""
        for series in sensor.series.values():
            series.generation = -1
            for one in series.trackers.values():
                if one.owner is None:
                    continue
                if one.samples is None:
                    folding.freeze(one, series, one.scene.plan, series.newest)
                else:
                    kind = one.scene.kind
                    newest = max(series.newest, one.samples.ends[-1] if one.samples.ends else NEVER)
                    if kind is not None and not kind.at_readings:
                        newest = self.now - series.grace
                    folding.freeze(one, one.samples, one.scene.plan, newest)
        for key in sensor.places or ():
            place = self.places[key]
            self.pages.touch(place.page)
            _freeze_place(place)

    def _activation(self, record: wire.Activation) -> Outcome:
        known = self._rules.get(record.rule)
        if known is not None and record.version <= known.rule.version:
            return Reason.OLD_VERSION, NOTHING
        try:
            new = Ruled(RuleActivation.model_validate_json(record.body))
        except ValidationError:
            return Reason.BAD_CONTROL, NOTHING
        self.pages.touch(HEAD)
        outputs: list[Output] = []
        if known is not None and known.meaning != new.meaning:
            for one in list(self._open.get(record.rule, {}).values()):
                outputs += self._end(one, Change.RULE_CHANGED)
            if known.rule.measure.kind == "absence":
                for sensor in self.sensors.values():
                    outputs += self._drop(sensor, Change.RULE_CHANGED, lambda rule: rule == record.rule)
            self._open.pop(record.rule, None)
            for key in [key for key in self.places if key.partition("\n")[0] == record.rule]:
                self._forget_place(key)
        self._rules[record.rule] = new
        self.bodies[record.rule] = record.body
        self._index = Index(self._rules.values())
        self._generation += 1
        if isinstance(new.rule.measure, Regional | Background):
            outputs += self._forward_rule(record, new)
        if new.rule.measure.kind == "absence" and new.rule.enabled:
            for sensor in self.sensors.values():
                self.pages.touch(sensor.page)
                self._listen(sensor)
        return Reason.APPLIED, outputs

    def _drop(self, sensor: Sensor, change: Change, which: Callable[[str], bool]) -> list[Output]:
        """Drop a sensor's trackers of some rules, closing their episodes."""
        outputs: list[Output] = []
        for series in sensor.series.values():
            for rule in [rule for rule in series.trackers if which(rule)]:
                one = series.trackers[rule]
                outputs += self._end(one, change)
                series.trackers.pop(rule, None)
            series.generation = -1
        for rule in [rule for rule in sensor.silences or {} if which(rule)]:
            assert sensor.silences is not None  # noqa: S101 - it has one
            outputs += self._end(sensor.silences[rule].tracker, change)
            del sensor.silences[rule]
        sensor.silences = sensor.silences or None
        for ruled in self._index.regional:
            if which(ruled.rule.id):
                outputs += self.statistics.leave(ruled, sensor)
        for key in [key for key in sensor.places or () if which(key.partition("\n")[0])]:
            outputs += self._leave(sensor, key)
        return outputs

    def _end(self, one: Tracker, change: Change) -> list[Output]:
        """Take a tracker out of use, closing its episode; the ids that it gave are not given again."""
        owner, life = one.owner, one.life
        if owner is None:
            return []
        self.pages.touch(owner.page if isinstance(owner, Place) else owner.sensor.page)
        outputs: list[Output] = []
        if life is not None:
            news = close(life, change, self.now if isinstance(owner, Silence) else max(self.now, owner.newest))
            if news is not None:
                outputs = [revision(news, one, owner, self._rules[one.rule], None)]
            if isinstance(owner, Series) and life.told:
                owner.closed = (owner.closed or {}) | {one.rule: max(episode.opened for episode in life.told)}
        self._open.get(one.rule, {}).pop(id(one), None)
        if isinstance(owner, Series):
            owner.generation = -1
        one.owner = one.scene = None
        return outputs

    # --- districts and the city ---

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
        return Reason.APPLIED, outputs

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
                assert one.samples is not None  # noqa: S101 - made with them
                if sample is None:
                    one.samples.remove(end)
                else:
                    one.samples.put(end, sample)
                touched.setdefault(id(one), (one, end))
        settled = region.judged - REVISE - HOUR_GRACE - 2 * micros(measure.length)
        for one, first in touched.values():
            self.pages.touch(one.owner.page if isinstance(one.owner, Place) else one.owner.sensor.page)
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
        key = f"{region.rule}\n{region.region}/{series_key(metric, measure.aggregate.value, length_s, region.origin)}"
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = Place(key, region.region, region.name, page_of(key))
            place.metric, place.statistic, place.period_s, place.origin = metric, statistic, length_s, region.origin
            place.domain = ruled.rule.applies.domain or region.domain
            place.department = ruled.rule.applies.department or region.department
            self.pages.touch(place.page)
            self.pages.add(place)
        one = place.tracker
        if one is None or one.meaning != ruled.meaning:
            one = place.tracker = Tracker(region.rule, ruled.meaning, NEVER)
            one.samples = Ring()
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
        sensor.name, sensor.street, sensor.domain, sensor.department = site.name, site.street, site.domain, site.department
        length_s = micros(measure.length) // 1_000_000
        series = self._bare_series(sensor, ruled.rule.applies.metric, Statistic.MEAN.value, length_s, region.origin)
        one = series.trackers.get(region.rule)
        if one is None or one.meaning != ruled.meaning:
            one = series.trackers[region.rule] = Tracker(region.rule, ruled.meaning, NEVER)
            one.samples = Ring(values=[])
            if series.closed is not None and region.rule in series.closed:
                one.life = Life(after=series.closed[region.rule])
            self._go_on(one, series)
        one.owner, one.scene = series, ruled.scene({})
        return one

    def _left(self, record: wire.Left) -> Outcome:
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

    # --- meetings ---

    def _series(self, sensor: Sensor, metric: str, statistic: str, period_s: int, origin: str) -> Series:
        """Return a series of a sensor, met."""
        series = self._bare_series(sensor, metric, statistic, period_s, origin)
        if series.generation != self._generation:
            self._meet(series)
        return series

    def _bare_series(self, sensor: Sensor, metric: str, statistic: str, period_s: int, origin: str) -> Series:
        key = series_key(metric, statistic, period_s, origin)
        series = sensor.series.get(key)
        if series is None:
            key = self._same(key)
            series = sensor.series[key] = Series(sensor, key, self._same(metric), self._same(statistic), period_s, self._same(origin))
        return series

    def _meet(self, series: Series) -> None:
        """Find what concerns a series; remembered until a rule or the sensor changes."""
        sensor, metric = series.sensor, series.metric
        series.generation = self._generation
        used: list[Tracker] = []
        statistics: list[Ruled] = []
        lookback, watched = 0, False
        for ruled in self._index.main(metric):
            if isinstance(ruled.rule.measure, Regional | Background):
                if regional.covers(ruled.rule, series):
                    statistics.append(ruled)
                    self.statistics.add(ruled, series)
                    lookback = max(lookback, micros(ruled.rule.measure.length) + regional.grace_of(ruled.rule.applies))
                continue
            if ruled.rule.measure.kind == "absence" or not watches(ruled.rule.applies, series) or not concerns(ruled.rule.applies, sensor):
                continue
            scene = ruled.scene(sensor.attributes)
            one = self._in_place(ruled, scene, sensor, series) if scene.past is not None else self._tracker(ruled, scene, series)
            watched = True
            if one is not None:
                used.append(one)
                lookback = max(lookback, scene.lookback)
        for ruled in self._index.also(metric):
            for also in ruled.rule.also.values():
                applies = ruled.rule.applies
                if also.metric != metric or also.statistic.value != series.statistic or not concerns(applies, sensor):
                    continue
                if also.period is not None and also.period.total_seconds() != series.period_s:
                    continue
                watched = True
                lookback = max(lookback, ruled.scene(sensor.attributes).lookback)
                for own in self._main_series(applies, series, alike=also.statistic is not Statistic.INSTANT and also.period is None):
                    one = own.trackers.get(ruled.rule.id)
                    if one is None or one.scene is None or one in used:
                        continue
                    if series.key in {_also_key(one.scene, name, own) for name in ruled.rule.also}:
                        used.append(one)
        series.used_by, series.statistics, series.watched = tuple(used), tuple(statistics), watched or bool(statistics)
        series.keep = REVISE + series.grace + lookback + SLACK
        _rest(series)

    def _main_series(self, applies: Applies, series: Series, *, alike: bool) -> list[Series]:
        """Return the series of a rule's own measure that go with one of its other measures; `alike`: that has the same period."""
        sensor = series.sensor
        instant = applies.statistic is Statistic.INSTANT
        if instant or applies.period is not None or alike:
            period_s = 0 if instant else series.period_s if applies.period is None else round(applies.period.total_seconds())
            return [self._series(sensor, applies.metric, applies.statistic.value, period_s, series.origin)]
        return [own for own in sensor.series.values() if watches(applies, own) and own.origin == series.origin]

    def _tracker(self, ruled: Ruled, scene: Scene, series: Series) -> Tracker:
        one = series.trackers.get(ruled.rule.id)
        if one is None or one.meaning != ruled.meaning:
            one = series.trackers[self._same(ruled.rule.id)] = Tracker(self._same(ruled.rule.id), ruled.meaning, series.newest)
            if scene.kind is not None:
                one.samples = Ring()
            if scene.columns:
                others = {name: series.sensor.series.get(_also_key(scene, name, series)) for name in ruled.rule.also}
                one.samples, one.leaves = Ring(values=[]), {}
                one.births = {MAIN: one.birth} | {name: NEVER if other is None else other.newest for name, other in others.items()}
                for other in series.sensor.series.values():
                    other.generation = other.generation if other is series else -1
            if series.closed is not None and ruled.rule.id in series.closed:
                one.life = Life(after=series.closed[ruled.rule.id])
            self._go_on(one, series)
        one.owner, one.scene = series, scene
        return one

    def _go_on(self, one: Tracker, owner: Owner) -> None:
        """Go on with an open warning of a state that is lost."""
        warning = self._adopted.pop((one.rule, owner.subject), None)
        if warning is None or warning.meaning != one.meaning:
            return
        gravity = GRAVITY[warning.tier]
        began, changed = wire.to_micros(warning.began_at), wire.to_micros(warning.changed_at)
        episode = Episode(
            warning.id,
            began,
            began,
            warning.rev,
            [(began, gravity)],
            [None],
            GRAVITY[warning.peak],
            GRAVITY[warning.peak],
            evidence=written.evidence(warning),
        )
        one.mask = (2 << gravity) - 2
        one.floor = max(one.floor, changed)
        one.seen = max(one.seen, changed)
        one.life = Life(base=one.mask, told=[episode], settled=changed, after=changed)
        one.stretches = [Stretch(one.floor, OPEN_END, one.mask)]

    def _in_place(self, ruled: Ruled, scene: Scene, sensor: Sensor, series: Series) -> Tracker | None:
        """Return the tracker of the place in which a rule sees a sensor; None when the sensor has no such place."""
        at = _stand_of(ruled.rule, sensor)
        if at is None:
            return None
        key = f"{ruled.rule.id}\n{at}/{series.key}"
        place = self.places.get(key)
        if place is None:
            name = sensor.names[0] if sensor.names else {"zh": sensor.street, "en": sensor.street}
            if at != sensor.street:
                name = {language: f"{text} {at.partition(':')[2]}" for language, text in name.items()}
            place = self.places[key] = Place(key, sensor.street, name, page_of(key))
            place.metric, place.statistic, place.period_s, place.origin = series.metric, series.statistic, series.period_s, series.origin
            place.domain = ruled.rule.applies.domain or sensor.domain
            place.department = ruled.rule.applies.department or sensor.department
            self.pages.add(place)
        self.pages.touch(place.page)
        if sensor.id not in place.members:
            place.members[sensor.id] = series
            sensor.places = {**(sensor.places or {}), key: series.key}
        one = place.tracker
        if one is None or one.meaning != ruled.meaning:
            stand = [other.series.get(series.key) for other in self.sensors.values() if _stand_of(ruled.rule, other) == at]
            birth = max([series.newest, *(other.newest for other in stand if other is not None)])
            one = place.tracker = Tracker(ruled.rule.id, ruled.meaning, birth)
            one.samples = Ring(values=[])
            place.newest = max(place.newest, birth)
            self._go_on(one, place)
        one.owner, one.scene = place, ruled.scene({})
        return one

    def _stands(self, sensor: Sensor) -> set[str]:
        """Return where rules of kind `agreement` see a sensor stand: beginnings of places' keys."""
        found = ((ruled.rule.id, _stand_of(ruled.rule, sensor)) for ruled in self._index.agreements)
        return {f"{rule}\n{at}/" for rule, at in found if at is not None}

    def _stand(self, sensor: Sensor, stood: set[str]) -> list[Output]:
        """Take a sensor out of places where it no longer stands; in new ones only what it reads from here on counts."""
        outputs: list[Output] = []
        stands = self._stands(sensor)
        for key in [key for key in sensor.places or () if not any(key.startswith(head) for head in stands)]:
            outputs += self._leave(sensor, key)
        for key, place in self.places.items():
            if any(key.startswith(head) for head in stands - stood):
                self.pages.touch(place.page)
                series = sensor.series.get(key.partition("\n")[2].partition("/")[2])
                place.births[sensor.id] = NEVER if series is None else series.newest
        return outputs

    def _leave(self, sensor: Sensor, key: str) -> list[Output]:
        """Take a sensor out of a place; a place without members is forgotten."""
        assert sensor.places is not None  # noqa: S101 - it has one
        sensor.places = {name: series for name, series in sensor.places.items() if name != key} or None
        place = self.places.get(key)
        if place is None:
            return []
        self.pages.touch(place.page)
        place.members.pop(sensor.id, None)
        place.births.pop(sensor.id, None)
        if place.tracker is None:
            return []
        if place.members:
            _freeze_place(place)
            return []
        outputs = self._end(place.tracker, Change.SENSOR_MOVED)
        self._forget_place(key)
        return outputs

    def _forget_place(self, key: str) -> None:
        place = self.places.pop(key)
        self.pages.touch(place.page)
        self.pages.remove(place)
        for name in place.members:
            member = self.sensors.get(name)
            if member is not None:
                self.pages.touch(member.page)
                member.places = {one: series for one, series in (member.places or {}).items() if one != key} or None

    # --- what is kept ---

    def _forget(self, series: Series) -> None:
        """Drop readings that are too old to be revised or looked back at; of a series that speaks too often the oldest."""
        cut = self.now - series.keep + SLACK
        most = MOST_READINGS if series.keep <= 2 * REVISE + SLACK else 4 * MOST_READINGS
        if len(series.ends) > most:
            at = most // 8
            series.base = max(series.base, series.ends[at - 1])
            cut = max(cut, series.ends[at])
        settled = max(self.now - REVISE - series.grace, series.base + 1)
        for one in series.used_by:
            scene: Scene = one.scene
            fresh = fresh_of(scene.rule, one.owner.period_s)
            if one.samples is None:
                folding.settle(one, series, scene.plan, fresh, cut)
            elif one.samples.ends and one.samples.ends[0] < settled - SLACK:
                folding.settle(one, one.samples, scene.plan, fresh, settled)
                one.samples.cut(settled)
            for ring in (one.leaves or {}).values():
                ring.cut(cut)
        series.cut(cut)


def page_of(key: str) -> int:
    """Return the page on which a sensor or place is written."""
    return 1 + crc32(key.encode()) % (PAGES - 1)


def _stand_of(rule: Rule, sensor: Sensor) -> str | None:
    """Return where a rule of kind `agreement` sees a sensor stand: its street, or a part of it; None when it does not see it."""
    assert isinstance(rule.measure, Agreement)  # noqa: S101 - others do not ask
    if not concerns(rule.applies, sensor):
        return None
    if rule.measure.place == "street":
        return sensor.street
    value = sensor.attributes.get(rule.measure.place.removeprefix("attribute:"))
    return None if value is None else f"{sensor.street}:{value}"


def _freeze_place(place: Place) -> None:
    one = place.tracker
    if one is not None and one.owner is not None and one.samples is not None:
        folding.freeze(one, one.samples, one.scene.plan, place.newest)


def _rest(series: Series) -> None:
    """Say between which values nothing happens as long as all that is concerned rests."""
    low, high = (math.inf, -math.inf) if series.statistics else (-math.inf, math.inf)
    for one in series.used_by:
        if one.scene is None or one.samples is not None or one.runs or one.reached > series.newest:
            low, high = math.inf, -math.inf
            break
        under, over = one.scene.plan.band(one.mask)
        low, high = max(low, under), min(high, over)
    series.low, series.high = low, high


def _also_key(scene: Scene, name: str, own: Series) -> str:
    also = scene.rule.also[name]
    statistic = also.statistic.value
    period_s = round(also.period.total_seconds()) if also.period is not None else 0 if statistic == "instant" else own.period_s
    return series_key(also.metric, statistic, period_s, own.origin)


def _columns(one: Tracker, scene: Scene) -> list[tuple[str, Ring, Series | None]]:
    """Return (name, samples, readings) of each measure of a condition, the rule's own first."""
    own: Series = one.owner
    found: list[tuple[str, Ring, Series | None]] = []
    for name in scene.plan.columns:
        series = own if name == MAIN else own.sensor.series.get(_also_key(scene, name, own))
        if scene.columns[name] is None:
            found.append((name, Ring() if series is None else series, series))
        else:
            assert one.leaves is not None  # noqa: S101 - a condition has them
            found.append((name, one.leaves.setdefault(name, Ring()), series))
    return found
