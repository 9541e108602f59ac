"""Sends a city's simulated readings into ingest, for each department with its own key."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from feeds.process import Clock, Log
from feeds.publisher import TIMEOUT, Event, Publisher, batch, observation_event
from feeds.simulated.folder import Folder
from feeds.simulated.scenario import Scenario
from feeds.simulated.simulation import Reading, Schedule, sources

SOURCE = "/departments/{department}/simulated"
TURN_S = 0.5
"""What is due is looked for this often: pages show a steady trickle, and a department sends two requests a second at most."""
CAPACITY = 120
"""Batches that wait while ingest is away: a minute of them. What is older is dropped, so that no storm follows; simulated readings are no loss."""
STALE = timedelta(seconds=60)
"""Older than that no reading is made: the machine slept."""
LARGEST_BATCH = 500
PROGRESS_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the feed is told."""

    ingest: str
    keys: Mapping[str, str]
    """By department."""
    city: Path
    scenarios: tuple[str, ...]
    seed: int
    pace: float


async def feed(settings: Settings, place: Folder, scenarios: list[Scenario], *, clock: Clock, log: Log) -> None:
    """Simulate until cancelled."""
    start = clock()
    everything = sources(place, scenarios, start=start, seed=settings.seed, pace=settings.pace)
    mine = [source for source in everything if source.sensor.department in settings.keys]
    log.info("simulating", city=place.city.code, sensors=len(mine), scenarios=settings.scenarios, seed=settings.seed, pace=settings.pace)
    async with AsyncExitStack() as stack:
        publishers: dict[str, Publisher] = {}
        for department in sorted({source.sensor.department for source in mine}):
            headers = {"Authorization": f"Bearer {settings.keys[department]}"}
            # No proxy from the environment: ingest is named by its address, and what is meant for the web must not come between.
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, headers=headers))
            url = f"{settings.ingest.rstrip('/')}/v1/events"
            publishers[department] = Publisher(client=client, url=url, log=log.bind(department=department), capacity=CAPACITY)
        try:
            async with asyncio.TaskGroup() as tasks:
                for publisher in publishers.values():
                    tasks.create_task(publisher.run())
                tasks.create_task(_report(publishers, log))
                await _play(Schedule(mine), publishers, start=start, clock=clock, log=log)
        finally:
            _told(publishers, log, "stopped")


async def _play(schedule: Schedule, publishers: Mapping[str, Publisher], *, start: datetime, clock: Clock, log: Log) -> None:
    """Offer what is due, turn by turn."""
    skipped = 0
    while True:
        for department, readings in by_department(schedule.until(clock(), stale=STALE)).items():
            for first in range(0, len(readings), LARGEST_BATCH):
                publishers[department].offer(batch([_event(reading, start) for reading in readings[first : first + LARGEST_BATCH]]))
        if schedule.skipped != skipped:
            log.warning("readings_skipped", why="their time had passed", skipped=schedule.skipped - skipped)
            skipped = schedule.skipped
        await asyncio.sleep(TURN_S)


def by_department(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Return readings by who publishes them."""
    sorted_: defaultdict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        sorted_[reading.department].append(reading)
    return sorted_


def _event(reading: Reading, start: datetime) -> Event:
    """Return a reading as a CloudEvent; the same run gives the same id, another run never does."""
    event_id = f"{start.timestamp():.3f}/{reading.name}"
    time = reading.measurement.end or start
    return observation_event(event_id=event_id, source=SOURCE.format(department=reading.department), time=time, measurement=reading.measurement)


async def _report(publishers: Mapping[str, Publisher], log: Log) -> None:
    """Say once a minute that all is well."""
    while True:
        await asyncio.sleep(PROGRESS_S)
        _told(publishers, log, "published")


def _told(publishers: Mapping[str, Publisher], log: Log, what: str) -> None:
    counts = [publisher.counts for publisher in publishers.values()]
    log.info(
        what,
        accepted=sum(one.accepted for one in counts),
        refused=sum(one.refused for one in counts),
        dropped=sum(one.dropped for one in counts),
        unsent=sum(publisher.unsent for publisher in publishers.values()),
    )
