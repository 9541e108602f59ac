"""Settings that all services share, from the environment (`TONGGUAN_…`) or one TOML file named by `TONGGUAN_SETTINGS`; the environment wins.

A room's own settings are a table of the file (`[ingest]`) and have two underscores in the environment (`TONGGUAN_INGEST__PORT`).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

SETTINGS_FILE = "TONGGUAN_SETTINGS"


class AdminSettings(BaseModel):
    """What every room has."""

    admin_port: int = Field(ge=0, le=65_535)
    """Serves `/livez`, `/readyz` and `/metrics`."""


class CommonSettings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(env_prefix="TONGGUAN_", env_nested_delimiter="__", extra="ignore", frozen=True)

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers, separated by commas."""
    database: str = "postgresql://tongguan@127.0.0.1:5432/tongguan"
    city: Path = Path("cities/620100")
    """The city's folder."""
    secrets: Path | None = None
    """JSON with `department_keys` and `region_tokens`."""
    bind: str = "127.0.0.1"
    """Address on which the public ports listen; admin ports listen on `admin_bind`."""
    admin_bind: str = "127.0.0.1"
    node: str = Field(default_factory=lambda: f"{socket.gethostname().split('.')[0][:40]}-{os.getpid()}")
    """Names this process among its like."""
    log_level: str = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        file = os.environ.get(SETTINGS_FILE)
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if file:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)
