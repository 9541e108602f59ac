"""The composition of the gateway."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from pydantic import ValidationError

from schemas import wire
from schemas.health import Heartbeat
from schemas.sensor import Sensor
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway import http
from services.gateway.domain.access import Access
from services.gateway.domain.proxies import Proxies
from services.gateway.domain.view import View
from services.gateway.live import LiveServer
from services.gateway.reads import ROLE, Reads
from services.gateway.settings import Settings
from services.kit import city, database, logs, room
from services.kit.errors import Misconfigured
from services.kit.http import serve as serve_http
from services.kit.reader import Reader
from services.kit.topics import HEALTH, OBSERVATIONS, SENSORS, WARNINGS, load

_log = logs.get(__name__)

ROOM = "gateway"


class Feed:
    """Takes the topics' records into the view; one that does not decode is told and passed over."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def sensor(self, record: ConsumerRecord) -> None:
        """Take a record of `city.sensors`."""
        if record.value is not None:
            self._try(record, lambda: self._view.take_sensor(Sensor.model_validate_json(record.value)))

    async def warning(self, record: ConsumerRecord) -> None:
        """Take a record of `city.warnings`."""
        self._try(record, lambda: self._view.take_warning(Warning.model_validate_json(record.value), record.value))

    async def health(self, record: ConsumerRecord) -> None:
        """Take a record of `city.health`."""
        self._try(record, lambda: self._view.take_heartbeat(Heartbeat.model_validate_json(record.value)))

    async def observation(self, record: ConsumerRecord) -> None:
        """Take a record of `city.observations`."""
        try:
            value = wire.decode(record.value or b"")
        except msgspec.DecodeError as error:
            _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
            return
        if type(value) is wire.Observation:
            self._view.take_observation(value)
        elif type(value) is wire.Tick:
            self._view.take_tick(record.partition, value.time)

    @staticmethod
    def _try(record: ConsumerRecord, take: Callable[[], None]) -> None:
        try:
            take()
        except ValidationError as error:
            _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`; live sessions are then closed with a code that says to come back."""
    regions = city.load(settings.city).regions
    access = Access(_tokens(settings.secrets), regions)
    own = settings.gateway
    proxies = _proxies(own.trusted_proxies)
    async with room.opened(ROOM, settings, own.admin_port, stop, role=ROLE) as opened:
        view, reads = View(regions), Reads(opened.pool)
        feed = Feed(view)
        sensors = Reader(settings.kafka, {SENSORS: feed.sensor}, opened.health.check("sensors topic", max_age=10))
        topics = {WARNINGS: feed.warning, OBSERVATIONS: feed.observation, HEALTH: feed.health}
        live: LiveServer
        reader = Reader(
            settings.kafka, topics, opened.health.check("topics", max_age=10), after=lambda: live.flush(values=False), tail=frozenset({HEALTH})
        )
        live = LiveServer(
            view=view,
            access=access,
            proxies=proxies,
            clock=opened.clock,
            position=lambda: position(reader.positions),
            partitions=load()[OBSERVATIONS].partitions,
            slow_bytes=own.slow_bytes,
            metrics=opened.registry,
        )
        caught_up = opened.health.check("view", max_age=float("inf"))
        listening = opened.health.check("http", max_age=float("inf"))
        opened.started.ok()
        tasks = [opened.tasks.create_task(sensors.run({}))]
        positions = await room.until_stopped(_boot(view, reads, sensors), stop)
        if positions is not None:
            tasks.append(opened.tasks.create_task(reader.run(positions)))
        if positions is not None and await room.until_stopped(reader.caught_up.wait(), stop):
            caught_up.ok()
            tasks.append(opened.tasks.create_task(live.turn(own.values_s, own.heartbeat_s)))
            closing = opened.tasks.create_task(_close(live, stop))
            await serve_http(
                http.app(view, access, reads),
                host=settings.bind,
                port=own.port,
                stop=stop,
                ready=listening.ok,
                ws=live.connection,
                proxy_headers=True,
                forwarded_allow_ips=own.trusted_proxies,
            )
            await closing
        for task in tasks:
            task.cancel()


async def _boot(view: View, reads: Reads, sensors: Reader) -> Mapping[TopicPartition, int]:
    """Fill the view with what history holds; returns up to where that is."""
    await sensors.caught_up.wait()
    streets = [region.code for region in view.regions]
    boot = await database.retrying(lambda: reads.boot(streets, view.sensors), what="read history")
    for body in boot.warnings:
        view.take_warning(Warning.model_validate_json(body), body.encode())
    for observation in boot.observations:
        view.take_observation(observation)
    return boot.positions


async def _close(live: LiveServer, stop: asyncio.Event) -> None:
    await stop.wait()
    await live.close()


def position(positions: Mapping[TopicPartition, int]) -> str:
    """Return the opaque position of a view: how far `city.warnings` has been read."""
    offsets = [offset for tp, offset in sorted(positions.items()) if tp.topic == WARNINGS]
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(offsets)).decode()


def _proxies(listed: str) -> Proxies:
    try:
        return Proxies(listed)
    except ValueError as error:
        raise Misconfigured(f"TONGGUAN_GATEWAY__TRUSTED_PROXIES: {error}; give addresses and networks, separated by commas") from error


def _tokens(secrets: Path | None) -> dict[str, str]:
    if secrets is None:
        raise Misconfigured("TONGGUAN_SECRETS is not set: it names the JSON file with region_tokens")
    try:
        tokens: dict[str, str] = json.loads(secrets.read_text("utf-8"))["region_tokens"]
    except (OSError, ValueError, KeyError) as error:
        raise Misconfigured(f"{secrets}: cannot read region_tokens: {error!r}") from error
    return tokens
