"""deploy/settings.toml: all settings, nothing but settings, each with its default."""

from __future__ import annotations

import itertools
import re
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.alerts.settings import Settings as Alerts
from services.alerts.settings import WatchingSettings as Watching
from services.gateway.settings import Settings as Gateway
from services.history.settings import Settings as History
from services.ingest.settings import Settings as Ingest
from services.kit.prepare import Settings as Prepare
from services.rules.settings import Settings as Rules
from tests.integration.parts import ROOT

FILE = ROOT / "deploy" / "settings.toml"
ROOMS = (Prepare, Ingest, Rules, History, Alerts, Watching, Gateway)
SWITCHED_OFF = re.compile(r"^#(?=(\[[a-z.]+\]|\w+ = ))", re.MULTILINE)
"""A `#` right before a key or a table: a setting without a default, or one that is off."""


def _table_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a table of the file, be it optional or not."""
    kinds = get_args(field.annotation) if get_origin(field.annotation) in {Union, types.UnionType} else (field.annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _keys(model: type[BaseModel], place: str = "") -> Iterator[str]:
    """Yield the settings of a model by their places in the file."""
    for name, field in model.model_fields.items():
        if (table := _table_of(field)) is not None:
            yield from _keys(table, f"{place}{name}.")
        else:
            yield place + name


def _written(table: dict[str, Any], known: set[str], place: str = "") -> Iterator[str]:
    """Yield the keys of the file; a table that is a setting's own value (a mapping) is one of them."""
    for name, value in table.items():
        if isinstance(value, dict) and place + name not in known:
            yield from _written(value, known, f"{place}{name}.")
        else:
            yield place + name


def test_the_file_has_every_setting_and_no_other() -> None:
    known = {key for room in ROOMS for key in _keys(room)}
    everything = tomllib.loads(SWITCHED_OFF.sub("", FILE.read_text()))
    assert set(_written(everything, known)) == known


def test_what_is_switched_off_parses_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who takes the `#` away gets what the example says, and no error."""
    everything = tmp_path / "settings.toml"
    everything.write_text(SWITCHED_OFF.sub("", FILE.read_text()))
    monkeypatch.setenv("TONGGUAN_SETTINGS", str(everything))
    for room in ROOMS:
        assert str(room().secrets) == "/etc/tongguan/secrets.json"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__module__)
def test_each_value_of_the_file_is_the_default(room: type[BaseModel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGGUAN_NODE", "one")
    default = room()
    monkeypatch.setenv("TONGGUAN_SETTINGS", str(FILE))
    assert room() == default


def test_each_setting_is_explained() -> None:
    """A comment stands above each line that sets something; the ports of a table speak for themselves."""
    lines = FILE.read_text().splitlines()
    bare = [
        line
        for above, line in itertools.pairwise(lines)
        if re.match(r"#?\w+ = ", line) and not above.startswith("# ") and not re.match(r"(admin_)?port = ", line)
    ]
    assert bare == []
