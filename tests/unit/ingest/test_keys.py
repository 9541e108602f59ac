"""Departments' keys: who is let in, for how long and for what, and files that cannot be used."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from schemas.base import Domain
from schemas.command import KeyScope
from services.ingest.domain.accept import Sender
from services.ingest.errors import Unauthorised
from services.ingest.keys import Key, Keys, load, sender_of
from services.kit.errors import Misconfigured
from tests.unit.ingest.conftest import NOW

KEYS = Keys({"water": "tgk_water", "fire": "tgk_fire"})


@pytest.mark.parametrize(("header", "department"), [("Bearer tgk_water", "water"), ("bearer tgk_fire", "fire"), ("Bearer  tgk_fire ", "fire")])
def test_a_key_tells_the_department(header: str, department: str):
    key = KEYS.key(header, NOW)
    assert (key.name, key.sender, key.expires) == (f"file:{department}", Sender(department), None)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "tgk_water", "Basic tgk_water", "Bearer tgk_wate", "Bearer TGK_WATER", "Bearer \ud800"]
)
def test_anything_else_is_nobody(header: str | None):
    with pytest.raises(Unauthorised):
        KEYS.key(header, NOW)


def test_keys_themselves_are_not_kept():
    assert "tgk_water" not in repr(vars(KEYS))


def kept(text: str, name: str = "key-1", expires: datetime | None = None) -> Key:
    return Key(name, hashlib.sha256(text.encode()).digest(), Sender("water"), expires)


def test_a_key_that_is_kept_lets_in_until_it_is_kept_no_more():
    keys = Keys({"fire": "tgk_fire"})
    with pytest.raises(Unauthorised):
        keys.key("Bearer tgk_new", NOW)
    keys.keep([kept("tgk_new")])
    key = keys.key("Bearer tgk_new", NOW)
    assert keys.still(key, NOW) == Sender("water")
    keys.keep([])
    with pytest.raises(Unauthorised, match="key-1 was revoked"):
        keys.still(key, NOW)
    assert keys.key("Bearer tgk_fire", NOW), "those of the file stay"


def test_a_key_ends_at_its_time_also_under_way():
    keys = Keys({})
    keys.keep([kept("tgk_new", expires=NOW + timedelta(seconds=1))])
    key = keys.key("Bearer tgk_new", NOW)
    later = NOW + timedelta(seconds=1)
    for ask in (lambda: keys.still(key, later), lambda: keys.key("Bearer tgk_new", later)):
        with pytest.raises(Unauthorised, match="key-1 has expired"):
            ask()


def test_a_key_under_way_has_the_scope_of_its_end():
    keys = Keys({})
    keys.keep([kept("tgk_new")])
    key = keys.key("Bearer tgk_new", NOW)
    narrow = Key(key.name, key.digest, Sender("water", sensors=frozenset({"dma-01"})))
    keys.keep([narrow])
    assert keys.still(key, NOW) == narrow.sender


def test_a_scope_in_words_is_one_of_events():
    scope = KeyScope(types=frozenset({"report"}), domains=frozenset({Domain.FIRE}), sensors=frozenset({"x"}))
    assert sender_of("fire", scope) == Sender("fire", frozenset({"cn.tongguan.report.v1"}), frozenset({"fire"}), frozenset({"x"}))
    assert sender_of("fire", KeyScope()).whole


def test_the_file_is_read(tmp_path: Path):
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"department_keys": {"water": "k"}, "region_tokens": {}}))
    assert load(file).key("Bearer k", NOW).sender.department == "water"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", "{}", '{"department_keys": []}', '{"department_keys": null}', '{"department_keys": {"water": 5}}']
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str):
    file = tmp_path / "secrets.json"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=r"secrets\.json: cannot read department_keys"):
        load(file)


def test_a_file_that_is_missing_or_not_named(tmp_path: Path):
    with pytest.raises(Misconfigured, match=r"none\.json"):
        load(tmp_path / "none.json")
    with pytest.raises(Misconfigured, match="TONGGUAN_SECRETS is not set"):
        load(None)
