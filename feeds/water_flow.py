"""Replays a real pipe's flow: `python -m feeds.water_flow`.

The recording is `water-flow.csv` of PyPI `river`: 1,268 hourly values of a pipeline branch in Italy, 2022, with four described anomalies. One
recorded hour becomes one reading every `interval` seconds, stamped with the present time and marked `replayed`; hours that the recording lacks
are passed over, so its neighbours follow each other. After the last row it starts over.

Ends with 0 on SIGTERM and SIGINT (within a second) and after `--readings`, with 2 on a setting that cannot work, with 3 when there is no recording.
"""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from uuid import uuid4

import click
import httpx

from feeds.process import NOTHING_TO_DO, Clock, Log, address, logger, system_clock, until_told, usable
from feeds.publisher import TIMEOUT, Event, Publisher, observation_event
from schemas.base import Origin
from schemas.observation import Measurement

SENSOR = "lz-water-pipe-01"
SOURCE = "/departments/water/replay/water-flow"
METRIC = "flow"

START = 65
"""30 readings before the first warning of the city's rules (row 95): long enough to see the flow in order, short enough to wait for."""

PROGRESS_S = 60.0
"""One line a minute says that all is well."""

KEY = "TONGGUAN_FEED_KEY"


class RecordingError(Exception):
    """There is no recording to replay; the message says why and how to get one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One usable row; `number` counts the file's data rows from 0, unusable ones too."""

    number: int
    recorded: datetime
    flow: float


@dataclass(frozen=True, slots=True)
class Recording:
    """The usable rows in the order of the file, and what is missing among them."""

    rows: tuple[Row, ...]
    skipped: int
    """Rows without a finite value or a time."""
    missing_hours: int
    """Hours between the first and the last usable row for which there is none."""


def locate() -> Path:
    """Return the recording's path; river itself is not imported, since that would take seconds and its numerical libraries."""
    spec = importlib.util.find_spec("river")
    if spec is None or not spec.submodule_search_locations:
        raise RecordingError("the package river is not installed; get it by: pip install 'tongguan[demo]'")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "water-flow.csv"
    if not path.is_file():
        raise RecordingError(f"the installed river has no datasets/water-flow.csv (looked for {path}); river 0.22 and later have it")
    return path


def load(path: Path) -> Recording:
    """Read a recording: a head line, then `time,flow`. Raises `RecordingError` when no row is usable."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.reader(file) if line][1:]
    rows = tuple(row for number, line in enumerate(lines) if (row := _parse(number, line)) is not None)
    if not rows:
        raise RecordingError(f"{path} has no usable row among {len(lines)}")
    hours = round((rows[-1].recorded - rows[0].recorded).total_seconds() / 3600) + 1
    return Recording(rows, skipped=len(lines) - len(rows), missing_hours=max(0, hours - len(rows)))


def _parse(number: int, line: Sequence[str]) -> Row | None:
    try:
        row = Row(number, datetime.fromisoformat(line[0]), float(line[1]))
    except (ValueError, IndexError):
        return None
    return row if math.isfinite(row.flow) and row.recorded.tzinfo is not None else None


def playing(rows: Sequence[Row], start: int) -> Iterator[tuple[int, Row]]:
    """Yield (pass, row) for ever: from the first usable row at or after `start` to the end, then all rows again and again."""
    yield from ((0, row) for row in rows if row.number >= start)
    for turn in count(1):
        yield from ((turn, row) for row in rows)


class Place:
    """Where to go on after a restart: a small file with the number of the next row. Without a path nothing is kept.

    What cannot be read or written is logged once and is no reason to stop: the worst is to start at the usual row.
    """

    def __init__(self, path: Path | None, log: Log) -> None:
        self._path = path
        self._log = log

    def read(self, otherwise: int) -> int:
        """Return the row to start at."""
        if self._path is None:
            return otherwise
        try:
            return max(0, int(json.loads(self._path.read_text(encoding="utf-8"))["next_row"]))
        except FileNotFoundError:
            return otherwise
        except (OSError, ValueError, TypeError, LookupError) as error:
            self._log.warning("place_unreadable", path=str(self._path), reason=repr(error), start=otherwise)
            return otherwise

    def write(self, row: int) -> None:
        """Keep the row to start at; a crash leaves the old file or the new one, never half of one."""
        if self._path is None:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            new.write_text(json.dumps({"next_row": row}), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            self._log.warning("place_not_kept", path=str(self._path), reason=repr(error))
            self._path = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the feed is told."""

    ingest: str
    key: str
    interval: float
    """Seconds between readings."""
    start: int
    readings: int
    """How many to publish; 0 is for ever."""
    sensor: str
    state: Path | None


def reading(row: Row, *, turn: int, run: str, sensor: str, now: datetime) -> Event:
    """Return a recorded row as an observation of now. The id tells run, pass and row, so that a warning's evidence leads back to the recording."""
    measurement = Measurement(sensor=sensor, values={METRIC: row.flow}, end=now, origin=Origin.REPLAYED)
    return observation_event(event_id=f"{run}-{turn}-{row.number}", source=SOURCE, time=now, measurement=measurement, place=row.number)


async def feed(settings: Settings, recording: Recording, *, clock: Clock, log: Log) -> None:
    """Replay until cancelled, or until as many readings as wanted are settled."""
    place = Place(settings.state, log)
    start = place.read(settings.start)
    log.info("replaying", sensor=settings.sensor, ingest=settings.ingest, interval_s=settings.interval, start_row=start, origin=Origin.REPLAYED)
    # No proxy from the environment: ingest is named by its address, and what is meant for the web must not come between.
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, headers={"Authorization": f"Bearer {settings.key}"}) as client:
        publisher = Publisher(
            client=client, url=f"{settings.ingest.rstrip('/')}/v1/events", log=log, settled=lambda event: place.write(event.place + 1)
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(publisher.run())
                reporter = tasks.create_task(_report(publisher, log))
                await _play(settings, recording, start=start, publisher=publisher, clock=clock, log=log)
                await publisher.drained()
                sender.cancel()
                reporter.cancel()
        finally:
            counts = publisher.counts
            log.info("stopped", accepted=counts.accepted, refused=counts.refused, dropped=counts.dropped, unsent=publisher.unsent)


async def _play(settings: Settings, recording: Recording, *, start: int, publisher: Publisher, clock: Clock, log: Log) -> None:
    """Offer one reading each interval on a fixed schedule; after a stall of the machine it goes on from now, without a burst."""
    loop = asyncio.get_running_loop()
    run = uuid4().hex[:12]
    due = loop.time()
    before = 0
    for turn, row in islice(playing(recording.rows, start), settings.readings or None):
        await asyncio.sleep(due - loop.time())
        if turn != before:
            log.info("recording_starts_over", turn=turn)
            before = turn
        publisher.offer(reading(row, turn=turn, run=run, sensor=settings.sensor, now=clock()))
        due = max(due + settings.interval, loop.time())


async def _report(publisher: Publisher, log: Log) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        counts = publisher.counts
        log.info("published", accepted=counts.accepted, refused=counts.refused, dropped=counts.dropped, unsent=publisher.unsent)


def _seconds(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not 0.001 <= value <= 86_400:  # noqa: PLR2004 - a millisecond to a day; NaN is in no range
        raise click.BadParameter(f"{value} is not between 0.001 and 86400 seconds")
    return value


def _key() -> str:
    key = os.environ.get(KEY, "")
    if not usable(key):
        raise click.UsageError(f"{KEY} must hold the department's key (it is not an option: other users can see a process's arguments)")
    return key


@click.command(context_settings={"auto_envvar_prefix": "TONGGUAN_FEED", "show_default": True})
@click.option("--ingest", default="", callback=address, show_default=False, show_envvar=True, help="Where ingest listens.")
@click.option("--interval", default=1.0, callback=_seconds, show_envvar=True, help="Seconds between readings.")
@click.option("--start", default=START, type=click.IntRange(min=0), show_envvar=True, help="Row of the recording to start at, from 0.")
@click.option("--readings", default=0, type=click.IntRange(min=0), show_envvar=True, help="Stop after so many; 0 is for ever.")
@click.option("--sensor", default=SENSOR, show_envvar=True, help="The sensor that is said to have measured.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), show_envvar=True, help="File that keeps the place across restarts.")
def main(*, ingest: str, interval: float, start: int, readings: int, sensor: str, state: Path | None) -> None:
    """Replay a real pipe's flow into ingest. The department's key is taken from TONGGUAN_FEED_KEY."""
    settings = Settings(ingest=ingest, key=_key(), interval=interval, start=start, readings=readings, sensor=sensor, state=state)
    log = logger("feed.water_flow")
    try:
        recording = load(locate())
    except (RecordingError, OSError, UnicodeDecodeError, csv.Error) as error:
        log.error("no_recording", reason=str(error))  # noqa: TRY400 - the reason says all; a trace would hide it
        sys.exit(NOTHING_TO_DO)
    if start > (last := recording.rows[-1].number):
        raise click.UsageError(f"--start {start} lies behind the recording's last row, {last}")
    log.info("recording_loaded", rows=len(recording.rows), skipped=recording.skipped, missing_hours=recording.missing_hours)
    asyncio.run(until_told(feed(settings, recording, clock=system_clock, log=log)))


if __name__ == "__main__":
    main()
