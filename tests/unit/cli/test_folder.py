import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli import folder
from services.cli.errors import PreflightError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(folder, "home", lambda: tmp_path / "home")
    return tmp_path / "home"


def test_a_throwaway_folder_goes_when_closed(home: Path):
    opened = folder.open_throwaway()
    assert opened.path.parent == home
    assert opened.logs.is_dir()
    opened.close()
    assert not opened.path.exists()


def test_what_a_killed_run_left_is_removed_and_what_is_in_use_is_not(home: Path):
    used = folder.open_throwaway()
    left = home / "tmp-left"
    (left / "kafka").mkdir(parents=True)
    other = folder.open_throwaway()
    assert not left.exists()
    assert used.path.exists()
    used.close()
    other.close()


def test_a_kept_folder_stays_and_opens_again(tmp_path: Path):
    opened = folder.open_kept(tmp_path / "new" / "data")
    opened.claim({}, None)
    (opened.path / "something").touch()
    opened.close()
    again = folder.open_kept(tmp_path / "new" / "data")
    assert (again.path / "something").exists()
    again.close()


def test_two_runs_do_not_share_a_folder(tmp_path: Path):
    opened = folder.open_kept(tmp_path / "data")
    with pytest.raises(PreflightError, match=rf"in use by another .* \(pid {os.getpid()}\)\n    mend: stop it first"):
        folder.open_kept(tmp_path / "data")
    opened.close()
    folder.open_kept(tmp_path / "data").close()


def test_a_foreign_folder_is_refused_and_left_as_it_was(tmp_path: Path):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(PreflightError, match=r"no data folder of Tongguan \(it holds photo.jpg\)"):
        folder.open_kept(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(PreflightError, match="is not a folder"):
        folder.open_kept(tmp_path / "file")


def claimed(path: Path, servers: folder.Servers | None = None, city: str | None = None) -> None:
    opened = folder.open_kept(path)
    opened.claim(servers or {}, city)
    opened.close()


def test_a_folder_of_a_later_version_is_refused(tmp_path: Path):
    claimed(tmp_path)
    (tmp_path / "tongguan.json").write_text(json.dumps({"format": folder.FORMAT + 1, "version": "9.9"}))
    with pytest.raises(PreflightError, match=r"last used by version 9\.9, which is newer than this one\n    mend: start that version or a newer one"):
        folder.open_kept(tmp_path)


def test_the_version_before_refuses_what_this_one_has_used(tmp_path: Path):
    """0.1 knew format 1 and looked for a higher number."""
    claimed(tmp_path)
    assert json.loads((tmp_path / "tongguan.json").read_text())["format"] > 1


def test_a_folder_of_the_version_before_is_upgraded_only_once_it_is_used(tmp_path: Path):
    marker = tmp_path / "tongguan.json"
    marker.write_text(json.dumps({"format": 1, "version": "0.1.0"}))
    opened = folder.open_kept(tmp_path)
    assert json.loads(marker.read_text())["format"] == 1
    opened.claim({}, None)
    assert json.loads(marker.read_text()) == {
        "format": folder.FORMAT,
        "version": folder.program_version(),
        "id": str(opened.id),
        "city": None,
        "servers": {},
    }
    opened.close()


def test_a_folder_keeps_its_id_and_its_city(tmp_path: Path):
    claimed(tmp_path)
    first = folder.inspect(tmp_path)
    claimed(tmp_path, city="620100")
    claimed(tmp_path)  # servers only
    last = folder.inspect(tmp_path)
    assert first is not None
    assert last is not None
    assert (last.id, last.city) == (first.id, "620100")


def test_a_folder_of_one_city_refuses_another(tmp_path: Path):
    assert folder.other_city(tmp_path, "620100") == []
    claimed(tmp_path)  # as one of a version that noted no city, it takes the present one
    assert folder.other_city(tmp_path, "620100") == []
    claimed(tmp_path, city="620100")
    assert folder.other_city(tmp_path, "620100") == []
    (problem,) = folder.other_city(tmp_path, "441900")
    assert problem.what == f"{tmp_path} holds the city 620100, not 441900"


@pytest.mark.parametrize("torn", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 2, "version": "0.2.0", "id": "x"}'])
def test_a_torn_marker_is_told_with_its_mend(tmp_path: Path, torn: str):
    (tmp_path / "tongguan.json").write_text(torn)
    with pytest.raises(PreflightError, match=rf"{tmp_path}/tongguan.json cannot be read .*\n    mend: restore it from a copy, or write") as raised:
        folder.open_kept(tmp_path)
    (problem,) = raised.value.problems
    mend = problem.mend.partition("write ")[2].partition(" into")[0]
    (tmp_path / "tongguan.json").write_text(mend)
    folder.open_kept(tmp_path).close()


KAFKA = {"address": "a:9092", "identity": "one"}


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"kafka": KAFKA}, {"kafka": KAFKA}, None),
        ({"kafka": KAFKA}, {"kafka": {"address": "b:9092", "identity": "one"}}, None),
        ({"kafka": KAFKA}, {"kafka": {"address": "b:9092", "identity": "two"}}, "belongs to the kafka at a:9092, and the one at b:9092 is another"),
        ({"kafka": KAFKA}, {}, "belongs to the kafka at a:9092"),
        ({}, {}, None),
        ({}, {"database": KAFKA}, None),
    ],
)
def test_a_folder_goes_with_the_servers_it_began_with(tmp_path: Path, before: folder.Servers, now: folder.Servers, told: str | None):
    claimed(tmp_path, before)
    problems = folder.mix_ups(tmp_path, now)
    assert [problem.what for problem in problems] == ([f"{tmp_path} {told}"] if told else [])


def test_a_folder_with_data_of_its_own_server_refuses_another(tmp_path: Path):
    claimed(tmp_path)
    (tmp_path / "postgres").mkdir()
    (problem,) = folder.mix_ups(tmp_path, {"database": KAFKA})
    assert "embedded database with its data" in problem.what
    assert "leave --database out" in problem.mend


def test_a_strangers_folder_of_logs_is_not_ours(tmp_path: Path):
    (tmp_path / "logs").mkdir()
    with pytest.raises(PreflightError, match="it holds logs"):
        folder.open_kept(tmp_path)


def test_only_a_folder_of_ours_that_nobody_uses_is_removed(tmp_path: Path):
    data = tmp_path / "data"
    claimed(data)
    opened = folder.open_kept(data)
    with pytest.raises(PreflightError, match="is in use"):
        folder.remove(data, lambda _: True)
    opened.close()
    assert folder.remove(data, lambda _: False) is False
    assert data.exists()
    assert folder.remove(data, lambda marker: marker.version == folder.program_version()) is True
    assert not data.exists()


@pytest.mark.parametrize("content", [None, "photo.jpg"])
def test_what_is_not_ours_is_not_removed(tmp_path: Path, content: str | None):
    path = tmp_path / "pictures"
    path.mkdir()
    if content:
        (path / content).touch()
    with pytest.raises(PreflightError, match="no data folder of Tongguan"):
        folder.remove(path, lambda _: True)
    assert path.exists()


def test_a_folder_in_use_is_known_by_the_process_that_uses_it(tmp_path: Path):
    (tmp_path / "up.lock").write_text(f"{os.getpid()}\n")
    assert folder.running_pid(tmp_path) is None  # we are no `up`
    for command, found in (("up", True), ("test", False)):
        argv = (sys.executable, "-c", "print(flush=True); input()", "services.cli", command)
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # a process has no command line yet when it is only just begun
            (tmp_path / "up.lock").write_text(f"{process.pid}\n")
            assert (folder.running_pid(tmp_path) == process.pid) is found
    assert folder.running_pid(tmp_path) is None
    assert folder.running_pid(tmp_path / "none") is None


def test_a_start_that_was_killed_at_once_can_be_repeated(tmp_path: Path):
    (tmp_path / "up.lock").write_text("1\n")
    (tmp_path / "tongguan.json.new").touch()
    folder.open_kept(tmp_path).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path):
    claimed(tmp_path)
    os.chown(tmp_path / "tongguan.json", 65534, 65534)
    with pytest.raises(PreflightError, match="belongs to user nobody"):
        folder.open_kept(tmp_path)


def test_private_files_are_on_the_disk_before_they_replace_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        assert not (tmp_path / "run.json").exists()

    monkeypatch.setattr(folder.os, "fsync", sync)
    folder.write_private(tmp_path / "run.json", {"name": "统管"})
    assert synced == [(tmp_path / "run.json").stat().st_size]


def test_private_files_are_private_and_whole(tmp_path: Path):
    path = tmp_path / "run.json"
    folder.write_private(path, {"name": "统管"})
    folder.write_private(path, {"name": "again"})
    assert json.loads(path.read_text()) == {"name": "again"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]
