"""Silence of sensors: see `schemas.measure.Absence`. Time is that of ticks in which the sensor's protocol was listening."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from schemas import wire
from services.rules.domain.episodes import OPEN_END
from services.rules.domain.index import Scene
from services.rules.domain.ladder import NEVER
from services.rules.domain.state import Clock, Silence

GAP = 5_000_000
"""A protocol that no tick has named as listening for longer was away: silence counts anew from there. Microseconds."""
NOT_HEARD = {"fault", "no_signal"}


class Listening:
    """How long each protocol has been listening, and which sensors are next to be missed."""

    def __init__(self, clocks: dict[str, Clock]) -> None:
        self.clocks = clocks
        self._dues: dict[str, list[tuple[int, int, Silence]]] = {}
        self._order = count()

    def clock(self, protocol: str) -> Clock:
        """Return a protocol's clock."""
        found = self.clocks.get(protocol)
        if found is None:
            found = self.clocks[protocol] = Clock()
        return found

    def tick(self, tick: wire.Tick) -> None:
        """Take the adapters that a tick names."""
        moved: set[str] = set()
        for adapter, reported in tick.adapters.items():
            protocol = adapter.partition("@")[0]
            clock = self.clock(protocol)
            if reported > clock.reported.get(adapter, NEVER):
                clock.reported[adapter] = reported
                moved.add(protocol)
        for protocol in moved:
            clock = self.clocks[protocol]
            if tick.time - clock.last <= GAP:
                clock.listened += tick.time - clock.last
            else:
                clock.resumed = clock.listened
            clock.last = tick.time

    def silence(self, silence: Silence) -> int:
        """Return for how long a sensor has not been heard, in microseconds."""
        clock = self.clock(silence.sensor.adapter)
        return clock.listened - max(silence.heard, clock.resumed)

    def expect(self, silence: Silence) -> None:
        """Note when a sensor will be missed next, if it goes on being silent."""
        scene: Scene | None = silence.tracker.scene
        if scene is None:
            return
        limits = [tier.up.bound.constant for tier in scene.plan.tiers if tier.up.bound and not silence.tracker.mask >> tier.gravity & 1]
        limit = min((limit for limit in limits if limit is not None), default=None)
        if limit is None:
            return
        clock = self.clock(silence.sensor.adapter)
        at = max(silence.heard, clock.resumed) + round(limit * 1_000_000)
        if at >= silence.expected:
            return
        silence.expected = at
        heappush(self._dues.setdefault(silence.sensor.adapter, []), (at, next(self._order), silence))

    def missed(self) -> Iterator[Silence]:
        """Yield those whose time has come by an entry that still holds."""
        for protocol, dues in list(self._dues.items()):  # who is missed may be expected by a protocol that is new
            clock = self.clock(protocol)
            while dues and dues[0][0] <= clock.listened:
                at, _, silence = heappop(dues)
                if at == silence.expected and silence.sensor.adapter == protocol:
                    silence.expected = OPEN_END
                    yield silence
