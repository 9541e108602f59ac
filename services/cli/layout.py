"""The processes of `up`: what each is given, and in which order they end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.cli import probe
from services.cli.credentials import Credentials
from services.cli.ports import ADMIN, PortPlan
from services.cli.streams import Streams
from services.cli.supervisor import ChildSpec, Stage
from services.kit.embedded.command import Command

ROOMS = tuple(ADMIN)
KAFKA, DATABASE, MQTT = "kafka", "postgres", "mqtt"
REPLAY, SIMULATOR = "feed-water-flow", "feed-simulated"
WATCHDOG = "watchdog"
MODULES = {room: f"services.{room}" for room in ROOMS} | {WATCHDOG: "services.alerts.watchdog"}
"""What is run; the watchdog is a second process of alerts."""

STAGES = (
    # First what brings new work, then what takes it in and may still have to hand it to Kafka, then those who work on it.
    # The watchdog with them: an end in order is no silence of which anybody is told.
    Stage((REPLAY, SIMULATOR, WATCHDOG), 2.0),
    Stage(("ingest",), 4.0),
    Stage(("rules", "alerts", "history", "gateway"), 4.0),
    Stage((KAFKA, DATABASE, MQTT), 3.0),
)
DRAIN_S = 8.5
"""Of the 10 s promised; the rest is for the folder and the terminal."""

_REPLAY_DEPARTMENT = "water"
_NOTHING_TO_FEED = 3
"""A feed's word that there is no recording or nothing to simulate."""
_OK = 200


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the children are told."""

    ports: PortPlan
    bind: str
    city: Path
    data: Path
    secrets: Path
    kafka: str
    database: str
    mqtt: str | None
    """The MQTT broker's address for ingest, and for devices; None where there is none."""
    devices: str | None
    strangers: Mapping[str, str]
    """By protocol, whose concern a device is that nobody registered; the doors of these are open."""
    boundaries: Path | None
    """GeoJSON with the outlines of regions, for a city that has none of its own."""

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a service: ours, and on top what only this run knows."""
        told = {
            "TONGGUAN_KAFKA": self.kafka,
            "TONGGUAN_DATABASE": self.database,
            "TONGGUAN_CITY": str(self.city),
            "TONGGUAN_SECRETS": str(self.secrets),
            "TONGGUAN_BIND": self.bind,
            "TONGGUAN_INGEST__PORT": str(self.ports.ingest),
            "TONGGUAN_GATEWAY__PORT": str(self.ports.gateway),
            "TONGGUAN_WATCHDOG__STATE": str(self.data / "watchdog.json"),
        }
        if self.boundaries is not None:
            told["TONGGUAN_GATEWAY__BOUNDARIES"] = told["TONGGUAN_INGEST__BOUNDARIES"] = str(self.boundaries)
        if self.mqtt is not None:
            # There is one node, so nobody to share with; one of the brokers that it may be does not bear it (services.kit.embedded.mqtt).
            told |= {"TONGGUAN_INGEST__MQTT__URL": self.mqtt, "TONGGUAN_INGEST__MQTT__SHARE": ""}
        for protocol, port in self._listening().items():
            door = f"TONGGUAN_INGEST__{protocol.upper()}"
            told |= {f"{door}__ENABLED": "true", f"{door}__PORT": str(port), f"{door}__DEPARTMENT": self.strangers[protocol]}
        told |= {f"TONGGUAN_{room.upper()}__ADMIN_PORT": str(self.ports.admin(room)) for room in ROOMS}
        return {**_inherited(), **told}

    def field(self) -> dict[str, str]:
        """Return where devices find us: what simulated ones are told."""
        told = {f"TONGGUAN_FEED_{protocol.upper()}": f"127.0.0.1:{port}" for protocol, port in self._listening().items()}
        return told | ({} if self.devices is None else {"TONGGUAN_FEED_MQTT": self.devices})

    def _listening(self) -> dict[str, int]:
        return {name: port for name, port in (("hj212", self.ports.hj212), ("gb26875", self.ports.gb26875)) if name in self.strangers}


def _inherited() -> dict[str, str]:
    """Return our environment for Python children; a settings file named relative to where we stand keeps its place."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    if settings := os.environ.get("TONGGUAN_SETTINGS"):
        environment["TONGGUAN_SETTINGS"] = str(Path(settings).absolute())
    return environment


def _python(name: str, module: str, cwd: Path, environment: Mapping[str, str]) -> Command:
    # -P: what lies in the data folder is no code.
    return Command(name=name, argv=(sys.executable, "-P", "-m", module), cwd=cwd, env=environment)


def service(room: str, around: Surroundings) -> ChildSpec:
    """Return a service's process."""
    port = around.ports.admin(room)

    async def ready() -> bool:
        return await probe.status(port, "/readyz") == _OK

    return ChildSpec(_python(room, MODULES[room], around.data, around.environment()), admin_port=port, ready=ready)


def feeds(around: Surroundings, streams: Streams, credentials: Credentials) -> Iterator[ChildSpec]:
    """Yield the processes of the feeds. Each learns only what departments know."""
    address = {"TONGGUAN_FEED_INGEST": f"http://127.0.0.1:{around.ports.ingest}"}
    keys = credentials.department_keys
    if streams.replay and _REPLAY_DEPARTMENT in keys:
        yield _feed(REPLAY, "feeds.water_flow", around, {**address, "TONGGUAN_FEED_KEY": keys[_REPLAY_DEPARTMENT]})
    if streams.simulate:
        told = {
            "TONGGUAN_FEED_KEYS": json.dumps(keys),
            "TONGGUAN_FEED_CITY": str(around.city),
            "TONGGUAN_FEED_SCENARIOS": ",".join(streams.scenarios),
            **around.field(),
        }
        yield _feed(SIMULATOR, "feeds.simulated", around, {**address, **told})


def _feed(name: str, module: str, around: Surroundings, told: dict[str, str]) -> ChildSpec:
    inherited = {name: value for name, value in _inherited().items() if _is_for_feeds(name)}
    return ChildSpec(_python(name, module, around.data, {**inherited, **told}), give_up=frozenset({_NOTHING_TO_FEED}))


def _is_for_feeds(variable: str) -> bool:
    """Tell what a feed may know of our environment: not where the platform's servers are, and not their passwords."""
    return variable.startswith("TONGGUAN_FEED_") or not variable.startswith(("TONGGUAN_", "PG"))
