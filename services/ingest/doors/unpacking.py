"""What departments write to Kafka is unpacked with bounds: their batches are compressed and framed by whatever client they have.

A broker takes a batch by its compressed size: 1 MiB of zstd may hold gigabytes, and aiokafka would unpack them all at once. It also ends the whole
fetch at a batch that it cannot take apart, again and again. Here such a batch, or what is left of it, comes as one record that says why
(`unreadable`), and reading goes on after it. aiokafka has no seam for this; `tests/unit/ingest/test_unpacking.py` holds what is relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import cramjam
from aiokafka.consumer import fetcher
from aiokafka.record._crecords import default_records as compiled

from services.kit import consumer  # noqa: F401 - it puts its own unpacking in place, which this one goes on from

UNPACKED_BYTES = 32 << 20
"""Of a batch: clients make them of at most 1 MiB before they compress; some reckon with what compression will save."""
INBOUND = "inbound."
_UNREADABLE = "tongguan_unreadable"

_room = bytearray(UNPACKED_BYTES)
"""Where all is unpacked; pages that are never written take no memory."""


class _Unreadable(NamedTuple):
    """Stands for what cannot be read of a batch."""

    offset: int
    timestamp: int
    headers: Sequence[tuple[str, bytes]]
    key: bytes | None = None
    value: bytes | None = None


def unreadable(headers: Sequence[tuple[str, bytes]]) -> str | None:
    """Return why a batch could not be read, by the headers of the record without a value that stands for it; None for others."""
    return next((why.decode("utf-8", "replace") for name, why in headers if name == _UNREADABLE and why), None)


def _bounded(unpack: Callable[[Any, bytearray], int], codec: str) -> Callable[[Any], bytes]:
    def decode(payload: Any) -> bytes:
        try:
            size = unpack(payload, _room)
        except (cramjam.DecompressionError, OSError, ValueError) as error:
            raise ValueError(f"the batch is no {codec} that unpacks to at most {UNPACKED_BYTES >> 20} MiB: {error}") from error
        return bytes(memoryview(_room)[:size])

    return decode


class _Batch:
    """One batch of a department's topic."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self.next_offset: int = batch.next_offset
        self.is_control_batch: bool = batch.is_control_batch

    def validate_crc(self) -> bool:
        """Say whether it came from the broker as it was written."""
        return bool(self._batch.validate_crc())

    def __iter__(self) -> Iterator[Any]:
        offset = self._batch.base_offset
        try:
            for record in self._batch:
                yield record
                offset = record.offset + 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the department's bytes, and would come again for ever
            why = f"offsets {offset} to {self.next_offset - 1}: {error}"
            yield _Unreadable(offset, self._batch.max_timestamp, [(_UNREADABLE, why.encode("utf-8", "replace"))])


class _Batches:
    """As aiokafka's `MemoryRecords`."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.has_next = records.has_next

    def next_batch(self) -> _Batch:
        """Return the next."""
        return _Batch(self._records.next_batch())


class _Guarded(fetcher.PartitionRecords):  # type: ignore[misc] # aiokafka gives no type
    def __init__(self, tp: Any, records: Any, *rest: Any, **more: Any) -> None:
        super().__init__(tp, _Batches(records) if tp.topic.startswith(INBOUND) else records, *rest, **more)


def install() -> None:
    """Have all that this process reads unpacked with bounds; again changes nothing."""
    if fetcher.PartitionRecords is not _Guarded:
        fetcher.PartitionRecords = _Guarded
    compiled.gzip_decode = _bounded(cramjam.gzip.decompress_into, "gzip")
    compiled.lz4_decode = _bounded(cramjam.lz4.decompress_into, "lz4")
    compiled.zstd_decode = _bounded(cramjam.zstd.decompress_into, "zstd")
    # Snappy unpacks to 21 times its size at most.
