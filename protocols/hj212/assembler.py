"""Messages of several packets, joined."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from protocols.hj212.packet import Packet

_OVERHEAD: Final = 512
"""Bytes that a held packet is counted as besides its text, so that many empty ones are not free."""

Key = tuple[str, str, str]


class Lack(StrEnum):
    """Why a message stays incomplete."""

    TIMED_OUT = "timed_out"
    """No further part came in time."""
    CROWDED = "crowded"
    """It waited longest when the bound on what is held was reached."""
    SUPERSEDED = "superseded"
    """A part with its names came that contradicts it: another text under the same number, or another total."""
    CLOSED = "closed"
    """The assembler was closed."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A message that was given up."""

    lack: Lack
    total: int
    parts: tuple[Packet, ...]
    """What came of it, by number; at least one."""

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers that did not come."""
        came = {packet.part.number for packet in self.parts if packet.part}
        return tuple(number for number in range(1, self.total + 1) if number not in came)


@dataclass(slots=True)
class _Message:
    total: int
    touched: float = 0.0
    parts: dict[int, Packet] = field(default_factory=dict)
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Joined:
    at: float
    prints: dict[int, int]
    """Hashes of the parts by number: a late duplicate is known by them, and a device that uses its names again is not taken for one."""


class Assembler:
    """Joins the parts of messages by (MN, CN, QN), in whatever order they come; duplicates are ignored, no packet is given out twice.

    At most `max_messages` wait, of at most `max_bytes` together; what waited longest gives way. A message times out `timeout` seconds
    after its latest part. Time is whatever steady clock the caller passes as `now`. Not for concurrent use.
    """

    def __init__(self, *, timeout: float = 60.0, max_messages: int = 64, max_bytes: int = 256 * 1024) -> None:
        # Both in the order of their latest part.
        self._waiting: dict[Key, _Message] = {}
        self._joined: dict[Key, _Joined] = {}
        self._size = 0
        self._timeout = timeout
        self._max_messages = max_messages
        self._max_bytes = max_bytes

    @property
    def waiting(self) -> int:
        """How many messages wait for parts."""
        return len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes that they are counted as."""
        return self._size

    def add(self, packet: Packet, *, now: float) -> list[Packet | Incomplete]:
        """What `packet` completes and what is given up by now. A packet of one part completes itself and is given out as it is."""
        given: list[Packet | Incomplete] = [*self.expire(now=now)]
        part = packet.part
        if part is None or part.total == 1:
            return [*given, packet]
        key = _key(packet)
        joined = self._joined.get(key)
        if joined and joined.prints.get(part.number) == hash(packet):
            return given
        if message := self._waiting.get(key):
            if message.parts.get(part.number) == packet:
                return given
            if message.total != part.total or part.number in message.parts:
                given.append(self._give_up(key, Lack.SUPERSEDED))
        if whole := self._hold(key, packet, number=part.number, total=part.total, now=now):
            return [*given, whole]
        return given + self._make_room()

    def expire(self, *, now: float) -> list[Incomplete]:
        """The messages whose time is over."""
        self._joined = {key: joined for key, joined in self._joined.items() if now - joined.at < self._timeout}
        late = [key for key, message in self._waiting.items() if now - message.touched >= self._timeout]
        return [self._give_up(key, Lack.TIMED_OUT) for key in late]

    def close(self) -> list[Incomplete]:
        """All that waits. The assembler is empty then."""
        self._joined.clear()
        return [self._give_up(key, Lack.CLOSED) for key in list(self._waiting)]

    def _hold(self, key: Key, packet: Packet, *, number: int, total: int, now: float) -> Packet | None:
        """Keeps a new part; the joined packet if it was the last."""
        message = self._waiting.pop(key, None) or _Message(total)
        self._waiting[key] = message
        message.parts[number] = packet
        message.touched = now
        size = _size(packet)
        message.size += size
        self._size += size
        if len(message.parts) < total:
            return None
        self._forget(key)
        self._joined.pop(key, None)
        self._joined[key] = _Joined(at=now, prints={known: hash(part) for known, part in message.parts.items()})
        while len(self._joined) > self._max_messages:
            del self._joined[next(iter(self._joined))]
        return _joined(message)

    def _make_room(self) -> list[Packet | Incomplete]:
        given: list[Packet | Incomplete] = []
        while len(self._waiting) > self._max_messages or self._size > self._max_bytes:
            given.append(self._give_up(next(iter(self._waiting)), Lack.CROWDED))
        return given

    def _give_up(self, key: Key, lack: Lack) -> Incomplete:
        message = self._forget(key)
        return Incomplete(lack, message.total, tuple(part for _, part in sorted(message.parts.items())))

    def _forget(self, key: Key) -> _Message:
        message = self._waiting.pop(key)
        self._size -= message.size
        return message


def _key(packet: Packet) -> Key:
    # 2005 names the request in CP.
    return packet.mn, packet.cn, packet.qn or packet.value("QN") or ""


def _size(packet: Packet) -> int:
    return _OVERHEAD + sum(len(key) + len(value) + 2 for item in packet.items for key, value in item)


def _joined(message: _Message) -> Packet:
    """The first part's head with the items of all; what the later parts repeat of the first (DataTime, QN) stands once."""
    first, *later = (part for _, part in sorted(message.parts.items()))
    known = set(first.items)
    items = first.items + tuple(item for part in later for item in part.items if item not in known)
    return replace(first, part=None, flag=replace(first.flag, numbered=False) if first.flag else None, items=items)
