"""The compact values of the hot topics are the pydantic contract's, field by field."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import control, observation, wire
from tests.unit.schemas.events import SENSOR_RECORDS, TICKS, TIMES, activations, observations


@given(observations())
def test_an_observation_comes_back_as_it_was(event: observation.Observation):
    record = wire.decode(wire.encode(wire.from_contract(event)))
    assert isinstance(record, wire.Observation)
    assert wire.to_contract(record) == event


@given(TICKS)
def test_a_tick_comes_back_as_it_was(tick: control.Tick):
    record = wire.decode(wire.encode(wire.of_tick(tick)))
    assert isinstance(record, wire.Tick)
    adapters = {name: wire.from_micros(time) for name, time in record.adapters.items()}
    assert control.Tick(time=wire.from_micros(record.time), node=record.node, adapters=adapters) == tick


@given(SENSOR_RECORDS)
def test_a_sensor_comes_back_as_it_was(sent: control.SensorRecord):
    record = wire.decode(wire.encode(wire.of_sensor(sent)))
    assert isinstance(record, wire.Sensor)
    assert (record.sensor, record.version, record.street) == (sent.sensor.id, sent.sensor.version, sent.sensor.street)
    assert control.SensorRecord.model_validate_json(record.body) == sent


@given(activations())
def test_an_activation_comes_back_as_it_was(sent: control.RuleActivation):
    record = wire.decode(wire.encode(wire.of_activation(sent)))
    assert isinstance(record, wire.Activation)
    assert (record.rule, record.version) == (sent.rule.id, sent.rule.version)
    assert control.RuleActivation.model_validate_json(record.body) == sent


@pytest.mark.parametrize(("compact", "contract"), [(wire.Observation, observation.Observation), (wire.Tick, control.Tick)])
def test_the_fields_are_the_contracts_in_its_order(compact: type[msgspec.Struct], contract: type):
    assert compact.__struct_fields__ == tuple(contract.model_fields)


def test_the_kinds_keep_their_letters():
    kinds = {kind: kind.__struct_config__.tag for kind in (wire.Observation, wire.Tick, wire.Sensor, wire.Activation)}
    assert kinds == {wire.Observation: "o", wire.Tick: "t", wire.Sensor: "s", wire.Activation: "r"}


class Later(msgspec.Struct, array_like=True, tag="t"):
    """A tick of a later version, with two fields more."""

    time: int
    node: str
    adapters: dict[str, int]
    leap: bool = False
    weather: dict[str, list[int]] = msgspec.field(default_factory=dict)


def test_an_old_reader_skips_fields_that_were_added():
    later = Later(5, "n1", {"http@n1": 4}, leap=True, weather={"wind": [1, 2]})
    assert wire.decode(msgspec.msgpack.encode(later)) == wire.Tick(5, "n1", {"http@n1": 4})


class Earlier(msgspec.Struct, array_like=True, tag="o"):
    """An observation before `traceparent` was added."""

    id: str
    source: str
    department: str
    sensor: str
    street: str
    domain: str
    start: int
    end: int
    statistic: str
    values: dict[str, float]
    quality: dict[str, str]
    origin: str
    received: int


def test_a_new_reader_takes_what_was_written_before_a_field_was_added():
    earlier = Earlier("1", "/s", "d", "x", "street", "water", 1, 1, "instant", {"flow": 1.5}, {}, "real", 2)
    record = wire.decode(msgspec.msgpack.encode(earlier))
    assert isinstance(record, wire.Observation)
    assert record.traceparent is None
    assert record.values == {"flow": 1.5}


@given(st.binary(max_size=64))
def test_any_other_bytes_are_told_as_undecodable(value: bytes):
    with contextlib.suppress(msgspec.DecodeError):
        wire.decode(value)


GOOD = wire.encode(wire.Tick(1, "n1", {"a": 1}))


@given(st.data())
def test_a_record_with_a_byte_changed_is_told_or_read(data: st.DataObject):
    at = data.draw(st.integers(0, len(GOOD) - 1))
    value = GOOD[:at] + bytes([data.draw(st.integers(0, 255))]) + GOOD[at + 1 :]
    try:
        record = wire.decode(value)
    except msgspec.DecodeError:
        return
    if isinstance(record, wire.Tick):
        assert all(isinstance(wire.from_micros(time), datetime) for time in (record.time, *record.adapters.values()))


@pytest.mark.parametrize(
    "value",
    [
        GOOD.replace(b"n1", b"\xff\xfe"),
        b"\x94\xa1t\x01\xa2n1\x80" + b"\x91" * 100_000,
        b"\x98\xa1t\x01\xa2n1\x80" + b"\x91" * 100_000,
        GOOD + b"x",
        b"",
        b"\x94\xa1t\xcf" + b"\xff" * 8 + b"\xa2n1\x80",
        wire.encode(wire.Observation("1", "/s", "d", "x", "s", "water", 2**62, 1, "instant", {}, {}, "real", 2)),
    ],
    ids=["not UTF-8", "deep, cut", "deep, in a field to skip", "trailing", "empty", "a time past all years", "the same in an observation"],
)
def test_known_traps_are_told_as_undecodable(value: bytes):
    with pytest.raises(msgspec.DecodeError):
        wire.decode(value)


@given(TIMES)
def test_times_are_exact_to_the_microsecond(time: datetime):
    assert wire.from_micros(wire.to_micros(time)) == time
    assert wire.to_micros(time + timedelta(microseconds=1)) == wire.to_micros(time) + 1


def test_the_first_and_last_times_can_be_sent():
    for time in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        tick = wire.Tick(wire.to_micros(time), "n1", {})
        assert wire.decode(wire.encode(tick)) == tick


@given(observations(), st.sampled_from(["start", "quality", "values", "statistic", "domain", "origin"]))
def test_a_compact_value_that_breaks_the_contract_is_refused_by_it(event: observation.Observation, field: str):
    record = wire.from_contract(event)
    broken = {"start": record.end + 1, "quality": {"no.such": "fault"}, "values": {}, "statistic": "median", "domain": "air", "origin": "made up"}
    with pytest.raises(ValidationError):
        wire.to_contract(msgspec.structs.replace(record, **{field: broken[field]}))


@pytest.mark.parametrize(("start", "end", "expected"), [(0, 0, 0), (0, 60_000_000, 60), (0, 59_999_999, 59), (-1_000_000, 0, 1)])
def test_the_period_is_in_whole_seconds(start: int, end: int, expected: int):
    assert wire.period_s(start, end) == expected
