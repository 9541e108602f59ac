"""What to run, as a value, and the two ways of running it: to its end, or for others to supervise.

Children never outlive the process that started them: on Linux the kernel sends them `orphaned` when it dies, whatever killed it.
They get a session of their own, so that Ctrl-C in the terminal reaches the supervisor only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

_PR_SET_PDEATHSIG = 1
_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group that a command runs as."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Command:
    """One program with all that it needs."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    """The whole environment, nothing is inherited. Not shown: it may hold passwords."""
    user: Account | None = None
    """None: the user who calls."""
    stop: signal.Signals = signal.SIGTERM
    """What asks it to end in order."""
    orphaned: signal.Signals = signal.SIGKILL
    """What the kernel sends it when its supervisor is gone (Linux)."""


class EmbeddedError(Exception):
    """Something about an embedded server that a person must mend; the message says what and how."""


class CommandFailedError(EmbeddedError):
    """A command that should have ended well did not; `log` is where its words are, `tail` the last of them."""

    def __init__(self, command: Command, code: int, log: Path) -> None:
        self.log = log
        self.tail = tail(log)
        super().__init__(f"{command.name} ended with {describe_exit(code)}")


class Run(Protocol):
    """Runs a command to its end; raises `CommandFailedError` when it ends badly; kills it when cancelled."""

    async def __call__(self, command: Command) -> None: ...


def describe_exit(code: int) -> str:
    """Say an exit code as `subprocess` gives it: negative for a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def tail(log: Path, lines: int = _TAIL_LINES) -> list[str]:
    """Return the last lines of a log, none when there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65_536))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []


def base_environment() -> dict[str, str]:
    """Return the little of our environment that foreign programs need: no CLASSPATH, PG* or JAVA_TOOL_OPTIONS reaches them."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LANG": "C.UTF-8", "TZ": "UTC"}


def _tether(orphaned: signal.Signals) -> Callable[[], None] | None:
    """Return what the child does between fork and exec, or None where the kernel offers nothing."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork: the child must not load anything
    parent = os.getpid()

    def tether() -> None:
        prctl(_PR_SET_PDEATHSIG, int(orphaned), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked to be told
            os._exit(1)

    return tether


async def spawn(command: Command, *, output: int | IO[bytes]) -> Process:
    """Start a command, both its outputs going to `output`.

    To be called from the thread that lives as long as the process does (the main one): the kernel takes the end of
    the thread that forked for the end of the parent.
    """
    user = command.user
    privileges: dict[str, Any] = {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    return await asyncio.create_subprocess_exec(
        *command.argv,
        cwd=command.cwd,
        env=dict(command.env),
        stdin=DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_tether(command.orphaned),
        **privileges,
    )


def kill_group(pid: int) -> None:
    """Kill a spawned process and those it has forked: each leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


async def run_logged(command: Command, log: Path) -> None:
    """Run a command to its end with its words appended to `log`; see `Run`."""
    with log.open("ab") as output:
        process = await spawn(command, output=output)
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                kill_group(process.pid)  # initdb has children of its own
                await process.wait()
    if code != 0:
        raise CommandFailedError(command, code, log)
