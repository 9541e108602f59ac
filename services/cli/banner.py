"""What `up` says once, when all is ready."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.measure import Value
from schemas.observation import Statistic
from schemas.regions import RegionTree
from schemas.rule import Applies, Rule
from schemas.sensor import Sensor
from schemas.tiers import TIERS
from services.cli.rule_check import watches

KAFKA_CAP_GB = 20
"""The sum of what the topics may keep (`retention.bytes` of schemas/topics)."""


@dataclass(frozen=True, slots=True)
class Login:
    """A demo user."""

    id: str
    name: str
    password: str | None
    """None of one whom another data folder has made: only who has that folder, or has changed it since, knows it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An event that can be published at once, and what comes of it."""

    sensor: str
    department: str
    metric: str
    value: float
    warns: str | None
    """The Chinese name of the rule that it meets, where there is one that a single reading can meet."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that the banner tells."""

    version: str
    ready_s: float
    gateway: str
    ingest: str
    logins: Sequence[Login]
    keys: Mapping[str, str]
    """Department id to its key."""
    sample: Sample | None
    data: Path
    kept: bool
    servers: Sequence[str]
    """Those that others run."""
    embedded: bool
    """Whether Kafka is ours, which bounds what it keeps."""
    feed: str


def sample_of(sensors: Sequence[Sensor], rules: Sequence[Rule], regions: RegionTree) -> Sample | None:
    """Return an event that meets a rule by one reading; of a city without such a rule any event, of one without sensors none."""
    for rule in rules:
        limits = limits_at_once(rule)
        met = (sensor for sensor in sensors if concerns(rule.applies, sensor, regions))
        if limits and rule.enabled and (sensor := next(met, None)) is not None:
            return Sample(sensor.id, sensor.department, rule.applies.metric, limits[0], rule.name.zh)
    return next((Sample(each.id, each.department, next(iter(each.metrics)), 12.5, None) for each in sensors), None)


def concerns(applies: Applies, sensor: Sensor, regions: RegionTree) -> bool:
    """Say whether a rule watches what a sensor says of a moment."""
    return applies.statistic is Statistic.INSTANT and watches(applies, sensor, regions)


def limits_at_once(rule: Rule) -> list[float]:
    """Return the limits that a single reading need only meet, whatever the hour and the sensor, the mildest first."""
    if not isinstance(rule.measure, Value):
        return []
    ways = (rule.tiers[tier].up for tier in TIERS if tier in rule.tiers)
    return [way.limit.default for way in ways if way.limit is not None and not way.limit.cases and way.readings == 1 and way.dwell is None]


def curl(facts: Facts, sample: Sample) -> str:
    """Return a command that publishes one reading, of the moment at which it is pasted."""
    data = {"sensor": sample.sensor, "values": {sample.metric: sample.value}, "origin": "exercise"}
    event = {
        "specversion": "1.0",
        "id": "ID",
        "type": "cn.tongguan.observation.v1",
        "source": f"/departments/{sample.department}/hand",
        "time": "TIME",
        "data": data,
    }
    body = json.dumps(event).replace("TIME", "'$(date -u +%FT%TZ)'").replace('"ID"', "\"hand-'$(date +%s%N)'\"")
    return (
        f"curl -sS {facts.ingest}/v1/events \\\n"
        f"    -H 'Authorization: Bearer {facts.keys[sample.department]}' \\\n"
        f"    -H 'Content-Type: application/cloudevents+json' \\\n"
        f"    -d '{body}'"
    )


def text(facts: Facts) -> str:
    """Return the banner."""
    lines = ["", f"统管 Tongguan {facts.version} is ready ({facts.ready_s:.1f} s)", "", f"  Pages:  {facts.gateway}"]
    lines += _logins(facts.logins)
    lines += ["", f"  Departments publish CloudEvents to {facts.ingest}, each with its key (secrets.json)."]
    if facts.sample is not None:
        warns = f", which raises a warning ({facts.sample.warns})" if facts.sample.warns else ""
        lines += [f"  A first event{warns}; to be pasted as it is:", *(f"    {line}" for line in curl(facts, facts.sample).splitlines())]
    lines += ["", f"  Input:    {facts.feed}", *_folder(facts), f"  Secrets:  {facts.data / 'secrets.json'}   Logs: {facts.data / 'logs'}"]
    return "\n".join([*lines, "", "  Ctrl-C stops everything, in order.", ""])


def _logins(logins: Sequence[Login]) -> list[str]:
    """Return the table of the demo users, aligned on a terminal, where a Chinese character takes two columns."""
    if not logins:
        return ["  This city has no demo users: see docs/operations.md for the first administrator."]
    names, ids = max(_columns(each.name) for each in logins), max(len(each.id) for each in logins)
    rows = (f"    {each.name}{' ' * (names - _columns(each.name))}  {each.id:{ids}}  {each.password or '-'}" for each in logins)
    lines = ["  Sign in as (made for this data folder; the password is the last column):", *rows]
    if any(each.password is None for each in logins):
        lines.append("    -: was in the database before and keeps its password; another administrator: docs/operations.md, Sign-in")
    return lines


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _folder(facts: Facts) -> list[str]:
    kept = "kept: start again with the same --data and go on" if facts.kept else "removed at the end; --data DIR keeps it"
    lines = [f"  Data:     {facts.data}  ({kept})"]
    if facts.servers:
        lines.append(f"            with {' and '.join(facts.servers)}, which Ctrl-C leaves running")
    if facts.embedded:
        lines.append(f"            the embedded Kafka keeps {KAFKA_CAP_GB} GB at most; this one-machine set is for trials and work, not for a city")
    return lines


def as_json(facts: Facts) -> str:
    """Return in one line what the banner tells, and no secret that it does not tell."""
    told = {
        "version": facts.version,
        "ready_s": facts.ready_s,
        "urls": {"gateway": facts.gateway, "ingest": facts.ingest},
        "users": [asdict(login) for login in facts.logins],
        "input": facts.feed,
        "data": str(facts.data),
        "kept": facts.kept,
        "secrets": str(facts.data / "secrets.json"),
        "logs": str(facts.data / "logs"),
    }
    return json.dumps(told, ensure_ascii=False)
