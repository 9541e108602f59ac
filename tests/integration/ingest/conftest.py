"""Ingest as a process, in the city of Lanzhou, and a department's way to it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas import wire
from schemas.rejected import Rejected
from services.ingest.domain.cloudevents import BATCHED, STRUCTURED
from services.kit.clock import SystemClock
from tests.integration.parts import Servers, Service
from tests.integration.rooms import fresh_database

__all__ = ["fresh_database"]

KEYS = {"water": "tgk_water", "drainage": "tgk_drainage"}
STREET = "620102001"


def now() -> datetime:
    return SystemClock().now()


def observation(sensor: str = "lz-water-dma-01", values: Mapping[str, float] | None = None, **changes: Any) -> dict[str, Any]:
    """A CloudEvent that ingest takes; `changes` go into its data."""
    end = now() - timedelta(seconds=secrets.randbelow(1000) / 1000)
    data = {"sensor": sensor, "values": values or {"flow": 12.5}, "end": end.isoformat(), **changes}
    event_id = secrets.token_hex(8)
    return {"specversion": "1.0", "id": event_id, "source": "/departments/water/scada", "type": "cn.tongguan.observation.v1", "data": data}


class Department:
    """A department that publishes; each way returns the answer."""

    def __init__(self, service: Service, key: str | None, client: httpx.AsyncClient) -> None:
        self._url = f"{service.url}/v1/events"
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = client

    async def send(self, body: Any, content_type: str, **headers: str) -> httpx.Response:
        """Send bytes, or whatever httpx takes for a body."""
        return await self._client.post(self._url, content=body, headers={**self.headers, "Content-Type": content_type, **headers})

    async def one(self, event: Mapping[str, Any]) -> httpx.Response:
        return await self.send(json.dumps(event).encode(), STRUCTURED)

    async def batch(self, *events: Any) -> httpx.Response:
        return await self.send(json.dumps(events).encode(), BATCHED)

    async def binary(self, event: Mapping[str, Any]) -> httpx.Response:
        attributes = {f"ce-{name}": value for name, value in event.items() if name != "data"}
        return await self.send(json.dumps(event["data"]).encode(), "application/json", **attributes)


@pytest.fixture(scope="module")
def environment(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What every ingest of the module is told."""
    file = tmp_path_factory.mktemp("secrets") / "secrets.json"
    file.write_text(json.dumps({"department_keys": KEYS}))
    return {"TONGGUAN_KAFKA": servers.kafka, "TONGGUAN_DATABASE": database, "TONGGUAN_SECRETS": str(file)}


@pytest.fixture(scope="module")
def ingest(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One ingest for all tests of a module that do it no harm."""
    limits = {"TONGGUAN_INGEST__BODY_S": "2", "TONGGUAN_INGEST__MAX_ITEMS": "100"}
    service = Service("ingest", tmp_path_factory.mktemp("ingest"), {**environment, **limits})
    yield service
    code = service.stop()
    assert code == 0, service.log
    assert not [line for line in service.events() if line["level"] in {"error", "critical"}], service.log


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as opened:
        yield opened


@pytest.fixture
async def water(ingest: Service, client: httpx.AsyncClient) -> Department:
    """The water department at the module's ingest."""
    await ingest.ready()
    return Department(ingest, KEYS["water"], client)


def observations(records: list[Any]) -> list[wire.Observation]:
    return [record for record in map(wire.decode, (record.value for record in records)) if isinstance(record, wire.Observation)]


def has(*ids: str) -> Callable[[list[Any]], bool]:
    """A condition for `Tape.until`: these events are there."""
    return lambda records: {one.id for one in observations(records)} >= set(ids)


def rejected(records: list[Any]) -> list[Rejected]:
    return [Rejected.model_validate_json(record.value) for record in records]


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A copy of Lanzhou that a test may change."""
    import shutil

    from tests.integration.parts import ROOT

    return Path(shutil.copytree(ROOT / "cities" / "620100", tmp_path / "620100"))
