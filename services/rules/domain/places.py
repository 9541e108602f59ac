"""Sensors that stand together: the part of the engine that sees several sensors agree. See `schemas.measure.Agreement`."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.measure import Agreement
from schemas.rule import Rule
from schemas.warning import Change
from services.rules.domain import tracker as folding
from services.rules.domain.core import Core, page_of
from services.rules.domain.episodes import Life
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
            place = Place(key, sensor.street, {}, page_of(key))
            place.metric, place.statistic, place.period_s, place.origin = series.metric, series.statistic, series.period_s, series.origin
            self.pages.touch(place.page)
            self.keep_place(place)
        self.pages.touch(place.page)
        if sensor.id not in place.members:
            place.members[sensor.id] = series
            sensor.places = {**(sensor.places or {}), key: series.key}
        one = place.tracker
        if one is None or one.meaning != ruled.meaning:
            place.name = sensor.names[0] if sensor.names else {"zh": sensor.street, "en": sensor.street}
            if at != sensor.street:
                place.name = {language: f"{text} {at.partition(':')[2]}" for language, text in place.name.items()}
            place.domain = ruled.rule.applies.domain or sensor.domain
            place.department = ruled.rule.applies.department or sensor.department
            place.births = {}
            stand = [other.series.get(series.key) for other in self.sensors.values() if stand_of(ruled.rule, other) == at]
            birth = max([series.newest, *(other.newest for other in stand if other is not None)])
            one = place.tracker = Tracker(ruled.rule.id, ruled.meaning, birth)
            one.samples = Samples(values=[])
            place.newest = max(place.newest, birth)
            if place.closed:
                one.life = Life(used=place.closed)
            self._go_on(one, place)
        one.owner, one.scene = place, ruled.scene({})
        return one

    def _stands(self, sensor: Sensor) -> set[str]:
        """Return where rules of kind `agreement` see a sensor stand: the heads of places' keys."""
        found = ((ruled.rule.id, stand_of(ruled.rule, sensor)) for ruled in self._agreements)
        return {f"{rule}\n{at}/" for rule, at in found if at is not None}

    def _at(self, heads: Iterable[str]) -> list[Place]:
        return [place for head in sorted(heads) for place in self._places_at.get(head, ())]

    def _stand(self, sensor: Sensor, stood: set[str]) -> list[Output]:
        """Take a sensor, whose record has changed, out of places where it no longer stands; in new ones only what it reads from here on counts."""
        stands = self._stands(sensor)
        self._leave(sensor, stood - stands)
        # Where a rule that no longer can be read saw it stand, nobody knows any more: its next reading brings it back.
        unknown = {self.places[key].head for key in sensor.places or () if key.partition("\n")[0] not in self._rules}
        self._leave(sensor, unknown)
        for place in self._at(stands - stood):
            self.pages.touch(place.page)
            series = sensor.series.get(place.series_key)
            place.births[sensor.id] = NEVER if series is None else series.newest
        return self._end_places(stood)

    def _leave(self, sensor: Sensor, heads: Iterable[str]) -> None:
        for place in self._at(heads):
            self.pages.touch(place.page)
            place.members.pop(sensor.id, None)
            place.births.pop(sensor.id, None)
            sensor.places = {key: series for key, series in (sensor.places or {}).items() if key != place.key} or None

    def _end_places(self, heads: Iterable[str]) -> list[Output]:
        """End what was told of places where nobody stands any more who was read since it is of its street and department."""
        outputs: list[Output] = []
        for place in self._at(heads):
            if place.tracker is not None and not self._is_read(place):
                outputs += self._end(place.tracker, Change.SENSOR_MOVED, place)
                if place.closed:
                    self._empty(place)
                else:
                    self._forget_place(place.key)
        return outputs

    def _is_read(self, place: Place) -> bool:
        if any(member.was_read for member in place.members.values()):
            return True
        key, rule = place.series_key, self._rules[place.head.partition("\n")[0]].rule
        at = place.head.partition("\n")[2].removesuffix("/")
        read = (sensor for sensor in self.sensors.values() if key in sensor.series and sensor.series[key].was_read)
        return any(stand_of(rule, sensor) == at for sensor in read)

    def _freeze_places(self, sensor: Sensor) -> None:
        """What was decided, before a sensor changes, of places where it stands and was read stays."""
        for place in self._at(self._stands(sensor)):
            series = sensor.series.get(place.series_key)
            one = place.tracker
            if series is not None and series.was_read and one is not None and one.owner is not None and one.samples is not None:
                self.pages.touch(place.page)
                folding.freeze(one, one.samples, one.scene.plan, one.scene.fresh(place.period_s), place.newest)

    def _forget_place(self, key: str) -> None:
        place = self.places.pop(key)
        self._places_at[place.head].remove(place)
        if not self._places_at[place.head]:
            del self._places_at[place.head]
        self.pages.touch(place.page)
        self.pages.remove(place)
        self._empty(place)

    def _empty(self, place: Place) -> None:
        """Keep of a place only the ids that it gave."""
        self.pages.touch(place.page)
        for name in place.members:
            member = self.sensors.get(name)
            if member is not None:
                self.pages.touch(member.page)
                member.places = {key: series for key, series in (member.places or {}).items() if key != place.key} or None
        place.members, place.births, place.tracker, place.newest = {}, {}, None, NEVER


def stand_of(rule: Rule, sensor: Sensor) -> str | None:
    """Return where a rule of kind `agreement` sees a sensor stand: its street, or a part of it; None when it does not see it."""
    assert isinstance(rule.measure, Agreement)  # noqa: S101 - others do not ask
    if not concerns(rule.applies, sensor):
        return None
    if rule.measure.place == "street":
        return sensor.street
    value = sensor.attributes.get(rule.measure.place.removeprefix("attribute:"))
    return None if value is None else f"{sensor.street}:{value}"
