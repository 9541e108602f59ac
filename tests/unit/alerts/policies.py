"""A small city's alerting, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.action import Actor
from schemas.alerting import Alerting
from schemas.base import Name
from schemas.command import Command
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.domain.known import Known, taken
from services.alerts.domain.what import what
from tests.unit.gateway.city import CITY, DISTRICT, NOW, STREET, TREE

SMS = {"url": "http://127.0.0.1:9/sms", "json_body": {"to": "{{ address }}", "key": "{{ key }}"}, "key": True}
WIDE = {"zh": "名", "en": "name"}


def alerting(**parts: Any) -> Alerting:
    """Red is told at once and escalates street, district, city; yellow and blue gather for a minute; others in between."""
    whole: dict[str, Any] = {
        "routes": {
            "id": "all",
            "group_by": ["street", "domain"],
            "wait": "PT1M",
            "interval": "PT5M",
            "urgent": "red",
            "escalation": "standard",
            "routes": [{"id": "red", "match": {"tiers": ["red"]}, "group_by": ["subject"]}],
        },
        "escalations": [
            {
                "id": "standard",
                "plans": {
                    "red": {
                        "steps": [
                            {"after": 0, "tell": [{"screen": "street"}, {"role": "field", "level": "street"}], "channels": ["sms"]},
                            {"after": "PT5M", "tell": [{"screen": "district"}, {"role": "lead", "level": "district"}], "channels": ["sms"]},
                            {"after": "PT15M", "tell": [{"screen": "city"}, {"role": "supervisor", "level": "city"}], "channels": ["sms", "mail"]},
                        ],
                        "repeat": "PT10M",
                        "answered_for": "PT2H",
                    },
                    "yellow": {"steps": [{"after": 0, "tell": [{"screen": "street"}]}], "answer": False},
                },
            }
        ],
        "people": [{"id": one, "name": WIDE} for one in ("li", "wang", "zhao")],
        "teams": [
            {"id": "street-field", "name": WIDE, "region": STREET, "role": "field", "always": ["li"]},
            {"id": "district-lead", "name": WIDE, "region": DISTRICT, "role": "lead", "always": ["wang"]},
            {"id": "city-supervisor", "name": WIDE, "region": CITY, "role": "supervisor", "always": ["zhao"]},
        ],
        "channels": [
            {
                "id": "sms",
                "name": WIDE,
                "kind": "http",
                "request": {"url": "http://127.0.0.1:9/sms", "json_body": {"to": "{{ address }}", "key": "{{ key }}"}, "key": True},
            },
            {"id": "mail", "name": WIDE, "kind": "apprise", "url": "mailto://127.0.0.1:9?to={{ address }}&from=a@example.org"},
        ],
        "lead": "district-lead",
        "lead_channels": ["sms"],
    }
    return Alerting.model_validate(whole | parts)


def known(*revisions: Warning) -> Known:
    """Return what is known after revisions."""
    found: Known | None = None
    for one in revisions:
        found = taken(found, one, TREE, what) or found
    assert found is not None
    return found


def actor(id_: str = "li") -> Actor:
    return Actor(id=id_, name=Name(zh=id_, en=id_))


def asked(kind: type[Command], number: int, **fields: Any) -> Any:
    """Return a command."""
    return kind(id=UUID(int=number), actor=fields.pop("by", actor()), at=fields.pop("at", NOW), **fields)


class Hand:
    """A clock that is set by hand."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()

    def go(self, **length: float) -> datetime:
        self.at += timedelta(**length)
        return self.at


ADDRESSES: Mapping[str, Any] = {
    "people": {"li": {"sms": "13800000001"}, "wang": {"sms": "13800000002"}, "zhao": {"sms": "13800000003", "mail": "z@example.org"}}
}
