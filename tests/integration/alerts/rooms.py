"""Alerts without Kafka, by a clock that is set by hand: polls are given, the desk looks and the dispatch sends when they are asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from schemas.alerting import Alerting
from schemas.notification import Notification
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.channels import senders
from services.alerts.contacts import Contacts
from services.alerts.desk import Desk
from services.alerts.gathering import Gathering
from services.alerts.pulse import Pulse
from services.alerts.reach import Reach
from services.alerts.sending import Dispatch
from services.alerts.store import Polled, Store
from services.alerts.undelivered import Undelivered
from services.alerts.wording import Words
from services.kit.health import Health
from services.kit.topics import WARNINGS
from tests.unit.alerts.policies import ADDRESSES, Hand, alerting
from tests.unit.gateway.city import TREE, warning

W = TopicPartition(WARNINGS, 0)
ZONE = ZoneInfo("Asia/Shanghai")


class NoRelay:
    """Publishes nothing: what waits is looked at in the outbox."""

    def wake(self) -> None:
        """Do nothing."""


class Room:
    """One process of alerts; several may share a database and a clock."""

    def __init__(
        self, pool: asyncpg.Pool, policy: Alerting | None = None, *, clock: Hand | None = None, contacts: Mapping[str, Any] = ADDRESSES
    ) -> None:
        self.pool = pool
        self.clock = clock or Hand()
        policy, known = policy or alerting(), Contacts.model_validate(contacts)
        gathering, words, reach = Gathering(TREE, policy), Words(policy, ZONE), Reach(policy, known)
        check, registry, relay = Health(self.clock).check("desk", max_age=60), CollectorRegistry(), NoRelay()
        pulse = Pulse(pool, self.clock)
        self.store = Store(pool, TREE, gathering, self.clock)
        self.desk = Desk(
            pool=pool,
            relay=relay,  # type: ignore[arg-type]
            tree=TREE,
            alerting=policy,
            gathering=gathering,
            words=words,
            reach=reach,
            zone=ZONE,
            clock=self.clock,
            pulse=pulse,
            check=check,
            registry=registry,
        )
        self.dispatch = Dispatch(
            pool=pool,
            relay=relay,  # type: ignore[arg-type]
            alerting=policy,
            contacts=known,
            senders=senders(policy, known),
            words=words,
            reach=reach,
            undelivered=Undelivered(policy, reach, words, ZONE),
            link_key="k" * 32,
            pages_url="https://tongguan.example.org",
            wakes=asyncio.Event(),
            clock=self.clock,
            pulse=pulse,
            check=check,
            registry=registry,
        )
        self._offset = 0
        self._claims: Any = None
        self._seen: set[UUID] = set()

    async def take(self, *warnings: Warning, commands: Any = ()) -> None:
        """Take a poll in."""
        self._claims = self._claims or await self.store.take([W])
        self._offset += 1
        await self.store.commit(self._claims, {W: self._offset}, Polled(warnings, commands))

    async def look(self) -> None:
        """Look until nothing is due."""
        while await self.desk.turn():
            pass

    async def told(self) -> list[tuple[str, str, str, int, str]]:
        """Look, and return what was told since the last call: (recipient, channel, why, how many warnings, result)."""
        await self.look()
        rows = await self.pool.fetch("select body from alerts.notifications order by decided_at, message, recipient, channel")
        new = [one for row in rows if (one := Notification.model_validate_json(row["body"])).id not in self._seen]
        self._seen |= {one.id for one in new}
        return [(one.recipient, one.channel, one.why.value, one.warnings, one.result.value) for one in new]

    async def people(self, **length: float) -> list[tuple[str, str]]:
        """Go on in time and return who was told in the app and why."""
        self.clock.go(**length)
        return [(recipient, why) for recipient, channel, why, _, _ in await self.told() if channel == "in_app"]

    async def send(self, **length: float) -> int:
        """Go on in time, look and send; returns how many messages went out."""
        self.clock.go(**length)
        await self.look()
        return await self.dispatch.turn()

    async def results(self, channel: str) -> list[tuple[str, str]]:
        """Return (recipient, result) of all notifications of a channel, in order."""
        rows = await self.pool.fetch("select body from alerts.notifications where channel = $1 order by decided_at, id", channel)
        return [(one.recipient, one.result.value) for one in (Notification.model_validate_json(row["body"]) for row in rows)]


def red(number: int = 1, rev: int = 1, **fields: Any) -> Warning:
    return warning(number, rev, tier="red", peak="red", subject=f"s{number}/flow", **fields)
