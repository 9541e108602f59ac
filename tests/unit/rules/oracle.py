"""What the rules of kind `threshold` must tell of one partition, worked out the slow way from the design's words; shares no code with services.rules.

Each tier keeps all readings since it last changed and looks through them again from the first at every record. Where services.rules counts
and schedules, this looks back.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation, SensorRecord
from schemas.rule import Direction, Rule, Way
from schemas.tiers import TIERS, Tier

NAMESPACE = uuid.UUID("b0a5d2f4-6d1e-5c57-9a3f-0c6e4d7b8a91")
"""Written down again: the ids of warnings must never change."""
SECOND = 1_000_000

Told = dict[str, Any]
"""A warning's JSON."""


@dataclass
class Use:
    """A reading that a rule uses."""

    end: int
    value: float
    observation: str
    received: int
    origin: str


@dataclass
class Flip:
    """A tier has changed."""

    at: int
    by_reading: bool
    tier: Tier
    reading: Use
    way: Way


@dataclass
class TierLife:
    """One tier of one rule on one series."""

    tier: Tier
    up: Way
    down: Way
    above: bool
    on: bool = False
    readings: list[Use] = field(default_factory=list)
    """Since it last changed."""

    @property
    def way(self) -> Way:
        return self.down if self.on else self.up

    def past(self, reading: Use) -> bool:
        higher = self.above is not self.on
        return reading.value >= self.way.limit if higher else reading.value <= self.way.limit

    def read(self, reading: Use) -> Flip | None:
        """A reading has come; what counts readings is decided now."""
        self.readings.append(reading)
        return self._counted() if self.way.dwell is None else None

    def tick(self, time: int, grace: int) -> list[Flip]:
        """Time has come to `time`; returns all that is decided by that, one after the other."""
        flips = []
        while (flip := self._counted() if self.way.dwell is None else self._lasted(time - grace)) is not None:
            flips.append(flip)
        return flips

    def _counted(self) -> Flip | None:
        count = self.way.readings
        for at in range(count, len(self.readings) + 1):
            row = self.readings[at - count : at]
            if all(self.past(reading) for reading in row):
                return self._turn(Flip(row[-1].end, True, self.tier, row[-1], self.way), self.readings[at:])
        return None

    def _lasted(self, until: int) -> Flip | None:
        dwell = (self.way.dwell or timedelta()) // timedelta(microseconds=1)
        for at, first in enumerate(self.readings):
            begins = self.past(first) and (at == 0 or not self.past(self.readings[at - 1]))
            if not begins:
                continue
            due = first.end + dwell
            inside = [reading for reading in self.readings[at:] if reading.end < due]
            if all(self.past(reading) for reading in inside):
                return None if due > until else self._turn(Flip(due, False, self.tier, inside[-1], self.way), self.readings[at + len(inside) :])
        return None

    def _turn(self, flip: Flip, rest: list[Use]) -> Flip:
        self.on = not self.on
        self.readings = rest
        return flip


@dataclass
class Life:
    """One rule on one series, from when both were there until one of them changed."""

    tiers: list[TierLife]
    meaning: int
    period_s: int
    metric: str
    statistic: str
    episode: Told | None = None
    """The newest revision of the open warning."""

    @property
    def grace(self) -> int:
        return _grace(self.period_s)

    @property
    def tier(self) -> Tier | None:
        return max((life.tier for life in self.tiers if life.on), key=TIERS.index, default=None)


@dataclass
class SensorLife:
    """A sensor and what was read of it."""

    version: int
    record: SensorRecord
    newest: dict[str, int] = field(default_factory=dict)
    """By series: the end of the newest reading used."""
    lives: dict[tuple[str, str], Life] = field(default_factory=dict)
    """By series and rule."""
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    """By series and rule: the event time of what was told last."""


class Oracle:
    """One partition; `take` returns what is to be told after a record, as the JSON of `schemas.warning.Warning`."""

    def __init__(self) -> None:
        self.now = 0
        self.sensors: dict[str, SensorLife] = {}
        self.rules: dict[str, RuleActivation] = {}

    def take(self, record: wire.Record) -> list[Told]:
        match record:
            case wire.Observation():
                return self._observation(record)
            case wire.Tick():
                return self._tick(record.time)
            case wire.Sensor():
                return self._sensor(record)
            case wire.Activation():
                return self._activation(record)

    def _observation(self, record: wire.Observation) -> list[Told]:
        sensor = self.sensors.get(record.sensor)
        if sensor is None or sensor.record.sensor.street != record.street:
            return []
        told = []
        period_s = (record.end - record.start) // SECOND
        if record.end < self.now - 3600 * SECOND - _grace(period_s):
            return []
        for metric, value in record.values.items():
            key = metric if record.statistic == "instant" and period_s == 0 else f"{metric}/{record.statistic}.{period_s}s"
            key += "" if record.origin == "real" else f"@{record.origin}"
            rules = [rule for rule in self._watching(sensor, metric, record.statistic) if rule.rule.enabled]
            if metric in record.quality or not rules or record.end <= sensor.newest.get(key, -1):
                continue
            sensor.newest[key] = record.end
            for activation in rules:
                life = sensor.lives.setdefault((key, activation.rule.id), _life(activation, metric, record.statistic, period_s))
                use = Use(record.end, value, record.id, record.received, record.origin)
                flips = [flip for tier in life.tiers if (flip := tier.read(use)) is not None]
                told += self._tell(sensor, key, activation, life, [flips])
        return told

    def _tick(self, time: int) -> list[Told]:
        if time <= self.now:
            return []
        self.now = time
        told = []
        for sensor in self.sensors.values():
            for (key, rule), life in sensor.lives.items():
                on_before = {tier.tier: tier.on for tier in life.tiers}
                flips = [flip for tier in life.tiers for flip in tier.tick(time, life.grace)]
                moments = sorted({(flip.at, flip.by_reading) for flip in flips})
                groups = [[flip for flip in flips if (flip.at, flip.by_reading) == moment] for moment in moments]
                told += self._tell(sensor, key, self.rules[rule], life, groups, on_before)
        return told

    def _tell(
        self,
        sensor: SensorLife,
        key: str,
        activation: RuleActivation,
        life: Life,
        groups: list[list[Flip]],
        on_before: dict[Tier, bool] | None = None,
    ) -> list[Told]:
        """Tell of the flips of one moment after the other."""
        told = []
        on = on_before if on_before is not None else {tier.tier: tier.on for tier in life.tiers}
        for flips in groups:
            if on_before is not None:
                on |= {flip.tier: not on[flip.tier] for flip in flips}
            gravest = max((tier for tier, is_on in on.items() if is_on), key=TIERS.index, default=None)
            before = life.episode["tier"] if life.episode else None
            if gravest != before:
                decider = max(flips, key=lambda flip: TIERS.index(flip.tier))
                told.append(self._revision(sensor, key, activation, life, decider, gravest))
        return told

    def _revision(self, sensor: SensorLife, key: str, activation: RuleActivation, life: Life, flip: Flip, tier: Tier | None) -> Told:
        rule, subject = activation.rule, f"{sensor.record.sensor.id}/{key}"
        before = life.episode
        last = sensor.told.get((key, rule.id), -1)
        at = sensor.told[key, rule.id] = max(flip.at, last if before else last + 1)
        evidence = {
            "metric": life.metric,
            "value": flip.reading.value,
            "unit": rule.unit,
            "limit": flip.way.limit,
            "direction": rule.direction.value,
            "readings": flip.way.readings if flip.way.dwell is None else None,
            "dwell_s": flip.way.dwell.total_seconds() if flip.way.dwell else None,
            "statistic": life.statistic,
            "period_s": life.period_s,
            "standard": rule.standard,
            "clears_at": rule.tiers[tier].down.limit if tier else None,
            "observation": flip.reading.observation,
            "observed_at": _time(flip.reading.end),
            "received_at": _time(flip.reading.received),
        }
        if before is None:
            name = f"{rule.id}\n{activation.meaning}\n{subject}\n{at}"
            head = {"id": str(uuid.uuid5(NAMESPACE, name)), "rev": 1, "peak": tier, "began_at": _time(at), "origin": flip.reading.origin}
            change = "opened"
        else:
            peak = before["peak"] if tier is None else max(before["peak"], tier, key=TIERS.index)
            head = {**_kept(before), "rev": before["rev"] + 1, "peak": peak}
            change = "recovered" if tier is None else "raised" if TIERS.index(tier) > TIERS.index(before["tier"]) else "lowered"
        shown = before["tier"] if tier is None and before else tier
        told = _full(head, sensor.record, activation, key, evidence, {"tier": shown, "change": change, "at": at, "open": tier is not None})
        life.episode = told if tier else None
        return told

    def _sensor(self, record: wire.Sensor) -> list[Told]:
        known = self.sensors.get(record.sensor)
        if known is not None and record.version <= known.version:
            return []
        try:
            new = SensorRecord.model_validate_json(record.body)
        except ValidationError:
            return []
        if known is None:
            self.sensors[record.sensor] = SensorLife(record.version, new)
            return []
        told = []
        if (new.sensor.street, new.sensor.department) != (known.record.sensor.street, known.record.sensor.department):
            told += self._end(known, "sensor_moved", list(known.lives))
        known.version, known.record = record.version, new
        gone = [(key, rule) for key, rule in known.lives if not _concerns(self.rules[rule].rule, new)]
        return told + self._end(known, "rule_changed", gone)

    def _activation(self, record: wire.Activation) -> list[Told]:
        known = self.rules.get(record.rule)
        if known is not None and record.version <= known.rule.version:
            return []
        try:
            new = RuleActivation.model_validate_json(record.body)
        except ValidationError:
            return []
        told = []
        if known is not None and known.meaning != new.meaning:
            for sensor in self.sensors.values():
                told += self._end(sensor, "rule_changed", [name for name in sensor.lives if name[1] == record.rule])
        self.rules[record.rule] = new
        return told

    def _end(self, sensor: SensorLife, change: str, names: list[tuple[str, str]]) -> list[Told]:
        told = []
        for name in names:
            episode = sensor.lives.pop(name).episode
            if episode is None:
                continue
            at = sensor.told[name] = max(self.now, sensor.newest[name[0]], sensor.told[name])
            evidence = {**episode["evidence"], "clears_at": None}
            head = {**_kept(episode), "rev": episode["rev"] + 1, "peak": episode["peak"]}
            rest = {"tier": episode["tier"], "change": change, "at": at, "open": False}
            told.append(_full(head, sensor.record, self.rules[name[1]], name[0], evidence, rest))
        return told

    def _watching(self, sensor: SensorLife, metric: str, statistic: str) -> list[RuleActivation]:
        return [
            activation
            for _, activation in sorted(self.rules.items())
            if activation.rule.applies.metric == metric
            and activation.rule.applies.statistic == statistic
            and _concerns(activation.rule, sensor.record)
        ]


def _grace(period_s: int) -> int:
    return (5 if period_s == 0 else 120 if period_s < 3600 else 900) * SECOND


def _life(activation: RuleActivation, metric: str, statistic: str, period_s: int) -> Life:
    rule = activation.rule
    above = rule.direction is Direction.ABOVE
    tiers = [TierLife(tier, rule.tiers[tier].up, rule.tiers[tier].down, above) for tier in TIERS if tier in rule.tiers]
    return Life(tiers, activation.meaning, period_s, metric, statistic)


def _concerns(rule: Rule, record: SensorRecord) -> bool:
    applies, sensor = rule.applies, record.sensor
    wanted = [
        applies.domain is None or applies.domain == sensor.domain,
        applies.sensors is None or sensor.id in applies.sensors,
        applies.regions is None or any(region in applies.regions for region in record.path),
        applies.department is None or applies.department == sensor.department,
        all(tag in sensor.tags for tag in applies.tags),
    ]
    return all(wanted)


def _kept(before: Told) -> Told:
    return {name: before[name] for name in ("id", "began_at", "origin")}


def _full(head: Told, record: SensorRecord, activation: RuleActivation, key: str, evidence: Told, rest: Told) -> Told:
    sensor, rule = record.sensor, activation.rule
    return {
        **head,
        "rule": rule.id,
        "rule_version": rule.version,
        "meaning": activation.meaning,
        "rule_name": rule.name.model_dump(),
        "subject": f"{sensor.id}/{key}",
        "sensor": sensor.id,
        "sensor_name": sensor.name.model_dump(),
        "street": sensor.street,
        "domain": sensor.domain.value,
        "department": sensor.department,
        "state": "open" if rest["open"] else "cleared",
        "tier": rest["tier"],
        "change": rest["change"],
        "changed_at": _time(rest["at"]),
        "cleared_at": None if rest["open"] else _time(rest["at"]),
        "evidence": evidence,
    }


def _time(micros: int) -> str:
    """As JSON has it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
