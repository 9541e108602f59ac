"""Conversion of units by their UCUM codes: looked up once for each word of a device, so that a reading costs a multiplication and an addition."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from services.ingest.domain.registry import Linear

AS_IS = {"[pH]", "dB/m", "dB(A)", "%{LEL}"}
"""Units that convert into nothing else: logarithms, and parts of what only the sensor knows."""
_DIGITS = 12
"""To which a factor is rounded: what is left of binary fractions on the way (3.6000000000000005) says nothing."""


_huge = re.compile(r"[A-Za-z\]'\"%*^][+-]?[0-9]{3}").search
"""Finds an exponent that is none of a unit: the library would reckon 10*999999999 out to its last digit, and the node hear nobody for hours."""


@lru_cache(maxsize=4_096)
def conversion(unit: str, to: str) -> Linear:
    """Return how values of one unit become values of another; raises ValueError that says why they do not."""
    if unit == to:
        return Linear()
    if AS_IS & {unit, to}:
        raise ValueError(f"{unit} and {to} cannot be converted into each other")
    return _by_library(unit, to)


@lru_cache(maxsize=4_096)
def check(unit: str) -> None:
    """Raise ValueError that says why a unit is none of UCUM's."""
    if unit in AS_IS:
        return
    try:
        _parsed(unit)
    except Exception as error:
        raise ValueError(f"{unit} is no unit of UCUM: {_first_line(error)}") from error


def _by_library(unit: str, to: str) -> Linear:
    registry = _registry()
    try:
        given, wanted = _parsed(unit), _parsed(to)
        zero = float(registry.Quantity(0.0, given.units).to(wanted.units).magnitude)
        one = float(registry.Quantity(1.0, given.units).to(wanted.units).magnitude)
    except Exception as error:
        # The library's parser raises whatever it meets, from its grammar's errors to AttributeError.
        raise ValueError(f"{unit} cannot be converted to {to}: {_first_line(error)}") from error
    return Linear.by(_rounded((one - zero) * given.magnitude / wanted.magnitude), _rounded(zero / wanted.magnitude))


def _parsed(unit: str) -> Any:
    if _huge(re.sub(r"\{[^}]*\}", "", unit)):
        raise ValueError("its exponent is over 99")
    return _registry().from_ucum(unit)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


@lru_cache(maxsize=1)
def _registry() -> Any:
    # A second and a half: only who has something to convert waits for it.
    from ucumvert import PintUcumRegistry  # noqa: PLC0415

    return PintUcumRegistry()
