"""Departments' keys: only their SHA-256 is kept in memory, and looked up by it.

Those of the secrets file never change while the process runs. Those of the table `ingest.keys` are read again every second: one that is revoked, or
whose time is over, lets nobody in from then on. While PostgreSQL is away nobody can revoke one either, and those that are known go on to their time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from schemas.command import KeyScope
from schemas.envelope import EventType
from services.ingest.domain.accept import Sender
from services.ingest.errors import Unauthorised
from services.kit import database, logs
from services.kit.errors import Misconfigured, Unavailable

_log = logs.get(__name__)

READ_S = 1.0
"""How often the table is read: so long a key that was revoked may still be good."""
USED_EVERY = 5
"""After so many readings it is written when keys were used last."""
_TYPES = {"observation": EventType.OBSERVATION.value, "report": EventType.REPORT.value}


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its public name, and what it is good for."""

    name: str
    digest: bytes
    sender: Sender
    expires: datetime | None = None


class Table(Protocol):
    """Where keys are kept."""

    async def good(self) -> Sequence[Key]:
        """Return the keys that are good now."""
        ...

    async def used(self, used: Mapping[str, datetime]) -> None:
        """Note when keys were used last."""
        ...


class Keys:
    """Who may publish. To be used on one event loop."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """`keys` are those of the secrets file, by department; they have no end and are named `file:<department>`."""
        own = [Key(f"file:{department}", _digest(key), Sender(department)) for department, key in keys.items()]
        self._own = {key.digest: key for key in own}
        self._kept: dict[bytes, Key] = {}
        self._used: dict[str, datetime] = {}

    def keep(self, keys: Iterable[Key]) -> None:
        """Put keys in the place of all that were kept before; those of the file stay."""
        self._kept = {key.digest: key for key in keys}

    def key(self, authorization: str | None, now: datetime) -> Key:
        """Return the key of an Authorization header; raises `Unauthorised`."""
        scheme, _, text = (authorization or "").partition(" ")
        digest = _digest(text.strip()) if scheme.lower() == "bearer" else b""
        found = self._own.get(digest) or self._kept.get(digest)
        if found is None:
            raise Unauthorised("no key, or an unknown one: send `Authorization: Bearer <key>` with your department's key")
        _refuse_expired(found, now)
        if found.digest in self._kept:
            self._used[found.name] = now
        return found

    def still(self, key: Key, now: datetime) -> Sender:
        """Return what a key is good for by now; raises `Unauthorised` when it was revoked, or its time came, since it let somebody in."""
        found = self._own.get(key.digest) or self._kept.get(key.digest)
        if found is None:
            raise Unauthorised(f"key {key.name} was revoked, or has expired, while the body was under way; nothing of it is taken")
        _refuse_expired(found, now)
        return found.sender

    async def run(self, table: Table) -> None:
        """Read the table again and again until cancelled, and write now and then when keys were used last."""
        while True:
            for _ in range(USED_EVERY):
                await self._read(table)
                await asyncio.sleep(READ_S)
            await self._write_used(table)

    async def _read(self, table: Table) -> None:
        try:
            self.keep(await database.once(table.good, what="read departments' keys"))
        except Unavailable as error:
            _log.warning("keys_not_read", error=str(error))

    async def _write_used(self, table: Table) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await database.once(lambda: table.used(used), what="write when keys were used")
        except Unavailable as error:
            _log.warning("use_of_keys_not_written", error=str(error))
            self._used = used | self._used


def sender_of(department: str, scope: KeyScope) -> Sender:
    """Return who sends with a key of some scope; one for some sensors or domains files no reports unless it says so."""
    narrow = scope.sensors is not None or scope.domains is not None
    types = scope.types if scope.types is not None else {"observation"} if narrow else None
    return Sender(
        department,
        None if types is None else frozenset(_TYPES[one] for one in types),
        None if scope.domains is None else frozenset(one.value for one in scope.domains),
        scope.sensors,
    )


def load(secrets: Path | None) -> Keys:
    """Read the keys of the secrets file; raises `Misconfigured`."""
    if secrets is None:
        raise Misconfigured("TONGGUAN_SECRETS is not set: it names the JSON file with department_keys")
    try:
        return Keys(json.loads(secrets.read_text("utf-8"))["department_keys"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Misconfigured(f"{secrets}: cannot read department_keys: {error!r}") from error


def _refuse_expired(key: Key, now: datetime) -> None:
    if key.expires is not None and key.expires <= now:
        raise Unauthorised(f"key {key.name} has expired: ask for a new one")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
