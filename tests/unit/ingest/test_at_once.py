"""What is taken in one pass is what step by step would be taken; and what a key's scope lets through."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from schemas.report import Report
from services.ingest.domain.accept import Judge, Refused, Sender
from services.ingest.domain.registry import Registry
from tests.unit.ingest.conftest import LIMITS, NOW
from tests.unit.ingest.test_accept import BAD_CODES, JSON, MUTATIONS, dumps, event, good_payloads, measured, report

SENDERS = [
    Sender("water"),
    Sender("drainage"),
    Sender("water", types=frozenset({"cn.tongguan.report.v1"})),
    Sender("water", domains=frozenset({"water"}), sensors=frozenset({"dma-01"})),
    Sender("water", domains=frozenset({"fire"})),
    Sender("water", sensors=frozenset({"dma-02"})),
]

Both = Callable[[bytes], None]


@pytest.fixture(scope="session")
def both(registry: Registry) -> Both:
    """Judge in either way; they must agree."""

    def judge(item: bytes) -> None:
        for sender in SENDERS:
            at_once = Judge(sender, registry, NOW, LIMITS)._at_once(item)
            if at_once is not None:
                assert at_once == Judge(sender, registry, NOW, LIMITS)._step_by_step(item)

    return judge


@given(good_payloads())
def test_good_data(both: Both, payload: dict[str, Any]):
    both(event(dumps(payload).encode()))


@given(st.data(), good_payloads(), st.sampled_from(["sensor", "values", "end", "start", "statistic", "quality", "origin", "region"]))
def test_data_that_were_spoiled(both: Both, data: st.DataObject, payload: dict[str, Any], field: str):
    spoiled = data.draw(st.sampled_from(MUTATIONS))(data.draw, payload, field)
    both(event(dumps(spoiled).encode("utf-8", "surrogatepass")))


@given(
    st.sampled_from(["specversion", "id", "source", "type", "time", "subject", "traceparent", "datacontenttype"]),
    JSON | BAD_CODES | st.sampled_from(["x" * 256, "x" * 257, "a\u3000b", "水", "\x7f", "2026-11-22T00:00:00Z", "2026-11-22T00:00:00\\u005a"]),
)
def test_any_attribute(both: Both, name: str, value: Any):
    for data in (None, {"sensor": "dma-01", "values": {"flow": 1}}):
        both(json.dumps({**json.loads(event(data)), name: value}).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("more", ['"type": "x", ', '"specversion": "0.3", ', '"id": 5, ', '"data": 5, '])
def test_attributes_that_are_given_twice(both: Both, more: str):
    both(b"{" + more.encode() + event()[1:])
    both(event()[:-1] + b", " + more.removesuffix(", ").encode() + b"}")


def test_an_ordinary_reading_is_taken_at_once(registry: Registry):
    for one in (event(), event(measured(quality={"flow": "fault"})), event({"sensor": "dma-01", "values": {"flow": 1}}, time="2026-11-22T00:00:00Z")):
        assert isinstance(Judge(Sender("water"), registry, NOW, LIMITS)._at_once(one), wire.Observation)


# Scope


@pytest.mark.parametrize(
    ("item", "sender", "where"),
    [
        (event(), Sender("water", types=frozenset({"cn.tongguan.report.v1"})), "type"),
        (report(), Sender("water", types=frozenset({"cn.tongguan.observation.v1"})), "type"),
        (event(), Sender("water", domains=frozenset({"fire"})), "data.sensor"),
        (event(), Sender("water", sensors=frozenset({"dma-02"})), "data.sensor"),
        (event(), Sender("water", sensors=frozenset({"dma-01"}), domains=frozenset({"fire"})), "data.sensor"),
    ],
)
def test_what_the_key_is_not_for(registry: Registry, item: bytes, sender: Sender, where: str):
    judged = Judge(sender, registry, NOW, LIMITS).accept(item)
    assert isinstance(judged, Refused)
    assert (judged.problem.code, judged.problem.where) == ("out_of_scope", where)


def test_what_the_key_is_for(registry: Registry):
    narrow = Sender("water", types=frozenset({"cn.tongguan.observation.v1"}), domains=frozenset({"water"}), sensors=frozenset({"dma-01"}))
    assert isinstance(Judge(narrow, registry, NOW, LIMITS).accept(event()), wire.Observation)
    reports = Sender("water", types=frozenset({"cn.tongguan.report.v1"}), sensors=frozenset({"dma-02"}))
    assert isinstance(Judge(reports, registry, NOW, LIMITS).accept(report()), Report)
