"""To whom a database belongs: one city, and one data folder of `up` where it is `up` that runs the platform.

Users, warnings and positions of one city are of no use to another, and a folder that did not make a database's users has no passwords for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg

from services.kit.errors import Misconfigured

FIND = "select city, folder, folder_path from kit.deployment"
"""Yields one row, or none of a database that belongs to nobody yet."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A data folder of `up`."""

    id: UUID
    path: Path
    """Where it was when it took the database; it may have been moved since."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a database says of itself."""

    city: str
    folder: UUID | None
    path: str | None

    def whose(self) -> str:
        """Say to whom it belongs besides the city."""
        if self.folder is None:
            return "a deployment without a data folder, whose secrets.json has the passwords of its users"
        return f"the data folder {self.path or self.folder}, which has the passwords of its users"


class Foreign(Misconfigured):
    """A database of another city or another data folder."""

    def __init__(self, what: str, mend: str) -> None:
        self.what = what
        self.mend = mend
        super().__init__(f"{what}: {mend}")


def check(found: Deployment | None, city: str, folder: Folder | None = None, *, adopt: bool = False) -> None:
    """Raise `Foreign` for a database of another city, or, without `adopt`, of another folder than this one.

    One that belongs to nobody will do. Without a folder only the city counts.
    """
    if found is None:
        return
    if found.city != city:
        mend = f"name that city's folder, or a database of its own for {city}"
        raise Foreign(f"the database holds the city {found.city}, not {city}", mend)
    if folder is not None and found.folder != folder.id and not adopt:
        mend = "use that one or another database; --adopt takes this one over, without the passwords of the users that it has"
        raise Foreign(f"the database belongs to {found.whose()}", mend)


def take(dsn: str, city: str, folder: Folder | None = None, *, adopt: bool = False) -> None:
    """Have a migrated database belong to this city, and to this folder where one is given; raises `Foreign` as `check` does.

    Of two who take it at once one is refused. Without a folder an earlier folder stays noted.
    """
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        connection.execute("lock table kit.deployment in exclusive mode")
        row = connection.execute(FIND).fetchone()
        check(Deployment(*row) if row else None, city, folder, adopt=adopt)
        if row is None:
            values = (city, *_noted(folder))
            connection.execute("insert into kit.deployment (city, folder, folder_path) values (%s, %s, %s)", values)
        elif folder is not None:
            connection.execute("update kit.deployment set folder = %s, folder_path = %s", _noted(folder))


def _noted(folder: Folder | None) -> tuple[UUID | None, str | None]:
    return (folder.id, str(folder.path)) if folder else (None, None)
