"""`./tongguan rules test`: rules run over made-up values by the engine itself, with made-up ticks, and what they tell against what is expected."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from schemas import wire
from schemas.base import Domain, Name
from schemas.control import RuleActivation, SensorRecord
from schemas.observation import Quality
from schemas.rule import Rule
from schemas.rule_test import Expected, RuleTests, Test, Tiers, Watched, length, parse
from schemas.sensor import Metric, Sensor
from schemas.tiers import GRAVITY, Tier
from services.kit.documents import Document, Invalid, Problem, closest, read
from services.rules.domain.revision import Forward, Revision
from services.rules.domain.step import Partition

_NODE = "test"


@dataclass(frozen=True, slots=True)
class Told:
    """A revision, and when it was told after the beginning."""

    at: timedelta
    revision: Revision


@dataclass(frozen=True, slots=True)
class Looked:
    """What was there when something was expected."""

    expected: Expected
    rule: str
    tier: str
    change: str | None
    ok: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One test's."""

    file: Path
    line: int
    name: str
    looked: tuple[Looked, ...]
    told: tuple[Told, ...]
    unexpected: tuple[Told, ...]
    """Opened, raised or lowered to a tier of which no expectation speaks while it lasts."""

    @property
    def ok(self) -> bool:
        return not self.unexpected and all(one.ok for one in self.looked)


def run(file: Path) -> list[Result]:
    """Run the tests of a file; raises `Invalid` when it, or a rule that it names, cannot be used."""
    document = read(file, RuleTests)
    rules = _rules(document)
    _check_expectations(document, rules)
    return [_run(document, at, test, rules) for at, test in enumerate(document.model.tests)]


def _rules(document: Document[RuleTests]) -> list[Rule]:
    rules: dict[str, Rule] = {}
    for at, name in enumerate(document.model.rules):
        path = Path(os.path.normpath(document.file.parent / name))
        if not path.is_file():
            raise Invalid(document.file, [document.problem(("rules", at), f"there is no file {path}", _near(path))])
        rule = read(path, Rule).model
        if rule.id in rules:
            raise Invalid(document.file, [document.problem(("rules", at), f"rule {rule.id} is given twice")])
        rules[rule.id] = rule
    return list(rules.values())


def _near(path: Path) -> str | None:
    close = closest(path.name, [other.name for other in path.parent.glob("*.yaml")]) if path.parent.is_dir() else None
    return f"did you mean `{close}`?" if close else "paths begin at the file of tests"


def _check_expectations(document: Document[RuleTests], rules: Sequence[Rule]) -> None:
    ids = [rule.id for rule in rules]
    problems: list[Problem] = []
    for at, test in enumerate(document.model.tests):
        for number, expected in enumerate(test.expect):
            keys = ("tests", at, "expect", number)
            if expected.rule is None and len(ids) > 1:
                problems.append(document.problem(keys, "`rule` is missing, and there are several", f"one of {', '.join(ids)}"))
            elif expected.rule is not None and expected.rule not in ids:
                close = closest(expected.rule, ids)
                mend = f"did you mean `{close}`?" if close else f"there are: {', '.join(ids)}"
                problems.append(document.problem((*keys, "rule"), f"there is no rule `{expected.rule}` here", mend))
    if problems:
        raise Invalid(document.file, problems)


# One test


def _run(document: Document[RuleTests], at: int, test: Test, rules: Sequence[Rule]) -> Result:
    interval = test.interval or document.model.interval
    begin = wire.to_micros(test.begin)
    expectations = sorted(test.expect, key=lambda one: one.at)
    story = _Story(begin)
    newest: dict[tuple[str, str], Revision] = {}
    looked: list[Looked] = []
    spoken: set[tuple[object, str]] = set()
    waiting = list(expectations)
    for time, record in _records(test, interval, rules):
        while waiting and begin + _micros(waiting[0].at) < time:
            looked.append(_look(waiting.pop(0), rules, newest, spoken))
        for told in story.take(time, record):
            newest[told.revision.rule, told.revision.subject] = told.revision
    looked += [_look(one, rules, newest, spoken) for one in waiting]
    unexpected = [one for one in story.told if one.revision.state == "open" and (one.revision.id, one.revision.tier) not in spoken]
    line = document.problem(("tests", at), "").line
    return Result(document.file, line, test.name, tuple(looked), tuple(story.told), tuple(unexpected))


class _Story:
    """The rules at work: one partition of streets, and one of regions that hears what the first derives."""

    def __init__(self, begin: int) -> None:
        self._begin = begin
        self._streets, self._regions = Partition(), Partition(derived=True)
        self.told: list[Told] = []

    def take(self, time: int, record: wire.Record) -> list[Told]:
        """Take a record and all that follows from it; returns what was told."""
        told: list[Told] = []
        waiting = [(self._streets, record)]
        while waiting:
            partition, record = waiting.pop(0)
            for output in partition.step(record)[1]:
                if isinstance(output, Forward):
                    waiting.append((self._regions, output.record))
                else:
                    told.append(Told(timedelta(microseconds=max(time - self._begin, 0)), output))
        self.told += told
        return told


def _look(expected: Expected, rules: Sequence[Rule], newest: dict[tuple[str, str], Revision], spoken: set[tuple[object, str]]) -> Looked:
    """Compare what is expected with the newest revision of each subject; notes of what it speaks."""
    rule = expected.rule or rules[0].id
    there = [one for (of, subject), one in newest.items() if of == rule and expected.subject in {None, subject}]
    shown = [one for one in there if one.state == "open"]
    if expected.tier is not Tiers.NONE:
        spoken |= {(one.id, one.tier) for one in shown}
    gravest = max(shown, key=lambda one: GRAVITY[Tier(one.tier)], default=None)
    tier = gravest.tier if gravest else Tiers.NONE.value
    last = gravest or max(there, key=lambda one: one.changed_at, default=None)
    change = last.change if last else None
    ok = tier == expected.tier.value and (expected.change is None or expected.change.value == change)
    return Looked(expected, rule, tier, change, ok)


# What happens


def _records(test: Test, interval: timedelta, rules: Sequence[Rule]) -> Iterator[tuple[int, wire.Record]]:
    """Yield control records, then values by the time of their arrival, with ticks between; each with its time."""
    begin = wire.to_micros(test.begin)
    end = begin + _micros(length(test, interval))
    for rule in rules:
        yield begin, wire.of_activation(RuleActivation(rule=rule, meaning=rule.version))
    for watched in test.watched():
        yield begin, wire.of_sensor(_sensor(watched, rules))
    values = sorted(_values(test, begin, interval, rules), key=lambda one: (one.received, one.end))
    tick = begin
    for value in values:
        while tick < value.received:
            yield tick, _tick(test, tick, begin)
            tick += _micros(test.ticks)
        if value.received > end:
            break
        yield value.received, value
    while tick <= end:
        yield tick, _tick(test, tick, begin)
        tick += _micros(test.ticks)


def _tick(test: Test, time: int, begin: int) -> wire.Tick:
    away = any(_micros(one.since) <= time - begin < _micros(one.until) for one in test.away)
    heard = {} if away else {f"{watched.adapter}@{_NODE}": time for watched in test.watched()}
    return wire.Tick(time=time, node=_NODE, adapters=heard)


def _values(test: Test, begin: int, interval: timedelta, rules: Sequence[Rule]) -> Iterator[wire.Observation]:
    """Yield observations; what a sensor says of one end by one arrival is one."""
    for watched in test.watched():
        heard: dict[tuple[int, int], tuple[dict[str, float], dict[str, str]]] = {}
        for metric, text in watched.series.items():
            for said in parse(text):
                end = begin + said.slot * _micros(interval)
                values, quality = heard.setdefault((end, end + _micros(said.delay)), ({}, {}))
                values[metric] = said.value
                if said.quality is not Quality.GOOD:
                    quality[metric] = said.quality.value
        for number, ((end, arrives), (values, quality)) in enumerate(sorted(heard.items(), key=lambda one: one[0])):
            yield wire.Observation(
                id=f"{watched.id}-{number}",
                source="/tests",
                department=watched.department,
                sensor=watched.id,
                street=watched.street,
                domain=_domain(watched, rules).value,
                start=end - _micros(watched.period),
                end=end,
                statistic=watched.statistic.value,
                values=values,
                quality=quality,
                origin=test.origin.value,
                received=arrives,
            )


def _sensor(watched: Watched, rules: Sequence[Rule]) -> SensorRecord:
    metrics = {metric: Metric(unit="1", name=_name(metric)) for metric in watched.series}
    missing = {rule.applies.metric for rule in rules} - metrics.keys() if not metrics else set()
    sensor = Sensor(
        id=watched.id,
        name=watched.name or _name(watched.id),
        domain=_domain(watched, rules),
        department=watched.department,
        street=watched.street,
        metrics=metrics | {metric: Metric(unit="1", name=_name(metric)) for metric in missing},
        tags=watched.tags,
        attributes=watched.attributes,
        adapter=watched.adapter,
    )
    above = watched.path or tuple(dict.fromkeys(code for code in (watched.street[:6], f"{watched.street[:4]}00") if code != watched.street))
    path = (watched.street, *above)
    return SensorRecord(sensor=sensor, path=path, names=tuple(_name(code) for code in path))


def _domain(watched: Watched, rules: Sequence[Rule]) -> Domain:
    return watched.domain or next((rule.applies.domain for rule in rules if rule.applies.domain), Domain.WATER)


def _name(text: str) -> Name:
    return Name(zh=text, en=text)


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


# Words


def after(span: timedelta) -> str:
    """Return a time after the beginning, as `+1:05:20`."""
    seconds = span.total_seconds()
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    whole = f"{minutes:.0f}:{left:02.0f}" if left == int(left) else f"{minutes:.0f}:{left:06.3f}"
    return f"+{hours:.0f}:{whole:0>5}" if hours else f"+{whole}"


def words(told: Told) -> str:
    """Return what a revision says, on one line."""
    one = told.revision
    evidence = one.evidence
    limit = "" if evidence.limit is None else f", limit {evidence.limit:g}"
    tier = one.tier if one.state == "open" else Tiers.NONE.value
    return f"{one.rule} {one.subject}: rev {one.rev} {one.change} → {tier} ({evidence.value:g} {evidence.unit}{limit})"
