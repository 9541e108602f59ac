"""The whole platform, started by `up` as people start it, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]


class Running:
    """One `up`. `run` is what its run.json says now."""

    def __init__(
        self,
        folder: Path,
        *,
        city: Path | None = None,
        feed: bool = False,
        scenarios: Sequence[str] = (),
        data: Path | None = None,
        kafka: str | None = None,
        database: str | None = None,
        flags: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "services.cli"),
        root: Path = ROOT,
    ):
        """`folder` takes the log and run.json; without `data` the platform's own data go when it stops.

        With a `feed` these `scenarios` are played, the city's own when none is named. `kafka` and `database` name outside servers.
        `program` and `root` start another version.
        """
        self._folder = folder
        self.log = folder / "up.log"
        self._run_file = folder / "run.json"
        self._run_file.unlink(missing_ok=True)
        argv = [*program, "up", "--port-base", "0", "--run-file", str(self._run_file), *flags]
        argv += ["--city", str(city)] if city else []
        argv += [] if feed else ["--no-feed"]
        argv += [word for name in scenarios for word in ("--scenario", name)]
        argv += ["--data", str(data)] if data else []
        argv += ["--kafka", kafka] if kafka else []
        argv += ["--database", database] if database else []
        self._output = self.log.open("wb")
        self.process = subprocess.Popen(argv, cwd=root, stdout=self._output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})

    def wait_ready(self, seconds: float = 180) -> None:
        """Return once the platform is ready."""
        self.wait_for(lambda: self.run.get("ready"), "the platform to be ready", seconds)
        secrets = json.loads(Path(self.run["secrets"]).read_text())
        self.gateway_url: str = self.run["urls"]["gateway"]
        self.ingest_url: str = self.run["urls"]["ingest"]
        self.database: str = self.run["database"]
        self.tokens: dict[str, str] = secrets["region_tokens"]
        self.keys: dict[str, str] = secrets["department_keys"]
        self.users: dict[str, str] = {user["id"]: user["password"] for user in secrets.get("users", [])}
        """User id to password."""
        self.data = Path(self.run["data"])

    @property
    def run(self) -> dict[str, Any]:
        """What run.json says."""
        try:
            content: dict[str, Any] = json.loads(self._run_file.read_text())
        except FileNotFoundError:
            return {}
        return content

    @property
    def live_url(self) -> str:
        """Where the live socket is."""
        return self.gateway_url.replace("http", "ws", 1) + "/v1/live"

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Return once the condition holds; raises AssertionError with the log when it takes too long or the platform ends."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the platform ended while waiting for {what}:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}:\n{self.log.read_text()}"
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """End one of its processes as a crash would."""
        os.kill(self.run["pids"][name], signal.SIGKILL)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each of its processes so far, with those of their children."""
        used: dict[str, float] = {}
        for name, pid in self.run.get("pids", {}).items():
            used[name] = _cpu(pid)
        return used

    @contextlib.contextmanager
    def until_done(self) -> Iterator[Running]:
        """Wait until it is ready, and stop it at the end of the block, however that ends."""
        try:
            self.wait_ready()
            yield self
        finally:
            self.stop()

    def stop(self) -> int:
        """Stop it as Ctrl-C does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=20)
        self._output.close()
        return code


def _cpu(pid: int) -> float:
    """CPU seconds of a process, of its children that live, and of those it has waited for."""
    used = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        times = process.cpu_times()
        used = times.user + times.system + times.children_user + times.children_system
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                used += sum(child.cpu_times()[:2])
    return used
