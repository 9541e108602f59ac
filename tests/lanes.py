"""Tests that run side by side, in lanes: which of them stay together, and which ports are a lane's own.

A lane is a process of pytest-xdist with servers of its own. `./tongguan test` starts two; what is marked `alone` runs after them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from services.cli import folder, ports

TOGETHER = ("tests/integration/platform/",)
"""Folders whose files share what is costly to start."""
_BLOCK = ports.PortPlan(0).database + 1
_SHARES = 8
"""So small that an `up` beside two lanes, which tries ten blocks, finds one that is nobody's."""
_TRIES = 50
_ALL_TAKEN = "other tests on this machine hold the ports that these would take: let one end first"


def unit_of(test: str) -> str:
    """Return what is given to a lane as a whole: a test's file, or the folder that stays together."""
    file = test.split("::", 1)[0]
    return next((one for one in TOGETHER if file.startswith(one)), file)


_mine: deque[int] = deque()
"""The bases of this lane's blocks of ports; none of a process that is no lane."""


def free_plan() -> ports.PortPlan:
    """Return ports that are free now and nobody's own; in a lane some of its own, where a block comes again only after all others."""
    for _ in range(len(_mine)):
        _mine.rotate(-1)
        plan = ports.PortPlan(_mine[-1])
        if all(ports.is_free(port) for port in plan.named().values()):
            return plan
    for _ in range(_TRIES):
        plan = ports.free_plan()
        if _take(plan.base, locks := ExitStack()):
            locks.close()
            return plan
    raise OSError(_ALL_TAKEN)


def keep_ports() -> None:
    """Keep the ports that were taken last for their server, which lives as long as its lane."""
    if _mine:
        _mine.pop()


@contextmanager
def own_ports(lane: int) -> Iterator[None]:
    """Give this lane ports of its own until the end.

    Their blocks are locked as `up` locks its own: no other lane and no `up` gets a port that a server here was killed on and will need again.
    """
    with ExitStack() as locks:
        _mine.extend(_take_share(lane, locks))
        try:
            yield
        finally:
            _mine.clear()


def _take_share(lane: int, locks: ExitStack) -> list[int]:
    """Return the lane's blocks but those that others hold, or the next share where others hold most of it."""
    bases = range(ports._FREE_RANGE.start, ports._FREE_RANGE.stop - _BLOCK, _BLOCK)
    size = len(bases) // _SHARES
    for at in range(lane, lane + _SHARES):
        first = at % _SHARES * size
        with ExitStack() as tried:
            mine = [base for base in bases[first : first + size] if _take(base, tried)]
            if len(mine) > size // 2:
                locks.enter_context(tried.pop_all())
                return mine
    raise OSError(_ALL_TAKEN)


def _take(base: int, locks: ExitStack) -> bool:
    """Lock a block; tell whether it was free to be locked."""
    try:
        locks.enter_context(ports.hold(ports.PortPlan(base), folder.cache() / "ports"))
    except BlockingIOError:
        return False
    return True
