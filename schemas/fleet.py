"""Many sensors that are alike, said once: `cities/<code>/fleet.yaml`. A fleet stands for its sensors' records as `sensors.yaml` would have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, JsonValue

from schemas.base import Code, Frozen
from schemas.regions import Level, RegionTree

Variants = Annotated[tuple[JsonValue, ...], Field(min_length=1, max_length=100)]


class FleetError(ValueError):
    """A fleet's record names what is not there to be filled in."""


class Fleet(Frozen):
    """So many places (sites, buildings, wells), one in each street before any has a second, with the same sensors at each."""

    fleet: Code
    count: int = Field(ge=1, le=10_000)
    vary: dict[Code, Variants] = Field(default_factory=dict, max_length=16)
    """What differs from place to place: the first has the first of each list, and so on, round and round."""
    sensors: Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1, max_length=64)]
    """Records in whose texts stand, as `str.format` has it: `{n}`, the number of the place from 1; `{street}`, its code; `{street_zh}` and
    `{street_en}`, its names; and what varies, by its name."""


def expand(fleet: Fleet, regions: RegionTree) -> Iterator[dict[str, Any]]:
    """Yield the records of a fleet's sensors, the same ones each time; raises `FleetError`."""
    streets = [region for region in regions if region.level is Level.STREET]
    if not streets:
        raise FleetError(f"{fleet.fleet}: the city has no streets")
    for at in range(fleet.count):
        # Fewer places than streets are spread over all of them.
        street = streets[at % len(streets) if fleet.count >= len(streets) else at * len(streets) // fleet.count]
        words = {"n": at + 1, "street": street.code, "street_zh": street.name.zh, "street_en": street.name.en}
        words |= {name: variants[at % len(variants)] for name, variants in fleet.vary.items()}
        for index, record in enumerate(fleet.sensors):
            try:
                yield {key: _filled(value, words) for key, value in record.items()}
            except (LookupError, ValueError, AttributeError) as error:
                raise FleetError(f"{fleet.fleet}: sensors.{index}: {error!r}; there are {', '.join(words)}") from error


def _filled(value: JsonValue, words: Mapping[str, Any]) -> JsonValue:
    match value:
        case str():
            return value.format_map(words)
        case Mapping():
            return {_key(name, words): _filled(inner, words) for name, inner in value.items()}
        case Sequence():
            return [_filled(inner, words) for inner in value]
        case _:
            return value


def _key(name: str, words: Mapping[str, Any]) -> str:
    return name.format_map(words)
