"""The compact values of the hot topics `city.observations` and `city.derived`.

The pydantic models in `schemas.observation` and `schemas.control` are the contract; these structs carry the same fields in the same
order as one MessagePack array whose first item names the kind of record (`docs/adr/0002-encoding-of-hot-topics.md` has the
figures). Times are integer microseconds since 1970-01-01T00:00:00Z. `tests/unit/schemas/test_wire.py` holds both equal.

Fields may be added at the end with a default, so that an older reader skips them; none may be removed or change its meaning.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from schemas import control, observation

Micros = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, lt=253_402_300_800_000_000)]
"""A time in years 1 to 9999, which is what `datetime` can hold."""


class Observation(msgspec.Struct, frozen=True, array_like=True, tag="o", gc=False):
    """One sensor over one start and end; see `schemas.observation.Observation`."""

    id: str
    source: str
    department: str
    sensor: str
    street: str
    domain: str
    start: Micros
    end: Micros
    statistic: str
    values: dict[str, float]
    quality: dict[str, str]
    """Only metrics whose flag is not `good`."""
    origin: str
    received: Micros
    traceparent: str | None = None


class Tick(msgspec.Struct, frozen=True, array_like=True, tag="t", gc=False):
    """See `schemas.control.Tick`."""

    time: Micros
    node: str
    adapters: dict[str, Micros]


class Sensor(msgspec.Struct, frozen=True, array_like=True, tag="s", gc=False):
    """See `schemas.control.SensorRecord`, which `body` holds as JSON: decoded only when its version is new."""

    sensor: str
    version: int
    street: str
    body: bytes


class Activation(msgspec.Struct, frozen=True, array_like=True, tag="r", gc=False):
    """See `schemas.control.RuleActivation`, which `body` holds as JSON: decoded only when its version is new."""

    rule: str
    version: int
    body: bytes


class Site(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A sensor's mean of a window, with what its warnings say."""

    sensor: str
    name: dict[str, str]
    street: str
    domain: str
    department: str
    mean: float


class Partial(msgspec.Struct, frozen=True, array_like=True, tag="p", gc=False):
    """On `city.derived`: what the sensors of one partition add to a region's series in one window; a later one replaces it.

    Of a sensor's window first one number is made, as the rule's aggregate says; `total`, `low` and `high` are over these.
    """

    source: int
    """The partition of `city.observations`."""
    rule: str
    meaning: int
    region: str
    name: dict[str, str]
    domain: str
    department: str
    """Of the first sensor by id."""
    origin: str
    end: Micros
    count: int
    """Sensors."""
    total: float
    low: float
    high: float
    sites: tuple[Site, ...]
    """Of a difference to a background: the sensors that are compared with it, or some of them: see `part`."""
    sequence: int = 0
    """Time of the tick by which the source sent it; what comes with an earlier one than is known is a repetition."""
    part: int = 0
    parts: int = 1
    """Many sites are sent in several records, which are equal in all else."""


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="c", gc=False):
    """On `city.derived`, in every partition: one source has sent its partials of all windows up to `end`."""

    source: int
    sources: int
    rule: str
    meaning: int
    end: Micros


class Left(msgspec.Struct, frozen=True, array_like=True, tag="l", gc=False):
    """On `city.derived`: a sensor is no longer compared with a region's background by a rule."""

    rule: str
    region: str
    sensor: str
    source: int = 0
    sequence: int = 0
    """Time of the source's newest tick; what it sent by later ones stands."""


Record = Observation | Tick | Sensor | Activation | Partial | Closed | Left
"""Whatever may stand on a hot topic."""

_encoder = msgspec.msgpack.Encoder()
decoder = msgspec.msgpack.Decoder(Record)
"""For who decodes a great many in one place, and takes `UNDECODABLE` for what is no record."""
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(record: Record) -> bytes:
    """Return the Kafka value of a record."""
    return _encoder.encode(record)


def decode(value: bytes) -> Record:
    """Return the record of a Kafka value; raises `msgspec.DecodeError` (of which `ValidationError` is one) on anything else."""
    try:
        record: Record = decoder.decode(value)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return record


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(time: datetime) -> int:
    """Return a time as exact integer microseconds since the epoch."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the UTC time of integer microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=micros)


def period_s(start: int, end: int) -> int:
    """Return the period of a series in whole seconds; 0 for an instant."""
    return (end - start) // 1_000_000


def from_contract(event: observation.Observation) -> Observation:
    """Return the compact form of an observation."""
    return Observation(
        id=event.id,
        source=event.source,
        department=event.department,
        sensor=event.sensor,
        street=event.street,
        domain=event.domain.value,
        start=to_micros(event.start),
        end=to_micros(event.end),
        statistic=event.statistic.value,
        values=event.values,
        quality={metric: flag.value for metric, flag in event.quality.items()},
        origin=event.origin.value,
        received=to_micros(event.received),
        traceparent=event.traceparent,
    )


def to_contract(record: Observation) -> observation.Observation:
    """Return the contract's form of a compact observation; raises `pydantic.ValidationError` where it breaks the contract."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    for name in ("start", "end", "received"):
        fields[name] = from_micros(fields[name])
    return observation.Observation.model_validate(fields)


def of_tick(tick: control.Tick) -> Tick:
    """Return the compact form of a tick."""
    return Tick(time=to_micros(tick.time), node=tick.node, adapters={name: to_micros(time) for name, time in tick.adapters.items()})


def of_sensor(record: control.SensorRecord) -> Sensor:
    """Return the compact form of a sensor record."""
    sensor = record.sensor
    return Sensor(sensor=sensor.id, version=sensor.version, street=sensor.street, body=record.model_dump_json(by_alias=True).encode())


def of_activation(record: control.RuleActivation) -> Activation:
    """Return the compact form of a rule's activation."""
    return Activation(rule=record.rule.id, version=record.rule.version, body=record.model_dump_json(by_alias=True).encode())
