"""One packet (6.6 of the standard): start, control unit, data unit, checksum, end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from protocols.gb26875.errors import BadLength, Incomplete, MissingEnd, NotThisProtocol, Unencodable, WrongChecksum
from protocols.gb26875.fields import pack, time_bytes, time_of

START = b"\x40\x40"
END = b"\x23\x23"
MAX_UNIT = 1024
"""Bytes of a data unit."""
OVERHEAD = 30
"""Bytes of a frame around its data unit."""
MAX_FRAME = MAX_UNIT + OVERHEAD
_HEAD = struct.Struct("<2s H BB 6s 6s 6s H B")
HEAD_BYTES = _HEAD.size
_ADDRESS_BITS = 48


class Command(IntEnum):
    """What a frame wants (table 2). 7-127 are reserved, 128-255 the users' own."""

    CONTROL = 1
    SEND = 2
    CONFIRM = 3
    REQUEST = 4
    ANSWER = 5
    DENY = 6


class Version(NamedTuple):
    """A version: of the protocol (`major` is 1, `minor` is the users' own) or of a software."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole packet.

    serial: counted by who begins an exchange, given back in the reply.
    time: of the sender's own clock, naive; None where the six bytes are no time.
    source, target: addresses as the integers they are on the wire, 48 bits with the low byte first; `f"{frame.source:012x}"` is the hex form.
    command: a `Command`, or the bare number of a reserved or users' own one, which is denied (6.5) unless somebody knows it.
    unit: the data unit, see `unit_of`; empty in a confirmation, a denial and a heartbeat.
    """

    serial: int
    version: Version
    time: datetime | None
    source: int
    target: int
    command: int
    unit: bytes = b""

    @classmethod
    def decode(cls, data: bytes) -> Frame:
        """Return the frame that `data` is, all of it: a datagram, say. Raises a `FrameError`."""
        if not data.startswith(START):
            raise NotThisProtocol("no 40 40 at the start", data[:MAX_FRAME])
        if len(data) < HEAD_BYTES:
            raise Incomplete(f"{len(data)} bytes are no head", data)
        size = size_of(data)
        if size != len(data):
            error = Incomplete if len(data) < size <= MAX_FRAME else BadLength
            raise error(f"the length says {size} bytes in all, here are {len(data)}", data[:MAX_FRAME])
        if size > MAX_FRAME:
            raise BadLength(f"{size - OVERHEAD} bytes of unit are over {MAX_UNIT}", data[:MAX_FRAME])
        if not data.endswith(END):
            raise MissingEnd("no 23 23 where the length says the frame ends", data)
        frame = cls._of(data)
        if (total := checksum(data)) != data[-3]:
            raise WrongChecksum(f"the checksum is {data[-3]:02x}, the bytes sum to {total:02x}", data, frame)
        return frame

    @classmethod
    def _of(cls, data: bytes) -> Frame:
        _, serial, major, minor, time, source, target, length, command = _HEAD.unpack_from(data)
        return cls(
            serial=serial,
            version=Version(major, minor),
            time=time_of(time),
            source=int.from_bytes(source, "little"),
            target=int.from_bytes(target, "little"),
            command=Command(command) if command in _COMMANDS else command,
            unit=data[HEAD_BYTES : HEAD_BYTES + length],
        )

    def encode(self) -> bytes:
        """Return the packet; a time that is none is six zeros. Raises `Unencodable`."""
        if len(self.unit) > MAX_UNIT:
            raise Unencodable(f"a unit of {len(self.unit)} bytes is over {MAX_UNIT}")
        ends = (_address_bytes(self.source), _address_bytes(self.target))
        head = pack(_HEAD.format, START, self.serial, *self.version, time_bytes(self.time), *ends, len(self.unit), self.command)
        body = head + self.unit
        return body + bytes((sum(body[len(START) :]) & 0xFF,)) + END


_COMMANDS = frozenset(Command)


def size_of(head: bytes | bytearray, at: int = 0) -> int:
    """Return how many bytes the frame that begins at `at` has by its length field; its head must be there."""
    length: int = _HEAD.unpack_from(head, at)[-2]
    return length + OVERHEAD


def checksum(data: bytes) -> int:
    """Return the sum that a whole frame should have: of its third byte to the end of its unit, modulo 256."""
    return sum(data[len(START) : -len(END) - 1]) & 0xFF


def _address_bytes(address: int) -> bytes:
    if address < 0 or address.bit_length() > _ADDRESS_BITS:
        raise Unencodable(f"{address} is no address of six bytes")
    return address.to_bytes(6, "little")
