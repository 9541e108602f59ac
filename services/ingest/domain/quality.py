"""Quality control at the door: what a good value is doubted for. Values are never changed, only flagged; what came flagged keeps its flag.

Range is judged of every value; spikes and stuck values of instants only, against the readings that this node took before: they are asked for a metric
at a time (`schemas.sensor.Metric`), because a jump may be the very thing that a rule waits for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.observation import Quality
from schemas.sensor import Metric, Sensor

_IMPLAUSIBLE, _SPIKE, _STUCK = Quality.IMPLAUSIBLE.value, Quality.SPIKE.value, Quality.STUCK.value
LATE_US = 60_000_000
"""What ends so long before it is taken counts as late of a sensor; rules have graces of their own."""
MOST_SPIKES = 16
"""That are remembered of a metric."""
ALPHA = 0.1
"""Weight of the newest reading in the mean skew."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What one metric's values are held against."""

    low: float
    high: float
    spike: float | None
    stuck_us: int | None
    trailed: bool
    """Whether it is held against the readings before."""


@dataclass(slots=True)
class Trail:
    """The last believed values of one metric."""

    value: float
    end: int
    since: int
    """Since when it has been this very value, microseconds."""
    spikes: dict[int, float] = field(default_factory=dict)
    """The newest that were flagged, by their ends: one that comes again is flagged alike, or it would be a correction."""
    doubted: float | None = None
    doubted_end: int = 0
    """The newest reading that was taken for a spike: when the next is near it, the jump was true."""


@dataclass(slots=True)
class Memory:
    """What a node remembers of a sensor since it started; counts are taken out when they are written down."""

    trails: dict[str, Trail] = field(default_factory=dict)
    end: int = 0
    """End of the newest reading, microseconds."""
    received: int = 0
    readings: int = 0
    bad: int = 0
    """Values with any flag but good, of all; see `values`."""
    values: int = 0
    late: int = 0
    gaps: int = 0
    gap_us: int = 0
    """The longest of these."""
    skew_us: float = 0.0
    """How far ahead of our clock its readings end, a running mean of instants that are not late."""
    changed: bool = False


def checks_of(sensor: Sensor) -> dict[str, Checks]:
    """Return what the values of a sensor's metrics are held against, without those that have no check."""
    return {name: one for name, metric in sensor.metrics.items() if (one := _checks(metric)) is not None}


def _checks(metric: Metric) -> Checks | None:
    if metric.low is None and metric.high is None and metric.spike is None and metric.stuck is None:
        return None
    low = float("-inf") if metric.low is None else metric.low
    high = float("inf") if metric.high is None else metric.high
    stuck = None if metric.stuck is None else round(metric.stuck.total_seconds() * 1e6)
    return Checks(low, high, metric.spike, stuck, trailed=metric.spike is not None or stuck is not None)


def doubts(
    checks: Mapping[str, Checks], memory: Memory, values: Mapping[str, float], flagged: Mapping[str, str], start: int, end: int
) -> dict[str, str]:
    """Return the flags of those values that came as good and are doubted; times are microseconds."""
    found: dict[str, str] = {}
    for metric, check in checks.items():
        value = values.get(metric)
        if value is None or metric in flagged:
            continue
        if not check.low <= value <= check.high:
            found[metric] = _IMPLAUSIBLE
        elif check.trailed and start == end and (flag := _against_trail(check, memory, metric, value, end)):
            found[metric] = flag
    return found


def _against_trail(check: Checks, memory: Memory, metric: str, value: float, end: int) -> str | None:
    trail = memory.trails.get(metric)
    if trail is None:
        memory.trails[metric] = Trail(value, end, end)
        return None
    if trail.spikes.get(end) == value:
        return _SPIKE
    if end <= trail.end:
        return _STUCK if value == trail.value and _is_stuck(check, trail, end) else None
    if check.spike is not None and abs(value - trail.value) > check.spike and not _confirmed(trail, value, end, check.spike):
        trail.doubted, trail.doubted_end = value, end
        trail.spikes[end] = value
        if len(trail.spikes) > MOST_SPIKES:
            del trail.spikes[next(iter(trail.spikes))]
        return _SPIKE
    trail.doubted = None
    if value != trail.value:
        trail.value, trail.since = value, end
    trail.end = end
    return _STUCK if _is_stuck(check, trail, end) else None


def _is_stuck(check: Checks, trail: Trail, end: int) -> bool:
    return check.stuck_us is not None and end - trail.since > check.stuck_us


def _confirmed(trail: Trail, value: float, end: int, spike: float) -> bool:
    return trail.doubted is not None and end > trail.doubted_end and abs(value - trail.doubted) <= spike


def remember(memory: Memory, *, values: int, bad: int, start: int, end: int, received: int, every_us: int | None) -> None:
    """Note that a sensor was heard."""
    memory.readings += 1
    memory.values += values
    memory.bad += bad
    memory.received = received
    memory.changed = True
    if received - end > LATE_US:
        memory.late += 1
    elif start == end:
        memory.skew_us += ALPHA * (end - received - memory.skew_us) if memory.readings > 1 else end - received
    if every_us is not None and memory.end and end - memory.end > 2 * every_us:
        memory.gaps += 1
        memory.gap_us = max(memory.gap_us, end - memory.end)
    memory.end = max(memory.end, end)
