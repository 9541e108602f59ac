"""The composition of the alerts service."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from zoneinfo import ZoneInfo

from schemas.alerting import Alerting
from services.alerts import contacts, policy
from services.alerts.channels import senders
from services.alerts.consumer import AlertsWorker
from services.alerts.contacts import Contacts
from services.alerts.desk import Desk
from services.alerts.gathering import Gathering
from services.alerts.pulse import Pulse
from services.alerts.reach import Reach
from services.alerts.roster import Roster
from services.alerts.sending import Dispatch
from services.alerts.settings import Settings, link_key
from services.alerts.store import ROOM, Store
from services.alerts.undelivered import Undelivered
from services.alerts.wording import Words
from services.kit import city, database, logs, room
from services.kit.clock import Clock
from services.kit.consumer import Subscription, consume
from services.kit.outbox import Relay
from services.kit.topics import COMMANDS, WARNINGS

_log = logs.get(__name__)

MOST_AT_ONCE = 2_000
"""Records of a poll: all of a poll are one transaction, whose length is bounded."""
SELDOM = (50_000, 20, 100)
"""Thresholds of the garbage collector: a look makes many objects at once, few of them in cycles, and warnings that are kept in mind live long. At its
usual pace the collector took a sixth of the work."""
CATCH_UP_S = 30.0
"""Nothing is told after a start while what waited is taken in; not longer than this once that does not go on."""
LONGEST_CATCH_UP_S = 600.0
"""And not longer than this in any case: warnings come faster than they are taken in."""


async def serve(settings: Settings, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """Run until `stop`. A `clock` of its own is for simulations that go faster than the day."""
    gc.set_threshold(*SELDOM)
    place = city.load(settings.city)
    alerting, zone = policy.load(settings.city, place), ZoneInfo(place.city.timezone)
    known = contacts.load(settings.alerts.contacts)
    words, gathering, reach = Words(alerting, zone), Gathering(place.regions, alerting), Reach(alerting, known)
    _warn(alerting, known, reach)
    outside = senders(alerting, known)
    async with room.opened(ROOM, settings, settings.alerts.admin_port, stop) as opened:
        now = clock or opened.clock
        pool, registry = opened.pool, opened.registry
        relay = Relay(pool, opened.producer, ROOM, opened.health.check("outbox", max_age=10), registry)
        pulse = Pulse(pool, opened.clock)
        desk = Desk(
            pool=pool,
            relay=relay,
            tree=place.regions,
            alerting=alerting,
            gathering=gathering,
            words=words,
            reach=reach,
            zone=zone,
            clock=now,
            pulse=pulse,
            check=opened.health.check("desk", max_age=60),
            registry=registry,
        )
        dispatch = Dispatch(
            pool=pool,
            relay=relay,
            alerting=alerting,
            contacts=known,
            senders=outside,
            words=words,
            reach=reach,
            undelivered=Undelivered(alerting, reach, words, zone),
            link_key=link_key(settings.secrets),
            pages_url=settings.alerts.pages_url,
            wakes=desk.sends,
            clock=now,
            pulse=pulse,
            check=opened.health.check("sending", max_age=60),
            registry=registry,
        )
        roster = Roster(pool, alerting, known, zone, now, opened.health.check("roster", max_age=600))
        worker = AlertsWorker(
            Store(pool, place.regions, gathering, now),
            relay,
            opened.progress,
            pulse,
            opened.health.check("writes", max_age=float("inf")),
            registry,
            looked=desk.wake,
            staffed=roster.wake,
        )
        subscription = Subscription(
            bootstrap=settings.kafka,
            group=ROOM,
            topics=[WARNINGS, COMMANDS],
            max_records=MOST_AT_ONCE,
            progress=opened.progress,
            alive=opened.health.check("consumer", max_age=120, vital=True),
            ready=opened.health.check("assignment", max_age=10),
        )
        works = (relay.run(), consume(subscription, worker), _tell(desk, dispatch, worker), roster.run())
        tasks = [opened.tasks.create_task(work) for work in works]
        opened.started.ok()
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _tell(desk: Desk, dispatch: Dispatch, worker: AlertsWorker) -> None:
    """Look and send, once what waited at the start is taken in."""
    if not await _caught_up(worker):
        _log.warning("telling_while_behind", taken=worker.taken)
    await database.retrying(desk.look_at_all, what="have all alerts looked at")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.run())
        tasks.create_task(dispatch.run())


async def _caught_up(worker: AlertsWorker) -> bool:
    """Return once what waited is taken in, or that does not go on; says which."""
    loop = asyncio.get_running_loop()
    until, before = loop.time() + LONGEST_CATCH_UP_S, -1
    while worker.taken > before and loop.time() < until:
        before = worker.taken
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                await worker.caught_up.wait()
                return True
    return False


def _warn(alerting: Alerting, known: Contacts, reach: Reach) -> None:
    """Say before it matters who cannot be told by a channel that an escalation uses, and whom the contacts name that nobody knows."""
    if strangers := known.strangers(alerting):
        _log.warning("contacts_of_strangers", names=list(strangers)[:50])
    members = frozenset[str]().union(*(team.members for team in alerting.teams))
    used = {channel for one in alerting.escalations for plan in one.plans.values() for step in plan.steps for channel in step.channels}
    for channel in sorted(used | set(alerting.lead_channels)):
        if missing := sorted(member for member in members if not reach.has(channel, member)):
            _log.warning("people_without_address", channel=channel, people=missing[:50])
