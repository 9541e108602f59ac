"""How many events a department may send: a token bucket by the clock that is given."""

from __future__ import annotations


class Bucket:
    """Fills with `per_s` events a second up to `burst`. Whoever is let in is charged what it turns out to be: that may run into debt."""

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        """`now` and all times here are seconds of one clock that never goes back."""
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at = now

    def wait(self, now: float) -> float:
        """Return the seconds until somebody is let in; 0 when that is now."""
        self._fill(now)
        # A moment past the debt's end, lest a sum that came out just below zero turns away who waited as told.
        return 0.0 if self._left > 0 else (-self._left + _MOMENT) / self._per_s

    def charge(self, events: int, now: float) -> None:
        """Take what somebody sent."""
        self._fill(now)
        self._left -= events

    def _fill(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now


_MOMENT = 1e-3
"""Of an event."""
