"""What the consumer takes over from inside aiokafka: fails when a new version is built otherwise."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from services.kit import consumer

TP = TopicPartition("city.observations", 3)
GIVEN = [
    (100, b"key", b"value", [("ce_id", b"1"), ("ce_id", b"2")]),
    (101, None, "统管".encode(), []),
    (105, b"", None, []),
    (106, b"gone", b"", [("empty", b"")]),
]
OWN = fetcher.PartitionRecords.__mro__[1]
"""aiokafka's own class."""


def fetched(base: int = 0) -> bytes:
    """Return a batch as a broker sends it, compressed."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=3, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1 << 16
    )
    for at, (timestamp, key, value, headers) in enumerate(GIVEN):
        assert builder.append(at, timestamp, key, value, headers) is not None
    body = bytearray(builder.build())
    body[:8] = base.to_bytes(8, "big")
    return bytes(body)


def unpacked(of: type, data: bytes, first: int = 0, level: int = fetcher.READ_UNCOMMITTED, *, check: bool = True) -> tuple[list[ConsumerRecord], int]:
    """Return what a fetch brought, and from where the next one reads."""
    records = of(TP, MemoryRecords(data), [], first, None, None, check, level)
    return list(records), records.next_fetch_offset


def test_aiokafka_is_of_the_version_that_was_looked_into():
    assert version("aiokafka") == "0.14.0"


def test_its_fetcher_makes_our_records():
    assert fetcher.PartitionRecords is consumer._Unpacked
    assert "PartitionRecords" in fetcher.Fetcher._proc_fetch_request.__code__.co_names
    assert OWN.__module__ == fetcher.__name__


@pytest.mark.parametrize("level", [fetcher.READ_UNCOMMITTED, fetcher.READ_COMMITTED])
@pytest.mark.parametrize("first", [0, 2])
def test_a_record_is_read_as_aiokafka_reads_it(first: int, level: int):
    data = fetched() + fetched(len(GIVEN))
    (ours, at), (theirs, their_at) = unpacked(consumer._Unpacked, data, first, level), unpacked(OWN, data, first, level)
    assert at == their_at == 2 * len(GIVEN)
    assert [one.offset for one in ours] == list(range(first, 2 * len(GIVEN)))
    assert {type(one) for one in ours} == {consumer.Read}
    assert {type(one) for one in theirs} == {ConsumerRecord}
    names = consumer.Read.__struct_fields__
    assert [[getattr(one, name) for name in names] for one in ours] == [[getattr(one, name) for name in names] for one in theirs]


def test_a_transactions_marker_is_passed_over():
    marker = bytearray(fetched(len(GIVEN)))
    marker[22] |= 0x20  # the attribute of a control batch
    ours, at = unpacked(consumer._Unpacked, fetched() + bytes(marker), check=False)
    assert [one.offset for one in ours] == list(range(len(GIVEN)))
    assert at == 2 * len(GIVEN)


class Assignment:
    """As much of aiokafka's as hands out what was fetched."""

    active = True
    paused = False
    position = 0

    def state_value(self, tp: TopicPartition) -> Assignment:
        assert tp == TP
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def test_what_was_fetched_is_handed_out_in_parts():
    records = consumer._Unpacked(TP, MemoryRecords(fetched()), [], 0, None, None, True, fetcher.READ_UNCOMMITTED)
    assignment = Assignment()
    fetch = fetcher.FetchResult(TP, assignment=assignment, partition_records=records, backoff=0)
    assert [one.offset for one in fetch.getall(3)] == [0, 1, 2]
    assert (assignment.position, fetch.has_more()) == (3, True)
    assert [one.offset for one in fetch.getall(3)] == [3]
    assert (assignment.position, fetch.has_more()) == (4, False)


def test_a_batch_that_was_damaged_is_refused():
    data = bytearray(fetched())
    data[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        unpacked(consumer._Unpacked, bytes(data))
