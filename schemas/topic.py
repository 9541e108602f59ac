"""A topic as data: what stands in `schemas/topics/<name>.yaml`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from schemas.base import Code, Frozen, Text

_UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}


def _bytes(value: object) -> object:
    if isinstance(value, str):
        for unit, factor in _UNITS.items():
            if value.endswith(unit):
                return int(value.removesuffix(unit)) * factor
    return value


def _days(value: object) -> object:
    return f"P{value.removesuffix('d')}D" if isinstance(value, str) and value.endswith("d") else value


class Cleanup(StrEnum):
    """What Kafka does with old records."""

    DELETE = "delete"
    COMPACT = "compact"


class Encoding(StrEnum):
    """How values are written: `compact` by `schemas.wire`, `json` as the pydantic model's JSON under CloudEvents headers."""

    COMPACT = "compact"
    JSON = "json"


class Example(Frozen):
    """A value that the model takes."""

    model: Text
    value: dict[str, Any]


class Topic(Frozen):
    """One topic. Partitions are fixed when it is made: the key's partition must not change."""

    name: Code
    says: Text
    key: Text
    writer: Text
    readers: tuple[Code, ...]
    partitions: int = Field(ge=1, le=256)
    cleanup: Cleanup
    retention: Annotated[str | None, BeforeValidator(_days), Field(pattern=r"^P\d+D$")] = None
    """ISO 8601 days; written `7d` in the file."""
    retention_bytes: Annotated[int | None, BeforeValidator(_bytes)] = None
    """Of one partition; written `640MiB` in the file."""
    encoding: Encoding
    models: tuple[Text, ...]
    mapping: str
    examples: tuple[Example, ...] = Field(min_length=1)

    @property
    def retention_ms(self) -> int | None:
        """Retention in milliseconds."""
        return None if self.retention is None else int(self.retention[1:-1]) * 86_400_000
