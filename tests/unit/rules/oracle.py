"""What rules must tell of one partition, worked out the slow way from docs/adr/0008; shares no code with services.rules.

All readings are kept for ever, and after each record the samples, latches, transitions and episodes of each tracker are worked out again from
the first one. Where services.rules marks, schedules and forgets, this looks back. Series of regions (`regional`, `background`) are not in it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import inf
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation, SensorRecord
from schemas.limit import WEEKDAYS, Case, Limits
from schemas.measure import Absence, Agreement, Exceedances, Measure, Rate, Value, Window
from schemas.rule import MAIN, All, Also, Applies, Compare, Condition, Direction, Either, Flapping, Rule, Way
from schemas.tiers import GRAVITY, TIERS

NAMESPACE = uuid.UUID("b0a5d2f4-6d1e-5c57-9a3f-0c6e4d7b8a91")
"""Written down again: the ids of warnings must never change."""
SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Told = dict[str, Any]
"""A warning's JSON."""
Numbers = list[tuple[int, float]]
"""Readings or samples: (end, number) in order of time."""


def grace(period_s: int) -> int:
    return (5 if period_s == 0 else 120 if period_s < 3600 else 900) * SECOND


def micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def json_time(time: int) -> str:
    return (EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")


class Series(NamedTuple):
    """Whose readings."""

    sensor: str
    metric: str
    statistic: str
    period_s: int
    origin: str

    @property
    def key(self) -> str:
        """As a subject has it."""
        key = self.metric if (self.statistic, self.period_s) == ("instant", 0) else f"{self.metric}/{self.statistic}.{self.period_s}s"
        return key if self.origin == "real" else f"{key}@{self.origin}"


# Limits: what holds for these attributes at that time.


def local(time: int, zone: str) -> datetime:
    return (EPOCH + timedelta(microseconds=time)).astimezone(ZoneInfo(zone))


def midnight(day: datetime) -> int:
    """The first moment of a local day."""
    return micros(day.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC) - EPOCH)


def resolve(limit: Limits, attributes: dict[str, str], time: int, zone: str) -> float:
    return next((case.limit for case in limit.cases if case_holds(case, attributes, time, zone)), limit.default)


def case_holds(case: Case, attributes: dict[str, str], time: int, zone: str) -> bool:
    here = local(time, zone)
    minute = here.hour * 60 + here.minute
    if case.attributes is not None and any(attributes.get(name) not in values for name, values in case.attributes.items()):
        return False
    if case.minutes is not None:
        first, after = case.minutes
        if not (first <= minute < after if first < after else minute >= first or minute < after):
            return False
    if case.weekdays is not None and WEEKDAYS[here.weekday()] not in case.weekdays:
        return False
    return case.dates is None or any(dates.first <= here.date() <= dates.last for dates in case.dates)


# Kinds: what makes of readings samples.


@dataclass(frozen=True)
class Frame:
    """What a kind may look at besides readings."""

    rule: Rule
    attributes: dict[str, str]
    horizon: int

    def past(self, limit: Limits, value: float, time: int) -> bool:
        at = resolve(limit, self.attributes, time, self.rule.timezone)
        return value >= at if self.rule.direction is Direction.ABOVE else value <= at


def numbers(measure: Measure, readings: Numbers, frame: Frame) -> Numbers:
    match measure:
        case Value():
            return readings
        case Rate():
            return rates(measure, readings)
        case Window(every=None):
            made = ((end, aggregate(measure, readings, end)) for end, _ in readings)
        case Window():
            made = ((end, aggregate(measure, readings, end)) for end in grid(measure, readings, frame))
        case Exceedances():
            return exceedances(measure, readings, frame)
        case _:
            raise NotImplementedError(measure.kind)
    return [(end, number) for end, number in made if number is not None]


def rates(measure: Rate, readings: Numbers) -> Numbers:
    made = []
    over, per = micros(measure.over), micros(measure.per)
    for end, value in readings:
        first, before = next(one for one in readings if one[0] >= end - over)
        if 2 * (end - first) >= over:
            made.append((end, (value - before) / (end - first) * per))
    return made


def aggregate(measure: Window, readings: Numbers, end: int) -> float | None:
    first = end - micros(measure.length)
    values = [value for at, value in readings if first < at <= end]
    if len(values) < measure.at_least:
        return None
    made: dict[str, Callable[[], float]] = {
        "mean": lambda: sum(values) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "sum": lambda: float(sum(values)),
        "count": lambda: float(len(values)),
    }
    return made[measure.aggregate]()


def days(first: int, zone: str) -> Iterator[tuple[int, int]]:
    """Each local day from that of `first`: its midnight and the next."""
    day = local(first, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    while True:
        yield midnight(day), midnight(day + timedelta(days=1))
        day += timedelta(days=1)


def grid(measure: Window, readings: Numbers, frame: Frame) -> Iterator[int]:
    if not readings or measure.every is None:
        return
    first = readings[0][0]
    for begins, ends in days(first, frame.rule.timezone):
        for at in range(begins, ends, micros(measure.every)):
            if at > frame.horizon:
                return
            if at > first:
                yield at


def exceedances(measure: Exceedances, readings: Numbers, frame: Frame) -> Numbers:
    made: dict[int, float] = {}
    if not readings:
        return []
    past = [end for end, value in readings if frame.past(measure.over, value, end)]
    for begins, ends in days(readings[0][0], frame.rule.timezone):
        if readings[0][0] < begins <= frame.horizon:
            made[begins] = 0.0
        for end, _ in readings:
            if begins <= end < ends:
                made[end] = float(sum(begins <= one <= end for one in past))
        if ends > max(frame.horizon, readings[-1][0]):
            return sorted(made.items())
    raise AssertionError


# Tests of samples.


@dataclass(frozen=True)
class Verdict:
    """What one way says of one sample."""

    truth: bool | None
    value: float
    limit: float | None
    parts: tuple[Told, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A sample with all verdicts on it, so that it can stay as it was judged."""

    at: int
    ups: dict[int, Verdict]
    """By gravity."""
    downs: dict[int, Verdict]
    sensors: tuple[str, ...] = ()


def at_limit(compare: Compare | Direction, limit: float, value: float) -> bool:
    above = compare is Direction.ABOVE if isinstance(compare, Direction) else compare.above is not None
    return value >= limit if above else value <= limit


def other(direction: Direction) -> Direction:
    return Direction.BELOW if direction is Direction.ABOVE else Direction.ABOVE


def holds(condition: Condition, compared: Callable[[Compare], bool | None]) -> bool | None:
    """Kleene's logic."""
    match condition:
        case Compare():
            return compared(condition)
        case All():
            known = [holds(one, compared) for one in condition.all]
            return False if False in known else None if None in known else True
        case Either():
            known = [holds(one, compared) for one in condition.any]
            return True if True in known else None if None in known else False
        case _:
            truth = holds(condition.not_, compared)
            return None if truth is None else not truth


# Latches, transitions, guard, episodes.


class Flip(NamedTuple):
    at: int
    gravity: int
    up: bool
    sample: Sample


class Step(NamedTuple):
    """The tier from `at` on, and what decided it."""

    at: int
    tier: int
    flip: Flip | None


@dataclass
class Episode:
    steps: list[Step]

    @property
    def began(self) -> int:
        return self.steps[0].at

    @property
    def end(self) -> float:
        return inf if self.steps[-1].tier else self.steps[-1].at


def flips(rule: Rule, gravity: int, samples: list[Sample], fresh: int, horizon: float) -> Iterator[Flip]:
    """Go through the samples as one tier's latch does."""
    tier = rule.tiers[TIERS[gravity - 1]]
    on = False
    run: list[Sample] = []
    waiting = list(samples)
    while True:
        way = tier.down if on else tier.up
        sample = waiting[0] if waiting else None
        if run and way.dwell is not None:
            due = run[0].at + micros(way.dwell)
            if sample is None or sample.at >= due:
                if horizon < due:
                    return
                if due - run[-1].at <= fresh:
                    yield Flip(due, gravity, not on, run[-1])
                    on = not on
                run = []
                continue
        if sample is None:
            return
        waiting.pop(0)
        truth = (sample.downs if on else sample.ups)[gravity].truth
        if truth is None:
            continue
        if run and sample.at - run[-1].at > fresh:
            run = []
        run = [*run, sample] if truth else []
        if way.dwell is None and len(run) == way.readings:
            yield Flip(sample.at, gravity, not on, sample)
            on, run = not on, []


def transitions(all_flips: Iterable[Flip]) -> Iterator[Step]:
    on: set[int] = set()
    before = 0
    for at, group in groupby(sorted(all_flips, key=lambda flip: flip.at), key=lambda flip: flip.at):
        together = list(group)
        for flip in together:
            (on.add if flip.up else on.discard)(flip.gravity)
        tier = max(on, default=0)
        if tier != before:
            decider = [flip for flip in together if flip.gravity == max(tier, before)][-1]
            yield Step(at, tier, decider)
        before = tier


def episodes(steps: Iterable[Step], guard: Flapping | None, horizon: float) -> list[Episode]:
    """Put transitions together, through the guard."""
    made: list[Episode] = []
    calm: Step | None = None
    """A transition to 0 that does not count yet."""
    for step in steps:
        if calm is not None and guard is not None:
            counts = calm.at + micros(guard.hold)
            if step.at <= counts:
                calm = None
                if step.tier != made[-1].steps[-1].tier:
                    made[-1].steps.append(step)
                continue
            made[-1].steps.append(calm._replace(at=counts))
            calm = None
        if not made or not made[-1].steps[-1].tier:
            made.append(Episode([step]))
        elif step.tier == 0 and guard is not None and _held(made, guard):
            calm = step
        else:
            made[-1].steps.append(step)
    if calm is not None and guard is not None and horizon >= calm.at + micros(guard.hold):
        made[-1].steps.append(calm._replace(at=calm.at + micros(guard.hold)))
    return made


def _held(made: list[Episode], guard: Flapping) -> bool:
    began = made[-1].began
    return sum(began - micros(guard.within) < one.began <= began for one in made) >= guard.begins


# What is told.


@dataclass
class Tale:
    """What was told of one warning."""

    began: int
    steps: list[tuple[int, int]]
    newest: Told
    gone: bool = False
    """Retracted or merged."""

    @property
    def end(self) -> float:
        return inf if self.steps[-1][1] else self.steps[-1][0]

    @property
    def is_open(self) -> bool:
        return bool(self.newest["state"] == "open")


@dataclass
class Tracker:
    """One rule on one subject, since both were there and until one of them changed."""

    activation: RuleActivation
    subject: str
    head: Told
    """Whose it is: sensor, sensor_name, street, domain, department."""
    series: Series
    """The main one; of a place one without a sensor."""
    group: str | None
    """Of a place: the value of the attribute that its sensors share, if it goes by one."""
    seen: int = 0
    """The newest end."""
    births: dict[Series, int] = field(default_factory=dict)
    """By series: the newest end (of a place that of all members) when the tracker began, or the sensor joined it: what ends at it or before is not of
    the tracker."""
    floor: int = 0
    kept: list[Sample] = field(default_factory=list)
    """The samples at the floor or before, as they were judged."""
    told: list[Tale] = field(default_factory=list)

    @property
    def rule(self) -> Rule:
        return self.activation.rule


@dataclass
class Silence:
    """A rule on a sensor's silence."""

    activation: RuleActivation
    sensor: str
    heard: int
    """The protocol's listening clock when it was heard last, or became known."""
    origin: str = "real"
    on: set[int] = field(default_factory=set)
    runs: dict[int, int] = field(default_factory=dict)
    """By gravity: samples in a row on the way down."""
    tale: Tale | None = None
    """Of the open warning."""
    last: int = -1
    """Time of the newest sample; of several of one tick each is 1 µs after the one before."""


@dataclass
class Listening:
    """How long a protocol's adapters have listened, in µs."""

    clock: int = 0
    last: int | None = None
    resume: int = 0


class Oracle:
    """One partition; `take` returns what is to be told after a record, as the JSON of `schemas.warning.Warning`."""

    def __init__(self) -> None:
        self.now = 0
        self.sensors: dict[str, SensorRecord] = {}
        self.rules: dict[str, RuleActivation] = {}
        self.readings: dict[Series, dict[int, float]] = {}
        self.newest: dict[Series, int] = {}
        self.trackers: dict[tuple[str, str], Tracker] = {}
        self.given: set[str] = set()
        """Ids of trackers that were dropped: they are not given again."""
        """By rule and subject."""
        self.silences: dict[tuple[str, str], Silence] = {}
        """By rule and sensor."""
        self.listening: dict[str, Listening] = {}
        """By protocol."""
        self.reported: dict[str, int] = {}
        """By adapter."""

    def take(self, record: wire.Record) -> list[Told]:
        match record:
            case wire.Observation():
                return self._observation(record)
            case wire.Tick():
                return self._tick(record)
            case wire.Sensor():
                return self._sensor(record)
            case wire.Activation():
                return self._activation(record)
            case _:
                raise NotImplementedError(record)

    # Records.

    def _observation(self, record: wire.Observation) -> list[Told]:
        known = self.sensors.get(record.sensor)
        if known is None or known.sensor.street != record.street:
            return []
        told = self._heard(record)
        period_s = (record.end - record.start) // SECOND
        if record.end < self.now - HOUR - grace(period_s):
            return told
        good = {
            Series(record.sensor, metric, record.statistic, period_s, record.origin): value
            for metric, value in record.values.items()
            if metric not in record.quality
        }
        for series in good:
            self._begin(series)
        new = {series for series, value in good.items() if self.readings.get(series, {}).get(record.end) != value}
        for series, value in good.items():
            self.readings.setdefault(series, {})[record.end] = value
            self.newest[series] = max(self.newest.get(series, record.end), record.end)
        for tracker in self.trackers.values():
            if any(series in good for series in self._series(tracker)):
                if any(series in new for series in self._series(tracker)):
                    tracker.seen = max(tracker.seen, record.end)
                told += self._compare(tracker, record)
        return told

    def _tick(self, record: wire.Tick) -> list[Told]:
        if record.time <= self.now:
            return []
        self.now = record.time
        self._listen(record)
        told = [one for tracker in self.trackers.values() for one in self._compare(tracker, record)]
        return told + [one for silence in self.silences.values() for one in self._silent(silence)]

    def _sensor(self, record: wire.Sensor) -> list[Told]:
        before = self.sensors.get(record.sensor)
        if before is not None and record.version <= before.sensor.version:
            return []
        try:
            new = SensorRecord.model_validate_json(record.body)
        except ValidationError:
            return []
        for tracker in self.trackers.values():
            own = tracker.series._replace(sensor=record.sensor)
            if own == tracker.series or (own in self._series(tracker) and self.readings.get(own)):
                self._freeze(tracker)
            if before is not None and _in_place(tracker, new) and not _in_place(tracker, before):
                tracker.births[own] = self.newest.get(own, 0)
        told = [] if before is None else self._leave(before, new)
        self.sensors[record.sensor] = new
        for tracker in self.trackers.values():
            if tracker.series.sensor == record.sensor:
                tracker.head = _head(new)
        for activation in self.rules.values():
            self._expect(activation, new)
        return told

    def _leave(self, before: SensorRecord, new: SensorRecord) -> list[Told]:
        """Close what a sensor's change ends, as it was before the change."""
        id_ = new.sensor.id
        moved = (new.sensor.street, new.sensor.department) != (before.sensor.street, before.sensor.department)
        change = "sensor_moved" if moved else "rule_changed"
        told = self._close(change, lambda one: one.series.sensor == id_ and (moved or not _covers(one.rule, new)))
        told += self._hush(change, lambda one: one.sensor == id_ and (moved or not _covers(one.activation.rule, new)))
        self.sensors[id_] = new
        if moved:
            self.readings = {series: ends for series, ends in self.readings.items() if series.sensor != id_}
        return told + self._close("sensor_moved", lambda one: _is_place(one) and not any(self.readings.get(series) for series in self._series(one)))

    def _activation(self, record: wire.Activation) -> list[Told]:
        before = self.rules.get(record.rule)
        if before is not None and record.version <= before.rule.version:
            return []
        try:
            new = RuleActivation.model_validate_json(record.body)
        except ValidationError:
            return []
        told: list[Told] = []
        if before is not None and before.meaning != new.meaning:
            told += self._close("rule_changed", lambda one: one.rule.id == record.rule)
            told += self._hush("rule_changed", lambda one: one.activation.rule.id == record.rule)
        self.rules[record.rule] = new
        for tracker in self.trackers.values():
            if tracker.rule.id == record.rule:
                tracker.activation = new
        for silence in self.silences.values():
            if silence.activation.rule.id == record.rule:
                silence.activation = new
        for sensor in self.sensors.values():
            self._expect(new, sensor)
        return told

    # Trackers.

    def _watching(self, sensor: str) -> Iterator[RuleActivation]:
        for _, activation in sorted(self.rules.items()):
            if _covers(activation.rule, self.sensors[sensor]) and not isinstance(activation.rule.measure, Absence):
                yield activation

    def _begin(self, series: Series) -> None:
        """Make the trackers that a reading of this series begins; it is not among the readings yet."""
        for activation in self._watching(series.sensor):
            rule, record = activation.rule, self.sensors[series.sensor]
            main = _main_of(series, rule)
            if main is None:
                continue
            head, group = _head(record), None
            if isinstance(rule.measure, Agreement):
                group = _group(rule.measure, record)
                if rule.measure.place != "street" and group is None:
                    continue
                head, main = _place_head(rule, record, group), series._replace(sensor="")
                where = record.sensor.street if group is None else f"{record.sensor.street}:{group}"
            else:
                where = series.sensor
            subject = f"{where}/{main.key}"
            if (rule.id, subject) in self.trackers:
                continue
            tracker = Tracker(activation, subject, head, main, group)
            newest = {one: self.newest[one] for one in self._series(tracker) if one in self.newest}
            tracker.seen = max(newest.values(), default=0)
            if _is_place(tracker):
                tracker.floor = tracker.seen
                tracker.births = dict.fromkeys(self._series(tracker), tracker.seen)
            else:
                tracker.floor = newest.get(main, 0)
                tracker.births = newest
            self.trackers[rule.id, subject] = tracker

    def _series(self, tracker: Tracker) -> list[Series]:
        """All series whose readings a tracker uses."""
        if _is_place(tracker):
            members = (record for record in self.sensors.values() if _in_place(tracker, record))
            return [tracker.series._replace(sensor=record.sensor.id) for record in members]
        return [tracker.series, *(self._also_series(tracker, name) for name in tracker.rule.also)]

    def _also_series(self, tracker: Tracker, name: str) -> Series:
        main, also = tracker.series, tracker.rule.also[name]
        period_s = also.period // timedelta(seconds=1) if also.period is not None else 0 if also.statistic == "instant" else main.period_s
        return main._replace(metric=also.metric, statistic=also.statistic.value, period_s=period_s)

    def _freeze(self, tracker: Tracker) -> None:
        """What lies at the newest end or before stays as it is."""
        samples = self._samples(tracker)
        measure = tracker.rule.measure
        waits = measure.kind == "window" and measure.every is not None
        settled = self.now - grace(tracker.series.period_s) if waits else tracker.seen
        tracker.floor = max(tracker.floor, settled)
        tracker.kept = [sample for sample in samples if sample.at <= tracker.floor]

    def _horizon(self, tracker: Tracker) -> int:
        return self.now - grace(tracker.series.period_s)

    # Samples.

    def _readings(self, tracker: Tracker, series: Series) -> Numbers:
        return sorted(one for one in self.readings.get(series, {}).items() if one[0] > tracker.births.get(series, 0))

    def _numbers(self, tracker: Tracker) -> dict[str, Numbers]:
        """By measure: its samples."""
        if _is_place(tracker):
            return {}
        rule = tracker.rule
        frame = Frame(rule, self.sensors[tracker.series.sensor].sensor.attributes, self._horizon(tracker))
        measured = {MAIN: numbers(rule.measure, self._readings(tracker, tracker.series), frame)}
        for name, also in rule.also.items():
            measured[name] = numbers(also.measure, self._readings(tracker, self._also_series(tracker, name)), frame)
        return measured

    def _samples(self, tracker: Tracker) -> list[Sample]:
        if _is_place(tracker):
            return tracker.kept + [one for one in self._agreements(tracker) if one.at > tracker.floor]
        measured = self._numbers(tracker)
        ends = sorted({end for made in measured.values() for end, _ in made if end > tracker.floor})
        attributes = self.sensors[tracker.series.sensor].sensor.attributes
        return tracker.kept + [self._judge(tracker, measured, end, attributes) for end in ends]

    def _agreements(self, tracker: Tracker) -> Iterator[Sample]:
        measure = tracker.rule.measure
        assert isinstance(measure, Agreement)
        members = {series: self._readings(tracker, series) for series in self._series(tracker)}
        for at in sorted({end for readings in members.values() for end, _ in readings}):
            past = []
            for series, readings in members.items():
                frame = Frame(tracker.rule, self.sensors[series.sensor].sensor.attributes, 0)
                standing = [value for end, value in readings if at - micros(measure.within) < end <= at]
                if standing and frame.past(measure.past, standing[-1], at):
                    past.append(series.sensor)
            sample = self._judge(tracker, {MAIN: [(at, float(len(past)))]}, at, {})
            yield Sample(at, sample.ups, sample.downs, tuple(sorted(past)[:100]))

    def _judge(self, tracker: Tracker, measured: dict[str, Numbers], at: int, attributes: dict[str, str]) -> Sample:
        rule = tracker.rule
        own = self._standing(tracker, MAIN, measured[MAIN], at)
        standing = {name: self._standing(tracker, name, made, at) for name, made in measured.items()}

        def limit_of(limit: Limits) -> float:
            return resolve(limit, attributes, at, rule.timezone)

        def part(compare: Compare) -> Told:
            value, bound = standing[compare.measure], limit_of(compare.above or compare.below or Limits(default=0))
            return {
                "measure": compare.measure,
                "metric": rule.applies.metric if compare.measure == MAIN else rule.also[compare.measure].metric,
                "value": value,
                "direction": "above" if compare.above is not None else "below",
                "limit": bound,
                "holds": None if value is None else at_limit(compare, bound, value),
            }

        def verdict(way: Way, side: Direction) -> Verdict:
            if way.when is None:
                assert way.limit is not None
                bound = limit_of(way.limit)
                return Verdict(None if own is None else at_limit(side, bound, own), own or 0.0, bound)
            parts = tuple(part(compare) for compare in way.compares())
            known = [one["value"] for one in parts if one["value"] is not None]
            main = standing[MAIN]
            value = main if main is not None else next(iter(known), 0.0)
            return Verdict(holds(way.when, lambda compare: part(compare)["holds"]), value, None, parts)

        gravities = {GRAVITY[tier]: step for tier, step in rule.tiers.items()}
        ups = {gravity: verdict(step.up, rule.direction) for gravity, step in gravities.items()}
        downs = {gravity: verdict(step.down, other(rule.direction)) for gravity, step in gravities.items()}
        return Sample(at, ups, downs)

    def _standing(self, tracker: Tracker, name: str, made: Numbers, at: int) -> float | None:
        """A measure's newest number, unless it is too old."""
        newest = next((one for one in reversed(made) if one[0] <= at), None)
        return None if newest is None or at - newest[0] > self._fresh(tracker, name) else newest[1]

    def _fresh(self, tracker: Tracker, name: str = MAIN) -> int:
        rule = tracker.rule
        given = (rule.also[name].fresh if name in rule.also else None) or rule.fresh
        every = rule.measure.every if isinstance(rule.measure, Window) else None
        return micros(given) if given is not None else max(10 * MINUTE, 3 * tracker.series.period_s * SECOND, 3 * micros(every or timedelta()))

    # What is told.

    def _compare(self, tracker: Tracker, record: wire.Record) -> list[Told]:
        rule, horizon = tracker.rule, self._horizon(tracker)
        samples, fresh = self._samples(tracker), self._fresh(tracker)
        all_flips = [flip for tier in rule.tiers for flip in flips(rule, GRAVITY[tier], samples, fresh, horizon)]
        present = episodes(transitions(all_flips), rule.flapping, horizon)
        told: list[Told] = []
        owners: dict[int, Tale] = {}
        for tale in sorted((one for one in tracker.told if not one.gone), key=lambda one: one.began):
            at = next((i for i, one in enumerate(present) if tale.began < one.end and one.began < tale.end), None)
            if at is None or at in owners:
                tale.gone = True
                told.append(self._end(tracker, tale, "retracted" if at is None else "merged", owners[at].newest["id"] if at is not None else None))
            else:
                owners[at] = tale
        for at, episode in enumerate(present):
            if at in owners:
                told += self._go_on(tracker, owners[at], episode, record)
            else:
                told += self._steps(tracker, self._tale(tracker, episode), episode, record, 0)
        return told

    def _tale(self, tracker: Tracker, episode: Episode) -> Tale:
        """Whose an episode is that is nobody's: one that is gone and comes again, or a new one."""
        at = episode.began
        taken = {one.newest["id"]: one for one in tracker.told}
        before = taken.get(self._id(tracker, at))
        if before is not None and before.gone:
            before.gone = False
            before.began, before.steps = at, []
            return before
        while self._id(tracker, at) in taken or self._id(tracker, at) in self.given:
            at += 1
        tale = Tale(episode.began, [], {"id": self._id(tracker, at), "rev": 0})
        tracker.told.append(tale)
        return tale

    def _id(self, tracker: Tracker, at: int) -> str:
        return str(uuid.uuid5(NAMESPACE, f"{tracker.rule.id}\n{tracker.activation.meaning}\n{tracker.subject}\n{at}"))

    def _go_on(self, tracker: Tracker, tale: Tale, episode: Episode, record: wire.Record) -> list[Told]:
        """Tell how an episode that was told differs now."""
        steps = [(step.at, step.tier) for step in episode.steps]
        if steps[: len(tale.steps)] == tale.steps:
            return self._steps(tracker, tale, episode, record, len(tale.steps))
        before, after = tale.steps[-1][1], steps[-1][1]
        change = (
            "revised" if before == after else "recovered" if not after else "reopened" if not before else "raised" if after > before else "lowered"
        )
        tale.began, tale.steps = episode.began, steps
        return [self._revision(tracker, tale, change, episode.steps, record)]

    def _steps(self, tracker: Tracker, tale: Tale, episode: Episode, record: wire.Record, first: int) -> list[Told]:
        """One revision for each step from the `first`."""
        told = []
        for count in range(first + 1, len(episode.steps) + 1):
            steps = episode.steps[:count]
            after, before = steps[-1].tier, steps[-2].tier if count > 1 else 0
            change = "recovered" if not after else "raised" if after > before else "lowered"
            if count == 1:
                change = "reopened" if tale.newest["rev"] else "opened"
            tale.steps = [(step.at, step.tier) for step in steps]
            told.append(self._revision(tracker, tale, change, steps, record))
        return told

    def _revision(self, tracker: Tracker, tale: Tale, change: str, steps: list[Step], record: wire.Record) -> Told:
        last = steps[-1]
        tier = last.tier or steps[-2].tier
        tale.newest = {
            "id": tale.newest["id"],
            "rev": tale.newest["rev"] + 1,
            **_names(tracker.activation, tracker.subject, tracker.head),
            "state": "open" if last.tier else "cleared",
            "tier": TIERS[tier - 1],
            "peak": TIERS[max(step.tier for step in steps) - 1],
            "change": change,
            "began_at": json_time(steps[0].at),
            "changed_at": json_time(last.at),
            "cleared_at": None if last.tier else json_time(last.at),
            "merged_into": None,
            "origin": tracker.series.origin,
            "evidence": self._evidence(tracker, last, record),
        }
        return tale.newest

    def _evidence(self, tracker: Tracker, step: Step, record: wire.Record) -> Told:
        assert step.flip is not None
        rule, sample = tracker.rule, step.flip.sample
        own = record if isinstance(record, wire.Observation) and record.end == sample.at else None
        return {
            **_decided(rule, step.flip, tracker.series),
            **_clears(rule, sample.at, step.tier, {} if _is_place(tracker) else self.sensors[tracker.series.sensor].sensor.attributes),
            "sensors": list(sample.sensors),
            "observation": own.id if own else None,
            "received_at": json_time(own.received) if own else None,
        }

    def _end(self, tracker: Tracker, tale: Tale, change: str, into: str | None = None) -> Told:
        """Close an episode without a step of its own."""
        newest = tracker.seen if _is_place(tracker) else self.newest.get(tracker.series, 0)
        at = self.now if change in {"retracted", "merged"} else max(self.now, newest)
        tale.newest = _ended(tale, change, at, _names(tracker.activation, tracker.subject, tracker.head), into)
        return tale.newest

    def _close(self, change: str, which: Callable[[Tracker], bool]) -> list[Told]:
        """Drop trackers."""
        dropped = [name for name, tracker in self.trackers.items() if which(tracker)]
        trackers = [self.trackers.pop(name) for name in dropped]
        self.given |= {tale.newest["id"] for tracker in trackers for tale in tracker.told}
        return [self._end(tracker, tale, change) for tracker in trackers for tale in tracker.told if tale.is_open]

    # Silence, in time of ticks.

    def _clock(self, sensor: str) -> Listening:
        return self.listening.setdefault(self.sensors[sensor].sensor.adapter, Listening())

    def _listen(self, record: wire.Tick) -> None:
        moved = {name.split("@")[0] for name, time in record.adapters.items() if time > self.reported.get(name, -1)}
        self.reported.update(record.adapters)
        for protocol in moved:
            one = self.listening.setdefault(protocol, Listening())
            if one.last is not None and record.time - one.last <= 5 * SECOND:
                one.clock += record.time - one.last
            else:
                one.resume = one.clock
            one.last = record.time

    def _expect(self, activation: RuleActivation, record: SensorRecord) -> None:
        """Begin to listen for a sensor that a rule on silence watches."""
        name = (activation.rule.id, record.sensor.id)
        wanted = isinstance(activation.rule.measure, Absence) and _covers(activation.rule, record)
        if wanted and activation.rule.applies.metric in record.sensor.metrics and name not in self.silences:
            self.silences[name] = Silence(activation, record.sensor.id, self._clock(record.sensor.id).clock)

    def _heard(self, record: wire.Observation) -> list[Told]:
        told = []
        for silence in self.silences.values():
            metric = silence.activation.rule.applies.metric
            if silence.sensor == record.sensor and metric in record.values and record.quality.get(metric) not in {"fault", "no_signal"}:
                silence.heard, silence.origin = self._clock(silence.sensor).clock, record.origin
                told += self._hear(silence, 0.0)
        return told

    def _silent(self, silence: Silence) -> list[Told]:
        one = self._clock(silence.sensor)
        seconds = (one.clock - max(silence.heard, one.resume)) / SECOND
        sample = self._silence_sample(silence, seconds)
        return self._hear(silence, seconds) if any(up.truth and gravity not in silence.on for gravity, up in sample.ups.items()) else []

    def _silence_sample(self, silence: Silence, seconds: float) -> Sample:
        rule, attributes = silence.activation.rule, self.sensors[silence.sensor].sensor.attributes
        at = max(self.now, silence.last + 1)

        def verdict(way: Way, side: Direction) -> Verdict:
            assert way.limit is not None
            bound = resolve(way.limit, attributes, at, rule.timezone)
            return Verdict(at_limit(side, bound, seconds), seconds, bound)

        tiers = {GRAVITY[tier]: step for tier, step in rule.tiers.items()}
        ups = {gravity: verdict(step.up, Direction.ABOVE) for gravity, step in tiers.items()}
        return Sample(at, ups, {gravity: verdict(step.down, Direction.BELOW) for gravity, step in tiers.items()})

    def _hear(self, silence: Silence, seconds: float) -> list[Told]:
        """One sample goes through the latches at once: there is no late one."""
        rule, sample = silence.activation.rule, self._silence_sample(silence, seconds)
        before, decided = max(silence.on, default=0), {}
        silence.last = sample.at
        for tier, step in rule.tiers.items():
            gravity = GRAVITY[tier]
            up = gravity not in silence.on
            run = silence.runs.pop(gravity, 0)
            if not (sample.ups if up else sample.downs)[gravity].truth:
                continue
            run += 1
            if up or run == step.down.readings:
                decided[gravity] = Flip(sample.at, gravity, up, sample)
                (silence.on.add if up else silence.on.discard)(gravity)
            else:
                silence.runs[gravity] = run
        after = max(silence.on, default=0)
        return [self._break(silence, before, after, decided[max(before, after)])] if before != after else []

    def _break(self, silence: Silence, before: int, after: int, flip: Flip) -> Told:
        activation, record = silence.activation, self.sensors[silence.sensor]
        rule, subject = activation.rule, f"{silence.sensor}/{activation.rule.applies.metric}"
        if silence.tale is None:
            name = f"{rule.id}\n{activation.meaning}\n{subject}\n{flip.at}"
            silence.tale = Tale(flip.at, [], {"id": str(uuid.uuid5(NAMESPACE, name)), "rev": 0, "origin": silence.origin})
        tale = silence.tale
        tale.steps.append((flip.at, after))
        change = "recovered" if not after else "opened" if not before else "raised" if after > before else "lowered"
        tale.newest = {
            "id": tale.newest["id"],
            "rev": tale.newest["rev"] + 1,
            **_names(activation, subject, _head(record)),
            "state": "open" if after else "cleared",
            "tier": TIERS[(after or before) - 1],
            "peak": TIERS[max(tier for _, tier in tale.steps) - 1],
            "change": change,
            "began_at": json_time(tale.began),
            "changed_at": json_time(flip.at),
            "cleared_at": None if after else json_time(flip.at),
            "merged_into": None,
            "origin": tale.newest["origin"],
            "evidence": {
                **_decided(rule, flip, Series(silence.sensor, rule.applies.metric, "instant", 0, silence.origin)),
                **_clears(rule, flip.at, after, record.sensor.attributes),
                "sensors": [],
                "observation": None,
                "received_at": None,
            },
        }
        told = tale.newest
        silence.tale = tale if after else None
        return told

    def _hush(self, change: str, which: Callable[[Silence], bool]) -> list[Told]:
        """Listen no more."""
        names = [name for name, silence in self.silences.items() if which(silence)]
        told = []
        for silence in [self.silences.pop(name) for name in names]:
            if silence.tale is not None:
                subject = f"{silence.sensor}/{silence.activation.rule.applies.metric}"
                told.append(_ended(silence.tale, change, self.now, _names(silence.activation, subject, _head(self.sensors[silence.sensor]))))
        return told


# The parts of a warning.


def _names(activation: RuleActivation, subject: str, head: Told) -> Told:
    rule = activation.rule
    whose = {"rule": rule.id, "rule_version": rule.version, "meaning": activation.meaning, "rule_name": rule.name.model_dump()}
    return {**whose, "tags": sorted(rule.tags), "subject": subject, **head}


def _head(record: SensorRecord) -> Told:
    sensor = record.sensor
    return {
        "sensor": sensor.id,
        "sensor_name": sensor.name.model_dump(),
        "street": sensor.street,
        "domain": sensor.domain.value,
        "department": sensor.department,
    }


def _place_head(rule: Rule, record: SensorRecord, group: str | None) -> Told:
    sensor, applies = record.sensor, rule.applies
    names = record.names[0].model_dump() if record.names else {"zh": sensor.street, "en": sensor.street}
    return {
        "sensor": None,
        "sensor_name": {language: one if group is None else f"{one} {group}" for language, one in names.items()},
        "street": sensor.street,
        "domain": (applies.domain or sensor.domain).value,
        "department": applies.department or sensor.department,
    }


def _ended(tale: Tale, change: str, now: int, names: Told, into: str | None = None) -> Told:
    at = json_time(max(tale.steps[-1][0], now))
    evidence = {**tale.newest["evidence"], "clears": None, "clears_at": None}
    rest = {"state": "cleared", "change": change, "changed_at": at, "cleared_at": at, "merged_into": into, "evidence": evidence}
    return {**tale.newest, **names, "rev": tale.newest["rev"] + 1, **rest}


def _decided(rule: Rule, flip: Flip, series: Series) -> Told:
    """The part of evidence that tells what was decided by what."""
    step, measure = rule.tiers[TIERS[flip.gravity - 1]], rule.measure
    way = step.up if flip.up else step.down
    verdict = (flip.sample.ups if flip.up else flip.sample.downs)[flip.gravity]
    match measure:
        case Window():
            window: float | None = measure.length.total_seconds()
        case Rate():
            window = measure.over.total_seconds()
        case Agreement():
            window = measure.within.total_seconds()
        case _:
            window = None
    return {
        "metric": series.metric,
        "measure": measure.kind if way.when is None else "condition",
        "value": verdict.value,
        "unit": rule.unit,
        "limit": verdict.limit,
        "direction": rule.direction.value,
        "readings": way.readings if way.dwell is None else None,
        "dwell_s": way.dwell.total_seconds() if way.dwell is not None else None,
        "statistic": series.statistic,
        "period_s": series.period_s,
        "window_s": window,
        "standard": rule.standard.model_dump() if rule.standard else None,
        "parts": list(verdict.parts),
        "background": None,
        "observed_at": json_time(flip.sample.at),
    }


def _clears(rule: Rule, at: int, tier: int, attributes: dict[str, str]) -> Told:
    """What would clear it from now on: by what the sensor is now, at the hour of the sample that decided."""
    if not tier:
        return {"clears_at": None, "clears": None}
    way = rule.tiers[TIERS[tier - 1]].down
    limit = None if way.limit is None else resolve(way.limit, attributes, at, rule.timezone)
    dwell = way.dwell.total_seconds() if way.dwell is not None else None
    clears = {"limit": limit, "direction": other(rule.direction).value, "readings": way.readings if dwell is None else None, "dwell_s": dwell}
    return {"clears_at": limit, "clears": clears}


# Who watches whom.


def _covers(rule: Rule, record: SensorRecord) -> bool:
    applies, sensor = rule.applies, record.sensor
    wanted = [
        rule.enabled,
        applies.domain is None or applies.domain == sensor.domain,
        applies.sensors is None or sensor.id in applies.sensors,
        applies.regions is None or any(region in applies.regions for region in record.path),
        applies.department is None or applies.department == sensor.department,
        all(tag in sensor.tags for tag in applies.tags),
    ]
    return all(wanted)


def _is_of(series: Series, watched: Applies | Also) -> bool:
    same = (series.metric, series.statistic) == (watched.metric, watched.statistic)
    return same and (watched.period is None or watched.period == timedelta(seconds=series.period_s))


def _main_of(series: Series, rule: Rule) -> Series | None:
    """The main series of a rule that watches this one, as far as it can be told."""
    applies = rule.applies
    if _is_of(series, applies):
        return series
    for also in rule.also.values():
        if _is_of(series, also):
            same = also.period is None and also.statistic != "instant"
            given = applies.period // timedelta(seconds=1) if applies.period is not None else 0 if applies.statistic == "instant" else None
            period_s = series.period_s if given is None and same else given
            if period_s is not None and (not same or period_s == series.period_s):
                return series._replace(metric=applies.metric, statistic=applies.statistic.value, period_s=period_s)
    return None


def _is_place(tracker: Tracker) -> bool:
    return isinstance(tracker.rule.measure, Agreement)


def _group(measure: Agreement, record: SensorRecord) -> str | None:
    return None if measure.place == "street" else record.sensor.attributes.get(measure.place.removeprefix("attribute:"))


def _in_place(tracker: Tracker, record: SensorRecord) -> bool:
    measure = tracker.rule.measure
    if not isinstance(measure, Agreement) or record.sensor.street != tracker.head["street"]:
        return False
    return _covers(tracker.rule, record) and _group(measure, record) == tracker.group
