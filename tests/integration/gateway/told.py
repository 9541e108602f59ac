"""What alerts keeps, written as alerts would: warnings, alerts of them, and who was told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import asyncpg.pool

from schemas.tiers import TIERS
from schemas.warning import Warning  # noqa: A004 - the field's own word
from tests.unit.gateway.city import name

Database = asyncpg.Pool | asyncpg.pool.PoolConnectionProxy

_WARNING = """
insert into alerts.warnings (
    id, rev, street, department, domain, rule, subject, sensor, origin, tags, open, gravity, raised_rev, reached, began_at, changed_at, text,
    acked_gravity, acked_rev, done, cleared_gravity
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{}', $10, $11, 1, '{1,1,1,1}', $12, $13, $14, 0, 0, false, 0)
"""
_ALERT = """
insert into alerts.alerts (id, key, route, escalation, region, origin, opened_at, hold_until, gravity, peak, message, unanswered, state)
values ($1, $2, 'r', 'e', $3, 'real', $4, $4, $5, $5, 1, true, '{}')
"""
_NOTIFICATION = """
insert into alerts.notifications (id, alert, message, warning, recipient, street, department, channel, gravity, decided_at, state, body)
values ($1, $2, 1, $3, $4, $5, $6, $7, 3, $8, 'delivered', $9)
"""


async def keep_warning(database: Database, one: Warning, text: str) -> None:
    """Have alerts know a warning."""
    whose = (one.id, one.rev, one.street, one.department, one.domain.value, one.rule, one.subject, one.sensor, one.origin.value)
    how = (one.state.value == "open", one.tier.gravity, one.began_at, one.changed_at, name(text).model_dump_json())
    await database.execute(_WARNING, *whose, *how)


async def keep_alert(database: Database, id_: UUID, region: str, members: Sequence[Warning], at: datetime) -> None:
    """Have an alert of some warnings, told once."""
    await database.execute(_ALERT, id_, str(id_), region, at, max(one.tier.gravity for one in members))
    for one in members:
        await join(database, id_, one.id)


async def join(database: Database, alert: UUID, warning: UUID, message: int = 1) -> None:
    """Have another warning in an alert, which told of it by a message; 0: by none yet."""
    member = "insert into alerts.members (alert, warning, told, told_rev, told_message, first_message) values ($1, $2, 3, 1, $3, $3)"
    await database.execute(member, alert, warning, message)


async def notify(
    database: Database, alert: UUID, recipient: str, about: Warning, text: str, *, channel: str = "in_app", at: datetime, why: str = "opened"
) -> UUID:
    """Have somebody told of an alert whose gravest warning is `about`; returns the notification's id."""
    id_ = uuid5(alert, recipient + channel + why)
    body: dict[str, Any] = {
        "id": str(id_),
        "alert": str(alert),
        "message": 1,
        "warning": str(about.id),
        "warning_rev": about.rev,
        "warnings": 1,
        "recipient": recipient,
        "street": about.street,
        "department": about.department,
        "channel": channel,
        "result": "delivered",
        "why": why,
        "tier": TIERS[about.tier.gravity - 1].value,
        "text": name(text).model_dump(),
        "origin": "real",
        "decided_at": at.isoformat(),
    }
    await database.execute(_NOTIFICATION, id_, alert, about.id, recipient, about.street, about.department, channel, at, json.dumps(body))
    return id_
