"""The TCP door for monitors that speak HJ 212: many connections of which each says little.

What is answered, when Kafka has it (a packet whose Flag asks for an answer; in the form of its edition):

- **Data** (2011, 2051, 2061, 2031) of which something was taken: 9014. What of it was left out stands on `city.rejected` with the whole packet; words
  that the device's record does not know, and values that are no numbers, once an hour each, further ones are counted. Of a message in several
  packets each part is answered, see `Parts`. Data of which nothing was taken are refused and not answered, but for parts before the last: there are
  devices that would never send what follows.
- **2081** (boot): 9014, and a line in the log. **3020** (site information): 9014; it is kept on `city.rejected` as `no_reading`.
- **9015, 9021, 1013** (heartbeat, login, request for the time): 9013.

What is not answered; a device tries again, three times after 10 s each:

- anything while Kafka is away, or when it took too long;
- bytes that are no frame (wrong CRC or length, another protocol): kept and counted; of what a device's modem says between frames, once an hour;
- a packet of an MN that no sensor is linked to (`unknown_device`): kept under the settings' department, for adoption;
- a wrong PW (`wrong_password`). A device without an entry in the secrets is taken by its MN alone; how many are so is said at the start;
- a packet in the name of a device that speaks by another connection (`identity_in_use`). The newer takes over, and the older is closed, when it comes
  from the same address (a device that has come again) or when the older was silent for a minute;
- unknown commands (`unknown_command`).

Answers are in the order of packets. A connection has at most `MOST_WAITING` packets in hand and one read of its socket (`READ_BYTES`); then it is not
read.
Strangers are closed after a minute, devices after three times their interval and half an hour at least; at once, who sends `MOST_STRIKES` bad frames
in a row, and who does not read its answers. A half frame is given up after `FRAME_S`.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge

from protocols.hj212 import (
    STATISTICS,
    Frame,
    FrameProblem,
    Framer,
    Kind,
    Packet,
    PacketError,
    Station,
    Unencodable,
    answer_of,
    data_answer,
    decode_data,
    encode,
    framed,
    kind_of,
    notice_answer,
    time_of,
)
from protocols.hj212 import Refused as NoFrame
from schemas import wire
from schemas.rejected import Problem
from services.ingest import files
from services.ingest.domain.accept import Refused
from services.ingest.domain.hj212 import (
    MEDIA_TYPE,
    PROTOCOL,
    Left,
    Parts,
    Terms,
    command_problem,
    device_of,
    event_of,
    frame_problem,
    hear,
    incomplete_problem,
    judge_again,
    packet_problem,
    problems_of,
    stranger,
)
from services.ingest.domain.registry import Known, Registry
from services.ingest.door import Door
from services.ingest.doors.hj212_requests import Requests
from services.ingest.intake import Intake, Judged, Origin
from services.ingest.passwords import Passwords
from services.ingest.presence import Presence
from services.ingest.settings import Hj212Settings
from services.kit import logs
from services.kit.clock import Clock
from services.kit.errors import Unavailable

_log = logs.get(__name__)

MOST_WAITING = 64
"""Packets of one connection in hand: a device that was away for long sends as fast as it is answered."""
READ_BYTES = 4_096
"""Read at once, of whichever connection: three bytes may be a bad frame, and thousands of connections may be held up by Kafka."""
MOST_STRIKES = 32
"""Bad frames in a row: a bad line loses some, another protocol has nothing else."""
FRAME_S = 30.0
"""How long a frame may take from its first byte to its last."""
SWEEP_S = 2.0
DRAIN_S = 2.0
"""How long packets in hand may take at the end."""
BACKLOG = 4_096
"""Connections that the kernel holds for us: all devices of a city come at once after a cut."""
FILES = 512
"""What the process needs besides connections."""
KEEPALIVE_S = 120
"""After so long a silence the kernel asks whether the other end is there."""
HOUR_S = 3_600.0
MOST_TOLD = 50_000
"""What is remembered of what was told within an hour."""


class Hourly:
    """Says whether a thing is told for the first time within an hour; of too many the oldest are forgotten."""

    def __init__(self, most: int = MOST_TOLD) -> None:
        self._told: dict[object, float] = {}
        self._most = most

    def first(self, thing: object, now: float) -> bool:
        """Note it; `now` is monotonic seconds."""
        told = self._told.get(thing)
        if told is not None and now - told < HOUR_S:
            return False
        self._told.pop(thing, None)
        self._told[thing] = now
        if len(self._told) > self._most:
            del self._told[next(iter(self._told))]
        return True

    def forget(self, thing: object) -> None:
        """It was not told after all."""
        self._told.pop(thing, None)


@dataclass(slots=True)
class _Delivery:
    """What became of the packets of one turn."""

    judged: dict[str, tuple[list[wire.Observation], list[Refused]]] = field(default_factory=dict)
    """By department."""
    answers: list[tuple[bytes, frozenset[str]]] = field(default_factory=list)
    """Each with the departments whose part must be in Kafka first."""
    told: list[object] = field(default_factory=list)
    """What is told for the first time within the hour."""

    def of(self, department: str) -> tuple[list[wire.Observation], list[Refused]]:
        return self.judged.setdefault(department, ([], []))

    def answer(self, packet: Packet, answer: Callable[[Packet], Packet], departments: Iterable[str] = ()) -> None:
        """Answer a packet that wants it, once all that it says to these departments is in Kafka."""
        if packet.answer_wanted:
            try:
                self.answers.append((encode(answer(packet)), frozenset(departments)))
            except Unencodable as error:
                _log.warning("not_answerable", device=device_of(packet), error=str(error))


class _Connection(asyncio.BufferedProtocol):
    """One connection: its stream, and what of it waits for its turn."""

    __slots__ = (
        "_busy",
        "_framer",
        "_paused",
        "_server",
        "_waiting",
        "address",
        "begun_at",
        "devices",
        "heard_at",
        "host",
        "idle_s",
        "strikes",
        "transport",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._framer = Framer()
        self._waiting: deque[Frame | NoFrame] = deque()
        self._busy = False
        self._paused = False
        self.transport: asyncio.Transport | None = None
        self.host = self.address = ""
        self.begun_at = self.heard_at = 0.0
        self.devices: set[str] = set()
        """The MNs that it speaks for."""
        self.idle_s = 0.0
        self.strikes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        peer = transport.get_extra_info("peername") or ("unknown", 0)
        self.host, self.address = peer[0], f"{peer[0]}:{peer[1]}"
        self.begun_at = self.heard_at = self._server.monotonic()
        self._server.enter(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that all connections share: it is read from before anybody else's turn."""
        del sizehint
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.heard_at = self._server.monotonic()
        self._take(self._framer.feed(bytes(self._server.buffer[:nbytes])))

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self._take(self._framer.close())
        self._server.leave(self)

    def pause_writing(self) -> None:
        """It does not read hundreds of answers: nobody is there who wants them."""
        self.close("reads_nothing")

    def look(self, now: float) -> None:
        """Give up what has taken too long."""
        if not self.devices:
            if now - self.begun_at > self._server.settings.stranger_s:
                self.close("stranger")
        elif now - self.heard_at > self.idle_s:
            self.close("idle")
        elif self._framer.held and now - self.heard_at > FRAME_S:
            self._take(self._framer.close())

    def close(self, why: str) -> None:
        """End it; what is in hand is published all the same."""
        if self.transport is not None and not self.transport.is_closing():
            self._server.closed.labels(why).inc()
            # Of strangers there may be thousands: they are counted.
            (_log.info if self.devices else _log.debug)("closed", address=self.address, devices=sorted(self.devices), why=why)
            self.transport.abort()

    def send(self, data: bytes) -> bool:
        """Write; returns whether it is open."""
        if self.transport is None or self.transport.is_closing():
            return False
        self.transport.write(data)
        return True

    def rest(self) -> None:
        """Read no more: the end has come."""
        if self.transport is not None and not self.transport.is_closing() and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def end(self) -> None:
        """End it once what was answered is written."""
        if self.transport is not None:
            self.transport.close()

    @property
    def busy(self) -> bool:
        """Whether packets are in hand."""
        return self._busy

    def _take(self, found: Sequence[Frame | NoFrame]) -> None:
        self._waiting.extend(one for one in found if isinstance(one, Frame) or one.raw.strip(b"\r\n"))
        if self._waiting and not self._busy:
            self._busy = self._server.spawn(self._work())
        if len(self._waiting) > MOST_WAITING and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    async def _work(self) -> None:
        """Take what waits, turn by turn."""
        try:
            while self._waiting and self.strikes < MOST_STRIKES:
                turn = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_WAITING))]
                answers = await self._server.take(self, turn)
                if answers:
                    self.send(answers)
                self._resume()
        except Exception:  # noqa: BLE001 - it harms this connection only
            _log.exception("not_judged", address=self.address, hint="our mistake: tell whoever runs the platform")
            self.close("our_mistake")
        finally:
            self._busy = False
        if self.strikes >= MOST_STRIKES:
            self._waiting.clear()
            self.close("no_hj212")

    def _resume(self) -> None:
        if self._paused and len(self._waiting) <= MOST_WAITING and self.transport is not None and not self._server.stopping:
            self._paused = False
            self.transport.resume_reading()


@dataclass(slots=True)
class _Speaker:
    """By which connection a device speaks, and how it is spoken to."""

    connection: _Connection
    station: Station


class Server:
    """The door. To be used on one event loop; `run` once."""

    def __init__(
        self,
        *,
        intake: Intake,
        door: Door,
        presence: Presence,
        passwords: Passwords,
        terms: Terms,
        settings: Hj212Settings,
        clock: Clock,
        metrics: CollectorRegistry,
    ) -> None:
        """`settings` name a department."""
        self.settings = settings
        self.stopping = False
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.requests = Requests(self._send, terms.zone)
        self._intake = intake
        self._door = door
        self._presence = presence
        self._passwords = passwords
        self._terms = terms
        self._clock = clock
        self._department = settings.department or ""
        self._most = settings.max_connections
        self._connections: dict[_Connection, None] = {}
        self._strangers: dict[_Connection, None] = {}
        self._strangers_of = Tally[str]()
        self._speakers: dict[str, _Speaker] = {}
        self._parts = Parts()
        self._told = Hourly()
        self._seldom = logs.Seldom()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._measure(metrics)

    def _measure(self, metrics: CollectorRegistry) -> None:
        connections = Gauge("tongguan_hj212_connections", "Connections, by whether a registered device spoke", ["who"], registry=metrics)
        connections.labels("device").set_function(lambda: len(self._connections) - len(self._strangers))
        connections.labels("stranger").set_function(lambda: len(self._strangers))
        self.closed = Counter("tongguan_hj212_closed", "Connections that were closed by us", ["why"], registry=metrics)
        self._packets = Counter("tongguan_hj212_packets", "Packets of registered devices", ["kind"], registry=metrics)
        self._repeated = Counter(
            "tongguan_hj212_left_out", "What was left out of packets and told within the hour already", ["why"], registry=metrics
        )
        self._unanswered = Counter("tongguan_hj212_unanswered", "Frames that Kafka did not acknowledge", registry=metrics)
        self._taken_over = Counter("tongguan_hj212_taken_over", "Connections whose device speaks by a newer one", registry=metrics)

    async def run(self, *, host: str, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, then answer what is in hand for `DRAIN_S`.

        `ready` is called once the port listens. Raises OSError when the port is taken. Cancelling closes at once.
        """
        self._most = max(1, min(self._most, files.allow_many() - FILES))
        self._say_who_needs_no_password()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: _Connection(self), host, self.settings.port, backlog=BACKLOG)
            around = [tasks.create_task(self._sweep()), tasks.create_task(self._passwords.follow())]
            self._door.listening = True
            ready()
            try:
                await stop.wait()
                server.close()
                await self._drain()
            finally:
                self.stopping, self._door.listening = True, False
                server.close()
                for task in (*around, *self._running):
                    task.cancel()
                for connection in list(self._connections):
                    connection.end()

    def _say_who_needs_no_password(self) -> None:
        mns = {known.sensor.link.mn for known in self._intake.known if known.sensor.link is not None and known.sensor.link.protocol == PROTOCOL}
        without = sum(1 for mn in mns if self._passwords.get(mn) is None)
        _log.info("devices", protocol=PROTOCOL, registered=len(mns), without_password=without, most_connections=self._most)

    async def _drain(self) -> None:
        self.stopping, self._door.listening = True, False
        for connection in list(self._connections):
            connection.rest()
        until = self.monotonic() + DRAIN_S
        while self.monotonic() < until and any(connection.busy for connection in self._connections):
            await asyncio.sleep(0.01)

    # Connections

    def monotonic(self) -> float:
        """Return steady seconds."""
        return self._clock.monotonic()

    def spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run what must not raise; returns whether it runs, not once the end has come."""
        if self._tasks is None or self.stopping:
            work.close()
            return False
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return True

    def enter(self, connection: _Connection) -> None:
        """Take a stranger in, if there is room."""
        self._connections[connection] = None
        self._strangers[connection] = None
        self._strangers_of[connection.host] += 1
        if self._strangers_of[connection.host] > self.settings.max_per_address:
            connection.close("too_many_of_address")
            return
        if len(self._connections) > self._most:
            oldest = next(iter(self._strangers))
            oldest.close("too_many")
            self.leave(oldest)  # now, as more may come in this very turn
        _keep_alive(connection)

    def leave(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.pop(connection, None)
        self._no_stranger(connection)
        now = self._clock.now()
        for mn in connection.devices:
            self._presence.gone(PROTOCOL, mn, connection.address, now)
            speaker = self._speakers.get(mn)
            if speaker is not None and speaker.connection is connection:
                del self._speakers[mn]

    def _no_stranger(self, connection: _Connection) -> None:
        if connection in self._strangers:
            del self._strangers[connection]
            self._strangers_of[connection.host] -= 1
            if not self._strangers_of[connection.host]:
                del self._strangers_of[connection.host]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self.monotonic()
            for connection in list(self._connections):
                connection.look(now)
            if gone := self._parts.expire(now):
                await self._keep_parts(gone)

    async def _keep_parts(self, gone: Sequence[tuple[Packet, bytes]]) -> None:
        delivery = _Delivery()
        with self._door.under_way() as now:
            for packet, data in gone:
                sensors = self._intake.known.heard_by(PROTOCOL, packet.mn)
                self._refuse(delivery, self._department_of(sensors), incomplete_problem(packet), framed(data), packet)
            await self._not_published(delivery, "several", now, len(gone))

    # Packets

    async def take(self, connection: _Connection, turn: Sequence[Frame | NoFrame]) -> bytes:
        """Judge some frames and return the answers to those that Kafka has."""
        delivery = _Delivery()
        with self._door.under_way() as now:
            for one in turn:
                if connection.strikes >= MOST_STRIKES:
                    break
                if isinstance(one, Frame):
                    self._frame(connection, one.data, delivery, now)
                else:
                    self._no_frame(connection, one, delivery)
            missing = await self._not_published(delivery, connection.address, now, len(turn))
        return b"".join(answer for answer, departments in delivery.answers if not departments & missing)

    async def _not_published(self, delivery: _Delivery, address: str, now: datetime, frames: int) -> AbstractSet[str]:
        """Publish, and return the departments of whose part Kafka has not acknowledged all: one that is stopped holds up no other."""
        attempts = (
            self._intake.publish(Judged(observations, refused=refused), Origin(department, address, MEDIA_TYPE), self._door, now)
            for department, (observations, refused) in delivery.judged.items()
        )
        results = dict(zip(delivery.judged, await asyncio.gather(*attempts, return_exceptions=True), strict=True))
        missing = {department: error for department, error in results.items() if error is not None}
        for error in missing.values():
            if not isinstance(error, Unavailable):
                raise error
        if missing:
            for thing in delivery.told:
                self._told.forget(thing)
            self._unanswered.inc(frames)
            if self._seldom.due(self.monotonic()):
                errors = sorted({str(error) for error in missing.values()})
                _log.warning("not_taken", address=address, frames=frames, errors=errors, hint="devices try again")
        return missing.keys()

    def _no_frame(self, connection: _Connection, refused: NoFrame, delivery: _Delivery) -> None:
        connection.strikes += 1
        mn = next(iter(connection.devices), "")
        if mn and refused.problem is FrameProblem.JUNK and not self._first((mn, "junk"), delivery):
            self._repeated.labels(refused.problem.value).inc()
            return
        sensors = self._intake.known.heard_by(PROTOCOL, mn)
        name = f"{PROTOCOL}:{mn}" if mn else None
        delivery.of(self._department_of(sensors))[1].append(Refused(frame_problem(refused.problem), None, refused.raw, name))

    def _frame(self, connection: _Connection, data: bytes, delivery: _Delivery, now: datetime) -> None:
        connection.strikes += 1  # until it is known to be good
        try:
            packet = decode_data(data)
        except PacketError as error:
            sensors = self._intake.known.heard_by(PROTOCOL, next(iter(connection.devices), ""))
            delivery.of(self._department_of(sensors))[1].append(Refused(packet_problem(error), None, framed(data)))
            return
        sensors = self._intake.known.heard_by(PROTOCOL, packet.mn)
        problem = self._stranger(packet, sensors) or self._other(connection, packet)
        if problem is not None:
            self._refuse(delivery, self._department_of(sensors), problem, framed(data), packet)
            return
        connection.strikes = 0
        self._heard(connection, packet, sensors, now)
        self._packet(packet, sensors, data, delivery, now)

    def _stranger(self, packet: Packet, sensors: Sequence[Known]) -> Problem | None:
        password = self._passwords.get(packet.mn)
        same = password is not None and hmac.compare_digest(password.encode(), packet.pw.encode())
        return stranger(packet, sensors, packet.pw if same else password)

    def _other(self, connection: _Connection, packet: Packet) -> Problem | None:
        """Say whether another connection speaks for the device; else this one does from now on."""
        speaker = self._speakers.get(packet.mn)
        if speaker is None or speaker.connection is connection:
            return None
        older = speaker.connection
        silent_s = self.monotonic() - older.heard_at
        if older.host != connection.host and silent_s < self.settings.takeover_s:
            message = f"the device with MN {packet.mn!r} speaks by another connection, from another address"
            hint = "give each device an MN of its own, and a password (device_passwords); one that has moved is taken after a minute"
            return Problem(code="identity_in_use", where="MN", message=message, hint=hint)
        if connection not in self._connections:
            return None  # it has ended, and what it sent is still in hand: the device speaks by the other already
        self._taken_over.inc()
        _log.warning("taken_over", device=device_of(packet), older=older.address, newer=connection.address, silent_s=round(silent_s, 1))
        older.devices.discard(packet.mn)
        if not older.devices:
            older.close("taken_over")
        return None

    def _heard(self, connection: _Connection, packet: Packet, sensors: Sequence[Known], now: datetime) -> None:
        mn = packet.mn
        if mn not in connection.devices and connection in self._connections:
            self._no_stranger(connection)
            connection.devices.add(mn)
            longest_us = max((known.every_us or 0 for known in sensors), default=0)
            connection.idle_s = max(connection.idle_s, self.settings.idle.total_seconds(), 3 * longest_us / 1e6)
            self._speakers[mn] = _Speaker(connection, Station(mn=mn, st=packet.st, pw=packet.pw, edition=packet.edition))
            self._presence.connected(PROTOCOL, mn, connection.address, now)
        sent = time_of(packet.qn[:14], self._terms.zone)
        skew_s = None if sent is None else (sent - now).total_seconds()
        self._presence.heard(PROTOCOL, mn, now, skew_s)
        limit = self.settings.set_clock
        if limit is not None and skew_s is not None and abs(skew_s) > limit.total_seconds() and self._told.first((mn, "clock"), self.monotonic()):
            self.spawn(self._set_clock(mn, skew_s))

    async def _set_clock(self, mn: str, skew_s: float) -> None:
        speaker = self._speakers.get(mn)
        if speaker is not None:
            result = await self.requests.set_clock(speaker.station, self._clock.now())
            _log.info("clock_set", device=f"{PROTOCOL}:{mn}", skew_s=round(skew_s, 1), ended=result.ended.value, code=result.code)

    def _packet(self, packet: Packet, sensors: Sequence[Known], data: bytes, delivery: _Delivery, now: datetime) -> None:
        kind = kind_of(packet)
        self._packets.labels(kind.value).inc()
        match kind:
            case _ if kind in STATISTICS:
                self._upload(packet, sensors, data, delivery, now)
            case Kind.REQUEST_ANSWER | Kind.RESULT | Kind.NOTICE_ANSWER | Kind.DATA_ANSWER:
                if not self.requests.heard(packet):
                    _log.info("unasked", device=device_of(packet), cn=packet.cn, code=answer_of(packet).code)
            case Kind.HEARTBEAT | Kind.LOGIN | Kind.CLOCK_REQUEST:
                delivery.answer(packet, notice_answer)
                if kind is Kind.CLOCK_REQUEST and self.settings.set_clock is not None and self._told.first((packet.mn, "clock"), self.monotonic()):
                    self.spawn(self._set_clock(packet.mn, 0.0))
            case Kind.BOOT:
                _log.info("booted", device=device_of(packet), said=str(packet.items)[:200])
                delivery.answer(packet, data_answer)
            case _:
                department = self._department_of(sensors)
                self._refuse(delivery, department, command_problem(packet), framed(data), packet)
                if kind is Kind.SITE_INFO:
                    delivery.answer(packet, data_answer, {department})

    def _upload(self, packet: Packet, sensors: Sequence[Known], data: bytes, delivery: _Delivery, now: datetime) -> None:
        joined, gone = self._parts.add(packet, data, self.monotonic())
        department = self._department_of(sensors)
        for part, other in gone:
            self._refuse(delivery, department, incomplete_problem(part), framed(other), part)
        if joined is None:
            return
        heard = hear(joined.packet, sensors, self._terms, now)
        for one in heard.observations:
            delivery.of(one.department)[0].append(one)
        for problem in (*heard.problems, *problems_of(self._first_told(packet.mn, heard.left, delivery))):
            self._refuse(delivery, department, problem, joined.frames, packet)
        more = packet.part is not None and len(joined.data) < packet.part.total
        if heard.acknowledged or (more and not heard.problems):
            for part in joined.answers:
                delivery.answer(part, data_answer, {department, *(one.department for one in heard.observations)})

    def _first(self, thing: object, delivery: _Delivery) -> bool:
        """Say whether a thing is told for the first time within the hour, with this delivery."""
        first = self._told.first(thing, self.monotonic())
        if first:
            delivery.told.append(thing)
        return first

    def _first_told(self, mn: str, left: Sequence[Left], delivery: _Delivery) -> list[Left]:
        """Return what was not told within the hour; the rest is counted."""
        first = [one for one in left if self._first((mn, one.code, one.word), delivery)]
        if len(first) < len(left):
            for one in left:
                if one not in first:
                    self._repeated.labels(one.code).inc()
        return first

    def _refuse(self, delivery: _Delivery, department: str, problem: Problem, item: bytes, packet: Packet) -> None:
        delivery.of(department)[1].append(Refused(problem, event_of(packet), item, device_of(packet)))

    def _department_of(self, sensors: Sequence[Known]) -> str:
        """Return the department of a device: that of its first sensor by id."""
        return min(sensors, key=lambda known: known.sensor.id).department if sensors else self._department

    def _send(self, mn: str, data: bytes) -> bool:
        speaker = self._speakers.get(mn)
        return speaker is not None and speaker.connection.send(data)


class Judge:
    """Judges what was kept again (`services.ingest.refusals.Judge`)."""

    def __init__(self, terms: Terms, passwords: Passwords) -> None:
        self._terms = terms
        self._passwords = passwords

    def __call__(self, body: bytes, content_type: str, department: str, registry: Registry, now: datetime, received: datetime) -> Judged:
        """Return what becomes of it; `now` is our clock's time of receipt."""
        del content_type, received
        observations, refused = judge_again(body, department, registry, now, terms=self._terms, password=self._passwords.get)
        return Judged(observations, refused=refused)


def _keep_alive(connection: _Connection) -> None:
    own: socket.socket | None = connection.transport.get_extra_info("socket") if connection.transport is not None else None
    if own is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
