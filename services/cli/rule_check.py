"""`./tongguan rules check`: whether rules can be used, and what of them was probably not meant so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from schemas.limit import Limits
from schemas.measure import Absence, Agreement, Background, Regional, Window
from schemas.observation import Statistic
from schemas.regions import RegionTree
from schemas.rule import FRESH, All, Applies, Compare, Direction, Rule, Way
from schemas.sensor import Sensor
from schemas.tiers import TIERS, Tier
from services.cli.findings import Grade
from services.kit import city
from services.kit.documents import Document, Invalid, Keys, Problem, closest, read
from services.kit.errors import Misconfigured

_UNIT_OF_VALUES = {"value", "window", "regional", "background"}
_PERIODS = 3
"""So many periods of a series a reading stands, where the rule does not say it."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A problem of a file, and whether the rule can be used all the same."""

    file: Path
    grade: Grade
    problem: Problem


@dataclass(frozen=True)
class Surroundings:
    """What the city beside a rule's folder has; empty where there is none."""

    sensors: tuple[Sensor, ...] = ()
    regions: RegionTree | None = None
    departments: tuple[str, ...] = ()


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files meant: of a city's folder those in `rules/`, of another all that are YAML."""
    for path in paths:
        if path.is_dir():
            inner = path / "rules" if (path / "rules").is_dir() else path
            yield from sorted((*inner.glob("*.yaml"), *inner.glob("*.yml")))
        else:
            yield path


def check(paths: Iterable[Path]) -> list[Noted]:
    """Return what is to be said of rules, by file and line."""
    noted: list[Noted] = []
    seen: dict[tuple[Path, str], Path] = {}
    for file in paths:
        try:
            document = read(file, Rule)
        except Invalid as error:
            noted += [Noted(file, Grade.BAD, problem) for problem in error.problems]
            continue
        rule = document.model
        other = seen.setdefault((file.parent, rule.id), file)
        if other is not file:
            noted.append(Noted(file, Grade.BAD, document.problem(("id",), f"rule {rule.id} stands in {other.name} already", "give another id")))
        noted += sorted(_notes(document, _beside(file.parent.parent)), key=lambda note: (note.problem.line, note.problem.column))
    return noted


@lru_cache(maxsize=8)
def _beside(folder: Path) -> Surroundings:
    """Return what a city's folder has; nothing where it is none, or cannot be read: `doctor` says what is wrong with it."""
    try:
        place = city.load(folder)
        sensors, _ = city.sensors(folder, place)
    except Misconfigured:
        return Surroundings()
    return Surroundings(tuple(sensors), place.regions, tuple(department.id for department in place.city.departments))


@dataclass(frozen=True)
class _Notes:
    """Collects what is said of one rule."""

    document: Document[Rule]
    noted: list[Noted] = field(default_factory=list)

    def warn(self, keys: Keys, says: str, mend: str | None = None, grade: Grade = Grade.WARN) -> None:
        self.noted.append(Noted(self.document.file, grade, self.document.problem(keys, says, mend)))


def _notes(document: Document[Rule], beside: Surroundings) -> list[Noted]:
    notes, rule = _Notes(document), document.model
    if rule.id != document.file.stem:
        notes.warn(("id",), f"the file is named {document.file.name}", f"name it {rule.id}.yaml, so that it is found")
    if rule.standard is None:
        notes.warn((), "`standard` is missing", "say where the limits come from, or that they are your own choice")
    _check_tiers(rule, notes)
    _check_dwells(rule, notes)
    if beside.regions is not None:
        _check_words(rule, beside, beside.regions, notes)
        _check_ranges(rule, [sensor for sensor in beside.sensors if watches(rule.applies, sensor, beside.regions)], notes)
    return notes.noted


# Tiers that are never seen


def _check_tiers(rule: Rule, notes: _Notes) -> None:
    present = [tier for tier in TIERS if tier in rule.tiers]
    for tier in present:
        for way in ("up", "down"):
            if contradicts(getattr(rule.tiers[tier], way)):
                notes.warn(("tiers", tier.value, way, "when"), "can never be true: a measure cannot be past both limits")
        graver = next((other for other in present if other.gravity > tier.gravity and hides(rule, other, tier)), None)
        if graver is not None:
            says = f"is never seen: whenever it is entered, {graver.value} is entered, too"
            notes.warn(("tiers", tier.value, "up"), says, "give the graver tier a limit further out, or a longer `readings` or `for`")


def hides(rule: Rule, graver: Tier, milder: Tier) -> bool:
    """Say whether a tier is entered no later than a milder one, and left no earlier, for certain."""
    up, under = rule.tiers[graver].up, rule.tiers[milder].up
    down, lower = rule.tiers[graver].down, rule.tiers[milder].down
    if up.dwell is None and under.dwell is None:
        quick = up.readings <= under.readings
    else:
        quick = _at_once(up) or (up.dwell is not None and under.dwell is not None and up.dwell <= under.dwell)
    slow = down.readings == lower.readings and down.dwell == lower.dwell and down.limit == lower.limit and down.when == lower.when
    return up.limit == under.limit and up.when == under.when and quick and slow


def _at_once(way: Way) -> bool:
    return way.dwell is None and way.readings == 1


def contradicts(way: Way) -> bool:
    """Say whether a condition asks one measure to be past a limit above and past one below that lie apart."""
    if not isinstance(way.when, All):
        return False
    high: dict[str, float] = {}
    low: dict[str, float] = {}
    for part in way.when.all:
        if isinstance(part, Compare):
            if part.above is not None:
                high[part.measure] = max(high.get(part.measure, -math.inf), _least(part.above))
            elif part.below is not None:
                low[part.measure] = min(low.get(part.measure, math.inf), _most(part.below))
    return any(high[name] > low[name] for name in high.keys() & low.keys())


def _least(limits: Limits) -> float:
    return min([limits.default, *(case.limit for case in limits.cases)])


def _most(limits: Limits) -> float:
    return max([limits.default, *(case.limit for case in limits.cases)])


# Dwells that no series fulfils


def _check_dwells(rule: Rule, notes: _Notes) -> None:
    """Tell of dwells that need more samples than come while one stands: each begins a run anew."""
    every, whence = _interval(rule)
    period = rule.measure.length if isinstance(rule.measure, Regional | Background) else rule.applies.period or timedelta(0)
    stands = rule.fresh or max(FRESH, _PERIODS * period)
    if every is None or every <= stands or isinstance(rule.measure, Absence):
        return
    for tier, step in rule.tiers.items():
        for name, way in (("up", step.up), ("down", step.down)):
            what = "for" if way.dwell is not None and way.dwell > stands else "readings" if way.readings > 1 else None
            if what is not None:
                says = f"is never fulfilled: samples come every {told(every)} ({whence}), and one stands for {told(stands)}"
                notes.warn(("tiers", tier.value, name, what), says, f"give the rule `fresh: {iso(3 * every)}` or so")


def _interval(rule: Rule) -> tuple[timedelta | None, str]:
    """Return how far apart samples lie at least, as far as the rule says, and by what of it."""
    measure, applies = rule.measure, rule.applies
    found: list[tuple[timedelta, str]] = []
    if isinstance(measure, Window) and measure.every is not None:
        found.append((measure.every, "`every`"))
    if isinstance(measure, Regional | Background):
        found.append((measure.length, "`length`"))
    if applies.statistic is not Statistic.INSTANT and applies.period:
        found.append((applies.period, "`period`"))
    return max(found, default=(None, ""), key=lambda one: one[0] or timedelta(0))


def told(span: timedelta) -> str:
    """Return a length of time for people: its largest whole units."""
    seconds = span.total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def iso(span: timedelta) -> str:
    """Return a length of time as a rule has it."""
    seconds = span.total_seconds()
    for unit, length in (("H", 3_600), ("M", 60)):
        if seconds % length == 0:
            return f"PT{seconds / length:g}{unit}"
    return f"PT{seconds:g}S"


# Words that the city does not have


def _check_words(rule: Rule, beside: Surroundings, regions: RegionTree, notes: _Notes) -> None:
    applies = rule.applies
    metrics = {metric for sensor in beside.sensors for metric in sensor.metrics}
    tags = {tag for sensor in beside.sensors for tag in sensor.tags}
    _missing(notes, ("applies", "metric"), "metric", [applies.metric], metrics)
    for name, also in rule.also.items():
        _missing(notes, ("also", name, "metric"), "metric", [also.metric], metrics)
    _missing(notes, ("applies", "tags"), "tag", applies.tags, tags)
    if isinstance(rule.measure, Background):
        _missing(notes, ("measure", "stations"), "tag", rule.measure.stations, tags)
    _missing(notes, ("applies", "sensors"), "sensor", applies.sensors or (), {sensor.id for sensor in beside.sensors})
    _missing(notes, ("applies", "regions"), "region", applies.regions or (), {region.code for region in regions})
    _missing(notes, ("applies", "department"), "department", [applies.department] if applies.department else [], beside.departments)


def _missing(notes: _Notes, keys: Keys, what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Tell of what the city does not have: a slip of the pen where something near is there, else perhaps still to come."""
    known = set(known)
    for name in sorted(set(given) - known):
        close = closest(name, sorted(known))
        mend = f"did you mean `{close}`?" if close else f"add the {what}, or the rule watches nothing"
        notes.warn(keys, f"the city has no {what} `{name}`", mend, Grade.BAD if close else Grade.WARN)


def watches(applies: Applies, sensor: Sensor, regions: RegionTree) -> bool:
    """Say whether a rule watches a sensor and what it measures."""
    path = regions.path(sensor.street) if sensor.street in regions else ()
    return applies.metric in sensor.metrics and applies.concerns(sensor.id, sensor.domain, sensor.department, path, sensor.tags)


def _check_ranges(rule: Rule, watched: Sequence[Sensor], notes: _Notes) -> None:
    """Tell of limits that no sensor can reach, and of units that are not the sensors'."""
    metrics = [sensor.metrics[rule.applies.metric] for sensor in watched]
    if not metrics:
        notes.warn(("applies",), "no sensor of the city is watched by it")
        return
    own = isinstance(rule.measure, Agreement) or rule.measure.kind not in _UNIT_OF_VALUES
    counts = getattr(rule.measure, "aggregate", None) in {"count", "sum"}
    if own or counts:
        return
    if units := sorted({metric.unit for metric in metrics} - {rule.unit}):
        notes.warn(("unit",), f"is not that of the sensors, {', '.join(units)}")
    if rule.measure.kind == "background":
        return
    above = rule.direction is Direction.ABOVE
    ends = [metric.high if above else metric.low for metric in metrics]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return
    furthest = max(known) if above else min(known)
    for tier, step in rule.tiers.items():
        if (limit := step.up.limit) is not None and ((_least(limit) > furthest) if above else (_most(limit) < furthest)):
            says = f"is never entered: the sensors' {'highest' if above else 'lowest'} plausible value is {furthest:g}"
            notes.warn(("tiers", tier.value, "up", "limit"), says)
