"""What `up` says once, when all is ready."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.control import SensorRecord
from schemas.regions import RegionTree
from schemas.rule import Rule
from schemas.sensor import Sensor
from services.cli.credentials import Credentials
from services.rules.domain.step import concerns

KAFKA_CAP_GB = 20
"""The sum of what the topics may keep (`retention.bytes` of schemas/topics)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A region for which there is a token."""

    code: str
    name: str


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
    places: Sequence[Place]
    departments: Sequence[Place]
    credentials: Credentials
    sample: Sample | None
    data: Path
    kept: bool
    feed: str


def sample_of(sensors: Sequence[Sensor], rules: Sequence[Rule], regions: RegionTree) -> Sample | None:
    """Return an event that meets a rule by one reading; of a city without such a rule any event, of one without sensors none."""
    records = [SensorRecord(sensor=sensor, path=regions.path(sensor.street)) for sensor in sensors]
    for rule in rules:
        metric = rule.applies.metric
        ways = [step.up for step in rule.tiers.values() if step.up.readings == 1 and step.up.dwell is None]
        met = (one.sensor for one in records if metric in one.sensor.metrics and concerns(rule.applies, one, metric, "instant"))
        if ways and rule.enabled and (sensor := next(met, None)) is not None:
            return Sample(sensor.id, sensor.department, metric, ways[0].limit, rule.name.zh)
    return next((Sample(each.id, each.department, next(iter(each.metrics)), 12.5, None) for each in sensors), None)


def page_address(gateway: str, token: str, region: str) -> str:
    """Return the address of a region's page. The token stands after `#`, which browsers send to nobody."""
    return f"{gateway}/#token={token}&region={region}"


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
        f"    -H 'Authorization: Bearer {facts.credentials.department_keys[sample.department]}' \\\n"
        f"    -H 'Content-Type: application/cloudevents+json' \\\n"
        f"    -d '{body}'"
    )


def text(facts: Facts) -> str:
    """Return the banner."""
    lines = ["", f"统管 Tongguan {facts.version} is ready ({facts.ready_s:.1f} s)", "", "  Pages, each with the token of its region:"]
    tokens = facts.credentials.region_tokens
    lines += [f"    {place.name}  {page_address(facts.gateway, tokens[place.code], place.code)}" for place in facts.places]
    lines += ["", f"  Departments publish CloudEvents to {facts.ingest}, each with its key:"]
    lines += [f"    {place.name} ({place.code})  {facts.credentials.department_keys[place.code]}" for place in facts.departments]
    if facts.sample is not None:
        warns = f", which raises a warning ({facts.sample.warns})" if facts.sample.warns else ""
        lines += ["", f"  A first event{warns}; to be pasted as it is:", *(f"    {line}" for line in curl(facts, facts.sample).splitlines())]
    lines += ["", f"  Input: {facts.feed}", *_folder(facts), f"  Logs:  {facts.data / 'logs'}", "", "  Ctrl-C stops everything, in order.", ""]
    return "\n".join(lines)


def _folder(facts: Facts) -> list[str]:
    kept = "kept: start again with the same --data and go on" if facts.kept else "removed at the end; --data DIR keeps it"
    return [
        f"  Data:  {facts.data}  ({kept})",
        f"         the embedded Kafka keeps {KAFKA_CAP_GB} GB at most; this one-machine set is for trials and work, not for a city",
    ]
