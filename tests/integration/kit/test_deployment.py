"""To whom a database belongs, on a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from services.kit import migrations
from services.kit.deployment import Folder, Foreign, take
from services.kit.prepare import Settings, prepare
from tests.integration.conftest import quiet
from tests.integration.parts import Servers

CITIES = Path(__file__).parents[3] / "cities"
MINE, OTHER = Folder(uuid4(), Path("/mine")), Folder(uuid4(), Path("/other"))


@pytest.fixture
def fresh(servers: Servers) -> Iterator[str]:
    with servers.database() as dsn:
        migrations.migrate(dsn, quiet)
        yield dsn


def belongs(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("select city, folder, folder_path from kit.deployment").fetchall()


def test_who_comes_first_has_it(fresh: str):
    for _ in range(2):
        take(fresh, "620100", MINE)
    with pytest.raises(Foreign, match=r"belongs to the data folder /mine, .*--adopt"):
        take(fresh, "620100", OTHER)
    assert belongs(fresh) == [("620100", MINE.id, "/mine")]


def test_of_two_at_once_one_has_it(fresh: str):
    def taken(folder: Folder) -> bool:
        try:
            take(fresh, "620100", folder)
        except Foreign:
            return False
        return True

    folders = [Folder(uuid4(), Path("/x")) for _ in range(6)]
    with ThreadPoolExecutor() as threads:
        assert sum(threads.map(taken, folders)) == 1
    assert len(belongs(fresh)) == 1


def test_it_is_taken_over_when_asked_and_never_for_another_city(fresh: str):
    take(fresh, "620100", MINE)
    with pytest.raises(Foreign, match="holds the city 620100, not 441900"):
        take(fresh, "441900", OTHER, adopt=True)
    take(fresh, "620100", OTHER, adopt=True)
    assert belongs(fresh) == [("620100", OTHER.id, "/other")]
    with pytest.raises(Foreign):
        take(fresh, "620100", MINE)


def test_a_deployment_notes_its_city_and_is_no_folder_s(fresh: str, servers: Servers):
    def settings(city: str) -> Settings:
        return Settings(kafka=servers.kafka, database=fresh, city=CITIES / city)

    asyncio.run(prepare(settings("620100"), asyncio.Event()))
    assert belongs(fresh) == [("620100", None, None)]
    with pytest.raises(Foreign, match="holds the city 620100, not 441900"):
        asyncio.run(prepare(settings("441900"), asyncio.Event()))
    with pytest.raises(Foreign, match="a deployment without a data folder"):
        take(fresh, "620100", MINE)
    take(fresh, "620100", MINE, adopt=True)
    asyncio.run(prepare(settings("620100"), asyncio.Event()))
    assert belongs(fresh) == [("620100", MINE.id, "/mine")]
