"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import AdminSettings, CommonSettings


class GatewaySettings(AdminSettings):
    """The table `[gateway]`, or `TONGGUAN_GATEWAY__…`."""

    port: int = Field(default=8800, ge=0, le=65_535)
    """Pages, REST and the live socket, on one origin."""
    admin_port: int = Field(default=8815, ge=0, le=65_535)
    trusted_proxies: str = "127.0.0.1"
    """Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas."""
    values_s: float = Field(default=0.25, gt=0)
    """How often values are sent, the newest of each series."""
    heartbeat_s: float = Field(default=1.0, gt=0)
    slow_bytes: int = Field(default=4 << 20, ge=1024)
    """A client for which so much waits to be written, besides its snapshot, is cut."""


class Settings(CommonSettings):
    """All that the service reads."""

    gateway: GatewaySettings = GatewaySettings()
