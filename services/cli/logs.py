"""What the children say: all of it into rotated files, what matters of it to the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

MAX_BYTES = 10 << 20
KEEP = 3
"""So a process has at most 40 MB: its log and three older ones."""

_LONGEST_LINE = 64 << 10
"""A longer line is written in pieces; nothing is lost."""
_SHOWN = 200
"""Letters of a line that go to the terminal."""
_BURST = 5
_BURST_S = 10.0
"""A child may show so many lines in so many seconds; the rest is counted. Its file has them all."""

_LOUD = {"warning": "warning", "warn": "warning", "error": "error", "critical": "critical", "fatal": "critical"}
_PLAIN_LOUD = re.compile(r"^\S+Z (ERROR|FATAL) |\] (ERROR|FATAL|PANIC): |^(Error:|Exception in thread)")
_EXPECTED = re.compile(r"FATAL:  the database system is (starting up|shutting down|not yet accepting|in recovery)")
"""What PostgreSQL tells whoever asks too early, us first."""


class RotatingLog:
    """A file that is set aside when it is full. One writer."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._file = path.open("ab")

    def write(self, data: bytes) -> None:
        """Append; a full disk loses the words and nothing else."""
        with contextlib.suppress(OSError):
            if self._file.tell() + len(data) > self._max_bytes:
                self._rotate()
            self._file.write(data)
            self._file.flush()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._keep, 0, -1):
            older = self.path if number == 1 else self.path.with_name(f"{self.path.name}.{number - 1}")
            if older.exists():
                older.replace(self.path.with_name(f"{self.path.name}.{number}"))
        self._file = self.path.open("ab")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def loud(line: str) -> str | None:
    """Return a line shortened for the terminal when it is a warning or worse, else None."""
    if line.startswith("{"):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            record = json.loads(line)
            level = _LOUD.get(str(record.get("level", "")).lower())
            return None if level is None else _shorten(f"{level}: {_told(record)}")
    return _shorten(line) if _PLAIN_LOUD.search(line) and not _EXPECTED.search(line) else None


def _told(record: dict[str, object]) -> str:
    hidden = {"level", "timestamp", "service", "node", "event", "logger", "exception"}
    rest = " ".join(f"{name}={value}" for name, value in record.items() if name not in hidden)
    return f"{record.get('event', '')} {rest}".rstrip()


def words(line: str) -> str:
    """Return a line of a log as a person would read it: of a JSON line its event, what it tells, and the end of its exception."""
    with contextlib.suppress(ValueError, AttributeError):
        record = json.loads(line)
        last = str(record.get("exception", "")).strip(" |+-\n").rpartition("\n")[2].strip(" |+-")
        return _shorten(f"{_told(record)} {last}".rstrip())
    return _shorten(line.strip(" |+-"))  # the frames that Python draws around groups of exceptions are no words


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class Echo:
    """Lets a child's loud lines through to the terminal, bounded."""

    def __init__(self, show: Callable[[str], None], now: Callable[[], float]) -> None:
        self._show = show
        self._now = now
        self._window = float("-inf")
        self._shown = 0
        self._held_back = 0

    def line(self, line: str) -> None:
        """Take a line of the log."""
        text = loud(line)
        if text is None:
            return
        if self._now() - self._window > _BURST_S:
            if self._held_back:
                self._show(f"… and {self._held_back} more such lines, see its log")
            self._window, self._shown, self._held_back = self._now(), 0, 0
        if self._shown < _BURST:
            self._shown += 1
            self._show(text)
        else:
            self._held_back += 1


async def pump(descriptor: int, log: RotatingLog, line: Callable[[str], None]) -> None:
    """Carry a child's output to its log until all who could write are gone; each line is given to `line`, too. Closes `descriptor`."""
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0))
    rest = b""
    try:
        while data := await _read(reader):
            log.write(data)
            *whole, rest = (rest + data).split(b"\n")
            for each in whole:
                line(each.decode("utf-8", "replace"))
            rest = rest[-_LONGEST_LINE:]
    finally:
        transport.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return what there is; nothing at the end, however the pipe ended."""
    try:
        return await reader.read(_LONGEST_LINE)
    except OSError:
        return b""
