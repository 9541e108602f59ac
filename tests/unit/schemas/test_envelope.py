"""CloudEvents attributes as Kafka headers, and warnings' order of tiers."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import EventType, attributes, to_headers
from schemas.tiers import TIERS, Tier, gravest

TIME = datetime(2026, 11, 22, tzinfo=UTC)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(EventType))
def test_attributes_come_back(text: str, kind: EventType):
    headers = to_headers(id=text, type=kind, source=f"/{text}", subject=text, time=TIME)
    assert attributes(headers) == {
        "specversion": "1.0",
        "id": text,
        "type": kind.value,
        "source": f"/{text}",
        "subject": text,
        "time": "2026-11-22T00:00:00+00:00",
    }
    assert ("content-type", b"application/json") in headers


def test_extensions_have_the_prefix_and_traceparent_has_not():
    headers = dict(to_headers(id="1", type=EventType.REPORT, source="/s", subject="x", time=TIME, extra={"traceparent": "00-a", "actor": "b"}))
    assert headers["traceparent"] == b"00-a"
    assert headers["ce_actor"] == b"b"


@given(st.sets(st.sampled_from(TIERS)))
def test_the_gravest_of_some_tiers(tiers: set[Tier]):
    assert gravest(tiers) is (max(tiers, key=lambda tier: tier.gravity) if tiers else None)


def test_the_order_of_tiers():
    assert [tier.value for tier in TIERS] == ["blue", "yellow", "orange", "red"]
    assert [tier.gravity for tier in TIERS] == [1, 2, 3, 4]
