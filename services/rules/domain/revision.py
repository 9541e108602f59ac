"""What `step` gives out. `Revision` has the fields of `schemas.warning.Warning`, which is the contract; a test holds their JSON equal."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from schemas import wire


class Part(msgspec.Struct, frozen=True, gc=False):
    """See `schemas.warning.Part`."""

    measure: str
    metric: str
    value: float | None
    direction: str
    limit: float
    holds: bool | None


class Clearing(msgspec.Struct, frozen=True, gc=False):
    """See `schemas.warning.Clearing`."""

    limit: float | None
    direction: str
    readings: int | None
    dwell_s: float | None


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """See `schemas.warning.Evidence`."""

    metric: str
    measure: str
    value: float
    unit: str
    limit: float | None
    direction: str
    readings: int | None
    dwell_s: float | None
    statistic: str
    period_s: int
    window_s: float | None
    standard: dict[str, str] | None
    clears_at: float | None
    clears: Clearing | None
    parts: tuple[Part, ...]
    sensors: tuple[str, ...]
    background: float | None
    observation: str | None
    observed_at: datetime
    received_at: datetime | None


class Revision(msgspec.Struct, frozen=True, gc=False):
    """A warning at one revision; see `schemas.warning.Warning`."""

    id: UUID
    rev: int
    rule: str
    rule_version: int
    meaning: int
    rule_name: dict[str, str]
    subject: str
    sensor: str | None
    sensor_name: dict[str, str]
    street: str
    domain: str
    department: str
    state: str
    tier: str
    peak: str
    change: str
    began_at: datetime
    changed_at: datetime
    cleared_at: datetime | None
    merged_into: UUID | None
    origin: str
    evidence: Evidence
    tags: tuple[str, ...] = ()

    def json(self) -> bytes:
        """Return the contract's JSON."""
        return _encoder.encode(self)


_encoder = msgspec.json.Encoder()


class Forward(msgspec.Struct, frozen=True, gc=False):
    """A record for `city.derived`: keyed by `region`, or for one `partition`; with neither for all of them."""

    record: wire.Record
    region: str | None = None
    partition: int | None = None


Output = Revision | Forward
