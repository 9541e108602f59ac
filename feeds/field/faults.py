"""What goes wrong in the field, on purpose and by chance that can be asked again: the same seed, device and time give the same faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field

from schemas.base import Finite, Frozen

_Share = Annotated[Finite, Field(ge=0, le=1)]
_ADay = Annotated[Finite, Field(ge=0, le=1_440)]
_DAY_S = 86_400
_SLOT_S = 60


class Numbers(Protocol):
    """Where chance comes from."""

    def uniform(self, name: str, index: int = 0) -> float:
        """Return a number between 0 and 1, both excluded; the same name and index give the same."""


class Faults(Frozen):
    """The part `field` of `simulation.yaml`. The defaults are of a field that works."""

    cuts: _ADay = 0
    """How often a day a device's connection breaks; it comes back at once."""
    outages: _ADay = 0
    """How often a day a device has no network. It keeps what it measures and sends it afterwards."""
    outage: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(hours=6))] = timedelta(minutes=5)
    """How long that lasts."""
    storms: _ADay = 0
    """How often a day all connections break at once, and all devices come back together."""
    duplicates: _Share = 0
    """Part of the messages that are sent twice."""
    damaged: _Share = 0
    """Part of the messages that come with a wrong checksum (MQTT: cut short) before they come in order."""
    skewed: _Share = 0
    """Part of the devices whose clock is wrong."""
    skew: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(days=1))] = timedelta(seconds=45)
    """By how much at most, either way. What is over a minute ahead is refused by the platform."""
    old: _Share = 0
    """Part of the HJ 212 devices that speak the edition of 2005."""
    drills: _ADay = 0
    """How often a day a building tests its fire system, for `drill`: test mode, with the fire bit set."""
    drill: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = timedelta(minutes=3)
    absent: _Share = 0
    """Part of the patrol checks (查岗) that nobody answers; as many are answered late."""


@dataclass(slots=True)
class Luck:
    """One device's faults."""

    device: str
    faults: Faults = field(default_factory=Faults)
    chance: Numbers | None = None
    """None for a device that never has any."""
    _cut_slot: int = 0

    def skew(self) -> timedelta:
        """Return by how much its clock is ahead."""
        if not self._by("skewed", 0, self.faults.skewed):
            return timedelta(0)
        return self.faults.skew * (2 * self._uniform("skew", 0) - 1)

    def old(self) -> bool:
        """Say whether it speaks HJ/T 212-2005."""
        return self._by("old", 0, self.faults.old)

    def away(self, now: datetime) -> bool:
        """Say whether it has no network."""
        return self._in_slot("outage", now, self.faults.outage, self.faults.outages)

    def drilling(self, now: datetime) -> bool:
        """Say whether its building tests the fire system."""
        return self._in_slot("drill", now, self.faults.drill, self.faults.drills)

    def tested(self, now: datetime) -> bool:
        """Say whether such a test is on or only just over: the system stays in test mode for twice as long, so that all it raised can end."""
        return any(self.drilling(now - times * self.faults.drill) for times in range(3))

    def cut(self, now: datetime) -> bool:
        """Say whether its connection breaks now; at most once in a minute, and asked again within it no."""
        slot = int(now.timestamp()) // _SLOT_S
        if slot == self._cut_slot:
            return False
        self._cut_slot = slot
        return self._by("cut", slot, self.faults.cuts * _SLOT_S / _DAY_S) or self._storm(slot)

    def duplicate(self, number: int) -> bool:
        """Say whether the message of this number is sent twice."""
        return self._by("duplicate", number, self.faults.duplicates)

    def damaged(self, number: int) -> bool:
        """Say whether it comes broken first."""
        return self._by("damaged", number, self.faults.damaged)

    def patrol_answer_s(self, number: int, minutes: int) -> float | None:
        """Return after how many seconds somebody answers a patrol check that leaves so many minutes; None for nobody."""
        drawn = self._uniform("patrol", number)
        if drawn < self.faults.absent:
            return None
        late = drawn < 2 * self.faults.absent
        return minutes * 60 * 1.5 if late else 5 + 20 * self._uniform("walk", number)

    def _storm(self, slot: int) -> bool:
        return self.chance is not None and self.chance.uniform("field/storm", slot) < self.faults.storms * _SLOT_S / _DAY_S

    def _in_slot(self, what: str, now: datetime, length: timedelta, a_day: float) -> bool:
        slot_s = length.total_seconds()
        return self._by(what, int(now.timestamp() // slot_s), a_day * slot_s / _DAY_S)

    def _by(self, what: str, index: int, share: float) -> bool:
        return share > 0 and self._uniform(what, index) < share

    def _uniform(self, what: str, index: int) -> float:
        return self.chance.uniform(f"{self.device}/{what}", index) if self.chance is not None else 1.0
