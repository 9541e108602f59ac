"""How fast one may go: what people do is kept for more than a year, so nobody may fill the audit, however much they may do."""

from __future__ import annotations

from collections import deque

WINDOW_S = 60.0
MOST_KNOWN = 10_000
"""Who went within the window and is remembered: more than a city has users and machines."""


class Pace:
    """Lets each go so many times in any minute. Time is in monotonic seconds.

    It remembers `MOST_KNOWN` of them, of each as many times as they may go. While all of these went within the last minute, a newcomer must wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._went: dict[str, deque[float]] = {}

    def wait(self, who: str, now: float) -> float:
        """Let somebody go, which counts, and return 0; or return for how many seconds they must wait, which does not."""
        went = self._went.get(who)
        if went is None:
            if len(self._went) >= MOST_KNOWN and not self._forget(now):
                return WINDOW_S
            went = self._went[who] = deque(maxlen=self._most)
        if len(went) == self._most and now - went[0] < WINDOW_S:
            return WINDOW_S - (now - went[0])
        went.append(now)
        return 0.0

    def _forget(self, now: float) -> bool:
        """Forget who went long ago; returns whether there was one."""
        over = [who for who, went in self._went.items() if now - went[-1] >= WINDOW_S]
        for who in over:
            del self._went[who]
        return bool(over)
