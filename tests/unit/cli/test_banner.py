import json
import subprocess
from pathlib import Path
from typing import Any

from schemas.observation import Measurement
from services.cli import banner
from services.cli.credentials import Credentials
from services.kit.city import load as load_city
from services.kit.city import rules as city_rules
from services.kit.city import sensors as city_sensors


def facts(**changed: Any) -> banner.Facts:
    known: dict[str, Any] = {
        "version": "0.1.0",
        "ready_s": 7.25,
        "gateway": "http://127.0.0.1:8800",
        "ingest": "http://127.0.0.1:8801",
        "places": [banner.Place("620100", "兰州市"), banner.Place("620102001", "示例街道")],
        "departments": [banner.Place("water", "供水集团")],
        "credentials": Credentials({"water": "tgk_w"}, {"620100": "tgr_a", "620102001": "tgr_b"}),
        "sample": banner.Sample("pipe-1", "water", "flow", 12.5, None),
        "data": Path("/data"),
        "kept": False,
        "feed": "replayed",
    }
    return banner.Facts(**(known | changed))


def test_it_tells_all_that_a_newcomer_needs():
    text = banner.text(facts())
    for part in (
        "is ready (7.2 s)",
        "兰州市  http://127.0.0.1:8800/#token=tgr_a&region=620100",
        "示例街道  http://127.0.0.1:8800/#token=tgr_b&region=620102001",
        "供水集团 (water)  tgk_w",
        "/data  (removed at the end; --data DIR keeps it)",
        "20 GB",
        "/data/logs",
        "Ctrl-C",
    ):
        assert part in text


def test_it_says_what_is_kept():
    assert "kept: start again with the same --data" in banner.text(facts(kept=True))


def test_the_pasted_command_sends_a_valid_event():
    known = facts()
    assert known.sample is not None
    command = banner.curl(known, known.sample).replace("curl -sS", "printf '%s\\n'", 1)
    words = subprocess.run(("sh", "-c", command), capture_output=True, text=True, check=True).stdout.splitlines()
    assert words[0] == "http://127.0.0.1:8801/v1/events"
    assert "Authorization: Bearer tgk_w" in words
    event = json.loads(words[-1])
    assert event["id"].startswith("hand-")
    assert Measurement.model_validate_json(json.dumps(event["data"])).values == {"flow": 12.5}


def test_a_city_without_sensors_has_no_sample():
    assert "curl" not in banner.text(facts(sample=None))


def test_the_cap_is_what_the_topics_may_keep():
    from services.kit import topics

    kept = sum((topic.retention_bytes or 0) * topic.partitions for topic in topics.load().values())
    assert kept <= banner.KAFKA_CAP_GB * 1e9 * 1.1


def test_the_first_event_meets_a_rule_by_one_reading():
    folder = Path(__file__).parents[3] / "cities" / "620100"
    city = load_city(folder)
    rules, bad = city_rules(folder)
    sample = banner.sample_of(city_sensors(folder, city)[0], rules, city.regions)
    assert bad == []
    assert sample is not None
    (rule,) = (rule for rule in rules if rule.name.zh == sample.warns)
    assert any(step.up.limit == sample.value and step.up.readings == 1 and step.up.dwell is None for step in rule.tiers.values())


def test_a_city_without_rules_still_has_a_first_event():
    folder = Path(__file__).parents[3] / "cities" / "620100"
    city = load_city(folder)
    sensors = city_sensors(folder, city)[0]
    assert banner.sample_of(sensors, [], city.regions) == banner.Sample(sensors[0].id, sensors[0].department, "flow", 12.5, None)
    assert banner.sample_of([], [], city.regions) is None
