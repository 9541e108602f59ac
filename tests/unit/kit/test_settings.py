"""Settings from the environment and from one file; the environment wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.ingest.settings import Settings
from services.kit.errors import Misconfigured
from services.kit.settings import SETTINGS_FILE

FILE = """
kafka = "file:9092"
database = "postgresql://file/tongguan"
surprise = 1
[ingest]
port = 1111
admin_port = 1112
acknowledge_s = 3.5
"""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA", "DATABASE", "CITY", "SECRETS", "BIND", "NODE", "INGEST__PORT", "INGEST__ADMIN_PORT", "SETTINGS"):
        monkeypatch.delenv(f"TONGGUAN_{name}", raising=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tongguan.toml"
    path.write_text(FILE)
    monkeypatch.setenv(SETTINGS_FILE, str(path))
    return path


def test_what_is_said_nowhere():
    settings = Settings()
    assert settings.bind == settings.admin_bind == "127.0.0.1"
    assert settings.secrets is None
    assert settings.ingest.max_body == 4 << 20


def test_the_file(file: Path):
    settings = Settings()
    assert (settings.kafka, settings.ingest.port, settings.ingest.acknowledge_s) == ("file:9092", 1111, 3.5)


def test_the_environment_wins_field_by_field(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TONGGUAN_KAFKA", "env:9092")
    monkeypatch.setenv("TONGGUAN_INGEST__PORT", "2222")
    settings = Settings()
    assert (settings.kafka, settings.database) == ("env:9092", "postgresql://file/tongguan")
    assert (settings.ingest.port, settings.ingest.admin_port) == (2222, 1112)


def test_a_file_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SETTINGS_FILE, str(tmp_path / "none.toml"))
    with pytest.raises(Misconfigured, match=r"TONGGUAN_SETTINGS names .*none\.toml, which is not there"):
        Settings()


def test_a_file_that_is_no_toml_is_told(file: Path):
    file.write_text("kafka =")
    with pytest.raises(Misconfigured, match=r"tongguan\.toml: is not TOML"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"), [("INGEST__PORT", "70000"), ("INGEST__MAX_BODY", "1"), ("INGEST__ACKNOWLEDGE_S", "0"), ("INGEST__PORT", "x")]
)
def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"TONGGUAN_{name}", value)
    with pytest.raises(ValidationError, match=name.rpartition("__")[2].lower()):
        Settings()


def test_a_node_s_name_is_one_that_ticks_and_adapters_can_carry():
    from pydantic import TypeAdapter

    from schemas.base import AdapterName, Code

    node = Settings().node
    assert TypeAdapter(Code).validate_python(node) == node
    assert TypeAdapter(AdapterName).validate_python(f"http@{node}") == f"http@{node}"


@pytest.mark.parametrize("host", ["my_host", "-odd", "东莞", "a" * 80, "", "host.example"])
def test_whatever_the_machine_is_called(monkeypatch: pytest.MonkeyPatch, host: str):
    from pydantic import TypeAdapter

    from schemas.base import Code

    monkeypatch.setattr("socket.gethostname", lambda: host)
    TypeAdapter(Code).validate_python(Settings().node)
