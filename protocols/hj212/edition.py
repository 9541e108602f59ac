"""The editions of the standard, as data: what differs between them where packets are read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition, told by the version bits V5..V0 of a packet's Flag."""

    name: str
    version: int
    """V5..V0, 0 to 63."""
    encoding: str
    """Of text in CP; all else is ASCII."""
    max_cp: int
    """Bytes of `CP=&&…&&`; a longer message is split."""
    quotes_request: bool
    """An answer names the QN (and, of data, the CN) it answers in its CP and carries none of its own."""


EDITION_2005: Final = Edition(name="HJ/T 212-2005", version=0, encoding="gb18030", max_cp=960, quotes_request=True)
"""Also what a packet without Flag is taken for. That its devices write GBK is practice, no rule: `decode` takes another encoding."""

EDITION_2017: Final = Edition(name="HJ 212-2017", version=1, encoding="utf-8", max_cp=950, quotes_request=False)

EDITION_2025: Final = Edition(name="HJ 212-2025", version=2, encoding="utf-8", max_cp=950, quotes_request=False)
"""Not taken from the standard's text: bits and limits are those of public implementations. Surface water stations sent the same bits
before. An encrypted CP is not decrypted; it is refused as a field that cannot be read."""

EDITIONS: Final[Mapping[int, Edition]] = MappingProxyType({known.version: known for known in (EDITION_2005, EDITION_2017, EDITION_2025)})
"""By version bits; hand a mapping of your own to `decode` to know more or fewer."""
