"""Numbered SQL files, `services/<room>/migrations/NNNN_<name>.sql`, each run once, in order, in a transaction of its own.

A file whose first line is `-- outside a transaction` runs statement by statement without one (TimescaleDB asks for that in places) and must
therefore be one that may run again. A file that was changed after it ran is refused: write a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources

import psycopg

from services.kit.errors import Misconfigured

ROOMS = ("kit", "ingest", "rules", "history", "alerts", "gateway")
"""Rooms with tables; `kit` first, for the others refer to its."""

_LOCK = 0x746F_6E67
"""Of the advisory lock that lets one migration run at a time."""


@dataclass(frozen=True)
class Migration:
    """One file."""

    room: str
    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of its text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def found() -> Iterator[Migration]:
    """Yield all migrations in the order in which they run."""
    for room in ROOMS:
        folder = resources.files(f"services.{room}") / "migrations"
        for file in sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            yield Migration(room, int(number), name, file.read_text("utf-8"))


def migrate(dsn: str, report: Callable[[str], None]) -> None:
    """Bring a database up to date; waits for another migration under way. Raises `Misconfigured` when a file was changed after it ran."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        connection.execute("create schema if not exists kit")
        connection.execute(
            "create table if not exists kit.migrations (room text, number int, name text not null, digest text not null,"
            " applied_at timestamptz not null default now(), primary key (room, number))"
        )
        rows = connection.execute("select room, number, digest from kit.migrations").fetchall()
        done = {(room, number): digest for room, number, digest in rows}
        for migration in found():
            digest = done.get((migration.room, migration.number))
            if digest is None:
                report(f"{migration.room} {migration.number:04d} {migration.name}")
                _run(connection, migration)
            elif digest != migration.digest:
                raise Misconfigured(
                    f"migration {migration.room}/{migration.number:04d}_{migration.name} was changed after it ran on this database; "
                    "undo the change and write a new migration instead"
                )


def _run(connection: psycopg.Connection, migration: Migration) -> None:
    note = "insert into kit.migrations (room, number, name, digest) values (%s, %s, %s, %s)"
    values = (migration.room, migration.number, migration.name, migration.digest)
    if migration.sql.startswith("-- outside a transaction"):
        for statement in migration.sql.split(";\n"):
            if statement.strip():
                connection.execute(statement.encode())
        connection.execute(note, values)
        return
    with connection.transaction():
        connection.execute(migration.sql.encode())
        connection.execute(note, values)
