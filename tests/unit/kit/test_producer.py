"""What a record to publish is."""

from __future__ import annotations

from services.kit.producer import RECORD_OVERHEAD, Outgoing


def test_the_size_of_a_record_is_not_underestimated():
    record = Outgoing(b"v" * 100, key=b"k" * 10, headers=[("name", b"value")])
    assert record.size == 100 + 10 + len("name") + len("value") + 4 + RECORD_OVERHEAD
    assert Outgoing(b"").size == RECORD_OVERHEAD
