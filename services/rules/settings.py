"""Settings of the rules service."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import AdminSettings, CommonSettings


class RulesSettings(AdminSettings):
    """The table `[rules]`, or `TONGGUAN_RULES__…`."""

    admin_port: int = Field(default=8812, ge=0, le=65_535)
    snapshot_s: float = Field(default=30.0, gt=0)
    """How often what has changed of a partition's state is written (and after 200,000 records); a restart works off about that again."""
    reload_s: float = Field(default=5.0, gt=0)
    """How often the city's rule files are looked at."""


class Settings(CommonSettings):
    """All that the service reads."""

    rules: RulesSettings = RulesSettings()
