"""Sends a city's simulated readings into ingest: by the protocols of the devices behind the sensors, else for each department with its own key."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from feeds.field.speakers import Doors, Speakers
from feeds.process import Clock, Log
from feeds.publisher import TIMEOUT, Event, Publisher, batch, observation_event
from feeds.simulated.chance import Chance
from feeds.simulated.folder import Folder
from feeds.simulated.hydraulics import Hydraulics, compute
from feeds.simulated.scenario import Scenario
from feeds.simulated.simulation import Reading, Schedule, Source, sources

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
    doors: Doors = field(default_factory=Doors)


async def feed(settings: Settings, place: Folder, scenarios: list[Scenario], *, clock: Clock, log: Log) -> None:
    """Simulate until cancelled."""
    start = clock()
    hydraulics = Hydraulics()
    everything = sources(place, scenarios, start=start, seed=settings.seed, pace=settings.pace, hydraulics=hydraulics)
    speakers = _speakers(settings, place, start=start, clock=clock)
    mine = [source for source in everything if _is_heard(source, settings, speakers)]
    _tell_left_out(everything, speakers, log)
    log.info(
        "simulating",
        city=place.city.code,
        sensors=len(mine),
        devices=speakers.devices,
        scenarios=settings.scenarios,
        seed=settings.seed,
        pace=settings.pace,
    )
    async with AsyncExitStack() as stack:
        publishers: dict[str, Publisher] = {}
        for department in sorted({source.sensor.department for source in mine if source.sensor.link is None}):
            headers = {"Authorization": f"Bearer {settings.keys[department]}"}
            # No proxy from the environment: ingest is named by its address, and what is meant for the web must not come between.
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, headers=headers))
            url = f"{settings.ingest.rstrip('/')}/v1/events"
            publishers[department] = Publisher(client=client, url=url, log=log.bind(department=department), capacity=CAPACITY)
        try:
            async with asyncio.TaskGroup() as tasks:
                for publisher in publishers.values():
                    tasks.create_task(publisher.run())
                tasks.create_task(speakers.run())
                tasks.create_task(compute(hydraulics, clock=clock, log=log))
                tasks.create_task(_report(publishers, speakers, log))
                await _play(Schedule(mine), publishers, speakers, start=start, clock=clock, log=log)
        finally:
            _told(publishers, speakers, log, "stopped")


def _speakers(settings: Settings, place: Folder, *, start: datetime, clock: Clock) -> Speakers:
    return Speakers(
        (one.sensor for one in place.sensors),
        doors=settings.doors,
        faults=place.faults,
        chance=Chance(settings.seed),
        mappings=place.mappings,
        zone=place.zone,
        clock=clock,
        name=f"tongguan-simulated-{start.timestamp():.0f}",
    )


def _is_heard(source: Source, settings: Settings, speakers: Speakers) -> bool:
    """Say whether a sensor can be heard: one with a device by that alone, for its silence counts while that door listens."""
    return source.sensor.department in settings.keys if source.sensor.link is None else source.sensor.id in speakers


def _tell_left_out(all_: Iterable[Source], speakers: Speakers, log: Log) -> None:
    left = Counter(source.sensor.link.protocol for source in all_ if source.sensor.link is not None and source.sensor.id not in speakers)
    for protocol, count in sorted(left.items()):
        why = f"TONGGUAN_FEED_{protocol.upper()} is not set, or they would be taken for real: the link's origin (MQTT: mqtt.yaml) must say simulated"
        log.warning("devices_left_out", protocol=protocol, sensors=count, why=why)


async def _play(schedule: Schedule, publishers: Mapping[str, Publisher], speakers: Speakers, *, start: datetime, clock: Clock, log: Log) -> None:
    """Offer what is due, turn by turn."""
    skipped = 0
    while True:
        for department, readings in by_department(_unspoken(schedule.until(clock(), stale=STALE), speakers)).items():
            for first in range(0, len(readings), LARGEST_BATCH):
                publishers[department].offer(batch([_event(reading, start) for reading in readings[first : first + LARGEST_BATCH]]))
        if schedule.skipped != skipped:
            log.warning("readings_skipped", why="their time had passed", skipped=schedule.skipped - skipped)
            skipped = schedule.skipped
        await asyncio.sleep(TURN_S)


def _unspoken(readings: Iterable[Reading], speakers: Speakers) -> Iterator[Reading]:
    """Let devices say theirs, and yield the others."""
    for reading in readings:
        if reading.measurement.sensor in speakers:
            speakers.offer(reading.measurement)
        else:
            yield reading


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


async def _report(publishers: Mapping[str, Publisher], speakers: Speakers, log: Log) -> None:
    """Say once a minute that all is well."""
    while True:
        await asyncio.sleep(PROGRESS_S)
        _told(publishers, speakers, log, "published")


def _told(publishers: Mapping[str, Publisher], speakers: Speakers, log: Log, what: str) -> None:
    counts = [publisher.counts for publisher in publishers.values()]
    log.info(
        what,
        accepted=sum(one.accepted for one in counts),
        refused=sum(one.refused for one in counts),
        dropped=sum(one.dropped for one in counts),
        unsent=sum(publisher.unsent for publisher in publishers.values()) + speakers.unsent,
        devices={protocol: asdict(one) for protocol, one in speakers.counts.items() if one.connections},
    )
