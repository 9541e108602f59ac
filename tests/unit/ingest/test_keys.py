"""Departments' keys: who is let in, and files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.ingest.errors import Unauthorised
from services.ingest.keys import Keys, load
from services.kit.errors import Misconfigured

KEYS = Keys({"water": "tgk_water", "fire": "tgk_fire"})


@pytest.mark.parametrize(("header", "department"), [("Bearer tgk_water", "water"), ("bearer tgk_fire", "fire"), ("Bearer  tgk_fire ", "fire")])
def test_a_key_tells_the_department(header: str, department: str):
    assert KEYS.sender(header).department == department


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "tgk_water", "Basic tgk_water", "Bearer tgk_wate", "Bearer TGK_WATER", "Bearer \ud800"]
)
def test_anything_else_is_nobody(header: str | None):
    with pytest.raises(Unauthorised):
        KEYS.sender(header)


def test_keys_themselves_are_not_kept():
    assert "tgk_water" not in repr(vars(KEYS))


def test_the_file_is_read(tmp_path: Path):
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({"department_keys": {"water": "k"}, "region_tokens": {}}))
    assert load(file).sender("Bearer k").department == "water"


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
