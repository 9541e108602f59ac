"""The exceptions of the codec. Reading a stream or a unit returns them as values; only `Frame.decode` and what encodes raise them.

Gb26875Error
├── FrameError           bytes that are no frame: `data`
│   ├── NotThisProtocol  bytes outside of any frame
│   ├── BadLength        the length is over 1024, or not that of the bytes given
│   ├── MissingEnd       no `23 23` where the length says the frame ends
│   ├── WrongChecksum    the sum is another: `frame`, as far as it can be believed
│   └── Incomplete       the bytes end inside a frame
├── UnitError            a data unit that does not fit its type: `index` of the object, `offset` of the byte
│   ├── Cut              the unit ends inside an object
│   └── Surplus          bytes follow the last object
└── Unencodable          a value that has no place in the packet
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.gb26875.frame import Frame


class Gb26875Error(ValueError):
    """Anything the codec reports or raises."""


class FrameError(Gb26875Error):
    """Bytes that are no frame. `data` is at most one frame long (1054 bytes)."""

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class NotThisProtocol(FrameError):
    """Bytes outside of any frame."""


class BadLength(FrameError):
    """The length is over 1024, or not that of the bytes given."""


class MissingEnd(FrameError):
    """No `23 23` where the length says the frame ends."""


class WrongChecksum(FrameError):
    """The sum is another. `frame` is what the bytes say, for a denial (6.5 of the standard) or a log, never to act on."""

    def __init__(self, message: str, data: bytes, frame: Frame) -> None:
        super().__init__(message, data)
        self.frame = frame


class Incomplete(FrameError):
    """The bytes end inside a frame."""


class UnitError(Gb26875Error):
    """A data unit that does not fit its type. `index` counts objects and `offset` bytes of the unit, both from 0."""

    def __init__(self, message: str, index: int, offset: int) -> None:
        super().__init__(f"object {index}, byte {offset}: {message}")
        self.index = index
        self.offset = offset


class Cut(UnitError):
    """The unit ends inside an object."""


class Surplus(UnitError):
    """Bytes follow the last object."""


class Unencodable(Gb26875Error):
    """A value that has no place in the packet: too large, too long, before 2000 or after 2099, or with a time zone."""
