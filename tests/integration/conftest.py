"""Real servers for those who ask, started once a session: databases of their own, a broker that may be killed, services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.cli import folder
from services.kit import database as kit_database
from services.kit import migrations, topics
from services.kit.producer import Producer
from tests.integration.parts import Server, Servers, Service
from tests.lanes import keep_ports


def quiet(_: str) -> None:
    """Report nothing."""


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A Kafka and a PostgreSQL of this session; `database` gives a database on it, with all topics on the broker."""
    data = folder.open_throwaway()
    started = Servers(data.path)
    keep_ports()
    try:
        asyncio.run(started.start())
        yield started
    finally:
        started.kill()
        data.close()


@pytest.fixture
async def broker(servers: Servers) -> AsyncIterator[Server]:
    """The session's broker, for a test that kills it; afterwards it runs again."""
    yield servers.broker
    await servers.broker.start()


@pytest.fixture(scope="module")
def database(servers: Servers) -> Iterator[str]:
    """The address of a fresh database of this module, migrated, with the topics' epochs."""
    with servers.database() as dsn:
        migrations.migrate(dsn, quiet)
        asyncio.run(topics.apply(servers.kafka, dsn, quiet))
        yield dsn


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool of the module's database."""
    opened = await kit_database.open_pool(database, size=6)
    yield opened
    opened.terminate()


@pytest.fixture
async def producer(servers: Servers) -> AsyncIterator[Producer]:
    """The kit's producer on the session's broker."""
    async with Producer(servers.kafka, CollectorRegistry()) as opened:
        yield opened


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start services that are ended with the test: `start("ingest", TONGGUAN_KAFKA=…)`; see `Service`."""
    started: list[Service] = []

    def run(room: str, **environment: str) -> Service:
        started.append(Service(room, tmp_path, environment))
        return started[-1]

    yield run
    for service in started:
        service.kill()
