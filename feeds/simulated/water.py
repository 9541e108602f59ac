"""Drinking water: what flows into a metered area, and what pressure is left."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from feeds.simulated.demand import HEAD_LOSS, demand
from feeds.simulated.spot import Force, Physics, Spot
from schemas.base import Finite

LEAKAGE = 1.15
"""A network's leaks, cracks and holes mixed, flow by about this power of the pressure."""


class _Network(Physics):
    mean: Finite = Field(default=60.0, gt=0)
    """Mean use, L/s."""
    supply: Finite = Field(default=0.42, gt=0)
    """Pressure with nothing flowing, MPa."""
    loss: Finite = Field(default=0.012, ge=0)
    """Pressure lost at the mean flow, MPa."""
    leak: Finite = Field(default=5.0, ge=0)
    """What leaks at that supply pressure, L/s."""

    def _flow_and_pressure(self, spot: Spot) -> tuple[float, float]:
        """Leaks flow by the pressure that the flow leaves: found by going back and forth, which settles quickly as the loss is small."""
        used = self.mean * self.size(spot) * demand(spot.hour, weekend=spot.weekend) * (1 + 0.04 * spot.drift("use", 600))
        holes = self.leak + spot.force(Force.LEAK)
        flow, pressure = used + holes, self.supply
        mean = self.mean * self.size(spot)
        usual = (used / mean) ** HEAD_LOSS
        base = spot.lost(usual)
        for _ in range(8):
            lost = self.loss * (base + (flow / mean) ** HEAD_LOSS - usual)
            pressure = (pressure + max(self.supply - lost, 0.0)) / 2
            flow = used + holes * (pressure / self.supply) ** LEAKAGE
        return flow, pressure + 0.003 * spot.drift("pressure", 900)


class MeteredArea(_Network):
    """The inlet of a district metered area: `flow` (L/s) and `pressure` (MPa)."""

    model: Literal["metered-area"] = "metered-area"

    def read(self, spot: Spot) -> dict[str, float]:
        """Return flow and pressure."""
        flow, pressure = self._flow_and_pressure(spot)
        return {"flow": max(flow + 0.4 * spot.jitter("flow"), 0.0), "pressure": max(pressure + 0.001 * spot.jitter("pressure"), 0.0)}


class NetworkEnd(_Network):
    """The far end of an area: `pressure` (MPa)."""

    model: Literal["network-end"] = "network-end"
    loss: Finite = Field(default=0.02, ge=0)
    """To the end, that is."""
    supply: Finite = Field(default=0.34, gt=0)

    def read(self, spot: Spot) -> dict[str, float]:
        """Return the pressure."""
        _, pressure = self._flow_and_pressure(spot)
        return {"pressure": max(pressure + 0.001 * spot.jitter("pressure"), 0.0)}


class Hydrant(Physics):
    """A street hydrant: `pressure` (MPa) of the network that it stands on, less what is drawn."""

    model: Literal["hydrant"] = "hydrant"
    supply: Finite = Field(default=0.32, gt=0)
    loss: Finite = Field(default=0.02, ge=0)

    def read(self, spot: Spot) -> dict[str, float]:
        """Return the pressure."""
        lost = self.loss * self.size(spot) * spot.lost(demand(spot.hour, weekend=spot.weekend) ** HEAD_LOSS)
        pressure = self.supply - lost - spot.force(Force.DRAW) + 0.003 * spot.drift("pressure", 900) + 0.001 * spot.jitter("pressure")
        return {"pressure": max(pressure, 0.0)}
