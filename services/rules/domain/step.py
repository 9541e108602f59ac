"""`step`: one record of one partition in, warnings out. No clock, no I/O: the same records in the same order give the same warnings.

It knows sensors and rules only from control records. Of each series it keeps the newest end: a reading that is not newer is not used
(repeated, corrected or late; counted by its reason).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from heapq import heappop, heappush

from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation, SensorRecord
from schemas.rule import Applies
from schemas.warning import Change, Warning  # noqa: A004 - the field's own word
from services.rules.domain import episodes
from services.rules.domain.state import Reading, RuleState, SensorState, Series, State, Tracker
from services.rules.domain.threshold import Flip, Judge

INSTANT_GRACE = 5_000_000
MINUTE_GRACE = 120_000_000
HOUR_GRACE = 900_000_000
"""How long after it was due a dwell is decided, by the period of the series: late readings may come until then. Microseconds."""


REVISE = 3_600_000_000
"""Older data than this and its grace go to history and trigger nothing: what a device brings after an outage is no alarm of now. Microseconds."""


class Reason(StrEnum):
    """What became of a record; of an observation the most telling of its values'."""

    EVALUATED = "evaluated"
    NOT_WATCHED = "not_watched"
    UNKNOWN_SENSOR = "unknown_sensor"
    ELSEWHERE = "elsewhere"
    """Under another street than the sensor's: it was on its way while the sensor moved, and no later reading would follow it here."""
    REPEATED = "repeated"
    LATE = "late"
    TOO_LATE = "too_late"
    CORRECTED = "corrected"
    """The same end with another value: history takes it; rules keep what they decided."""
    NOT_GOOD = "not_good"
    TICK = "tick"
    LATE_TICK = "late_tick"
    APPLIED = "applied"
    OLD_VERSION = "old_version"
    BAD_CONTROL = "bad_control"
    UNDECODABLE = "undecodable"
    FAILED = "failed"
    """`step` raised, which is a fault of ours: told loudly by its caller, and the next record counts."""


Outcome = tuple[Reason, list[Warning]]
_Meeting = tuple[RuleActivation, Judge, Tracker]


def grace(period_s: int) -> int:
    """Return the grace of a series by its period, in microseconds."""
    if period_s == 0:
        return INSTANT_GRACE
    return MINUTE_GRACE if period_s < 3600 else HOUR_GRACE  # noqa: PLR2004 - an hour


def series_key(metric: str, statistic: str, period_s: int, origin: str) -> str:
    """Return a series' key among its sensor's. What is not real is a series of its own: no drill clears an alarm, none makes one an exercise."""
    key = metric if statistic == "instant" and not period_s else f"{metric}/{statistic}.{period_s}s"
    return key if origin == "real" else f"{key}@{origin}"


class Partition:
    """One partition's state with what is derived from it; `state` is what a snapshot keeps."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self._sensors = {name: SensorRecord.model_validate_json(sensor.body) for name, sensor in self.state.sensors.items()}
        self._rules = {name: RuleActivation.model_validate_json(rule.body) for name, rule in self.state.rules.items()}
        self._judges = {name: Judge(activation.rule) for name, activation in self._rules.items()}
        self._met: dict[str, dict[str, list[_Meeting]]] = {}
        """By sensor and series: which rules meet it, found at its first reading."""

    def step(self, record: wire.Record) -> Outcome:
        """Take one record; changes `state` and returns what it means."""
        if type(record) is wire.Observation:
            return self._observe(record)
        if type(record) is wire.Tick:
            return self._tick(record)
        if type(record) is wire.Sensor:
            return self._sensor(record)
        assert type(record) is wire.Activation  # noqa: S101 - the union has no other
        return self._activation(record)

    def _observe(self, record: wire.Observation) -> Outcome:
        sensor = self.state.sensors.get(record.sensor)
        if sensor is None or record.street != sensor.street:
            return Reason.UNKNOWN_SENSOR if sensor is None else Reason.ELSEWHERE, []
        period_s = wire.period_s(record.start, record.end)
        if record.end < self.state.now - REVISE - grace(period_s):
            return Reason.TOO_LATE, []
        return self._evaluate(record, sensor, period_s)

    def _evaluate(self, record: wire.Observation, sensor: SensorState, period_s: int) -> Outcome:
        reason = Reason.NOT_WATCHED
        warnings: list[Warning] = []
        meetings = self._met.setdefault(record.sensor, {})
        if record.quality:
            reason = Reason.NOT_GOOD
        for metric, value in record.values.items():
            if metric in record.quality:
                continue
            key = series_key(metric, record.statistic, period_s, record.origin)
            met = meetings.get(key)
            if met is None:
                met = self._meet(record.sensor, key, metric, record.statistic, period_s)
            if not met:
                continue
            series = sensor.series[key]
            if record.end <= series.last_end:
                reason = reason if reason is Reason.EVALUATED else _stale(series, record.end, value)
                continue
            series.last_end, series.last_value = record.end, value
            reason = Reason.EVALUATED
            reading = Reading(record.end, value, record.id, record.received, record.origin)
            for activation, judge, tracker in met:
                if flips := judge.feed(tracker, reading):
                    warnings += self._revisions(flips, tracker, series, key, record.sensor, activation)
                if judge.dwells:
                    self._schedule(judge, tracker, series, key, record.sensor)
        return reason, warnings

    def _tick(self, record: wire.Tick) -> Outcome:
        if record.time <= self.state.now:
            return Reason.LATE_TICK, []
        self.state.now = record.time
        warnings: list[Warning] = []
        dues = self.state.dues
        while dues and dues[0][0] <= record.time:
            warnings += self._decide(*heappop(dues))
        return Reason.TICK, warnings

    def _decide(self, at: int, name: str, key: str, rule: str, gravity: int) -> Iterator[Warning]:
        sensor, activation = self.state.sensors.get(name), self._rules.get(rule)
        series = sensor.series.get(key) if sensor else None
        tracker = series.trackers.get(rule) if series else None
        if series is None or tracker is None or activation is None:
            return
        latch = tracker.latches.get(gravity)
        if latch is None or latch.scheduled + grace(series.period_s) != at:
            return  # made for a tracker that was dropped
        latch.scheduled = -1
        judge = self._judges[rule]
        for flips in judge.decide(tracker, self.state.now - grace(series.period_s)):
            yield from self._revisions(flips, tracker, series, key, name, activation)
        self._schedule(judge, tracker, series, key, name)

    def _schedule(self, judge: Judge, tracker: Tracker, series: Series, key: str, sensor: str) -> None:
        """Note when a tick will have something to decide, once for each latch: a run that ends and begins anew adds no entry."""
        for gravity, due in judge.dues(tracker):
            latch = tracker.latches[gravity]
            if latch.scheduled < 0:
                latch.scheduled = due
                heappush(self.state.dues, (due + grace(series.period_s), sensor, key, judge.rule.id, gravity))

    def _revisions(self, flips: list[Flip], tracker: Tracker, series: Series, key: str, sensor: str, activation: RuleActivation) -> list[Warning]:
        """Return the revision of the flips of one moment: the last of them sees all latches as they are now."""
        warning = episodes.after(flips[-1], tracker, series, key, self._sensors[sensor], activation)
        return [] if warning is None else [warning]

    def _sensor(self, record: wire.Sensor) -> Outcome:
        known = self.state.sensors.get(record.sensor)
        if known is not None and record.version <= known.version:
            return Reason.OLD_VERSION, []
        try:
            new = SensorRecord.model_validate_json(record.body)
        except ValidationError:
            return Reason.BAD_CONTROL, []
        warnings: list[Warning] = []
        if known is not None and (known.street != record.street or self._sensors[record.sensor].sensor.department != new.sensor.department):
            # What is open belongs to whom it was raised for; to the new ones it is raised anew by the next reading.
            warnings = self._close_sensor(record.sensor, Change.SENSOR_MOVED, lambda _: True)
        self._met.pop(record.sensor, None)
        self._sensors[record.sensor] = new
        self.state.sensors[record.sensor] = SensorState(record.version, record.street, record.body, known.series if known else {})
        warnings += self._close_sensor(record.sensor, Change.RULE_CHANGED, lambda rule: not self._applies(rule, record.sensor))
        return Reason.APPLIED, warnings

    def _activation(self, record: wire.Activation) -> Outcome:
        known = self.state.rules.get(record.rule)
        if known is not None and record.version <= known.version:
            return Reason.OLD_VERSION, []
        try:
            new = RuleActivation.model_validate_json(record.body)
        except ValidationError:
            return Reason.BAD_CONTROL, []
        old = self._rules.get(record.rule)
        warnings: list[Warning] = []
        if old is not None and old.meaning != new.meaning:
            for sensor in self.state.sensors:
                warnings += self._close_sensor(sensor, Change.RULE_CHANGED, lambda rule: rule == record.rule)
        self._met.clear()
        self._rules[record.rule], self._judges[record.rule] = new, Judge(new.rule)
        self.state.rules[record.rule] = RuleState(record.version, record.body)
        return Reason.APPLIED, warnings

    def _close_sensor(self, name: str, change: Change, which: Callable[[str], bool]) -> list[Warning]:
        """Drop a sensor's trackers of some rules, closing their episodes."""
        closed: list[Warning] = []
        for key, series in self.state.sensors[name].series.items():
            for rule in [rule for rule in series.trackers if which(rule)]:
                tracker = series.trackers.pop(rule)
                at = max(self.state.now, series.last_end, series.told.get(rule, -1))
                if (warning := episodes.close(change, at, tracker, key, self._sensors[name], self._rules[rule])) is not None:
                    series.told[rule] = at
                    closed.append(warning)
        return closed

    def _meet(self, sensor: str, key: str, metric: str, statistic: str, period_s: int) -> list[_Meeting]:
        """Find which rules meet a series, and remember it until a rule or the sensor changes."""
        met: list[_Meeting] = []
        record = self._sensors[sensor]
        for name, activation in sorted(self._rules.items()):
            if not (activation.rule.enabled and concerns(activation.rule.applies, record, metric, statistic)):
                continue
            series = self.state.sensors[sensor].series.setdefault(key, Series(metric, statistic, period_s, -1, 0.0))
            tracker = series.trackers.get(name)
            if tracker is None:
                tracker = series.trackers[name] = self._judges[name].tracker(activation.meaning)
            met.append((activation, self._judges[name], tracker))
        self._met.setdefault(sensor, {})[key] = met
        return met

    def _applies(self, rule: str, sensor: str) -> bool:
        applies = self._rules[rule].rule.applies
        return concerns(applies, self._sensors[sensor], applies.metric, applies.statistic.value)


def concerns(applies: Applies, record: SensorRecord, metric: str, statistic: str) -> bool:
    """Say whether a rule watches a series of a sensor."""
    sensor = record.sensor
    return (
        applies.metric == metric
        and applies.statistic.value == statistic
        and applies.domain in (None, sensor.domain)
        and (applies.sensors is None or sensor.id in applies.sensors)
        and applies.department in (None, sensor.department)
        and (applies.regions is None or not applies.regions.isdisjoint(record.path))
        and applies.tags <= sensor.tags
    )


def _stale(series: Series, end: int, value: float) -> Reason:
    if end < series.last_end:
        return Reason.LATE
    return Reason.REPEATED if value == series.last_value else Reason.CORRECTED
