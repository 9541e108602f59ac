"""Rows of `alerts.warnings`: how a `Known` is written and read. The path and the district are the tree's and are not kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from schemas.base import Domain, Name, Origin
from schemas.regions import RegionTree
from services.alerts.domain.known import Known, whereabouts
from services.kit.database import Connection

_COLUMNS = (
    ("id", "uuid"),
    ("rev", "int"),
    ("street", "text"),
    ("department", "text"),
    ("domain", "text"),
    ("rule", "text"),
    ("subject", "text"),
    ("sensor", "text"),
    ("origin", "text"),
    ("tags", "text[]"),
    ("open", "boolean"),
    ("gravity", "smallint"),
    ("raised_rev", "int"),
    ("reached", "int[]"),
    ("began_at", "timestamptz"),
    ("changed_at", "timestamptz"),
    ("place", "jsonb"),
    ("text", "jsonb"),
    ("acked_gravity", "smallint"),
    ("acked_rev", "int"),
    ("acked_at", "timestamptz"),
    ("done", "boolean"),
    ("cleared_gravity", "smallint"),
)
"""Arrays are sent as their text: there are no arrays of arrays of different lengths."""

NAMES = ", ".join(name for name, _ in _COLUMNS)
OF_W = ", ".join(f"w.{name}" for name, _ in _COLUMNS)
_SENT = ", ".join(f"${at}::{'text' if kind.endswith('[]') else kind}[]" for at, (_, kind) in enumerate(_COLUMNS, 1))
_CAST = ", ".join(f"t.{name}::{kind}" if kind.endswith("[]") else f"t.{name}" for name, kind in _COLUMNS)
_INPUT = f"unnest({_SENT}) as t ({NAMES})"

_SELECT = f"select {NAMES} from alerts.warnings where id = any($1) order by id for update"  # noqa: S608 - columns of ours
_INSERT = f"insert into alerts.warnings ({NAMES}) select {_CAST} from {_INPUT} order by t.id"  # noqa: S608 - as above
_UPDATE = (
    "update alerts.warnings w set "  # noqa: S608 - as above
    + ", ".join(f"{name} = {value}" for (name, _), value in zip(_COLUMNS[1:], _CAST.split(", ")[1:], strict=True))
    + f" from {_INPUT} where w.id = t.id"
)

_names = msgspec.json.Decoder(dict[str, str])


async def hold(connection: Connection, ids: Iterable[UUID], tree: RegionTree) -> dict[UUID, Known]:
    """Return those of some warnings that are known, held for the caller's transaction."""
    return {row["id"]: known(row, tree) for row in await connection.fetch(_SELECT, list(ids))}


async def add(connection: Connection, new: Sequence[Known]) -> None:
    """Write warnings that were not known: those of a partition have one owner, so nobody else writes them meanwhile."""
    if new:
        await connection.execute(_INSERT, *_arrays(new))


async def change(connection: Connection, changed: Sequence[Known]) -> None:
    """Write warnings that are known and held."""
    if changed:
        await connection.execute(_UPDATE, *_arrays(changed))


def known(row: asyncpg.Record | Mapping[str, Any], tree: RegionTree) -> Known:
    """Return the warning of a row that has `NAMES`."""
    path, district = whereabouts(row["street"], tree)
    place = row["place"]
    return Known(
        id=row["id"],
        rev=row["rev"],
        street=row["street"],
        path=path,
        district=district,
        department=row["department"],
        domain=Domain(row["domain"]),
        rule=row["rule"],
        subject=row["subject"],
        sensor=row["sensor"],
        origin=Origin(row["origin"]),
        tags=frozenset(row["tags"]),
        open=row["open"],
        gravity=row["gravity"],
        raised_rev=row["raised_rev"],
        reached=tuple(row["reached"]),
        began_at=row["began_at"],
        changed_at=row["changed_at"],
        place=None if place is None else _name(place),
        text=_name(row["text"]),
        acked_gravity=row["acked_gravity"],
        acked_rev=row["acked_rev"],
        acked_at=row["acked_at"],
        done=row["done"],
        cleared_gravity=row["cleared_gravity"],
    )


def name_text(name: Name) -> str:
    """Return a name as it is kept."""
    return msgspec.json.encode({"zh": name.zh, "en": name.en}).decode()


def _name(text: str) -> Name:
    return Name.model_construct(_fields_set=None, **_names.decode(text))


def _texts(codes: Iterable[str]) -> str:
    """Return an array of codes as PostgreSQL reads it: quoted, for one may be `null`."""
    return "{" + ",".join(f'"{code}"' for code in sorted(codes)) + "}"


def _arrays(rows: Sequence[Known]) -> list[list[Any]]:
    return [list(column) for column in zip(*map(_values, rows), strict=True)]


def _values(one: Known) -> tuple[Any, ...]:
    return (
        one.id,
        one.rev,
        one.street,
        one.department,
        one.domain.value,
        one.rule,
        one.subject,
        one.sensor,
        one.origin.value,
        _texts(one.tags),
        one.open,
        one.gravity,
        one.raised_rev,
        f"{{{','.join(map(str, one.reached))}}}",
        one.began_at,
        one.changed_at,
        None if one.place is None else name_text(one.place),
        name_text(one.text),
        one.acked_gravity,
        one.acked_rev,
        one.acked_at,
        one.done,
        one.cleared_gravity,
    )
