"""The data folder of one `up`: kept or throwaway, of one version, locked while in use."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from services.cli.errors import PreflightError, Problem

FORMAT = 1
"""Of the folder's layout. A later version raises it and upgrades what it finds."""

_VERSION_FILE = "tongguan.json"
_LOCK_FILE = "up.lock"
_BEFORE_MARKER = {_LOCK_FILE, _VERSION_FILE + ".new"}
"""What a run that was killed at its very beginning leaves."""
_THROWAWAY = "tmp-"


def program_version() -> str:
    """Return this program's version."""
    try:
        return version("tongguan")
    except PackageNotFoundError:  # run from a tree without an installation
        return "0"


def home() -> Path:
    """Return where throwaway folders are made: a place that PostgreSQL's account can reach."""
    if os.geteuid() == 0:
        return Path("/var/lib/tongguan")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tongguan"


def cache() -> Path:
    """Return where downloads are kept, shared by all data folders of a user."""
    named = os.environ.get("TONGGUAN_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tongguan"


@dataclass(frozen=True)
class DataFolder:
    """A folder that is ours while `_lock` is open."""

    path: Path
    kept: bool
    _lock: IO[str]

    @property
    def logs(self) -> Path:
        """Where each process has its log."""
        return self.path / "logs"

    def log(self, name: str) -> Path:
        """Return the log of a process."""
        return self.logs / f"{name}.log"

    def close(self, *, leave: bool = False) -> None:
        """Give the folder free, and remove it when it is throwaway; `leave` leaves that to the next start."""
        if not self.kept and not leave:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that only its owner may read; a reader sees the old file or the new one, never a part."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.write("\n")
    unfinished.replace(path)


def _refuse(what: str, mend: str) -> PreflightError:
    return PreflightError([Problem(what, mend)])


def _try_lock(path: Path) -> IO[str] | None:
    """Take a folder's lock; None when another process has it. It ends with the process, however that ends."""
    lock = (path / _LOCK_FILE).open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


@contextlib.contextmanager
def _alone_in(parent: Path) -> Iterator[None]:
    """Let one process at a time make and remove throwaway folders: one without a lock yet is not taken for a leftover."""
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_throwaway() -> DataFolder:
    """Make a fresh folder, removed when closed, and remove those that runs which were killed left behind."""
    parent = home()
    try:
        with _alone_in(parent):
            _remove_leftovers(parent)
            path = Path(tempfile.mkdtemp(prefix=_THROWAWAY, dir=parent))
            path.chmod(_mode())
            return _started(path, kept=False)
    except OSError as error:
        raise _refuse(f"cannot make a folder in {parent}: {error.strerror}", "name a folder that you may write to: --data DIR") from error


def _remove_leftovers(parent: Path) -> None:
    for left in parent.glob(_THROWAWAY + "*"):
        with contextlib.suppress(OSError):
            if (lock := _try_lock(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                lock.close()


def open_kept(path: Path) -> DataFolder:
    """Open a folder that keeps its data, making it when it is missing. Raises `PreflightError`."""
    path = path.expanduser().absolute()
    try:
        if not path.exists():
            path.mkdir(mode=0o755, parents=True)
            path.chmod(_mode())
        _check_ours(path)
        return _started(path, kept=True)
    except OSError as error:
        mend = "give this user the folder (chown) or name another: --data DIR"
        raise _refuse(f"cannot use {path} as the data folder: {error.strerror}", mend) from error


def _mode() -> int:
    """PostgreSQL's account must pass through root's folder; of an ordinary user nobody else needs to."""
    return 0o711 if os.geteuid() == 0 else 0o700


def _check_ours(path: Path) -> None:
    if not path.is_dir():
        raise _refuse(f"{path} is not a folder", "name another: --data DIR")
    marker = path / _VERSION_FILE
    if not marker.exists():
        if foreign := [entry.name for entry in path.iterdir() if entry.name not in _BEFORE_MARKER]:
            raise _refuse(f"{path} is not empty and no data folder of Tongguan (it holds {foreign[0]})", "name a new or empty folder: --data DIR")
        return
    owner = marker.stat().st_uid
    if owner != os.geteuid():
        raise _refuse(f"{path} belongs to user {_user_name(owner)}, who ran it before", "start as that user, or name another folder: --data DIR")
    found = json.loads(marker.read_text(encoding="utf-8"))
    if found["format"] > FORMAT:
        raise _refuse(f"{path} was last used by version {found['version']}, which is newer than this one", "start that version or a newer one")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _started(path: Path, *, kept: bool) -> DataFolder:
    lock = _try_lock(path)
    if lock is None:
        pid = (path / _LOCK_FILE).read_text().strip() or "unknown"
        raise _refuse(f"{path} is in use by another ./tongguan up (pid {pid})", f"stop it first (kill {pid}), or name another folder: --data DIR")
    write_private(path / _VERSION_FILE, {"format": FORMAT, "version": program_version()})
    (path / "logs").mkdir(mode=0o700, exist_ok=True)
    (path / "run.json").unlink(missing_ok=True)
    return DataFolder(path, kept, lock)
