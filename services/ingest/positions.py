"""Positions brought to CGCS2000 (EPSG:4490), which equals WGS 84 to some decimetres: better than the positions that anybody reads from a map."""

from __future__ import annotations

from collections.abc import Callable

import prcoords

from schemas.command import System

DIGITS = 6
"""Of a degree: 0.1 m."""
Convert = Callable[[float, float], tuple[float, float]]

_INVERSES = {System.GCJ02: prcoords.gcj_wgs_bored, System.BD09: prcoords.bd_wgs_bored}
"""Iterated until they are true to some millimetres; the one-step inverses are off by a metre or two."""


def converter(system: System) -> Convert:
    """Return what brings a longitude and a latitude of a system to CGCS2000, with `DIGITS` decimal places."""
    inverse = _INVERSES.get(system)

    def convert(longitude: float, latitude: float) -> tuple[float, float]:
        # Outside China these systems are WGS 84 itself.
        if inverse is not None and prcoords.sanity_in_china_p(prcoords.Coords(latitude, longitude)):
            latitude, longitude = inverse((latitude, longitude), False)
        return round(longitude, DIGITS), round(latitude, DIGITS)

    return convert
