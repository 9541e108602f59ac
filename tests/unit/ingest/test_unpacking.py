"""What departments write to Kafka, however packed: bounded, and nothing of it ends the reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record._crecords import default_records as compiled
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from services.ingest.doors import unpacking

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
GOOD = [b"one" * 100, b"two" * 100]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place for a test only: other tests read as they did."""
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    for name in ("gzip_decode", "lz4_decode", "zstd_decode"):
        monkeypatch.setattr(compiled, name, getattr(compiled, name))
    unpacking.install()


def batch(codec: int, values: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = ()) -> bytes:
    built = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    for at, value in enumerate(values):
        assert built.append(at, 1_000, key=None, value=value, headers=list(headers)) is not None
    return bytes(built.build())


def read(data: bytes, topic: str = "inbound.water") -> tuple[list[Any], int]:
    records = fetcher.PartitionRecords(TopicPartition(topic, 0), MemoryRecords(data), None, 0, None, None, True, fetcher.READ_UNCOMMITTED)
    return list(records), records.next_fetch_offset


@pytest.mark.parametrize("codec", [0, *CODECS.values()])
@pytest.mark.parametrize("topic", ["inbound.water", "city.observations"])
def test_what_is_good_is_read_as_it_was_written(codec: int, topic: str):
    found, next_offset = read(batch(codec, GOOD, [("a", b"b")]), topic)
    assert [(one.topic, one.offset, one.value, one.headers) for one in found] == [(topic, at, value, (("a", b"b"),)) for at, value in enumerate(GOOD)]
    assert next_offset == len(GOOD)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_bomb_comes_as_one_record_that_says_why(codec: str):
    bomb = batch(CODECS[codec], [bytes(unpacking.UNPACKED_BYTES + 1)])
    assert len(bomb) < 1 << 20
    (one,), next_offset = read(bomb)
    assert (one.offset, one.value, next_offset) == (0, None, 1)
    assert f"no {codec} that unpacks to at most 32 MiB" in (unpacking.unreadable(one.headers) or "")


def test_a_batch_that_cannot_be_taken_apart_ends_where_it_does_so():
    data = bytearray(batch(0, [b"x" * 40, b"y" * 40], [("header", b"v")]))
    at = data.rindex(b"header")
    data[at : at + 6] = b"\xff" * 6  # no UTF-8
    records = fetcher.PartitionRecords(TopicPartition("inbound.water", 0), MemoryRecords(bytes(data)), None, 0, None, None, False, 0)
    first, second = records
    assert first.value == b"x" * 40
    assert (second.offset, second.value, records.next_fetch_offset) == (1, None, 2)
    assert "offsets 1 to 1" in (unpacking.unreadable(second.headers) or "")


def test_an_ordinary_record_is_not_taken_for_one():
    assert unpacking.unreadable([("content-type", b"application/json")]) is None
    assert unpacking.unreadable([("tongguan_unreadable", None)]) is None  # type: ignore[list-item] # Kafka allows it
