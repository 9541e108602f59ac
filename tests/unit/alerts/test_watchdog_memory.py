"""What the watchdog remembers over a restart, whom it tells, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog
from prometheus_client import CollectorRegistry

from schemas.alerting import Alerting
from schemas.base import Name
from services.alerts.channels import Again, Receipt, Sending, Taken
from services.alerts.contacts import Contacts
from services.alerts.domain.duty import Override
from services.alerts.domain.flood import Level
from services.alerts.domain.watching import Cause, Outage
from services.alerts.watchdog import Lead, Memory, News, Remembered, Teller
from services.kit.clock import SystemClock

AT = datetime(2026, 5, 3, 6, tzinfo=UTC)
OUTAGE = Outage(AT, Cause.BLIND, 2, AT)
NEWS = News(OUTAGE)
ENDED = News(OUTAGE, AT, frozenset({"wang/sms", "li/mail"}), frozenset({"wang", "li"}), frozenset({"li/sms"}))
LEVELS = {"wang/sms": Level(5.0, AT), "li/mail": Level(0.0, AT)}
REPETITION = "可能重复"


@pytest.mark.parametrize("remembered", [Remembered(NEWS), Remembered(ENDED, LEVELS), Remembered(None, LEVELS), Remembered()])
def test_what_is_kept_is_what_is_recalled(tmp_path: Path, remembered: Remembered):
    memory = Memory(tmp_path / "watchdog.json")
    memory.keep(remembered)
    assert memory.recall() == remembered


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\x00",
        '{"news": null, "levels": 1}',
        '{"news": 1, "levels": {}}',
        '{"news": {"outage": 1}, "levels": {}}',
        '{"news": {"outage": {"began": "2026-05-03"}, "ended_at": null}, "levels": {}}',
    ],
)
def test_a_file_that_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, text: str):
    file = tmp_path / "watchdog.json"
    file.write_text(text)
    with structlog.testing.capture_logs() as lines:
        assert Memory(file).recall() == Remembered()
    assert [line["event"] for line in lines] == ["state_unreadable"]


def test_a_folder_that_cannot_be_written_to_is_told_and_stops_nothing(tmp_path: Path):
    with structlog.testing.capture_logs() as lines:
        Memory(tmp_path / "nowhere" / "watchdog.json").keep(Remembered(NEWS))
    assert [line["event"] for line in lines] == ["state_unwritable"]


# Who is told, and what


@dataclass
class Channel:
    """A channel that keeps what came, and answers as it is told, or not at all."""

    idempotent: bool = False
    receipt: Receipt | None = field(default_factory=Taken)
    came: list[Sending] = field(default_factory=list)

    async def send(self, sending: Sending) -> Receipt:
        self.came.append(sending)
        while self.receipt is None:
            await asyncio.sleep(3_600)
        return self.receipt


@dataclass
class HandClock:
    """A clock that is set by hand."""

    at: datetime = AT

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


def lead(channel: Channel, *, flood: dict[str, Any] | None = None, team: dict[str, Any] | None = None) -> Lead:
    """Wang is always on duty, unless the team is another; Wang and Li have addresses, Chen has none."""
    people = [{"id": one, "name": {"zh": one, "en": one}} for one in ("wang", "li", "chen")]
    mail = {"id": "mail", "name": {"zh": "邮件", "en": "mail"}, "kind": "apprise", "url": "mailto://127.0.0.1"} | ({"flood": flood} if flood else {})
    staffed = {"id": "lead", "name": {"zh": "值班长", "en": "Lead"}, "region": "99", "role": "lead"} | (team or {"always": ["wang"]})
    alerting = Alerting.model_validate(
        {
            "routes": {"id": "all", "group_by": ["warning"], "wait": 0, "interval": 60, "escalation": "screens"},
            "escalations": [{"id": "screens", "plans": {"red": {"steps": [{"after": 0, "tell": [{"screen": "city"}]}]}}}],
            "people": people,
            "teams": [staffed],
            "channels": [mail],
            "lead": "lead",
            "lead_channels": ["mail"],
        }
    )
    contacts = Contacts.model_validate({"people": {one: {"mail": f"{one}@example.org"} for one in ("wang", "li")}})
    return Lead(alerting, contacts, {"mail": channel}, Name(zh="试验市", en="Test"), ZoneInfo("Asia/Shanghai"))


@asynccontextmanager
async def teller(told: Lead, file: Path, clock: HandClock | None = None) -> AsyncIterator[Teller]:
    """On leaving it is cut off."""
    async with asyncio.TaskGroup() as tasks:
        one = Teller(told, Memory(file), tasks, clock or SystemClock(), CollectorRegistry())
        yield one
        one.stop()


async def settled() -> None:
    """Let what can be done now be done."""
    for _ in range(10):
        await asyncio.sleep(0)


def outage(number: int) -> News:
    """Return one of many outages."""
    began = AT + number * timedelta(minutes=1)
    return News(Outage(began, Cause.SILENT, 1, began))


async def cut_off(file: Path, channel: Channel) -> None:
    """Tell an outage, and be cut off while or after it is sent."""
    async with teller(lead(channel), file) as first:
        first.tell(outage(0), ["wang"])
        await settled()
    assert [REPETITION in one.text for one in channel.came] == [False]


async def told_next(file: Path, channel: Channel) -> list[bool]:
    """Return, of each message that a successor sends, whether it says that it may be a repetition."""
    async with teller(lead(channel), file) as second:
        if second.recalled is not None:
            second.tell(second.recalled, ["wang"])
        await settled()
    return [REPETITION in one.text for one in channel.came]


async def test_what_was_being_sent_when_it_was_cut_off_is_told_as_a_maybe_repetition(tmp_path: Path):
    await cut_off(tmp_path / "state", Channel(receipt=None))
    assert await told_next(tmp_path / "state", Channel()) == [True]


async def test_a_channel_that_knows_repetitions_is_told_the_same_again(tmp_path: Path):
    before, after = Channel(receipt=None, idempotent=True), Channel(idempotent=True)
    await cut_off(tmp_path / "state", before)
    assert await told_next(tmp_path / "state", after) == [False]
    assert before.came == after.came


async def test_what_was_taken_before_it_was_cut_off_is_not_told_again(tmp_path: Path):
    await cut_off(tmp_path / "state", Channel())
    assert await told_next(tmp_path / "state", Channel()) == []


@pytest.mark.parametrize("maybe", [False, True])
async def test_what_may_have_been_taken_before_is_told_as_that_and_what_was_not_is_not(tmp_path: Path, maybe):
    await cut_off(tmp_path / "state", Channel(receipt=Again("failing", maybe=maybe)))
    assert await told_next(tmp_path / "state", Channel()) == [maybe]


async def test_a_platform_that_comes_and_goes_tells_nobody_more_than_the_flood_limit_even_over_restarts(tmp_path: Path):
    channel, clock, told = Channel(), HandClock(), list[datetime]()
    for turn in range(60):
        async with teller(lead(channel), tmp_path / "state", clock) as one:
            for end in (None, clock.at):
                one.tell(News(outage(turn).outage, ended_at=end), ["wang"])
                await settled()
                told += [clock.at] * (len(channel.came) - len(told))
                clock.at += timedelta(seconds=42)
    windows = [sum(begin <= at < begin + timedelta(minutes=10) for at in told) for begin in told]
    assert max(windows) == 12
    assert len(told) > 40, "it goes on to tell"


async def test_the_newest_word_takes_the_place_of_what_the_flood_limit_holds_back(tmp_path: Path):
    channel = Channel()
    async with teller(lead(channel, flood={"most": 1, "per": 0.2}), tmp_path / "state") as one:
        for number in range(3):
            one.tell(outage(number), ["wang"])
            await settled()
        assert len(channel.came) == 1
        async with asyncio.timeout(10):
            while len(channel.came) < 2:
                await asyncio.sleep(0.01)
        assert [sending.key for sending in channel.came] == [outage(number).key("wang/mail") for number in (0, 2)]


async def test_a_message_that_was_surely_not_taken_counts_once_however_often_it_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.alerts.watchdog.FIRST_WAIT_S", 0.0)
    channel = Channel(receipt=Again("unreachable"))
    async with teller(lead(channel, flood={"most": 1, "per": 3_600}), tmp_path / "state") as one:
        one.tell(outage(0), ["wang"])
        await settled()
        assert len(channel.came) > 2
        channel.receipt = Again("timed out", maybe=True)
        await settled()
        sent = len(channel.came)
        await settled()
        assert len(channel.came) == sent, "one that may have been taken is one more"


SHIFT = {
    "begins": "2026-05-01",
    "days": "all",
    "turn": "day",
    "shifts": [{"name": {"zh": "白班", "en": "day"}, "since": "09:00", "until": "10:00"}],
    "crews": [["wang"], ["li"]],
}


def test_when_nobody_is_on_duty_the_whole_team_is_told():
    told = lead(Channel(), team={"rotations": [SHIFT]})
    assert told.on_call((), datetime(2026, 5, 3, 1, 30, tzinfo=UTC)) == ["wang"]
    assert told.on_call((), datetime(2026, 5, 3, 6, tzinfo=UTC)) == ["li", "wang"]


def test_when_nobody_on_duty_can_be_told_the_whole_team_is():
    told = lead(Channel())
    away = Override("lead", "chen", "wang", AT - timedelta(hours=1), AT + timedelta(hours=1))
    assert told.on_call((), AT) == told.on_call((away,), AT) == ["wang"]
    assert [person for person, _ in told.ways(told.on_call((away,), AT))] == ["wang"]
