"""A warning as messages of CAP 1.2: each fits the standard, says what the warning is, and refers to those before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import Domain, Name, Origin
from schemas.city import City, Department
from schemas.identifier import identifier
from schemas.tiers import Tier
from schemas.warning import Change, Warning  # noqa: A004 - the field's own word
from services.gateway.cap import Issuer, message
from tests.unit.gateway.cap_rules import problems, text, texts
from tests.unit.gateway.city import CITY, DISTRICT, NOW, STREET, TREE, name, warning
from tests.unit.schemas.events import TEXTS

ZONE = ZoneInfo("Asia/Shanghai")
PLACE = City(code=CITY, name=name("试验市"), timezone="Asia/Shanghai", departments=(Department(id="d", name=Name(zh="供水", en="Water")),))
ISSUER = Issuer(PLACE, TREE, ZONE)


def made(*revisions: Warning, issuer: Issuer = ISSUER) -> ET.Element:
    told = message(revisions, issuer)
    assert problems(told) == []
    return ET.fromstring(told)


def later(rev: int, **fields: Any) -> Warning:
    return warning(1, rev, changed_at=NOW + timedelta(minutes=rev), **fields)


def test_the_first_is_an_alert_and_refers_to_nothing():
    root = made(warning())
    assert (text(root, "msgType"), text(root, "status"), text(root, "sent")) == ("Alert", "Actual", "2026-11-22T16:00:00+08:00")
    assert text(root, "identifier") == "99010000000000_20261122160000_000000001.1"
    assert text(root, "incidents") == "99010000000000_20261122160000_000000001"
    assert texts(root, "references") == []
    assert texts(root, "info/language") == ["zh-CN", "en-US"]
    assert texts(root, "info/senderName") == ["供水", "Water"]
    assert texts(root, "info/area/areaDesc") == [f"{CITY}{DISTRICT}{STREET}", f"{STREET}, {DISTRICT}, {CITY}"]
    assert set(texts(root, "info/area/geocode/value")) == {STREET}


def test_a_rise_updates_and_refers_to_all_before_by_what_they_were_called():
    revisions = [warning(), later(2, tier="orange", change="raised"), later(3, tier="red", change="raised")]
    roots = [made(*revisions[:count]) for count in (1, 2, 3)]
    assert [text(root, "msgType") for root in roots] == ["Alert", "Update", "Update"]
    called = [f"{text(root, 'sender')},{text(root, 'identifier')},{text(root, 'sent')}" for root in roots]
    assert len(set(called)) == 3
    assert text(roots[2], "references") == " ".join(called[:2])
    assert {text(root, "incidents") for root in roots} == {text(roots[0], "incidents")}
    assert texts(roots[2], "info/severity") == ["Extreme", "Extreme"]


@pytest.mark.parametrize(
    ("change", "response", "certainty", "headline"),
    [
        ("recovered", "AllClear", "Observed", "Over: blue warning: r1, s1"),
        ("retracted", "None", "Unlikely", "Retracted: blue warning: r1, s1"),
        ("merged", "None", "Observed", "Merged: blue warning: r1, s1"),
        ("rule_changed", "None", "Observed", "Over: blue warning: r1, s1"),
        ("sensor_moved", "None", "Observed", "Over: blue warning: r1, s1"),
    ],
)
def test_whatever_ends_it_cancels_it(change: str, response: str, certainty: str, headline: str):
    into = UUID(int=7) if change == "merged" else None
    root = made(warning(), later(2, state="cleared", change=change, merged_into=into))
    assert text(root, "msgType") == "Cancel"
    assert texts(root, "info/urgency") == ["Past", "Past"]
    assert texts(root, "info/responseType")[0] == response
    assert texts(root, "info/certainty")[0] == certainty
    assert texts(root, "info/headline")[1] == headline
    assert (str(UUID(int=7)) in texts(root, "info/parameter/value")) is (change == "merged")


@pytest.mark.parametrize(("origin", "status"), [("real", "Actual"), ("exercise", "Exercise"), ("simulated", "Test"), ("replayed", "Test")])
def test_what_is_not_real_says_so(origin: str, status: str):
    root = made(warning(origin=origin))
    assert text(root, "status") == status
    assert bool(texts(root, "note")) is (origin != "real")


def test_sent_never_goes_back_though_late_data_change_an_earlier_time():
    revised = warning(1, 3, changed_at=NOW - timedelta(minutes=5), change="revised")
    root = made(warning(), later(2, tier="red", change="raised"), revised)
    assert text(root, "sent") == "2026-11-22T16:02:00+08:00"


def test_a_flood_of_revisions_refers_to_the_first_and_the_newest():
    root = made(*(later(rev) for rev in range(1, 400)))
    references = text(root, "references").split()
    assert len(references) == 100
    assert [one.split(",")[1].rpartition(".")[2] for one in references[:2]] == ["1", "300"]


def test_times_never_end_in_z():
    assert text(made(warning(), issuer=Issuer(PLACE, TREE, UTC)), "sent") == "2026-11-22T08:00:00-00:00"
    old = datetime(1890, 1, 1, tzinfo=UTC)  # Shanghai's own time then differed by seconds
    assert text(made(warning(changed_at=old, began_at=old)), "sent") == "1890-01-01T08:06:00+08:06"


@given(
    TEXTS,
    TEXTS,
    TEXTS,
    st.sampled_from(Tier),
    st.sampled_from(Change),
    st.sampled_from(Domain),
    st.sampled_from(Origin),
    st.sampled_from(["open", "cleared"]),
    st.integers(1, 3),
)
def test_whatever_a_warning_says_its_messages_fit(zh, en, unit, tier, change, domain, origin, state, rev):
    one = warning(
        rev=rev, tier=tier, change=change, domain=domain, origin=origin, state=state, rule_name=Name(zh=zh, en=en), sensor_name=Name(zh=en, en=zh)
    )
    one = one.model_copy(update={"evidence": one.evidence.model_copy(update={"unit": unit, "standard": Name(zh=zh, en=en)})})
    revisions = [*(warning(rev=earlier) for earlier in range(1, rev)), one]
    told = message(revisions, ISSUER)
    if state == "cleared" and rev == 1:
        return  # an episode is opened before it is over
    wrong = [problem for problem in problems(told) if "is empty" not in problem]
    assert wrong == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("<status>Actual", "<status>Real", "is no word"),
        ("+08:00</sent>", "Z</sent>", "has not its form"),
        ("<scope>Restricted</scope>", "<scope>Public</scope>", "restriction stands"),
        ("<scope>Restricted</scope>", "", "0 of scope"),
        ("<msgType>Alert", "<msgType>Update", "refers to nothing"),
        ("<incidents>", "<info/><incidents>", "out of order"),
        ("<sender>urn", "<sender>the urn", "has not its form"),
        ("<category>Infra</category>", "", "0 of category"),
        ("<alert ", "<alert id='1' ", "no attributes"),
    ],
)
def test_the_rules_find_what_is_wrong(before: str, after: str, said: str):
    told = message([warning()], ISSUER).decode()
    assert before in told
    broken = told.replace(before, after, 1)
    assert any(said in problem for problem in [*_problems(broken), ""]), broken


def _problems(told: str) -> list[str]:
    try:
        return problems(told.encode())
    except AssertionError as error:
        return [f"0 of {error}"]


# The identifier


def test_the_identifier_is_of_the_division_the_agency_the_time_and_the_warning():
    agency = PLACE.model_copy(update={"departments": (Department(id="d", name=name("d"), agency="123", unit="045"),)})
    assert identifier(warning(12_345_678_901), agency, ZONE) == "99010012304500_20261122160000_345678901"
    assert identifier(warning(street="S-1"), PLACE, ZONE).startswith(f"{CITY}00000000_")
    assert identifier(warning(street=CITY, department="unknown"), PLACE, ZONE).startswith(f"{CITY}00000000_")
    letters = PLACE.model_copy(update={"code": "LZ"})
    assert identifier(warning(street="S-1"), letters, ZONE).startswith("00000000000000_")


def test_two_warnings_of_one_second_differ():
    assert identifier(warning(1), PLACE, ZONE) != identifier(warning(2), PLACE, ZONE)


@given(st.uuids(), st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - naive bounds are what it takes
def test_an_identifier_has_the_standard_s_form(id_: UUID, began: datetime):
    one = warning(began_at=began).model_copy(update={"id": id_})
    made_of = identifier(one, PLACE, ZONE)
    division, time, number = made_of.split("_")
    assert (len(division), len(time), len(number)) == (14, 14, 9)
    assert (division + time + number).isdecimal()
    assert datetime.strptime(time, "%Y%m%d%H%M%S").replace(tzinfo=ZONE) == began.replace(microsecond=0)
