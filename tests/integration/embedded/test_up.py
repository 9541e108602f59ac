"""`up` as a person or a machine meets it: a command that starts all, survives kills, and leaves nothing behind."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from services.cli import folder

ROOT = Path(__file__).parents[3]
START_S = 120


@dataclass
class Run:
    """One `./tongguan up`."""

    process: subprocess.Popen[bytes]
    run_file: Path
    log: Path
    out: Path
    seen: set[int] = field(default_factory=set)

    def state(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run_file.read_text()) if self.run_file.exists() else {}
        self.seen |= set(told.get("pids", {}).values())
        return told

    def until(self, true: Callable[[], object], limit: float = START_S) -> None:
        deadline = time.monotonic() + limit
        while not true():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def until_ready(self) -> dict[str, Any]:
        self.until(lambda: self.state().get("ready"))
        return self.state()

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, float]:
        """Return the exit code and how long it took."""
        self.state()
        self.seen |= {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(timeout=30), time.monotonic() - began

    def until_none_left(self, limit: float = 1) -> None:
        """Wait for what was killed to be gone."""
        deadline = time.monotonic() + limit
        while self.left():
            assert time.monotonic() < deadline, self.left()
            time.sleep(0.05)

    def left(self) -> list[str]:
        """Return the processes that are still there."""
        left = []
        for pid in self.seen:
            with contextlib.suppress(psutil.NoSuchProcess):  # it may go while we look
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    left.append(process.name())
        return left


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def starter(*arguments: str) -> Run:
        folder_ = tmp_path / str(len(runs))
        folder_.mkdir()
        run_file, log, out = folder_ / "run.json", folder_ / "log", folder_ / "out"
        argv = (sys.executable, "-m", "services.cli", "up", "--port-base", "0", "--run-file", str(run_file), *arguments)
        with log.open("wb") as errors, out.open("wb") as output:
            runs.append(Run(subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=errors), run_file, log, out))
        return runs[-1]

    yield starter
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


@pytest.fixture
def data() -> Iterator[Path]:
    opened = folder.open_throwaway()
    yield opened.path / "data"
    opened.close()


def status(data: Path) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", "services.cli", "status", "--data", str(data))
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)


def test_it_starts_tells_where_all_is_and_leaves_nothing(start: Callable[..., Run]):
    run = start("--servers-only")
    told = run.until_ready()
    assert stat.S_IMODE(run.run_file.stat().st_mode) == 0o600
    assert set(told["pids"]) == {"kafka", "postgres"}
    assert told["ready_s"] < START_S
    assert json.loads((Path(told["data"]) / "run.json").read_text()) == told
    for port in (told["ports"]["kafka"], told["ports"]["database"]):
        socket.create_connection(("127.0.0.1", port), 1).close()
    code, took = run.stop()
    assert code == 0
    assert took < 10
    assert run.left() == []
    assert not Path(told["data"]).exists()
    assert not run.run_file.exists()
    assert "no process is left" in run.log.read_text()


@pytest.mark.parametrize(
    ("number", "wait_s"),
    [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.2), (signal.SIGHUP, 0.4), (signal.SIGINT, 0.6), (signal.SIGTERM, 1.2), (signal.SIGINT, 2.0)],
)
def test_interrupted_at_any_moment_of_the_start_it_leaves_nothing(start: Callable[..., Run], data: Path, number: signal.Signals, wait_s: float):
    run = start("--servers-only", "--data", str(data))
    run.until(lambda: "data in" in run.log.read_text(), 20)
    time.sleep(wait_s)
    code, took = run.stop(number)
    assert code in {0, 130}, run.log.read_text()
    assert took < 10
    run.until_none_left()
    again = start("--servers-only", "--data", str(data))
    again.until_ready()
    assert again.stop()[0] == 0


def test_kill_9_of_up_leaves_no_process_and_its_folder_goes_on(start: Callable[..., Run], data: Path):
    run = start("--servers-only", "--data", str(data))
    run.until_ready()
    run.stop(signal.SIGKILL)
    run.until_none_left(10)
    again = start("--servers-only", "--data", str(data))
    again.until_ready()
    assert again.stop()[0] == 0


def test_killed_servers_come_back_on_their_ports(start: Callable[..., Run]):
    run = start("--servers-only")
    first = run.until_ready()
    for name in ("kafka", "postgres"):
        os.kill(first["pids"][name], signal.SIGKILL)
    run.until(lambda: all(f"{name} is ready again" in run.log.read_text() for name in ("kafka", "postgres")), 40)
    second = run.state()
    assert second["ports"] == first["ports"]
    assert second["restarts"] == {"kafka": 1, "postgres": 1}
    assert all(second["pids"][name] != first["pids"][name] for name in ("kafka", "postgres"))
    assert "kafka has ended after" in run.log.read_text()
    assert "(signal SIGKILL)" in run.log.read_text()
    assert run.stop()[0] == 0
    assert run.left() == []


def test_a_second_ctrl_c_ends_it_at_once(start: Callable[..., Run]):
    run = start("--servers-only")
    pids = run.until_ready()["pids"]
    os.kill(pids["kafka"], signal.SIGSTOP)  # it cannot drain
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    _, took = run.stop()
    assert took < 10
    assert "SIGINT again: ending everything at once" in run.log.read_text()
    assert "late and killed" not in run.log.read_text()
    assert run.left() == []


def test_a_server_that_will_not_end_is_killed_within_ten_seconds(start: Callable[..., Run]):
    run = start("--servers-only")
    os.kill(run.until_ready()["pids"]["kafka"], signal.SIGSTOP)
    code, took = run.stop()
    assert code == 0
    assert took < 10
    assert run.left() == []
    assert "late and killed: kafka" in run.log.read_text()


def test_two_on_one_folder_are_refused(start: Callable[..., Run], data: Path):
    run = start("--servers-only", "--data", str(data))
    run.until_ready()
    other = start("--servers-only", "--data", str(data))
    assert other.process.wait(timeout=20) == 2
    assert f"in use by another ./tongguan up (pid {run.process.pid})" in other.log.read_text()
    assert run.stop()[0] == 0


def test_taken_ports_are_told_before_anything_starts(start: Callable[..., Run], tmp_path: Path):
    run = start("--servers-only")
    ports = run.until_ready()["ports"]
    other = start("--servers-only", "--port-base", str(ports["gateway"]))
    assert other.process.wait(timeout=20) == 2
    told = other.log.read_text()
    assert f"port {ports['kafka']}, for kafka, is taken by java (pid " in told
    assert f"port {ports['database']}, for database, is taken by postgres (pid " in told
    assert "nothing was started" in told
    assert run.stop()[0] == 0


def test_a_terminal_that_closes_stops_it_quietly(start: Callable[..., Run]):
    master, slave = os.openpty()
    argv = (sys.executable, "-m", "services.cli", "up", "--servers-only", "--port-base", "0")
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(argv, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment)
    os.close(slave)
    shown = b""
    while b"Ctrl-C stops them" not in shown:
        shown += os.read(master, 4096)
    assert "✓ PostgreSQL".encode() in shown
    children = psutil.Process(process.pid).children(recursive=True)
    os.close(master)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=15) == 0
    assert not any(child.is_running() for child in children)


def test_the_whole_platform_starts_heals_and_ends_in_order(start: Callable[..., Run], data: Path):
    run = start("--data", str(data))
    first = run.until_ready()
    rooms = {"ingest", "rules", "history", "alerts", "gateway", "watchdog"}
    assert set(first["pids"]) == rooms | {"kafka", "postgres", "mqtt", "feed-water-flow", "feed-simulated"}
    run.until(lambda: "Ctrl-C stops everything" in run.out.read_text(), 5)
    secrets = json.loads(Path(first["secrets"]).read_text())
    assert first["urls"]["gateway"] in run.out.read_text()
    for user in secrets["users"]:
        assert [user["name"]["zh"], user["id"], user["password"]] in [line.split() for line in run.out.read_text().splitlines()]
    assert status(data).returncode == 0
    for name in rooms | {"mqtt"}:
        os.kill(first["pids"][name], signal.SIGKILL)
    run.until(lambda: all(f"{name} is ready again" in run.log.read_text() for name in rooms | {"mqtt"}), 60)
    degraded = status(data)
    assert degraded.returncode == 1
    assert re.search(r"^warn  rules .*is ready, was started again 1 times", degraded.stdout, re.MULTILINE)
    code, took = run.stop()
    assert code == 0, run.log.read_text()
    assert took < 10
    assert run.left() == []
    assert "late and killed" not in run.log.read_text()
    assert status(data).returncode == 3
    again = start("--data", str(data))
    assert again.until_ready()["secrets"] == first["secrets"]
    assert json.loads(Path(first["secrets"]).read_text()) == secrets
    assert again.stop()[0] == 0


def test_a_folder_goes_on_with_its_own_city_only(start: Callable[..., Run], data: Path):
    run = start("--data", str(data), "--no-feed", "--no-pages")
    told = run.until_ready()
    with psycopg.connect(told["database"]) as connection:
        marker = folder.inspect(data)
        assert marker is not None
        assert connection.execute("select city, folder from kit.deployment").fetchall() == [(marker.city, marker.id)]
    assert run.stop()[0] == 0
    other = start("--data", str(data), "--no-feed", "--no-pages", "--city", str(ROOT / "cities" / "441900"))
    assert other.process.wait(timeout=20) == 2
    assert "holds the city 620100, not 441900" in other.log.read_text()


def test_a_machine_is_told_in_one_line(start: Callable[..., Run]):
    run = start("--json", "--no-feed", "--no-pages")
    told = run.until_ready()
    run.until(lambda: run.out.read_text().endswith("\n"), 5)
    line = json.loads(run.out.read_text())
    assert line["urls"] == told["urls"]
    secrets = json.loads(Path(line["secrets"]).read_text())
    assert {user["id"]: user["password"] for user in line["users"]} == {user["id"]: user["password"] for user in secrets["users"]}
    assert not any(key in run.out.read_text() for key in (*secrets["department_keys"].values(), *secrets["region_tokens"].values()))
    assert run.stop()[0] == 0


def test_an_unknown_scenario_is_told_before_anything_starts(start: Callable[..., Run]):
    run = start("--scenario", "frogs")
    assert run.process.wait(timeout=20) == 2
    assert "has no scenario frogs" in run.log.read_text()
    assert "mend: choose of building-fire, " in run.log.read_text()
