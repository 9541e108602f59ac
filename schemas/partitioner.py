"""Which partition of a topic has a key: the one to which Kafka's default partitioner sends it, so that all clients agree."""

from __future__ import annotations

from functools import lru_cache

_SEED, _FACTOR, _WORD = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Return the 32-bit MurmurHash2 of a key, as Kafka's clients seed it."""
    whole = len(key) & ~3
    found = _SEED ^ len(key)
    for at in range(0, whole, 4):
        mixed = int.from_bytes(key[at : at + 4], "little") * _FACTOR & _WORD
        mixed = (mixed ^ mixed >> 24) * _FACTOR & _WORD
        found = (found * _FACTOR & _WORD) ^ mixed
    if whole < len(key):
        found = (found ^ int.from_bytes(key[whole:], "little")) * _FACTOR & _WORD
    found = (found ^ found >> 13) * _FACTOR & _WORD
    return found ^ found >> 15


@lru_cache(1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key; remembered, as the hash takes some microseconds and keys come again."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
