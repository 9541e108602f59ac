"""What ingest knows of sensors and regions, in memory: by id for who names our sensors, by device for who knows only its own codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from schemas.kind import Kind
from schemas.link import Gb26875, Hj212, Link, Meaning, Mqtt
from schemas.regions import RegionTree
from schemas.sensor import Life, Sensor
from services.ingest.domain.quality import Checks, Memory, checks_of


@dataclass(frozen=True, slots=True)
class Linear:
    """A conversion of units: `value * factor / divisor + offset`.

    Where a unit is a whole part of the other it is a division, which is exact where a product with 0.01 is not.
    """

    factor: float = 1.0
    offset: float = 0.0
    divisor: float = 1.0

    @classmethod
    def by(cls, factor: float, offset: float = 0.0) -> Self:
        """Return the conversion by a factor; raises ValueError for one of which no number comes."""
        if not LEAST <= abs(factor) <= 1 / LEAST:
            raise ValueError(f"values times {factor:g} say nothing")
        whole = round(1 / factor)
        if abs(factor) < 1 and abs(1 / factor - whole) < WHOLE * abs(whole):
            return cls(1.0, offset, float(whole))
        return cls(factor, offset)

    def scaled(self, scale: float) -> Self:
        """Return the conversion of what is multiplied by a scale first."""
        return self if scale == 1 else type(self).by(self.factor * scale / self.divisor, self.offset)

    def __call__(self, value: float) -> float:
        """Return the converted value."""
        return value * self.factor / self.divisor + self.offset


LEAST = 1e-30
"""A conversion or scale beyond this, or beyond its inverse, is a mistake: 0, or so large that values become infinite."""
WHOLE = 1e-9
"""How near to a whole number the inverse of a factor must be, relative to it."""


Convert = Callable[[str, str], Linear]
"""From one UCUM unit to another; raises ValueError that says why it cannot."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What a device's word means, with its number brought to the metric's unit."""

    metric: str
    to: Linear


@dataclass(slots=True)
class Known:
    """A sensor, ready for the hot path."""

    sensor: Sensor
    department: str
    street: str
    key: bytes
    domain: str
    metrics: frozenset[str]
    retired: bool
    every_us: int | None
    checks: Mapping[str, Checks]
    """By metric; those without a check are left out."""
    memory: Memory = field(default_factory=Memory)
    """What quality control remembers of it, and how it is."""
    words: Mapping[str, Converted] = field(default_factory=dict)
    """By the device's word; of GB/T 26875 states by `state:<name>`, analogues by `analogue:<type>`."""


class Registry:
    """Sensors by id and by device. Kept up to date by `take`; to be used on one event loop."""

    def __init__(self, regions: RegionTree, sensors: Iterable[Sensor], convert: Convert) -> None:
        self.regions = regions
        self.kinds: Mapping[str, Kind] = {}
        """Of reports, by code; where there are none, any kind is taken."""
        self._convert = convert
        self._known: dict[str, Known] = {}
        self._devices: dict[tuple[str, str], dict[str, Known]] = {}
        self.problems: dict[str, str] = {}
        """By sensor: why its link is not used."""
        for sensor in sensors:
            self.take(sensor)

    def get(self, sensor: str) -> Known | None:
        """Return a sensor, None when it is not in the registry."""
        return self._known.get(sensor)

    def heard_by(self, protocol: str, device: str) -> Sequence[Known]:
        """Return the sensors behind a device, by its name in the protocol (`device_of`); none when nobody registered it."""
        return tuple(self._devices.get((protocol, device), {}).values())

    def take(self, sensor: Sensor) -> None:
        """Know a sensor from now on as this version says; an older one than is known changes nothing."""
        before = self._known.get(sensor.id)
        if before is not None and sensor.version < before.sensor.version:
            return
        self._unlink(before)
        self._known[sensor.id] = known = self._make(sensor, before)
        if sensor.link is not None and sensor.id not in self.problems:
            self._devices.setdefault((sensor.link.protocol, device_of(sensor.link)), {})[sensor.id] = known

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._known.values())

    def _unlink(self, before: Known | None) -> None:
        if before is None or (link := before.sensor.link) is None:
            return
        self._devices.get((link.protocol, device_of(link)), {}).pop(before.sensor.id, None)

    def _make(self, sensor: Sensor, before: Known | None) -> Known:
        self.problems.pop(sensor.id, None)
        words: dict[str, Converted] = {}
        try:
            words = {word: self._converted(meaning, sensor) for word, meaning in words_of(sensor.link).items()}
        except ValueError as problem:
            self.problems[sensor.id] = str(problem)
        return Known(
            sensor=sensor,
            department=sensor.department,
            street=sensor.street,
            key=sensor.street.encode(),
            domain=sensor.domain.value,
            metrics=frozenset(sensor.metrics),
            retired=sensor.life is Life.RETIRED,
            every_us=None if sensor.every is None else round(sensor.every.total_seconds() * 1e6),
            checks=checks_of(sensor),
            memory=before.memory if before is not None else Memory(),
            words=words,
        )

    def _converted(self, meaning: Meaning, sensor: Sensor) -> Converted:
        unit = sensor.metrics[meaning.metric].unit
        linear = Linear() if meaning.unit in (None, unit) else self._convert(meaning.unit or unit, unit)
        return Converted(meaning.metric, linear.scaled(meaning.scale))


def device_of(link: Link) -> str:
    """Return the device's name in its protocol."""
    match link:
        case Hj212():
            return link.mn
        case Gb26875():
            return link.device
        case Mqtt():
            return f"{link.mapping}/{link.device}"


def words_of(link: Link | None) -> dict[str, Meaning]:
    """Return what a link's words mean; states and analogues of GB/T 26875 are told apart by what stands before them."""
    match link:
        case Hj212():
            return dict(link.codes)
        case Gb26875():
            states = {f"state:{name}": one for name, one in link.states.items()}
            return states | {f"analogue:{name}": one for name, one in link.analogues.items()}
        case _:
            return {}
