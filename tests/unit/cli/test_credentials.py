import json
import stat
from pathlib import Path

from services.cli.credentials import load_or_make


def test_each_gets_its_own_and_only_the_owner_may_read(tmp_path: Path):
    path = tmp_path / "secrets.json"
    made = load_or_make(path, ["water", "fire"], ["620100"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    stored = json.loads(path.read_text())
    assert stored == {"department_keys": made.department_keys, "region_tokens": made.region_tokens}
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
