"""History's pure parts: which observation of a poll is written, and how."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from services.history.store import Logged, _columns, newest

END = 1_760_000_000_000_000


def observation(
    sensor: str = "s1",
    *,
    end: int = END,
    period: int = 0,
    statistic: str = "instant",
    values: dict[str, float] | None = None,
    quality: dict[str, str] | None = None,
) -> wire.Observation:
    return wire.Observation(
        id=f"{sensor}-{end}",
        source="/departments/d",
        department="d",
        sensor=sensor,
        street="990100001",
        domain="water",
        start=end - period,
        end=end,
        statistic=statistic,
        values={"flow": 1.5} if values is None else values,
        quality=quality or {},
        origin="real",
        received=end + 1,
    )


IDENTITIES = [
    observation(),
    observation("s2"),
    observation(end=END + 1),
    observation(statistic="mean"),
    observation(statistic="mean", period=60_000_000),
]


@given(st.lists(st.tuples(st.sampled_from(IDENTITIES), st.floats(allow_nan=False))))
def test_of_each_identity_the_highest_log_position_of_a_poll_is_written(drawn: list[tuple[wire.Observation, float]]):
    logged = [
        Logged(wire.Observation(**{name: getattr(one, name) for name in one.__struct_fields__} | {"values": {"flow": value}}), 3, offset)
        for offset, (one, value) in enumerate(drawn)
    ]
    expected = {(one.sensor, one.statistic, one.end - one.start, one.end): offset for offset, (one, _) in enumerate(drawn)}
    written = list(newest(logged))
    assert {
        (row.observation.sensor, row.observation.statistic, row.observation.end - row.observation.start, row.observation.end) for row in written
    } == (expected.keys())
    assert sorted(row.offset for row in written) == sorted(expected.values())
    assert all(row == logged[row.offset] for row in written)


def test_events_of_one_identity_with_other_metrics_are_one_row():
    first, second = observation(), observation()
    first = msgspec.structs.replace(first, values={"flow": 1.0, "level": 2.0}, quality={"level": "fault"})
    second = msgspec.structs.replace(second, values={"flow": 3.0, "ph": 7.0}, quality={"ph": "manual"})
    (row,) = newest([Logged(first, 3, 10), Logged(second, 3, 11)])
    assert row.observation.values == {"flow": 3.0, "level": 2.0, "ph": 7.0}
    assert row.observation.quality == {"level": "fault", "ph": "manual"}
    assert row.offset == 11


def array(literal: str) -> list[str]:
    """Read a literal of an array without escapes."""
    assert (literal[0], literal[-1]) == ("{", "}")
    return literal[1:-1].split(",")


@given(st.dictionaries(st.sampled_from(["flow", "null", "NULL", "a.b:c-d_e", "9"]), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_arrays_say_each_value_to_the_last_bit(values: dict[str, float]):
    columns = _columns([Logged(observation(values=values), 0, 0)])
    assert array(str(columns[7][0])) == [f'"{metric}"' for metric in values]
    assert [struct.pack(">d", float(text)) for text in array(str(columns[8][0]))] == [struct.pack(">d", value) for value in values.values()]


@pytest.mark.parametrize(
    ("value", "literal"), [(-0.0, "{-0.0}"), (1e-320, "{1e-320}"), (5e-324, "{5e-324}"), (1e308, "{1e+308}"), (-17.25, "{-17.25}"), (0.1, "{0.1}")]
)
def test_how_numbers_are_written(value: float, literal: str):
    assert _columns([Logged(observation(values={"flow": value}), 0, 0)])[8] == [literal]


@pytest.mark.parametrize(
    ("quality", "literal"),
    [
        ({}, None),
        ({"level": "fault"}, "{good,fault,good}"),
        ({"flow": "stopped", "level": "no_signal", "ph": "over_range"}, "{stopped,no_signal,over_range}"),
    ],
)
def test_flags_stand_beside_their_metrics(quality: dict[str, str], literal: str | None):
    columns = _columns([Logged(observation(values={"flow": 1, "level": 2, "ph": 7}, quality=quality), 0, 0)])
    assert columns[9] == [literal]


def test_a_row_says_where_it_stands_in_the_log():
    rows = [Logged(observation(period=60_000_000, statistic="mean"), 3, 41), Logged(observation("s2"), 5, 7)]
    columns = _columns(rows)
    assert len(columns) == 16
    assert (columns[0], columns[1], columns[2], columns[3]) == (["s1", "s2"], ["mean", "instant"], [60, 0], [END, END])
    assert (columns[13], columns[14], columns[15]) == ([END + 1] * 2, [3, 5], [41, 7])
