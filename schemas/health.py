"""A service's heartbeat on `city.health`, so that our own silence is shown as such."""

from __future__ import annotations

from schemas.base import Code, Frozen, Time


class Heartbeat(Frozen):
    """One a second from each node of each service."""

    service: Code
    node: Code
    time: Time
    ready: bool
    reason: str
    """Why it is not ready; empty when it is."""
    lag: int
    """Records on its topics that it has not yet worked off."""
    event_time: Time | None
    """How far it has come: the oldest, over its partitions, of the newest tick or event it has worked off."""
