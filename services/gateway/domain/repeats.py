"""Refusals that come again and again: the first is told, those like it are counted, so that nobody can flood the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

WINDOW_S = 60.0
"""For so long after the first the like of it is counted; then the count is told."""
OF_ADDRESS = 30
"""Different refusals of one address told within a window; more are counted together, whoever tries all doors."""
IN_ALL = 10_000
"""Different refusals remembered; more are counted together, wherever they come from."""
VARIOUS = "various"


@dataclass(frozen=True)
class Act:
    """What somebody did, or was refused."""

    actor: str
    action: str
    subject: str
    address: str
    region: str | None = None
    """None when it is of no region: then it is the city's."""
    reason: str | None = None
    detail: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass
class _Run:
    act: Act
    since: float
    told: bool
    counted: int = 0


class Repeats:
    """What was told lately. Time is in monotonic seconds."""

    def __init__(self) -> None:
        self._runs: dict[Act, _Run] = {}
        self._told: Counter[str] = Counter()

    def first(self, act: Act, now: float) -> bool:
        """Say whether it is to be told now; else it is counted."""
        run = self._runs.get(act)
        if run is None and len(self._runs) < IN_ALL and self._told[act.address] < OF_ADDRESS:
            self._told[act.address] += 1
            self._runs[act] = _Run(act, now, told=True)
            return True
        if run is None:
            run = self._together(act.address if len(self._runs) < 2 * IN_ALL else VARIOUS, now)
        run.counted += 1
        return False

    def over(self, now: float) -> Iterator[tuple[Act, int]]:
        """Yield what was counted, and how often, of all whose window has ended; it is forgotten."""
        for act, run in list(self._runs.items()):
            if now - run.since >= WINDOW_S:
                del self._runs[act]
                self._forget(run)
                if run.counted:
                    yield act, run.counted

    def _together(self, address: str, now: float) -> _Run:
        act = Act(actor=VARIOUS, action="various.refuse", subject=VARIOUS, address=address)
        return self._runs.setdefault(act, _Run(act, now, told=False))

    def _forget(self, run: _Run) -> None:
        if run.told:
            self._told[run.act.address] -= 1
            if not self._told[run.act.address]:
                del self._told[run.act.address]
