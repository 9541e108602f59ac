"""CloudEvents over HTTP taken apart: each event's bytes as they came, and nothing crashes it."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.cloudevents import BATCHED, STRUCTURED, Malformed, event_of, media_type, of_record, split

EVENT = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "t", "data": {"a": 1}}
BINARY = {"ce-specversion": "1.0", "ce-id": "e1", "ce-source": "/s", "ce-type": "t"}
MAX = 5
DEEP = b"[" * 100_000 + b"]" * 100_000


def parts(body: bytes, content_type: str, headers: dict[str, str] | None = None) -> list[bytes]:
    return split(body, content_type, headers or {}, MAX)


def problem(body: bytes, content_type: str, headers: dict[str, str] | None = None) -> str:
    with pytest.raises(Malformed) as raised:
        parts(body, content_type, headers)
    said = raised.value.problem
    assert said.message
    assert said.hint
    return said.code


# Structured


@pytest.mark.parametrize("content_type", [STRUCTURED, STRUCTURED + "; charset=utf-8", "Application/CloudEvents+JSON ;x=y"])
def test_one_event_is_its_own_bytes(content_type: str):
    body = json.dumps(EVENT, indent=2).encode()
    assert parts(body, content_type) == [body]
    assert event_of(body).id == "e1"
    assert json.loads(bytes(event_of(body).data)) == {"a": 1}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a":NaN}', b'{"a":"\x01"}', b"[]", b"5", b"null", DEEP, DEEP[:-1], b"\xef\xbb\xbf{}", b"{}{}"]
)
def test_a_body_that_is_no_json_object_is_malformed(body: bytes):
    assert problem(body, STRUCTURED) == "malformed_json"


# Batched


def test_a_batch_is_its_events_bytes_whatever_they_are():
    body = b'[ {"id": "1"} ,null,\n5,"x",[1], {"a": 1.50} ]'
    assert split(body, BATCHED, {}, 6) == [b'{"id": "1"}', b"null", b"5", b'"x"', b"[1]", b'{"a": 1.50}']


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "empty"),
        (b"[" + b",".join([b"1"] * (MAX + 1)) + b"]", "too_many"),
        (b"{}", "malformed_json"),
        (b"", "malformed_json"),
        (b"[1,]", "malformed_json"),
        (b"[1", "malformed_json"),
        (b"[NaN]", "malformed_json"),
        (DEEP[:-1], "malformed_json"),
    ],
    ids=["none", "too many", "an object", "empty", "a comma too many", "cut", "NaN", "deep"],
)
def test_a_batch_that_cannot_be_read(body: bytes, code: str):
    assert problem(body, BATCHED) == code


# Binary


def test_headers_become_attributes_and_the_body_its_data():
    headers = {**BINARY, "ce-time": "2026-11-22T00:00:00Z", "traceparent": "00-x", "ce-actor": "z", "host": "h"}
    (item,) = parts(b'{"a": 1.50}', "application/json", headers)
    assert json.loads(item) == {
        "specversion": "1.0",
        "id": "e1",
        "source": "/s",
        "type": "t",
        "time": "2026-11-22T00:00:00Z",
        "traceparent": "00-x",
        "actor": "z",
        "data": {"a": 1.5},
    }
    assert b'"data":{"a": 1.50}' in item, "the data as they came"


@pytest.mark.parametrize("content_type", ["", "application/json", "application/json; charset=utf-8", "application/geo+json"])
def test_content_types_of_json(content_type: str):
    assert json.loads(parts(b"{}", content_type, BINARY)[0])["data"] == {}


def test_no_body_is_no_data():
    assert "data" not in json.loads(parts(b"", "application/json", BINARY)[0])
    assert "data" not in json.loads(parts(b"null", "application/json", BINARY)[0])


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_attributes_are_percent_decoded(text: str):
    """HTTP protocol binding, section 3.1.3.2."""
    (item,) = parts(b"{}", "application/json", {**BINARY, "ce-source": quote(text)})
    assert event_of(item).source == text


@pytest.mark.parametrize(("body", "content_type"), [(b"<a/>", "text/xml"), (b"x", "application/octet-stream")])
def test_data_that_are_no_json_are_told(body: bytes, content_type: str):
    assert problem(body, content_type, BINARY) == "not_json"


@pytest.mark.parametrize("body", [b"{", b"\xff", b"NaN", DEEP, b'{"a":1}x'])
def test_a_binary_body_that_is_malformed(body: bytes):
    assert problem(body, "application/json", BINARY) == "malformed_json"


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "application/cloudevents+xml", "application/cloudevents-batch"])
def test_what_is_no_cloudevent_is_told_what_to_send(content_type: str):
    assert problem(b"{}", content_type) == "not_a_cloudevent"


# Anything at all

BODIES = st.one_of(
    st.binary(max_size=100),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
    )
    .map(json.dumps)
    .map(str.encode),
)
HEADERS = st.dictionaries(
    st.sampled_from(["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-data", "ce-", "ce-time", "traceparent", "content-type", "x"]),
    st.text(st.characters(max_codepoint=255), max_size=10),
)
CONTENT_TYPES = st.sampled_from([STRUCTURED, BATCHED, "application/json", "", ";", "application/cloudevents+json;;", "text/xml"]) | st.text(
    max_size=20
)


@given(BODIES, CONTENT_TYPES, HEADERS)
def test_no_input_crashes_it(body: bytes, content_type: str, headers: dict[str, str]):
    try:
        items = split(body, content_type, headers, MAX)
    except Malformed:
        assert problem(body, content_type, headers)
        return
    assert 1 <= len(items) <= MAX
    for item in items:
        json.loads(item)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers()), min_size=1, max_size=MAX))
def test_the_parts_of_a_batch_are_the_batch(events: list[dict[str, Any]]):
    assert [json.loads(item) for item in parts(json.dumps(events).encode(), BATCHED)] == events


def test_media_types():
    assert media_type(" Text/XML ; charset=x") == "text/xml"


# On Kafka

VALUE = json.dumps(EVENT).encode()


@pytest.mark.parametrize("headers", [[], [("content-type", STRUCTURED.encode())], [("Content-Type", b"application/cloudevents+json; charset=utf-8")]])
def test_a_structured_record_is_its_own_bytes(headers: list[tuple[str, bytes]]):
    assert of_record(VALUE, headers) is VALUE


def test_a_record_in_binary_mode_is_put_together():
    headers = [("ce_specversion", b"1.0"), ("ce_id", "\u6c34 1%".encode()), ("ce_source", b"/s"), ("ce_type", b"t"), ("ce_empty", None)]
    item = of_record(b'{"a": 1}', [*headers, ("content-type", b"application/json"), ("traceparent", b"00-x"), ("other", b"\xff"[:0])])
    assert json.loads(item) == {"specversion": "1.0", "id": "\u6c34 1%", "source": "/s", "type": "t", "traceparent": "00-x", "data": {"a": 1}}


@pytest.mark.parametrize(
    ("value", "headers", "code"),
    [
        (VALUE, [("content-type", BATCHED.encode())], "not_a_cloudevent"),
        (VALUE, [("ce_specversion", b"1.0"), ("ce_id", b"\xff")], "bad_envelope"),
        (b"<a/>", [("ce_specversion", b"1.0"), ("content-type", b"text/xml")], "not_json"),
        (b"{", [("ce_specversion", b"1.0")], "malformed_json"),
        (DEEP, [("ce_specversion", b"1.0")], "malformed_json"),
    ],
)
def test_a_record_that_is_none(value: bytes, headers: list[tuple[str, bytes]], code: str):
    with pytest.raises(Malformed) as raised:
        of_record(value, headers)
    assert raised.value.problem.code == code


@given(
    st.binary(max_size=30),
    st.lists(
        st.tuples(st.sampled_from(["ce_specversion", "ce_id", "content-type", "traceparent", "ce_data", "x"]), st.binary(max_size=10) | st.none())
    ),
)
def test_no_record_crashes_it(value: bytes, headers: list[tuple[str, bytes | None]]):
    with contextlib.suppress(Malformed):
        assert isinstance(of_record(value, headers), bytes)
