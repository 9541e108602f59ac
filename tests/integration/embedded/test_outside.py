"""`up --kafka --database`: the platform on servers that others run, here those of another `up --servers-only`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from services.kit import brokers
from tests.running import ROOT, Running


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("servers"), flags=["--servers-only"])
    try:
        running.wait_for(lambda: running.run.get("ready"), "the servers", 120)
        yield running
    finally:
        running.stop()


def _start(folder: Path, servers: Running, data: Path, *flags: str) -> Running:
    folder.mkdir()
    return Running(folder, data=data, kafka=servers.run["kafka"], database=servers.run["database"], flags=["--no-pages", *flags])


@pytest.fixture(autouse=True)
def nobodys(servers: Running) -> Iterator[None]:
    """Each test begins with a database that belongs to no folder and has no users."""
    yield
    with psycopg.connect(servers.run["database"]) as connection:
        connection.execute("delete from kit.deployment")
        connection.execute("truncate gateway.users cascade")


def _password(address: str) -> str:
    return address.split(":", 2)[2].split("@", 1)[0]


def _refused(*arguments: str) -> str:
    argv = (sys.executable, "-m", "services.cli", "up", "--port-base", "0", *arguments)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    return done.stderr


def _publish(running: Running, id_: str) -> None:
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": "/departments/drainage/outside",
        "type": "cn.tongguan.observation.v1",
        "time": datetime.now(UTC).isoformat(),  # noqa: TID251 - what a device would write
        "data": {"sensor": "lz-sewage-well-01", "values": {"gas": 26}, "origin": "exercise"},
    }
    headers = {"Authorization": f"Bearer {running.keys['drainage']}", "Content-Type": "application/cloudevents+json"}
    answer = httpx.post(f"{running.ingest_url}/v1/events", json=event, headers=headers)
    assert answer.json() == {"accepted": 1, "refused": []}


def _warned(running: Running) -> list[str]:
    answer = httpx.get(f"{running.gateway_url}/v1/regions/620100/warnings", headers={"Authorization": f"Bearer {running.tokens['620100']}"})
    return [warning["id"] for warning in answer.json() if warning["sensor"] == "lz-sewage-well-01"]


def test_it_runs_on_them_leaves_them_and_goes_on_there(servers: Running, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = _start(tmp_path / "first", servers, data)
    try:
        first.wait_ready()
        assert set(first.run["pids"]) == {"ingest", "rules", "history", "alerts", "gateway", "watchdog", "mqtt"}
        assert not {"kafka", "database"} & set(first.run["ports"])
        for address in (first.run["database"], first.run["kafka"]):
            assert _password(address) not in first.log.read_text()
        _publish(first, "outside-1")
        first.wait_for(lambda: _warned(first), "a warning", 30)
        warned = _warned(first)
    finally:
        assert first.stop() == 0
    assert {entry.name for entry in data.iterdir()} <= {"secrets.json", "tongguan.json", "up.lock", "logs", "boundaries.geojson", "mqtt"}
    with psycopg.connect(servers.run["database"]) as connection:
        assert connection.execute("select 1").fetchone() == (1,)

    second = _start(tmp_path / "second", servers, data)
    try:
        second.wait_ready()
        assert _warned(second) == warned
    finally:
        assert second.stop() == 0


def test_a_folder_and_servers_that_do_not_belong_together_are_refused(servers: Running, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = _start(tmp_path / "first", servers, data)
    running.wait_for((data / "tongguan.json").exists, "the folder to be claimed", 30)
    running.stop()
    told = _refused("--data", str(data))
    assert f"mend: add --kafka {brokers.shown(servers.run['kafka'])}" in told
    assert _password(servers.run["kafka"]) not in told + (data / "tongguan.json").read_text()


def test_a_database_of_another_folder_is_refused_and_taken_over_without_its_passwords(servers: Running, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    running = _start(tmp_path / "first", servers, first)
    try:
        running.wait_ready()
        users = running.users
    finally:
        running.stop()
    outside = ("--kafka", servers.run["kafka"], "--database", servers.run["database"])
    asked = subprocess.run(
        (sys.executable, "-m", "services.cli", "reset", "--data", str(first)), cwd=ROOT, input="y\n", capture_output=True, text=True, check=True
    )
    assert "The passwords of the users in the database" in asked.stdout
    told = _refused("--data", str(second), *outside)
    assert f"the database belongs to the data folder {first}, which has the passwords of its users" in told
    assert "--adopt takes this one over" in told
    told = _refused("--data", str(second), *outside, "--adopt", "--city", str(ROOT / "cities" / "441900"))
    assert "the database holds the city 620100, not 441900" in told

    running = _start(tmp_path / "second", servers, second, "--adopt", "--json")
    try:
        running.wait_ready()
        running.wait_for(lambda: '"users"' in running.log.read_text(), "the banner", 10)
        line = json.loads(next(line for line in running.log.read_text().splitlines() if line.startswith("{")))
        assert {user["id"]: user["password"] for user in line["users"]} == dict.fromkeys(users)
        assert running.users == {}
        user, password = next(iter(users.items()))
        assert httpx.post(f"{running.gateway_url}/v1/session", json={"user": user, "password": password}).status_code == 200
    finally:
        assert running.stop() == 0
    again = _start(tmp_path / "third", servers, second)
    try:
        again.wait_ready()
    finally:
        assert again.stop() == 0


def test_more_copies_than_brokers_are_refused(servers: Running, tmp_path: Path) -> None:
    told = _refused("--data", str(tmp_path / "data"), "--kafka", servers.run["kafka"], "--replication", "3")
    assert "has 1 brokers, too few for --replication 3" in told


def test_a_wrong_password_is_told_and_not_shown(servers: Running, tmp_path: Path) -> None:
    kafka = servers.run["kafka"]
    told = _refused("--data", str(tmp_path / "data"), "--kafka", kafka.replace(_password(kafka), "geheim"))
    assert f"Kafka at {brokers.shown(kafka)} does not answer" in told
    assert "take this user with this password" in told
    assert "geheim" not in told
    address = servers.run["database"].partition("@")[2]
    told = _refused("--data", str(tmp_path / "data"), "--database", f"postgresql://tongguan:geheim@{address}")
    assert f"the database postgresql://tongguan@{address} does not answer: password authentication failed" in told
    assert "geheim" not in told


def test_a_folder_that_does_not_stay_is_refused(servers: Running) -> None:
    assert "--data DIR" in _refused("--kafka", servers.run["kafka"], "--database", servers.run["database"])
