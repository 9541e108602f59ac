"""deploy/compose.yaml as values: variables filled in, anchors merged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.integration.parts import ROOT

DEPLOY = ROOT / "deploy"
FILE = DEPLOY / "compose.yaml"
ROOMS = ("ingest", "rules", "history", "alerts", "gateway", "watchdog")
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<word>[^}]*))?\}")


def load(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the file as compose reads it with these variables; raises KeyError for one that it asks for and nobody gives."""

    def value(found: re.Match[str]) -> str:
        default = found["word"] if found["kind"] == "-" else None
        return variables[found["name"]] if default is None else variables.get(found["name"], default)

    loaded: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(value, FILE.read_text()))
    return loaded


def dotenv(file: Path) -> dict[str, str]:
    """Return what a file of `NAME=value` lines says."""
    lines = (line.partition("=") for line in file.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def mounts(service: Mapping[str, Any]) -> dict[str, Path]:
    """Return where a service's files from outside come from, by their places in the container; volumes by name are left out."""
    split = (volume.split(":") for volume in service.get("volumes", ()))
    return {target: (DEPLOY / source).resolve() for source, target, *_ in split if source.startswith((".", "/"))}
