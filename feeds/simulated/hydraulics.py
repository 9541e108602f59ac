"""Days of a water network (EPANET, by WNTR) and of a sewer (SWMM, by pyswmm), where these are installed: the extra `physics`.

Only shapes are taken, none with a unit, and each sensor is given a place in the network; sizes and limits stay those of `simulation.yaml`. The
networks are computed once, in a process of its own (`python -m feeds.simulated.hydraulics` prints the days): loading WNTR takes seconds and 200 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
import tempfile
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from feeds.process import Clock, Log
from feeds.simulated.demand import HEAD_LOSS, INFILTRATION, ON_THE_WAY_H, demand
from schemas.base import Finite, Frozen

STEPS = 96
"""Quarters of an hour in a day."""
BLEND = timedelta(minutes=30)
"""Over this the days take the place of the plain models: no reading jumps."""
COMPUTE_S = 120.0
"""A slow machine needs half a minute; then the plain models go on."""
_NETWORK = "Net3"
_DAYS = 2
"""The first fills tanks and pipes; the second is taken."""
_STEP_S = 86_400 // STEPS
_PEAK = max(demand(hour / 4, weekend=False) ** HEAD_LOSS for hour in range(STEPS))

Day = Annotated[tuple[Finite, ...], Field(min_length=STEPS, max_length=STEPS)]


class Days(Frozen):
    """One day of each place, from midnight."""

    loss: tuple[Day, ...] = ()
    """Head that is lost on the way to a junction: 0 at its best hour, and at its worst as much as the plain model loses at the peak."""
    sewage: tuple[Day, ...] = ()
    """Flow of dry weather in a sewer, of its mean."""


class Hydraulics:
    """What `Days` say once they are there; until then nothing."""

    def __init__(self) -> None:
        self._days = Days()
        self._since: datetime | None = None

    def take(self, days: Days, now: datetime) -> None:
        """Use days from now on."""
        self._days, self._since = days, now

    def loss(self, place: float, time: datetime, otherwise: float) -> float:
        """Return the loss at a place (0 to 1) of the network at a local time, of the mean flow's loss."""
        return self._blended(self._days.loss, place, time, otherwise)

    def sewage(self, place: float, time: datetime, otherwise: float) -> float:
        """Return the flow at a place of the sewer at a local time, of the mean flow."""
        return self._blended(self._days.sewage, place, time, otherwise)

    def _blended(self, days: tuple[Day, ...], place: float, time: datetime, otherwise: float) -> float:
        if not days or self._since is None:
            return otherwise
        day = days[int(place * len(days))]
        at = (time.hour * 3_600 + time.minute * 60 + time.second) / _STEP_S
        before, after = day[int(at)], day[(int(at) + 1) % STEPS]
        weight = min(max((time - self._since) / BLEND, 0.0), 1.0)
        return (1 - weight) * otherwise + weight * (before + (after - before) * (at % 1))


def installed() -> list[str]:
    """Return which of the two engines are there."""
    return [name for name in ("wntr", "pyswmm") if importlib.util.find_spec(name) is not None]


async def compute(hydraulics: Hydraulics, *, clock: Clock, log: Log) -> None:
    """Have the days computed by another process, if it can be done here; the log says which models are used."""
    engines = installed()
    if not engines:
        log.info("hydraulics", models="plain", why="the extra `physics` is not installed")
        return
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", __name__, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(COMPUTE_S):
            told, _ = await child.communicate()
        days = Days.model_validate_json(told)
    except (TimeoutError, ValidationError) as error:
        log.warning("hydraulics", models="plain", why=f"computing the networks failed: {type(error).__name__}", exit=child.returncode)
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    hydraulics.take(days, clock())
    log.info("hydraulics", models=engines, junctions=len(days.loss), sewers=len(days.sewage))


def water_days() -> list[list[float]]:
    """Return the losses at the junctions of a network that WNTR ships, drawn upon as our city draws."""
    wntr: Any = importlib.import_module("wntr")
    network = wntr.network.WaterNetworkModel(_NETWORK)
    network.options.time.duration = _DAYS * 86_400
    for name in ("hydraulic_timestep", "report_timestep", "pattern_timestep"):
        setattr(network.options.time, name, _STEP_S)
    for name in network.pattern_name_list:
        network.get_pattern(name).multipliers = [demand(at / 4, weekend=False) for at in range(STEPS)]
    pressures = wntr.sim.EpanetSimulator(network).run_sim(file_prefix="network").node["pressure"]
    taken = pressures[network.junction_name_list].to_numpy()[-STEPS - 1 : -1].T
    # A junction whose pressure never changes, or is not above the ground, is none that a city would have.
    return [
        [float(value) for value in _PEAK * (day.max() - day) / (day.max() - day.min())]
        for day in taken
        if day.min() > 0 and day.max() - day.min() > 1
    ]


def sewer_days() -> list[list[float]]:
    """Return the dry-weather flows along a trunk sewer of ours, by SWMM's dynamic wave."""
    pyswmm: Any = importlib.import_module("pyswmm")
    Path("sewer.inp").write_text(sewer_input(), "utf-8")
    with pyswmm.Simulation("sewer.inp") as simulation:
        simulation.step_advance(_STEP_S)
        links = list(pyswmm.Links(simulation))
        flows = [[float(link.flow) for link in links] for _ in simulation]
    days = zip(*flows[-STEPS:], strict=True)
    return [[value * STEPS / sum(day) for value in day] for day in map(list, days)]


def sewer_input() -> str:
    """Return a sewer as SWMM reads it: eight manholes 600 m apart, each 1.5 m lower, and what houses let off at each by our city's day."""
    size = range(8)
    hours = [INFILTRATION + (1 - INFILTRATION) * demand((hour - ON_THE_WAY_H) % 24, weekend=False) for hour in range(24)]
    pattern = "\n".join(
        f"day {'HOURLY' if not first else ''} {' '.join(f'{value:.4f}' for value in hours[first : first + 6])}" for first in range(0, 24, 6)
    )
    sections = {
        "OPTIONS": "FLOW_UNITS LPS\nFLOW_ROUTING DYNWAVE\nSTART_DATE 01/01/2026\nEND_DATE 01/03/2026\nREPORT_STEP 00:15:00\nROUTING_STEP 30",
        "JUNCTIONS": "\n".join(f"m{at} {100 - 1.5 * at} 6 0 0 0" for at in size),
        "OUTFALLS": f"works {100 - 1.5 * len(size)} FREE",
        "CONDUITS": "\n".join(f"c{at} m{at} {f'm{at + 1}' if at < len(size) - 1 else 'works'} 600 0.013 0 0" for at in size),
        "XSECTIONS": "\n".join(f"c{at} CIRCULAR {0.6 + 0.1 * at:.1f} 0 0 0" for at in size),
        "DWF": "\n".join(f'm{at} FLOW 20 "day"' for at in size),
        "PATTERNS": pattern,
    }
    return "\n\n".join(f"[{name}]\n{text}" for name, text in sections.items()) + "\n"


def main() -> None:
    """Print the days of what is installed, as JSON."""
    warnings.simplefilter("ignore")
    engines = installed()
    # Both engines leave files where they stand.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        days = Days.model_validate(
            {"loss": water_days() if "wntr" in engines else (), "sewage": sewer_days() if "pyswmm" in engines else ()},
        )
    sys.stdout.write(days.model_dump_json())


if __name__ == "__main__":
    main()
