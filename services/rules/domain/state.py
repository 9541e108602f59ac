"""What `step` remembers of one partition: sensors with their series, places, and what each rule has decided of them.

Times are integer microseconds since the epoch. `pages` writes it down; raise `VERSION` with every change of what is written: a snapshot of
another version is not used.
"""

from __future__ import annotations

from typing import Any

from services.rules.domain.episodes import OPEN_END, Life
from services.rules.domain.ladder import NEVER, Flip, Run
from services.rules.domain.ring import Ring

VERSION = 3


INSTANT_GRACE = 5_000_000
MINUTE_GRACE = 120_000_000
HOUR_GRACE = 900_000_000
"""How long after it was due a dwell is decided, by the period of the series: late readings may come until then. Microseconds."""


def grace(period_s: int) -> int:
    """Return the grace of a series by its period, in microseconds."""
    if period_s == 0:
        return INSTANT_GRACE
    return MINUTE_GRACE if period_s < 3600 else HOUR_GRACE  # noqa: PLR2004 - an hour


class Stretch:
    """Latches known exactly: after all samples up to `begin`; where `end` is later they rested until then, whatever samples lie between."""

    __slots__ = ("begin", "end", "flips", "mask", "runs")

    def __init__(self, begin: int, end: int, mask: int, runs: dict[int, Run] | None = None, flips: list[Flip] | None = None) -> None:
        self.begin = begin
        self.end = end
        self.mask = mask
        self.runs = runs
        """By gravity; None where they rest."""
        self.flips = flips
        """What had been decided, where that is not simply all that lies at or before `begin`."""


class Tracker:
    """One rule on one subject."""

    __slots__ = (
        "birth",
        "births",
        "due",
        "first",
        "floor",
        "grid",
        "kept",
        "leaves",
        "life",
        "mask",
        "meaning",
        "owner",
        "reached",
        "rule",
        "runs",
        "samples",
        "scene",
        "seen",
        "stretches",
    )

    def __init__(self, rule: str, meaning: int, birth: int) -> None:
        self.rule = rule
        self.meaning = meaning
        self.birth = birth
        """Newest end of the series when this began: kinds do not look back at it or before."""
        self.floor = birth
        """Time up to which nothing is revised."""
        self.mask = 0
        """Which latches are on: bit `gravity`."""
        self.runs: dict[int, Run] | None = None
        self.samples: Ring | None = None
        """None where the readings are the samples."""
        self.stretches: list[Stretch] | None = None
        """None: rested since `floor`, all off."""
        self.life: Life | None = None
        self.kept: list[tuple[int, Any]] | None = None
        """Readings at or before `floor` for which a waiting latch is still to be taken through."""
        self.reached = NEVER
        """The latest time that was decided without a sample at it: an earlier sample is late, even if it is the newest."""
        self.leaves: dict[str, Ring] | None = None
        """Of a rule with other measures beside its own: their samples, where these are not the readings."""
        self.births: dict[str, int] | None = None
        """The same of each measure by name."""
        self.first = OPEN_END
        """End of the first reading after `birth`: grids begin after it."""
        self.grid = NEVER
        """The last grid time looked at."""
        self.seen = NEVER
        """The newest sample that the latches have been taken through, where samples are not the readings."""
        self.due = OPEN_END
        """Horizon at which a tick has something to decide, as scheduled."""
        self.owner: Any = None
        self.scene: Any = None
        """What the rule is, compiled; given anew after a restore."""

    @property
    def rests(self) -> bool:
        """Whether no latch is on its way."""
        return not self.runs


class Series(Ring):
    """One series of a sensor: its good readings of the time that may still be revised.

    Its key is the metric, with `/<statistic>.<period>s` where it is not an instant and `@<origin>` where it is not real.
    """

    __slots__ = (
        "base",
        "closed",
        "counted",
        "generation",
        "grace",
        "high",
        "keep",
        "key",
        "low",
        "metric",
        "newest",
        "origin",
        "period_s",
        "sensor",
        "statistic",
        "statistics",
        "trackers",
        "used_by",
        "watched",
    )

    def __init__(self, sensor: Sensor, key: str, metric: str, statistic: str, period_s: int, origin: str) -> None:
        super().__init__()
        self.sensor = sensor
        self.key = key
        self.metric = metric
        self.statistic = statistic
        self.period_s = period_s
        self.origin = origin
        self.newest = NEVER
        self.base = NEVER
        """End of the newest reading that was dropped though it might have been revised."""
        self.trackers: dict[str, Tracker] = {}
        """By rule."""
        self.used_by: tuple[Tracker, ...] = ()
        """All that a reading concerns, those of other owners too; made anew with `generation`."""
        self.generation = -1
        self.low = float("inf")
        self.high = float("-inf")
        """While all trackers rest on this very ring, a reading between these changes nothing."""
        self.keep = 0
        """How long readings are kept, in microseconds, when they are looked at for that."""
        self.grace = grace(period_s)
        self.watched = False
        self.counted = False
        """Whether districts and the city count it in; not from when its sensor changed hands until its next reading."""
        self.statistics: tuple[Any, ...] = ()
        """Rules of districts and the city that need it."""
        self.closed: dict[str, int] | None = None
        """By rule: the latest time in an id of a tracker that was dropped."""

    @property
    def subject(self) -> str:
        """What warnings name."""
        return f"{self.sensor.id}/{self.key}"


class Sensor:
    """A sensor as its newest record has it."""

    __slots__ = (
        "adapter",
        "attributes",
        "department",
        "domain",
        "id",
        "metrics",
        "name",
        "names",
        "page",
        "path",
        "places",
        "series",
        "silences",
        "street",
        "tags",
        "version",
    )

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.version = 0
        self.street = ""
        self.department = ""
        self.domain = ""
        self.adapter = "http"
        self.name: dict[str, str] = {}
        self.path: tuple[str, ...] = ()
        self.names: tuple[dict[str, str], ...] = ()
        self.tags: frozenset[str] = frozenset()
        self.attributes: dict[str, str] = {}
        self.metrics: frozenset[str] = frozenset()
        self.page = 0
        self.series: dict[str, Series] = {}
        self.places: dict[str, str] | None = None
        """Keys of the places of which it is a member, by rule and series."""
        self.silences: dict[str, Silence] | None = None
        """By rule."""


class Silence:
    """A rule of kind `absence` on a sensor."""

    __slots__ = ("expected", "heard", "metric", "origin", "sensor", "tracker")

    def __init__(self, sensor: Sensor, metric: str, tracker: Tracker, heard: int) -> None:
        self.sensor = sensor
        self.metric = metric
        self.tracker = tracker
        self.heard = heard
        """The adapter's listening clock when the sensor was last heard."""
        self.origin = "real"
        self.expected = OPEN_END
        """The listening clock at which it is looked at."""

    statistic = "instant"
    period_s = 0

    @property
    def subject(self) -> str:
        """What warnings name."""
        return f"{self.sensor.id}/{self.metric}"


class Place:
    """Sensors that stand together, as a rule of kind `agreement` sees them; or a region, in `city.derived`."""

    __slots__ = (
        "births",
        "department",
        "domain",
        "key",
        "members",
        "metric",
        "name",
        "newest",
        "origin",
        "page",
        "period_s",
        "statistic",
        "street",
        "tracker",
    )

    def __init__(self, key: str, street: str, name: dict[str, str], page: int) -> None:
        self.key = key
        """`<rule>\\n<subject>`."""
        self.street = street
        self.name = name
        self.page = page
        self.metric = ""
        self.statistic = "instant"
        self.period_s = 0
        self.origin = "real"
        self.domain = ""
        self.department = ""
        self.members: dict[str, Series] = {}
        self.births: dict[str, int] = {}
        """Of members that joined later: their newest end then; what they read before does not count."""
        self.newest = NEVER
        self.tracker: Tracker | None = None

    @property
    def subject(self) -> str:
        """What warnings name."""
        return self.key.partition("\n")[2]


class Clock:
    """How long an adapter's protocol has been listening, in microseconds."""

    __slots__ = ("last", "listened", "reported", "resumed")

    def __init__(self) -> None:
        self.listened = 0
        self.resumed = 0
        """`listened` when it began again after its last gap."""
        self.last = NEVER
        """The tick at which it listened last."""
        self.reported: dict[str, int] = {}
        """By adapter."""
