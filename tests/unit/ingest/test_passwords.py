"""Devices' passwords of the secrets file."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from services.ingest import passwords
from services.ingest.passwords import Passwords
from services.kit.errors import Misconfigured


def write(file: Path, content: object) -> None:
    """Replace the file, as an editor does."""
    new = file.with_suffix(".new")
    new.write_text(content if isinstance(content, str) else json.dumps(content))
    new.replace(file)


def test_each_protocol_has_its_own(tmp_path: Path):
    file = tmp_path / "secrets.json"
    write(file, {"device_passwords": {"hj212": {"MN1": "123456"}, "other": {"MN2": "x"}}})
    known = Passwords(file, "hj212")
    assert (known.get("MN1"), known.get("MN2"), len(known)) == ("123456", None, 1)


def test_without_any_all_are_taken_by_their_name(tmp_path: Path):
    file = tmp_path / "secrets.json"
    write(file, {"department_keys": {}})
    assert len(Passwords(file, "hj212")) == len(Passwords(None, "hj212")) == 0


@pytest.mark.parametrize("content", ["[]", "{", {"device_passwords": {"hj212": {"MN1": 123456}}}, {"device_passwords": {"hj212": ["MN1"]}}])
def test_what_cannot_be_used_is_told_without_its_content(tmp_path: Path, content: object):
    file = tmp_path / "secrets.json"
    write(file, content)
    with pytest.raises(Misconfigured, match="device_passwords") as told:
        Passwords(file, "hj212")
    assert "123456" not in str(told.value)


async def test_a_changed_file_is_read_and_a_bad_one_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(passwords, "LOOK_S", 0.001)
    file = tmp_path / "secrets.json"
    write(file, {"device_passwords": {"hj212": {"MN1": "old"}}})
    known = Passwords(file, "hj212")
    following = asyncio.create_task(known.follow())
    try:
        for content, expected in [("{", "old"), ({"device_passwords": {"hj212": {"MN1": "new"}}}, "new")]:
            write(file, content)
            os.utime(file, (1, len(expected)))
            await asyncio.sleep(0.05)
            assert known.get("MN1") == expected
    finally:
        following.cancel()
