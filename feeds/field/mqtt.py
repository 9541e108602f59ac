"""Devices on the city's MQTT broker: each reading is the message that the device's mapping (`mqtt.yaml`) would read it from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from feeds.field.words import NoWord, number
from schemas.link import Mqtt
from schemas.mqtt import Flags, Mapping, Moment
from schemas.observation import Measurement, Quality, Statistic
from schemas.sensor import Sensor

_plain = re.compile(r"(?:topic|payload|item)(?:\.[A-Za-z_][A-Za-z0-9_]*)+").fullmatch
_LEFT_OUT: Final = {"+": None, "#": "sim"}


@dataclass(frozen=True, slots=True)
class Said:
    """A message to be published."""

    topic: str
    payload: bytes


def check(mapping: Mapping, sensor: Sensor) -> None:
    """Raise `NoWord` where no message can be made that the mapping would read: its paths must be names with dots, and its units known here."""
    paths: Sequence[str | None] = (
        mapping.readings,
        mapping.device,
        mapping.sensor,
        mapping.time.path if mapping.time else None,
        mapping.quality.path if mapping.quality else None,
        mapping.origin,
        *(value.path for value in mapping.metrics.values()),
    )
    if odd := [path for path in paths if path is not None and not _plain(path)]:
        raise NoWord(f"mapping {mapping.id}: {odd} are more than names with dots")
    if mapping.statistic is not Statistic.INSTANT:
        raise NoWord(f"mapping {mapping.id}: only instants are said")
    for name, value in mapping.metrics.items():
        if name in sensor.metrics:
            number(1.0, sensor.metrics[name], unit=value.unit, scale=value.scale)


def message(mapping: Mapping, sensor: Sensor, measurement: Measurement, *, zone: ZoneInfo, ahead: timedelta = timedelta(0)) -> Said | None:
    """Return what a device says of an instant, by a clock that is `ahead` of ours; None where its mapping takes nothing of it. See `check`."""
    link = sensor.link
    if not isinstance(link, Mqtt) or measurement.start is not None or measurement.end is None:
        return None
    document: dict[str, Any] = {"topic": {}, "payload": {}, "item": {}}
    said = {name: value for name, value in mapping.metrics.items() if name in measurement.values and name in sensor.metrics}
    if not said:
        return None
    for name, value in said.items():
        _put(document, value.path, number(measurement.values[name], sensor.metrics[name], unit=value.unit, scale=value.scale))
        if value.quality is not None:
            _flag(document, value.quality, measurement.quality.get(name, Quality.GOOD))
    if mapping.quality is not None:
        _flag(document, mapping.quality, next(iter(measurement.quality.values()), Quality.GOOD))
    if mapping.time is not None:
        _put(document, mapping.time.path, _written(mapping.time, measurement.end + ahead, zone))
    if mapping.origin is not None:
        _put(document, mapping.origin, measurement.origin.value)
    _put(document, mapping.device or mapping.sensor or "", link.device if mapping.device else sensor.id)
    if mapping.readings is not None:
        _put(document, mapping.readings, [document["item"]])
    else:
        document["payload"] |= document["item"]
    return Said(_topic(mapping.topic, document["topic"], link.device), json.dumps(document["payload"], ensure_ascii=False, allow_nan=False).encode())


def _put(document: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    document[last] = value


def _flag(document: dict[str, Any], flags: Flags, quality: Quality) -> None:
    """Say a flag; one that the device does not have is said as a fault, and one that needs no word is left out."""
    words = {meaning: word for word, meaning in reversed(flags.values.items())}
    word = words.get(quality) or (words.get(Quality.FAULT) if quality is not Quality.GOOD else None)
    if word is not None:
        _put(document, flags.path, int(word) if word.isdecimal() else word)


def _written(moment: Moment, time: datetime, zone: ZoneInfo) -> str | int | float:
    match moment.format:
        case "rfc3339":
            return time.astimezone(zone).isoformat(timespec="milliseconds")
        case "ms":
            return round(time.timestamp() * 1000)
        case "s":
            return round(time.timestamp(), 3)
        case form:
            return time.astimezone(zone).strftime(form)


def _topic(given: str, named: dict[str, str], device: str) -> str:
    """Return a topic that the mapping's filter takes: a level that names nothing is the device's name."""
    return "/".join(named.get(level[1:-1], device) if level.startswith("{") else _LEFT_OUT.get(level, level) or device for level in given.split("/"))
