from pathlib import Path
from typing import Any

import pytest

from feeds.water_flow import SENSOR
from schemas.city import City
from schemas.sensor import Sensor
from services.cli import layout, ports
from services.cli.credentials import Credentials
from services.cli.errors import PreflightError
from services.cli.streams import Streams, choose


def city(scenario: str | None = None) -> City:
    return City.model_validate({"code": "1", "name": {"zh": "市", "en": "City"}, "timezone": "UTC", "demo_scenario": scenario})


def pipe() -> Sensor:
    return Sensor.model_validate(
        {
            "id": SENSOR,
            "name": {"zh": "管", "en": "Pipe"},
            "domain": "water",
            "department": "water",
            "street": "1",
            "metrics": {"flow": {"unit": "m3/h", "name": {"zh": "流量", "en": "Flow"}}},
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "simulation.yaml").touch()
    for name in ("fire", "leak"):
        (tmp_path / "scenarios" / f"{name}.yaml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("own", "wanted", "played"),
    [
        (None, (), ()),
        ("fire", (), ("fire",)),
        ("fire", ("leak", "fire", "leak"), ("leak", "fire")),
        ("fire", ("none",), ()),
        (None, ("leak",), ("leak",)),
    ],
)
def test_what_is_played(folder: Path, own: str | None, wanted: tuple[str, ...], played: tuple[str, ...]):
    assert choose(folder, city(own), [], wanted) == Streams(replay=False, simulate=True, scenarios=played)


def test_an_unknown_scenario_is_refused_with_the_names_there_are(folder: Path):
    with pytest.raises(PreflightError, match=r"no scenario flood\n    mend: choose of fire, leak, or none"):
        choose(folder, city(), [], ["leak", "flood"])


def test_a_city_without_a_simulation_is_not_simulated(tmp_path: Path):
    assert choose(tmp_path, city("fire"), [pipe()], []) == Streams(replay=True, simulate=False)
    assert choose(tmp_path, city(), [], ["none"]) == Streams(replay=False, simulate=False)
    with pytest.raises(PreflightError, match=r"has no simulation\.yaml"):
        choose(tmp_path, city(), [], ["fire"])


def test_it_is_told_what_is_fed():
    assert Streams(replay=True, simulate=True, scenarios=("fire",)).told() == (
        "the recorded flow of a real pipe (回放); simulated streams (模拟) with the scenario fire"
    )
    assert "nothing to replay" in Streams(replay=False, simulate=False).told()


def test_each_feed_learns_only_what_departments_know(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TONGGUAN_UP_KAFKA", "scram://us:secret@k:9092")
    monkeypatch.setenv("PGPASSWORD", "secret")
    credentials = Credentials({"water": "tgk_w", "fire": "tgk_f"}, {"1": "tgr_secret"}, {"admin": "password-secret"})
    around = layout.Surroundings(
        ports=ports.PortPlan(8800),
        bind="127.0.0.1",
        city=Path("/city"),
        data=Path("/data"),
        secrets=Path("/data/secrets.json"),
        kafka="kafka-secret",
        database="database-secret",
        mqtt="mqtt://ingest:mqtt-secret@127.0.0.1:8804",
        devices="mqtt://devices:known@127.0.0.1:8804",
        strangers={"hj212": "housing"},
        boundaries=None,
    )
    specs = list(layout.feeds(around, Streams(replay=True, simulate=True, scenarios=("fire", "leak")), credentials))
    told: dict[str, dict[str, Any]] = {spec.name: {k: v for k, v in spec.command.env.items() if k.startswith("TONGGUAN_FEED")} for spec in specs}
    assert told["feed-water-flow"] == {"TONGGUAN_FEED_INGEST": "http://127.0.0.1:8801", "TONGGUAN_FEED_KEY": "tgk_w"}
    assert told["feed-simulated"] == {
        "TONGGUAN_FEED_INGEST": "http://127.0.0.1:8801",
        "TONGGUAN_FEED_KEYS": '{"water": "tgk_w", "fire": "tgk_f"}',
        "TONGGUAN_FEED_CITY": "/city",
        "TONGGUAN_FEED_SCENARIOS": "fire,leak",
        "TONGGUAN_FEED_HJ212": "127.0.0.1:8802",
        "TONGGUAN_FEED_MQTT": "mqtt://devices:known@127.0.0.1:8804",
    }
    assert not any("secret" in value for spec in specs for value in spec.command.env.values())
    assert {spec.name for spec in specs} <= set(layout.STAGES[0].names)
