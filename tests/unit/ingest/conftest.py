"""A small city for ingest's decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas.base import Domain, Name
from schemas.regions import Level, Region, RegionTree
from schemas.sensor import Metric, Sensor
from services.ingest.domain.accept import TimeLimits
from services.ingest.domain.registry import Registry
from services.ingest.units import conversion

NOW = datetime(2026, 11, 22, 0, 0, 10, tzinfo=UTC)
LIMITS = TimeLimits(future=timedelta(minutes=5), past=timedelta(days=90))
METRICS = ("flow", "pressure", *(f"m{number}" for number in range(64)))


def _region(code: str, parent: str | None, level: Level) -> Region:
    return Region(code=code, parent=parent, level=level, name=Name(zh=code, en=code))


def _sensor(sensor: str, department: str, street: str, metrics: tuple[str, ...]) -> Sensor:
    named = {metric: Metric(unit="L/s", name=Name(zh="量", en=metric)) for metric in metrics}
    return Sensor(id=sensor, name=Name(zh="点", en="point"), domain=Domain.WATER, department=department, street=street, metrics=named)


@pytest.fixture(scope="session")
def registry() -> Registry:
    regions = RegionTree([_region("city", None, Level.CITY), _region("street-1", "city", Level.STREET), _region("street-2", "city", Level.STREET)])
    return Registry(
        regions, [_sensor("dma-01", "water", "street-1", METRICS[:64]), _sensor("well-01", "drainage", "street-2", ("level",))], conversion
    )
