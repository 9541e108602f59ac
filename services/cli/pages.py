"""The pages: built from `web/` into the gateway's folder whenever their sources have changed.

An installation from a wheel has no `web/` and brings its pages with it. `build.stamp` beside the pages says what they were built from; Vite
empties the folder first, so a build that was cut short leaves no stamp and is done again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli import nodejs
from services.cli.errors import CliError, Problem, StepError
from services.cli.locking import waiting_lock
from services.kit.embedded.command import Command, CommandFailedError, run_logged, tail

LIMIT_S = 600.0
"""Of each step; on two cores with an empty cache they take 10-20 s."""
_TELL_S = 0.5
_NO_SOURCE = {"node_modules", "dist", "coverage"}
_INSTALLING = "installing the locked packages"
_FORM = 1
"""Of the stamp: raised when what is built from the same sources changes."""
_MEND = "Mend what the log names and run again; `./tongguan up --no-pages` starts without building the pages"


@dataclass(frozen=True, slots=True)
class Pages:
    """The sources of a clone and what is built from them."""

    root: Path

    @property
    def web(self) -> Path:
        """The sources."""
        return self.root / "web"

    @property
    def built(self) -> Path:
        """What the gateway serves."""
        return self.root / "services" / "gateway" / "page"

    @property
    def _stamp(self) -> Path:
        return self.built / "build.stamp"

    def has_sources(self) -> bool:
        """Tell whether this is a clone, not an installation."""
        return (self.web / "package.json").is_file()

    def wanted(self) -> str:
        """Return the stamp that pages built now would bear: SHA-256 over all from which they are made."""
        sums = hashlib.sha256(f"{_FORM}\n".encode())
        for path in (*_sources(self.web), *sorted((self.root / "schemas" / "json").glob("*.json"))):
            sums.update(f"{path.relative_to(self.root)} ".encode() + hashlib.sha256(path.read_bytes()).digest())
        return sums.hexdigest()

    def are_built(self) -> bool:
        """Tell whether the pages are there and as their sources say."""
        if not self.has_sources():
            return True
        with suppress(FileNotFoundError):
            return (self.built / "index.html").is_file() and self._stamp.read_text() == self.wanted()
        return False

    def mark(self, stamp: str) -> None:
        """Note from what the pages were built."""
        self._stamp.write_text(stamp)

    def forget(self) -> None:
        """Have the next build done, whatever the sources."""
        self._stamp.unlink(missing_ok=True)

    def packages_are_installed(self) -> bool:
        """Tell whether `node_modules` holds what the lock says, by the list that npm writes at the end of an installation."""
        installed = _packages(self.web / "node_modules" / ".package-lock.json")
        locked = _packages(self.web / "package-lock.json")
        if not installed or any(_version(locked.get(name)) != _version(entry) for name, entry in installed.items()):
            return False
        # Optional ones are for other systems.
        return all(name in installed or entry.get("optional") for name, entry in locked.items())


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _NO_SOURCE or (path.name.startswith(".") and path.is_dir()):
            continue
        if path.is_dir():
            yield from _sources(path)
        elif path.is_file():
            yield path


def _packages(lock: Path) -> dict[str, dict[str, Any]]:
    """Return the packages of a lock by place, without the project itself; none where there is no lock."""
    try:
        packages: dict[str, dict[str, Any]] = json.loads(lock.read_text("utf-8"))["packages"]
    except (OSError, ValueError, KeyError):
        return {}
    return {name: entry for name, entry in packages.items() if name}


def _version(entry: dict[str, Any] | None) -> object:
    return entry and (entry.get("version"), entry.get("integrity"))


async def ensure(pages: Pages, cache: Path, log: Path, tell: Callable[[str], None]) -> bool:
    """Build the pages unless they are as their sources say; returns whether it built. Raises `CliError`.

    Two processes at once build once: the second waits. Cancellation ends the build, and the next start does it again.
    """
    if await asyncio.to_thread(pages.are_built):
        return False
    for problem in closed(pages):
        raise CliError(f"{problem.what}: {problem.mend}")
    async with _alone(pages, cache, tell):
        stamp = await asyncio.to_thread(pages.wanted)
        if pages.are_built():
            return False
        await _build(pages, cache, log, tell)
        if not (pages.built / "index.html").is_file():
            raise StepError(f"the build has made no index.html in {pages.built}. {_MEND}", log, tail(log))
        pages.mark(stamp)
    return True


async def _build(pages: Pages, cache: Path, log: Path, tell: Callable[[str], None]) -> None:
    """Build, and where that fails once more on freshly installed packages: npm's list does not tell of one that was deleted since."""
    node, installed = await _prepare(pages, cache, log, tell)
    try:
        await _run_build(node, pages, log, tell)
    except StepError as error:
        if installed or not isinstance(error.__cause__, CommandFailedError):
            raise
        await _install(node, pages, log, tell)
        await _run_build(node, pages, log, tell)


async def _run_build(node: nodejs.Node, pages: Pages, log: Path, tell: Callable[[str], None]) -> None:
    tell("building")
    await _run(_npm(node, pages.web, "run", "build"), log, lambda line: tell(f"building: {line}"))


async def check(pages: Pages, cache: Path, log: Path, tell: Callable[[str], None]) -> None:
    """Check the sources: types, those generated from the schemas, unit tests. Raises `CliError`."""
    async with _alone(pages, cache, tell):
        node, _ = await _prepare(pages, cache, log, tell)
    await _run(_npm(node, pages.web, "run", "check"), log, lambda _: None)


def _alone(pages: Pages, cache: Path, tell: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
    """Let one process at a time install and build in a tree."""
    lock = cache / f"pages-{hashlib.sha256(str(pages.root).encode()).hexdigest()[:12]}.lock"
    return waiting_lock(lock, lambda: tell("another process is building; waiting for it"))


async def _prepare(pages: Pages, cache: Path, log: Path, tell: Callable[[str], None]) -> tuple[nodejs.Node, bool]:
    """Have Node.js and the locked packages; returns also whether these were installed just now."""
    node = await nodejs.find_or_get(cache, lambda command: _run(command, log, lambda _: tell(nodejs.FETCHING)), tell)
    if await asyncio.to_thread(pages.packages_are_installed):
        return node, False
    await _install(node, pages, log, tell)
    return node, True


async def _install(node: nodejs.Node, pages: Pages, log: Path, tell: Callable[[str], None]) -> None:
    tell(_INSTALLING)
    await _run(_npm(node, pages.web, "ci", "--loglevel=http"), log, lambda _: tell(_INSTALLING))


def closed(pages: Pages) -> list[Problem]:
    """Return why pages that must be built cannot be: their folders are not this user's to write to. Nothing where they are built."""
    if pages.are_built():
        return []
    folders = (pages.web, pages.built if pages.built.exists() else pages.built.parent)
    mend = "let the owner of the tree run `./tongguan pages` once, or start without them: --no-pages"
    what = "the pages are not built from the sources as they are, and this user may not write to"
    return [Problem(f"{what} {folder}", mend) for folder in folders if not os.access(folder, os.W_OK)][:1]


def _npm(node: nodejs.Node, cwd: Path, *arguments: str) -> Command:
    name = " ".join(("npm", *(word for word in arguments if not word.startswith("-"))))
    return Command(name=name, argv=(*node.npm, *arguments), cwd=cwd, env=node.environment())


async def _run(command: Command, log: Path, tell: Callable[[str], None]) -> None:
    """Run a step to its end, telling the last line of its log now and then. Raises `StepError`."""
    try:
        async with asyncio.timeout(LIMIT_S):
            work = asyncio.ensure_future(run_logged(command, log))
            try:
                while not (await asyncio.wait({work}, timeout=_TELL_S))[0]:
                    tell(" ".join(tail(log, 1)))
                work.result()
            finally:
                work.cancel()
                await asyncio.wait({work})
    except CommandFailedError as error:
        raise StepError(f"{error}. {_MEND}", log, error.tail) from error
    except TimeoutError as error:
        raise StepError(f"{command.name} took more than {LIMIT_S:.0f} s. {_MEND}", log, tail(log)) from error
