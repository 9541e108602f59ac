"""What every kind that makes readings into samples offers."""

from __future__ import annotations

from services.rules.domain.ring import Ring


class Kind:
    """See `services.rules.domain.kinds`."""

    lookback = 0
    """How long before a sample the readings are that it depends on, in microseconds."""
    at_readings = True
    """Whether there are samples at readings."""
    gridded = False
    """Whether there are samples at grid times, which exist once the horizon is there."""
    skips = False
    """Whether a grid time without readings has no sample."""
    window = 0
    """What evidence tells as the window, in microseconds; 0 for none."""

    def reaches(self, end: int) -> int:
        """Return the last time at which a sample may depend on a reading of this end."""
        return end

    def number(self, readings: Ring, at: int, birth: int) -> float | None:
        """Return the sample at the reading with this place in the ring; None when there is none."""
        raise NotImplementedError

    def numbers(self, readings: Ring, places: range, birth: int) -> list[tuple[int, float]]:
        """Return (end, number) of the samples at some readings in a row."""
        found = ((readings.ends[at], self.number(readings, at, birth)) for at in places)
        return [(end, number) for end, number in found if number is not None]

    def next_grid(self, after: int) -> int:
        """Return the first grid time later than a time."""
        raise NotImplementedError

    def grid_number(self, readings: Ring, grid: int, birth: int) -> float | None:
        """Return the sample at a grid time; None when there is none."""
        raise NotImplementedError
