import json
import os
import stat
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


def test_a_folder_of_a_later_version_is_refused(tmp_path: Path):
    folder.open_kept(tmp_path).close()
    (tmp_path / "tongguan.json").write_text(json.dumps({"format": folder.FORMAT + 1, "version": "9.9"}))
    with pytest.raises(PreflightError, match=r"last used by version 9\.9"):
        folder.open_kept(tmp_path)


def test_a_start_that_was_killed_at_once_can_be_repeated(tmp_path: Path):
    (tmp_path / "up.lock").write_text("1\n")
    (tmp_path / "tongguan.json.new").touch()
    folder.open_kept(tmp_path).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path):
    folder.open_kept(tmp_path).close()
    os.chown(tmp_path / "tongguan.json", 65534, 65534)
    with pytest.raises(PreflightError, match="belongs to user nobody"):
        folder.open_kept(tmp_path)


def test_private_files_are_private_and_whole(tmp_path: Path):
    path = tmp_path / "run.json"
    folder.write_private(path, {"name": "统管"})
    folder.write_private(path, {"name": "again"})
    assert json.loads(path.read_text()) == {"name": "again"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]
