"""How the shared producer has its batches packed: aiokafka has no setting for the level."""

from __future__ import annotations

import random

from aiokafka import codec
from aiokafka.record._crecords.default_records import DefaultRecordBatchBuilder

from services.kit import producer

LZ4 = 3


def packed(value: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, LZ4, 0, -1, -1, -1, 1 << 20)
    builder.append(0, 1_000, None, value, [])
    return bytes(builder.build())


def test_batches_are_packed_at_our_level():
    dice = random.Random(1)
    value = b",".join(f'"{dice.randrange(1000)}":{dice.random():.3f}'.encode() for _ in range(5_000))
    assert producer.LZ4_LEVEL == 1
    assert len(packed(value)) > len(codec.lz4_encode(value, level=9)) * 1.05
