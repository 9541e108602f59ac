"""What a message of a device on the MQTT broker says, by the city's mappings: readings, or why there are none.

Each refusal holds the whole payload, and its content type the topic, so that it can be judged again when mapping or registry are mended.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import quote, unquote

import jmespath
import msgspec
from pydantic import TypeAdapter, ValidationError

from schemas import mqtt, wire
from schemas.base import Moment as Rfc3339
from schemas.base import Origin, Text
from schemas.observation import Quality, Statistic
from schemas.rejected import KEPT_BYTES, Problem
from services.ingest.domain.accept import Refused, TimeLimits, reading
from services.ingest.domain.registry import Convert, Known, Registry

MEDIA_TYPE = "application/vnd.tongguan.mqtt+json"
_TYPE_CHARS = 256
"""As `schemas.rejected.Rejected.content_type`."""
MAX_READINGS = 1_000
"""Of one message: its payload of 64 KiB could hold a list of 32,000 nothings, each to be judged."""
MAX_REFUSALS = 16
"""Of one message, as each holds it whole; the same ones come again with the next."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decode = msgspec.json.Decoder().decode
_moment = TypeAdapter(Rfc3339).validate_python
_text = TypeAdapter(Text).validate_python


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one message."""

    observations: Sequence[wire.Observation] = ()
    refused: Sequence[Refused] = ()


def content_type(topic: str) -> str:
    """Return the type with which a refused message is kept; of a topic that is too long for it, without the topic."""
    whole = f"{MEDIA_TYPE}; topic={quote(topic, safe='/')}"
    return whole if len(whole) <= _TYPE_CHARS else MEDIA_TYPE


def topic_of(given: str) -> str | None:
    """Return the topic of a content type; None when it has none."""
    kind, _, topic = given.partition("; topic=")
    return unquote(topic) if kind == MEDIA_TYPE and topic else None


class _Refusal(Exception):
    def __init__(self, code: str, where: str, message: str, hint: str, sensor: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(code=code, where=where, message=message, hint=hint)
        self.sensor = sensor


class Path:
    """A JMESPath of a mapping, by its name there."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path
        self._search = jmespath.compile(path).search

    def __call__(self, document: Mapping[str, Any]) -> Any:
        """Return what stands there, None where nothing does."""
        try:
            return self._search(document)
        except Exception as error:
            # Functions of the library raise whatever they meet, from its own errors to OverflowError.
            raise _Refusal("bad_path", self.path, f"{self.name} cannot be found: {error}", "correct the payload, or the mapping's path") from error


@dataclass(frozen=True, slots=True)
class _Context:
    """One message."""

    payload: bytes
    digest: str
    now: datetime
    received: datetime
    registry: Registry


class Mapper:
    """The city's mappings, ready to judge messages."""

    def __init__(self, mappings: mqtt.Mappings, *, zone: tzinfo, convert: Convert, limits: TimeLimits) -> None:
        """`zone` is the city's."""
        self._mappings: dict[str, list[_Mapping]] = {}
        for mapping in mappings.mappings:
            self._mappings.setdefault(mapping.department, []).append(_Mapping(mapping, zone, convert, limits))
        self.filters = {department: sorted({one.filter for one in own}) for department, own in self._mappings.items()}
        """By department, what is to be subscribed to."""

    def hear(self, department: str, topic: str, payload: bytes, registry: Registry, now: datetime) -> Heard | None:
        """Judge a message to a department that came at `now`; None when no mapping takes it."""
        return self._heard(department, topic, _context(topic, payload, registry, now, now))

    def judge(self, body: bytes, content_type: str, department: str, registry: Registry, now: datetime, *, received: datetime | None = None) -> Heard:
        """Judge again what was refused; `received` is when it came, the time of a reading that says none itself."""
        topic = topic_of(content_type)
        if topic is not None and (heard := self._heard(department, topic, _context(topic, body, registry, now, received or now))) is not None:
            return heard
        problem = Problem(code="no_mapping", where="", message="no mapping of the department takes this message", hint="write one in mqtt.yaml")
        return Heard(refused=[Refused(problem, None, body)])

    def _heard(self, department: str, topic: str, context: _Context) -> Heard | None:
        candidates = [(one, levels) for one in self._mappings.get(department, ()) if (levels := one.levels(topic)) is not None]
        if not candidates:
            return None
        try:
            payload = _content(topic, context.payload)
            for mapping, levels in candidates:
                document = {"topic": levels, "payload": payload}
                if mapping.takes(document):
                    return mapping.heard(document, context)
        except _Refusal as refusal:
            return Heard(refused=[Refused(refusal.problem, None, context.payload, refusal.sensor)])
        return None


def _context(topic: str, payload: bytes, registry: Registry, now: datetime, received: datetime) -> _Context:
    digest = hashlib.sha256(topic.encode("utf-8", "replace") + b"\0" + payload).hexdigest()[:32]
    return _Context(payload, digest, now, received, registry)


def _content(topic: str, payload: bytes) -> Any:
    if len(payload) > KEPT_BYTES:
        raise _Refusal("too_large", "", f"the message has {len(payload)} bytes, {KEPT_BYTES} are taken", "send fewer readings in one message")
    if content_type(topic) == MEDIA_TYPE:
        raise _Refusal("long_topic", "", "the topic is too long", f"use topics of at most {_TYPE_CHARS - len(MEDIA_TYPE) - 8} characters")
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Refusal("malformed_json", "", str(error), "send JSON (RFC 8259) in UTF-8") from error
    except RecursionError as error:
        raise _Refusal("malformed_json", "", "the JSON is nested too deeply", "send flatter JSON") from error


class _Mapping:
    """One mapping with its paths compiled."""

    def __init__(self, mapping: mqtt.Mapping, zone: tzinfo, convert: Convert, limits: TimeLimits) -> None:
        self.id = mapping.id
        self.department = mapping.department
        self._statistic = mapping.statistic
        self._period = mapping.period
        self._convert = convert
        self._limits = limits
        levels = mapping.topic.split("/")
        self.filter = "/".join("+" if level.startswith("{") else level for level in levels)
        self.levels = _matcher(levels)
        self._when = _path("when", mapping.when)
        self._readings = _path("readings", mapping.readings)
        self._device = _path("device", mapping.device)
        self._sensor = _path("sensor", mapping.sensor)
        self._origin = _path("origin", mapping.origin)
        self._time = mapping.time and _Time("time", mapping.time, zone)
        self._start = mapping.start and _Time("start", mapping.start, zone)
        flags = {metric: value.quality or mapping.quality for metric, value in mapping.metrics.items()}
        self._values = [_Value(metric, value, flags[metric]) for metric, value in mapping.metrics.items()]

    def takes(self, document: Mapping[str, Any]) -> bool:
        """Say whether the mapping's condition is true of a message."""
        return self._when is None or self._when(document) is True

    def heard(self, document: dict[str, Any], context: _Context) -> Heard:
        """Return the readings of a message, and its refusals: one of each kind for each device, `MAX_REFUSALS` at most."""
        observations: list[wire.Observation] = []
        refused: dict[tuple[str, str | None], Refused] = {}
        for index, item in enumerate(self._items(document)):
            try:
                for judged in self._reading({**document, "item": item}, index, context):
                    if isinstance(judged, wire.Observation):
                        observations.append(judged)
                    elif len(refused) < MAX_REFUSALS:
                        refused.setdefault((judged.problem.code, judged.sensor), judged)
            except _Refusal as refusal:
                if len(refused) < MAX_REFUSALS:
                    refused.setdefault((refusal.problem.code, refusal.sensor), Refused(refusal.problem, None, context.payload, refusal.sensor))
        return Heard(observations, list(refused.values()))

    def _items(self, document: Mapping[str, Any]) -> Sequence[Any]:
        if self._readings is None:
            return [document["payload"]]
        items = self._readings(document)
        if not isinstance(items, list):
            raise _Refusal("no_readings", self._readings.path, "there is no list of readings", "correct the payload, or the mapping's `readings`")
        if len(items) > MAX_READINGS:
            raise _Refusal("too_many", self._readings.path, f"{len(items)} readings, {MAX_READINGS} are taken", "send them in several messages")
        return items

    def _reading(self, document: Mapping[str, Any], index: int, context: _Context) -> Iterator[wire.Observation | Refused]:
        """Yield an item's reading for each sensor behind its device."""
        device, sensors = self._whom(document, context.registry)
        try:
            end = self._time(document) if self._time else context.received
            start = self._start(document) if self._start else end - (self._period or timedelta(0))
            event_id = f"{context.digest}.{index}" if self._time else f"{context.digest}.{index}.{wire.to_micros(end)}"
            said = [(value, number, value.flag(document)) for value in self._values if (number := value.number(document)) is not None]
            origin = self._origin_of(document)
            for known in sensors:
                yield self._of(known, said, _Frame(event_id, start, end, self._statistic, origin, device), context)
        except OverflowError as error:
            raise _Refusal("bad_time", "", "the time is out of range", "set the device's clock", device) from error
        except _Refusal as refusal:
            refusal.sensor = device
            raise

    def _whom(self, document: Mapping[str, Any], registry: Registry) -> tuple[str, Sequence[Known]]:
        """Return whom an item names, and those of its sensors that are the department's."""
        if self._sensor is not None:
            name = device = _name(self._sensor, document)
            known = registry.get(name)
            found: Sequence[Known] = () if known is None else (known,)
            code, what, hint = "unknown_sensor", f"there is no sensor {name!r} in the registry", "register the sensor, or correct its id"
        else:
            name = _name(self._device, document) if self._device else ""
            device = f"mqtt:{self.id}/{name}"[:_TYPE_CHARS]
            found = registry.heard_by("mqtt", f"{self.id}/{name}")
            code, what, hint = "unknown_device", f"no sensor is linked to device {name!r} of mapping {self.id}", "adopt it, or switch it off"
        if not found:
            raise _Refusal(code, "", what, hint, device)
        if not (ours := [known for known in found if known.department == self.department]):
            raise _Refusal("not_yours", "", f"{device!r} is another department's", "correct the mapping's department, or the registry", device)
        return device, ours

    def _origin_of(self, document: Mapping[str, Any]) -> Origin:
        if self._origin is None or (said := self._origin(document)) is None:
            return Origin.REAL
        try:
            return Origin(said)
        except ValueError as error:
            raise _Refusal("bad_origin", self._origin.path, f"{_shown(said)} is no origin", f"say one of {[*map(str, Origin)]}") from error

    def _of(self, known: Known, said: Sequence[_Said], frame: _Frame, context: _Context) -> wire.Observation | Refused:
        values, quality = {}, {}
        try:
            for value, number, flag in said:
                if value.metric in known.metrics:
                    values[value.metric] = self._converted(value, number, known)
                    if flag is not Quality.GOOD:
                        quality[value.metric] = flag.value
            if not values:
                raise _Refusal("no_values", "", "the message has no value of the sensor's metrics", f"the sensor has {sorted(known.metrics)}")
        except _Refusal as refusal:
            return Refused(refusal.problem, frame.event_id, context.payload, frame.device)
        judged = reading(
            known,
            event_id=frame.event_id,
            source=f"/mqtt/{self.id}/{known.sensor.id}",
            values=values,
            quality=quality,
            start=frame.start,
            end=frame.end,
            statistic=frame.statistic,
            origin=frame.origin,
            now=context.now,
            limits=self._limits,
        )
        return judged if isinstance(judged, wire.Observation) else Refused(judged, frame.event_id, context.payload, frame.device)

    def _converted(self, value: _Value, number: float, known: Known) -> float:
        to = known.sensor.metrics[value.metric].unit
        try:
            converted = self._convert(value.unit or to, to)(number)
        except ValueError as error:
            raise _Refusal("wrong_unit", value.path.path, str(error), "correct the unit in the mapping, or in the registry") from error
        if not math.isfinite(converted):
            raise _Refusal("not_a_number", value.path.path, f"{value.metric} is too large", "correct the number, or the mapping's scale")
        return converted


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all values of a reading share."""

    event_id: str
    start: datetime
    end: datetime
    statistic: Statistic
    origin: Origin
    device: str


class _Value:
    """Where a metric's value and its flag stand."""

    def __init__(self, metric: str, value: mqtt.Value, flags: mqtt.Flags | None) -> None:
        self.metric = metric
        self.unit = value.unit
        self.path = Path(metric, value.path)
        self._scale = value.scale
        self._flags = None if flags is None else (Path(f"the flag of {metric}", flags.path), flags.values)

    def number(self, document: Mapping[str, Any]) -> float | None:
        """Return the number, None where there is none."""
        found = self.path(document)
        if found is None:
            return None
        try:
            number = float(found) * self._scale if isinstance(found, int | float) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _Refusal(
                "not_a_number", self.path.path, f"{self.metric} is {_shown(found)}", f"send a number; for text write to_number({self.path.path})"
            )
        return number

    def flag(self, document: Mapping[str, Any]) -> Quality:
        """Return the value's flag."""
        if self._flags is None:
            return Quality.GOOD
        path, meanings = self._flags
        found = path(document)
        word = msgspec.json.encode(found).decode() if isinstance(found, bool | int | float) else found
        if word is None:
            return Quality.GOOD
        if not isinstance(word, str) or word not in meanings:
            raise _Refusal("unknown_flag", path.path, f"{path.name} is {_shown(found)}", f"the mapping knows {sorted(meanings)}")
        return meanings[word]


_Said = tuple[_Value, float, Quality]


class _Time:
    """Where a time stands, and how it is read."""

    def __init__(self, name: str, moment: mqtt.Moment, zone: tzinfo) -> None:
        self._path = Path(name, moment.path)
        self._format = moment.format
        self._zone = zone

    def __call__(self, document: Mapping[str, Any]) -> datetime:
        """Return the time, in UTC."""
        found = self._path(document)
        if found is None:
            raise _Refusal("no_time", self._path.path, f"the message has no {self._path.name}", "send it, or leave it out of the mapping")
        try:
            return self._read(found)
        except (ValueError, TypeError, OverflowError) as error:
            message = f"{_shown(found)} is no {self._path.name} of format {self._format}"
            raise _Refusal("bad_time", self._path.path, message, "correct the device, or the mapping's format") from error

    def _read(self, found: Any) -> datetime:
        if self._format in {"s", "ms"}:
            if isinstance(found, bool) or not isinstance(found, int | float):
                raise TypeError
            return _EPOCH + timedelta(**{"seconds" if self._format == "s" else "milliseconds": found})
        if not isinstance(found, str):
            raise TypeError
        if self._format == "rfc3339":
            return _moment(found)
        time = datetime.strptime(found, self._format)  # noqa: DTZ007 - the zone follows
        return (time if time.tzinfo else time.replace(tzinfo=self._zone)).astimezone(UTC)


def _path(name: str, path: str | None) -> Path | None:
    return None if path is None else Path(name, path)


def _name(path: Path, document: Mapping[str, Any]) -> str:
    found = path(document)
    name = str(found) if isinstance(found, int) and not isinstance(found, bool) else found
    try:
        return _text(name, strict=True)
    except ValidationError as error:
        code = "no_device" if found is None else "bad_device"
        hint = "send 1 to 256 characters, or correct the mapping's path"
        raise _Refusal(code, path.path, f"the {path.name}'s name is {_shown(found)}", hint) from error


def _shown(found: Any) -> str:
    """Return the beginning of a value, in characters that any store takes."""
    return "missing" if found is None else ascii(found)[:80] if isinstance(found, str | int | float) else f"a {type(found).__name__}"


def _matcher(levels: Sequence[str]) -> Callable[[str], dict[str, str] | None]:
    """Return what gives a topic's named levels, None for another topic."""
    patterns = {"+": "[^/]*", "#": ".*"}
    parts = [f"(?P<{level[1:-1]}>[^/]*)" if level.startswith("{") else patterns.get(level) or re.escape(level) for level in levels]
    # `a/#` takes `a` itself, too.
    pattern = "/".join(parts[:-1]) + "(/.*)?" if levels[-1] == "#" and len(levels) > 1 else "/".join(parts)
    fullmatch = re.compile(pattern, re.DOTALL).fullmatch

    def match(topic: str) -> dict[str, str] | None:
        found = fullmatch(topic)
        return found.groupdict() if found else None

    return match
