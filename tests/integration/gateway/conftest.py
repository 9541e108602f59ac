"""Its tests have topics and a database of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.gateway.people import PEOPLE
from tests.integration.parts import Servers, Service
from tests.integration.rooms import fresh_database, write_city, write_secrets

__all__ = ["fresh_database"]

QUICK = {
    "TONGGUAN_GATEWAY__SESSIONS_CHECK_S": "0.2",
    "TONGGUAN_GATEWAY__PASSWORD_ROUNDS": "1",
    "TONGGUAN_GATEWAY__PASSWORD_KIB": "8192",
}
"""Tests sign in often; what a hash costs is not theirs to wait for."""


@pytest.fixture(scope="module")
def environment(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a gateway is told: the small city, its people, and this module's servers."""
    folder: Path = tmp_path_factory.mktemp("told")
    return {
        "TONGGUAN_KAFKA": servers.kafka,
        "TONGGUAN_DATABASE": database,
        "TONGGUAN_CITY": str(write_city(folder / "city")),
        "TONGGUAN_SECRETS": str(write_secrets(folder / "secrets.json", PEOPLE)),
        **QUICK,
    }


@pytest.fixture(name="gateway", scope="module")
def peopled_gateway(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A gateway with people."""
    service = Service("gateway", tmp_path_factory.mktemp("gateway"), environment)
    try:
        asyncio.run(service.ready())
        yield service
        assert service.stop() == 0
        assert service.events("crashed") == []
    finally:
        service.kill()


@pytest.fixture
async def client(gateway: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as opened:
        yield opened
