"""What all parts of the engine share: the state of one partition, and how a tracker is taken on, told of, looked at again and ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappush
from itertools import count
from typing import Any, TypeVar
from zlib import crc32

from schemas import wire
from schemas.grace import grace
from schemas.measure import Agreement
from schemas.tiers import GRAVITY
from schemas.warning import Change, Warning  # noqa: A004 - the field's own word
from services.rules.domain import pages as written
from services.rules.domain import samples
from services.rules.domain import tracker as folding
from services.rules.domain.episodes import OPEN_END, Episode, Life, News, close
from services.rules.domain.index import Index, Ruled, Scene
from services.rules.domain.kinds.absence import Listening
from services.rules.domain.kinds.regional import Regions, Sources
from services.rules.domain.ladder import NEVER
from services.rules.domain.pages import HEAD, PAGES, Pages
from services.rules.domain.revision import Output
from services.rules.domain.state import Facts, Place, Sensor, Series, Shape, Silence, Stretch, Tracker, series_key
from services.rules.domain.telling import Owner, ended, revision

REVISE = 3_600_000_000
"""Older data than this and its grace go to history and trigger nothing: what a device brings after an outage is no alarm of now. Microseconds."""

SLACK = 60_000_000
"""How much longer than needed readings are kept, so that they are not moved for each. Microseconds."""

MOST_FAILED = 10
"""A rule that fails on so many subjects is set aside as a whole."""

MOST_CLOSED = 100
"""Ids remembered of a rule and series whose tracker was dropped."""

MOST_READINGS = 4_096
"""Kept of one series, however often it speaks; four times as many where a rule looks back over more than an hour."""

ABANDONED = 26 * 3_600_000_000
"""After so long all sensors and rules have been sent again, daily, and been heard of. Microseconds."""


T = TypeVar("T")


class Core:
    """The state of one partition."""

    def __init__(self, *, derived: bool = False, source: int = 0, sources: int = 1) -> None:
        """`derived`: of `city.derived`, else the partition `source` of `sources` of `city.observations`."""
        self.now = 0
        """Time of the newest tick, microseconds; 0 before the first."""
        self.sensors: dict[str, Sensor] = {}
        self.places: dict[str, Place] = {}
        self._places_at: dict[str, list[Place]] = {}
        """By rule and where."""
        self.bodies: dict[str, bytes] = {}
        """By rule: its newest activation as it came."""
        self.pages = Pages(self)
        self.listening = Listening({})
        self.statistics = Sources()
        self.regions = Regions()
        self.derived = derived
        self.source, self.sources = source, sources
        self._rules: dict[str, Ruled] = {}
        self._index = Index()
        self._agreements: list[Ruled] = []
        """Rules of places, those too that are set aside."""
        self._generation = 0
        self._dues: list[tuple[int, int, Tracker]] = []
        self._order = count()
        self._open: dict[str, dict[int, Tracker]] = {}
        """By rule: trackers that have decided something."""
        self.shared: dict[object, object] = {}
        self._conditions: dict[int, tuple[Tracker, list[Series]]] = {}
        """Of the record under way: conditions that it concerns, and by which series."""
        self.aside: dict[str, dict[str, str]] = {}
        """By rule that failed: how, by subject; an empty subject stands for all."""
        self.adopted: dict[tuple[str, str], Warning] = {}
        self.adopted_at = 0
        """Time of the first tick since warnings were taken over; 0 before it."""
        self.arrived: dict[str, int] = {}
        """Of sensors that came here from another partition: when. What they read up to then was judged there."""

    def adopt(self, warnings: Sequence[Warning]) -> None:
        """Take over open warnings of a state that is lost: where their trackers begin anew with the same meaning, they go on."""
        self.adopted = {(warning.rule, warning.subject): warning for warning in warnings if warning.state == "open"}

    def _give_up_late(self) -> list[Output]:
        """End what no tracker has taken for so long that none will.

        One that is compared with a background may be another partition's: that of its region, which only trackers know.
        """
        if not self.adopted:
            return []
        if not self.adopted_at:
            self.pages.touch(HEAD)
            self.adopted_at = self.now
        if self.now < self.adopted_at + ABANDONED:
            return []
        return self._give_up(Change.RULE_CHANGED, lambda one: one.evidence.measure != "background")

    def _give_up(self, change: Change, which: Callable[[Warning], bool]) -> list[Output]:
        """End warnings of a state that is lost, before their trackers have begun anew."""
        given_up = [name for name, warning in self.adopted.items() if which(warning)]
        if given_up:
            self.pages.touch(HEAD)
        return [ended(self.adopted.pop(name), change, self.now) for name in given_up]

    def _set_aside(self, rule: str, subject: str, error: Exception) -> None:
        """Judge a subject by a rule no more, here, until the rule comes in a new version: it has failed. What it has told stays open.

        A rule that fails on many subjects, or by itself (no subject), is judged by no more at all.
        """
        self.pages.touch(HEAD)
        failed = self.aside.setdefault(rule, {})
        failed[subject] = repr(error)
        if not subject or len(failed) >= MOST_FAILED:
            failed.setdefault("", repr(error))
            self._index_anew()

    def _give_over(self, one: Tracker, error: Exception) -> None:
        """Judge no more by a tracker that has failed."""
        owner = one.owner
        self._set_aside(one.rule, owner.subject, error)
        for series in owner.members.values() if isinstance(owner, Place) else owner.sensor.series.values():
            series.generation = -1
        self._open.get(one.rule, {}).pop(id(one), None)
        one.owner = one.scene = None
        one.due = OPEN_END

    def _index_anew(self) -> None:
        self._index = Index(ruled for name, ruled in self._rules.items() if "" not in self.aside.get(name, ()))
        self._agreements = [one for one in self._rules.values() if one.rule.enabled and isinstance(one.rule.measure, Agreement)]
        self._generation += 1

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
        period_s = one.owner.period_s
        return folding.Moment(one, self.now - grace(period_s), one.scene.fresh(period_s), self.now)

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

    def _end(self, one: Tracker, change: Change, of: Owner) -> list[Output]:
        """Take a tracker out of use, closing its episode; the ids that it gave are not given again. One that has failed tells nothing."""
        owner, life = one.owner, one.life
        self.pages.touch(of.page)
        if life is not None and life.told:
            given = (*life.used, *(episode.opened for episode in life.told))[-MOST_CLOSED:]
            if isinstance(of, Series):
                of.closed = (of.closed or {}) | {one.rule: given}
            elif isinstance(of, Place):
                of.closed = given
        if owner is None:
            return []
        outputs: list[Output] = []
        if life is not None:
            news = close(life, change, self.now if isinstance(owner, Silence) else max(self.now, owner.newest))
            if news is not None:
                outputs = [revision(news, one, owner, self._rules[one.rule], None)]
        self._open.get(one.rule, {}).pop(id(one), None)
        if isinstance(owner, Series):
            owner.generation = -1
        one.owner = one.scene = None
        return outputs

    def _go_on(self, one: Tracker, owner: Owner) -> None:
        """Go on with an open warning of a state that is lost."""
        warning = self.adopted.get((one.rule, owner.subject))
        if warning is None or warning.meaning != one.meaning:  # older meanings may be replayed first
            return
        self.pages.touch(HEAD)
        del self.adopted[one.rule, owner.subject]
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
        one.mask = sum(1 << tier.gravity for tier in self._rules[one.rule].rule.tiers if tier.gravity <= gravity)
        one.floor = max(one.floor, changed)
        one.seen = max(one.seen, changed)
        one.life = Life(base=one.mask, told=[episode], settled=changed)
        self._open.setdefault(one.rule, {})[id(one)] = one
        one.stretches = [Stretch(one.floor, OPEN_END, one.mask)]

    def _bare_series(self, sensor: Sensor, metric: str, statistic: str, period_s: int, origin: str) -> Series:
        key = series_key(metric, statistic, period_s, origin)
        series = sensor.series.get(key)
        if series is None:
            shape = self._same(Shape(key, metric, statistic, period_s, origin, grace(period_s)))
            series = sensor.series[shape.key] = Series(sensor, shape)
            if sensor.id in self.arrived:
                series.newest = series.base = series.left = self.arrived[sensor.id]
        return series

    def keep_place(self, place: Place) -> None:
        """Take up a place."""
        self.places[place.key] = place
        self._places_at.setdefault(place.head, []).append(place)
        self.pages.add(place)

    def facts_of(self, parts: tuple[Any, ...]) -> Facts:
        """Return what many sensors have in common, kept once."""
        found = self.shared.get(parts)
        if found is None:
            found = self.shared[parts] = Facts(*parts)
        assert isinstance(found, Facts)  # noqa: S101 - nothing else has such a key
        return found

    def _same(self, value: T) -> T:
        """Return an equal value that is kept once for all sensors."""
        return self.shared.setdefault(value, value)  # type: ignore[return-value]


_NUMBERS = tuple(range(PAGES))
"""One object for each: a million sensors hold them."""


def page_of(key: str) -> int:
    """Return the page on which a sensor or place is written."""
    return _NUMBERS[1 + crc32(key.encode()) % (PAGES - 1)]
