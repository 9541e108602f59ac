"""CloudEvents 1.0 taken apart: of HTTP in structured, binary and batched content mode (HTTP protocol binding, section 3), of Kafka in the first two.

Returns each event's bytes, so that one bad event of a batch harms no other and is kept as it came. JSON is decoded by msgspec, which
refuses NaN and Infinity, as JSON does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from schemas.rejected import Problem

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
_STRUCTURED = STRUCTURED.encode()
_TYPE = "content-type"


class Event(msgspec.Struct, gc=False):
    """One CloudEvent; `data` is its JSON, undecoded."""

    specversion: str
    id: str
    source: str
    type: str
    data: msgspec.Raw = msgspec.Raw()
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    traceparent: str | None = None


class Malformed(Exception):
    """A body that cannot be taken apart at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


_decode_event = msgspec.json.Decoder(Event).decode
_decode_batch = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode


def media_type(content_type: str) -> str:
    """Return a Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def split(body: bytes, content_type: str, headers: Mapping[str, str], max_items: int) -> list[bytes]:
    """Return the events of a request, each as structured JSON; raises `Malformed` when the body is not JSON of the right shape."""
    kind = media_type(content_type)
    if kind == BATCHED:
        items = _batch(body)
        if not items:
            raise Malformed(Problem(code="empty", where="", message="the batch has no events", hint="send at least one"))
        if len(items) > max_items:
            raise Malformed(
                Problem(code="too_many", where="", message=f"the batch has {len(items)} events, more than {max_items}", hint="send smaller batches")
            )
        return [bytes(item) for item in items]
    if kind == STRUCTURED:
        _checked(body)
        return [body]
    if "ce-specversion" in headers:
        # Attributes travel percent-encoded (section 3.1.3.2).
        attributes = {name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")}
        return [_from_binary(body, kind, attributes, headers.get("traceparent"))]
    raise Malformed(
        Problem(
            code="not_a_cloudevent",
            where="Content-Type",
            message=f"Content-Type {content_type!r} without ce- headers is no CloudEvent",
            hint=f"send {STRUCTURED}, {BATCHED}, or application/json with the headers ce-specversion, ce-id, ce-source and ce-type",
        )
    )


def of_record(value: bytes, headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Return the event of a Kafka record as structured JSON (Kafka protocol binding, section 3); raises `Malformed`.

    A record that says nothing of its mode is taken for an event in structured mode.
    """
    if not headers or (len(headers) == 1 and headers[0][0] == _TYPE and headers[0][1] == _STRUCTURED):
        return value
    told = {name.lower(): _text(name, text) for name, text in headers if text is not None}
    kind = media_type(told.get(_TYPE, ""))
    if kind == BATCHED:
        problem = "Kafka has no batches of CloudEvents"
        raise Malformed(Problem(code="not_a_cloudevent", where=_TYPE, message=problem, hint="send each event as a record of its own"))
    if kind == STRUCTURED or "ce_specversion" not in told:
        return value
    attributes = {name.removeprefix("ce_"): text for name, text in told.items() if name.startswith("ce_")}
    return _from_binary(value, kind, attributes, told.get("traceparent"))


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        problem = Problem(code="bad_envelope", where=name[:100], message=f"the header is not UTF-8: {error}", hint="write attributes in UTF-8")
        raise Malformed(problem) from error


def event_of(item: bytes) -> Event:
    """Return one event; raises `msgspec.DecodeError` or UnicodeDecodeError, of which `explain` tells the problem."""
    return _decode_event(item)


def explain(error: Exception) -> Problem:
    """Say what is wrong with an event that does not decode."""
    message = str(error)
    path = message.partition(" - at `$")[2].rstrip("`").lstrip(".")
    missing = "missing required field" in message
    return Problem(
        code="bad_envelope" if isinstance(error, msgspec.ValidationError) else "malformed_json",
        where=path,
        message=message.partition(" - at `")[0],
        hint="give specversion, id, source and type, and the event under data" if missing else "see CloudEvents 1.0, JSON event format",
    )


def _batch(body: bytes) -> list[msgspec.Raw]:
    try:
        return _decode_batch(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from error


def _checked(body: bytes) -> None:
    try:
        if not isinstance(_decode_any(body), dict):
            raise Malformed(
                Problem(code="malformed_json", where="", message="the body is no JSON object", hint=f"a list of events goes as {BATCHED}")
            )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from error


def _not_json(error: Exception) -> Malformed:
    return Malformed(
        Problem(code="malformed_json", where="", message=str(error), hint="the body must be JSON in UTF-8; NaN and Infinity are no JSON numbers")
    )


def _from_binary(body: bytes, kind: str, attributes: Mapping[str, Any], traceparent: str | None) -> bytes:
    if kind not in ("", "application/json") and not kind.endswith("+json"):
        raise Malformed(
            Problem(code="not_json", where="Content-Type", message=f"data of type {kind} is not supported", hint="send data as application/json")
        )
    try:
        data = _decode_any(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(error) from error
    event = dict(attributes)
    if traceparent is not None:
        event["traceparent"] = traceparent
    if data is not None:
        event["data"] = msgspec.Raw(body)
    return msgspec.json.encode(event)
