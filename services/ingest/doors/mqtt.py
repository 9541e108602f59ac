"""The door of MQTT: devices that publish to the city's broker, whose client we are.

Order of a message with QoS 1:
 1. it arrives, and counts as under way
 2. a mapping makes readings or refusals of it, together with all others that wait
 3. Kafka has them (`Intake.publish`); while Kafka is away, it is tried again and again
 4. the broker is told that it may forget it

A connection that is lost before 4, by the death of this process too, leaves it with the broker, which sends it again: to the next connection of
this client, in the session that it keeps. A message with QoS 0 is best effort: nobody sends it again.

Each department has a session of its own: what is not acknowledged fills the window of its department only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from paho.mqtt.client import MQTTMessage
from prometheus_client import CollectorRegistry, Counter

from schemas import wire
from schemas.mqtt import Mappings
from schemas.rejected import Problem
from services.ingest.domain.accept import Refused
from services.ingest.domain.mqtt import MEDIA_TYPE, Heard, Mapper, content_type
from services.ingest.door import Door
from services.ingest.doors.broker import Connection, Terms
from services.ingest.errors import BrokerRefuses
from services.ingest.intake import Intake, Judged, Origin
from services.ingest.settings import MqttSettings
from services.ingest.units import conversion
from services.kit import documents, logs, room
from services.kit.city import CityFolder
from services.kit.clock import Clock
from services.kit.errors import Misconfigured, Unavailable
from services.kit.health import Check

_log = logs.get(__name__)

BATCH = 500
"""Messages that are published together."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""Between attempts to connect: doubled each time, less up to a half by chance, so that nodes do not come all at once."""
AGAIN_S = 0.5
"""Between attempts to publish, on top of the time that Kafka is given to acknowledge."""
DRAIN_S = 1.5
"""For what is under way when the service stops: the supervisor kills 4 s after it has asked."""
LEAVE_S = 0.3
LARGEST_HELD = 64 << 20
"""Bytes of payloads that are held; beyond it nothing more is read."""


FILE = "mqtt.yaml"
"""Of a city's folder."""


def mapper(folder: Path, place: CityFolder, intake: Intake) -> Mapper:
    """Return the mappings of a city's folder; raises `Misconfigured`."""
    file = folder / FILE
    mappings = documents.read(file, Mappings).model
    departments = {department.id for department in place.city.departments}
    if unknown := [one.id for one in mappings.mappings if one.department not in departments]:
        raise Misconfigured(f"{file}: mappings {unknown} are of departments that city.yaml does not have")
    return Mapper(mappings, zone=ZoneInfo(place.city.timezone), convert=conversion, limits=intake.limits)


def terms(settings: MqttSettings, *, node: str, secrets: Path | None) -> Terms:
    """Return with which broker and as whom; raises `Misconfigured`. The password may stand in the secrets file as `mqtt_password`."""
    address = urlsplit(settings.url or "")
    tls = address.scheme == "mqtts"
    password = settings.password.get_secret_value() if settings.password else unquote(address.password or "") or _kept(secrets)
    return Terms(
        host=address.hostname or "",
        port=address.port or (8883 if tls else 1883),
        tls=tls,
        ca=str(settings.ca) if settings.ca else None,
        user=unquote(address.username) if address.username else None,
        password=password,
        client=settings.client or f"tongguan-{node}",
        version=settings.version,
        window=settings.window,
        session_s=settings.session_s,
        keepalive_s=settings.keepalive_s,
    )


def _kept(secrets: Path | None) -> str | None:
    if secrets is None:
        return None
    try:
        password = json.loads(secrets.read_text("utf-8")).get("mqtt_password")
    except (OSError, ValueError, AttributeError) as error:
        raise Misconfigured(f"{secrets}: cannot read mqtt_password: {error!r}") from error
    return None if password is None else str(password)


class _Held:
    """A message that is under way."""

    def __init__(self, message: MQTTMessage, connection: Connection, door: Door) -> None:
        self.topic = message.topic
        self.payload = bytes(message.payload)
        self._mid = message.mid if message.qos else None
        self._connection = connection
        self._under_way = contextlib.ExitStack()
        self.now: datetime = self._under_way.enter_context(door.under_way())

    @property
    def comes_again(self) -> bool:
        """Whether its connection is lost, so that the broker sends it again."""
        return self._mid is not None and not self._connection.is_open

    def done(self) -> None:
        """Kafka has all of it."""
        if self._mid is not None:
            self._connection.acknowledge(self._mid)
        self.dropped()

    def dropped(self) -> None:
        """It is no more under way."""
        self._under_way.close()


Told = Callable[[str, str], None]
"""Of a department, and why it is not heard; empty when it is."""


class Mqtt:
    """The door: it listens while all departments' sessions do."""

    def __init__(
        self, *, mapper: Mapper, terms: Terms, share: str, intake: Intake, door: Door, clock: Clock, check: Check, metrics: CollectorRegistry
    ) -> None:
        """`share` is the name under which nodes share the subscriptions; empty where each gets everything."""
        self._door = door
        self._check = check
        self._problems = dict.fromkeys(mapper.filters, "not connected yet")
        self._clock = clock
        counter = Counter(
            "tongguan_ingest_mqtt_messages", "Messages: qos0, qos1, repeated, retained, ignored", ["department", "kind"], registry=metrics
        )
        self._sessions = [
            Session(
                department,
                terms=replace(terms, client=f"{terms.client}-{department}"),
                filters=[f"$share/{share}/{one}" if share else one for one in filters],
                mapper=mapper,
                intake=intake,
                door=door,
                clock=clock,
                told=self._told,
                count=counter,
            )
            for department, filters in mapper.filters.items()
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Take messages until `stop`, however often the broker goes; what is under way then is finished, or left to the broker.

        To be called once the registry is known.
        """
        # The library of units takes seconds to load, and would hold up the loop at the first message.
        await asyncio.to_thread(conversion, "cm", "m")
        self._settle()
        async with asyncio.TaskGroup() as tasks:
            for session in self._sessions:
                tasks.create_task(session.run(stop))
        self._door.listening = False

    def _told(self, department: str, why: str) -> None:
        self._problems[department] = why
        self._settle()

    def _settle(self) -> None:
        reasons = sorted({why for why in self._problems.values() if why})
        self._door.listening = not reasons
        if reasons:
            self._check.fail("; ".join(reasons))
        else:
            self._check.ok()


class Session:
    """A department's messages. At most two windows of them are held, and `LARGEST_HELD` bytes; then nothing more is read."""

    def __init__(
        self,
        department: str,
        *,
        terms: Terms,
        filters: Sequence[str],
        mapper: Mapper,
        intake: Intake,
        door: Door,
        clock: Clock,
        told: Told,
        count: Counter,
    ) -> None:
        """`told` is called when it is heard and when it is not; `count` is by department and kind."""
        self._department = department
        self._terms = terms
        self._filters = filters
        self._mapper = mapper
        self._intake = intake
        self._door = door
        self._clock = clock
        self._told = told
        self._count = count
        self._seldom = logs.Seldom()
        self._connection: Connection | None = None
        self._waiting: deque[_Held] = deque()
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._held = self._bytes = 0

    async def run(self, stop: asyncio.Event) -> None:
        """See `Mqtt.run`."""
        self._idle.set()
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(self._work())
            try:
                await room.until_stopped(self._stay_connected(), stop)
                await self._leave()
            finally:
                working.cancel()
                if self._connection is not None:
                    self._connection.cut()

    # Connections

    async def _stay_connected(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            connection = Connection(self._terms, self._arrived)
            try:
                self._connection = connection
                await connection.open(self._filters)
                self._listens()
                wait = FIRST_WAIT_S
                reason = await connection.lost
                self._lost(f"{self._terms.shown} is lost: {reason}")
            except (Unavailable, BrokerRefuses) as error:
                self._lost(str(error))
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, LONGEST_WAIT_S)

    def _listens(self) -> None:
        self._told(self._department, "")
        self._seldom.over()
        _log.info("mqtt_listens", broker=self._terms.shown, client=self._terms.client, filters=self._filters)

    def _lost(self, why: str) -> None:
        """Forget what the broker sends again."""
        self._told(self._department, why)
        if self._seldom.due(self._clock.monotonic()):
            _log.warning("mqtt_away", why=why, client=self._terms.client)
        for held in [one for one in self._waiting if one.comes_again]:
            self._waiting.remove(held)
            held.dropped()
            self._given_back(held)

    async def _leave(self) -> None:
        self._told(self._department, "stopping")
        if self._connection is None:
            return
        self._connection.pause()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._idle.wait()
        await self._connection.close(LEAVE_S)

    # Messages

    def _arrived(self, message: MQTTMessage) -> None:
        connection = self._connection
        if connection is None:
            return
        self._count.labels(self._department, "repeated" if message.dup else f"qos{message.qos}").inc()
        if message.retain:
            # Said before we subscribed, nobody knows when: no news.
            self._count.labels(self._department, "retained").inc()
            if message.qos:
                connection.acknowledge(message.mid)
            return
        held = _Held(message, connection, self._door)
        self._waiting.append(held)
        self._held += 1
        self._bytes += len(held.payload)
        self._idle.clear()
        self._some.set()
        if self._is_full():
            connection.pause()

    def _is_full(self) -> bool:
        return self._held >= 2 * self._terms.window or self._bytes >= LARGEST_HELD

    def _given_back(self, held: _Held) -> None:
        self._held -= 1
        self._bytes -= len(held.payload)
        if not self._held:
            self._idle.set()

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._deliver(batch)

    async def _deliver(self, batch: Sequence[_Held]) -> None:
        """Return once Kafka has all that these messages say; then the broker may forget them."""
        try:
            parts = self._judged(batch)
            while parts := await self._not_published(parts):
                await asyncio.sleep(AGAIN_S)
            for held in batch:
                held.done()
        finally:
            for held in batch:
                held.dropped()
                self._given_back(held)
        if self._connection is not None and not self._is_full():
            self._connection.resume()

    def _judged(self, batch: Sequence[_Held]) -> list[_Part]:
        """Return what is to be published: all readings together, what is refused by its topic."""
        observations: list[wire.Observation] = []
        parts: list[_Part] = []
        for held in batch:
            heard = self._hear(held)
            if heard is None:
                self._count.labels(self._department, "ignored").inc()
                continue
            observations += heard.observations
            if heard.refused:
                parts.append(_Part(Judged(refused=heard.refused), self._origin(content_type(held.topic)), held.now))
        return [*parts, _Part(Judged(observations), self._origin(MEDIA_TYPE), batch[0].now)] if observations else parts

    def _hear(self, held: _Held) -> Heard | None:
        """Return what a message says. One that our own mistake keeps us from judging is kept: the broker would send it again to each new process."""
        registry = self._intake.known
        try:
            return self._mapper.hear(self._department, held.topic, held.payload, registry, held.now)
        except Exception:  # noqa: BLE001 - it harms this message only
            _log.exception("not_judged", topic=held.topic, hint="our mistake: tell whoever runs the platform")
            problem = Problem(code="our_mistake", where="", message="it could not be judged", hint="send it again when ingest is mended")
            return Heard(refused=[Refused(problem, None, held.payload)])

    def _origin(self, kind: str) -> Origin:
        return Origin(self._department, self._terms.host, kind)

    async def _not_published(self, parts: Sequence[_Part]) -> list[_Part]:
        """Publish, and return what Kafka did not acknowledge."""
        attempts = (self._intake.publish(part.judged, part.origin, self._door, part.now) for part in parts)
        results = await asyncio.gather(*attempts, return_exceptions=True)
        if failed := next((one for one in results if isinstance(one, BaseException) and not isinstance(one, Unavailable)), None):
            raise failed
        return [part for part, result in zip(parts, results, strict=True) if isinstance(result, Unavailable)]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is published as one."""

    judged: Judged
    origin: Origin
    now: datetime
