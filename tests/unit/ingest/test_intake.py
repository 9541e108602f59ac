"""What is noted of a delivery: once, and only when Kafka has it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from schemas import wire
from services.ingest.domain.accept import Sender
from services.ingest.domain.registry import Registry
from services.ingest.door import Door
from services.ingest.flow import Flow
from services.ingest.intake import Intake, Origin, late
from services.ingest.stopping import Stops
from services.kit.clock import SystemClock
from services.kit.errors import Unavailable
from services.kit.health import Health
from tests.unit.ingest.conftest import LIMITS, NOW
from tests.unit.ingest.test_accept import event


class Broker:
    """Stands for the producer: it is away for the first two deliveries."""

    def __init__(self) -> None:
        self.times_away = 2
        self.published: list[Any] = []

    async def publish(self, topic: str, records: list[Any]) -> None:
        if self.times_away:
            self.times_away -= 1
            raise Unavailable
        self.published += records


async def test_what_is_tried_again_counts_once(registry: Registry):
    clock, metrics = SystemClock(), CollectorRegistry()
    flow = Flow(None)  # type: ignore[arg-type] # it writes nothing here
    intake = Intake(
        producer=Broker(),  # type: ignore[arg-type]
        clock=clock,
        limits=LIMITS,
        max_items=10,
        acknowledge_s=1,
        flow=flow,
        stops=Stops(None, clock, Health(clock).check("doors", max_age=1), metrics),  # type: ignore[arg-type]
        metrics=metrics,
    )
    intake.registry = Registry(registry.regions, [known.sensor for known in registry], lambda *_: None)  # type: ignore[arg-type,return-value]
    door = Door("mqtt", "n", clock)
    judged, _ = intake.judge([event()], Sender("water"), intake.registry, NOW)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await intake.publish(judged, Origin("water", "a", "b"), door, NOW)
    await intake.publish(judged, Origin("water", "a", "b"), door, NOW + timedelta(seconds=1))
    memory = intake.known.get("dma-01").memory  # type: ignore[union-attr]
    assert (memory.readings, memory.values) == (1, 1)
    assert [one.observations for one in flow._counts.values()] == [1]


@pytest.mark.parametrize(("period_s", "grace_s"), [(0, 5), (60, 120), (600, 120), (3_600, 900), (86_400, 900)])
def test_what_rules_no_longer_wait_for_counts_as_late(period_s: int, grace_s: int):
    def came(after_s: int) -> wire.Observation:
        end = period_s * 1_000_000
        return wire.Observation("i", "s", "d", "x", "r", "water", 0, end, "mean", {}, {}, "real", end + after_s * 1_000_000)

    assert [late(came(grace_s)), late(came(grace_s + 1))] == [False, True]
