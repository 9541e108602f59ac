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


@dataclass(frozen=True)
class KafkaPasswords:
    """Who may sign in to Kafka."""

    platform: str
    """Of our own user on the embedded broker."""
    departments: dict[str, str]
    """Department id to its password, wherever the broker is; only of those that were asked for."""


def for_kafka(path: Path, departments: Iterable[str]) -> KafkaPasswords:
    """Return the passwords for Kafka, adding what is missing, as `load_or_make` does. Raises `CliError` for a file that is no JSON."""
    stored, asked = _stored(path), list(departments)
    known: dict[str, str] = stored.get("department_kafka_passwords", {})
    platform = stored.get("kafka_password") or secrets.token_urlsafe(_BYTES)
    each = {name: secrets.token_urlsafe(_BYTES) for name in asked} | known
    made = {**stored, "kafka_password": platform, "department_kafka_passwords": each}
    if made != stored:
        write_private(path, made)
    return KafkaPasswords(platform, {name: each[name] for name in asked})


MQTT_INGEST, MQTT_DEVICES = "ingest", "devices"
"""The users of the embedded MQTT broker."""


def for_mqtt(path: Path) -> dict[str, str]:
    """Return the passwords of the embedded MQTT broker's users, adding what is missing, as `load_or_make` does."""
    stored = _stored(path)
    known: dict[str, str] = stored.get("mqtt_passwords", {})
    each = {user: known.get(user) or _password() for user in (MQTT_INGEST, MQTT_DEVICES)}
    if each != known:
        write_private(path, {**stored, "mqtt_passwords": each})
    return each


def load_or_make(path: Path, departments: Iterable[str], regions: Iterable[str], users: Iterable[DemoUser] = ()) -> Credentials:
    """Return the credentials, adding what is missing; what is there stays as it is, of those that went away, too.

    Raises `CliError` for a file that is no JSON.
    """
    stored = _stored(path)
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


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        mend = "restore it from a copy; without it there are new keys and tokens, and the passwords of the users that were made are lost"
        raise CliError(f"{path} cannot be read ({error}): {mend}") from error
    return stored


def _with_password(user: DemoUser) -> dict[str, Any]:
    return {**user.model_dump(mode="json", exclude_none=True), "password": _password()}


def _password() -> str:
    """Return a password that is not taken for an option where it is pasted."""
    while (made := secrets.token_urlsafe(_PASSWORD_BYTES)).startswith("-"):
        pass
    return made
