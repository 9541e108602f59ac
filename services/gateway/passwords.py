"""Passwords, as Argon2id (RFC 9106) keeps them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.kit.errors import Overloaded

AT_A_TIME = 2
"""Hashes under way: each takes a core for 50 to 100 ms and 64 MiB, so that more would only take turns and memory."""
WAITING = 64
"""Who waits for that at most: some 3 s of work; others are asked to come back."""


@dataclass(frozen=True)
class Checked:
    """What came of a password."""

    right: bool
    better: str | None = None
    """The hash to keep from now on, when the old one was made with other costs."""


class Passwords:
    """Hashes and checks passwords off the event loop. Whether there is such a user cannot be told from the time it takes."""

    def __init__(self, *, rounds: int, memory_kib: int) -> None:
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory_kib)
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._waiting = 0
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of the places in which hashes are made; raises `Overloaded` when too many wait."""
        if self._waiting >= WAITING:
            raise Overloaded("too many are signing in")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        """Return what is kept of a new password; within a slot."""
        return await asyncio.to_thread(self._hasher.hash, password)

    async def check(self, kept: str | None, password: str) -> Checked:
        """Compare a password with what is kept, None for nobody's; within a slot."""
        return await asyncio.to_thread(self._check, kept, password)

    def _check(self, kept: str | None, password: str) -> Checked:
        try:
            self._hasher.verify(kept or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return Checked(right=False)
        if kept is None:
            return Checked(right=False)
        return Checked(right=True, better=self._hasher.hash(password) if self._hasher.check_needs_rehash(kept) else None)
