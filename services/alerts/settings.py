"""Settings of the alerts service."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import AdminSettings, CommonSettings


class AlertsSettings(AdminSettings):
    """The table `[alerts]`, or `TONGGUAN_ALERTS__…`."""

    admin_port: int = Field(default=8814, ge=0, le=65_535)


class Settings(CommonSettings):
    """All that the service reads."""

    alerts: AlertsSettings = AlertsSettings()
