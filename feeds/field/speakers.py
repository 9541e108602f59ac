"""All devices of a city: which sensor is heard by which, and where they speak to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from feeds.field.broker import Broker, Publisher
from feeds.field.faults import Faults, Luck, Numbers
from feeds.field.gb26875 import Transmitter
from feeds.field.hj212 import Monitor
from feeds.field.line import Clock, Counts, Device, Line
from feeds.field.mqtt import check
from feeds.field.words import number
from protocols.hj212 import EDITION_2005, EDITION_2017
from schemas import mqtt
from schemas.base import Origin
from schemas.link import Gb26875, Hj212, Meaning, Mqtt
from schemas.observation import Measurement
from schemas.sensor import Sensor

PROTOCOLS: Final = ("hj212", "gb26875", "mqtt")
PASSWORD: Final = "123456"  # noqa: S105 - the one that devices leave the factory with; simulated devices guard nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where the platform listens for devices; None where it does not."""

    hj212: tuple[str, int] | None = None
    gb26875: tuple[str, int] | None = None
    mqtt: str | None = None
    hj212_pw: str = PASSWORD

    def open_to(self, sensor: Sensor) -> bool:
        """Say whether a sensor's protocol has an address here."""
        return sensor.link is not None and getattr(self, sensor.link.protocol) is not None


class Voice(Protocol):
    """Who says a sensor's readings."""

    @property
    def unsent(self) -> int:
        """Readings that are not acknowledged."""

    def offer(self, measurement: Measurement) -> None:
        """Take a reading to be said; never waits."""


class Speakers:
    """The devices of all sensors that are linked and whose protocol has a door; `run` by one task until cancelled.

    A device that the platform would take for a real one is left out: nobody speaks in its name.
    """

    def __init__(
        self,
        sensors: Iterable[Sensor],
        *,
        doors: Doors,
        faults: Faults,
        chance: Numbers,
        mappings: Iterable[mqtt.Mapping],
        zone: ZoneInfo,
        clock: Clock,
        name: str,
    ) -> None:
        """`name` is the client's at the broker. Raises `NoWord` for a device that could not say its sensor's values."""
        self.counts = {protocol: Counts() for protocol in PROTOCOLS}
        self._doors = doors
        self._faults = faults
        self._chance = chance
        self._zone = zone
        self._clock = clock
        self._voices: dict[str, Voice] = {}
        self._lines: list[Line] = []
        self._broker = Broker(doors.mqtt, client_id=name, counts=self.counts["mqtt"]) if doors.mqtt is not None else None
        mine = [sensor for sensor in sensors if doors.open_to(sensor)]
        self._lines_of([sensor for sensor in mine if not isinstance(sensor.link, Mqtt)])
        self._publishers_of([sensor for sensor in mine if isinstance(sensor.link, Mqtt)], {mapping.id: mapping for mapping in mappings})

    def __contains__(self, sensor: str) -> bool:
        return sensor in self._voices

    @property
    def devices(self) -> int:
        """How many there are."""
        return len({id(voice) for voice in self._voices.values()})

    @property
    def unsent(self) -> int:
        """Readings that nobody has acknowledged."""
        return sum(voice.unsent for voice in {id(voice): voice for voice in self._voices.values()}.values())

    def offer(self, measurement: Measurement) -> None:
        """Let a sensor's device say a reading; raises `KeyError` for a sensor that has none."""
        self._voices[measurement.sensor].offer(measurement)

    async def run(self) -> None:
        """Speak until cancelled."""
        if self._broker is not None:
            self._broker.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                for line in self._lines:
                    tasks.create_task(line.run())
                await asyncio.Event().wait()
        finally:
            if self._broker is not None:
                self._broker.close()

    def _luck(self, device: str) -> Luck:
        return Luck(device, self._faults, self._chance)

    def _lines_of(self, sensors: list[Sensor]) -> None:
        monitors: defaultdict[str, dict[str, tuple[Sensor, Hj212]]] = defaultdict(dict)
        transmitters: defaultdict[str, dict[str, tuple[Sensor, Gb26875]]] = defaultdict(dict)
        for sensor in sensors:
            match sensor.link:
                case Hj212(origin=Origin.SIMULATED) as link:
                    monitors[link.mn][sensor.id] = sensor, link
                    _check(link.codes.values(), sensor)
                case Gb26875(origin=Origin.SIMULATED) as link:
                    transmitters[link.device][sensor.id] = sensor, link
                    _check(link.analogues.values(), sensor)
                case _:
                    pass
        for mn, monitored in monitors.items():
            luck = self._luck(f"hj212/{mn}")
            edition = EDITION_2005 if luck.old() else EDITION_2017
            monitor = Monitor(monitored, mn, self._doors.hj212_pw, self._zone, luck.skew(), edition)
            self._line(self._doors.hj212, "hj212", monitor, luck, monitored)
        for address, watched in transmitters.items():
            luck = self._luck(f"gb26875/{address}")
            self._line(self._doors.gb26875, "gb26875", Transmitter(watched, address, luck, self._zone, luck.skew()), luck, watched)

    def _line(self, door: tuple[str, int] | None, protocol: str, device: Device, luck: Luck, sensors: Iterable[str]) -> None:
        if door is None:
            return
        line = Line(*door, device, luck, self._clock, self.counts[protocol])
        self._lines.append(line)
        self._voices |= dict.fromkeys(sensors, line)

    def _publishers_of(self, sensors: list[Sensor], mappings: Mapping[str, mqtt.Mapping]) -> None:
        for sensor in sensors:
            link = sensor.link
            if self._broker is None or not isinstance(link, Mqtt) or (mapping := mappings.get(link.mapping)) is None or mapping.origin is None:
                continue
            check(mapping, sensor)
            luck = self._luck(f"mqtt/{link.mapping}/{link.device}")
            self._voices[sensor.id] = Publisher(self._broker, sensor, mapping, luck, self._zone, self._clock, self.counts["mqtt"], ahead=luck.skew())


def _check(meanings: Iterable[Meaning], sensor: Sensor) -> None:
    for meaning in meanings:
        number(1.0, sensor.metrics[meaning.metric], unit=meaning.unit, scale=meaning.scale)
