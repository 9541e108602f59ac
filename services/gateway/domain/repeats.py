"""Refusals that come again and again: the first is told, those like it are counted, so that nobody can flood the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.gateway.domain.proxies import network

WINDOW_S = 60.0
"""For so long after the first the like of it is counted; then the count is told."""
OF_ONE = 30
"""Different refusals of one principal, or of one network of those who proved to be none, told within a window; more are counted together."""
IN_ALL = 10_000
"""Different refusals remembered; more are counted together, wherever they come from."""
SYSTEM = "(system)"
"""Who does what the gateway does by itself. These three can be no user's id (`schemas.base.Code`)."""
UNKNOWN = "(unknown)"
"""Who did not prove to be anybody: not even what they said is kept, for some type their password there."""
VARIOUS = "(various)"
"""Who, what and where of refusals that are counted together."""


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
    proven: bool = False
    """Whether the actor showed a session or a token: nobody else's refusals count against theirs."""


@dataclass
class _Run:
    since: float
    together: Act | None
    """Against what it counts that it was told; None when it was not."""
    counted: int = 0


class Repeats:
    """What was told lately. Time is in monotonic seconds."""

    def __init__(self) -> None:
        self._runs: dict[Act, _Run] = {}
        self._told: Counter[Act] = Counter()
        """How many different ones were told, by what stands for them together."""

    def first(self, act: Act, now: float) -> bool:
        """Say whether it is to be told now; else it is counted."""
        run, together = self._runs.get(act), _together(act)
        if run is None and len(self._runs) < IN_ALL and self._told[together] < OF_ONE:
            self._told[together] += 1
            self._runs[act] = _Run(now, together)
            return True
        if run is None:
            kept = together if len(self._runs) < 2 * IN_ALL else ANYBODYS
            run = self._runs.setdefault(kept, _Run(now, None))
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

    def _forget(self, run: _Run) -> None:
        if run.together is not None:
            self._told[run.together] -= 1
            if not self._told[run.together]:
                del self._told[run.together]


ANYBODYS = Act(VARIOUS, "various.refuse", VARIOUS, VARIOUS)


def _together(act: Act) -> Act:
    """Return what stands for all refusals of a principal, wherever they are; of others, for those of their network."""
    if act.proven:
        return Act(act.actor, "various.refuse", VARIOUS, VARIOUS, proven=True)
    return Act(VARIOUS, "various.refuse", VARIOUS, network(act.address))
