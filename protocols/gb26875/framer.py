"""Frames out of a stream of bytes, with no I/O."""

from __future__ import annotations

from protocols.gb26875.errors import BadLength, FrameError, Incomplete, MissingEnd, NotThisProtocol
from protocols.gb26875.frame import HEAD_BYTES, MAX_FRAME, MAX_UNIT, START, Frame, size_of

_STRAY = 1024
"""Bytes outside of frames are reported in pieces of this many, so that a talkative stranger costs no memory."""


class Framer:
    """Takes a stream in any cut and gives back its frames and what was wrong between them, in order.

    What it gives does not depend on the cut. Every byte is in exactly one frame or in the `data` of exactly one error. After an error it looks for
    a frame from the next `40 40` on, also inside the bytes that failed. At most `BOUND` bytes are held; time is linear.

    A `40 40` with a wrong but possible length holds the line until that many bytes have come. So call `flush` when the line has been silent for the
    time-out of the exchange (at most 10 s by 6.5) or has ended: frames that were held up come out.

    One stream has one framer; it is not made for concurrent calls.
    """

    BOUND = MAX_FRAME + _STRAY

    def __init__(self) -> None:
        self._held = bytearray()
        self._stray = bytearray()

    @property
    def held(self) -> int:
        """How many bytes wait for more."""
        return len(self._held) + len(self._stray)

    def feed(self, data: bytes) -> list[Frame | FrameError]:
        """Return what `data` completes."""
        self._held += data
        return self._take(ended=False)

    def flush(self) -> list[Frame | FrameError]:
        """Return what can be made of all that is held; nothing is held afterwards."""
        return self._take(ended=True)

    def _take(self, *, ended: bool) -> list[Frame | FrameError]:
        held, found, at = self._held, list[Frame | FrameError](), 0
        while (start := held.find(START, at)) >= 0:
            item, after = _read(held, start, ended=ended)
            # An `@` too many before a start: told with what is outside of frames, or a row of them would be as many errors.
            row = isinstance(item, (BadLength, MissingEnd, Incomplete)) and after == start + 1
            found += self._strays(at, after if row else start, closed=item is not None and not row)
            at = after
            if item is None:
                break
            if not row:
                found.append(item)
        else:
            half = held.endswith(START[:1]) and not ended
            end = max(at, len(held) - half)
            found += self._strays(at, end, closed=ended)
            at = end
        del held[:at]
        return found

    def _strays(self, at: int, end: int, *, closed: bool) -> list[FrameError]:
        """Return reports of bytes outside of frames; a piece that is not full waits unless it is `closed`."""
        stray, found = self._stray, list[FrameError]()
        stray += self._held[at:end]
        while len(stray) >= _STRAY or (closed and stray):
            found.append(NotThisProtocol("outside of any frame", bytes(stray[:_STRAY])))
            del stray[:_STRAY]
        return found


def _read(held: bytearray, start: int, *, ended: bool) -> tuple[Frame | FrameError | None, int]:
    """Return what begins at `start` and where to go on; None where more bytes are needed."""
    have = len(held) - start
    size = size_of(held, start) if have >= HEAD_BYTES else MAX_FRAME
    if size > MAX_FRAME:
        dropped = _until_next(held, start, HEAD_BYTES)
        return BadLength(f"{size - MAX_FRAME + MAX_UNIT} bytes of unit are over {MAX_UNIT}", dropped), start + len(dropped)
    if have < HEAD_BYTES or have < size:
        return _unfinished(held, start) if ended else (None, start)
    try:
        return Frame.decode(bytes(held[start : start + size])), start + size
    except FrameError as error:
        error.data = _until_next(held, start, size)
        return error, start + len(error.data)


def _until_next(held: bytearray, start: int, size: int) -> bytes:
    """Return the bytes of a failed frame before the next possible start in it; its last byte may be the half of one."""
    after = held.find(START, start + 1, start + size)
    if after < 0:
        after = start + size - (held[start + size - 1] == START[0])
    return bytes(held[start:after])


def _unfinished(held: bytearray, start: int) -> tuple[FrameError, int]:
    after = held.find(START, start + 1)
    after = after if after >= 0 else len(held)
    return Incomplete("the bytes end inside a frame", bytes(held[start:after])), after
