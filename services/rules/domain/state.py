"""What `step` remembers of one partition: sensors with their series, places, and what each rule has decided of them.

Times are integer microseconds since the epoch. `pages` writes it down; raise `VERSION` with every change of what is written: a snapshot of
another version is not used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from services.rules.domain.episodes import OPEN_END, Life
from services.rules.domain.few import Few
from services.rules.domain.ladder import NEVER, Flip, Run
from services.rules.domain.plan import Judged
from services.rules.domain.ring import Ring

VERSION = 6


def series_key(metric: str, statistic: str, period_s: int, origin: str) -> str:
    """Return a series' key among its sensor's. What is not real is a series of its own: no drill clears an alarm, none makes one an exercise."""
    key = metric if statistic == "instant" and not period_s else f"{metric}/{statistic}.{period_s}s"
    return key if origin == "real" else f"{key}@{origin}"


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


class Samples(Ring):
    """What a kind has made of readings, where the readings themselves are not the samples."""

    __slots__ = ("births", "first", "grid", "leaves", "told_by")

    def __init__(self, ends: Any = None, values: Any = None) -> None:
        super().__init__(ends, values)
        self.first = OPEN_END
        """End of the first reading after the tracker's birth: grids begin after it."""
        self.grid = NEVER
        """The last grid time looked at."""
        self.leaves: dict[str, Ring] | None = None
        """Of a rule with other measures beside its own: their samples, where these are not the readings."""
        self.births: dict[str, int] | None = None
        """Of such a rule: the newest end of each measure's series when the tracker began."""
        self.told_by: tuple[str, int, int] | None = None
        """Of a sensor compared with a background: its region, source, and the newest sequence in which that named it."""


class Tracker:
    """One rule on one subject."""

    __slots__ = (
        "birth",
        "due",
        "floor",
        "kept",
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
        self.samples: Samples | None = None
        """None where the readings are the samples."""
        self.stretches: list[Stretch] | None = None
        """None: rested since `floor`, all off."""
        self.life: Life | None = None
        self.kept: dict[int, Judged] | None = None
        """By end: samples at or before `floor` through which a waiting latch is still to be taken, as judged before the sensor changed."""
        self.reached = NEVER
        """The latest time that was decided without a sample at it: an earlier sample is late, even if it is the newest."""
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


_NOWHERE = (float("inf"), float("-inf"))


class Shape(NamedTuple):
    """What series of many sensors have in common; kept once for all of them."""

    key: str
    metric: str
    statistic: str
    period_s: int
    origin: str
    grace: int


class Series(Ring):
    """One series of a sensor: its good readings of the time that may still be revised.

    Its key is the metric, with `/<statistic>.<period>s` where it is not an instant and `@<origin>` where it is not real.
    """

    __slots__ = (
        "base",
        "closed",
        "counted",
        "generation",
        "high",
        "keep",
        "left",
        "low",
        "newest",
        "sensor",
        "shape",
        "statistics",
        "trackers",
        "used_by",
        "watched",
    )

    def __init__(self, sensor: Sensor, shape: Shape) -> None:
        super().__init__()
        self.sensor = sensor
        self.shape = shape
        self.newest = NEVER
        self.base = NEVER
        """End of the newest reading that was dropped though it might have been revised."""
        self.left = NEVER
        """The newest end when its sensor last moved to another street or department; what came up to then was read there."""
        self.trackers: Few[Tracker] = Few()
        """By rule."""
        self.used_by: tuple[Tracker, ...] = ()
        """All that a reading concerns, those of other owners too; made anew with `generation`."""
        self.generation = -1
        self.low, self.high = _NOWHERE
        """While all trackers rest on this very ring, a reading between these changes nothing."""
        self.keep = 0
        """How long readings are kept, in microseconds, when they are looked at for that."""
        self.watched = False
        self.counted: tuple[tuple[str, int], ...] = ()
        """Rules (id, meaning) of districts and the city that count it in; not from when it leaves one until its next reading."""
        self.statistics: tuple[Any, ...] = ()
        """Rules of districts and the city that need it."""
        self.closed: dict[str, tuple[int, ...]] | None = None
        """By rule: times in ids that a tracker gave which was dropped."""

    @property
    def page(self) -> int:
        """The page on which it is written: its sensor's."""
        return self.sensor.page

    def note(self, end: int) -> None:
        """Note a reading that nobody watches."""
        if end > self.newest:
            self.newest = end
        else:
            self.left = NEVER  # it was read since

    @property
    def was_read(self) -> bool:
        """Whether it has a reading since its sensor is where it is."""
        return bool(self.ends) or self.newest > self.left

    @property
    def key(self) -> str:
        """Its key among the sensor's."""
        return self.shape.key

    @property
    def metric(self) -> str:
        """What is measured."""
        return self.shape.metric

    @property
    def statistic(self) -> str:
        """What a value is of its time."""
        return self.shape.statistic

    @property
    def period_s(self) -> int:
        """From start to end; 0 for instants."""
        return self.shape.period_s

    @property
    def origin(self) -> str:
        """Whether it is real."""
        return self.shape.origin

    @property
    def grace(self) -> int:
        """Microseconds; see `grace`."""
        return self.shape.grace

    @property
    def subject(self) -> str:
        """What warnings name."""
        return f"{self.sensor.id}/{self.key}"


class Facts:
    """What many sensors have in common; kept once for all of them, and never changed."""

    __slots__ = ("adapter", "attributes", "awaited", "department", "domain", "life", "metrics", "names", "path", "tags")

    def __init__(  # noqa: PLR0917 - as the registry has them
        self,
        department: str = "",
        domain: str = "",
        adapter: str = "http",
        path: tuple[str, ...] = (),
        names: tuple[tuple[str, str], ...] = (),
        tags: tuple[str, ...] = (),
        attributes: tuple[tuple[str, str], ...] = (),
        metrics: tuple[str, ...] = (),
        life: str = "active",
    ) -> None:
        self.life = life
        self.awaited = life == "active"
        """Whether its silence is anybody's concern: not of what is planned, suspended or retired."""
        self.department = department
        self.domain = domain
        self.adapter = adapter
        self.path = path
        self.names = tuple({"zh": zh, "en": en} for zh, en in names)
        self.tags = frozenset(tags)
        self.attributes = dict(attributes)
        self.metrics = frozenset(metrics)


_NO_FACTS = Facts()


class Sensor:
    """A sensor as its newest record has it."""

    __slots__ = ("facts", "id", "name_json", "page", "places", "series", "silences", "street", "version")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.version = 0
        self.street = ""
        self.facts = _NO_FACTS
        self.name_json = b"{}"
        """Of its own, and seldom asked for: a third of a dict's size."""
        self.page = 0
        self.series: Few[Series] = Few()
        """By key."""
        self.places: dict[str, str] | None = None
        """Keys of the places of which it is a member, by rule and series."""
        self.silences: dict[str, Silence] | None = None
        """By rule."""

    @property
    def name(self) -> dict[str, str]:
        """In both languages."""
        name: dict[str, str] = msgspec.json.decode(self.name_json)
        return name

    @property
    def department(self) -> str:
        """Whose it is."""
        return self.facts.department

    @property
    def domain(self) -> str:
        """Its stream."""
        return self.facts.domain

    @property
    def adapter(self) -> str:
        """The protocol by which it is heard."""
        return self.facts.adapter

    @property
    def path(self) -> tuple[str, ...]:
        """Its regions, from its street up to the city."""
        return self.facts.path

    @property
    def names(self) -> tuple[dict[str, str], ...]:
        """Their names."""
        return self.facts.names

    @property
    def tags(self) -> frozenset[str]:
        """What rules choose by."""
        return self.facts.tags

    @property
    def attributes(self) -> dict[str, str]:
        """What limits depend on."""
        return self.facts.attributes

    @property
    def metrics(self) -> frozenset[str]:
        """What it measures."""
        return self.facts.metrics


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
    def page(self) -> int:
        """The page on which it is written: its sensor's."""
        return self.sensor.page

    @property
    def subject(self) -> str:
        """What warnings name."""
        return f"{self.sensor.id}/{self.metric}"


class Place:
    """Sensors that stand together, as a rule of kind `agreement` sees them; or a region, in `city.derived`."""

    __slots__ = (
        "births",
        "closed",
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
        self.closed: tuple[int, ...] = ()
        """Times in the ids that trackers gave which are ended."""
        self.tracker: Tracker | None = None

    @property
    def subject(self) -> str:
        """What warnings name."""
        return self.key.partition("\n")[2]

    @property
    def series_key(self) -> str:
        """The key of the series that are read there, each among its sensor's."""
        return series_key(self.metric, self.statistic, self.period_s, self.origin)

    @property
    def head(self) -> str:
        """The rule and where: the key without that of the series, by which places of rules of kind `agreement` are found."""
        return self.key.removesuffix(self.series_key)


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
