"""The live view: what the topics say of every region now, and the frames that tell it.

Warnings are a stream: each newer revision is handed to every region on its street's path, never conflated. Values are conflated: of each
series only the newest since the last turn. A repeated or older revision or value changes nothing, so records may come twice. Frames follow
`schemas.live`; they are put together from fragments that are encoded once, and `tests/unit/gateway/test_view.py` reads them back by it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas import wire
from schemas.health import Heartbeat
from schemas.live import PROTOCOL, LiveRegion, LiveSensor
from schemas.observation import Quality
from schemas.regions import Region, RegionTree
from schemas.sensor import Sensor
from schemas.warning import Warning, WarningState  # noqa: A004 - the field's own word

CLEARED_KEPT = 100_000
"""Cleared warnings whose revision is remembered, so that a repeated older revision does not open them again."""
NODE_FORGOTTEN = timedelta(seconds=5)
"""A silent node is forgotten after so long when another of its service is heard: it was restarted."""


class Value(msgspec.Struct, gc=False):
    """`schemas.live.LiveValue`, as it is written."""

    sensor: str
    metric: str
    statistic: str
    period_s: int
    value: float
    quality: str
    at: datetime
    received_at: datetime
    origin: str


class _Newest(msgspec.Struct, gc=False):
    """The newest value of a series."""

    street: str
    end: int
    value: float
    quality: str
    received: int
    origin: str


class _Known(msgspec.Struct, gc=False):
    """An open warning."""

    rev: int
    street: str
    body: bytes


_Key = tuple[str, str, str, int]
"""(sensor, metric, statistic, period)"""


class Pending:
    """What a region's watchers have not yet been sent."""

    def __init__(self) -> None:
        self.warnings: list[bytes] = []
        self.sensors: list[bytes] = []
        self.values: dict[_Key, None] = {}


class View:
    """All regions; only for watched ones is anything collected to be sent."""

    def __init__(self, regions: RegionTree) -> None:
        self.regions = regions
        self._sensors: dict[str, tuple[Sensor, bytes]] = {}
        self._open: dict[UUID, _Known] = {}
        self._cleared: OrderedDict[UUID, int] = OrderedDict()
        self._values: dict[_Key, _Newest] = {}
        self._pending: dict[str, Pending] = {}
        self._ticks: dict[int, int] = {}
        self._nodes: dict[tuple[str, str], Heartbeat] = {}

    # -- what is watched

    def watch(self, region: str) -> None:
        """Begin to collect for a region."""
        self._pending.setdefault(region, Pending())

    def unwatch(self, region: str) -> None:
        """Stop to collect for a region."""
        self._pending.pop(region, None)

    @property
    def sensors(self) -> list[str]:
        """The ids of all sensors."""
        return list(self._sensors)

    # -- records in

    def take_sensor(self, sensor: Sensor) -> None:
        """Take a sensor's newest version; one that says nothing new (ingest sends all of them daily) is told to nobody."""
        body = (
            LiveSensor(id=sensor.id, name=sensor.name, street=sensor.street, domain=sensor.domain, metrics=sensor.metrics).model_dump_json().encode()
        )
        known = self._sensors.get(sensor.id)
        self._sensors[sensor.id] = (sensor, body)
        if known is not None and known[1] == body:
            return
        for pending in self._watched(sensor.street):
            pending.sensors.append(body)

    def take_warning(self, warning: Warning, body: bytes) -> None:
        """Take a revision, unless it is not newer than the one known; `body` is its JSON."""
        known = self._open.get(warning.id)
        rev = known.rev if known else self._cleared.get(warning.id, 0)
        if warning.rev <= rev:
            return
        if warning.state is WarningState.OPEN:
            self._cleared.pop(warning.id, None)
            self._open[warning.id] = _Known(warning.rev, warning.street, body)
        else:
            self._open.pop(warning.id, None)
            self._cleared[warning.id] = warning.rev
            if len(self._cleared) > CLEARED_KEPT:
                self._cleared.popitem(last=False)
        streets = {warning.street} | ({known.street} if known else set())
        for pending in {id(one): one for street in streets for one in self._watched(street)}.values():
            pending.warnings.append(body)

    def take_observation(self, record: wire.Observation) -> None:
        """Take an observation's values, each unless a newer one is known."""
        period_s = wire.period_s(record.start, record.end)
        watched = [pending.values for pending in self._watched(record.street)]
        for metric, value in record.values.items():
            key = (record.sensor, metric, record.statistic, period_s)
            newest = self._values.get(key)
            if newest is not None and record.end < newest.end:
                continue
            quality = record.quality.get(metric, Quality.GOOD.value)
            if newest is not None and newest.street != record.street:
                # The sensor has moved: those who watched its old street see no value of the new one.
                for pending in self._watched(newest.street):
                    pending.values.pop(key, None)
            self._values[key] = _Newest(record.street, record.end, value, quality, record.received, record.origin)
            for values in watched:
                values[key] = None

    def take_tick(self, partition: int, time: int) -> None:
        """Take a tick of a partition of `city.observations`, in microseconds."""
        self._ticks[partition] = max(time, self._ticks.get(partition, 0))

    def take_heartbeat(self, beat: Heartbeat) -> None:
        """Take a service's heartbeat; its silent predecessors are forgotten."""
        self._nodes[beat.service, beat.node] = beat
        for key, other in list(self._nodes.items()):
            if other.service == beat.service and beat.time - other.time > NODE_FORGOTTEN:
                del self._nodes[key]

    # -- frames out

    def snapshot(self, region: str, position: str, now: datetime) -> bytes:
        """Return the frame with all that is true of a region."""
        inside = self._inside(region)
        node = self.regions[region]
        head = {
            "type": "snapshot",
            "protocol": PROTOCOL,
            "server_time": now,
            "position": position,
            "region": _region(node),
            "path": [_region(self.regions[code]) for code in self.regions.path(region)],
            "children": [_region(child) for child in self.regions.children(region)],
        }
        sensors = [body for sensor, body in self._sensors.values() if sensor.street in inside]
        warnings = [known.body for known in self._open.values() if known.street in inside]
        values = [self._encode(key, newest) for key, newest in self._values.items() if newest.street in inside]
        return _frame(head, sensors=sensors, warnings=warnings, values=values)

    def open_warnings(self, region: str) -> list[bytes]:
        """Return the newest revision of each open warning of a region, as JSON."""
        inside = self._inside(region)
        return [known.body for known in self._open.values() if known.street in inside]

    def values(self, region: str) -> list[bytes]:
        """Return the newest value of each series of a region, as JSON of `schemas.live.LiveValue`."""
        inside = self._inside(region)
        return [self._encode(key, newest) for key, newest in self._values.items() if newest.street in inside]

    def delta(self, region: str, position: str, now: datetime, *, values: bool) -> bytes | None:
        """Return the frame of what a region's watchers have not yet been sent, None when there is nothing; without `values` these wait."""
        pending = self._pending[region]
        keys: Iterable[_Key] = pending.values if values else ()
        encoded = [self._encode(key, self._values[key]) for key in keys]
        if not (pending.warnings or pending.sensors or encoded):
            return None
        head = {"type": "delta", "server_time": now, "position": position}
        frame = _frame(head, sensors=pending.sensors, warnings=pending.warnings, values=encoded)
        pending.warnings, pending.sensors = [], []
        if values:
            pending.values = {}
        return frame

    def heartbeat(self, position: str, now: datetime, partitions: int) -> bytes:
        """Return the frame that says how old what is shown is."""
        complete = len(self._ticks) == partitions
        services = b",".join(beat.model_dump_json().encode() for _, beat in sorted(self._nodes.items()))
        head = {
            "type": "heartbeat",
            "server_time": now,
            "position": position,
            "pipeline_time": wire.from_micros(min(self._ticks.values())) if complete else None,
            "services": msgspec.Raw(b"[" + services + b"]"),
        }
        return msgspec.json.encode(head)

    def _watched(self, street: str) -> list[Pending]:
        path = self.regions.path(street) if street in self.regions else (self.regions.root.code,)
        return [self._pending[code] for code in path if code in self._pending]

    def _inside(self, region: str) -> set[str]:
        """Return the codes of a region and all below it; what stands in no region of the tree is the city's."""
        if region == self.regions.root.code:
            return _Everything()
        return {one.code for one in self.regions if self.regions.covers(region, one.code)}

    @staticmethod
    def _encode(key: _Key, newest: _Newest) -> bytes:
        sensor, metric, statistic, period_s = key
        at, received = wire.from_micros(newest.end), wire.from_micros(newest.received)
        return msgspec.json.encode(Value(sensor, metric, statistic, period_s, newest.value, newest.quality, at, received, newest.origin))


class _Everything(set[str]):
    def __contains__(self, _: object) -> bool:
        return True


def _region(region: Region) -> dict[str, object]:
    return LiveRegion(code=region.code, level=region.level, name=region.name).model_dump()


def _frame(head: dict[str, object], **lists: list[bytes]) -> bytes:
    """Return a JSON object of a head and lists of what is JSON already."""
    for name, items in lists.items():
        head[name] = msgspec.Raw(b"[" + b",".join(items) + b"]")
    return msgspec.json.encode(head)
