"""Readings or samples of a stretch of time, in order of their ends: 16 bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Any

ROOM = 72
"""Readings for which a column takes room once it has `FEW`: an hour of one a minute, and what waits to be forgotten."""
FEW = 32
_STEP = 15
"""CPython's array keeps its room when it becomes shorter by no more than this at once."""


def _roomy(column: Any) -> Any:
    """Return an array's equal with room for `ROOM` items.

    An array that grows as it likes to leaves, on its way from 32 items to 64, a hole of each size that nothing else of so many sensors fills:
    half as much memory again. Where a Python does not keep the room, it costs only that.
    """
    room = column + array(column.typecode, bytes(column.itemsize * max(0, ROOM - len(column))))
    while len(room) > len(column):
        del room[max(len(column), len(room) - _STEP) :]
    return room


class Ring:
    """Two columns: `ends` in microseconds, ascending and distinct, and `values`: numbers, or anything in a list."""

    __slots__ = ("ends", "values")
    base = -(1 << 62)
    """End of the newest reading that was dropped though it might be asked for: of what lies at it or before, nothing is said."""

    def __init__(self, ends: Any = None, values: Any = None) -> None:
        self.ends: Any = array("q") if ends is None else ends
        self.values: Any = array("d") if values is None else values

    def put(self, end: int, value: Any) -> None:
        """Keep a value; the same end replaces."""
        ends = self.ends
        if not ends or end > ends[-1]:
            ends.append(end)
            self.values.append(value)
            return
        at = bisect_left(ends, end)
        if ends[at] == end:
            self.values[at] = value
        else:
            ends.insert(at, end)
            self.values.insert(at, value)

    def get(self, end: int) -> Any:
        """Return the value of an end, None when there is none."""
        at = bisect_left(self.ends, end)
        return self.values[at] if at < len(self.ends) and self.ends[at] == end else None

    def latest(self, until: int, after: int) -> Any:
        """Return the newest value with `after < end <= until`, None when there is none."""
        at = bisect_right(self.ends, until) - 1
        return self.values[at] if at >= 0 and self.ends[at] > after else None

    def between(self, after: int, until: int) -> Any:
        """Return the values with `after < end <= until`."""
        return self.values[bisect_right(self.ends, after) : bisect_right(self.ends, until)]

    def since(self, first: int) -> list[tuple[int, Any]]:
        """Return (end, value) of all with `end >= first`."""
        at = bisect_left(self.ends, first)
        return list(zip(self.ends[at:], self.values[at:], strict=True))

    def places(self, first: int, last: int) -> range:
        """Return the places of the values with `first <= end <= last`."""
        return range(bisect_left(self.ends, first), bisect_right(self.ends, last))

    def widen(self) -> None:
        """Take room at once for what is to come."""
        self.ends, self.values = _roomy(self.ends), _roomy(self.values)

    def remove(self, end: int) -> None:
        """Forget the value of an end, if there is one."""
        at = bisect_left(self.ends, end)
        if at < len(self.ends) and self.ends[at] == end:
            del self.ends[at]
            del self.values[at]

    def cut(self, first: int) -> None:
        """Forget all with `end < first`."""
        at = bisect_left(self.ends, first)
        if at:
            del self.ends[:at]
            del self.values[:at]

    def drop(self, first: int) -> None:
        """Forget all with `end >= first`."""
        at = bisect_left(self.ends, first)
        del self.ends[at:]
        del self.values[at:]
