"""A mapping that mostly holds one thing: a third of a dict's size, of which a city has a million."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Few(MutableMapping[str, V], Generic[V]):
    """By text, in order of entry. The first stands in the object itself."""

    __slots__ = ("key", "more", "value")

    def __init__(self) -> None:
        self.key: str | None = None
        self.value: V | None = None
        self.more: dict[str, V] | None = None

    def get(self, key: str, default: V | None = None) -> V | None:  # type: ignore[override]
        """Return what has a key; faster than the mapping's own."""
        if key == self.key:
            return self.value
        return default if self.more is None else self.more.get(key, default)

    def __getitem__(self, key: str) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: str, value: V) -> None:
        if key == self.key or (self.key is None and not self.more):
            self.key, self.value = key, value
            return
        if self.more is None:
            self.more = {}
        self.more[key] = value

    def __delitem__(self, key: str) -> None:
        if key == self.key:
            self.key = self.value = None
        elif self.more is None:
            raise KeyError(key)
        else:
            del self.more[key]

    def __iter__(self) -> Iterator[str]:
        if self.key is not None:
            yield self.key
        if self.more is not None:
            yield from self.more

    def __len__(self) -> int:
        return (self.key is not None) + (0 if self.more is None else len(self.more))
