"""The data folder of one `up`: kept or throwaway, of one version, locked while in use."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import psutil

from services.cli.errors import PreflightError, Problem

FORMAT = 2
"""Raised by each version whose data an older one could not go on with; what is found of an older format is upgraded.

1: 0.1. 2: 0.2 has tables of the gateway, users in `secrets.json`, an id, and remembers its city and which servers a folder belongs to.
"""

_VERSION_FILE = "tongguan.json"
_LOCK_FILE = "up.lock"
_BEFORE_MARKER = {_LOCK_FILE, _VERSION_FILE + ".new", "logs"}
"""What a run that was killed at its very beginning leaves."""
_THROWAWAY = "tmp-"
_EMBEDDED = {"kafka": "kafka", "database": "postgres"}
"""Which folder the embedded server of a kind has."""

Servers = Mapping[str, Mapping[str, str]]
"""What a folder remembers of the outside servers that it belongs to: for `kafka` and `database` an address and an identity."""


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
    id: uuid.UUID
    """Made once, and noted by `claim`; a database knows by it to which folder it belongs."""
    _lock: IO[str]

    @property
    def logs(self) -> Path:
        """Where each process has its log."""
        return self.path / "logs"

    def log(self, name: str) -> Path:
        """Return the log of a process."""
        return self.logs / f"{name}.log"

    def claim(self, servers: Servers, city: str | None) -> None:
        """Note that this version goes on with it from now on, with these outside servers and this city: an older version will refuse it.

        A city that is noted stays.
        """
        before = _marker(self.path)
        known = before.city if before else None
        noted = {"format": FORMAT, "version": program_version(), "id": str(self.id), "city": known or city, "servers": servers}
        write_private(self.path / _VERSION_FILE, noted)

    def close(self, *, leave: bool = False) -> None:
        """Give the folder free, and remove it when it is throwaway; `leave` leaves that to the next start."""
        if not self.kept and not leave:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


@dataclass(frozen=True, slots=True)
class Marker:
    """What a data folder says of itself."""

    format: int
    version: str
    servers: Servers
    id: uuid.UUID | None
    """None, as the city, until the first start of a version that notes them; the city also where only servers ran yet."""
    city: str | None


def inspect(path: Path) -> Marker | None:
    """Return what a folder says of itself, None for one that is empty or not there. Raises `PreflightError` for one that we cannot use."""
    if not path.exists():
        return None
    _check_ours(path)
    return _marker(path)


def _marker(path: Path) -> Marker | None:
    file = path / _VERSION_FILE
    if not file.exists():
        return None
    try:
        return _read_marker(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        again = json.dumps({"format": FORMAT, "version": program_version()})
        mend = f"restore it from a copy, or write {again} into it and start once with --adopt; nothing else in the folder was touched"
        raise _refuse(f"{file} cannot be read ({type(error).__name__}: {error})", mend) from error


def _read_marker(found: Any) -> Marker:
    servers = {name: {"address": str(one["address"]), "identity": str(one["identity"])} for name, one in found.get("servers", {}).items()}
    known = found.get("id")
    return Marker(int(found["format"]), str(found["version"]), servers, uuid.UUID(known) if known else None, found.get("city"))


def mix_ups(path: Path, servers: Servers) -> list[Problem]:
    """Return what is wrong with using a folder with these outside servers: data of one server are of no use with another's."""
    marker = _marker(path)
    each = (_mix_up(path, name, marker.servers.get(name), servers.get(name)) for name in _EMBEDDED) if marker else ()
    return [problem for problem in each if problem]


def other_city(path: Path, city: str) -> list[Problem]:
    """Return what is wrong with using a folder for this city: users and open warnings of another would stay in it."""
    marker = _marker(path)
    if marker is None or marker.city in {None, city}:
        return []
    return [Problem(f"{path} holds the city {marker.city}, not {city}", "name that city's folder: --city DIR, or another folder: --data DIR")]


def _mix_up(path: Path, name: str, before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> Problem | None:
    other = "or name another folder: --data DIR"
    if before is None and now is not None and (path / _EMBEDDED[name]).exists():
        return Problem(f"{path} has an embedded {name} with its data, and --{name} names another", f"leave --{name} out, {other}")
    if before is not None and now is None:
        return Problem(f"{path} belongs to the {name} at {before['address']}", f"add --{name} {before['address']}, {other}")
    if before is not None and now is not None and before["identity"] != now["identity"]:
        what = f"{path} belongs to the {name} at {before['address']}, and the one at {now['address']} is another"
        return Problem(what, f"name that one, {other}")
    return None


def running_pid(path: Path) -> int | None:
    """Return the `up` that has a folder in use, without disturbing it."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((path / _LOCK_FILE).read_text().strip()))
        words = process.cmdline()  # none of a zombie; another's that has got the same number are different
        if "up" in words and any("services.cli" in word or Path(word).name == "tongguan" for word in words):
            return process.pid
    return None


def throwaways() -> list[Path]:
    """Return the throwaway folders that are there."""
    return sorted(home().glob(_THROWAWAY + "*"))


def remove(path: Path, confirm: Callable[[Marker], bool]) -> bool:
    """Remove a data folder with all that is in it, if `confirm` agrees; returns whether it did.

    Raises `PreflightError` for one that is in use, of another user, or not ours.
    """
    path = path.expanduser().resolve()
    marker = inspect(path)
    if marker is None:
        raise _refuse(f"{path} is no data folder of Tongguan", "name the folder that --data named")
    lock = _lock(path)
    try:
        if not confirm(marker):
            return False
        shutil.rmtree(path)
        return True
    finally:
        lock.close()


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that only its owner may read; a reader sees the old file or the new one, never a part."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())  # else a power cut after the rename may leave an empty file
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
    found = _marker(path)
    if found is None:
        names = {entry.name for entry in path.iterdir()}
        if foreign := sorted(names - _BEFORE_MARKER if _LOCK_FILE in names else names):
            raise _refuse(f"{path} is not empty and no data folder of Tongguan (it holds {foreign[0]})", "name a new or empty folder: --data DIR")
        return
    owner = marker.stat().st_uid
    if owner != os.geteuid():
        raise _refuse(f"{path} belongs to user {_user_name(owner)}, who ran it before", "start as that user, or name another folder: --data DIR")
    if found.format > FORMAT:
        raise _refuse(f"{path} was last used by version {found.version}, which is newer than this one", "start that version or a newer one")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _lock(path: Path) -> IO[str]:
    lock = _try_lock(path)
    if lock is None:
        pid = (path / _LOCK_FILE).read_text().strip() or "unknown"
        raise _refuse(f"{path} is in use by another ./tongguan up (pid {pid})", f"stop it first (kill {pid}), or name another folder: --data DIR")
    return lock


def _started(path: Path, *, kept: bool) -> DataFolder:
    marker = _marker(path)
    lock = _lock(path)
    (path / "logs").mkdir(mode=0o700, exist_ok=True)
    (path / "run.json").unlink(missing_ok=True)
    return DataFolder(path, kept, (marker and marker.id) or uuid.uuid4(), lock)
