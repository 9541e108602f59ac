"""What ingest knows of sensors and regions, in memory."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.regions import RegionTree
from schemas.sensor import Sensor


@dataclass(frozen=True, slots=True)
class Known:
    """A sensor, ready for the hot path."""

    department: str
    street: str
    key: bytes
    domain: str
    metrics: frozenset[str]


class Registry:
    """Sensors by id."""

    def __init__(self, regions: RegionTree, sensors: list[Sensor]) -> None:
        self.regions = regions
        self._known = {sensor.id: _known(sensor) for sensor in sensors}

    def get(self, sensor: str) -> Known | None:
        """Return a sensor, None when it is not in the registry."""
        return self._known.get(sensor)

    def __len__(self) -> int:
        return len(self._known)


def _known(sensor: Sensor) -> Known:
    return Known(sensor.department, sensor.street, sensor.street.encode(), sensor.domain.value, frozenset(sensor.metrics))
