"""Where a key goes, which every Kafka client must agree on."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafkas
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitioner import partition_of

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


@given(st.binary(max_size=40), st.integers(1, 256))
def test_any_key_goes_where_the_client_puts_it(key: bytes, partitions: int):
    assert partition_of(key, partitions) == (aiokafkas(key) & 0x7FFFFFFF) % partitions
