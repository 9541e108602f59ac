"""Kafka's jars: fetched by jgo, held to the SHA-256 sums of `kafka-jars.lock`, kept in a cache that several processes share.

`python -m services.kit.embedded.jars CACHE` gets what is missing and prints how far it is. A file is moved into place only
when its sum is right, so an interrupted or spoilt download is mended by the next run. `--write-lock` makes the list anew.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KAFKA = "4.1.0"
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA}+org.slf4j:slf4j-simple:1.7.36"
_LOCK = Path(__file__).with_name("kafka-jars.lock")
# The server is far and each jar is small: eight at a time fill a usual line without being rude.
_PARALLEL = 8
_TRIES = 3


class JarError(Exception):
    """A jar that could not be had as it should be."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def filename(self) -> str:
        """Its name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def locked() -> list[Jar]:
    """Return the jars of the lock."""
    lines = (line.split() for line in _LOCK.read_text().splitlines() if line and not line.startswith("#"))
    return [Jar(sha256, *coordinates.split(":")) for sha256, coordinates in lines]


def folder(cache: Path) -> Path:
    """Return the folder of the jars, which is another one for another lock."""
    return cache / f"kafka-{KAFKA}-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:8]}"


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing(cache: Path) -> list[Jar]:
    """Return the jars that are not there or not as the lock says. Reads all of them: 43 MB, 50 ms."""
    where = folder(cache)

    def wrong(jar: Jar) -> bool:
        try:
            return _sum(where / jar.filename) != jar.sha256
        except OSError:
            return True

    with ThreadPoolExecutor(_PARALLEL) as pool:
        wanted = locked()
        return [jar for jar, bad in zip(wanted, pool.map(wrong, wanted), strict=True) if bad]


def _context(staging: Path) -> Any:
    from jgo.config import GlobalSettings  # noqa: PLC0415 - half a second that only a download pays
    from jgo.maven import MavenContext  # noqa: PLC0415

    if certificates := os.environ.get("SSL_CERT_FILE"):  # as OpenSSL, pip and uv call it
        os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)  # as jgo's HTTP client does
    # A mirror named in jgo's own settings file serves here, too.
    return MavenContext(repo_cache=staging, local_repos=[], remote_repos=GlobalSettings.load().repositories or None, timeout=60)


def _fetch(jar: Jar, staging: Path, where: Path) -> None:
    """Get one jar and move it into place; raises `JarError` after the last try."""
    artifact = _context(staging).project(jar.group, jar.artifact).at_version(jar.version).artifact()
    problem = ""
    for _ in range(_TRIES):
        try:
            path = Path(artifact.resolve())
        except Exception as error:  # noqa: BLE001 - jgo lets through whatever its HTTP client raises
            problem = str(error) or type(error).__name__
            continue
        if _sum(path) == jar.sha256:
            path.replace(where / jar.filename)
            return
        path.unlink()
        problem = "its SHA-256 is not the one in kafka-jars.lock"
    raise JarError(f"{jar.filename}: {problem}")


def fetch(cache: Path) -> None:
    """Get the missing jars; two processes at once wait for one another. Prints progress; raises `JarError`."""
    where = folder(cache)
    where.mkdir(parents=True, exist_ok=True)
    with (where / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in where.glob(".staging-*"):  # of a run that was killed; nobody else is at work: we hold the lock
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".staging-", dir=where) as staging:
            _fetch_all(missing(cache), Path(staging), where)


def _fetch_all(wanted: list[Jar], staging: Path, where: Path) -> None:
    with ThreadPoolExecutor(_PARALLEL) as pool:
        futures = [pool.submit(_fetch, jar, staging, where) for jar in wanted]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                print(f"{done} of {len(wanted)} files", flush=True)  # noqa: T201 - the parent shows it
        except JarError:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _resolved() -> Iterable[Jar]:
    """Ask jgo which jars Kafka needs today."""
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        staging = Path(name)
        builder = EnvironmentBuilder(context=_context(staging / "m2"), cache_dir=staging / "jgo", link_strategy=LinkStrategy.HARD)
        builder.from_endpoint(endpoint=_ENDPOINT)
        for path in sorted((staging / "m2").rglob("*.jar")):
            *group, artifact, version, _ = path.relative_to(staging / "m2").parts
            yield Jar(_sum(path), ".".join(group), artifact, version)


def _write_lock() -> None:
    head = f"# Apache Kafka {KAFKA} and what it needs. Made by `python -m services.kit.embedded.jars --write-lock`.\n"
    body = "".join(f"{jar.sha256}  {jar.group}:{jar.artifact}:{jar.version}\n" for jar in _resolved())
    _LOCK.write_text(head + body)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 1 when a jar could not be had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path, nargs="?")
    parser.add_argument("--write-lock", action="store_true")
    options = parser.parse_args(argv)
    if options.write_lock:
        _write_lock()
        return 0
    try:
        fetch(options.cache)
    except (JarError, OSError) as error:
        print(f"could not get Kafka's files: {error}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)  # the other downloads need not be waited for
    return 0


if __name__ == "__main__":
    sys.exit(main())
