"""Frames in a stream: `##`, four digits of length, the data part, four hexadecimal digits of checksum, CR LF."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocols.hj212.crc import crc16
from protocols.hj212.errors import FrameError, FrameProblem

MAX_DATA: Final = 1024
"""Bytes of a data part, all editions. Devices that send more exist: a caller may allow up to 9999."""

_HEAD: Final = len("##0000")
_TAIL: Final = len("1C80\r\n")
_END: Final = b"\r\n"
_mark = re.compile(rb"##[^#]")
"""Where a frame may begin: of a longer run of `#`, at its last two."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole frame whose length and checksum are right."""

    data: bytes
    """The data part, without length and checksum."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes of the stream that are no frame."""

    problem: FrameProblem
    raw: bytes
    """All of them, in the order received; what exceeds a frame's size comes as further refusals."""


class Framer:
    """Finds frames in a stream that is cut anywhere; does no I/O and raises nothing, whatever the bytes.

    Every byte fed comes out once, in a frame or in a refusal, and the way the stream was cut changes neither. After a fault it goes on at
    the next `##`, also where that lies within the length that a faulty frame claims; only a frame that ends as its length says and has a
    wrong checksum is refused as a whole. It holds `held` bytes, always less than one longest frame, and its work is linear in the bytes
    fed. Junk is given out when a frame may begin behind it, when it fills a frame's size, or by `close`; an idle connection with a frame
    begun is its caller's to time out. Not for concurrent use: one per connection.
    """

    def __init__(self, *, max_data: int = MAX_DATA) -> None:
        self._held = bytearray()
        self._searched = 0  # behind the first byte held, no mark begins before this place
        self._max_data = max_data

    @property
    def held(self) -> int:
        """How many bytes wait for more."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame | Refused]:
        """What the stream holds up to here and was not given out yet."""
        self._held += data
        found: list[Frame | Refused] = []
        start = 0
        while (cut := self._cut(start)) is not None:
            item, start = cut
            found.append(item)
        self._drop(start)
        return found

    def close(self) -> list[Frame | Refused]:
        """What was held, when no more will come. The framer is empty then and can begin another stream."""
        found: list[Frame | Refused] = []
        while self._held:
            begun = self._held.startswith(b"##")
            inner = self._held.find(b"##", 2) if begun else -1
            end = inner if inner >= 0 else len(self._held)
            found.append(Refused(FrameProblem.UNTERMINATED if begun else FrameProblem.JUNK, bytes(self._held[:end])))
            self._drop(end)
            found += self.feed(b"")
        return found

    def _drop(self, size: int) -> None:
        del self._held[:size]
        self._searched = max(self._searched - size, 0)

    def _cut(self, start: int) -> tuple[Frame | Refused, int] | None:
        """The first thing at `start` and where it ends, or `None` where more bytes decide."""
        if not _mark.match(self._held, start):
            return self._run(FrameProblem.JUNK, start, start)
        digits = self._held[start + 2 : start + _HEAD]
        if not digits.isdigit():
            return self._run(FrameProblem.BAD_LENGTH, start, start + 2)
        if len(digits) < _HEAD - 2:
            return None
        if int(digits) > self._max_data:
            return self._run(FrameProblem.TOO_LONG, start, start + 2)
        return self._frame(start, start + _HEAD + int(digits) + _TAIL)

    def _run(self, problem: FrameProblem, start: int, behind: int) -> tuple[Refused, int] | None:
        """The bytes up to the next mark, or up to the limit; `None` while neither is reached."""
        mark = _mark.search(self._held, max(behind, self._searched))
        # Up to two trailing `#` may begin the next mark.
        sure = mark.start() if mark else len(self._held) - (2 if self._held.endswith(b"##") else self._held.endswith(b"#"))
        self._searched = max(self._searched, sure)
        end = min(sure, start + self._max_data)
        if end <= start or (mark is None and end - start < self._max_data):
            return None
        return Refused(problem, bytes(self._held[start:end])), end

    def _frame(self, start: int, end: int) -> tuple[Frame | Refused, int] | None:
        """The frame that claims the bytes from `start` to `end`."""
        early = self._held.find(b"\r\n##", start + _HEAD, end)
        if early >= 0:
            # The next frame begins inside of this one: it ended before its length said.
            return self._refused(FrameProblem.UNTERMINATED, start, early + len(_END))
        if len(self._held) < end:
            return None
        raw = bytes(self._held[start:end])
        if not raw.endswith(_END):
            inner = raw.find(b"##", 2)
            return self._refused(FrameProblem.UNTERMINATED, start, start + (inner if inner >= 0 else len(raw.rstrip(b"#"))))
        data = raw[_HEAD:-_TAIL]
        if raw[-_TAIL : -len(_END)].upper() != b"%04X" % crc16(data):
            return self._refused(FrameProblem.BAD_CRC, start, end)
        return Frame(data), end

    def _refused(self, problem: FrameProblem, start: int, end: int) -> tuple[Refused, int]:
        return Refused(problem, bytes(self._held[start:end])), end


def framed(data: bytes) -> bytes:
    """The whole frame of a data part of at most 9999 bytes."""
    return b"##%04d%s%04X\r\n" % (len(data), data, crc16(data))


def unframed(raw: bytes, *, max_data: int = MAX_DATA) -> bytes:
    """The data part of exactly one whole frame; raises `FrameError`."""
    framer = Framer(max_data=max_data)
    found = framer.feed(raw) + framer.close()
    for item in found:
        if isinstance(item, Refused):
            raise FrameError(item.problem)
    if len(found) != 1 or not isinstance(found[0], Frame):
        raise FrameError(FrameProblem.JUNK)
    return found[0].data
