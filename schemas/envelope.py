"""CloudEvents 1.0: the event types, and their attributes as Kafka headers (Kafka protocol binding, binary content mode)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

SPEC_VERSION = "1.0"
CONTENT_TYPE = b"application/json"

Headers = list[tuple[str, bytes]]


class EventType(StrEnum):
    """The types of event that travel on the platform's topics."""

    OBSERVATION = "cn.tongguan.observation.v1"
    REPORT = "cn.tongguan.report.v1"
    WARNING = "cn.tongguan.warning.v1"
    NOTIFICATION = "cn.tongguan.notification.v1"
    REJECTED = "cn.tongguan.rejected.v1"
    SENSOR = "cn.tongguan.sensor.v1"
    RULE = "cn.tongguan.rule.v1"
    COMMAND = "cn.tongguan.command.v1"
    WARNING_ACTIONS = "cn.tongguan.warning-actions.v1"
    AUDIT = "cn.tongguan.audit.v1"
    HEALTH = "cn.tongguan.health.v1"


def to_headers(*, id: str, type: EventType, source: str, subject: str, time: datetime, extra: Mapping[str, str] | None = None) -> Headers:  # noqa: A002 - the attributes' own names
    """Return the attributes as headers; `extra` holds extension attributes and `traceparent`."""
    headers = [
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_id", id.encode()),
        ("ce_type", type.encode()),
        ("ce_source", source.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", time.isoformat().encode()),
        ("content-type", CONTENT_TYPE),
    ]
    for name, value in (extra or {}).items():
        headers.append((name if name == "traceparent" else f"ce_{name}", value.encode()))
    return headers


def attributes(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Return the CloudEvents attributes among some headers, without the prefix."""
    return {name.removeprefix("ce_"): value.decode("utf-8", "replace") for name, value in headers if name.startswith("ce_")}
