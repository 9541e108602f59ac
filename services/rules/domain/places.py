"""Sensors that stand together: the part of the engine that sees several sensors agree. See `schemas.measure.Agreement`."""

from __future__ import annotations

from schemas.measure import Agreement
from schemas.rule import Rule
from schemas.warning import Change
from services.rules.domain import tracker as folding
from services.rules.domain.core import Core, page_of
from services.rules.domain.index import Ruled, concerns
from services.rules.domain.ladder import NEVER
from services.rules.domain.revision import Output
from services.rules.domain.state import Place, Samples, Sensor, Series, Tracker


class Places(Core):
    """Rules of kind `agreement`."""

    def _in_place(self, ruled: Ruled, sensor: Sensor, series: Series) -> Tracker | None:
        """Return the tracker of the place in which a rule sees a sensor; None when the sensor has no such place, or the rule has failed there."""
        at = stand_of(ruled.rule, sensor)
        if at is None:
            return None
        if f"{at}/{series.key}" in self.aside.get(ruled.rule.id, ()):
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
            self.pages.touch(place.page)
            self.pages.add(place)
        self.pages.touch(place.page)
        if sensor.id not in place.members:
            place.members[sensor.id] = series
            sensor.places = {**(sensor.places or {}), key: series.key}
        one = place.tracker
        if one is None or one.meaning != ruled.meaning:
            stand = [other.series.get(series.key) for other in self.sensors.values() if stand_of(ruled.rule, other) == at]
            birth = max([series.newest, *(other.newest for other in stand if other is not None)])
            one = place.tracker = Tracker(ruled.rule.id, ruled.meaning, birth)
            one.samples = Samples(values=[])
            place.newest = max(place.newest, birth)
            self._go_on(one, place)
        one.owner, one.scene = place, ruled.scene({})
        return one

    def _stands(self, sensor: Sensor) -> set[str]:
        """Return where rules of kind `agreement` see a sensor stand: beginnings of places' keys."""
        found = ((ruled.rule.id, stand_of(ruled.rule, sensor)) for ruled in self._index.agreements)
        return {f"{rule}\n{at}/" for rule, at in found if at is not None}

    def _stand(self, sensor: Sensor, stood: set[str]) -> list[Output]:
        """Take a sensor out of places where it no longer stands; in new ones only what it reads from here on counts."""
        outputs: list[Output] = []
        stands = self._stands(sensor)
        outputs += self._leave(sensor, stood - stands)
        for key, place in self.places.items():
            if any(key.startswith(head) for head in stands - stood):
                self.pages.touch(place.page)
                series = sensor.series.get(key.partition("\n")[2].partition("/")[2])
                place.births[sensor.id] = NEVER if series is None else series.newest
        return outputs

    def _leave(self, sensor: Sensor, heads: set[str]) -> list[Output]:
        """Take a sensor out of the places whose keys begin so, in which it was read or not; a place is forgotten once nobody stands there who was."""
        outputs: list[Output] = []
        for key, place in [(key, self.places[key]) for key in self.places if key.startswith(tuple(heads))]:
            self.pages.touch(place.page)
            place.members.pop(sensor.id, None)
            place.births.pop(sensor.id, None)
            sensor.places = {name: series for name, series in (sensor.places or {}).items() if name != key} or None
            left = any(member.newest > NEVER for member in place.members.values()) or self._others_stand(place, sensor)
            if place.tracker is not None and not left:
                outputs += self._end(place.tracker, Change.SENSOR_MOVED)
                self._forget_place(key)
        return outputs

    def _freeze_places(self, sensor: Sensor) -> None:
        """What was decided, before a sensor changes, of places where it stands and was read stays."""
        heads = tuple(self._stands(sensor))
        for key, place in self.places.items() if heads else ():
            if key.startswith(heads):
                series = sensor.series.get(key.partition("\n")[2].partition("/")[2])
                if series is not None and series.was_read:
                    self.pages.touch(place.page)
                    freeze_place(place)

    def _others_stand(self, place: Place, but: Sensor) -> bool:
        """Say whether other sensors stand in a place that have been read, though perhaps not since they stand there."""
        rule, _, subject = place.key.partition("\n")
        at, _, key = subject.partition("/")
        for sensor in self.sensors.values():
            series = sensor.series.get(key)
            if sensor is not but and series is not None and series.was_read and stand_of(self._rules[rule].rule, sensor) == at:
                return True
        return False

    def _forget_place(self, key: str) -> None:
        place = self.places.pop(key)
        self.pages.touch(place.page)
        self.pages.remove(place)
        for name in place.members:
            member = self.sensors.get(name)
            if member is not None:
                self.pages.touch(member.page)
                member.places = {one: series for one, series in (member.places or {}).items() if one != key} or None


def stand_of(rule: Rule, sensor: Sensor) -> str | None:
    """Return where a rule of kind `agreement` sees a sensor stand: its street, or a part of it; None when it does not see it."""
    assert isinstance(rule.measure, Agreement)  # noqa: S101 - others do not ask
    if not concerns(rule.applies, sensor):
        return None
    if rule.measure.place == "street":
        return sensor.street
    value = sensor.attributes.get(rule.measure.place.removeprefix("attribute:"))
    return None if value is None else f"{sensor.street}:{value}"


def freeze_place(place: Place) -> None:
    """What was decided of a place before one of its members changed stays."""
    one = place.tracker
    if one is not None and one.owner is not None and one.samples is not None:
        folding.freeze(one, one.samples, one.scene.plan, one.scene.fresh(place.period_s), place.newest)
