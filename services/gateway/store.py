"""SQL of the gateway's own tables: users and their grants, sessions, wrong passwords, photos. Each function works in its caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from schemas.access import Grant
from schemas.base import Name
from services.kit.database import Connection

_GRANTS = TypeAdapter(tuple[Grant, ...])

_USER = """
select u.id, u.name, u.password, u.provider, u.disabled, u.last_seen, f.locked_until, coalesce(g.grants, '[]') as grants
from gateway.users u
cross join lateral (select max(locked_until) as locked_until from gateway.failures where whose = encode(sha256(convert_to(u.id, 'UTF8')), 'hex')) f
left join lateral (
    select jsonb_agg(jsonb_build_object('role', role, 'region', region, 'departments', to_jsonb(departments)) order by place) as grants
    from gateway.grants where user_id = u.id
) g on true
"""
_SESSION = _USER.replace("select u.id", "select s.digest, s.opened_at, s.seen_at, s.ends_at, u.id") + (
    "join gateway.sessions s on s.user_id = u.id where s.digest = $1 and s.ends_at > $2 and s.seen_at > $3 and not u.disabled"
)
_ALIVE = """
select s.digest from gateway.sessions s join gateway.users u on u.id = s.user_id
where s.digest = any($1) and s.ends_at > $2 and s.seen_at > $3 and not u.disabled
"""
_SEEN = """
with seen as (update gateway.sessions set seen_at = $2 where digest = any($1) and seen_at < $3 returning user_id)
update gateway.users set last_seen = $2 where id in (select user_id from seen)
"""
_FAILED = """
insert into gateway.failures as f (subject, failed, since, locked_until, whose) values ($1, 1, $2, case when $4 <= 1 then $5::timestamptz end, $6)
on conflict (subject) do update set (failed, since, locked_until) = (
    select n.failed, n.since, case when n.failed >= $4 then $5::timestamptz end
    from (select f.since < $3 or f.locked_until <= $2 as over) o
    cross join lateral (select case when o.over then 1 else f.failed + 1 end as failed, case when o.over then $2 else f.since end as since) n
)
returning locked_until is not null
"""
# In the order in which wrong passwords are counted, so that the two never wait for each other.
_FORGIVE = """
with theirs as (select subject from gateway.failures where whose = $1 order by subject for update)
delete from gateway.failures f using theirs where f.subject = theirs.subject
"""


@dataclass(frozen=True)
class Account:
    """A user as it is kept."""

    id: str
    name: Name
    password: str | None
    provider: str | None
    disabled: bool
    last_seen: datetime | None
    locked_until: datetime | None
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class Opened:
    """A session under way."""

    digest: bytes
    account: Account
    seen_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Limit:
    """How many wrong passwords lock what, for how long."""

    most: int
    window: timedelta
    lock: timedelta


@dataclass(frozen=True)
class Against:
    """Something that wrong passwords count against, by which it is locked."""

    of: str
    """What it is, in a word."""
    subject: str
    whose: str | None
    """The hidden id of the user, where it is one's."""
    limit: Limit


@dataclass(frozen=True)
class Photo:
    """A photo as it came."""

    media: str
    body: bytes = field(repr=False)


# Users


async def account(connection: Connection, user: str, *, hold: bool = False) -> Account | None:
    """Return a user; `hold` keeps others from changing it until the transaction ends."""
    row = await connection.fetchrow(_USER + " where u.id = $1" + (" for update of u" if hold else ""), user)
    return _account(row) if row else None


async def accounts(connection: Connection) -> list[Account]:
    """Return all users."""
    return [_account(row) for row in await connection.fetch(_USER + " order by u.id")]


async def known(connection: Connection, users: Iterable[str]) -> set[str]:
    """Return which of some users there are."""
    return {row["id"] for row in await connection.fetch("select id from gateway.users where id = any($1)", list(users))}


async def add(connection: Connection, user: str, name: Name, now: datetime, *, password: str | None = None, provider: str | None = None) -> bool:
    """Make a user; False when there is one of that id already, which is left as it is."""
    made = "insert into gateway.users (id, name, password, provider, made_at) values ($1, $2, $3, $4, $5) on conflict do nothing returning true"
    return bool(await connection.fetchval(made, user, name.model_dump_json(), password, provider, now))


async def change(connection: Connection, user: str, *, name: Name | None = None, password: str | None = None, disabled: bool | None = None) -> None:
    """Change what is given of a user."""
    update = "update gateway.users set name = coalesce($2, name), password = coalesce($3, password), disabled = coalesce($4, disabled) where id = $1"
    await connection.execute(update, user, name and name.model_dump_json(), password, disabled)


async def grant(connection: Connection, user: str, grants: Sequence[Grant]) -> None:
    """Put grants in the place of a user's."""
    await connection.execute("delete from gateway.grants where user_id = $1", user)
    rows = [
        (user, place, one.role.value, one.region, None if one.departments is None else sorted(one.departments)) for place, one in enumerate(grants)
    ]
    await connection.executemany("insert into gateway.grants (user_id, place, role, region, departments) values ($1, $2, $3, $4, $5)", rows)


# Sessions


async def open_session(connection: Connection, digest: bytes, user: str, now: datetime, ends_at: datetime, address: str) -> None:
    """Open a session of a user."""
    opened = "insert into gateway.sessions (digest, user_id, opened_at, seen_at, ends_at, address) values ($1, $2, $3, $3, $4, $5)"
    await connection.execute(opened, digest, user, now, ends_at, address)
    await connection.execute("update gateway.users set last_seen = $2 where id = $1", user, now)


async def session(connection: Connection, digest: bytes, now: datetime, idle: timedelta) -> Opened | None:
    """Return a session that has not ended."""
    row = await connection.fetchrow(_SESSION, digest, now, now - idle)
    return Opened(row["digest"], _account(row), row["seen_at"], row["ends_at"]) if row else None


async def alive(connection: Connection, digests: Sequence[bytes], now: datetime, idle: timedelta) -> set[bytes]:
    """Return which of some sessions have not ended."""
    return {row["digest"] for row in await connection.fetch(_ALIVE, digests, now, now - idle)}


async def seen(connection: Connection, digests: Sequence[bytes], now: datetime, unless_since: datetime) -> None:
    """Note that sessions are in use, unless that was noted lately."""
    await connection.execute(_SEEN, digests, now, unless_since)


async def end_session(connection: Connection, digest: bytes) -> str | None:
    """End a session; returns whose it was, None when there was none."""
    found: str | None = await connection.fetchval("delete from gateway.sessions where digest = $1 returning user_id", digest)
    return found


async def end_sessions(connection: Connection, user: str, *, but: bytes = b"") -> int:
    """End all sessions of a user, but one; returns how many."""
    return len(await connection.fetch("delete from gateway.sessions where user_id = $1 and digest <> $2 returning 1", user, but))


async def count_sessions(connection: Connection, now: datetime, idle: timedelta) -> int:
    """Return how many sessions are under way."""
    count: int = await connection.fetchval("select count(*) from gateway.sessions where ends_at > $1 and seen_at > $2", now, now - idle)
    return count


# Wrong passwords


def hidden(user: str) -> str:
    """Return what is kept of the id that somebody gave: they may have typed their password there."""
    return hashlib.sha256(user.encode()).hexdigest()


async def locked_until(connection: Connection, subjects: Sequence[str], now: datetime) -> datetime | None:
    """Return until when one of some subjects is locked, None when none is."""
    until: datetime | None = await connection.fetchval(
        "select max(locked_until) from gateway.failures where subject = any($1) and locked_until > $2", subjects, now
    )
    return until


async def failed(connection: Connection, against: Against, now: datetime) -> bool:
    """Count a wrong password; returns whether that locks the subject."""
    limit = against.limit
    locks: bool = await connection.fetchval(_FAILED, against.subject, now, now - limit.window, limit.most, now + limit.lock, against.whose)
    return locks


async def forgive(connection: Connection, user: str) -> None:
    """Forget the wrong passwords of a user, wherever they came from."""
    await connection.execute(_FORGIVE, hidden(user))


# Commands and photos from the field


async def give(connection: Connection, command: UUID, actor: str, now: datetime) -> str | None:
    """Note a command whose id is not of our making; returns None when it is new, else who gave it before."""
    added = "insert into gateway.given (command, actor, at) values ($1, $2, $3) on conflict do nothing returning true"
    if await connection.fetchval(added, command, actor, now):
        return None
    before: str = await connection.fetchval("select actor from gateway.given where command = $1", command)
    return before


async def add_photo(connection: Connection, digest: str, photo: Photo, by: str, now: datetime) -> bool:
    """Keep a photo; False when it is there already: then it is kept longer."""
    added = (
        "insert into gateway.photos as p (digest, media, body, by, at) values ($1, $2, $3, $4, $5)"
        " on conflict (digest) do update set at = excluded.at returning xmax = 0"
    )
    return bool(await connection.fetchval(added, digest, photo.media, photo.body, by, now))


async def photo(connection: Connection, digest: str) -> Photo | None:
    """Return a photo."""
    row = await connection.fetchrow("select media, body from gateway.photos where digest = $1", digest)
    return Photo(row["media"], row["body"]) if row else None


async def photos_since(connection: Connection, by: str, since: datetime) -> int:
    """Return how many photos somebody has sent since a time."""
    count: int = await connection.fetchval("select count(*) from gateway.photos where by = $1 and at > $2", by, since)
    return count


async def photos_missing(connection: Connection, digests: Sequence[str]) -> set[str]:
    """Return which of some photos are not there."""
    rows = await connection.fetch("select digest from gateway.photos where digest = any($1)", digests)
    return set(digests) - {row["digest"] for row in rows}


# What has had its time


async def tidy(connection: Connection, now: datetime, idle: timedelta, window: timedelta) -> None:
    """Delete sessions that have ended, and failures that count no more."""
    await connection.execute("delete from gateway.sessions where ends_at <= $1 or seen_at <= $2", now, now - idle)
    await connection.execute("delete from gateway.failures where since < $2 and coalesce(locked_until, $1) <= $1", now, now - window)


async def tidy_audit(connection: Connection, kept: timedelta) -> None:
    """Delete entries that are older than they are kept: by the database's clock, by which it also refuses to delete any other."""
    await connection.execute("delete from gateway.audit where at < now() - $1::interval", kept)


async def tidy_field(connection: Connection, photos_before: datetime, given_before: datetime) -> None:
    """Delete photos that were last sent, and what is known of commands that were given, before a time."""
    await connection.execute("delete from gateway.photos where at < $1", photos_before)
    await connection.execute("delete from gateway.given where at < $1", given_before)


def _account(row: asyncpg.Record) -> Account:
    return Account(
        id=row["id"],
        name=Name.model_validate_json(row["name"]),
        password=row["password"],
        provider=row["provider"],
        disabled=row["disabled"],
        last_seen=row["last_seen"],
        locked_until=row["locked_until"],
        grants=_GRANTS.validate_json(row["grants"]),
    )
