"""The benchmark's own city: readings that are mostly calm, one rule of four tiers, and the tier changes that must come of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from schemas import wire
from schemas.base import Domain, Name
from schemas.control import RuleActivation, SensorRecord
from schemas.partitioner import partition_of
from schemas.rule import Applies, Direction, Rule, Step, Way
from schemas.sensor import Metric, Sensor
from schemas.tiers import TIERS

CITY, DISTRICT = "620100", "620102"
STREETS = tuple(f"{DISTRICT}{at:03d}" for at in range(50))
METRIC = "flow"
UP = (20.0, 30.0, 40.0, 50.0)
DOWN = (18.0, 27.0, 36.0, 45.0)
READINGS = 3
FRESH = 600_000_000
"""A longer gap (microseconds) between two readings begins a run anew, as a rule has it that says nothing about it."""
BASE = 1_795_348_800_000_000
"""2026-11-22T12:00:00Z: event time of the first reading."""
SECOND = 1_000_000
CLOSING = (5.0, 55.0, 55.0, 55.0)
"""The last readings of each partition: the very last changes a tier, so that its commit says that all before it is done."""


class Change(NamedTuple):
    """What both sides must find: at which reading a sensor's tier changed, from which to which (0: none)."""

    sensor: str
    end: int
    before: int
    after: int


class Ladder:
    """The rule as plainly as it can be said, for sensors whose readings come in order."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[int, list[int], int]] = {}

    def observe(self, sensor: str, end: int, value: float) -> Change | None:
        """Take a reading; return the change of tier that it makes."""
        state = self._states.get(sensor)
        if state is None:
            on, runs, last = 0, [0, 0, 0, 0], end
        else:
            on, runs, last = state
        before = on.bit_length()
        fresh = end - last <= FRESH
        for latch in range(4):
            up = not on >> latch & 1
            if not (value >= UP[latch] if up else value <= DOWN[latch]):
                runs[latch] = 0
                continue
            runs[latch] = runs[latch] + 1 if fresh else 1
            if not up or runs[latch] >= READINGS:
                on ^= 1 << latch
                runs[latch] = 0
        self._states[sensor] = on, runs, end
        return Change(sensor, end, before, on.bit_length()) if on.bit_length() != before else None


class Place(NamedTuple):
    """A sensor as readings name it."""

    name: str
    street: str
    partition: int


class World:
    """So many sensors with values that wander: 10 to 19 at first, a jump in 2.7 of 100 readings, else noise. Same seed, same values."""

    def __init__(self, sensors: int, partitions: int, seed: int = 7, *, judged: bool = True) -> None:
        """`judged`: note in `changes` what must come of the readings."""
        self._random = random.Random(seed)
        self._values = [self._random.uniform(10, 19) for _ in range(sensors)]
        self._ladder = Ladder() if judged else None
        self.partitions = partitions
        parts = {street: partition_of(street.encode(), partitions) for street in STREETS}
        self.places = [Place(f"wl-{at:06d}", street := STREETS[at % len(STREETS)], parts[street]) for at in range(sensors)]
        self.changes: list[Change] = []

    def controls(self, rules: Sequence[Rule]) -> Iterator[tuple[int, wire.Record]]:
        """Yield what rules need to know first: the rules in every partition, each sensor in its street's."""
        for rule in rules:
            yield from ((partition, activation(rule)) for partition in range(self.partitions))
        for place in self.places:
            yield place.partition, sensor_record(place.name, place.street)

    def ticks(self, time: int) -> Iterator[tuple[int, wire.Record]]:
        """Yield a tick in every partition."""
        tick = wire.Tick(time=time, node="bench", adapters={"http": time})
        return ((partition, tick) for partition in range(self.partitions))

    def reading(self, at: int, end: int, value: float | None = None, metric: str = METRIC) -> tuple[int, wire.Observation]:
        """Return the next reading of a sensor, noting the change of tier that it makes."""
        place = self.places[at]
        value = self._next(at) if value is None else value
        if self._ladder is not None and (change := self._ladder.observe(place.name, end, value)) is not None:
            self.changes.append(change)
        return place.partition, observation(place.name, place.street, end, value, f"{self._random.getrandbits(64):016x}", metric)

    def order(self) -> Iterator[int]:
        """Yield sensors for ever, each once a round, every round shuffled."""
        order = list(range(len(self.places)))
        while True:
            self._random.shuffle(order)
            yield from order

    def _next(self, at: int) -> float:
        noise = self._random
        value = self._values[at] + (noise.choice((-1, 1)) * noise.uniform(8, 25) if noise.random() < 0.027 else noise.gauss(0, 0.05))
        value = 4 - value if value < 2 else 116 - value if value > 58 else value
        value = round(value, 2)
        self._values[at] = value
        return value


def filling(world: World, readings: int, eps: int = 5_000) -> Iterator[tuple[int, wire.Record]]:
    """Yield the whole log: controls, `readings` observations at `eps` in event time with a tick each second, the last of each partition a change."""
    yield from world.controls([ladder_rule()])
    yield from world.ticks(BASE)
    last = {place.partition: at for at, place in enumerate(world.places)}
    order = world.order()
    wandering = readings - len(last) * len(CLOSING)
    for n in range(wandering):
        end = BASE + n * SECOND // eps
        if n and n % eps == 0:
            yield from world.ticks(end)
        yield world.reading(next(order), end)
    end = BASE + wandering * SECOND // eps
    for n, value in enumerate(CLOSING):
        for at in last.values():
            yield world.reading(at, end + n * SECOND, value)


def observation(sensor: str, street: str, end: int, value: float, identity: str, metric: str = METRIC) -> wire.Observation:
    """Return a good instant reading as ingest writes it."""
    return wire.Observation(
        id=identity,
        source="/departments/water/scada",
        department="water",
        sensor=sensor,
        street=street,
        domain="water",
        start=end,
        end=end,
        statistic="instant",
        values={metric: value},
        quality={},
        origin="real",
        received=end + 50_000,
    )


def sensor_record(sensor: str, street: str, metric: str = METRIC, tags: frozenset[str] = frozenset()) -> wire.Sensor:
    """Return a sensor as ingest announces it."""
    record = SensorRecord(
        sensor=Sensor(
            id=sensor,
            name=_name(sensor),
            domain=Domain.WATER,
            department="water",
            street=street,
            metrics={metric: _metric()},
            tags=tags,
            longitude=103.8,
            latitude=36.05,
        ),
        path=(street, DISTRICT, CITY),
        names=(_name(street), _name(DISTRICT), _name(CITY)),
    )
    return wire.of_sensor(record)


def activation(rule: Rule) -> wire.Activation:
    """Return a rule as ingest announces it."""
    return wire.of_activation(RuleActivation(rule=rule, meaning=1))


def ladder_rule(identity: str = "bench.ladder", metric: str = METRIC, tags: frozenset[str] = frozenset(), raised: float = 0.0) -> Rule:
    """Return the rule: four tiers, up after three readings in a row, down at once at 0.9 of the limit; `raised` moves all limits."""
    tiers = {tier: _step(up + raised, down + raised) for tier, up, down in zip(TIERS, UP, DOWN, strict=True)}
    applies = Applies(metric=metric, domain=Domain.WATER, tags=tags)
    return Rule(id=identity, version=1, name=_name("流量"), applies=applies, direction=Direction.ABOVE, unit="m3/h", tiers=tiers)


def _step(up: float, down: float) -> Step:
    return Step(up=Way.model_validate({"limit": up, "readings": READINGS}), down=Way.model_validate({"limit": down}))


def _name(text: str) -> Name:
    return Name(zh=text, en=text)


@cache
def _metric() -> Metric:
    return Metric(unit="m3/h", name=_name("流量"))


@dataclass(frozen=True)
class Agreement:
    """How two lists of changes differ; each once where all is well."""

    missing: list[Change]
    extra: list[Change]
    doubled: int

    @property
    def good(self) -> bool:
        """Whether they are the same."""
        return not (self.missing or self.extra or self.doubled)


def compare(expected: Sequence[Change], found: Sequence[Change]) -> Agreement:
    """Say what of the expected changes was not found, what was found besides, and how many more than once."""
    wanted, had = set(expected), set(found)
    return Agreement(sorted(wanted - had), sorted(had - wanted), len(found) - len(had))


def changes_of(told: Sequence[dict[str, Any]]) -> list[Change]:
    """Return the change of tier that each warning tells, of peers' (from, to) or of ours, whose revisions follow one another."""
    tiers = {str(tier): tier.gravity for tier in TIERS}
    found: dict[int, Change] = {}
    before: dict[str, int] = {}
    for at, warning in sorted(enumerate(told), key=lambda one: int(one[1].get("rev", 0))):
        if "rev" not in warning:
            found[at] = Change(warning["sensor"], warning["end"], warning["from"], warning["to"])
            continue
        after = tiers[warning["tier"]] if warning["state"] == "open" else 0
        end = wire.to_micros(datetime.fromisoformat(warning["changed_at"]))
        found[at] = Change(warning["sensor"], end, before.get(warning["id"], 0), after)
        before[warning["id"]] = after
    return [found[at] for at in range(len(told))]


def write_city(folder: Path) -> Path:
    """Write the folder of the benchmark's city, as the rules process wants one."""
    (folder / "rules").mkdir(parents=True)

    def name(text: str) -> dict[str, str]:
        return _name(text).model_dump()

    head = {
        "code": CITY,
        "name": name("试验市"),
        "timezone": "Asia/Shanghai",
        "demo_regions": [CITY],
        "departments": [{"id": "water", "name": name("供水")}],
    }
    regions: list[dict[str, Any]] = [
        {"code": CITY, "parent": None, "level": "city", "name": name("试验市")},
        {"code": DISTRICT, "parent": CITY, "level": "district", "name": name("区")},
        *({"code": street, "parent": DISTRICT, "level": "street", "name": name(street)} for street in STREETS),
    ]
    rule = ladder_rule().model_dump(mode="json", by_alias=True, exclude_unset=True)
    for file, content in (("city.yaml", head), ("regions.yaml", regions), ("sensors.yaml", []), ("rules/ladder.yaml", rule)):
        (folder / file).write_text(yaml.safe_dump(content, allow_unicode=True))
    return folder
