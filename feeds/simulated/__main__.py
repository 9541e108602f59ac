"""`python -m feeds.simulated`: simulate a city's sensors into ingest.

Ends with 0 on SIGTERM and SIGINT (within a second), with 2 on a setting that cannot work, with 3 when the city has nothing to simulate (no
`simulation.yaml`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from feeds.process import NOTHING_TO_DO, address, logger, system_clock, until_told, usable
from feeds.simulated.feed import Settings, feed
from feeds.simulated.folder import Unusable, load, scenarios

KEYS = "TONGGUAN_FEED_KEYS"


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip())))


def _keys() -> dict[str, str]:
    try:
        keys = TypeAdapter(dict[str, str]).validate_json(os.environ.get(KEYS, ""))
    except ValidationError as error:
        raise click.UsageError(f'{KEYS} must hold the departments\' keys as JSON, such as {{"water": "…"}}') from error
    if bad := sorted(department for department, key in keys.items() if not usable(key)):
        raise click.UsageError(f"{KEYS}: the keys of {bad} cannot stand in a header")
    return keys


@click.command(context_settings={"auto_envvar_prefix": "TONGGUAN_FEED", "show_default": True})
@click.option("--ingest", default="", callback=address, show_default=False, show_envvar=True, help="Where ingest listens.")
@click.option("--city", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), show_envvar=True, help="The city's folder.")
@click.option("--scenarios", "names", default="", callback=_names, envvar="TONGGUAN_FEED_SCENARIOS", show_envvar=True, help="Names, with commas.")
@click.option("--seed", default=1, type=int, show_envvar=True, help="The same seed and start give the same readings.")
@click.option(
    "--pace", default=1.0, type=click.FloatRange(0.01, 10_000), show_envvar=True, help="How much faster than the clock the scenarios' time runs."
)
def main(*, ingest: str, city: Path, names: tuple[str, ...], seed: int, pace: float) -> None:
    """Simulate a city's sensors into ingest. The departments' keys are taken from TONGGUAN_FEED_KEYS."""
    settings = Settings(ingest=ingest, keys=_keys(), city=city, scenarios=names, seed=seed, pace=pace)
    log = logger("feed.simulated")
    if not (city / "simulation.yaml").is_file():
        log.error("nothing_to_simulate", reason=f"{city} has no simulation.yaml")
        sys.exit(NOTHING_TO_DO)
    try:
        place = load(city)
        played = scenarios(city, names, place)
    except Unusable as error:
        raise click.UsageError(str(error)) from error
    without = sorted({one.sensor.department for one in place.sensors} - settings.keys.keys())
    if without:
        log.warning("departments_without_a_key", departments=without, what="their sensors are not simulated")
    asyncio.run(until_told(feed(settings, place, played, clock=system_clock, log=log)))


if __name__ == "__main__":
    main()
