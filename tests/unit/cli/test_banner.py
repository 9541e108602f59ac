import json
import subprocess
from pathlib import Path
from typing import Any

from schemas.limit import Limits
from schemas.measure import Value
from schemas.observation import Measurement
from services.cli import banner
from services.kit.city import load as load_city
from services.kit.city import rules as city_rules
from services.kit.city import sensors as city_sensors


def facts(**changed: Any) -> banner.Facts:
    known: dict[str, Any] = {
        "version": "0.1.0",
        "ready_s": 7.25,
        "gateway": "http://127.0.0.1:8800",
        "ingest": "http://127.0.0.1:8801",
        "logins": [banner.Login("city", "市级值班", "secret-1"), banner.Login("street-620102001", "街道值班员", "secret-2")],
        "keys": {"water": "tgk_w"},
        "sample": banner.Sample("pipe-1", "water", "flow", 12.5, None),
        "data": Path("/data"),
        "kept": False,
        "servers": [],
        "embedded": True,
        "feed": "replayed",
    }
    return banner.Facts(**(known | changed))


def test_it_tells_all_that_a_newcomer_needs():
    text = banner.text(facts())
    for part in (
        "is ready (7.2 s)",
        "http://127.0.0.1:8800",
        "/data  (removed at the end; --data DIR keeps it)",
        "20 GB",
        "/data/logs",
        "/data/secrets.json",
        "Ctrl-C",
    ):
        assert part in text
    rows = [line.split() for line in text.splitlines()]
    assert ["市级值班", "city", "secret-1"] in rows
    assert ["街道值班员", "street-620102001", "secret-2"] in rows


def test_the_columns_of_the_demo_users_stand_below_each_other_on_a_terminal():
    (first, second) = (line for line in banner.text(facts()).splitlines() if "secret-" in line)
    columns = lambda line, word: sum(2 if ord(letter) > 0x2E80 else 1 for letter in line[: line.index(word)])  # noqa: E731
    assert columns(first, "city ") == columns(second, "street-")
    assert columns(first, "secret-") == columns(second, "secret-")


def test_the_banner_of_the_demo_city_fits_a_terminal():
    users = load_city(Path(__file__).parents[3] / "cities" / "620100").city.demo_users
    logins = [banner.Login(user.id, user.name.zh, "x" * 16) for user in users]
    assert len(banner.text(facts(logins=logins, servers=["Kafka at a:1", "database b"])).splitlines()) < 30


def test_of_a_user_whom_another_folder_made_no_password_is_told():
    known = facts(logins=[banner.Login("city", "市级值班", None), banner.Login("admin", "管理员", "secret-2")])
    rows = [line.split() for line in banner.text(known).splitlines()]
    assert ["市级值班", "city", "-"] in rows
    assert "keeps its password" in banner.text(known)
    assert json.loads(banner.as_json(known))["users"][0]["password"] is None


def test_without_demo_users_it_says_how_to_go_on():
    assert "docs/operations.md" in banner.text(facts(logins=[]))


def test_outside_servers_are_named_and_our_limit_is_not():
    text = banner.text(facts(servers=["Kafka at k:9092", "database postgresql://u@h/d"], embedded=False))
    assert "with Kafka at k:9092 and database postgresql://u@h/d, which Ctrl-C leaves running" in text
    assert "20 GB" not in text


def test_a_machine_reads_it_as_one_line_without_further_secrets():
    line = banner.as_json(facts())
    told = json.loads(line)
    assert "\n" not in line
    assert told["urls"] == {"gateway": "http://127.0.0.1:8800", "ingest": "http://127.0.0.1:8801"}
    assert told["users"][0] == {"id": "city", "name": "市级值班", "password": "secret-1"}
    assert "tgk_w" not in line


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
    assert isinstance(rule.measure, Value)
    limits = [step.up.limit for step in rule.tiers.values() if step.up.readings == 1 and step.up.dwell is None]
    assert Limits(default=sample.value) in limits


def test_a_city_without_rules_still_has_a_first_event():
    folder = Path(__file__).parents[3] / "cities" / "620100"
    city = load_city(folder)
    sensors = city_sensors(folder, city)[0]
    assert banner.sample_of(sensors, [], city.regions) == banner.Sample(sensors[0].id, sensors[0].department, "flow", 12.5, None)
    assert banner.sample_of([], [], city.regions) is None
