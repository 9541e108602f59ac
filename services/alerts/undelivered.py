"""Who is told that somebody could not be told: the duty lead, outside and in the app, and the screen of the region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid5
from zoneinfo import ZoneInfo

from schemas.alerting import Alerting
from schemas.base import Name
from schemas.notification import IN_APP, Notification, Result, Why
from services.alerts import desk, overrides
from services.alerts.domain.duty import people_on_duty
from services.alerts.domain.message import NAMESPACE, Message
from services.alerts.reach import Reach
from services.alerts.wording import Words
from services.kit import logs
from services.kit.database import Connection

_log = logs.get(__name__)


class Undelivered:
    """Tells of what did not arrive."""

    def __init__(self, alerting: Alerting, reach: Reach, words: Words, zone: ZoneInfo) -> None:
        self._alerting = alerting
        self._lead = next((team for team in alerting.teams if team.id == alerting.lead), None)
        self._people = {person.id: person.name for person in alerting.people}
        self._reach = reach
        self._words = words
        self._zone = zone

    async def tell(self, connection: Connection, failed: Sequence[tuple[Notification, Message]], channel: str, reason: str, now: datetime) -> None:
        """Write notifications, in the caller's transaction, that others failed for good. Of such a one that fails only the log tells."""
        for one, said in failed:
            _log.error("not_delivered", channel=channel, recipient=one.recipient, alert=str(one.alert), reason=reason, of=one.why.value)
            if one.why is Why.UNDELIVERED:
                continue
            told = replace(said, why=Why.UNDELIVERED, decided_at=now, failed=((self._name(one.recipient), channel, reason),))
            notifications = [self._notification(one, told, *to, now) for to in await self._to(connection, one, now)]
            await desk.keep(connection, notifications, self._reach, now, said=told)

    async def _to(self, connection: Connection, one: Notification, now: datetime) -> list[tuple[str, str]]:
        """Return recipients with a channel each."""
        to = [(f"region/{one.street}", IN_APP)]
        for person in await self._on_duty(connection, now):
            ways = [way for way in self._alerting.lead_channels if (f"person/{person}", way) != (one.recipient, one.channel)]
            to += [(f"person/{person}", way) for way in (IN_APP, *(way for way in ways if self._reach.has(way, person)))]
        return to

    async def _on_duty(self, connection: Connection, now: datetime) -> Iterable[str]:
        if self._lead is None:
            return ()
        standing_in = await overrides.later_than(connection, now, self._lead.id)
        return people_on_duty(self._lead, self._alerting.calendar, standing_in, now, self._zone)

    def _notification(self, of: Notification, told: Message, recipient: str, channel: str, now: datetime) -> Notification:
        result, why_not = self._reach.result(of.origin, recipient, channel)
        return of.model_copy(
            update={
                "id": uuid5(NAMESPACE, f"{of.id}\nundelivered\n{channel}\n{recipient}"),
                "recipient": recipient,
                "channel": channel,
                "why": Why.UNDELIVERED,
                "text": self._words.text(told),
                "result": result,
                "reason": why_not,
                "decided_at": now,
                "told_at": now if result is Result.DELIVERED else None,
                "digest": 1,
            }
        )

    def _name(self, recipient: str) -> Name:
        kind, _, name = recipient.partition("/")
        if kind == "chat":
            return next((channel.name for channel in self._alerting.channels if channel.id == name), Name(zh=name, en=name))
        return self._people.get(name, Name(zh=name, en=name))
