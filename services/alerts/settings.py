"""Settings of the alerts service."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from services.kit.errors import Misconfigured
from services.kit.settings import AdminSettings, CommonSettings


class AlertsSettings(AdminSettings):
    """The table `[alerts]`, or `TONGGUAN_ALERTS__…`."""

    admin_port: int = Field(default=8814, ge=0, le=65_535)
    contacts: Path | None = None
    """`contacts.yaml`: addresses of people and secrets of channels. Without it nobody is told outside the app."""
    pages_url: str | None = None
    """Where people open the pages, such as https://tongguan.example.org: messages have links to it. Without it they have none."""


class Settings(CommonSettings):
    """All that the service reads."""

    alerts: AlertsSettings = AlertsSettings()


class WatchdogSettings(AdminSettings):
    """The table `[watchdog]`, or `TONGGUAN_WATCHDOG__…`: of `python -m services.alerts.watchdog`."""

    admin_port: int = Field(default=8816, ge=0, le=65_535)
    silence_s: float = Field(default=60.0, gt=0)
    """So long without a new tick, an answer of PostgreSQL or the work of alerts, and the duty lead is told."""
    look_s: float = Field(default=5.0, gt=0)
    """Between two looks."""
    calm_s: float = Field(default=15.0, ge=0)
    """So long all must be well again before the end is told."""
    repeat: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0))
    """Between two messages of one outage."""
    state: Path | None = None
    """A small file with what was told, so that a restart tells nobody twice."""
    heartbeat_url: SecretStr | None = None
    """What is called while all is well, so that a monitor elsewhere notices when nobody calls. It may hold a token."""
    heartbeat_method: Literal["GET", "POST"] = "GET"
    heartbeat_s: float = Field(default=60.0, gt=0)
    """Between two calls."""


class WatchingSettings(Settings):
    """All that the watchdog reads."""

    watchdog: WatchdogSettings = WatchdogSettings()


def link_key(secrets: Path | None) -> str | None:
    """Return the key that signs links in messages, which the gateway knows too: `session_key` of `secrets.json`. Raises `Misconfigured`."""
    if secrets is None:
        return None
    try:
        found = json.loads(secrets.read_bytes()).get("session_key")
    except OSError as error:
        raise Misconfigured(f"{secrets}: cannot read session_key: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"{secrets}: is not JSON") from error
    return found if isinstance(found, str) and found else None
