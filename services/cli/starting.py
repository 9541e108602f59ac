"""How `up` starts one thing after another: as a child to be kept, as a command to its end, or as a step that needs a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from services.cli import probe
from services.cli.console import Console, Step
from services.cli.errors import StepError
from services.cli.folder import DataFolder
from services.cli.supervisor import Child, ChildSpec, Supervisor
from services.kit.embedded.command import Command, run_logged, tail
from services.kit.errors import Misconfigured

SERVER_S = 120.0
"""After a crash with much data a server first recovers; without one it takes 1-3 s."""
SERVICES_S = 90.0
STEP_S = 120.0
TELL_S = 0.5
_POLL_S = 0.05
_HOPELESS = 6
"""A child that died so often before it was ever ready will not be: 16 s by the back-off."""
_EXIT_MISCONFIGURED = 78
"""A service's word that starting it again will not help (`services.kit.room`)."""


class Starter:
    """Starts what one `up` needs."""

    def __init__(self, supervisor: Supervisor, folder: DataFolder, console: Console) -> None:
        self.console = console
        self.folder = folder
        self._supervisor = supervisor

    def keep(self, spec: ChildSpec) -> Child:
        """Begin to keep a child running."""
        return self._supervisor.start(spec, self.folder.log(spec.name))

    async def run(self, command: Command) -> None:
        """Run a command to its end; see `services.kit.embedded.command.Run`."""
        await run_logged(command, self.folder.log(command.name))

    async def on_server(self, server: str, name: str, work: Callable[[Step], Awaitable[None]]) -> None:
        """Do a step that needs a server, again if that is a child which was restarted meanwhile. Raises `StepError`."""
        child = self._supervisor.children.get(server)
        log = child.log if child else None
        with self.console.step(name) as step:
            while True:
                restarts = child.restarts if child else 0
                try:
                    async with asyncio.timeout(STEP_S):
                        return await work(step)
                except TimeoutError as error:
                    raise StepError(f"{name} took more than {STEP_S:.0f} s", log, _tail(log)) from error
                except Misconfigured:
                    raise
                except Exception as error:
                    await asyncio.sleep(TELL_S)  # its end may be noticed only now
                    if child is None or (child.restarts == restarts and child.pid is not None):
                        raise StepError(f"{name} failed: {type(error).__name__}: {error}", log, _tail(log)) from error

    async def until_room(self, child: Child) -> None:
        """Wait until a service is ready. Raises `StepError` with what it says of itself."""
        try:
            await self.until_ready(child, SERVICES_S)
        except StepError as error:
            said = await probe.body(child.spec.admin_port or 0, "/readyz")
            raise StepError(f"{error.message}\n  it says: {said}") if said else error from None

    async def until_ready(self, child: Child, limit_s: float) -> None:
        """Wait until a child is ready. Raises `StepError` when it takes too long, or dies so that waiting is of no use."""
        began, name = time.monotonic(), child.spec.name
        while child.spec.ready is not None and not await child.spec.ready():
            if child.last_exit == _EXIT_MISCONFIGURED or child.restarts >= _HOPELESS:
                raise StepError(f"{name} cannot start", child.log, tail(child.log))
            if time.monotonic() - began > limit_s:
                raise StepError(f"{name} was not ready after {limit_s:.0f} s", child.log, tail(child.log))
            await asyncio.sleep(_POLL_S)

    async def until_started(self, child: Child) -> None:
        """Wait until a child without readiness of its own runs, so that `run.json` names it once it says ready."""
        while child.pid is None and not child.restarts and not child.given_up:
            await asyncio.sleep(_POLL_S)


def _tail(log: Path | None) -> list[str]:
    return tail(log) if log else []


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things at once; the first failure cancels the others and is raised alone."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
