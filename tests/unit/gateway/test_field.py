"""An alert on a phone: of it only what is the reader's; and what else of the field needs no server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.access import Grant, Role
from schemas.notification import Notification
from schemas.sensor import Sensor
from schemas.tiers import TIERS
from services.gateway.album import media
from services.gateway.doings import SOMEBODY, impersonal, knows_people, told_of
from services.gateway.domain.access import Principal, Scope
from services.gateway.domain.field import Heard, Member, Reader, Seen, Share, shown, untrailed
from services.gateway.field import OLDEST, clamped, placed
from tests.unit.gateway.city import CITY, NOW, OTHER_STREET, SIBLING, STREET, TREE, name, sensor, warning

ALERT = UUID(int=9)


def member(number: int = 1, **fields: Any) -> Member:
    whole = {
        "id": UUID(int=number),
        "rev": 1,
        "gravity": 3,
        "open": True,
        "text": name(f"text {number}"),
        "place": name("street"),
        "sensor": "s1",
        "street": STREET,
        "department": "d",
        "began_at": NOW,
        "changed_at": NOW,
        "actions": None,
    }
    return Member.model_validate(whole | fields)


def seen(*members: Member) -> Seen:
    fields = {"message": 0, "storm": False, "origin": "real", "opened_at": NOW, "closed_at": None, "unanswered": True}
    return Seen.model_validate({"id": ALERT, "warnings": members, **fields})


def share(street: str = STREET, open_: int = 1, gravity: int = 3) -> Share:
    return Share(ALERT, street, "d", open_, gravity, gravity if open_ else None)


def notification(**fields: Any) -> Notification:
    whole = {
        "id": UUID(int=5),
        "alert": ALERT,
        "message": 2,
        "warning": UUID(int=7),
        "warning_rev": 3,
        "warnings": 12,
        "recipient": "person/li",
        "street": OTHER_STREET,
        "department": "e",
        "channel": "sms",
        "result": "delivered",
        "why": "opened",
        "tier": "red",
        "text": name("told"),
        "origin": "real",
        "decided_at": NOW,
    }
    return Notification.model_validate(whole | fields)


HEARD = Heard(notification(), NOW)


def well(street: str = STREET) -> Sensor:
    return sensor(street=street).model_copy(update={"longitude": 103.8, "latitude": 36.0, "place": name("well 3")})


def test_a_message_is_shown_as_it_was_told_to_who_sees_all_of_its_alert_and_else_the_gravest_warning_is():
    one = seen(member())
    for whole, text in ((True, "told"), (False, "text 1")):
        alert = shown(one, Reader("li", [share()], whole, HEARD), lambda _: None)
        assert (alert.text.en, alert.message, alert.told_at) == (text, 2, NOW)
    given_only = shown(one, Reader("li", [share()], True, None), lambda _: None)
    assert (given_only.text.en, given_only.message, given_only.told_at) == ("text 1", 1, None)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1))
def test_an_alerts_count_and_tier_are_of_the_readers_share(known: list[tuple[int, int]]):
    shares = [share(open_=open_, gravity=gravity) for open_, gravity in known]
    alert = shown(seen(member()), Reader("li", shares, whole=False, heard=None), lambda _: None)
    assert alert.count == sum(open_ for open_, _ in known)
    live = [gravity for open_, gravity in known if open_] or [gravity for _, gravity in known]
    assert alert.tier is TIERS[max(live) - 1]


def test_where_a_sensor_stands_is_shown_unless_it_has_moved_since():
    (there,) = shown(seen(member()), Reader("li", [share()], whole=True, heard=None), lambda _: well()).warnings
    assert (there.longitude, there.latitude, there.place) == (103.8, 36.0, name("well 3"))
    (moved,) = shown(seen(member()), Reader("li", [share()], whole=True, heard=None), lambda _: well(OTHER_STREET)).warnings
    assert (moved.longitude, moved.place) == (None, name("street"))


def test_what_was_given_to_the_reader_is_marked():
    by = {"id": "li", "name": name("li")}
    given_to = {"to": by, "by": {"id": "chief", "name": name("chief")}, "at": NOW}
    done = {"warning": UUID(int=1), "rev": 1, "street": STREET, "department": "d", "command": UUID(int=2), "assigned": given_to}
    for who, mine in (("li", True), ("wang", False)):
        assert shown(seen(member(actions=done)), Reader(who, [share()], whole=True, heard=None), lambda _: None).assigned is mine


def test_who_was_told_of_it_names_no_warning_that_is_anothers():
    mine = warning(1, street=STREET, tier="yellow")
    street = Scope(Principal("street", name("street"), (Grant(role=Role.STREET, region=STREET),)), TREE)
    city = Scope(Principal("city", name("city"), (Grant(role=Role.CITY, region=CITY),)), TREE)
    assert told_of(notification(), mine, city, whole=True) == notification()
    told = told_of(notification(), mine, street, whole=False)
    assert (told.warning, told.street, told.department, told.tier, told.text, told.warnings) == (mine.id, STREET, "d", "yellow", mine.rule_name, 1)
    assert (told.recipient, told.channel, told.result, told.decided_at) == ("person/li", "sms", "delivered", NOW)
    assert told_of(notification(street=SIBLING), mine, street, whole=True).street == STREET


def test_a_message_about_ones_own_warning_is_not_shown_when_it_tells_of_others_too():
    mine = warning(1, street=STREET, tier="yellow")
    street = Scope(Principal("street", name("street"), (Grant(role=Role.STREET, region=STREET),)), TREE)
    gravest = notification(street=STREET, department="d", text=name("1 of mine, 11 of the other street"))
    told = told_of(gravest, mine, street, whole=False)
    assert (told.text, told.warnings, told.tier) == (mine.rule_name, 1, "yellow")
    assert told_of(gravest, mine, street, whole=True) == gravest


def test_who_could_not_be_told_is_said_to_users_who_may_answer_and_to_others_only_that_there_was_somebody():
    failed = notification(recipient=f"region/{STREET}", why="undelivered", text=name("Li Wei, SMS: no answer"), reason="no answer")
    other = impersonal(failed)
    assert (other.text, other.reason, other.id) == (SOMEBODY, None, failed.id)
    assert impersonal(notification()) == notification()
    for role, kind, knows in (("street", "user", True), ("field", "user", True), ("street", "token", False), ("department", "user", False)):
        of = Grant(role=Role(role), region=STREET, departments=frozenset({"d"}))
        who = Principal("somebody", name("somebody"), (of,), "user" if kind == "user" else "token")
        assert knows_people(Scope(who, TREE), STREET, "d") is knows, (role, kind)


def test_without_its_trail_an_alert_still_says_who_answers():
    by = {"id": "li", "name": name("li")}
    entry = {"command": UUID(int=3), "deed": "comment", "outcome": "applied", "by": by, "at": NOW, "note": "the key is under the mat"}
    noted = {"by": by, "at": NOW, "seen_rev": 1, "tier": "orange"}
    done = {"warning": UUID(int=1), "rev": 1, "street": STREET, "department": "d", "command": UUID(int=2), "acknowledged": noted, "trail": [entry]}
    one = untrailed(seen(member(actions=done), member(2)))
    assert "mat" not in one.model_dump_json()
    acted = one.warnings[0].actions
    assert acted is not None
    assert acted.acknowledged is not None
    assert acted.acknowledged.by.id == "li"


@given(st.none() | st.timedeltas(timedelta(days=-30), timedelta(days=30)))
def test_a_phones_clock_is_believed_within_a_week_and_never_ahead(off: timedelta | None):
    at = clamped(None if off is None else NOW + off, NOW)
    assert NOW - OLDEST <= at <= NOW
    if off is not None and -OLDEST <= off <= timedelta(0):
        assert at == NOW + off


times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(times, st.timedeltas(timedelta(0), timedelta(days=6)))
def test_however_wrong_a_phones_clock_is_an_answer_was_given_so_long_ago_as_it_says(clock: datetime, ago: timedelta):
    clock = max(clock, datetime(1, 1, 10, tzinfo=UTC))
    assert placed(clock - ago, clock, None, NOW) == NOW - ago


@given(times, times, st.none() | st.timedeltas(timedelta(days=-30), timedelta(days=30)))
def test_an_answer_is_never_of_the_future_nor_of_before_it_was_asked_for(at: datetime, sent_at: datetime, told: timedelta | None):
    seen_at = None if told is None else NOW + told
    found = placed(at, sent_at, seen_at, NOW)
    assert NOW - OLDEST <= found <= NOW
    assert found >= min(NOW, seen_at or NOW - OLDEST)
    if at >= sent_at:
        assert found == NOW


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_a_photo_is_what_its_first_bytes_say(body: bytes, kind: str | None):
    assert media(body) == kind
