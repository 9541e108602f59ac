"""What others read of people: teams, who is on duty when, addresses; written at the start and when it changes. What has had its time is deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from schemas.alerting import Alerting
from services.alerts import overrides
from services.alerts.contacts import Contacts
from services.alerts.domain.duty import OnDuty, roster
from services.alerts.rows import name_text
from services.kit import database, partitions
from services.kit.clock import Clock
from services.kit.health import Check

EVERY_S = 60.0
BEHIND, AHEAD = timedelta(days=9), timedelta(days=14)
_ALERTS_KEPT = timedelta(days=90)
_NOTIFICATIONS_KEPT = timedelta(days=90)
_COMMANDS_KEPT = timedelta(days=60)
"""Longer than Kafka keeps them: one that comes again is known."""
_ARRIVALS_KEPT = timedelta(days=8)
_MOST = 5_000
"""Rows deleted at once."""

_TURN = "select pg_try_advisory_xact_lock(hashtext('alerts.roster'))"
_PEOPLE = "insert into alerts.people (id, name, contacts) select * from unnest($1::text[], $2::jsonb[], $3::jsonb[])"
_TEAMS = "insert into alerts.teams (id, region, body) select * from unnest($1::text[], $2::text[], $3::jsonb[])"
_ROSTER = """
insert into alerts.roster (team, person, since, until, shift, instead_of)
select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::jsonb[], $6::text[])
"""
_WARNINGS = f"""
delete from alerts.warnings where id in (
    select w.id from alerts.warnings w
    where not w.open and w.changed_at < $1 and not exists (select from alerts.members m where m.warning = w.id) limit {_MOST}
)
"""  # noqa: S608 - a constant of ours
_TIDY = (
    ("delete from alerts.answers where at < $1", None),
    ("delete from alerts.arrivals where minute < $1", _ARRIVALS_KEPT),
    ("delete from alerts.storms where until < $1", _ARRIVALS_KEPT),
    (f"delete from alerts.notifications where id in (select id from alerts.notifications where decided_at < $1 limit {_MOST})", _NOTIFICATIONS_KEPT),  # noqa: S608 - a constant of ours
    (f"delete from alerts.alerts where id in (select id from alerts.alerts where closed_at < $1 limit {_MOST})", _ALERTS_KEPT),  # noqa: S608 - as above
    (_WARNINGS, _ALERTS_KEPT),
    (f"delete from alerts.commands where id in (select id from alerts.commands where decided_at < $1 limit {_MOST})", _COMMANDS_KEPT),  # noqa: S608 - as above
)


class Roster:
    """Keeps what others read of people up to date."""

    def __init__(self, pool: database.Pool, alerting: Alerting, contacts: Contacts, zone: ZoneInfo, clock: Clock, check: Check) -> None:
        self._pool = pool
        self._alerting = alerting
        self._contacts = contacts
        self._zone = zone
        self._clock = clock
        self._check = check
        self._wake = asyncio.Event()
        self._written: object = None

    def wake(self) -> None:
        """Say that somebody was put on duty."""
        self._wake.set()

    async def run(self) -> None:
        """Write and tidy until cancelled; a database that is away is waited for."""
        while True:
            self._wake.clear()
            await database.retrying(self.write, what="write the roster", check=self._check)
            await database.retrying(self.tidy, what="delete what has had its time", check=self._check)
            self._check.ok()
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def write(self) -> None:
        """Write all of it anew where something of it has changed, unless another process of ours is at it."""
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            if not await connection.fetchval(_TURN):
                return
            standing_in = await overrides.later_than(connection, now - BEHIND)
            teams = self._alerting.teams
            spans = [span for one in teams for span in roster(one, self._alerting.calendar, standing_in, now - BEHIND, now + AHEAD, self._zone)]
            if spans == self._written:
                return
            await connection.execute("delete from alerts.people")
            await connection.execute(_PEOPLE, *self._people())
            await connection.execute("delete from alerts.teams")
            await connection.execute(_TEAMS, [one.id for one in teams], [one.region for one in teams], [one.model_dump_json() for one in teams])
            await connection.execute("delete from alerts.roster")
            await connection.execute(_ROSTER, *_arrays(spans))
        self._written = spans

    async def tidy(self) -> None:
        """Delete what has had its time, a part at a time."""
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            await partitions.arm(connection)
            for statement, kept in _TIDY:
                await connection.execute(statement, now - (kept or timedelta(days=self._alerting.keep_days)))

    def _people(self) -> tuple[list[str], list[str], list[str]]:
        people = self._alerting.people
        return (
            [one.id for one in people],
            [name_text(one.name) for one in people],
            [json.dumps(dict(self._contacts.addresses(one.id)), ensure_ascii=False) for one in people],
        )


def _arrays(spans: Sequence[OnDuty]) -> list[list[object]]:
    rows = {(one.team, one.since, one.person): one for one in spans}.values()
    return [
        [one.team for one in rows],
        [one.person for one in rows],
        [one.since for one in rows],
        [one.until for one in rows],
        [None if one.shift is None else name_text(one.shift) for one in rows],
        [one.instead_of for one in rows],
    ]
