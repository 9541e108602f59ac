import json
import stat
from pathlib import Path

import pytest

from schemas.city import DemoUser
from services.cli.credentials import for_kafka, load_or_make
from services.cli.errors import CliError


def test_each_gets_its_own_and_only_the_owner_may_read(tmp_path: Path):
    path = tmp_path / "secrets.json"
    made = load_or_make(path, ["water", "fire"], ["620100"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stored = json.loads(path.read_text())
    assert (stored["department_keys"], stored["region_tokens"]) == (made.department_keys, made.region_tokens)
    assert len(stored["session_key"]) >= 43
    assert len(set(made.department_keys.values())) == 2
    assert all(key.startswith("tgk_") and len(key) >= 36 for key in made.department_keys.values())
    assert all(token.startswith("tgr_") for token in made.region_tokens.values())


def test_they_are_made_once_and_added_to(tmp_path: Path):
    path = tmp_path / "secrets.json"
    first = load_or_make(path, ["water"], ["620100"])
    second = load_or_make(path, ["fire", "water"], ["620102"])
    assert second.department_keys["water"] == first.department_keys["water"]
    assert second.region_tokens.keys() == {"620100", "620102"}
    assert load_or_make(path, ["fire", "water"], ["620102"]) == second


def user(name: str) -> DemoUser:
    return DemoUser.model_validate(
        {"id": name, "name": {"zh": "供水", "en": "Water"}, "grants": [{"role": "department", "region": "620100", "departments": ["water"]}]}
    )


def test_each_demo_user_gets_a_password_of_its_own(tmp_path: Path):
    path = tmp_path / "secrets.json"
    made = load_or_make(path, [], [], [user("a"), user("b")])
    assert len(set(made.passwords.values())) == 2
    assert all(len(password) == 16 and not password.startswith("-") for password in made.passwords.values())
    stored = json.loads(path.read_text())["users"]
    assert stored[0] == {
        "id": "a",
        "name": {"zh": "供水", "en": "Water"},
        "password": made.passwords["a"],
        "grants": [{"role": "department", "region": "620100", "departments": ["water"]}],
    }


def test_users_and_what_we_do_not_know_stay_as_they_are(tmp_path: Path):
    path = tmp_path / "secrets.json"
    first = load_or_make(path, ["water"], ["620100"], [user("a")])
    stored = json.loads(path.read_text())
    stored["users"][0]["password"] = "changed by hand"
    path.write_text(json.dumps({**stored, "note": "ours"}))
    second = load_or_make(path, ["water"], ["620100"], [user("a"), user("b")])
    assert second.passwords["a"] == "changed by hand"
    assert second.passwords.keys() == {"a", "b"}
    again = json.loads(path.read_text())
    assert again["note"] == "ours"
    assert again["session_key"] == stored["session_key"]
    assert second.department_keys == first.department_keys


def test_secrets_of_the_version_before_get_what_they_lack(tmp_path: Path):
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"department_keys": {"water": "tgk_old"}, "region_tokens": {"620100": "tgr_old"}}))
    made = load_or_make(path, ["water", "fire"], ["620100"], [user("a")])
    assert made.department_keys["water"] == "tgk_old"
    assert made.region_tokens == {"620100": "tgr_old"}
    assert set(json.loads(path.read_text())) == {"department_keys", "region_tokens", "users", "session_key"}


def test_the_passwords_for_kafka_are_made_once_beside_all_else_and_told_of_those_asked_for(tmp_path: Path):
    path = tmp_path / "secrets.json"
    first = for_kafka(path, ["water", "fire"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len({first.platform, *first.departments.values()}) == 3
    assert all(len(password) == 32 for password in (first.platform, *first.departments.values()))
    made = load_or_make(path, ["water"], ["620100"], [user("a")])
    second = for_kafka(path, ["water", "housing"])
    assert (second.platform, second.departments["water"]) == (first.platform, first.departments["water"])
    assert second.departments.keys() == {"water", "housing"}
    assert for_kafka(path, ["fire"]).departments == {"fire": first.departments["fire"]}
    assert load_or_make(path, ["water"], ["620100"], [user("a")]) == made


def test_a_torn_file_is_told_and_left(tmp_path: Path):
    path = tmp_path / "secrets.json"
    path.write_text('{"users": [')
    with pytest.raises(CliError, match=r"secrets.json cannot be read .*restore it from a copy"):
        load_or_make(path, ["water"], ["620100"])
    assert path.read_text() == '{"users": ['
