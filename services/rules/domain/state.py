"""What `step` remembers of one partition. Plain dataclasses of plain values: a snapshot is this tree, written down.

Times are integer microseconds since the epoch. Raise `VERSION` with every change of shape; a snapshot of another version is not used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

VERSION = 2


@dataclass(slots=True)
class Reading:
    """One good value of one series, with what evidence needs of its observation."""

    end: int
    value: float
    observation: str
    received: int
    origin: str


@dataclass(slots=True)
class Latch:
    """One tier of one rule on one series: on or off, and how far it is on its way to the other."""

    on: bool = False
    since: int = -1
    """End of the first reading of the present run past the limit of the way it goes; -1 when there is no run."""
    count: int = 0
    """Readings of that run."""
    last: Reading | None = None
    """The newest reading of that run."""
    waiting: list[Reading] = field(default_factory=list)
    """Readings after the run had lasted its dwell, kept until a tick has decided it."""
    scheduled: int = -1
    """The due time for which `State.dues` has an entry, at most one; -1 for none. What is due later is entered when that one comes up."""


@dataclass(slots=True)
class Episode:
    """An open warning."""

    id: str
    rev: int
    tier: int
    """Gravity, 1 blue to 4 red."""
    peak: int
    began: int
    origin: str
    evidence: str
    """JSON of the newest revision's evidence, for a revision that no reading decides."""


@dataclass(slots=True)
class Tracker:
    """One rule on one series."""

    meaning: int
    latches: dict[int, Latch]
    """By gravity."""
    episode: Episode | None = None


@dataclass(slots=True)
class Series:
    """One series of a sensor.

    Its key is the metric, with `/<statistic>.<period>s` where it is not an instant and `@<origin>` where it is not real.
    """

    metric: str
    statistic: str
    period_s: int
    last_end: int
    last_value: float
    trackers: dict[str, Tracker] = field(default_factory=dict)
    """By rule."""
    told: dict[str, int] = field(default_factory=dict)
    """By rule: event time of its newest revision. None is told earlier, and an episode begins later, so that no two have one identity."""


@dataclass(slots=True)
class SensorState:
    """A sensor as its newest record has it."""

    version: int
    street: str
    body: bytes
    series: dict[str, Series] = field(default_factory=dict)


@dataclass(slots=True)
class RuleState:
    """A rule as its newest activation has it."""

    version: int
    body: bytes


@dataclass(slots=True)
class State:
    """One partition."""

    now: int = 0
    """Time of the newest tick."""
    sensors: dict[str, SensorState] = field(default_factory=dict)
    rules: dict[str, RuleState] = field(default_factory=dict)
    dues: list[tuple[int, str, str, str, int]] = field(default_factory=list)
    """A heap of (tick time from which it is decided, sensor, series key, rule, gravity); an entry may find its run ended or begun anew."""
