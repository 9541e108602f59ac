"""Which ways in this node opens, by its settings, and how each judges again what it refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from schemas.city import Quota
from services.ingest.domain import hj212 as hj212_domain
from services.ingest.domain import mqtt as mqtt_domain
from services.ingest.domain.gb26875 import Hearing
from services.ingest.domain.hj212 import Terms
from services.ingest.domain.registry import Registry
from services.ingest.door import Door
from services.ingest.doors import gb26875, hj212, http, inbound, mqtt
from services.ingest.intake import Intake, Judged
from services.ingest.keys import Keys
from services.ingest.passwords import Passwords
from services.ingest.patrols import Calls
from services.ingest.presence import Presence
from services.ingest.refusals import Judge
from services.ingest.settings import Settings
from services.kit import room
from services.kit.city import CityFolder
from services.kit.http import serve as serve_http
from services.kit.topics import inbound as inbound_topics

ALWAYS = float("inf")
"""Of checks that are told when something changes, not renewed."""


@dataclass(frozen=True)
class Opened:
    """A way in, and what keeps it open until `stop`; what it has under way then is answered first."""

    door: Door
    run: Callable[[asyncio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Opening:
    """Makes the doors of a node out of what they share."""

    settings: Settings
    place: CityFolder
    room: room.Room
    intake: Intake
    keys: Keys
    presence: Presence

    def doors(self) -> list[Opened]:
        """Return the doors that the settings want; none listens yet. Raises `Misconfigured`."""
        own = self.settings.ingest
        wanted = (
            (True, self._http),
            (True, self._inbound),
            (own.hj212.enabled, self._hj212),
            (own.gb26875.enabled, self._gb26875),
            (own.mqtt.url is not None, self._mqtt),
        )
        return [open_() for is_wanted, open_ in wanted if is_wanted]

    def judges(self) -> dict[str, Judge]:
        """Return for each media type that doors of devices keep with what they refuse how it is judged again, whether they are open or not."""
        judges: dict[str, Judge] = {
            hj212_domain.MEDIA_TYPE: hj212.Judge(self._terms, self._passwords),
            gb26875.CONTENT_TYPE: gb26875.Judging(self._hearing),
        }
        if self._mapper is not None:
            judges[mqtt_domain.MEDIA_TYPE] = _JudgingMessages(self._mapper)
        return judges

    def _door(self, protocol: str) -> Door:
        return Door(protocol, self.settings.node, self.room.clock)

    def _http(self) -> Opened:
        own, door = self.settings.ingest, self._door("http")
        listening = self.room.health.check("http", max_age=ALWAYS)
        app = http.app(
            self.intake,
            door,
            self.keys,
            max_body=own.max_body,
            max_waiting=own.max_waiting,
            body_s=own.body_s,
            metrics=self.room.registry,
            departments=self.place.city.departments,
            quota=Quota(per_s=own.quota_per_s, burst=own.quota_burst),
        )

        def ready() -> None:
            door.listening = True
            listening.ok()

        return Opened(door, lambda stop: serve_http(app, host=self.settings.bind, port=own.port, stop=stop, ready=ready))

    def _inbound(self) -> Opened:
        door = self._door("inbound")
        topics = {topic: department for department, topic in inbound_topics(one.id for one in self.place.city.departments).items()}

        async def run(stop: asyncio.Event) -> None:
            reading = asyncio.ensure_future(inbound.read(self.room, self.intake, door, topics))
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

        return Opened(door, run)

    def _hj212(self) -> Opened:
        door = self._door("hj212")
        listening = self.room.health.check("hj212", max_age=ALWAYS)
        server = hj212.Server(
            intake=self.intake,
            door=door,
            presence=self.presence,
            passwords=self._passwords,
            terms=self._terms,
            settings=self.settings.ingest.hj212,
            clock=self.room.clock,
            metrics=self.room.registry,
        )
        return Opened(door, lambda stop: server.run(host=self.settings.bind, stop=stop, ready=listening.ok))

    def _gb26875(self) -> Opened:
        own, door = self.settings.ingest.gb26875, self._door("gb26875")
        listening = self.room.health.check("gb26875", max_age=ALWAYS)
        server = gb26875.Server(
            intake=self.intake,
            door=door,
            hearing=self._hearing,
            department=gb26875.department_for(own, self.place.city),
            presence=self.presence,
            calls=Calls(self.room.pool, self.settings.node),
            settings=own,
            clock=self.room.clock,
            metrics=self.room.registry,
        )
        return Opened(door, lambda stop: server.serve(host=self.settings.bind, stop=stop, ready=listening.ok))

    def _mqtt(self) -> Opened:
        own, door = self.settings.ingest.mqtt, self._door("mqtt")
        messages = mqtt.Mqtt(
            mapper=self._mapper or mqtt.mapper(self.settings.city, self.place, self.intake),  # the second says what is missing
            # Of itself a node is named by its host and its process's number: under that the broker would keep for ever what it has not delivered.
            terms=mqtt.terms(own, node=self.settings.node.removesuffix(f"-{os.getpid()}"), secrets=self.settings.secrets),
            share=own.share,
            intake=self.intake,
            door=door,
            clock=self.room.clock,
            check=self.room.health.check("mqtt", max_age=ALWAYS, only_told=True),  # the broker's absence is no reason to send nobody to the others
            metrics=self.room.registry,
        )
        return Opened(door, messages.run)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.place.city.timezone)

    @cached_property
    def _terms(self) -> Terms:
        return Terms(self._zone, self.intake.limits)

    @cached_property
    def _passwords(self) -> Passwords:
        return Passwords(self.settings.secrets, "hj212")

    @cached_property
    def _hearing(self) -> Hearing:
        return Hearing(self._zone, self.intake.limits)

    @cached_property
    def _mapper(self) -> mqtt_domain.Mapper | None:
        return mqtt.mapper(self.settings.city, self.place, self.intake) if (self.settings.city / mqtt.FILE).is_file() else None


@dataclass(frozen=True)
class _JudgingMessages:
    """Judges again what came by MQTT; a reading that says no time is of when it came."""

    mapper: mqtt_domain.Mapper

    def __call__(self, body: bytes, content_type: str, department: str, registry: Registry, now: datetime, received: datetime) -> Judged:
        heard = self.mapper.judge(body, content_type, department, registry, now, received=received)
        return Judged(heard.observations, refused=heard.refused)
