"""What `up` tells while it works: steps under way on stderr, spinning on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUIET_S = 1.0
"""A step that took less is not told of at its end."""
_BETWEEN_S = 2.0
"""Without a terminal a step's progress is told at most this often."""


class Step(ABC):
    """One step under way."""

    @abstractmethod
    def now(self, text: str) -> None:
        """Say how far it is."""


class Console(ABC):
    """Where a person reads. A terminal that went away silences it and stops nothing."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def elapsed(self) -> float:
        """Return seconds since the command began to speak."""
        return time.monotonic() - self._began

    @abstractmethod
    def say(self, text: str) -> None:
        """Tell one line."""

    @abstractmethod
    def step(self, name: str) -> contextlib.AbstractContextManager[Step]:
        """Tell of a step while the block runs; several may run at once."""

    def close(self) -> None:  # noqa: B027 - nothing to give back unless a terminal is animated
        """Give the terminal back."""


def open_console(stream: TextIO = sys.stderr) -> Console:
    """Return the console that suits the stream."""
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveConsole(stream)
    return PlainConsole(stream)


class PlainConsole(Console):
    """Lines that begin with the seconds since the start."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def say(self, text: str) -> None:
        """Tell one line."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"[{self.elapsed():6.1f} s] {text}\n")
            self._stream.flush()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Tell of its start, of its progress now and then, and of its end when it took long."""
        began = time.monotonic()
        self.say(f"{name} …")
        yield _PlainStep(self, name)
        took = time.monotonic() - began
        if took > _QUIET_S:
            self.say(f"{name}: done in {took:.1f} s")


class _PlainStep(Step):
    def __init__(self, console: PlainConsole, name: str) -> None:
        self._console = console
        self._name = name
        self._told = time.monotonic()

    def now(self, text: str) -> None:
        if time.monotonic() - self._told >= _BETWEEN_S:
            self._told = time.monotonic()
            self._console.say(f"{self._name}: {text}")


class LiveConsole(Console):
    """Spinners with seconds; finished steps stay as lines above them."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        from rich.console import Console as RichConsole  # noqa: PLC0415 - 60 ms that only a terminal pays
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._progress: Progress = Progress(*columns, console=RichConsole(file=stream, highlight=False), transient=True)
        self._running = 0

    def say(self, text: str) -> None:
        """Tell one line above the spinners."""
        with contextlib.suppress(OSError, ValueError):
            self._progress.console.print(text, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Spin while the block runs."""
        began = time.monotonic()
        task = self._progress.add_task(name)
        self._running += 1
        self._progress.start()
        try:
            yield _LiveStep(self._progress, task, name)
            self.say(f"✓ {name} ({time.monotonic() - began:.1f} s)")
        finally:
            self._progress.remove_task(task)
            self._running -= 1
            if not self._running:
                self.close()

    def close(self) -> None:
        """Stop spinning."""
        with contextlib.suppress(OSError, ValueError):
            self._progress.stop()


class _LiveStep(Step):
    def __init__(self, progress: Progress, task: TaskID, name: str) -> None:
        self._progress = progress
        self._task = task
        self._name = name

    def now(self, text: str) -> None:
        self._progress.update(self._task, description=f"{self._name}: {text}")
