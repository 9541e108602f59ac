"""What becomes of a record."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from services.rules.domain.revision import Output


class Reason(StrEnum):
    """What became of a record; of an observation the most telling of its values'."""

    EVALUATED = "evaluated"
    NOT_WATCHED = "not_watched"
    UNKNOWN_SENSOR = "unknown_sensor"
    ELSEWHERE = "elsewhere"
    """Under another street than the sensor's: it was on its way while the sensor moved, and no later reading would follow it here."""
    REPEATED = "repeated"
    LATE = "late"
    """Earlier than the newest of its series: taken at its place, and what follows from it is told as a revision."""
    TOO_LATE = "too_late"
    CORRECTED = "corrected"
    """The same end with another value: the newer record wins."""
    NOT_GOOD = "not_good"
    TICK = "tick"
    LATE_TICK = "late_tick"
    APPLIED = "applied"
    OLD_VERSION = "old_version"
    BAD_CONTROL = "bad_control"
    UNDECODABLE = "undecodable"
    FAILED = "failed"
    """`step` raised, which is a fault of ours: told loudly by its caller, and the next record counts."""


Outcome = tuple[Reason, Sequence[Output]]
NOTHING: Sequence[Output] = ()
