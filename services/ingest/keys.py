"""Departments' keys: only their SHA-256 is kept in memory, and looked up by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from services.ingest.domain.accept import Sender
from services.ingest.errors import Unauthorised
from services.kit.errors import Misconfigured


class Keys:
    """Who may publish."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._senders = {_digest(key): Sender(department) for department, key in keys.items()}

    def sender(self, authorization: str | None) -> Sender:
        """Return whose the key of an Authorization header is; raises `Unauthorised`."""
        scheme, _, key = (authorization or "").partition(" ")
        sender = self._senders.get(_digest(key.strip())) if scheme.lower() == "bearer" else None
        if sender is None:
            raise Unauthorised("no key, or an unknown one: send `Authorization: Bearer <key>` with your department's key")
        return sender


def load(secrets: Path | None) -> Keys:
    """Read the keys of the secrets file; raises `Misconfigured`."""
    if secrets is None:
        raise Misconfigured("TONGGUAN_SECRETS is not set: it names the JSON file with department_keys")
    try:
        return Keys(json.loads(secrets.read_text("utf-8"))["department_keys"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Misconfigured(f"{secrets}: cannot read department_keys: {error!r}") from error


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
