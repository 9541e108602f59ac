"""The keys and tokens of one data folder: random, made once, in `secrets.json` (0600)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from services.cli.folder import write_private

_BYTES = 24


@dataclass(frozen=True)
class Credentials:
    """Who may publish, and who may see."""

    department_keys: dict[str, str]
    """Department id to its key, `tgk_…`."""
    region_tokens: dict[str, str]
    """Region code to its token, `tgr_…`."""


def load_or_make(path: Path, departments: Iterable[str], regions: Iterable[str]) -> Credentials:
    """Return the credentials, adding what is missing; those of departments and regions that went away stay as they are."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    keys = {name: f"tgk_{secrets.token_urlsafe(_BYTES)}" for name in departments} | stored.get("department_keys", {})
    tokens = {code: f"tgr_{secrets.token_urlsafe(_BYTES)}" for code in regions} | stored.get("region_tokens", {})
    made = {"department_keys": keys, "region_tokens": tokens}
    if made != stored:
        write_private(path, made)
    return Credentials(**made)
