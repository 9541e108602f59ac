"""`python -m feeds.simulated`: simulate a city's sensors into ingest.

Ends with 0 on SIGTERM and SIGINT (within a second), with 2 on a setting that cannot work, with 3 when the city has nothing to simulate (no
`simulation.yaml`).
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from feeds.field.speakers import PASSWORD, Doors
from feeds.field.words import NoWord
from feeds.process import NOTHING_TO_DO, address, logger, system_clock, until_told, usable
from feeds.simulated.feed import Settings, feed
from feeds.simulated.folder import Unusable, load, scenarios

KEYS = "TONGGUAN_FEED_KEYS"
_place = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})").fullmatch
_broker = re.compile(r"mqtts?://\S+").fullmatch


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in value.split(",") if (name := part.strip())))


def _door(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int] | None:
    if not value:
        return None
    if (found := _place(value)) is None or not 0 < int(found[2]) < 1 << 16:
        raise click.BadParameter(f"{value!r} is not like 127.0.0.1:8802")
    return found[1].strip("[]"), int(found[2])


def _url(_context: click.Context, _parameter: click.Parameter, value: str) -> str | None:
    if value and _broker(value) is None:
        raise click.BadParameter("this is not like mqtt://user:password@127.0.0.1:1883")
    return value or None


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
@click.option("--hj212", default="", callback=_door, show_envvar=True, show_default=False, help="HOST:PORT of the door of HJ 212.")
@click.option("--hj212-pw", "pw", default=PASSWORD, envvar="TONGGUAN_FEED_HJ212_PW", show_envvar=True, help="The password (PW) of all monitors.")
@click.option("--gb26875", default="", callback=_door, show_envvar=True, show_default=False, help="HOST:PORT of the door of GB/T 26875.3.")
@click.option("--mqtt", default="", callback=_url, show_envvar=True, show_default=False, help="The city's MQTT broker.")
def main(
    *,
    ingest: str,
    city: Path,
    names: tuple[str, ...],
    seed: int,
    pace: float,
    hj212: tuple[str, int] | None,
    pw: str,
    gb26875: tuple[str, int] | None,
    mqtt: str | None,
) -> None:
    """Simulate a city's sensors into ingest. The departments' keys are taken from TONGGUAN_FEED_KEYS.

    Sensors that are linked to devices speak by their devices' protocols, and are left out where its address is not given.
    """
    doors = Doors(hj212=hj212, gb26875=gb26875, mqtt=mqtt, hj212_pw=pw)
    settings = Settings(ingest=ingest, keys=_keys(), city=city, scenarios=names, seed=seed, pace=pace, doors=doors)
    log = logger("feed.simulated")
    if not (city / "simulation.yaml").is_file():
        log.error("nothing_to_simulate", reason=f"{city} has no simulation.yaml")
        sys.exit(NOTHING_TO_DO)
    try:
        place = load(city)
        played = scenarios(city, names, place)
    except Unusable as error:
        raise click.UsageError(str(error)) from error
    without = sorted({one.sensor.department for one in place.sensors if one.sensor.link is None} - settings.keys.keys())
    if without:
        log.warning("departments_without_a_key", departments=without, what="their sensors are not simulated")
    try:
        asyncio.run(until_told(feed(settings, place, played, clock=system_clock, log=log)))
    except NoWord as error:
        raise click.UsageError(f"{city}: a device cannot say what its sensor measures: {error}") from error


if __name__ == "__main__":
    main()
