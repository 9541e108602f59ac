"""Whether a report is of a kind that the city's catalogue has."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from schemas.kind import Kind
from schemas.rejected import Problem
from schemas.report import Reported

NEAREST = 3


def problem(data: Reported, kinds: Mapping[str, Kind]) -> Problem | None:
    """Say what is wrong with a report's kind, None when nothing is; `kinds` are by code, and a city without any takes whatever comes."""
    if not kinds:
        return None
    kind = kinds.get(data.kind)
    if kind is None:
        near = nearest(data, kinds)
        return Problem(
            code="unknown_kind",
            where="data.kind",
            message=f"the city's catalogue has no kind {data.kind!r}",
            hint=f"nearest: {', '.join(f'{one.code} ({one.name.zh})' for one in near)}",
        )
    if kind.matter is not data.matter:
        return Problem(
            code="other_matter",
            where="data.matter",
            message=f"kind {kind.code!r} ({kind.name.zh}) is of matter {kind.matter}, not {data.matter}",
            hint=f"say matter {kind.matter}, or another kind",
        )
    return None


def nearest(data: Reported, kinds: Mapping[str, Kind]) -> list[Kind]:
    """Return the kinds that were meant most likely: by code; else the first of the report's matter."""
    codes = {kind.code.lower(): kind for kind in kinds.values()}
    close = [codes[code] for code in difflib.get_close_matches(data.kind.lower(), codes, n=NEAREST, cutoff=0.5)]
    same = [kind for kind in kinds.values() if kind.matter is data.matter]
    return list({kind.code: kind for kind in (*close, *same)}.values())[:NEAREST]
