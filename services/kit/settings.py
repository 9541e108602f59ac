"""Settings that all services share, from the environment (`TONGGUAN_…`) or one TOML file named by `TONGGUAN_SETTINGS`; the environment wins.

A room's own settings are a table of the file (`[ingest]`) and have two underscores in the environment (`TONGGUAN_INGEST__PORT`).
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from pathlib import Path

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.base import Code
from services.kit import brokers
from services.kit.errors import Misconfigured

SETTINGS_FILE = "TONGGUAN_SETTINGS"


def _node() -> str:
    """Return a name for this process, whatever its machine is called."""
    host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname().partition(".")[0]).strip("-")[:40]
    return f"{host or 'node'}-{os.getpid()}"


class AdminSettings(BaseModel):
    """What every room has."""

    admin_port: int = Field(ge=0, le=65_535)
    """Serves `/livez`, `/readyz` and `/metrics`."""


class CommonSettings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(env_prefix="TONGGUAN_", env_nested_delimiter="__", extra="ignore", frozen=True)

    kafka: str = "127.0.0.1:9092"
    """As `services.kit.brokers` has it; it may hold a password."""
    database: str = "postgresql://tongguan@127.0.0.1:5432/tongguan"
    city: Path = Path("cities/620100")
    """The city's folder."""
    secrets: Path | None = None
    """JSON with `department_keys` and `region_tokens`."""
    bind: str = "127.0.0.1"
    """Address on which the public ports listen; admin ports listen on `admin_bind`."""
    admin_bind: str = "127.0.0.1"
    node: Code = Field(default_factory=_node)
    """Names this process among its like."""
    log_level: str = "info"

    @field_validator("kafka")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return brokers.checked(value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then the file. Raises `Misconfigured` when the file cannot be read."""
        del dotenv_settings, file_secret_settings
        file = os.environ.get(SETTINGS_FILE)
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if file:
            if not Path(file).is_file():
                raise Misconfigured(f"{SETTINGS_FILE} names {file}, which is not there")
            try:
                sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
            except tomllib.TOMLDecodeError as error:
                raise Misconfigured(f"{file}: is not TOML: {error}") from error
        return tuple(sources)
