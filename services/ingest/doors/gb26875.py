"""The door for fire transmission devices: GB/T 26875.3 over TCP; the standard's UDP is not spoken.

For each frame, in this order and one after the other on each connection:

1. it is judged (`services.ingest.domain.gb26875`, where it stands what is confirmed and what denied);
2. Kafka has what was taken, and what was refused with its bytes;
3. the device is answered, within `ANSWER_S`: a device waits at most 10 s, and tries three times.

When Kafka does not acknowledge in time there is no answer, and the device sends it again: the same frame makes the same observations, so nothing is
doubled. When a connection has `max_frames` in hand, nothing more is read from it. Devices are known by their source address only, which anybody can
claim: the standard has no secret. One that is heard by another connection while its first still stands is told of in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter as Counts
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge

from protocols.gb26875 import Centre, Command, Frame, FrameError, WrongChecksum, confirm, deny
from schemas import wire
from schemas.city import City
from services.ingest import files
from services.ingest.domain.gb26875 import ANSWERS, PROTOCOL, Hearing, Told, Verdict, device_name, of_error
from services.ingest.domain.registry import Registry
from services.ingest.door import Door
from services.ingest.doors.gb26875_connection import READ_BYTES, Connection
from services.ingest.intake import Intake, Judged, Origin
from services.ingest.patrols import Call, Calls
from services.ingest.presence import Presence
from services.ingest.settings import Gb26875Settings
from services.kit import logs
from services.kit.clock import Clock
from services.kit.errors import Unavailable

_log = logs.get(__name__)

CONTENT_TYPE = "application/vnd.tongguan.gb26875"
ANSWER_S = 9.0
"""A device waits at most 10 s for its answer (6.5 of the standard)."""
BACKLOG = 1_024
SWEEP_S = 1.0
TRIES, TRY_AGAIN_S = 3, 10.0
"""Of a call to a device (6.2 of the standard)."""
SET_CLOCK_S = 3_600.0
DRAIN_S = 2.0
"""For frames in hand when the service stops: the supervisor kills 4 s after it has asked."""


@dataclass(frozen=True)
class Judging:
    """Judges again what was refused (`services.ingest.refusals.Judge`): one frame, of which the department's own sensors are taken."""

    hearing: Hearing

    def __call__(self, body: bytes, content_type: str, department: str, registry: Registry, now: datetime, received: datetime) -> Judged:
        """Return what becomes of a frame. That a drill is one is known of devices whose record says so, and of panels that this node has heard."""
        del content_type
        try:
            told = self.hearing.hear(Frame.decode(body), registry, now, self.hearing.panels, only=department, came=received)
        except FrameError as error:
            told = of_error(error)
        return Judged(told.observations, refused=told.refused)


def department_for(settings: Gb26875Settings, city: City) -> str:
    """Return whose concern strangers are."""
    departments = [each.id for each in city.departments]
    wanted = settings.department or "fire"
    return wanted if wanted in departments or not departments else departments[0]


@dataclass(slots=True)
class _Sent:
    """A call that its device has not confirmed yet."""

    call: UUID
    frame: Frame
    tries: int
    due: float


class Server:
    """All connections of this node."""

    def __init__(
        self,
        *,
        intake: Intake,
        door: Door,
        hearing: Hearing,
        department: str,
        presence: Presence,
        calls: Calls,
        settings: Gb26875Settings,
        clock: Clock,
        metrics: CollectorRegistry,
    ) -> None:
        """`department` is whose concern devices are that nobody registered."""
        self.settings = settings
        self.monotonic = clock.monotonic
        self.buffer = memoryview(bytearray(READ_BYTES))
        self._intake = intake
        self._door = door
        self._hearing = hearing
        self._department = department
        self._presence = presence
        self._calls = calls
        self._clock = clock
        self._most = min(settings.max_connections, files.allow_many() // 2)
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, None] = {}
        """Those on which no registered device has spoken yet, the oldest first."""
        self._clocks: dict[str, float] = {}
        """When clocks were set, by device."""
        self._hosts = Counts[str]()
        self._devices: dict[str, Connection] = {}
        self._sent: dict[tuple[str, int], _Sent] = {}
        self._serial = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._not_taken, self._moved, self._unread = logs.Seldom(), logs.Seldom(), logs.Seldom()
        self._frames = Counter("tongguan_ingest_gb26875_frames", "Frames by what became of them", ["verdict", "answer"], registry=metrics)
        self._closed = Counter("tongguan_ingest_gb26875_closed", "Connections that the door closed, by reason", ["reason"], registry=metrics)
        Gauge("tongguan_ingest_gb26875_connections", "Connections", registry=metrics).set_function(lambda: len(self._connections))

    async def serve(self, host: str, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Listen until `stop`, then answer what is in hand for at most `DRAIN_S`. Raises OSError when the port is taken."""
        listener = await asyncio.get_running_loop().create_server(lambda: Connection(self), host, self.settings.port, backlog=BACKLOG)
        self._door.listening = True
        ready()
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._sweep()), tasks.create_task(self._patrol())]
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            listener.close()
            self._door.listening = False
            await self._drain()

    def admit(self, connection: Connection) -> None:
        """Let a connection in, or cut it: there may be so many in all, and so many from one address. Strangers make room, the oldest first."""
        if self._hosts[connection.host] >= self.settings.max_per_address:
            connection.abort("full for its address")
            return
        if len(self._connections) >= self._most:
            oldest = next(iter(self._strangers), None)
            (oldest or connection).abort("full")
            if oldest is None:
                return
            self.gone(oldest)  # now, as more may come in this very turn
        self._connections.add(connection)
        self._strangers[connection] = None
        self._hosts[connection.host] += 1

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._strangers.pop(connection, None)
        self._hosts[connection.host] -= 1
        if not self._hosts[connection.host]:
            del self._hosts[connection.host]
        for device in connection.devices or ():
            self._presence.gone(PROTOCOL, device, connection.address, self._clock.now())
            if self._devices.get(device) is connection:
                del self._devices[device]

    def closing(self, connection: Connection, reason: str) -> None:
        """Count why a connection is closed."""
        self._closed.labels(reason).inc()
        _log.debug("connection_closed", address=connection.address, reason=reason)

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what a connection has to do."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def take(self, connection: Connection, item: Frame | FrameError) -> Frame | None:
        """Take what came and return the answer, None where there is none: then the device tries again or has nothing to wait for."""
        try:
            async with asyncio.timeout(ANSWER_S):
                with self._door.under_way() as now:
                    told = self._hear(connection, item, now)
                    await self._publish(told, connection, item, now)
                    await self._note(told, item)
        except (Unavailable, TimeoutError) as error:
            self._frames.labels("not_taken", "none").inc()
            if self._not_taken.due(self.monotonic()):
                _log.warning("not_taken", error=repr(error), address=connection.address)
            return None
        command = ANSWERS[told.verdict]
        self._frames.labels(told.verdict.value, command.name.lower() if command else "none").inc()
        frame = item.frame if isinstance(item, WrongChecksum) else item
        if command is None or isinstance(frame, FrameError):
            return None
        time = self._local(self._clock.now())
        return confirm(frame, time=time) if command is Command.CONFIRM else deny(frame, time=time)

    def _hear(self, connection: Connection, item: Frame | FrameError, now: datetime) -> Told:
        registry = self._intake.known
        if isinstance(item, FrameError):
            return of_error(item)
        device = device_name(item.source)
        if registry.heard_by(PROTOCOL, device):
            self._greet(connection, device, item, now)
        told = self._hearing.hear(item, registry, now, self._hearing.panels)
        self._hearing.panels.update(told.panels)
        return told

    def _greet(self, connection: Connection, device: str, frame: Frame, now: datetime) -> None:
        """Note that a registered device was heard, and where."""
        if connection not in self._connections:
            return  # it has left, and what it sent is still in hand
        if connection.devices is None:
            connection.devices = {}
            del self._strangers[connection]
        if self._devices.get(device) is not connection:
            if device in self._devices and self._moved.due(self.monotonic()):
                _log.warning("device_elsewhere", device=device, address=connection.address, before=self._devices[device].address)
            self._devices[device] = connection
            connection.devices[device] = Centre(frame.target, frame.source, frame.version)
            self._presence.connected(PROTOCOL, device, connection.address, now)
        skew_s = None if frame.time is None else (self._hearing.aware(frame.time) - now).total_seconds()
        self._presence.heard(PROTOCOL, device, now, skew_s)
        if skew_s is not None:
            self._set_clock(connection, device, skew_s, now)

    def _set_clock(self, connection: Connection, device: str, skew_s: float, now: datetime) -> None:
        over, monotonic = self.settings.set_clocks_over_s, self.monotonic()
        if over is None or abs(skew_s) <= over or monotonic - self._clocks.get(device, -SET_CLOCK_S) < SET_CLOCK_S:
            return
        self._clocks[device] = monotonic
        time = self._local(now)
        connection.send((connection.devices or {})[device].set_clock(serial=self._next_serial(), time=time))
        _log.info("clock_set", device=device, skew_s=round(skew_s, 1))

    async def _publish(self, told: Told, connection: Connection, item: Frame | FrameError, now: datetime) -> None:
        if told.verdict is Verdict.UNKNOWN_DEVICE and isinstance(item, Frame) and not item.unit:
            if connection.told_stranger:
                return  # a heartbeat says no more than the first did
            connection.told_stranger = True
        own = told.department or self._department_of(item)
        groups: dict[str, list[wire.Observation]] = {own: []} if told.refused else {}
        for one in told.observations:
            groups.setdefault(one.department, []).append(one)
        judged = {department: Judged(ones, refused=told.refused if department == own else ()) for department, ones in groups.items()}
        await asyncio.gather(
            *(self._intake.publish(one, Origin(department, connection.address, CONTENT_TYPE), self._door, now) for department, one in judged.items())
        )

    def _department_of(self, item: Frame | FrameError) -> str:
        """Return whose device a damaged frame names, else whose concern strangers are."""
        if isinstance(item, WrongChecksum) and (sensors := self._intake.known.heard_by(PROTOCOL, device_name(item.frame.source))):
            return sensors[0].department
        return self._department

    async def _note(self, told: Told, item: Frame | FrameError) -> None:
        """Note what a frame says of patrol checks."""
        if isinstance(item, FrameError):
            return
        device = device_name(item.source)
        if told.on_duty is not None:
            await self._calls.answered(device, told.on_duty)
        if told.verdict is Verdict.REPLY and (sent := self._sent.get((device, item.serial))) is not None:
            await (self._calls.confirmed if item.command is Command.CONFIRM else self._calls.denied)(sent.call)
            self._sent.pop((device, item.serial), None)  # while the database is away it is called again, and confirms again

    async def _sweep(self) -> None:
        """Every `SWEEP_S` give up what is not whole, and close what is silent or nobody's; until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self.monotonic()
            for connection in tuple(self._connections):
                connection.flush_if_silent(now)
                if now - connection.heard > self.settings.idle_s:
                    connection.abort("silent")
                elif not connection.devices and now - connection.made > self.settings.identify_s:
                    connection.end("nobody")

    async def _patrol(self) -> None:
        """Every second send the patrol checks of devices that are here, and again those that were not confirmed; until cancelled."""
        with contextlib.suppress(Unavailable):
            await self._calls.forget()
        while True:
            await asyncio.sleep(1.0)
            self._call_again()
            try:
                self._call(await self._calls.take(self._devices.__contains__))
            except Unavailable as error:
                if self._unread.due(self.monotonic()):
                    _log.warning("patrols_not_read", error=str(error))

    def _call(self, calls: Sequence[Call]) -> None:
        for call in calls:
            connection = self._devices.get(call.device)
            if connection is None or connection.devices is None:
                continue  # it has left between: the check ends as not connected
            serial, time = self._next_serial(), self._local(self._clock.now())
            frame = connection.devices[call.device].patrol_check(call.minutes, serial=serial, time=time)
            self._sent[call.device, serial] = _Sent(call.id, frame, 1, self.monotonic() + TRY_AGAIN_S)
            connection.send(frame)
            _log.info("patrol_sent", device=call.device, patrol=str(call.id))

    def _call_again(self) -> None:
        now = self.monotonic()
        for key, sent in [(key, sent) for key, sent in self._sent.items() if sent.due <= now]:
            connection = self._devices.get(key[0])
            if connection is None or sent.tries >= TRIES:
                del self._sent[key]
            else:
                sent.tries, sent.due = sent.tries + 1, now + TRY_AGAIN_S
                connection.send(sent.frame)

    async def _drain(self) -> None:
        for connection in tuple(self._connections):
            connection.end("stopping")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_S)
        for task in self._tasks:
            task.cancel()
        for connection in tuple(self._connections):
            connection.abort("stopping")

    def _local(self, time: datetime) -> datetime:
        """Return a time as devices' clocks show it."""
        return time.astimezone(self._hearing.zone).replace(tzinfo=None)

    def _next_serial(self) -> int:
        self._serial = (self._serial + 1) & 0xFFFF
        return self._serial
