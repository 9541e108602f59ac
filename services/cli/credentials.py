"""The keys, tokens and demo users of one data folder: random, made once, in `secrets.json` (0600)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.city import DemoUser
from services.cli.errors import CliError
from services.cli.folder import write_private

_BYTES = 24
_PASSWORD_BYTES = 12
"""16 letters: more than anybody guesses, few enough to be typed."""


@dataclass(frozen=True)
class Credentials:
    """Who may publish, who may see, and who may sign in."""

    department_keys: dict[str, str]
    """Department id to its key, `tgk_…`."""
    region_tokens: dict[str, str]
    """Region code to its token, `tgr_…`."""
    passwords: dict[str, str]
    """User id to the password with which the gateway makes that user; it may have been changed since."""


def load_or_make(path: Path, departments: Iterable[str], regions: Iterable[str], users: Iterable[DemoUser] = ()) -> Credentials:
    """Return the credentials, adding what is missing; what is there stays as it is, of those that went away, too.

    Raises `CliError` for a file that is no JSON.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        mend = "restore it from a copy; without it there are new keys and tokens, and the passwords of the users that were made are lost"
        raise CliError(f"{path} cannot be read ({error}): {mend}") from error
    keys = {name: f"tgk_{secrets.token_urlsafe(_BYTES)}" for name in departments} | stored.get("department_keys", {})
    tokens = {code: f"tgr_{secrets.token_urlsafe(_BYTES)}" for code in regions} | stored.get("region_tokens", {})
    known: list[dict[str, Any]] = stored.get("users", [])
    names = {user["id"] for user in known}
    everybody = [*known, *(_with_password(user) for user in users if user.id not in names)]
    session_key = stored.get("session_key") or secrets.token_urlsafe(32)
    made = {**stored, "department_keys": keys, "region_tokens": tokens, "users": everybody, "session_key": session_key}
    if made != stored:
        write_private(path, made)
    return Credentials(keys, tokens, {user["id"]: user["password"] for user in everybody})


def _with_password(user: DemoUser) -> dict[str, Any]:
    return {**user.model_dump(mode="json", exclude_none=True), "password": _password()}


def _password() -> str:
    """Return a password that is not taken for an option where it is pasted."""
    while (made := secrets.token_urlsafe(_PASSWORD_BYTES)).startswith("-"):
        pass
    return made
