"""The TCP connection of one device: it comes again when it is lost, keeps what was not acknowledged, and says it again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from feeds.field.faults import Luck
from feeds.publisher import delay
from schemas.observation import Measurement

Clock = Callable[[], datetime]

ANSWER_S = 10.0
TRIES = 3
"""Both protocols: repeat after 10 s, three times in all."""
CONNECT_S = 5.0
CLOSE_S = 0.5
LISTEN_BYTES = 4_096
KEPT = 360
"""Readings that a device keeps: three hours at two a minute, 0.2 MB. Of more the oldest are lost, and counted."""
GIVE_UP = 10
"""So many times three tries are enough for a reading: the platform wants none of it. While it wants nothing at all, each has its turn seldom."""
AWAY_S = 1.0
"""How often a device without a network looks for it."""


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes that want an answer; `key` is what the answer names."""

    key: Hashable
    data: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The platform has it."""

    key: Hashable


@dataclass(frozen=True, slots=True)
class Denied:
    """The platform could not read it."""

    key: Hashable


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send back at once."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Later:
    """A message of the device's own after some seconds, made when they are over."""

    after_s: float
    make: Callable[[datetime], Message]


Heard = Answered | Denied | Reply | Later


class Device(Protocol):
    """What is at the device's end of a line, without I/O. Times are ours; its own clock may differ."""

    idle_s: float | None
    """Says that it is there when it has said nothing for so long; None for never."""

    def messages(self, measurement: Measurement, now: datetime) -> Sequence[Message]:
        """Return how it says a reading at `now`: none where it has no words for it."""

    def alive(self, now: datetime) -> Message | None:
        """Return how it says that it is there."""

    def hear(self, data: bytes, now: datetime) -> Iterable[Heard]:
        """Return what to do about bytes that came. A connection's first call has none: it begins a new stream."""

    def damaged(self, data: bytes) -> bytes:
        """Return a message with a wrong checksum."""


@dataclass(slots=True)
class Counts:
    """What became of the messages of all lines."""

    acknowledged: int = 0
    repeated: int = 0
    """Tries after the first, of messages that were not answered in time or denied."""
    lost: int = 0
    """Readings that were kept no longer."""
    unsayable: int = 0
    """Readings with a value for which the protocol has no place."""
    connections: int = 0
    cut: int = 0
    """Connections that broke on purpose."""
    damaged: int = 0
    duplicated: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a line waits."""

    answer_s: float = ANSWER_S
    first_delay_s: float = 0.2


class _Lost(Exception):
    """The connection is of no more use."""


@dataclass(slots=True)
class _Awaited:
    key: Hashable
    answered: asyncio.Future[bool]


@dataclass(slots=True)
class _Kept:
    measurement: Measurement
    in_vain: int = 0


@dataclass(slots=True)
class Line:
    """One device and its connection. `offer` never waits: of more than `kept` readings the oldest is lost and counted.

    Readings are said one after the other, each until it is acknowledged. A reading that was under way when the connection broke is said again on the
    next one; one that was not answered goes to the end of the queue, so that it holds up no other, and is lost after `GIVE_UP` times.
    For one event loop; `run` by one task, until it is cancelled.
    """

    host: str
    port: int
    device: Device
    luck: Luck
    clock: Clock
    counts: Counts
    timing: Timing = field(default_factory=Timing)
    kept: int = KEPT
    _store: deque[_Kept] = field(default_factory=deque)
    _own: deque[Message] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _awaited: _Awaited | None = None
    _number: int = 0
    _acknowledged: int = 0

    @property
    def unsent(self) -> int:
        """Readings that are not acknowledged."""
        return len(self._store)

    def offer(self, measurement: Measurement) -> None:
        """Take a reading to be said."""
        if len(self._store) >= self.kept:
            self._store.popleft()
            self.counts.lost += 1
        self._store.append(_Kept(measurement))
        self._arrived.set()

    async def run(self) -> None:
        """Speak until cancelled."""
        failures = 0
        while True:
            while self.luck.away(self.clock()):
                await asyncio.sleep(AWAY_S)
            before = self._acknowledged
            try:
                await self._converse()
            except (_Lost, OSError):
                # Somebody who only takes the connection is not asked again at once.
                failures = 1 if self._acknowledged > before else failures + 1
            await asyncio.sleep(delay(failures, self.timing.first_delay_s))

    async def _converse(self) -> None:
        """Connect, speak and listen until the connection breaks, which is raised."""
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(self.host, self.port)
        self.counts.connections += 1
        self._own.clear()
        tasks: set[asyncio.Task[None]] = set()
        # No task group: that of Python 3.11 and 3.12 forgets that it is cancelled when a task of it fails at that moment.
        try:
            tasks |= {asyncio.create_task(self._listen(reader, writer, tasks)), asyncio.create_task(self._speak(writer))}
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            try:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                await _close(writer)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tasks: set[asyncio.Task[None]]) -> None:
        data = b""
        while True:
            for heard in self.device.hear(data, self.clock()):
                match heard:
                    case Answered(key) | Denied(key):
                        if self._awaited is not None and self._awaited.key == key and not self._awaited.answered.done():
                            self._awaited.answered.set_result(isinstance(heard, Answered))
                    case Reply(reply):
                        writer.write(reply)
                    case Later():
                        tasks.add(later := asyncio.create_task(self._later(heard)))
                        later.add_done_callback(tasks.discard)
            if not (data := await reader.read(LISTEN_BYTES)):
                raise _Lost

    async def _later(self, later: Later) -> None:
        await asyncio.sleep(later.after_s)
        self._own.append(later.make(self.clock()))
        self._arrived.set()

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await self._something()
            now = self.clock()
            self._break_on_purpose(now)
            if self._own:
                await self._say(self._own.popleft(), writer)
            elif self._store:
                await self._say_reading(self._store[0], now, writer)
            elif (alive := self.device.alive(now)) is not None:
                await self._say(alive, writer)

    async def _say_reading(self, kept: _Kept, now: datetime, writer: asyncio.StreamWriter) -> None:
        try:
            for message in self._messages(kept.measurement, now):
                await self._say(message, writer)
        except _Lost:
            kept.in_vain += 1
            if self._done_with(kept):
                if kept.in_vain < GIVE_UP:
                    self._store.append(kept)
                else:
                    self.counts.lost += 1
            raise
        self._done_with(kept)

    def _done_with(self, kept: _Kept) -> bool:
        """Take it from the front; say whether it was there: a full store may have lost it meanwhile."""
        if there := bool(self._store) and self._store[0] is kept:
            self._store.popleft()
        return there

    def _messages(self, measurement: Measurement, now: datetime) -> Sequence[Message]:
        try:
            return self.device.messages(measurement, now)
        except ValueError:
            # A value that has no place in the protocol harms no other.
            self.counts.unsayable += 1
            return ()

    async def _something(self) -> None:
        """Return when there is something to say, or nothing was for as long as the device may be silent."""
        self._arrived.clear()
        if self._own or self._store:
            return
        try:
            async with asyncio.timeout(self.device.idle_s):
                await self._arrived.wait()
        except TimeoutError:
            return

    def _break_on_purpose(self, now: datetime) -> None:
        if self.luck.cut(now) or self.luck.away(now):
            self.counts.cut += 1
            raise _Lost

    async def _say(self, message: Message, writer: asyncio.StreamWriter) -> None:
        """Send until it is acknowledged; raises `_Lost` when it never is."""
        self._number += 1
        damaged, duplicate = self.luck.damaged(self._number), self.luck.duplicate(self._number)
        self.counts.damaged += damaged
        self.counts.duplicated += duplicate
        for attempt in range(TRIES):
            self.counts.repeated += attempt > 0
            data = self.device.damaged(message.data) if damaged and not attempt else message.data
            if await self._exchange(message.key, data, writer):
                self.counts.acknowledged += 1
                self._acknowledged += 1
                if duplicate:
                    writer.write(message.data)
                return
        raise _Lost

    async def _exchange(self, key: Hashable, data: bytes, writer: asyncio.StreamWriter) -> bool:
        """Send once; say whether it was acknowledged in time."""
        self._awaited = _Awaited(key, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(self.timing.answer_s):
                writer.write(data)
                await writer.drain()
                return await self._awaited.answered
        except TimeoutError:
            return False
        finally:
            self._awaited = None


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        async with asyncio.timeout(CLOSE_S):
            await writer.wait_closed()
