"""The boundaries of a city's regions: of its own folder, else of a file that the settings name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from services.kit.errors import Misconfigured

T = TypeVar("T")

FILE = "boundaries.geojson"


def load(folder: Path, otherwise: Path | None, make: Callable[[dict[str, Any] | None], T]) -> T:
    """Return what is made of the GeoJSON, or of None where there is none; raises `Misconfigured` for what `make` refuses with ValueError."""
    own = folder / FILE
    file = own if own.is_file() else otherwise
    try:
        return make(None if file is None else json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{file}: cannot be used as boundaries: {error}") from error
