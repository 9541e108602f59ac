"""Settings of the ingest service."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, SecretStr, StringConstraints, model_validator

from schemas.base import Code
from services.kit.settings import AdminSettings, CommonSettings


class MqttSettings(BaseModel):
    """The table `[ingest.mqtt]`, or `TONGGUAN_INGEST__MQTT__…`."""

    url: Annotated[str, StringConstraints(pattern=r"^mqtts?://.+")] | None = None
    """The city's broker: `mqtt://[user@]host[:1883]`, or `mqtts://…[:8883]` with TLS. None: nobody is heard by MQTT."""
    password: SecretStr | None = None
    """May stand in the secrets file instead, as `mqtt_password`."""
    ca: Path | None = None
    """File of the certificates that are trusted; None for the system's."""
    version: Literal["5", "3.1.1"] = "5"
    client: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")] | None = None
    """Names the session at the broker; each node needs its own, and the same after a restart. None: `tongguan-` and the node's name."""
    share: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = "tongguan"
    """Nodes with one name share the messages (`$share/…`), which brokers of MQTT 5 can and many of 3.1.1; empty: each node gets all."""
    window: int = Field(default=500, ge=1, le=65_535)
    """Messages that the broker may send before the first is acknowledged; one of 3.1.1 has its own limit."""
    session_s: int = Field(default=3_600, ge=1, le=0xFFFF_FFFE)
    """How long the broker keeps messages for a node that is away (MQTT 5); with shares, for one that never comes back, too."""
    keepalive_s: int = Field(default=30, ge=5, le=3_600)


class Hj212Settings(BaseModel):
    """The table `[ingest.hj212]`, or `TONGGUAN_INGEST__HJ212__…`: monitors that speak HJ 212 over TCP."""

    enabled: bool = False
    port: int = Field(default=8802, ge=0, le=65_535)
    department: Code | None = None
    """Whose is what nobody's device sends: it sees it, and may adopt the device. Needed where the door is open."""
    max_connections: int = Field(default=12_000, ge=1)
    """In all; when there are more, strangers (that never sent a good packet) make room, the oldest first."""
    max_per_address: int = Field(default=1_000, ge=1)
    """Strangers from one address; known devices are not counted: many may come through one."""
    stranger_s: float = Field(default=60.0, gt=0)
    """How long a connection may stay without a good packet of a registered device."""
    idle: timedelta = Field(default=timedelta(minutes=30), gt=timedelta(0))
    """How long a known device may be silent, or three times its sensors' `every` where that is longer."""
    takeover_s: float = Field(default=60.0, ge=0)
    """How long a device must be silent before another address may speak in its name."""
    set_clock: timedelta | None = Field(default=None, gt=timedelta(0))
    """Devices whose clock is further off are set (1012), once an hour at most; None: never."""

    @model_validator(mode="after")
    def _has_department(self) -> Self:
        if self.enabled and not self.department:
            raise ValueError("name the department to which devices that nobody registered are shown: department")
        return self


class Gb26875Settings(BaseModel):
    """The table `[ingest.gb26875]`: the TCP door for fire transmission devices."""

    enabled: bool = False
    """A city without such devices has no port open."""
    port: int = Field(default=8803, ge=0, le=65_535)
    department: str | None = None
    """Whose concern a device is that nobody registered: `fire` where the city has it, else its first department."""
    max_connections: int = Field(default=12_000, ge=1)
    """At most half of the files that the process may open; when there are more, strangers make room, the oldest first."""
    max_per_address: int = Field(default=2_000, ge=1)
    """Many devices come by one address of a mobile network."""
    identify_s: float = Field(default=60.0, gt=0)
    """A connection on which no registered device has said anything for so long after its beginning is closed."""
    idle_s: float = Field(default=600.0, gt=0)
    """So is one that has been silent for so long."""
    max_frames: int = Field(default=16, ge=1)
    """Frames in hand of one connection; beyond it nothing more is read from it until some are answered."""
    max_errors: int = Field(default=16, ge=1)
    """A connection is closed after so many errors in the stream without a good frame between."""
    set_clocks_over_s: float | None = Field(default=None, gt=0)
    """Set the clock of a device that is further off than this, at most once an hour; None leaves clocks alone."""


class IngestSettings(AdminSettings):
    """The table `[ingest]`, or `TONGGUAN_INGEST__…`."""

    port: int = Field(default=8801, ge=0, le=65_535)
    """Where departments and devices publish."""
    admin_port: int = Field(default=8811, ge=0, le=65_535)
    max_body: int = Field(default=4 << 20, ge=1024)
    """Bytes of a request's body; a larger one gets 413."""
    body_s: float = Field(default=30.0, gt=0)
    """How long a body may take to arrive; a slower one gets 408."""
    max_items: int = Field(default=5_000, ge=1)
    """Events of a batch."""
    max_waiting: int = Field(default=64 << 20, ge=1 << 20)
    """Bytes of bodies under way at once. Each department has an equal share, at least one largest body; beyond it a request gets 429."""
    quota_per_s: float = Field(default=20_000, gt=0)
    """Events a second that a department may send to this node by HTTP, unless `city.yaml` gives it a `quota`; beyond it a request gets 429."""
    quota_burst: int = Field(default=100_000, ge=1)
    """As many it may send at once after it was quiet."""
    acknowledge_s: float = Field(default=20.0, gt=0)
    """How long a request waits for Kafka before it gets 503."""
    future: timedelta = timedelta(minutes=1)
    """How far ahead of our clock an observation may end: until that time has come, what the sensor says truly is late to rules."""
    past: timedelta = timedelta(days=90)
    """How old an observation may be: as long as raw values are kept."""
    mqtt: MqttSettings = MqttSettings()
    gb26875: Gb26875Settings = Gb26875Settings()
    hj212: Hj212Settings = Hj212Settings()
    boundaries: Path | None = None
    """GeoJSON with the regions' outlines, where the city's folder has none of its own: by it the region of a position is found."""


class Settings(CommonSettings):
    """All that the service reads."""

    ingest: IngestSettings = IngestSettings()
