"""Times, identifiers and texts as others give them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.base import Code, Frozen, Moment, Text
from schemas.rejected import SAID, Problem
from tests.unit.schemas.events import TIMES

MOMENT = TypeAdapter(Moment)
EIGHT = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T08:00:00+08:00", EIGHT),
        ("2026-11-22T08:00:00+0800", EIGHT),
        ("2026-11-22 00:00:00Z", EIGHT),
        ("2026-11-22t00:00:00z", EIGHT),
        ("2026-11-22T00:00:00-00:00", EIGHT),
        ("2026-11-22T23:59:00+23:59", EIGHT),
        ("2026-11-22T00:00:00.5Z", EIGHT + timedelta(milliseconds=500)),
        ("2026-11-22T00:00:00.123456Z", EIGHT + timedelta(microseconds=123_456)),
        ("2026-11-22T00:00:00.123456999Z", EIGHT + timedelta(microseconds=123_456)),
        ("2026-11-22T08:00:00.9999999999+08:00", EIGHT + timedelta(microseconds=999_999)),
    ],
)
def test_rfc_3339_is_read_and_kept_in_utc(text: str, expected: datetime):
    moment = MOMENT.validate_python(text)
    assert moment == expected
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T08:00:00",
        "2026-11-22",
        "2026-11-22T08:00Z",
        "2026-11-22T23:59:60Z",
        "2026-11-22T24:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-22T08:00:00+24:00",
        "2026-11-22T08:00:00+08:60",
        "2026-11-22T08:00:00.Z",
        "2026-11-22T08:00:00,5Z",
        "2026-11-22T08:00:0012Z",
        "2026-11-22T08:00:00 +08:00",
        " 2026-11-22T08:00:00Z",
        "2026-11-22T08:00:00Z\n",
        "20261122T080000Z",
        "２026-11-22T08:00:00Z",
        "2026-11-22T08:00:00−08:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "1790000000",
        "now",
        "",
    ],
)
def test_anything_else_is_refused(text: str):
    with pytest.raises(ValidationError):
        MOMENT.validate_python(text)


@given(TIMES)
def test_what_python_writes_is_read(time: datetime):
    assert MOMENT.validate_python(time.isoformat()) == time


@given(st.text(max_size=40))
def test_no_text_crashes_the_reading_of_a_time(text: str):
    try:
        moment = MOMENT.validate_python(text)
    except ValidationError:
        return
    assert moment.tzinfo is not None


def test_a_time_without_a_zone_is_refused_as_a_value_too():
    with pytest.raises(ValidationError):
        MOMENT.validate_python(EIGHT.replace(tzinfo=None))
    assert MOMENT.validate_python(datetime(2026, 11, 22, tzinfo=timezone(timedelta(hours=8)))).utcoffset() == timedelta(hours=8)


@pytest.mark.parametrize("good", ["a", "620102001", "water.flow.low", "A_b:c-d", "x" * 96])
def test_codes(good: str):
    assert TypeAdapter(Code).validate_python(good) == good


@pytest.mark.parametrize("bad", ["", ".a", "-a", "a b", "a/b", "水", "a\n", "x" * 97, 5, None])
def test_what_is_no_code(bad: object):
    with pytest.raises(ValidationError):
        TypeAdapter(Code).validate_python(bad)


@pytest.mark.parametrize("bad", ["", "a\nb", "\x00", "\x1b[31m", "a\x7f", "x" * 257])
def test_what_is_no_text(bad: str):
    with pytest.raises(ValidationError):
        TypeAdapter(Text).validate_python(bad)


def test_a_misspelt_field_is_told_and_a_value_cannot_be_changed():
    class Thing(Frozen):
        name: Text

    with pytest.raises(ValidationError, match="nmae"):
        Thing.model_validate({"nmae": "x"})
    with pytest.raises(ValidationError, match="frozen"):
        Thing(name="x").name = "y"  # type: ignore[misc]


@given(st.text(), st.text(), st.text())
def test_the_texts_of_a_problem_are_cut(where: str, message: str, hint: str):
    problem = Problem(code="x", where=where * 100, message=message * 100, hint=hint * 100)
    assert max(len(problem.where), len(problem.message), len(problem.hint)) <= SAID
    assert problem.message == message * 100 or problem.message.endswith("…")
