"""Keeps child processes running, and ends them in order.

A child that ends is started again after a wait (`backoff`), and what happened is said. A child whose `/livez` fails three
times in a row is killed and thus started again. Once `drain` or `kill_all` was called nothing is started any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psutil

from services.cli import probe
from services.cli.backoff import Backoff
from services.cli.logs import Echo, RotatingLog, pump, words
from services.kit.clock import SystemClock
from services.kit.embedded.command import Command, describe_exit, kill_group, spawn, tail

T = TypeVar("T")

LIVEZ_EVERY_S = 5.0
LIVEZ_FAILURES = 3
_READY_EVERY_S = 0.2
_LAST_WORDS_S = 0.5
"""For the end of its log to be read before we speak of it."""
LIVEZ_GRACE_S = 30.0
"""A child that has not answered once gets so long before its silence counts."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to be kept running."""

    command: Command
    admin_port: int | None = None
    """Where `/livez` is; None for what has none."""
    ready: Callable[[], Awaitable[bool]] | None = None
    """Tells whether it does its work; asked often."""
    before_restart: Callable[[], None] | None = None
    """Clears what a killed process left; runs in a thread, so it may wait."""
    give_up: frozenset[int] = frozenset()
    """Exit codes after which it is left alone: it said that trying again is of no use."""

    @property
    def name(self) -> str:
        """The name in messages, logs and `run.json`."""
        return self.command.name


@dataclass(frozen=True, slots=True)
class Stage:
    """Children that are asked to end together, and how long they may take."""

    names: tuple[str, ...]
    grace_s: float


class Child:
    """One process and its successors. `keep` runs it; all else may be called at any time from the same loop."""

    def __init__(self, spec: ChildSpec, log: Path, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.spec = spec
        self.log = log
        self.restarts = 0
        self.restarted_at: datetime | None = None
        self.given_up = False
        self.last_exit: int | None = None
        self._say = say
        self._changed = changed
        self._file = RotatingLog(log)
        self._backoff = Backoff()
        self._echo = Echo(lambda text: None if self._ending.is_set() else say(f"{spec.name}: {text}"), time.monotonic)
        self._ending = asyncio.Event()
        self._process: Process | None = None
        self._unresponsive = False

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None else None

    async def keep(self, tasks: asyncio.TaskGroup) -> None:
        """Run the process, again and again, until `end` or `kill` was called and it has ended."""
        while not self._ending.is_set():
            began = time.monotonic()
            cause = await self._run_once(tasks)
            if self._ending.is_set() or self.given_up:
                return
            await self._wait_to_restart(cause, time.monotonic() - began)

    async def _run_once(self, tasks: asyncio.TaskGroup) -> str:
        """Run the process to its end and say how it ended."""
        read, write = os.pipe()
        try:
            self._process = await spawn(self.spec.command, output=write)
        except OSError as error:
            os.close(read)
            return f"it could not be started: {error}"
        finally:
            os.close(write)
        self._changed()
        # Apart from the process's end: those it has forked may hold the pipe longer than it lives.
        pumping = tasks.create_task(pump(read, self._file, self._echo.line))
        watchers = [tasks.create_task(self._watch(self._process.pid)), tasks.create_task(self._tell_when_back())]
        if self._ending.is_set():  # asked while it was being started
            self.ask()
        code = await self._process.wait()
        await asyncio.wait({pumping}, timeout=_LAST_WORDS_S)
        for watcher in watchers:
            watcher.cancel()
        self._process, self.last_exit = None, code
        self.given_up = code in self.spec.give_up
        if self.given_up:
            self._say(f"{self.spec.name} has ended ({describe_exit(code)}) and says that trying again is of no use: {self._last_line()}")
        cause, self._unresponsive = ("it did not answer and was killed" if self._unresponsive else describe_exit(code)), False
        return cause

    async def _wait_to_restart(self, cause: str, alive: float) -> None:
        wait = self._backoff.died(alive)
        self.restarts += 1
        self.restarted_at = SystemClock().now()
        loop = f" CRASH LOOP, {self._backoff.quick_deaths} times in a row: {self._last_line()} (log: {self.log})" if self._backoff.looping else ""
        self._say(f"{self.spec.name} has ended after {alive:.1f} s ({cause}); starting it again in {wait:g} s.{loop}")
        self._changed()
        if self.spec.before_restart is not None:
            await self._unless_ending(self.spec.before_restart)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._ending.wait()

    async def _unless_ending(self, work: Callable[[], None]) -> None:
        """Run blocking work in a thread, and leave it there once we are asked to end."""
        done, ending = asyncio.ensure_future(in_thread(work)), asyncio.ensure_future(self._ending.wait())
        await asyncio.wait({done, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not done.cancel():
            done.result()
        ending.cancel()

    def _last_line(self) -> str:
        lines = [told for line in tail(self.log) if (told := words(line))]
        return lines[-1] if lines else "it said nothing"

    async def _tell_when_back(self) -> None:
        """After a restart, say when it does its work again."""
        if self.spec.ready is None or not self.restarts:
            return
        began = time.monotonic()
        while not await self.spec.ready():
            await asyncio.sleep(_READY_EVERY_S)
        self._say(f"{self.spec.name} is ready again ({time.monotonic() - began:.1f} s)")

    async def _watch(self, pid: int) -> None:
        """Poll `/livez` while this process lives; kill it when it does not answer."""
        if self.spec.admin_port is None:
            return
        began, failures, answered = time.monotonic(), 0, False
        while failures < LIVEZ_FAILURES:
            await asyncio.sleep(LIVEZ_EVERY_S)
            alive = await probe.status(self.spec.admin_port, "/livez") == 200  # noqa: PLR2004 - HTTP's OK
            answered = answered or alive
            if alive or not (answered or time.monotonic() - began > LIVEZ_GRACE_S):
                failures = 0
            else:
                failures += 1
        self._unresponsive = True
        self._say(f"{self.spec.name} has not answered /livez {failures} times in a row; killing it")
        kill_group(pid)

    def end(self) -> None:
        """Start it no more."""
        self._ending.set()

    def ask(self) -> None:
        """Ask the running process to end in order."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.spec.command.stop)

    def kill(self) -> None:
        """End it at once, and start it no more."""
        self._ending.set()
        if self._process is not None:
            kill_group(self._process.pid)

    def close(self) -> None:
        """Close its log."""
        self._file.close()


class Supervisor:
    """All children of one `up`. Lives inside the caller's task group, which ends once all children have."""

    def __init__(self, tasks: asyncio.TaskGroup, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._tasks = tasks
        self._say = say
        self._changed = changed
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._ending = False
        self.children: dict[str, Child] = {}

    def start(self, spec: ChildSpec, log: Path) -> Child:
        """Begin to keep a child running."""
        child = Child(spec, log, self._say, self._changed)
        self.children[spec.name] = child
        if self._ending:
            child.end()
        self._keepers[spec.name] = self._tasks.create_task(child.keep(self._tasks), name=spec.name)
        return child

    async def drain(self, stages: Sequence[Stage], within_s: float) -> list[str]:
        """End all children, stage by stage, and return the names of those that had to be killed.

        A stage that is late is killed; later stages keep at least half of their grace, so the whole ends `within_s`.
        """
        self._ending = True
        deadline = time.monotonic() + within_s
        killed: list[str] = []
        for child in self.children.values():
            child.end()
        for number, stage in enumerate(stages):
            reserve = sum(later.grace_s for later in stages[number + 1 :]) / 2
            killed += await self._end_stage(stage, max(0.0, min(stage.grace_s, deadline - time.monotonic() - reserve)))
        self.kill_all()  # whoever stands in no stage
        await asyncio.wait(self._keepers.values()) if self._keepers else None
        _kill_stragglers()
        return killed

    async def _end_stage(self, stage: Stage, grace_s: float) -> list[str]:
        present = {name: self._keepers[name] for name in stage.names if name in self._keepers}
        if not present:
            return []
        for name in present:
            self.children[name].ask()
        _, late = await asyncio.wait(present.values(), timeout=grace_s)
        names = [name for name, keeper in present.items() if keeper in late]
        for name in names:
            self.children[name].kill()
        if late:
            await asyncio.wait(late)
        return names

    def kill_all(self) -> None:
        """End all at once. Running drains then end, too."""
        self._ending = True
        for child in self.children.values():
            child.kill()

    def close(self) -> None:
        """Close the logs, after all children have ended."""
        for child in self.children.values():
            child.close()


def _kill_stragglers() -> None:
    """Kill whatever descends from us yet: steps that were cut short, forks of killed children."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread that neither cancellation nor the program's end waits for. Starts no processes in it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type] # None is a result where T allows it

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - carried to the one who waits
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, daemon=True).start()
    return await done
