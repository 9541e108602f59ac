"""An embedded MQTT broker, on loopback with passwords: the machine's mosquitto where it has one, else rumqttd out of the wheel `iotcore`.

Both keep sessions and send again what was not acknowledged; mosquitto over its own restarts, too. rumqttd as of iotcore 0.4 ends when a shared
subscription's session comes back, so that clients of the embedded broker do not share. Of pure Python there is none that would do: amqtt 0.12
forgets what was not acknowledged when the connection breaks, and has no MQTT 5.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import importlib.util
import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.kit.embedded.command import Command, EmbeddedError, base_environment

_SBIN = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
"""Where mosquitto lies, and what is on no ordinary user's PATH."""
_WINDOW = 500
"""Messages that a client gets before it acknowledges the first."""
_WAITING = 100_000
"""Messages that are kept for a client that is away: mosquitto's own 1,000 are ten seconds of a simulated city."""
_LARGEST = 1 << 20
_ITERATIONS = 101
"""Mosquitto's own; its passwords are 32 random letters here."""


@dataclass(frozen=True, slots=True)
class MqttPlan:
    """Where the broker keeps its data and listens."""

    folder: Path
    port: int
    users: Mapping[str, str] = field(repr=False)
    """Who may come, with passwords of letters, digits, `_` and `-`; all may read and write everything."""

    def address(self, user: str) -> str:
        """Return the address for one of the users, with the password."""
        return f"mqtt://{user}:{self.users[user]}@127.0.0.1:{self.port}"


def found() -> str | None:
    """Return which broker this machine has: mosquitto's path, or `iotcore`; None when it has none, and MQTT is left out."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    return shutil.which("mosquitto", path=path) or ("iotcore" if importlib.util.find_spec("iotcore") else None)


def prepare(plan: MqttPlan) -> Command:
    """Write the broker's settings and return its command; raises `EmbeddedError` when there is no broker."""
    broker = found()
    if broker is None:
        raise EmbeddedError("there is no MQTT broker here: install mosquitto, or pip install 'tongguan[embedded]'")
    plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if broker == "iotcore":
        config = plan.folder / "rumqttd.toml"
        _write_private(config, _of_rumqttd(plan))
        argv: tuple[str, ...] = (sys.executable, "-P", "-m", "iotcore", "--config", str(config), "--log-level", "CRITICAL")
    else:
        config, passwords = plan.folder / "mosquitto.conf", plan.folder / "passwords"
        _write_private(passwords, "".join(f"{user}:{_hashed(password)}\n" for user, password in plan.users.items()))
        _write_private(config, _of_mosquitto(plan, passwords))
        argv = (broker, "-c", str(config))
    return Command("mqtt", argv, plan.folder, base_environment())


def _of_mosquitto(plan: MqttPlan, passwords: Path) -> str:
    settings = {
        "listener": f"{plan.port} 127.0.0.1",
        "allow_anonymous": "false",
        "password_file": str(passwords),
        "persistence": "true",
        "persistence_location": f"{plan.folder}/",
        "autosave_interval": "10",
        "max_inflight_messages": str(_WINDOW),
        "max_queued_messages": str(_WAITING),
        "max_packet_size": str(_LARGEST),
        "log_dest": "stdout",
        "log_type": "error",
    }
    # Else root would run it as a user that cannot reach our folder.
    user = "user root\n" if os.geteuid() == 0 else ""
    return user + "".join(f"{name} {value}\n" for name, value in settings.items())


def _hashed(password: str) -> str:
    """Return a password as mosquitto 2 keeps it: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _of_rumqttd(plan: MqttPlan) -> str:
    users = "".join(f'{user} = "{password}"\n' for user, password in plan.users.items())
    return f"""id = 0
[router]
id = 0
max_connections = 10000
max_outgoing_packet_count = {_WINDOW}
max_segment_size = {16 << 20}
max_segment_count = 4
[v5.1]
name = "v5"
listen = "127.0.0.1:{plan.port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {_LARGEST}
max_inflight_count = {_WINDOW}
dynamic_filters = true
[v5.1.connections.auth]
{users}"""


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


async def ready(plan: MqttPlan) -> bool:
    """Tell whether the broker takes one of our users, and so is no stranger on its port. Takes 2 s at most."""
    user, password = next(iter(plan.users.items()))
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
            try:
                writer.write(_hello(user, password))
                answer = await reader.readexactly(4)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return answer[0] == _ACCEPTS and answer[3] == 0


_COMES, _ACCEPTS = 0x10, 0x20
_CLEAN_WITH_PASSWORD = 0b1100_0010


def _hello(user: str, password: str) -> bytes:
    """Return a CONNECT of MQTT 5 (3.1) with a session that ends with the connection."""
    fields = (_text("MQTT"), bytes([5, _CLEAN_WITH_PASSWORD, 0, 10, 0]), _text(f"ready-{secrets.token_hex(4)}"), _text(user), _text(password))
    body = b"".join(fields)
    return bytes([_COMES, len(body)]) + body  # one byte of length: the whole is shorter than 128


def _text(text: str) -> bytes:
    return len(text).to_bytes(2) + text.encode()
