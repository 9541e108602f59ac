"""What the README and the banner tell a newcomer to do, done on the running platform."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

from schemas.rule import Rule
from tests.running import ROOT, Running

README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _warnings(platform: Running, region: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{platform.gateway_url}/v1/regions/{region}/warnings", headers={"Authorization": f"Bearer {platform.tokens[region]}"})
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


def test_the_first_event_of_the_readme_raises_a_warning(platform: Running) -> None:
    (command,) = (block for block in _blocks("sh") if block.startswith("curl"))
    command = command.replace("http://127.0.0.1:8801", platform.ingest_url)
    answer = subprocess.run(
        ["sh", "-c", command], env={"KEY": platform.keys["drainage"], "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == {"accepted": 1, "refused": []}
    platform.wait_for(
        lambda: any(warning["sensor"] == "lz-sewage-well-01" for warning in _warnings(platform, "620102001")), "the first event's warning", 20
    )


def test_the_banner_s_command_is_taken(platform: Running) -> None:
    banner = platform.log.read_text()
    command = banner[banner.index("curl -sS") :].split("\n\n")[0]
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == {"accepted": 1, "refused": []}


def test_the_rule_of_the_readme_is_a_rule() -> None:
    (text,) = _blocks("yaml")
    rule = Rule.model_validate(yaml.safe_load(text))
    assert rule.id == "sewage-well-level"


def test_the_replayed_pipe_raises_its_described_warning(platform: Running) -> None:
    """The feed publishes over HTTP as any department does; the first low flow comes 30 readings after the start."""
    platform.wait_for(
        lambda: any(w["rule"] == "water-pipe-low-flow" and w["origin"] == "replayed" for w in _revisions(platform)), "the low flow's warning", 90
    )


def _revisions(platform: Running) -> list[dict[str, Any]]:
    import psycopg

    with psycopg.connect(platform.database) as connection:
        return [row[0] for row in connection.execute("select body from history.warnings").fetchall()]


def test_each_user_of_the_banner_signs_in_at_its_address(platform: Running) -> None:
    banner = platform.log.read_text()
    (address,) = re.findall(r"Pages: +(http://\S+)$", banner, re.MULTILINE)
    assert "<html" in httpx.get(address).text
    rows = [line.split() for line in banner.splitlines()]
    users = {row[1]: row[2] for row in rows if len(row) == 3 and row[1] in platform.users}
    assert users == platform.users
    assert len(users) >= 5
    for user, password in users.items():
        answer = httpx.post(f"{address}/v1/session", json={"user": user, "password": password})
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"] == user


def test_a_red_warning_comes_by_itself(platform: Running) -> None:
    """The city's own scenario raises it within a minute of the start."""
    platform.wait_for(lambda: any(warning["tier"] == "red" for warning in _warnings(platform, "620100")), "a red warning", 90)


def test_the_data_folder_keeps_secrets_private(platform: Running) -> None:
    for name in ("secrets.json", "run.json"):
        assert (Path(platform.data) / name).stat().st_mode & 0o077 == 0
