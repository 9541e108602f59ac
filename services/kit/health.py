"""Whether a service lives, is ready, and since when not. A check must be renewed: silence fails it."""

from __future__ import annotations

from dataclasses import dataclass

from services.kit.clock import Clock


@dataclass
class Check:
    """One thing that must go on; it fails when it is told to, or when nobody has renewed it for `max_age` seconds."""

    name: str
    max_age: float
    vital: bool
    """A vital check that fails means the process should be ended (`/livez`); any check that fails means that it is not ready, but for those
    that are only told: what fails of them stops nothing else that the process does."""
    only_told: bool
    _clock: Clock
    _renewed: float | None = None
    _reason: str = "not started"

    def ok(self) -> None:
        """Renew."""
        self._renewed = self._clock.monotonic()
        self._reason = ""

    def fail(self, reason: str) -> None:
        """Fail until the next `ok`; a vital check goes on counting from its last renewal."""
        self._reason = reason

    @property
    def problem(self) -> str:
        """What is wrong; empty when nothing is."""
        if self._reason:
            return f"{self.name}: {self._reason}"
        return self.silence

    @property
    def silence(self) -> str:
        """What is wrong by silence alone; a check that never began is silent from the start of the process."""
        age = self._clock.monotonic() - (self._renewed or 0.0)
        return f"{self.name}: no sign of life for {age:.0f} s" if age > self.max_age else ""


class Health:
    """The checks of one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checks: list[Check] = []

    def check(self, name: str, *, max_age: float, vital: bool = False, only_told: bool = False) -> Check:
        """Add a check; until its first `ok` the process is not ready. A vital one counts its silence from now."""
        check = Check(name, max_age, vital, only_told, self._clock, _renewed=self._clock.monotonic())
        self._checks.append(check)
        return check

    def dead(self) -> list[str]:
        """Return the problems for which the process should be ended."""
        return [check.silence for check in self._checks if check.vital and check.silence]

    def problems(self) -> dict[str, str]:
        """Return what is wrong by the names of the checks; empty where nothing is."""
        return {check.name: check.problem for check in self._checks}

    def unready(self) -> list[str]:
        """Return the problems for which the process is not ready."""
        return [check.problem for check in self._checks if check.problem and not check.only_told]
