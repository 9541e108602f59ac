"""The live view: what the topics say of every region now, and the frames that tell it.

What is collected, and the frames, go by `Reach`: all who see the same of a region share them, and whoever sees less has others.
Warnings and what people did of them are streams: each newer revision is handed to every reach that takes it in, never conflated. Values are
conflated: of each series only the newest since the last turn. A repeated or older revision or value changes nothing, so records may come
twice. Frames follow `schemas.live`; they are put together from fragments that are encoded once, and `tests/unit/gateway/test_view.py` reads
them back by it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

import msgspec

from schemas import wire
from schemas.action import WarningActions
from schemas.health import Heartbeat
from schemas.live import PROTOCOL, LiveRegion, LiveSensor
from schemas.observation import Quality
from schemas.regions import Region, RegionTree
from schemas.sensor import Life, Sensor
from schemas.tiers import Tier
from schemas.warning import Change, Warning, WarningState  # noqa: A004 - the field's own word
from services.gateway.domain.access import Reach

CLEARED_KEPT = 100_000
"""Cleared warnings whose revision is remembered, so that a repeated older revision does not open them again."""
ACTIONS_KEPT = 100_000
"""Warnings that are not open and of which what people did is remembered: it may come before the warning, or the warning may open again."""
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
    """An open warning, or what people did of one."""

    rev: int
    street: str
    department: str
    body: bytes


class _Open(_Known, gc=False):
    raised: int
    """The revision that last raised or reopened it, as far as that is known: an acknowledgement of an earlier one does not hold."""


class _Stands(msgspec.Struct, gc=False):
    """What of a warning says, with that, whether an answer to it still holds."""

    tier: Tier


class _Answer(msgspec.Struct, gc=False):
    """An acknowledgement or a disposition, as far as that needs it."""

    tier: Tier
    seen_rev: int


class _Answers(msgspec.Struct, gc=False):
    acknowledged: _Answer | None = None
    cleared: _Answer | None = None


_STANDS, _ANSWERS = msgspec.json.Decoder(_Stands), msgspec.json.Decoder(_Answers)

_Key = tuple[str, str, str, int]
"""(sensor, metric, statistic, period)"""
_RISES = frozenset({Change.RAISED, Change.REOPENED})


class Pending:
    """What the watchers of a reach have not yet been sent."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self.warnings: list[bytes] = []
        self.sensors: list[bytes] = []
        self.actions: list[bytes] = []
        self.values: dict[_Key, None] = {}
        self.outdated = False
        """They were shown what is no longer theirs; frames only add, so they need a new snapshot."""


class View:
    """All regions; only for what is watched is anything collected to be sent."""

    def __init__(self, regions: RegionTree) -> None:
        self.regions = regions
        self._sensors: dict[str, tuple[Sensor, bytes]] = {}
        self._open: dict[UUID, _Open] = {}
        self._cleared: OrderedDict[UUID, int] = OrderedDict()
        self._acted: dict[UUID, _Known] = {}
        self._acted_otherwise: OrderedDict[UUID, _Known] = OrderedDict()
        self._values: dict[_Key, _Newest] = {}
        self._pending: dict[Reach, Pending] = {}
        self._watchers: dict[tuple[str, str | None], tuple[Pending, ...]] = {}
        """By street and department: whom it concerns; found once for each and forgotten when the watchers change."""
        self._ticks: dict[int, int] = {}
        self._nodes: dict[tuple[str, str], Heartbeat] = {}

    # -- what is watched

    def watch(self, reach: Reach) -> None:
        """Begin to collect for a reach."""
        if reach not in self._pending:
            self._pending[reach] = Pending(reach)
            self._watchers.clear()

    def unwatch(self, reach: Reach) -> None:
        """Stop to collect for a reach."""
        if self._pending.pop(reach, None) is not None:
            self._watchers.clear()

    @property
    def outdated(self) -> list[Reach]:
        """The reaches whose watchers were shown what is theirs no longer, because it moved to another street or department."""
        return [reach for reach, pending in self._pending.items() if pending.outdated]

    @property
    def sensors(self) -> list[str]:
        """The ids of all sensors."""
        return list(self._sensors)

    def unit(self, sensor: str | None, metric: str) -> str | None:
        """Return the unit of what a sensor says of a metric, None where that is not known."""
        known = self._sensors.get(sensor) if sensor is not None else None
        described = known[0].metrics.get(metric) if known is not None else None
        return None if described is None else described.unit

    def sensor(self, id_: str) -> Sensor | None:
        """Return a sensor's newest version, None where there is none of that id."""
        known = self._sensors.get(id_)
        return None if known is None else known[0]

    def standing(self, reach: Reach) -> tuple[int, int]:
        """Return how many open warnings there are within a reach, and for how many of them nobody has answered as they are now."""
        sees = self._seer(reach)
        found = [(id_, known) for id_, known in self._open.items() if sees(known.street, known.department)]
        return len(found), sum(not _answered(known, self._acted.get(id_)) for id_, known in found)

    @property
    def open(self) -> list[UUID]:
        """The ids of all open warnings."""
        return list(self._open)

    def warning(self, id_: UUID) -> Warning | None:
        """Return the newest revision of an open warning."""
        known = self._open.get(id_)
        return None if known is None else Warning.model_validate_json(known.body)

    # -- records in

    def take_sensor(self, sensor: Sensor) -> None:
        """Take a sensor's newest version; what says nothing new (all are sent daily) is told to nobody, and a retired one is not shown."""
        body = _sensor(sensor)
        known = self._sensors.get(sensor.id)
        self._sensors[sensor.id] = (sensor, body)
        gone = sensor.life is Life.RETIRED
        if known is not None and known[1] == body and (known[0].life is Life.RETIRED) is gone:
            return
        concerned = () if gone else self._watched(sensor.street, sensor.department)
        for pending in concerned:
            pending.sensors.append(body)
        if known is not None:
            _outdate(self._watched(known[0].street, known[0].department), concerned)

    def take_warning(self, warning: Warning, body: bytes) -> None:
        """Take a revision, unless it is not newer than the one known; `body` is its JSON."""
        known = self._open.get(warning.id)
        rev = known.rev if known else self._cleared.get(warning.id, 0)
        if warning.rev <= rev:
            return
        if warning.state is WarningState.OPEN:
            self._reopen(warning.id)
            raised = warning.rev if warning.change in _RISES else known.raised if known else 1
            self._open[warning.id] = _Open(warning.rev, warning.street, warning.department, body, raised)
        else:
            self._close(warning.id, warning.rev)
        concerned = self._watched(warning.street, warning.department)
        for pending in concerned:
            pending.warnings.append(body)
        if known is not None:
            _outdate(self._watched(known.street, known.department), concerned)

    def take_raised(self, warning: UUID, rev: int) -> None:
        """Take the revision that last raised or reopened an open warning, from who has heard all of them."""
        known = self._open.get(warning)
        if known is not None:
            known.raised = max(known.raised, rev)

    def take_actions(self, actions: WarningActions, body: bytes) -> None:
        """Take what people did of a warning, unless it is not newer than what is known; `body` is its JSON."""
        known = self._acted.get(actions.warning) or self._acted_otherwise.get(actions.warning)
        if known is not None and actions.rev <= known.rev:
            return
        self._keep_actions(actions.warning, _Known(actions.rev, actions.street, actions.department, body))
        for pending in self._watched(actions.street, actions.department):
            pending.actions.append(body)

    def take_observation(self, record: wire.Observation) -> None:
        """Take an observation's values, each unless a newer one is known."""
        period_s = wire.period_s(record.start, record.end)
        watched = [pending.values for pending in self._watched(record.street, self._department(record.sensor))]
        for metric, value in record.values.items():
            key = (record.sensor, metric, record.statistic, period_s)
            newest = self._values.get(key)
            if newest is not None and record.end < newest.end:
                continue
            quality = record.quality.get(metric, Quality.GOOD.value)
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

    def snapshot(self, reach: Reach, position: str, now: datetime) -> bytes:
        """Return the frame with all that is true of a region, as far as it is within a reach."""
        node, sees = self.regions[reach.region], self._seer(reach)
        below = [one for one in self.regions if self.regions.covers(node.code, one.code) and one.code != node.code]
        head = {
            "type": "snapshot",
            "protocol": PROTOCOL,
            "server_time": now,
            "position": position,
            "region": live_region(node).model_dump(),
            "path": [live_region(self.regions[code]).model_dump() for code in self.regions.path(node.code)],
            "children": [live_region(child).model_dump() for child in self.regions.children(node.code)],
            "below": [live_region(one).model_dump() for one in below],
        }
        sensors = [body for sensor, body in self._sensors.values() if self._shown(sensor.id) and sees(sensor.street, sensor.department)]
        actions = [known.body for known in self._acted.values() if sees(known.street, known.department)]
        return _frame(head, sensors=sensors, warnings=self.open_warnings(reach), values=self.values(reach), actions=actions)

    def open_warnings(self, reach: Reach) -> list[bytes]:
        """Return the newest revision of each open warning within a reach, as JSON."""
        sees = self._seer(reach)
        return [known.body for known in self._open.values() if sees(known.street, known.department)]

    def values(self, reach: Reach) -> list[bytes]:
        """Return the newest value of each series within a reach, as JSON of `schemas.live.LiveValue`."""
        return self._visible(reach, self._values)

    def delta(self, reach: Reach, position: str, now: datetime, *, values: bool) -> bytes | None:
        """Return the frame of what a reach's watchers have not yet been sent, None when there is nothing; without `values` these wait."""
        pending = self._pending[reach]
        encoded = self._visible(reach, pending.values) if values else []
        if values:
            pending.values.clear()
        if not (pending.warnings or pending.sensors or pending.actions or encoded):
            return None
        head = {"type": "delta", "server_time": now, "position": position}
        frame = _frame(head, sensors=pending.sensors, warnings=pending.warnings, values=encoded, actions=pending.actions)
        pending.warnings, pending.sensors, pending.actions = [], [], []
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

    # -- open and closed

    def _reopen(self, warning: UUID) -> None:
        self._cleared.pop(warning, None)
        if (acted := self._acted_otherwise.pop(warning, None)) is not None:
            self._acted[warning] = acted

    def _close(self, warning: UUID, rev: int) -> None:
        self._open.pop(warning, None)
        self._cleared[warning] = rev
        if len(self._cleared) > CLEARED_KEPT:
            self._cleared.popitem(last=False)
        if (acted := self._acted.pop(warning, None)) is not None:
            self._keep_actions(warning, acted)

    def _keep_actions(self, warning: UUID, acted: _Known) -> None:
        if warning in self._open:
            self._acted[warning] = acted
            return
        self._acted_otherwise[warning] = acted
        if len(self._acted_otherwise) > ACTIONS_KEPT:
            self._acted_otherwise.popitem(last=False)

    # -- who sees what

    def _watched(self, street: str, department: str | None) -> tuple[Pending, ...]:
        """Return what is collected for those who see a street's things of a department."""
        key = street, department
        found = self._watchers.get(key)
        if found is None:
            path = self._path(street)
            found = self._watchers[key] = tuple(pending for reach, pending in self._pending.items() if reach.sees(path, department))
        return found

    def _seer(self, reach: Reach) -> Callable[[str, str | None], bool]:
        """Return a function that says whether a street's things of a department are within a reach."""
        return cache(lambda street, department: reach.sees(self._path(street), department))

    def _path(self, street: str) -> tuple[str, ...]:
        """Return a street's path; what stands in no region of the tree is the city's."""
        return self.regions.path(street) if street in self.regions else (self.regions.root.code,)

    def _department(self, sensor: str) -> str | None:
        known = self._sensors.get(sensor)
        return None if known is None else known[0].department

    def _shown(self, sensor: str) -> bool:
        known = self._sensors.get(sensor)
        return known is None or known[0].life is not Life.RETIRED

    def _visible(self, reach: Reach, keys: Iterable[_Key]) -> list[bytes]:
        """Return the newest values of series as far as they are within a reach now: a sensor may have moved since it was collected."""
        sees = self._seer(reach)
        found = ((key, self._values[key]) for key in keys)
        return [self._encode(key, newest) for key, newest in found if self._shown(key[0]) and sees(newest.street, self._department(key[0]))]

    @staticmethod
    def _encode(key: _Key, newest: _Newest) -> bytes:
        sensor, metric, statistic, period_s = key
        at, received = wire.from_micros(newest.end), wire.from_micros(newest.received)
        return msgspec.json.encode(Value(sensor, metric, statistic, period_s, newest.value, newest.quality, at, received, newest.origin))


def _outdate(before: Iterable[Pending], after: Iterable[Pending]) -> None:
    """Mark those who saw a thing where it was and do not see it where it is."""
    still = {id(pending) for pending in after}
    for pending in before:
        pending.outdated |= id(pending) not in still


def _answered(warning: _Open, actions: _Known | None) -> bool:
    """Say whether somebody acknowledged a warning as it is now, since it was last made graver, or cleared it by hand at its tier or a graver one."""
    if actions is None:
        return False
    gravity, done = _STANDS.decode(warning.body).tier.gravity, _ANSWERS.decode(actions.body)
    if done.cleared is not None and done.cleared.tier.gravity >= gravity:
        return True
    return done.acknowledged is not None and done.acknowledged.tier.gravity >= gravity and done.acknowledged.seen_rev >= warning.raised


def live_region(region: Region) -> LiveRegion:
    """Return a region as pages show it."""
    return LiveRegion(code=region.code, parent=region.parent, level=region.level, name=region.name)


def _sensor(sensor: Sensor) -> bytes:
    shown = LiveSensor(
        id=sensor.id,
        name=sensor.name,
        street=sensor.street,
        domain=sensor.domain,
        department=sensor.department,
        place=sensor.place,
        longitude=sensor.longitude,
        latitude=sensor.latitude,
        metrics=sensor.metrics,
    )
    return shown.model_dump_json().encode()


def _frame(head: dict[str, object], **lists: list[bytes]) -> bytes:
    """Return a JSON object of a head and lists of what is JSON already."""
    for name, items in lists.items():
        head[name] = msgspec.Raw(b"[" + b",".join(items) + b"]")
    return msgspec.json.encode(head)
