"""Sensors and rules as control records bring them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from pydantic import ValidationError

from schemas import wire
from schemas.control import RuleActivation
from schemas.measure import Background, Regional
from schemas.partitioner import partition_of
from schemas.sensor import Life
from schemas.warning import Change
from services.rules.domain import tracker as folding
from services.rules.domain.core import page_of
from services.rules.domain.districts import Districts
from services.rules.domain.episodes import OPEN_END
from services.rules.domain.index import Ruled
from services.rules.domain.kinds import regional
from services.rules.domain.meetings import Meetings, columns_of
from services.rules.domain.outcome import NOTHING, Outcome, Reason
from services.rules.domain.pages import HEAD
from services.rules.domain.revision import Output
from services.rules.domain.silences import Silences
from services.rules.domain.state import Sensor, Silence, Tracker
from services.rules.domain.telling import Owner

_ACTIVE = Life.ACTIVE.value


class _SensorFacts(msgspec.Struct):
    """What rules need of a registry's sensor."""

    name: dict[str, str]
    domain: str
    department: str
    metrics: dict[str, msgspec.Raw]
    tags: list[str] = []
    attributes: dict[str, str] = {}
    adapter: str = "http"
    life: str = _ACTIVE


class _SensorBody(msgspec.Struct):
    sensor: _SensorFacts
    path: tuple[str, ...]
    names: tuple[dict[str, str], ...] = ()


_sensor_body = msgspec.json.Decoder(_SensorBody)


class Controls(Meetings, Silences, Districts):
    """Control records."""

    def _sensor(self, record: wire.Sensor) -> Outcome:
        known = self.sensors.get(record.sensor)
        if known is not None and record.version <= known.version:
            return Reason.OLD_VERSION, NOTHING
        try:
            body = _sensor_body.decode(record.body)
        except msgspec.DecodeError:
            return Reason.BAD_CONTROL, NOTHING
        if self._is_away(record, known):
            return Reason.APPLIED, self._depart(record, known)
        outputs: list[Output] = []
        adapter = None
        if self._comes(record, known):
            self.pages.touch(page_of(record.sensor))
            if known is not None:
                self.pages.remove(known)
                known = None
            if self.now:
                self.arrived[record.sensor] = self.now
        if known is None:
            known = self.sensors[record.sensor] = Sensor(record.sensor)
            known.page = page_of(record.sensor)
            self.pages.touch(known.page)
            self.pages.add(known)
        else:
            self.pages.touch(known.page)
            adapter = known.adapter
            new = Sensor(record.sensor)
            self._take_facts(new, record, body)
            self._freeze_places(known)
            # What is open belongs to whom it was raised for; to the new ones it is raised anew by the next reading.
            if known.street != new.street or known.department != new.department:
                outputs += self._drop(known, Change.SENSOR_MOVED, lambda _: True)
            outputs += self._drop(known, Change.RULE_CHANGED, lambda rule: rule in self._rules and not regional.includes(self._rules[rule].rule, new))
            outputs += self._drop_silences(known, Change.RULE_CHANGED, lambda silence: silence.metric not in new.metrics or not new.facts.awaited)
            for ruled in self._index.regional:
                outputs += self.statistics.change(ruled, known, new, self.now, self.source)
            self._freeze(known)
        stood = self._stands(known) if known.version else set()
        self._take_facts(known, record, body)
        of, street, department = record.sensor, known.street, known.department
        outputs += self._give_up(Change.SENSOR_MOVED, lambda one: one.sensor == of and (one.street, one.department) != (street, department))
        self._see(known)
        outputs += self._stand(known, stood)
        self._listen(known, anew=known.adapter != adapter)
        return Reason.APPLIED, outputs

    def _is_here(self, street: str) -> bool:
        return partition_of(street.encode(), self.sources) == self.source

    def _is_away(self, record: wire.Sensor, known: Sensor | None) -> bool:
        """Say whether a sensor has moved to a street of another partition: that of its old street is told too."""
        if self.sources == 1 or self._is_here(record.street):
            return False
        return record.version > 1 if known is None else known.street != record.street or not known.path

    def _comes(self, record: wire.Sensor, known: Sensor | None) -> bool:
        """Say whether a sensor was judged by another partition up to here."""
        return self.sources > 1 and (record.version > 1 if known is None else not known.path)

    def _depart(self, record: wire.Sensor, known: Sensor | None) -> list[Output]:
        """Keep of a sensor of another partition only its version, by which older records are known."""
        outputs: list[Output] = []
        page = page_of(record.sensor)
        self.pages.touch(page)
        if known is not None:
            self._freeze_places(known)
            outputs += self._drop(known, Change.SENSOR_MOVED, lambda _: True)
            stood = self._stands(known)
            self._leave(known, stood)
            outputs += self._end_places(stood)
            self.pages.remove(known)
        self.arrived.pop(record.sensor, None)
        gone = self.sensors[record.sensor] = Sensor(record.sensor)
        gone.page, gone.version = page, record.version
        self.pages.add(gone)
        of = record.sensor
        return outputs + self._give_up(Change.SENSOR_MOVED, lambda one: one.sensor == of)

    def _take_facts(self, sensor: Sensor, record: wire.Sensor, body: _SensorBody) -> None:
        facts = body.sensor
        names = tuple((name.get("zh", ""), name.get("en", "")) for name in body.names)
        shared = (tuple(sorted(facts.tags)), tuple(sorted(facts.attributes.items())), tuple(sorted(facts.metrics)))
        life = () if facts.life == _ACTIVE else (facts.life,)
        sensor.version, sensor.street, sensor.name_json = record.version, self._same(record.street), msgspec.json.encode(facts.name)
        sensor.facts = self.facts_of((facts.department, facts.domain, facts.adapter, body.path, names, *shared, *life))

    def _see(self, sensor: Sensor) -> None:
        """What is decided from here on is decided by what the sensor is now."""
        for series in sensor.series.values():
            for one in series.trackers.values():
                ruled = self._rules.get(one.rule)
                if one.owner is series and ruled is not None and ruled.meaning == one.meaning:
                    one.scene = ruled.scene(sensor.attributes)

    def _freeze(self, sensor: Sensor) -> None:
        """What was decided before a change of the sensor stays; limits may be others from here on."""
        for series in sensor.series.values():
            series.generation = -1
            for one in series.trackers.values():
                if one.owner is None:
                    continue
                fresh = one.scene.fresh(series.period_s)
                if one.samples is None:
                    folding.freeze(one, series, one.scene.plan, fresh, series.newest)
                else:
                    kind = one.scene.kind
                    newest = series.newest
                    if one.samples.leaves is not None:
                        newest = max([newest, *(source.newest for _, _, source in columns_of(one, one.scene) if source is not None)])
                    if kind is not None and not kind.at_readings:
                        newest = self.now - series.grace
                    folding.freeze(one, one.samples, one.scene.plan, fresh, newest)

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
            outputs += self._retire(known)
        name, meaning = record.rule, new.meaning
        outputs += self._give_up(Change.RULE_CHANGED, lambda one: one.rule == name and one.meaning < meaning)
        self._rules[record.rule] = new
        self.bodies[record.rule] = record.body
        failed = self.aside.pop(record.rule, None)
        self._index_anew()
        if failed is not None:
            self._resume(record.rule)
        if any(one is not None and isinstance(one.rule.measure, Regional | Background) for one in (known, new)):
            outputs += self._forward_rule(record, new)
        if new.rule.measure.kind == "absence" and new.rule.enabled and not self.derived:
            for sensor in self.sensors.values():
                self.pages.touch(sensor.page)
                self._listen(sensor)
        return Reason.APPLIED, outputs

    def _resume(self, rule: str | None = None) -> None:
        """Let trackers go on that were read from a snapshot, or of a rule that had been set aside."""
        for one, owner, attributes in self._owned():
            if rule is not None and one.rule != rule:
                continue
            ruled = self._rules.get(one.rule)
            if ruled is None or ruled.meaning != one.meaning or owner.subject in self.aside.get(one.rule, ()):
                continue
            one.owner, one.scene = owner, ruled.scene(attributes)
            if one.life is not None:
                self._open.setdefault(one.rule, {})[id(one)] = one
            if not isinstance(owner, Silence):
                self._schedule(one)

    def _owned(self) -> Iterator[tuple[Tracker, Owner, Mapping[str, str]]]:
        """Yield all trackers, whose they are, and the attributes on which their limits depend."""
        for sensor in self.sensors.values():
            for series in sensor.series.values():
                yield from ((one, series, sensor.attributes) for one in series.trackers.values())
            for silence in (sensor.silences or {}).values():
                yield silence.tracker, silence, sensor.attributes
        for place in self.places.values():
            if place.tracker is not None:
                yield place.tracker, place, {}

    def _retire(self, known: Ruled) -> list[Output]:
        """End all that a rule has decided: it means something else from here on."""
        outputs: list[Output] = []
        name = known.rule.id
        for one in list(self._open.get(name, {}).values()):
            outputs += self._end(one, Change.RULE_CHANGED, one.owner)
        if known.rule.measure.kind == "absence":
            for sensor in self.sensors.values():
                outputs += self._drop(sensor, Change.RULE_CHANGED, lambda rule: rule == name)
        self._open.pop(name, None)
        for key in [key for key in self.places if key.partition("\n")[0] == name]:
            self._forget_place(key)
        return outputs

    def _drop_silences(self, sensor: Sensor, change: Change, which: Callable[[Silence], bool]) -> list[Output]:
        """Miss a sensor no more by some rules, closing their episodes."""
        outputs: list[Output] = []
        silences = sensor.silences or {}
        for rule in [rule for rule, silence in silences.items() if which(silence)]:
            outputs += self._end(silences[rule].tracker, change, silences[rule])
            del silences[rule]
        sensor.silences = silences or None
        return outputs

    def _drop(self, sensor: Sensor, change: Change, which: Callable[[str], bool]) -> list[Output]:
        """Drop a sensor's trackers of some rules, closing their episodes."""
        outputs: list[Output] = []
        for series in sensor.series.values():
            for rule in [rule for rule in series.trackers if which(rule)]:
                one = series.trackers[rule]
                outputs += self._end(one, change, series)
                series.trackers.pop(rule, None)
            series.generation = -1
            if change is Change.SENSOR_MOVED:
                series.cut(OPEN_END)  # what it read elsewhere counts in no place and no region
                series.left = series.newest
        outputs += self._drop_silences(sensor, change, lambda silence: which(silence.tracker.rule))
        for ruled in self._index.regional:
            if which(ruled.rule.id):
                outputs += self.statistics.leave(ruled, sensor, self.now, self.source)
        return outputs
