"""Which sources `up` starts: the replayed pipe, and the simulator with its scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feeds.water_flow import SENSOR as REPLAYED
from schemas.city import City
from schemas.sensor import Sensor
from services.cli.errors import PreflightError, Problem

PLAIN = "none"
"""The word for the plain background, without any scenario."""
_SIMULATION = "simulation.yaml"
_SCENARIOS = "scenarios"


@dataclass(frozen=True, slots=True)
class Streams:
    """What is fed into the platform."""

    replay: bool
    """The recorded flow of a real pipe."""
    simulate: bool
    scenarios: tuple[str, ...] = ()

    def told(self) -> str:
        """Say it for a person."""
        parts = ["the recorded flow of a real pipe (回放)"] if self.replay else []
        if self.simulate:
            played = f"with the scenario {', '.join(self.scenarios)}" if self.scenarios else "without a scenario"
            parts.append(f"simulated streams (模拟) {played}")
        return "; ".join(parts) or "none: this city has nothing to replay or to simulate"


def known(city: Path) -> list[str]:
    """Return the names of a city's scenarios."""
    return sorted(file.stem for file in (city / _SCENARIOS).glob("*.yaml"))


def choose(folder: Path, city: City, sensors: Sequence[Sensor], wanted: Sequence[str]) -> Streams:
    """Return what a city can be fed with. Raises `PreflightError` for a scenario that it does not have."""
    replay = any(sensor.id == REPLAYED for sensor in sensors)
    if not (folder / _SIMULATION).is_file():
        if wanted and set(wanted) != {PLAIN}:
            mend = "leave --scenario out, or add the file: the one of cities/620100 shows how"
            raise PreflightError([Problem(f"{folder} has no {_SIMULATION}, so no scenario can be played", mend)])
        return Streams(replay, simulate=False)
    named = wanted or ([city.demo_scenario] if city.demo_scenario else [])
    scenarios = tuple(dict.fromkeys(name for name in named if name != PLAIN))
    there = known(folder)
    if missing := [name for name in scenarios if name not in there]:
        mend = f"choose of {', '.join(there) or 'no scenario'}, or {PLAIN} for the plain background: --scenario NAME"
        raise PreflightError([Problem(f"{folder / _SCENARIOS} has no scenario {', '.join(missing)}", mend)])
    return Streams(replay, simulate=True, scenarios=scenarios)
