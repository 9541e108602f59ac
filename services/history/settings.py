"""Settings of the history service."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import AdminSettings, CommonSettings


class HistorySettings(AdminSettings):
    """The table `[history]`, or `TONGGUAN_HISTORY__…`."""

    admin_port: int = Field(default=8813, ge=0, le=65_535)
    raw_days: int = Field(default=90, ge=1)
    """How long raw observations are kept; ingest takes none that are older."""


class Settings(CommonSettings):
    """All that the service reads."""

    history: HistorySettings = HistorySettings()
