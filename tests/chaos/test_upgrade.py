"""A data folder that the version before made is opened by this one, which goes on with it; the version before then refuses it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from services.kit.city import load
from tests.running import ROOT, Running

FETCH_S = 120
INSTALL_S = 300
REGION, SENSOR = "620102001", "lz-sewage-well-01"
RULE = "sewage-well-gas"
OPENS, RISES = 26.0, 51.0
READINGS = 50


class NoHistoryError(Exception):
    """This checkout cannot tell what the version before was."""


def _git(*arguments: str, seconds: float = 30) -> bytes:
    try:
        done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, check=True, timeout=seconds)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None)
        raise NoHistoryError(f"git {' '.join(arguments)}: {told.decode().strip() if told else error}") from error
    return done.stdout


def _version(project: str) -> str:
    return str(tomllib.loads(project)["project"]["version"])


def _version_at(commit: str) -> str | None:
    try:
        return _version(_git("show", f"{commit}:pyproject.toml").decode())
    except NoHistoryError:  # no such commit here, or none with that file
        return None


def _before_this_one(present: str) -> str | None:
    """Return the newest commit of another version, as far as the history here goes back."""
    changed = _git("log", "--format=%H", "-G^version = ", "--", "pyproject.toml").decode().split()
    candidates = ("HEAD", *(f"{commit}~1" for commit in changed))
    return next((each for each in candidates if _version_at(each) not in {None, present}), None)


def _find(present: str) -> str:
    commit = _before_this_one(present)
    if commit is None and _git("rev-parse", "--is-shallow-repository").strip() == b"true":
        _git("fetch", "--quiet", "--unshallow", seconds=FETCH_S)
        commit = _before_this_one(present)
    if commit is None:
        raise NoHistoryError(f"there is no commit of another version than {present}")
    return commit


@dataclass
class Before:
    """The version before, installed."""

    tree: Path
    version: str
    environment: dict[str, str]

    def start(self, folder: Path, data: Path) -> Running:
        return Running(folder, data=data, program=(str(self.tree / "tongguan"),), root=self.tree, environment=self.environment)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    try:
        commit = _find(_version((ROOT / "pyproject.toml").read_text()))
    except NoHistoryError as error:
        pytest.skip(f"the version before cannot be had: {error}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(_git("archive", commit))) as archive:
        archive.extractall(folder / "tree", filter="data")
    environment = {"TONGGUAN_VENV": str(folder / "venv")}
    began = time.monotonic()
    told = subprocess.run(
        (str(folder / "tree" / "tongguan"), "--version"),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=INSTALL_S,
    )
    print(f"{told.stdout.strip()} at {commit}, installed in {time.monotonic() - began:.1f} s")
    return Before(folder / "tree", told.stdout.split()[-1], environment)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    # As root PostgreSQL runs as another user, who cannot enter pytest's folders.
    path = Path("/var/lib") / f"tongguan-test-{tmp_path.name}-{time.monotonic_ns()}" if psutil.Process().uids().real == 0 else tmp_path / "data"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _publish(running: Running, values: list[dict[str, float]]) -> None:
    events = [
        {
            "specversion": "1.0",
            "id": f"upgrade-{time.monotonic_ns()}-{at}",
            "source": "/departments/drainage/upgrade",
            "type": "cn.tongguan.observation.v1",
            "time": datetime.now(UTC).isoformat(),  # noqa: TID251 - what a device would write
            "data": {"sensor": SENSOR, "values": each, "origin": "exercise"},
        }
        for at, each in enumerate(values)
    ]
    headers = {"Authorization": f"Bearer {running.keys['drainage']}", "Content-Type": "application/cloudevents-batch+json"}
    answer = httpx.post(f"{running.ingest_url}/v1/events", content=json.dumps(events), headers=headers)
    assert answer.json() == {"accepted": len(values), "refused": []}


def _open(running: Running) -> dict[str, Any] | None:
    answer = httpx.get(f"{running.gateway_url}/v1/regions/{REGION}/warnings", headers={"Authorization": f"Bearer {running.tokens[REGION]}"})
    assert answer.status_code == 200, answer.text
    return next((warning for warning in answer.json() if (warning["rule"], warning["sensor"]) == (RULE, SENSOR)), None)


def _stored(running: Running) -> int:
    with psycopg.connect(running.database) as connection:
        (count,) = connection.execute("select count(*) from history.observations where sensor = %s", (SENSOR,)).fetchone() or (0,)
    return int(count)


@pytest.mark.timeout(600)
@pytest.mark.may_be_skipped_in_ci("a checkout without any history has no version before")
def test_a_folder_of_the_version_before_goes_on_with_this_one(before: Before, data: Path, tmp_path: Path) -> None:
    old = before.start(tmp_path, data)
    try:
        old.wait_ready()
        _publish(old, [{"level": 0.5} for _ in range(READINGS)])
        _publish(old, [{"gas": OPENS}])
        old.wait_for(lambda: _open(old), "the warning of the version before", 30)
        old.wait_for(lambda: _stored(old) == READINGS + 1, "its readings to be stored", 30)
        opened, tokens, keys = _open(old), old.tokens, old.keys
    finally:
        assert old.stop() == 0
    assert opened is not None

    new = Running(tmp_path, data=data)
    try:
        new.wait_ready()
        print(f"{before.version} -> {new.run['version']}: ready in {new.run['ready_s']} s")
        assert tokens.items() <= new.tokens.items()
        assert keys.items() <= new.keys.items()
        found = _open(new)
        assert found is not None
        assert (found["id"], found["rev"], found["tier"]) == (opened["id"], opened["rev"], opened["tier"])
        assert _stored(new) == READINGS + 1
        _sign_in(new)
        _publish(new, [{"gas": RISES}])
        new.wait_for(lambda: (now := _open(new)) and now["rev"] > opened["rev"], "the same warning to rise", 30)
        risen = _open(new)
        assert risen is not None
        assert (risen["id"], risen["began_at"]) == (opened["id"], opened["began_at"])
        new.wait_for(lambda: _stored(new) == READINGS + 2, "the new reading to be stored", 30)
    finally:
        assert new.stop() == 0

    refused = before.start(tmp_path, data)
    assert refused.process.wait(timeout=30) == 2
    refused.stop()
    assert f"was last used by version {_version((ROOT / 'pyproject.toml').read_text())}, which is newer" in refused.log.read_text()


def _sign_in(running: Running) -> None:
    """Each demo user of the city was added and can sign in."""
    assert set(running.users) == {user.id for user in load(ROOT / "cities" / "620100").city.demo_users}
    for user, password in running.users.items():
        answer = httpx.post(f"{running.gateway_url}/v1/session", json={"user": user, "password": password})
        assert answer.status_code == 200, answer.text
