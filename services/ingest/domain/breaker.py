"""When a way in is stopped for a department, because it refuses all that it took before: what is not taken stays with its sender.

After a bad release of ours a door may refuse everything. Told so, senders would drop what they have: devices would forget, programs go on. So what
would be refused is not taken at all. Who always sent rubbish is refused as ever: nothing was accepted before.

A *run* is a stretch of deliveries of which at no point more than one item in `TAKEN_OF` was accepted; any better delivery ends it. A run of
`ITEMS` items and `LASTING_S` seconds stops the door if, of the last items before it, more were accepted than refused. While it is stopped, a
delivery of which more is accepted is taken, and of the others one a minute, so that a heap of rubbish does not stand in the way for ever. It opens
when, of the last items that came, more could be accepted than not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ITEMS = 500
"""Fewer may be one device, or one batch, that is wrong by itself."""
LASTING_S = 30.0
"""A sender who stumbles mends itself within this; meanwhile what is refused is kept, and can be sent again."""
TAKEN_OF = 100
"""One accepted in so many is chance, such as a retired sensor's namesake; more is a door that works."""
PROBE_S = 60.0
"""How often a delivery is taken from a stopped door though it is refused: it is kept, and shows what is wrong."""
REMEMBERED = 2_000
"""So many items before a run are weighed; older ones count half with each so many that come."""
RECENT = 200
"""The same of a stopped door: it opens with the first good batch, or when most devices are understood again."""


class Admission(StrEnum):
    """Whether a delivery is taken, and why."""

    OPEN = "open"
    PROBE = "probe"
    """The door is stopped, and this one is refused and kept."""
    STOPPED = "stopped"
    """It is not taken, and must not be acknowledged: its sender keeps it."""


class Turn(StrEnum):
    """What a count changed."""

    STOPPED = "stopped"
    REOPENED = "reopened"


@dataclass(slots=True)
class _Tally:
    accepted: int = 0
    refused: int = 0

    @property
    def items(self) -> int:
        return self.accepted + self.refused

    @property
    def hopeless(self) -> bool:
        """Whether no more than one in `TAKEN_OF` was accepted."""
        return self.accepted * TAKEN_OF <= self.items

    def add(self, accepted: int, refused: int, most: int | None = None) -> None:
        """Count items; beyond `most` what was counted before weighs half, as often as it takes."""
        self.accepted += accepted
        self.refused += refused
        while most is not None and self.items > most:
            self.accepted, self.refused = self.accepted // 2, self.refused // 2


class Breaker:
    """One department at one door of this node. Times are monotonic seconds."""

    def __init__(self, accepted: int = 0, refused: int = 0) -> None:
        """Give what became of items before this process began: it is a new release that may refuse what the old one took."""
        self._before = _Tally()
        self._before.add(accepted, refused, REMEMBERED)
        self._run = _Tally()
        self._since = 0.0
        self._probe_at = 0.0
        self.stopped = False

    def admits(self, accepted: int, refused: int, now: float) -> Admission:
        """Decide whether a delivery is taken of which so much would be accepted and refused; whoever takes it counts it."""
        if not self.stopped or not _Tally(accepted, refused).hopeless:
            return Admission.OPEN
        if now < self._probe_at:
            self._run.add(accepted, refused, RECENT)
            return Admission.STOPPED
        self._probe_at = now + PROBE_S
        return Admission.PROBE

    def retry_after(self, now: float) -> float:
        """Return in how many seconds a delivery is taken whatever it is; 0 when it may come now."""
        return max(0.0, self._probe_at - now) if self.stopped else 0.0

    def count(self, accepted: int, refused: int, now: float) -> Turn | None:
        """Count what became of a delivery that was taken; returns what that changed."""
        if not accepted + refused:
            return None
        if self.stopped:
            return self._count_stopped(accepted, refused)
        if not self._run.items:
            self._since = now
        self._run.add(accepted, refused)
        if not self._run.hopeless:
            self._before.add(self._run.accepted, self._run.refused, REMEMBERED)
            self._run = _Tally()
            return None
        if self._run.items < ITEMS or now - self._since < LASTING_S or self._before.accepted <= self._before.refused:
            return None
        self.stopped, self._probe_at, self._run = True, now + PROBE_S, _Tally(0, RECENT)
        return Turn.STOPPED

    def reopen(self) -> None:
        """Let all in again by hand. What was accepted before is forgotten: whoever opened it has seen why, and what comes is refused as ever."""
        self.stopped, self._before, self._run = False, _Tally(), _Tally()

    def _count_stopped(self, accepted: int, refused: int) -> Turn | None:
        self._run.add(accepted, refused, RECENT)
        if self._run.accepted <= self._run.refused:
            return None
        self.stopped, self._run = False, _Tally()
        return Turn.REOPENED
