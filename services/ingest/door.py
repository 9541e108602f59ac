"""One way in on this node: what it has under way, whether it listens, and whether it refuses all that comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime

from services.kit.clock import Clock


class Door:
    """The books of a way in. To be used on one event loop."""

    def __init__(self, protocol: str, node: str, clock: Clock) -> None:
        self.protocol = protocol
        self.name = f"{protocol}@{node}"
        """As ticks name it."""
        self.listening = False
        """Whether it can be heard at all: the silence of devices counts only while some node's door of their protocol listens."""
        self._clock = clock
        self._under_way: dict[object, datetime] = {}

    @contextlib.contextmanager
    def under_way(self) -> Iterator[datetime]:
        """Yield our clock's time of receipt; until the end of the block, what is taken in counts as not yet in Kafka."""
        token, now = object(), self._clock.now()
        self._under_way[token] = now
        try:
            yield now
        finally:
            del self._under_way[token]

    def acknowledged_until(self) -> datetime:
        """Return up to when all that was taken is in Kafka."""
        return min(self._under_way.values(), default=self._clock.now())
