"""Settings of the ingest service."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from services.kit.settings import AdminSettings, CommonSettings


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
    """Bytes of bodies under way at once; beyond it a request gets 503 and Retry-After."""
    acknowledge_s: float = Field(default=20.0, gt=0)
    """How long a request waits for Kafka before it gets 503."""
    future: timedelta = timedelta(minutes=1)
    """How far ahead of our clock an observation may end: until that time has come, what the sensor says truly is late to rules."""
    past: timedelta = timedelta(days=90)
    """How old an observation may be: as long as raw values are kept."""


class Settings(CommonSettings):
    """All that the service reads."""

    ingest: IngestSettings = IngestSettings()
