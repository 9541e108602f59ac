"""Times and texts as the packets hold them (8.2.2, 8.2.1.2), and numbers packed with a typed error."""

from __future__ import annotations

import codecs
import struct
from datetime import datetime

from protocols.gb26875.errors import Unencodable

TEXT_BYTES = 31
"""The length of a component's text."""
_CENTURY = 2000
_YEARS = 100
_decoder = codecs.getincrementaldecoder("gb18030")


def time_of(data: bytes) -> datetime | None:
    """Return the time of the device's own clock (second, minute, hour, day, month, year from 2000), or None where the bytes are no time."""
    second, minute, hour, day, month, year = data
    try:
        return datetime(_CENTURY + year, month, day, hour, minute, second) if year < _YEARS else None  # noqa: DTZ001 - the zone is not in the packet
    except ValueError:
        return None


def time_bytes(time: datetime | None) -> bytes:
    """Return the six bytes of a naive time, to the second; none is six zeros, which are no time. Raises `Unencodable`."""
    if time is None:
        return bytes(6)
    if time.tzinfo is not None:
        raise Unencodable(f"{time} has a time zone; convert it to the device's clock and remove the zone")
    if not 0 <= time.year - _CENTURY < _YEARS:
        raise Unencodable(f"{time} is not between 2000 and 2099")
    return bytes((time.second, time.minute, time.hour, time.day, time.month, time.year - _CENTURY))


def text_of(data: bytes) -> str:
    """Return GB18030 text up to its padding (zeros or spaces, both are seen). A last character that was cut is left out, a bad one is U+FFFD."""
    return _decoder("replace").decode(data.partition(b"\0")[0]).rstrip()


def text_bytes(text: str, size: int) -> bytes:
    """Return at most `size` bytes of GB18030, ending with a whole character. What GB18030 has not becomes `?`."""
    data = text.encode("gb18030", "replace")[:size]
    return _decoder().decode(data).encode("gb18030")


def pack(form: str, *values: int | bytes) -> bytes:
    """Pack as `struct` does. Raises `Unencodable` where a number is out of its field."""
    try:
        return struct.pack(form, *values)
    except struct.error as error:
        raise Unencodable(f"{values} does not fit: {error}") from error
