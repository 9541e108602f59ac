import asyncio
from typing import Any

import pytest

from services.cli import outside


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://me:geheim@db.example:5433/city?sslmode=require", "postgresql://me@db.example:5433/city"),
        ("postgresql://db/city", "postgresql://db/city"),
        ("postgresql://me:geheim@db:port/city", "(not an address)"),
        ("host=db password=geheim", "(not an address)"),
    ],
)
def test_an_address_is_shown_without_its_password(dsn: str, shown: str):
    assert outside.shown(dsn) == shown


@pytest.mark.parametrize("dsn", ["host=db password=geheim", "mysql://me:geheim@db/x", "postgresql://me:geheim@db:port/x"])
def test_what_is_no_address_is_refused_and_not_repeated(dsn: str):
    found, problems = asyncio.run(outside.look(None, dsn, None))
    assert found.database is None
    assert "is no address of a database" in problems[0].what
    assert "geheim" not in str(problems)


GOOD = {
    "major": 18,
    "encoding": "UTF8",
    "replica": False,
    "me": "tg",
    "name": "city",
    "may_create": True,
    "may_make_roles": False,
    "administers_reader": True,
    "reader_exists": True,
    "migrated": False,
}


@pytest.mark.parametrize(
    ("changed", "what", "mend"),
    [
        ({"major": 12}, "is PostgreSQL 12", "use PostgreSQL 16"),
        ({"replica": True}, "read-only replica", "primary"),
        ({"encoding": "SQL_ASCII"}, "SQL_ASCII", "encoding 'UTF8'"),
        ({"may_create": False}, "tg may not make schemas", "grant create on database city to tg"),
        ({"administers_reader": False}, "may not give itself the role", "grant tongguan_reader to tg with admin option"),
        ({"reader_exists": False}, "may not give itself the role", "create role tongguan_reader nologin; grant"),
    ],
)
def test_a_database_that_will_not_do_is_told_with_its_mend(changed: dict[str, Any], what: str, mend: str):
    (problem,) = outside._database_problems("postgresql://db/city", {**GOOD, **changed})
    assert what in problem.what
    assert mend in problem.mend


@pytest.mark.parametrize("changed", [{}, {"reader_exists": False, "may_make_roles": True}, {"administers_reader": False, "migrated": True}], ids=str)
def test_a_database_that_will_do(changed: dict[str, Any]):
    assert list(outside._database_problems("postgresql://db/city", {**GOOD, **changed})) == []
