"""What the gateway reads of departments' keys, by a function in `api_ingest` and with the read-only role. Neither keys nor their SHA-256 are told."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.command import KeyScope
from schemas.rest import KeyShown
from services.kit import database


class Keyring:
    """Departments' keys, by their public names."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def of(self, departments: Sequence[str]) -> list[KeyShown]:
        """Return the keys of some departments that are good, or ended within 90 days, the newest first. Raises `Unavailable`."""
        query = "select * from api_ingest.keys($1)"
        rows = await database.once(lambda: self._pool.fetch(query, departments), what="read departments' keys")
        return [KeyShown.model_validate({**row, "scope": KeyScope.model_validate_json(row["scope"])}) for row in rows]
