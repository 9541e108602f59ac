"""Passwords of devices, `device_passwords` of the secrets file by protocol and device: read again when the file changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from services.kit import logs
from services.kit.errors import Misconfigured

_log = logs.get(__name__)

LOOK_S = 2.0
"""How soon a changed file is read."""


class Passwords:
    """The passwords of one protocol's devices."""

    def __init__(self, secrets: Path | None, protocol: str) -> None:
        """Raises `Misconfigured` when there is a file that cannot be used."""
        self._secrets = secrets
        self._protocol = protocol
        self._read_at = self._changed_at()
        self._known = self._load()

    def get(self, device: str) -> str | None:
        """Return a device's password, None when it has none: then it is taken by its name alone."""
        return self._known.get(device)

    def __len__(self) -> int:
        return len(self._known)

    async def follow(self) -> None:
        """Read the file whenever it changes, until cancelled; one that cannot be used changes nothing."""
        while True:
            await asyncio.sleep(LOOK_S)
            changed_at = self._changed_at()
            if changed_at not in (None, self._read_at):
                self._read_at = changed_at
                try:
                    self._known = self._load()
                except Misconfigured as error:
                    _log.error("passwords_not_read", protocol=self._protocol, error=str(error))
                else:
                    _log.info("passwords_read", protocol=self._protocol, devices=len(self._known))

    def _changed_at(self) -> tuple[int, int] | None:
        try:
            told = self._secrets.stat() if self._secrets else None
        except OSError:
            return None
        return told and (told.st_mtime_ns, told.st_ino)

    def _load(self) -> Mapping[str, str]:
        if self._secrets is None:
            return {}
        try:
            found = json.loads(self._secrets.read_text("utf-8")).get("device_passwords", {}).get(self._protocol, {})
            if all(isinstance(password, str) for password in found.values()):
                return dict(found)
        except (OSError, ValueError, AttributeError) as error:
            raise Misconfigured(f"{self._secrets}: cannot read device_passwords: {error!r}") from error
        raise Misconfigured(f"{self._secrets}: device_passwords.{self._protocol} must give a text for each device")
