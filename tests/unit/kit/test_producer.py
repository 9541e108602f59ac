"""Where a key goes, which every Kafka client must agree on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.producer import RECORD_OVERHEAD, Outgoing, partition_of

MURMUR2 = [
    # From Kafka's own UtilsTest.testMurmur2, with the signed hashes given there.
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "murmur2"), MURMUR2)
@pytest.mark.parametrize("partitions", [1, 6, 12, 24, 256])
def test_a_key_goes_where_kafka_s_own_partitioner_puts_it(key: bytes, murmur2: int, partitions: int):
    assert partition_of(key, partitions) == (murmur2 & 0x7FFFFFFF) % partitions


def plain_murmur2(data: bytes) -> int:
    """The hash from its description, a slow one."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


@given(st.binary(max_size=40), st.integers(1, 256))
def test_any_key_does(key: bytes, partitions: int):
    assert partition_of(key, partitions) == (plain_murmur2(key) & 0x7FFFFFFF) % partitions


def test_the_size_of_a_record_is_not_underestimated():
    record = Outgoing(b"v" * 100, key=b"k" * 10, headers=[("name", b"value")])
    assert record.size == 100 + 10 + len("name") + len("value") + 4 + RECORD_OVERHEAD
    assert Outgoing(b"").size == RECORD_OVERHEAD
