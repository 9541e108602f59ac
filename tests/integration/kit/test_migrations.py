"""Migrations on a real database: once, in order, one at a time, and never changed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from services.kit import migrations
from services.kit.errors import Misconfigured
from services.kit.migrations import Migration, migrate
from tests.integration.conftest import quiet
from tests.integration.parts import Servers


@pytest.fixture
def empty(servers: Servers) -> Iterator[str]:
    with servers.database() as dsn:
        yield dsn


def use(monkeypatch: pytest.MonkeyPatch, *files: Migration) -> None:
    monkeypatch.setattr(migrations, "found", lambda: iter(files))


def one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_each_file_runs_once(empty: str):
    told: list[str] = []
    migrate(empty, told.append)
    assert told == [f"{file.room} {file.number:04d} {file.name}" for file in migrations.found()]
    again: list[str] = []
    migrate(empty, again.append)
    assert again == []


def test_two_at_once_wait_for_one_another(empty: str):
    told: list[str] = []
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: migrate(empty, told.append), range(3)))
    assert len(told) == len(list(migrations.found()))


def test_a_file_that_was_changed_after_it_ran_is_refused(empty: str, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Migration("kit", 1, "things", "create table things (n int)"))
    migrate(empty, quiet)
    use(monkeypatch, Migration("kit", 1, "things", "create table things (n bigint)"), Migration("kit", 2, "more", "create table more (n int)"))
    with pytest.raises(Misconfigured, match=r"migration kit/0001_things was changed after it ran .* write a new migration"):
        migrate(empty, quiet)
    assert one(empty, "select to_regclass('more') is null")


def test_a_file_that_fails_leaves_nothing_and_runs_again_when_mended(empty: str, monkeypatch: pytest.MonkeyPatch):
    good, broken = Migration("kit", 1, "good", "create table good (n int)"), "create table half (n int); insert into half values ('x')"
    use(monkeypatch, good, Migration("kit", 2, "half", broken))
    with pytest.raises(psycopg.Error):
        migrate(empty, quiet)
    assert one(empty, "select to_regclass('good') is not null and to_regclass('half') is null")
    use(monkeypatch, good, Migration("kit", 2, "half", broken.replace("'x'", "1")))
    migrate(empty, quiet)
    assert one(empty, "select n from half") == 1


def test_a_file_may_run_outside_a_transaction(empty: str, monkeypatch: pytest.MonkeyPatch):
    statements = "-- outside a transaction\ncreate table if not exists big (n int);\ncreate index concurrently if not exists big_n on big (n);\n"
    use(monkeypatch, Migration("kit", 1, "big", statements))
    migrate(empty, quiet)
    migrate(empty, quiet)
    assert one(empty, "select to_regclass('big_n') is not null")
