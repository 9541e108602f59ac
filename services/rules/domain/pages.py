"""State written down in pages: sensors and places by crc32 of their key, and a head. Copy on write, so that a snapshot is of one record.

A page is one MessagePack value. Raise `services.rules.domain.state.VERSION` with every change of shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec

from schemas import wire
from schemas.grace import grace
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.rules.domain.episodes import OPEN_END, Episode, Guard, Life, Transition
from services.rules.domain.kinds.regional import Closing, Region, Source
from services.rules.domain.ladder import Flip, Run
from services.rules.domain.plan import Verdict
from services.rules.domain.revision import Evidence
from services.rules.domain.ring import FEW, Ring
from services.rules.domain.state import Clock, Place, Samples, Sensor, Series, Shape, Silence, Stretch, Tracker

if TYPE_CHECKING:
    from services.rules.domain.core import Core

R = TypeVar("R", bound=Ring)

Kept = Sensor | Place | Region
"""What stands on pages."""

PAGES = 1_024
"""The head, and what keys are spread over: a page of 50,000 sensors' partition holds 50."""
HEAD = 0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_evidence_encoder = msgspec.msgpack.Encoder().encode
_evidence = msgspec.msgpack.Decoder(Evidence).decode


def evidence(warning: Warning) -> Evidence:
    """Return a warning's evidence as the engine keeps it."""
    return msgspec.json.decode(warning.evidence.model_dump_json(), type=Evidence)


class Pages:
    """Which pages have changed, and the snapshot under way."""

    def __init__(self, partition: Core) -> None:
        self._partition = partition
        self.changed = bytearray(PAGES)
        self.pending = bytearray(PAGES)
        self._next = PAGES
        self._early: list[tuple[int, bytes]] = []
        self._held: list[list[Kept]] = [[] for _ in range(PAGES)]

    def add(self, one: Kept) -> None:
        """Put a sensor or place on its page."""
        self._held[one.page].append(one)

    def remove(self, one: Kept) -> None:
        """Take a place off its page."""
        self._held[one.page].remove(one)

    def touch(self, page: int) -> None:
        """Say that a page is about to change; what a snapshot still needs of it is written first."""
        self.changed[page] = 1
        if self.pending[page]:
            self._write(page)

    def begin(self) -> None:
        """Begin a snapshot of all that has changed since the last one."""
        assert not self.under_way  # noqa: S101 - one at a time
        self.pending, self.changed = self.changed, bytearray(PAGES)
        self.pending[HEAD] = 1
        self._next = 0

    @property
    def under_way(self) -> bool:
        """Whether a snapshot is not complete, or not all of it handed out."""
        return self._next < PAGES or bool(self._early)

    def take(self, at_most_bytes: int) -> list[tuple[int, bytes]]:
        """Return some pages of the snapshot."""
        taken, self._early = self._early, []
        size = sum(len(body) for _, body in taken)
        while self._next < PAGES and (size < at_most_bytes or not taken):
            page, self._next = self._next, self._next + 1
            if self.pending[page]:
                self._write(page)
                taken += self._early
                size += sum(len(body) for _, body in self._early)
                self._early = []
        return taken

    def _write(self, page: int) -> None:
        self.pending[page] = 0
        body = _head(self._partition) if page == HEAD else [_kept(one, self._partition) for one in self._held[page]]
        self._early.append((page, _encode(body)))


def _kept(one: Kept, partition: Core) -> Any:
    return _sensor(one, partition.arrived.get(one.id)) if isinstance(one, Sensor) else _place(one) if isinstance(one, Place) else _region(one)


def _region(one: Region) -> Any:
    partials = [partial for sources in one.windows.values() for parts in sources.values() for partial in parts.values()]
    return ("r", (one.rule, one.region, one.origin), one.meaning, one.name, one.domain, one.department, one.judged, partials)


def _head(partition: Core) -> Any:
    clocks = {name: (clock.listened, clock.resumed, clock.last, clock.reported) for name, clock in partition.listening.clocks.items()}
    statistics = {rule: (source.meaning, source.closed, sorted(source.again)) for rule, source in partition.statistics.state.items()}
    closing = {rule: (one.meaning, one.sources, one.ends) for rule, one in partition.regions.closing.items()}
    adopted = (partition.adopted_at, [warning.model_dump_json() for warning in partition.adopted.values()])
    return (partition.now, partition.bodies, clocks, statistics, closing, adopted, partition.aside)


def _sensor(one: Sensor, arrived: int | None) -> Any:
    of = one.facts
    names = [(name.get("zh", ""), name.get("en", "")) for name in of.names]
    facts: tuple[object, ...] = (
        of.department,
        of.domain,
        of.adapter,
        of.path,
        names,
        sorted(of.tags),
        sorted(of.attributes.items()),
        sorted(of.metrics),
    )
    if not of.awaited:
        facts = (*facts, of.life)
    silences = {rule: (silence.metric, silence.heard, silence.origin, _tracker(silence.tracker)) for rule, silence in (one.silences or {}).items()}
    own = (one.version, one.street, one.name_json, arrived)
    return ("s", one.id, own, facts, [_series(series) for series in one.series.values()], silences, one.places)


def _series(one: Series) -> Any:
    trackers = {rule: _tracker(tracker) for rule, tracker in one.trackers.items()}
    return (
        one.key,
        one.metric,
        one.statistic,
        one.period_s,
        one.origin,
        one.newest,
        one.base,
        one.left,
        one.closed,
        one.counted,
        _ring(one),
        trackers,
    )


def _place(one: Place) -> Any:
    facts = (one.street, one.name, one.metric, one.statistic, one.period_s, one.origin, one.domain, one.department, one.newest)
    return ("p", one.key, facts, None if one.tracker is None else _tracker(one.tracker), list(one.members), one.births, one.closed)


def _ring(one: Ring) -> Any:
    if isinstance(one.values, list):
        return (one.ends.tobytes(), one.values)
    return (one.ends.tobytes(), one.values.tobytes())


def _samples(one: Samples) -> Any:
    leaves = None if one.leaves is None else {name: _ring(ring) for name, ring in one.leaves.items()}
    return (_ring(one), one.first, one.grid, leaves, one.births, one.told_by)


def _tracker(one: Tracker) -> Any:
    if one.life is None and one.stretches is None and one.samples is None and one.runs is None and not one.mask:
        return (one.meaning, one.birth, one.floor, one.reached, one.seen)
    samples = None if one.samples is None else _samples(one.samples)
    stretches = None if one.stretches is None else [(each.begin, each.end, each.mask, _runs(each.runs), each.flips) for each in one.stretches]
    more = (one.mask, _runs(one.runs), samples, stretches, _life(one.life), one.kept)
    return (one.meaning, one.birth, one.floor, one.reached, one.seen, *more)


def _runs(runs: dict[int, Run] | None) -> Any:
    return None if runs is None else {gravity: (run.since, run.count, run.last, run.waiting) for gravity, run in runs.items()}


def _life(life: Life | None) -> Any:
    if life is None:
        return None
    told = [
        (one.id.bytes, one.opened, one.began, one.rev, one.steps, one.flips, one.peak, one.settled_peak, one.gone, _evidence_encoder(one.evidence))
        for one in life.told
    ]
    return (life.base, life.flips, told, life.settled, life.used, life.held, (life.guard.starts, life.guard.tier, life.guard.ending))


class Store:
    """Reads pages into an empty partition."""

    def __init__(self, partition: Core) -> None:
        self._partition = partition
        self._same: dict[Any, Any] = partition.shared

    def read(self, page: int, body: bytes) -> None:
        """Read one page."""
        content = _decode(body)
        if page == HEAD:
            self._head(content)
            return
        for one in content:
            if one[0] == "s":
                self._sensor(page, *one[1:])
            elif one[0] == "p":
                self._place(page, *one[1:])
            else:
                self._region(page, *one[1:])

    def _keep(self, value: Any) -> Any:
        return self._same.setdefault(value, value)

    def _head(self, content: Any) -> None:
        partition = self._partition
        partition.now, partition.bodies, clocks, statistics, closing, adopted, partition.aside = content
        partition.adopted_at, warnings = adopted
        partition.adopt([Warning.model_validate_json(warning) for warning in warnings])
        partition.statistics.state = {rule: Source(meaning, closed, set(again)) for rule, (meaning, closed, again) in statistics.items()}
        partition.regions.closing = {rule: Closing(*one) for rule, one in closing.items()}
        for name, (listened, resumed, last, reported) in clocks.items():
            clock = partition.listening.clocks[name] = Clock()
            clock.listened, clock.resumed, clock.last, clock.reported = listened, resumed, last, reported

    def _sensor(self, page: int, id_: str, own: Any, facts: Any, series: Any, silences: Any, places: Any) -> None:  # noqa: PLR0917 - as written
        one = self._partition.sensors[id_] = Sensor(id_)
        one.page = page
        one.version, one.street, one.name_json = own[0], self._keep(own[1]), own[2]
        one.facts = self._partition.facts_of(tuple(_value(part) for part in facts))
        if own[3] is not None:
            self._partition.arrived[id_] = own[3]
        one.places = places
        for each in series:
            self._series(one, each)
        for rule, (metric, heard, origin, tracker) in silences.items():
            one.silences = one.silences or {}
            silence = one.silences[rule] = Silence(one, metric, _read_tracker(rule, tracker), heard)
            silence.origin = origin
        self._partition.pages.add(one)

    def _series(self, sensor: Sensor, content: Any) -> None:
        key, metric, statistic, period_s, origin, newest, base, left, closed, counted, ring, trackers = content
        shape = self._keep(Shape(key, metric, statistic, period_s, origin, grace(period_s)))
        one = sensor.series[shape.key] = Series(sensor, shape)
        one.newest, one.base, one.left = newest, base, left
        one.closed = closed and {rule: tuple(times) for rule, times in closed.items()}
        one.counted = self._keep(_value(counted))
        one.ends.frombytes(ring[0])
        one.values.frombytes(ring[1])
        if len(one.ends) >= FEW:
            one.widen()
        for rule, tracker in trackers.items():
            one.trackers[self._keep(rule)] = _read_tracker(self._keep(rule), tracker)

    def _place(self, page: int, key: str, facts: Any, tracker: Any, members: Any, births: Any, closed: Any) -> None:  # noqa: PLR0917 - as written
        street, name, *rest = facts
        one = Place(key, street, name, page)
        one.metric, one.statistic, one.period_s, one.origin, one.domain, one.department, one.newest = rest
        one.tracker = None if tracker is None else _read_tracker(key.partition("\n")[0], tracker)
        one.births, one.closed = births, tuple(closed)
        one.members = dict.fromkeys(members)  # type: ignore[assignment] # found once all sensors are there
        self._partition.keep_place(one)

    def _region(self, page: int, key: Any, meaning: int, name: Any, domain: str, department: str, judged: int, partials: Any) -> None:  # noqa: PLR0917 - as written
        one = self._partition.regions.known[tuple(key)] = Region(key[0], key[1], key[2], meaning, name, domain, department, page, judged=judged)
        for content in partials:
            partial = msgspec.convert(content, wire.Partial)
            one.windows.setdefault(partial.end, {}).setdefault(partial.source, {})[partial.part] = partial
        self._partition.pages.add(one)


def _read_ring(content: Any, ring: R) -> R:
    ring.ends.frombytes(content[0])
    if isinstance(content[1], bytes):
        ring.values.frombytes(content[1])
    else:
        ring.values = [_value(value) for value in content[1]]
    return ring


def _read_samples(content: Any) -> Samples:
    ring, first, grid, leaves, births, told_by = content
    one = _read_ring(ring, Samples())
    one.first, one.grid, one.births, one.told_by = first, grid, births, _value(told_by)
    one.leaves = None if leaves is None else {name: _read_ring(leaf, Ring()) for name, leaf in leaves.items()}
    return one


def _read_tracker(rule: str, content: Any) -> Tracker:
    meaning, birth, floor, reached, seen, *more = content
    one = Tracker(rule, meaning, birth)
    one.floor, one.reached, one.seen = floor, reached, seen
    if more:
        one.mask, runs, samples, stretches, life, kept = more
        one.runs = _read_runs(runs)
        one.samples = None if samples is None else _read_samples(samples)
        one.life = _read_life(life)
        one.kept = None if kept is None else {end: (_value(value), _read_verdicts(said)) for end, (value, said) in kept.items()}
        if stretches is not None:
            one.stretches = [Stretch(begin, end, mask, _read_runs(of), _read_flips(flips)) for begin, end, mask, of, flips in stretches]
    return one


def _read_verdicts(said: Any) -> dict[int, tuple[Verdict, Verdict]]:
    return {gravity: (Verdict(*_value(up)), Verdict(*_value(down))) for gravity, (up, down) in said.items()}


def _value(value: Any) -> Any:
    return tuple(_value(one) for one in value) if isinstance(value, list) else value


def _read_runs(runs: Any) -> dict[int, Run] | None:
    if runs is None:
        return None
    return {gravity: Run(since, of, _value(last), waiting=waiting) for gravity, (since, of, last, waiting) in runs.items()}


def _read_guard(content: Any) -> Guard:
    starts, tier, ending = content
    return Guard(tuple(starts), tier, None if ending is None else Transition(ending[0], ending[1], _flip(ending[2])))


def _read_flips(flips: Any) -> list[Flip] | None:
    return None if flips is None else [_flip(flip) for flip in flips]


def _flip(content: Any) -> Flip:
    at, gravity, on, end, value, limit = content
    return Flip(at, gravity, on, end, _value(value), _value(limit))


def _read_flip(content: Any) -> Flip | None:
    return None if content is None else _flip(content)


def _read_life(content: Any) -> Life | None:
    if content is None:
        return None
    base, flips, told, settled, used, held, guard = content
    life = Life(base, _read_flips(flips) or [], [], settled, _read_guard(guard), tuple(used), held)
    for id_, opened, began, rev, steps, decided, peak, settled_peak, gone, told_evidence in told:
        of = None if told_evidence is None else _evidence(told_evidence) if told_evidence != b"\xc0" else None
        life.told.append(
            Episode(
                UUID(bytes=id_),
                opened,
                began,
                rev,
                [(at, tier) for at, tier in steps],
                [_read_flip(flip) for flip in decided],
                peak,
                settled_peak,
                gone,
                of,
            )
        )
    return life


__all__ = ["HEAD", "OPEN_END", "PAGES", "Pages", "Store", "evidence"]
