"""A city's catalogue of kinds of reports: `kinds.yaml` of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from schemas.kind import Catalogue, Kind
from services.kit import documents
from services.kit.city import CityFolder

FILE = "kinds.yaml"


def load(folder: Path, place: CityFolder) -> Mapping[str, Kind]:
    """Return the kinds by code, none where the city has no such file: then whatever comes is taken. Raises `Misconfigured`."""
    file = folder / FILE
    if not file.is_file():
        return {}
    document = documents.read(file, Catalogue)
    departments = {department.id for department in place.city.departments}
    wrong = [
        document.problem(
            ("kinds", at, "department"), f"city.yaml has no department `{kind.department}`", f"there are: {', '.join(sorted(departments))}"
        )
        for at, kind in enumerate(document.model.kinds)
        if kind.department is not None and kind.department not in departments
    ]
    if wrong:
        raise documents.Invalid(file, wrong)
    return {kind.code: kind for kind in document.model.kinds}
