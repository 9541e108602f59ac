"""Its tests have topics and a database of their own."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.kit.producer import Producer
from tests.integration.rooms import fresh_database
from tests.integration.rules.workers import Workers, workers_of

__all__ = ["fresh_database"]


@pytest.fixture
async def workers(pool: asyncpg.Pool, producer: Producer) -> AsyncIterator[Workers]:
    """Workers on an empty database."""
    async with workers_of(pool, producer) as made:
        yield made
