"""The live protocol, version 1: JSON text frames over a WebSocket at `/v1/live`.

Who connects is known by the session cookie, or by a token in the hello. The client's first message is a `Hello`; the server answers with
one `Snapshot` and then sends `Delta` and `Heartbeat` frames, each with the position after it. A client applies a warning or its actions only
when the `rev` is newer than the one it has, and a value only when its `at` is not older. After a close the client says hello again and gets a
new snapshot (resuming by position comes with a later version).

Close codes: 1001 or 1012 the server goes away, come back after a second; 1013 too slow, come back after 5 s; 4400 bad first message, do not
come back; 4401 not signed in, or the session has ended, do not come back; 4403 region not yours, do not come back; 4408 no hello within 5 s.
"""

from __future__ import annotations

from typing import Literal

from schemas.action import WarningActions
from schemas.base import Code, Domain, Finite, Frozen, Name, Origin, Text, Time
from schemas.health import Heartbeat as ServiceHeartbeat
from schemas.observation import Quality, Statistic
from schemas.regions import Level
from schemas.sensor import Metric
from schemas.warning import Warning  # noqa: A004 - the field's own word

PROTOCOL = 1


class Hello(Frozen):
    """The client's first message."""

    type: Literal["hello"]
    protocol: Literal[1] = 1
    token: Text | None = None
    """For machines, which have no session; None for a browser, whose session cookie says who it is."""
    region: Code


class LiveSensor(Frozen):
    """What a page needs to know of a sensor."""

    id: Code
    name: Name
    street: Code
    domain: Domain
    department: Code
    place: Name | None = None
    longitude: Finite | None = None
    latitude: Finite | None = None
    metrics: dict[Code, Metric]


class LiveValue(Frozen):
    """The newest value of one series."""

    sensor: Code
    metric: Code
    statistic: Statistic
    period_s: int
    value: Finite
    quality: Quality
    at: Time
    """End of the observation."""
    received_at: Time
    origin: Origin


class LiveRegion(Frozen):
    """A region as pages show it."""

    code: Code
    parent: Code | None
    level: Level
    name: Name


class Snapshot(Frozen):
    """All that is true of a region at a position: every open warning, every sensor, the newest value of every series.

    Of all of these only what is the reader's: a department's reader gets its own.
    """

    type: Literal["snapshot"] = "snapshot"
    protocol: Literal[1] = 1
    server_time: Time
    position: Text
    region: LiveRegion
    path: tuple[LiveRegion, ...]
    """From the region up to the city, itself first."""
    children: tuple[LiveRegion, ...]
    below: tuple[LiveRegion, ...]
    """All regions below, the children too."""
    sensors: tuple[LiveSensor, ...]
    warnings: tuple[Warning, ...]
    values: tuple[LiveValue, ...]
    actions: tuple[WarningActions, ...]
    """What people did of the open warnings, as far as anything was."""


class Delta(Frozen):
    """What changed since the frame before. Warnings are never conflated; of values only the newest of each series is sent."""

    type: Literal["delta"] = "delta"
    server_time: Time
    position: Text
    warnings: tuple[Warning, ...] = ()
    values: tuple[LiveValue, ...] = ()
    sensors: tuple[LiveSensor, ...] = ()
    actions: tuple[WarningActions, ...] = ()


class Heartbeat(Frozen):
    """One a second: how old what is shown is."""

    type: Literal["heartbeat"] = "heartbeat"
    server_time: Time
    position: Text
    pipeline_time: Time | None
    """The oldest, over all partitions, of the newest tick that the gateway has seen; None before the first."""
    services: tuple[ServiceHeartbeat, ...]
    """The newest heartbeat of each node of each service that the gateway has heard since it started, however old."""
