"""Whether an event is taken, and as what; a refusal says what is wrong, where, and how to mend it.

An instant in good order is taken by one pass of msgspec over its bytes. Whatever that does not take is judged step by step, and what msgspec refuses
there by the pydantic contract, whose errors name every place. All of them accept the same (`tests/unit/ingest/test_accept.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from schemas import wire
from schemas.base import Origin
from schemas.envelope import EventType
from schemas.observation import Measurement, Quality, Statistic
from schemas.rejected import Problem
from schemas.report import Report, Reported
from services.ingest.domain import kinds
from services.ingest.domain.cloudevents import Event, event_of, explain
from services.ingest.domain.registry import Known, Registry

_GOOD = Quality.GOOD.value
_AN_INSTANT = Statistic.INSTANT
_INSTANT = _AN_INSTANT.value
_TYPES = (EventType.OBSERVATION.value, EventType.REPORT.value)
_OTHER_KEY = "publish with a key whose scope has it"
ID_CHARS = 256
"""As `schemas.base.Text`."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEVENTH = len("2026-11-22T08:00:00.123456")
"""Where a fraction's seventh digit stands."""


class FastMeasurement(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`schemas.observation.Measurement` for the hot path."""

    sensor: str
    values: dict[str, float]
    end: str | None = None
    start: str | None = None
    statistic: Statistic = Statistic.INSTANT
    quality: dict[str, Quality] = {}
    origin: Literal["real", "replayed", "simulated", "exercise"] = "real"
    region: str | None = None


class FastEvent(msgspec.Struct, gc=False):
    """An observation as one: `Event` with its data decoded."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: Literal["cn.tongguan.observation.v1"]
    data: FastMeasurement
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    traceparent: str | None = None


class _Named(msgspec.Struct, gc=False):
    """Whom data are of."""

    sensor: str


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_event = msgspec.json.Decoder(FastEvent).decode
_decode_measurement = msgspec.json.Decoder(FastMeasurement).decode
_decode_named = msgspec.json.Decoder(_Named).decode
_decode_time = msgspec.json.Decoder(datetime).decode
_past_microseconds = re.compile(r"(?<=\.[0-9]{6})[0-9]+").sub
_control = re.compile(r"[\x00-\x1f\x7f]").search
_code = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,95}").fullmatch
_traceparent = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How far from our clock a time may lie."""

    future: timedelta
    past: timedelta


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, and what of it is taken: None means all of the department's."""

    department: str
    types: frozenset[str] | None = None
    """Of events."""
    domains: frozenset[str] | None = None
    sensors: frozenset[str] | None = None

    @property
    def whole(self) -> bool:
        """Whether all of the department's is taken."""
        return self.types is None and self.domains is None and self.sensors is None


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that is not taken."""

    problem: Problem
    id: str | None
    item: bytes
    sensor: str | None = None
    """Whom it names: a sensor's id, or a device as `<protocol>:<name>`, known or not."""
    address: str | None = None
    """Where it came from, when that is not the address of the whole delivery."""
    content_type: str | None = None


Accepted = wire.Observation | Report
M = TypeVar("M", bound=BaseModel)


class _Refusal(Exception):
    def __init__(self, code: str, where: str, message: str, hint: str, sensor: str | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(code=code, where=where, message=message, hint=hint)
        self.sensor = sensor


class Judge:
    """Judges one sender's events of one moment; `now` is our clock's time of receipt."""

    def __init__(self, sender: Sender, registry: Registry, now: datetime, limits: TimeLimits) -> None:
        self._sender = sender
        self._registry = registry
        self._now = now
        self._limits = limits
        self._whole = sender.whole
        self._received = wire.to_micros(now)
        self._earliest = wire.to_micros(now - limits.past)
        self._latest = wire.to_micros(now + limits.future)

    def accept(self, item: bytes) -> Accepted | Refused:
        """Judge one structured event."""
        return self._at_once(item) or self._step_by_step(item)

    def _at_once(self, item: bytes) -> wire.Observation | None:
        """Return an instant in good order; None for all else, whatever it is."""
        try:
            event = _decode_event(item)
        except _UNREADABLE:
            return None
        data, source = event.data, event.source
        text = event.time if data.end is None else data.end
        known = self._registry.get(data.sensor)
        if known is None or text is None or data.start is not None or data.statistic is not _AN_INSTANT:
            return None
        # A metric of the registry is a good name, and no sensor has more than an observation may; what is printable has no control character.
        if not (
            known.department == self._sender.department
            and not known.retired
            and data.region in (None, known.street)
            and data.values
            and known.metrics.issuperset(data.values)
            and 0 < len(event.id) <= ID_CHARS
            and 0 < len(source) <= ID_CHARS
            and event.id.isprintable()
            and source.isprintable()
            and (self._whole or self._is_within(known))
        ):
            return None
        if data.quality and not data.quality.keys() <= data.values.keys():
            return None
        end = _plain_time(text)
        if end is None or not self._earliest <= end <= self._latest:
            return None
        return wire.Observation(
            event.id,
            source,
            known.department,
            data.sensor,
            known.street,
            known.domain,
            end,
            end,
            _INSTANT,
            data.values,
            {metric: flag.value for metric, flag in data.quality.items() if flag.value != _GOOD} if data.quality else {},
            data.origin,
            self._received,
            event.traceparent if event.traceparent and _traceparent(event.traceparent) else None,
        )

    def _is_within(self, known: Known) -> bool:
        sender = self._sender
        return (
            (sender.types is None or EventType.OBSERVATION in sender.types)
            and (sender.domains is None or known.domain in sender.domains)
            and (sender.sensors is None or known.sensor.id in sender.sensors)
        )

    def _step_by_step(self, item: bytes) -> Accepted | Refused:
        try:
            event = event_of(item)
        except _UNREADABLE as error:
            return Refused(explain(error), None, item)
        try:
            _check_envelope(event)
            _check_type(event, self._sender)
            if event.type == EventType.OBSERVATION:
                return _observation(event, self._sender, self._registry, self._now, self._limits)
            return _report(event, self._sender, self._registry, self._now, self._limits)
        except _Refusal as refusal:
            return Refused(refusal.problem, event.id[:ID_CHARS], item, refusal.sensor or _named(event))


def _named(event: Event) -> str | None:
    """Return the sensor that an event names, whatever else is wrong with it."""
    try:
        sensor = _decode_named(event.data).sensor
    except _UNREADABLE:
        return None
    return sensor if _code(sensor) else None


def accept(item: bytes, sender: Sender, registry: Registry, now: datetime, limits: TimeLimits) -> Accepted | Refused:
    """Judge one structured event; see `Judge`."""
    return Judge(sender, registry, now, limits).accept(item)


def _check_envelope(event: Event) -> None:
    if event.specversion != "1.0":
        raise _Refusal("bad_envelope", "specversion", f"specversion {event.specversion!r} is not supported", "send specversion 1.0")
    for name, text in (("id", event.id), ("source", event.source)):
        if not 0 < len(text) <= ID_CHARS or _control(text):
            raise _Refusal("bad_envelope", name, f"{name} must have 1 to 256 characters and no control characters", f"mend {name}")
    if not bytes(event.data):
        raise _Refusal("bad_envelope", "data", "the event has no data", "put the event's own fields under data")


def _check_type(event: Event, sender: Sender) -> None:
    if event.type not in _TYPES:
        raise _Refusal("unknown_type", "type", f"events of type {event.type!r} are not taken", f"send one of {', '.join(_TYPES)}")
    if sender.types is not None and event.type not in sender.types:
        raise _Refusal("out_of_scope", "type", f"the key is not for events of type {event.type!r}", _OTHER_KEY)


def _observation(event: Event, sender: Sender, registry: Registry, now: datetime, limits: TimeLimits) -> wire.Observation:
    data = _measurement(event)
    known = registry.get(data.sensor)
    if known is None:
        raise _Refusal(
            "unknown_sensor",
            "data.sensor",
            f"there is no sensor {data.sensor!r} in the registry",
            "register the sensor, or correct its id",
            data.sensor,
        )
    if known.department != sender.department:
        raise _Refusal("not_yours", "data.sensor", f"sensor {data.sensor!r} belongs to another department", "publish with that department's key")
    if sender.domains is not None and known.domain not in sender.domains:
        raise _Refusal("out_of_scope", "data.sensor", f"the key is not for sensors of the domain {known.domain}", _OTHER_KEY, data.sensor)
    if sender.sensors is not None and data.sensor not in sender.sensors:
        raise _Refusal("out_of_scope", "data.sensor", f"the key is not for sensor {data.sensor!r}", _OTHER_KEY, data.sensor)
    if known.retired:
        raise _Refusal("retired", "data.sensor", f"sensor {data.sensor!r} is retired", "bring it back into use, or correct the id", data.sensor)
    if data.region is not None and data.region != known.street:
        _refuse_region(data.region, data.sensor, registry)
    if not data.values.keys() <= known.metrics:
        unknown = sorted(data.values.keys() - known.metrics)
        raise _Refusal(
            "unknown_metric", f"data.values.{unknown[0]}", f"sensor {data.sensor!r} has no metric {unknown[0]!r}", f"it has {sorted(known.metrics)}"
        )
    where = "time" if data.end is None else "data.end"
    end = _time(event.time if data.end is None else data.end, where)
    if end is None:
        raise _Refusal("no_time", "data.end", "the observation says no time", "give data.end, or the event's time, as 2026-11-22T08:00:00+08:00")
    start = _time(data.start, "data.start") or end
    _check_period(data.statistic, start, end)
    _check_time(end, where, now, limits)
    return wire.Observation(
        id=event.id,
        source=event.source,
        department=sender.department,
        sensor=data.sensor,
        street=known.street,
        domain=known.domain,
        start=wire.to_micros(start),
        end=wire.to_micros(end),
        statistic=data.statistic.value,
        values=data.values,
        quality={metric: flag.value for metric, flag in data.quality.items() if flag.value != _GOOD},
        origin=data.origin,
        received=wire.to_micros(now),
        traceparent=event.traceparent if event.traceparent and _traceparent(event.traceparent) else None,
    )


def reading(
    known: Known,
    *,
    event_id: str,
    source: str,
    values: dict[str, float],
    quality: dict[str, str],
    start: datetime,
    end: datetime,
    statistic: Statistic,
    origin: Origin,
    now: datetime,
    limits: TimeLimits,
) -> wire.Observation | Problem:
    """Return a device's reading of a sensor, its values in the metrics' units, as an observation, or why it is none.

    `quality` has the flags of values that are not good. Times are aware.
    """
    try:
        if known.retired:
            raise _Refusal("retired", "", f"sensor {known.sensor.id!r} is retired", "bring it back into use, or switch the device off")
        _check_period(statistic, start, end)
        _check_time(end, "end", now, limits)
    except _Refusal as refusal:
        return refusal.problem
    return wire.Observation(
        id=event_id,
        source=source,
        department=known.department,
        sensor=known.sensor.id,
        street=known.street,
        domain=known.domain,
        start=wire.to_micros(start),
        end=wire.to_micros(end),
        statistic=statistic.value,
        values=values,
        quality=quality,
        origin=origin.value,
        received=wire.to_micros(now),
    )


def _measurement(event: Event) -> FastMeasurement:
    try:
        data = _decode_measurement(event.data)
    except _UNREADABLE:
        return _fast(_by_contract(Measurement, event))
    # All values are finite: JSON has no NaN, and msgspec refuses a number that no float can hold.
    if (
        0 < len(data.values) <= 64  # noqa: PLR2004 - as the contract
        and all(map(_code, data.values))
        and _code(data.sensor)
        and (data.region is None or _code(data.region))
        and data.quality.keys() <= data.values.keys()
    ):
        return data
    return _fast(_by_contract(Measurement, event))


def _by_contract(model: type[M], event: Event) -> M:
    """Return what the pydantic contract makes of the data, or raise the refusal that it gives."""
    try:
        return model.model_validate_json(bytes(event.data))
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(["data", *map(str, first["loc"])])
        more = f" (and {problem.error_count() - 1} more)" if problem.error_count() > 1 else ""
        message = first["msg"].removeprefix("Value error, ")
        raise _Refusal("bad_data", where, f"{message}{more}", _HINTS.get(first["type"], f"see schemas/json/{_name(model)}.json")) from problem


def _fast(data: Measurement) -> FastMeasurement:
    """Return the contract's reading of what the fast decoder did not take, such as a field that is given twice."""
    return FastMeasurement(
        sensor=data.sensor,
        values=data.values,
        end=data.end.isoformat() if data.end else None,
        start=data.start.isoformat() if data.start else None,
        statistic=data.statistic,
        quality=data.quality,
        origin=data.origin.value,
        region=data.region,
    )


def _name(model: type[BaseModel]) -> str:
    return f"{model.__module__.removeprefix('schemas.')}.{model.__name__}"


_HINTS = {
    "finite_number": "leave out a value that is not a number; NaN and infinities are refused",
    "missing": "give this field",
    "extra_forbidden": "remove this field, or correct its name",
    "float_parsing": "give a JSON number",
    "float_type": "give a JSON number",
    "enum": "use one of the values named",
    "too_long": "send the rest as a second event",
}


def _refuse_region(region: str, sensor: str, registry: Registry) -> None:
    if region not in registry.regions:
        raise _Refusal("unknown_region", "data.region", f"there is no region {region!r}", "use a code of the city's regions, or leave it out")
    raise _Refusal(
        "other_region", "data.region", f"the registry has sensor {sensor!r} in another region", "correct the registry, or leave region out"
    )


def _plain_time(text: str) -> int | None:
    """Return the microseconds of a time as it is usually written; None for what `_time` has to look at."""
    if text[_SEVENTH : _SEVENTH + 1].isdigit() or not text.isascii() or "\\" in text or '"' in text:
        return None
    try:
        time = _decode_time(f'"{text}"')
    except msgspec.DecodeError:
        return None
    if time.tzinfo is None:
        return None
    since = time - _EPOCH
    return (since.days * _DAY + since.seconds) * 1_000_000 + since.microseconds


def _time(text: str | None, where: str) -> datetime | None:
    if text is None:
        return None
    hint = "write it as 2026-11-22T08:00:00+08:00"
    if text[_SEVENTH : _SEVENTH + 1].isdigit():
        text = _past_microseconds("", text)
    try:
        time = _decode_time(msgspec.json.encode(text))
    except msgspec.DecodeError as error:
        raise _Refusal("bad_time", where, f"{text[:64]!r} is no RFC 3339 time", hint) from error
    if time.tzinfo is None:
        raise _Refusal("bad_time", where, f"{text[:64]!r} names no zone", hint)
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise _Refusal("bad_time", where, f"{text[:64]!r} is out of range", hint) from error


_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
PERIODS_S = frozenset(
    [n for n in range(1, _MINUTE + 1) if _MINUTE % n == 0]
    + [n * _MINUTE for n in range(1, _MINUTE + 1) if _MINUTE % n == 0]
    + [n * _HOUR for n in range(1, 25) if _DAY // _HOUR % n == 0]
    + [7 * _DAY]
)
"""Whole parts of a minute, an hour, a day, and a week. Each period is a series of its own: free ones would be a new series with every reading."""


def _check_period(statistic: Statistic, start: datetime, end: datetime) -> None:
    if start > end:
        raise _Refusal("bad_time", "data.start", "start is after end", "start must not be later than end")
    period_s = (end - start).total_seconds()
    if statistic is Statistic.INSTANT and period_s:
        raise _Refusal("bad_time", "data.start", "an instant has no period", "leave start out, or say which statistic of the period it is")
    if statistic is not Statistic.INSTANT and period_s not in PERIODS_S:
        raise _Refusal(
            "odd_period",
            "data.start",
            f"a {statistic} over {period_s:g} s is no series: periods are whole parts of a minute, an hour or a day, or a week",
            f"give data.start and data.end so far apart, in seconds: {sorted(PERIODS_S)}",
        )


def _check_time(time: datetime, where: str, now: datetime, limits: TimeLimits) -> None:
    if time > now + limits.future:
        raise _Refusal("in_the_future", where, f"{time.isoformat()} is {_span(time - now)} ahead of our clock", "set the device's clock")
    if time < now - limits.past:
        raise _Refusal("too_old", where, f"{time.isoformat()} is {_span(now - time)} ago; {limits.past.days} days are kept", "set the device's clock")


def _span(span: timedelta) -> str:
    return f"{span.days} days" if span.days else f"{span.seconds} s"


def _report(event: Event, sender: Sender, registry: Registry, now: datetime, limits: TimeLimits) -> Report:
    data = _by_contract(Reported, event)
    if data.region not in registry.regions:
        raise _Refusal("unknown_region", "data.region", f"there is no region {data.region!r}", "use a code of the city's regions")
    if (wrong := kinds.problem(data, registry.kinds)) is not None:
        raise _Refusal(wrong.code, wrong.where, wrong.message, wrong.hint)
    occurred = data.occurred or _time(event.time, "time") or now
    _check_time(occurred, "time" if data.occurred is None else "data.occurred", now, limits)
    return Report(
        id=event.id, source=event.source, department=sender.department, occurred=occurred, received=now, **data.model_dump(exclude={"occurred"})
    )
