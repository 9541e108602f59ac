"""The Kafka Streams peer: its jars fetched as the embedded broker's are, its one source compiled by the Eclipse compiler, both kept in the cache.

`python -m tests.bench.peers.java CACHE` gets and compiles what is missing; a process of its own, so that it can be ended midway.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from services.kit import brokers
from services.kit.embedded import jars
from services.kit.embedded.kafka import _java

KAFKA_STREAMS = "4.1.0"
_HERE = Path(__file__).parent
_LOCK = _HERE / "jars.lock"
_SOURCE = _HERE / "StreamsPeer.java"
_RELEASE = "17"
"""The language that the source is written in; every Java from that version on runs the result."""
_COMPILE_S = 120.0
# The unpacked native libraries of compression are mapped executable: they go where the broker's go, into a folder of ours.
_QUIET = ("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


class PeerError(Exception):
    """Why there is no Kafka Streams to compare with."""


def command(cache: Path, work: Path, address: str, topics: tuple[str, str], application: str, *, writes: str) -> tuple[str, ...]:
    """Return how the peer is started: it reads the first topic and writes the second; `writes`: `all` states are put, or `changed` ones."""
    classpath = ":".join((str(_classes(cache)), f"{_folder(cache)}/*", f"{jars.folder(cache)}/*"))
    jvm = ("-Xmx1g", *_QUIET, "-Djava.net.preferIPv4Stack=true", f"-Djava.io.tmpdir={work}", "-cp", classpath)
    connection = work / "connection.properties"
    connection.write_text("".join(f"{name}={value}\n" for name, value in _connection(address).items()))
    return (str(_java()), *jvm, "StreamsPeer", str(connection), *topics, application, str(work / "state"), writes)


def _connection(address: str) -> dict[str, str]:
    """Return how a Java client gets to the benchmark's broker, which knows the platform's user by PLAIN."""
    told = brokers.librdkafka(address)
    user, password = told.pop("sasl.username"), told.pop("sasl.password")
    login = f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{user}" password="{password}";'
    return told | {"sasl.jaas.config": login}


def make(cache: Path) -> None:
    """Get the jars and compile, where that is not done; two processes at once wait for one another. Raises `PeerError`."""
    where = _folder(cache)
    where.mkdir(parents=True, exist_ok=True)
    with (where / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with tempfile.TemporaryDirectory(prefix=".staging-", dir=where) as staging:
                for jar in _locked():
                    path = where / jar.filename
                    if not path.exists() or jars._sum(path) != jar.sha256:
                        jars._fetch(jar, Path(staging), where)
        except (jars.JarError, OSError) as error:
            raise PeerError(f"the jars of Kafka Streams could not be had: {error}") from error
        if not (_classes(cache) / "StreamsPeer.class").exists():
            _compile(cache)


def _compile(cache: Path) -> None:
    where, libraries = _folder(cache), jars.folder(cache)
    classpath = ":".join(str(path) for path in (*where.glob("*.jar"), *libraries.glob("kafka-clients-*.jar")))
    with tempfile.TemporaryDirectory(prefix=".classes-", dir=where) as folder:
        made = Path(folder) / "classes"
        compiler = (str(_java()), "-cp", classpath, "org.eclipse.jdt.internal.compiler.batch.Main")
        options = ("-source", _RELEASE, "-target", _RELEASE, "-proc:none", "-nowarn", "-d", str(made), "-classpath", classpath, str(_SOURCE))
        done = subprocess.run((*compiler, *options), capture_output=True, text=True, timeout=_COMPILE_S, check=False)
        if done.returncode:
            raise PeerError(f"the Kafka Streams peer could not be compiled: {(done.stderr or done.stdout).strip()[-500:]}")
        made.rename(_classes(cache))


def _locked() -> list[jars.Jar]:
    lines = (line.split() for line in _LOCK.read_text().splitlines() if line and not line.startswith("#"))
    return [jars.Jar(sha256, *coordinates.split(":")) for sha256, coordinates in lines]


def _folder(cache: Path) -> Path:
    return cache / f"bench-kafka-streams-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:8]}"


def _classes(cache: Path) -> Path:
    return _folder(cache) / f"classes-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:8]}"


if __name__ == "__main__":
    try:
        make(Path(sys.argv[1]))
    except PeerError as error:
        sys.exit(str(error))
