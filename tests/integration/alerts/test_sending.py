"""What leaves the app: once, within its limits, tried again where it failed, and said where it may have come twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from schemas.notification import Notification
from services.alerts.channels import Again, Sending, Taken
from services.kit import links
from tests.integration.alerts.rooms import Room, red
from tests.takers import Fault, Takers
from tests.unit.alerts.policies import SMS, WIDE, alerting
from tests.unit.gateway.city import STREET, warning

PHONE, LEAD = "13800000001", "13800000002"
ONLY_SHOWN = {"id": "standard", "plans": {"red": {"steps": [{"after": 0, "tell": [{"screen": "street"}]}], "answer": False}}}
CONTACTS = {
    "people": {"li": {"sms": PHONE}, "wang": {"sms": LEAD, "voice": LEAD}},
    "channels": {"robot": {"secret": {"token": "t" * 64, "sign": "SEC" + "s" * 61}}},
}


@pytest.fixture(scope="module")
def takers() -> Iterator[Takers]:
    with Takers() as started:
        yield started


@pytest.fixture(autouse=True)
async def empty(pool: asyncpg.Pool, takers: Takers) -> None:
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'alerts'")
    await pool.execute(f"truncate {', '.join(f'alerts.{row[0]}' for row in tables)} cascade")
    takers.clear()


def policy(takers: Takers, **sms: Any) -> Any:
    """Return a policy by which red goes to a street's person by short message and to a robot."""
    request = {
        "url": f"{takers.url}/sms/send",
        "json_body": {"to": "{{ address }}", "text": "{{ text }}", "key": "{{ key }}"},
        "answered": {"path": ["code"], "equals": ["OK"]},
        "key": True,
    }
    steps = [{"after": 0, "tell": [{"role": "field", "level": "street"}, {"chat": "robot"}], "channels": ["sms"]}]
    return alerting(
        escalations=[{"id": "standard", "plans": {"red": {"steps": steps, "repeat": 3600}}}],
        channels=[
            {"id": "sms", "name": WIDE, "kind": "http", "request": request, "timeout": 3, **sms},
            {"id": "voice", "name": WIDE, "kind": "http", "request": request, "timeout": 3},
            {
                "id": "robot",
                "name": WIDE,
                "kind": "apprise",
                "url": "wecombot://{{ secret.token }}",
                "endpoint": takers.url,
                "group": True,
                "timeout": 3,
            },
        ],
        lead_channels=["voice"],
    )


class Slow:
    """A channel that takes its time, by the clock of the test."""

    def __init__(self, room: Room, *delays: float, idempotent: bool = False) -> None:
        self.idempotent = idempotent
        self.taken: list[tuple[datetime, Sending]] = []
        self.first: Callable[[], Awaitable[None]] | None = None
        self._clock = room.clock
        self._delays = list(delays)
        room.dispatch._senders = {"sms": self}

    async def send(self, sending: Sending) -> Taken:
        first, self.first = self.first, None
        if first is not None:
            await first()
        self.taken.append((self._clock.now(), sending))
        self._clock.go(seconds=self._delays.pop(0) if self._delays else 0.2)
        return Taken()

    def fullest(self, length: timedelta) -> int:
        """Return the most that were sent within a length of time."""
        times = [at for at, _ in self.taken]
        return max(sum(at <= other < at + length for other in times) for at in times)


def plain(**sms: Any) -> Any:
    """Return a policy by which each warning is told at once by short message."""
    steps = [{"after": 0, "tell": [{"role": "field", "level": "street"}], "channels": ["sms"]}]
    plans = {tier: {"steps": steps, "answer": False} for tier in ("yellow", "red")}
    return alerting(
        routes={"id": "all", "group_by": ["warning"], "wait": 0, "interval": 10, "urgent": "blue", "escalation": "standard"},
        escalations=[{"id": "standard", "plans": plans}],
        channels=[{"id": "sms", "name": WIDE, "kind": "http", "request": SMS, **sms}],
        lead_channels=[],
    )


def of(takers: Takers, channel: str) -> Counter[str]:
    return Counter(one.address for one in takers.taken_by(channel))


async def test_each_recipient_has_their_own_result_and_a_link(pool: asyncpg.Pool, takers: Takers):
    """Promise 13 (fixmystreet#3168): one of several that fails is not taken for sent."""
    room = Room(pool, policy(takers), contacts=CONTACTS)
    takers.faults["wecom"] = Fault.FAIL
    await room.take(red())
    await room.send()
    assert dict(await room.results("sms")) == {"person/li": "delivered"}
    assert dict(await room.results("robot")) == {"chat/robot": "waiting"}
    (taken,) = takers.taken_by("sms")
    row = await pool.fetchrow("select id, body from alerts.notifications where channel = 'sms'")
    assert row is not None
    assert f"https://tongguan.example.org/#/l/{links.make('k' * 32, row['id'])}" in taken.text
    takers.faults.clear()
    await room.send(seconds=20)
    assert dict(await room.results("robot")) == {"chat/robot": "delivered"}
    assert (of(takers, "sms"), len(takers.taken_by("wecom"))) == ({PHONE: 1}, 1)


@pytest.mark.parametrize("sent", [0, 1])
async def test_killed_between_any_two_steps_it_neither_loses_nor_doubles_where_the_channel_can_tell(pool: asyncpg.Pool, takers: Takers, sent: int):
    """Promise 16: and it says so where the channel cannot."""
    first = Room(pool, policy(takers), contacts=CONTACTS)
    await first.take(red())
    await first.look()
    leased = await first.dispatch._lease()
    assert len(leased) == 2
    for lane in leased if sent else ():
        await first.dispatch._say(lane, lane.parcels[0])
    second = Room(pool, policy(takers), clock=first.clock, contacts=CONTACTS)  # the first is dead
    assert await second.send(seconds=1) == 0  # its lease goes on
    await second.send(seconds=30)
    assert of(takers, "sms") == {PHONE: 1}
    assert dict(await second.results("sms")) == {"person/li": "delivered"}
    assert dict(await second.results("robot")) == {"chat/robot": "uncertain"}
    assert len(takers.taken_by("wecom")) == 1 + sent
    assert "可能重复" in takers.taken_by("wecom")[-1].text
    assert await second.send(minutes=5) == 0


async def test_nobody_is_over_a_flood_limit_and_nothing_is_dropped(pool: asyncpg.Pool, takers: Takers):
    room = Room(pool, policy(takers, flood={"most": 6, "per": 600}), contacts=CONTACTS)
    await room.take(*(red(number) for number in range(1, 41)))
    times = []
    for _ in range(80):
        before = len(takers.taken_by("sms"))
        await room.send(seconds=20)
        times += [room.clock.now()] * (len(takers.taken_by("sms")) - before)
    assert all(sum(at - timedelta(seconds=600) < other <= at for other in times) <= 6 for at in times)
    assert set(await room.results("sms")) == {("person/li", "delivered")}
    digests = [
        Notification.model_validate_json(row[0]).digest for row in await pool.fetch("select body from alerts.notifications where channel = 'sms'")
    ]
    assert (len(digests), max(digests) > 1) == (40, True)


async def test_what_fails_for_good_is_told_to_the_duty_lead(pool: asyncpg.Pool, takers: Takers):
    """Promise 13: an error is not silent after the first."""
    room = Room(pool, policy(takers, give_up=60), contacts=CONTACTS)
    takers.faults["sms"] = Fault.FAIL
    await room.take(red())
    await room.send()
    for _ in range(12):
        await room.send(seconds=15)
    assert dict(await room.results("sms")) == {"person/li": "failed"}
    takers.faults.clear()
    await room.send(minutes=3)
    (told,) = [one for one in takers.taken_by("sms") if one.address == LEAD]
    assert "名" in told.text
    in_app = await pool.fetch("select recipient from alerts.notifications where channel = 'in_app' and body ->> 'why' = 'undelivered'")
    assert {row["recipient"] for row in in_app} == {"person/wang", f"region/{STREET}"}


async def test_a_channel_that_throttles_gets_all_of_it_later(pool: asyncpg.Pool, takers: Takers):
    room = Room(pool, policy(takers), contacts=CONTACTS)
    takers.faults["sms"] = Fault.THROTTLE
    await room.take(red())
    await room.send()
    assert await room.send(seconds=5) <= 1  # it said 7 s
    takers.faults.clear()
    await room.send(seconds=30)
    assert of(takers, "sms") == {PHONE: 1}


async def test_the_limit_holds_on_a_channel_that_is_slow(pool: asyncpg.Pool):
    limit = {"most": 20, "per": 60}
    room = Room(pool, plain(flood=limit, bucket=limit, digest=False))
    slow = Slow(room, *[9.5] * 6)
    await room.take(*(red(number) for number in range(1, 61)))
    while len(slow.taken) < 60:
        await room.send(seconds=0.5)
    assert slow.fullest(timedelta(seconds=60)) <= 20


async def test_several_who_share_a_phone_get_no_more_than_one_may(pool: asyncpg.Pool):
    team = {"id": "street-field", "name": WIDE, "region": STREET, "role": "field", "always": ["li", "wang", "zhao"]}
    shared = alerting(**plain(flood={"most": 12, "per": 600}).model_dump(mode="json", exclude_none=True) | {"teams": [team], "lead": None})
    room = Room(pool, shared, contacts={"people": {one: {"sms": PHONE} for one in ("li", "wang", "zhao")}})
    slow = Slow(room)
    for number in range(1, 61):
        await room.take(red(number))
        await room.send(seconds=10)
    assert {sending.address for _, sending in slow.taken} == {PHONE}
    assert slow.fullest(timedelta(minutes=10)) <= 12
    assert {result for _, result in await room.results("sms")} <= {"delivered", "waiting"}


async def test_who_has_no_address_is_told_to_the_duty_lead(pool: asyncpg.Pool):
    """Promise 13."""
    room = Room(pool, contacts={"people": {"wang": {"sms": LEAD}}})
    Slow(room)
    await room.take(red())
    await room.send()
    await room.send(seconds=1)
    told = await pool.fetch("select recipient, channel from alerts.notifications where body ->> 'why' = 'undelivered' order by 1, 2")
    assert [tuple(row) for row in told] == [("person/wang", "in_app"), ("person/wang", "sms"), (f"region/{STREET}", "in_app")]
    assert dict(await room.results("sms")) == {"person/li": "failed", "person/wang": "delivered"}


async def test_that_a_test_failed_leaves_the_app_for_nobody_but_those_who_are_there_for_tests(pool: asyncpg.Pool, takers: Takers):
    exercise = policy(takers, give_up=60).model_copy(update={"tests": frozenset({"li"})})
    room = Room(pool, exercise, contacts=CONTACTS)
    takers.faults["sms"] = Fault.FAIL
    await room.take(red(origin="exercise"))
    for _ in range(13):
        await room.send(seconds=15)
    takers.faults.clear()
    await room.send(minutes=3)
    assert takers.taken_by("sms") == []
    assert await room.results("voice") == [("person/wang", "withheld")]


async def test_the_lead_hears_in_time_of_a_channel_that_asks_for_an_hour(pool: asyncpg.Pool):
    room = Room(pool, plain(give_up=600))

    class Throttles:
        idempotent = True

        async def send(self, sending: Sending) -> Again:
            return Again("throttled", 3_600.0)

    room.dispatch._senders = {"sms": Throttles()}
    await room.take(red())
    began = room.clock.now()
    while dict(await room.results("sms")) != {"person/li": "failed"}:
        await room.send(seconds=10)
    assert room.clock.now() - began <= timedelta(minutes=11)


async def test_what_waits_for_a_channel_that_is_gone_fails_and_the_lead_hears_of_it(pool: asyncpg.Pool):
    room = Room(pool, plain())
    await room.take(red())
    await room.look()
    text = {"id": "text", "name": WIDE, "kind": "http", "request": SMS}
    after = Room(pool, alerting(channels=[text], escalations=[ONLY_SHOWN], lead_channels=[]), clock=room.clock)
    for _ in range(12):
        await after.send(minutes=2)
    assert dict(await after.results("sms")) == {"person/li": "failed"}
    assert await pool.fetchval("select count(*) from alerts.notifications where recipient = 'person/wang' and body ->> 'why' = 'undelivered'") == 1


async def test_a_group_that_is_gone_stops_nobody_and_whatever_waits_for_what_is_gone_fails(pool: asyncpg.Pool, takers: Takers):
    room = Room(pool, policy(takers), contacts=CONTACTS)
    for first in range(1, 301, 100):
        await room.take(*(red(number) for number in range(first, first + 100)))
    await room.look()
    after = Room(
        pool,
        alerting(escalations=[ONLY_SHOWN], lead_channels=[], channels=[{"id": "text", "name": WIDE, "kind": "http", "request": SMS}]),
        clock=room.clock,
    )
    for _ in range(12):
        await after.send(minutes=2)
    rows = await pool.fetch("select channel, state, count(*) from alerts.notifications where lane is not null group by 1, 2 order by 1")
    assert [tuple(row) for row in rows] == [("robot", "failed", 300), ("sms", "failed", 300)]


async def test_who_gets_a_number_of_their_own_gets_what_waits_for_them(pool: asyncpg.Pool):
    team = {"id": "street-field", "name": WIDE, "region": STREET, "role": "field", "always": ["li", "wang"]}
    shared = alerting(**plain(flood={"most": 1, "per": 600}).model_dump(mode="json", exclude_none=True) | {"teams": [team], "lead": None})
    room = Room(pool, shared, contacts={"people": {"li": {"sms": PHONE}, "wang": {"sms": PHONE}}})
    await room.take(red())
    await room.look()
    after = Room(pool, shared, clock=room.clock, contacts={"people": {"li": {"sms": PHONE}, "wang": {"sms": LEAD}}})
    slow = Slow(after)
    for _ in range(4):
        await after.send(minutes=11)
    assert Counter(sending.address for _, sending in slow.taken) == {PHONE: 1, LEAD: 1}


async def test_two_who_share_a_phone_read_of_an_alert_once(pool: asyncpg.Pool):
    team = {"id": "street-field", "name": WIDE, "region": STREET, "role": "field", "always": ["li", "wang"]}
    shared = alerting(**plain(flood={"most": 1, "per": 600}).model_dump(mode="json", exclude_none=True) | {"teams": [team], "lead": None})
    room = Room(pool, shared, contacts={"people": {"li": {"sms": PHONE}, "wang": {"sms": PHONE}}})
    slow = Slow(room)
    await room.take(red())
    for _ in range(3):
        await room.send(minutes=11)
    ((_, told),) = slow.taken
    assert "条通知" not in told.text
    assert set(await room.results("sms")) == {("person/li", "delivered"), ("person/wang", "delivered")}


async def test_who_can_be_told_one_way_is_not_told_to_the_lead_for_the_other(pool: asyncpg.Pool):
    steps = [{"after": 0, "tell": [{"role": "field", "level": "street"}], "channels": ["sms", "voice"]}]
    both = [{"id": one, "name": WIDE, "kind": "http", "request": SMS} for one in ("sms", "voice")]
    room = Room(pool, alerting(escalations=[{"id": "standard", "plans": {"red": {"steps": steps}}}], channels=both), contacts=CONTACTS)
    Slow(room)
    await room.take(red())
    await room.send()
    assert await room.results("voice") == []
    assert await room.results("sms") == [("person/li", "delivered")]


async def test_what_was_left_unsent_has_its_whole_time_when_it_is_tried(pool: asyncpg.Pool):
    room = Room(pool, plain(give_up=600))
    await room.take(red())
    await room.look()
    (lane,) = await room.dispatch._lease()
    room.dispatch._busy.clear()
    room.clock.go(minutes=40)
    await room.dispatch._leave(lane.parcels)
    await room.dispatch._release(lane)

    class Busy:
        idempotent = True

        async def send(self, sending: Sending) -> Again:
            return Again("busy")

    room.dispatch._senders = {"sms": Busy()}
    await room.dispatch.turn()
    assert await room.results("sms") == [("person/li", "waiting")]


async def test_red_does_not_wait_for_what_its_lane_was_busy_with(pool: asyncpg.Pool):
    room = Room(pool, plain(digest=False, flood={"most": 12, "per": 600}))
    slow = Slow(room)

    async def meanwhile() -> None:
        await room.take(red(99))
        await room.look()

    slow.first = meanwhile
    await room.take(*(warning(number, tier="yellow", subject=f"s{number}/flow") for number in range(1, 9)))
    await room.look()
    for _ in range(4):
        await room.send(seconds=1)
    assert any("红色" in sending.text for _, sending in slow.taken)


async def test_who_comes_after_the_database_was_away_sends_once(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch):
    room = Room(pool, plain())
    other = Room(pool, plain(), clock=room.clock)
    slow, late = Slow(room), Slow(other)
    await room.take(*(red(number) for number in range(1, 4)))
    await room.look()
    write, away = room.dispatch._write, [True]

    async def when_it_is_back(*given: Any) -> None:
        if away.pop() if away else False:
            room.clock.go(minutes=2)
            await other.dispatch.turn()
        await write(*given)

    monkeypatch.setattr(room.dispatch, "_write", when_it_is_back)
    await room.dispatch.turn()
    sent = [sending.key for _, sending in (*slow.taken, *late.taken)]
    assert len(slow.taken) == 1
    assert Counter(sent).most_common(1)[0][1] <= 2, "only what was under way may come again"
    assert all("可能重复" in sending.text for _, sending in late.taken)
    assert len(late.taken) == 3
