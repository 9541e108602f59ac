"""The commands that look after an installation, as they are called."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from services.cli import doctor, folder, status
from services.cli.errors import Problem
from services.cli.findings import Finding, Grade, worst
from services.kit.clock import SystemClock

ROOT = Path(__file__).parents[3]
CITY = ROOT / "cities" / "620100"


def run(*words: str, say: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run((sys.executable, "-m", "services.cli", *words), input=say, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    opened = folder.open_kept(tmp_path / "data")
    opened.claim({"kafka": {"address": "k:9092", "identity": "one"}}, "620100")
    opened.close()
    return tmp_path / "data"


def ask(**changed: object) -> doctor.Ask:
    known: dict[str, object] = {"root": ROOT, "data": None, "city": CITY, "port_base": 0, "bind": "127.0.0.1", "kafka": None}
    return doctor.Ask(**(known | {"database": None, "replication": None} | changed))  # type: ignore[arg-type]


def graded(findings: list[Finding], name: str) -> list[tuple[Grade, str]]:
    return [(finding.grade, finding.says) for finding in findings if finding.name == name]


def test_the_doctor_looks_at_all_that_the_start_needs():
    findings = doctor.examine(ask())
    assert {finding.name for finding in findings} == {"machine", "memory", "disk", "folder", "ports", "kafka", "pages", "city"}
    assert all(finding.mend for finding in findings if finding.grade is not Grade.OK)


def test_the_doctor_finds_a_city_that_cannot_be_read(tmp_path: Path):
    findings = doctor.examine(ask(city=tmp_path / "atlantis"))
    ((grade, says),) = graded(findings, "city")
    assert grade is Grade.BAD
    assert "atlantis/city.yaml: cannot be read" in says


def test_the_doctor_finds_servers_that_do_not_answer_and_those_of_another_folder(data: Path):
    findings = doctor.examine(ask(data=data, database="postgresql://me:geheim@127.0.0.1:1/x"))
    told = [says for grade, says in graded(findings, "servers") if grade is Grade.BAD]
    assert "the database postgresql://me@127.0.0.1:1/x does not answer" in told[0]
    assert f"{data} belongs to the kafka at k:9092" in told[1]
    assert graded(findings, "kafka")  # the embedded one would be started, for which its files are needed


def test_the_doctor_tells_of_an_upgrade(tmp_path: Path):
    (tmp_path / "tongguan.json").write_text(json.dumps({"format": 1, "version": "0.1.0"}))
    ((grade, says),) = graded(doctor.examine(ask(data=tmp_path)), "folder")
    assert grade is Grade.WARN
    assert "last used by version 0.1.0, is upgraded at the next start" in says


def test_the_doctor_finds_a_foreign_folder(tmp_path: Path):
    (tmp_path / "photo.jpg").touch()
    ((grade, _),) = graded(doctor.examine(ask(data=tmp_path)), "folder")
    assert grade is Grade.BAD


def test_the_doctor_finds_a_folder_of_another_city(data: Path):
    told = graded(doctor.examine(ask(data=data, city=ROOT / "cities" / "441900")), "folder")
    assert (Grade.BAD, f"{data} holds the city 620100, not 441900") in told


def test_the_doctor_tells_of_a_torn_marker_even_with_outside_servers(tmp_path: Path):
    (tmp_path / "tongguan.json").write_text("{")
    ((grade, says),) = graded(doctor.examine(ask(data=tmp_path, kafka="127.0.0.1:1")), "folder")
    assert grade is Grade.BAD
    assert "tongguan.json cannot be read" in says


def test_the_doctor_finds_pages_that_cannot_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder_ in ("web", "services/gateway", "schemas/json"):
        (tmp_path / folder_).mkdir(parents=True)
    (tmp_path / "web" / "package.json").write_text("{}")
    assert {grade for grade, _ in graded(doctor.examine(ask(root=tmp_path)), "pages")} == {Grade.WARN}
    monkeypatch.setattr(doctor.pages.os, "access", lambda path, _: path != tmp_path / "web")
    ((grade, says),) = graded(doctor.examine(ask(root=tmp_path)), "pages")
    assert grade is Grade.BAD
    assert f"this user may not write to {tmp_path / 'web'}" in says


def test_the_doctors_answer_is_in_its_exit_code(tmp_path: Path):
    done = run("doctor", "--port-base", "0", "--city", str(tmp_path), "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["grade"] == "bad"
    assert {"name", "grade", "says", "mend"} == set(told["findings"][0])


def test_the_worst_decides():
    ok, warn, bad = (Finding("x", grade, "") for grade in Grade)
    assert (worst([]), worst([ok, warn]), worst([bad, ok])) == (Grade.OK, Grade.WARN, Grade.BAD)
    assert Finding.of("x", Problem("a", "b")) == Finding("x", Grade.BAD, "a", "b")


def test_status_of_nothing(data: Path):
    done = run("status", "--data", str(data))
    assert done.returncode == 3
    assert f"no ./tongguan up runs in {data}" in done.stdout
    assert json.loads(run("status", "--data", str(data), "--json").stdout) == {"running": False}


def test_status_of_services_that_do_not_answer(data: Path):
    run_json = {
        "ready": True,
        "data": str(data),
        "pids": {"kafka": 1},
        "restarts": {"kafka": 2, "postgres": 0, "rules": 1},
        "restarted_at": {"kafka": (SystemClock().now() - timedelta(minutes=9)).isoformat()},
        "ports": {"rules_admin": 1},
    }
    (data / "run.json").write_text(json.dumps(run_json))
    told = {finding.name: (finding.grade, finding.says) for finding in status.ask(data).findings}
    assert told == {
        "kafka": (Grade.WARN, "runs as pid 1, was started again 2 times"),
        "postgres": (Grade.BAD, "does not run"),
        "rules": (Grade.BAD, "does not answer, was started again 1 times"),
    }


def test_a_restart_is_told_for_ever_and_counts_for_ten_minutes(data: Path):
    run_json = {"ready": True, "data": str(data), "pids": {"kafka": 1}, "restarts": {"kafka": 2}, "ports": {}}
    run_json["restarted_at"] = {"kafka": (SystemClock().now() - timedelta(minutes=11)).isoformat()}
    (data / "run.json").write_text(json.dumps(run_json))
    (found,) = status.ask(data).findings
    assert (found.grade, found.says) == (Grade.OK, "runs as pid 1, was started again 2 times")


def test_reset_of_a_folder_with_an_outside_database_says_what_is_lost(tmp_path: Path):
    opened = folder.open_kept(tmp_path / "data")
    opened.claim({"database": {"address": "postgresql://d/x", "identity": "one"}}, "620100")
    opened.close()
    refused = run("reset", "--data", str(tmp_path / "data"), say="n\n")
    assert "The passwords of the users in the database at postgresql://d/x are lost with it" in refused.stdout


def test_reset_asks_and_says_what_stays(data: Path):
    refused = run("reset", "--data", str(data), say="n\n")
    assert (refused.returncode, data.exists()) == (1, True)
    assert "topics and tables stay on the kafka at k:9092" in refused.stdout
    done = run("reset", "--data", str(data), say="y\n")
    assert (done.returncode, data.exists()) == (0, False)
    assert "what the kafka at k:9092 hold stays there" in done.stdout


def test_reset_by_a_machine(data: Path):
    assert run("reset", "--data", str(data), "--json").returncode == 2
    assert data.exists()
    assert json.loads(run("reset", "--data", str(data), "--json", "--yes").stdout)["left"] == ["kafka at k:9092"]
    assert not data.exists()


def test_reset_of_a_foreign_folder_removes_nothing(tmp_path: Path):
    (tmp_path / "photo.jpg").touch()
    done = run("reset", "--data", str(tmp_path), "--yes")
    assert done.returncode == 1
    assert "nothing was removed" in done.stderr
    assert (tmp_path / "photo.jpg").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--no-feed", "--scenario", "leak"), "give one of the two"), (("--replication", "3"), "is for the brokers that --kafka names")],
)
def test_options_of_up_that_contradict_each_other(words: tuple[str, ...], told: str):
    done = run("up", *words)
    assert done.returncode == 2
    assert told in done.stderr
