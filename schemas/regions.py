"""The tree of regions: city, district, street or town. Parents are explicit: a code's prefix is no proof of its parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from schemas.base import Code, Frozen, Name


class Level(StrEnum):
    """A level of the city's government."""

    CITY = "city"
    DISTRICT = "district"
    STREET = "street"


class Region(Frozen):
    """One region; only the city has no parent. A street's parent is a district, or the city itself where there are no districts."""

    code: Code
    parent: Code | None
    level: Level
    name: Name


class RegionError(ValueError):
    """The regions do not form one tree."""


class RegionTree:
    """An immutable tree. Look-ups cost a dictionary access; `KeyError` is raised for an unknown code."""

    def __init__(self, regions: Iterable[Region]) -> None:
        self._regions: dict[str, Region] = {}
        for region in regions:
            if region.code in self._regions:
                raise RegionError(f"region {region.code} is given twice")
            self._regions[region.code] = region
        roots = [region for region in self._regions.values() if region.parent is None]
        if len(roots) != 1:
            raise RegionError(f"there must be one region without a parent, the city; there are {len(roots)}: {[r.code for r in roots]}")
        self.root = roots[0]
        self._paths = {code: tuple(self._climb(code)) for code in self._regions}
        self._districts = {
            code: next((one for one in path if self._regions[one].level is Level.DISTRICT), path[-1]) for code, path in self._paths.items()
        }
        self._children: dict[str, list[Region]] = {code: [] for code in self._regions}
        for region in self._regions.values():
            if region.parent is not None:
                self._children[region.parent].append(region)

    def __contains__(self, code: object) -> bool:
        return code in self._regions

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions.values())

    def __getitem__(self, code: str) -> Region:
        return self._regions[code]

    def path(self, code: str) -> tuple[str, ...]:
        """Return the codes from a region up to the city, itself first."""
        return self._paths[code]

    def district(self, code: str) -> str:
        """Return the code of the district in which a region lies; of what lies in none, the city's."""
        return self._districts[code]

    def children(self, code: str) -> tuple[Region, ...]:
        """Return the regions right below one."""
        return tuple(self._children[code])

    def covers(self, scope: str, code: str) -> bool:
        """Say whether a region is the scope or lies below it; an unknown region is covered by none."""
        return scope in self._paths.get(code, ())

    def _climb(self, code: str) -> Iterator[str]:
        seen: set[str] = set()
        at: str | None = code
        while at is not None:
            if at in seen:
                raise RegionError(f"region {code} lies below itself")
            seen.add(at)
            yield at
            region = self._regions.get(at)
            if region is None:
                raise RegionError(f"region {code} has the parent {at}, which is not given")
            at = region.parent
