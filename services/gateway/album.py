"""Photos from the field, by their SHA-256: what phones send is kept as it came, for so long as the settings say."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import timedelta

from services.gateway import store
from services.gateway.audit import With
from services.gateway.domain.pace import Pace
from services.gateway.errors import TooMany, Unfit
from services.gateway.settings import GatewaySettings
from services.kit import database
from services.kit.clock import Clock

PER_MINUTE = 20
"""Photos of one user: a phone that was offline brings several at once, and each is up to 4 MiB."""
DAY = timedelta(days=1)
GIVEN_KEPT = timedelta(days=30)
"""As long as `city.commands` is kept."""


class Album:
    """The photos of this city."""

    def __init__(self, pool: database.Pool, clock: Clock, settings: GatewaySettings) -> None:
        self._pool = pool
        self._clock = clock
        self._most = settings.photos_per_day
        self._kept = settings.photos_kept
        self._pace = Pace(PER_MINUTE)

    async def keep_pace(self, user: str) -> None:
        """Count a photo that a user is about to send; raises `TooMany`, `Unavailable`."""
        if wait := self._pace.wait(user, self._clock.monotonic()):
            raise TooMany(math.ceil(wait))

        async def count() -> int:
            async with self._pool.acquire() as connection:
                return await store.photos_since(connection, user, self._clock.now() - DAY)

        if await database.once(count, what="count photos") >= self._most:
            raise TooMany(math.ceil(DAY.total_seconds() / self._most))

    def adding(self, photo: store.Photo, by: str) -> tuple[str, With]:
        """Return a photo's digest, and what keeps it in a transaction."""
        digest = hashlib.sha256(photo.body).hexdigest()
        return digest, lambda connection: store.add_photo(connection, digest, photo, by, self._clock.now())

    async def photo(self, digest: str) -> store.Photo | None:
        """Return a photo, None when it is kept no longer. Raises `Unavailable`."""

        async def find() -> store.Photo | None:
            async with self._pool.acquire() as connection:
                return await store.photo(connection, digest)

        return await database.once(find, what="read a photo")

    async def require(self, digests: Sequence[str]) -> None:
        """Raise `Unfit` unless all of some photos are there, `Unavailable`."""

        async def find() -> set[str]:
            async with self._pool.acquire() as connection:
                return await store.photos_missing(connection, digests)

        if digests and (missing := await database.once(find, what="look up photos")):
            raise Unfit(f"{len(missing)} of {len(digests)} photos are not here: send them to /v1/photos before the answer")

    async def tidy(self) -> None:
        """Delete what has had its time. Raises `Unavailable`."""
        now = self._clock.now()

        async def forget() -> None:
            async with self._pool.acquire() as connection:
                await store.tidy_field(connection, now - self._kept, now - GIVEN_KEPT)

        await database.once(forget, what="tidy photos up")


def media(body: bytes) -> str | None:
    """Return the kind of an image by its first bytes; None for what is none that we take."""
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else None
