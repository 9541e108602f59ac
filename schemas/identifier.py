"""A warning's identifier by GB/T 35965.1-2018: `ZZZZZZDDDUUUXX_YYYYMMDDhhmmss_N`.

Z is the division (six digits), D the agency, U its unit, X an extension, then the time in the city's zone. `_N` tells apart what one agency issues in
one second: where texts that build on the standard count from 0 to 9, ours has nine digits of the warning's id, for nobody counts over all partitions.

The time is that of the beginning as the warning's first revision told it. Give that revision, or the earliest known: a later one may tell another
beginning, when late data have revised it.
"""

from __future__ import annotations

import re
from datetime import tzinfo

from schemas.city import City
from schemas.warning import Warning  # noqa: A004 - the field's own word

_DIVISION_DIGITS = 6
_EXTENSION = "00"
_NUMBERS = 10**9
_NO_CODE = "000"


def identifier(first: Warning, city: City, zone: tzinfo) -> str:
    """Return the identifier of the episode of which `first` is the earliest revision known; `zone` is the city's."""
    department = next((one for one in city.departments if one.id == first.department), None)
    agency, unit = (department.agency, department.unit) if department else (_NO_CODE, _NO_CODE)
    began = first.began_at.astimezone(zone)
    time = f"{began.year:04}{began:%m%d%H%M%S}"
    return f"{_division(first.street, city.code)}{agency}{unit}{_EXTENSION}_{time}_{first.id.int % _NUMBERS:09}"


def _division(*codes: str) -> str:
    """Return the division of the first code that has one: a region's code begins with it. Of a city with other codes it is zeros."""
    found = (re.match(rf"[0-9]{{{_DIVISION_DIGITS}}}", code) for code in codes)
    return next((match[0] for match in found if match), "0" * _DIVISION_DIGITS)
