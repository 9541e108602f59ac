"""What is taken, what is refused with what reason, and that the fast decoder and the contract agree on every payload."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import wire
from schemas.observation import Measurement, Quality, Statistic
from schemas.rejected import SAID
from schemas.report import Matter, Report
from services.ingest.domain.accept import ID_CHARS, Refused, Sender, accept
from services.ingest.domain.registry import Registry
from tests.unit.ingest.conftest import LIMITS, METRICS, NOW

Judge = Callable[..., wire.Observation | Report | Refused]
WATER = Sender("water")


@pytest.fixture(scope="session")
def judge(registry: Registry) -> Judge:
    return lambda item, sender=WATER: accept(item, sender, registry, NOW, LIMITS)


def event(data: Any = None, **attributes: Any) -> bytes:
    """A CloudEvent; `data` may be bytes of JSON, however bad."""
    envelope = {"specversion": "1.0", "id": "e1", "source": "/departments/water/scada", "type": "cn.tongguan.observation.v1", **attributes}
    raw = data if isinstance(data, bytes) else json.dumps(measured() if data is None else data).encode()
    return json.dumps(envelope).encode()[:-1] + b', "data": ' + raw + b"}"


def measured(**changes: Any) -> dict[str, Any]:
    return {"sensor": "dma-01", "values": {"flow": 12.5}, "end": "2026-11-22T08:00:00+08:00", **changes}


def reported(**changes: Any) -> dict[str, Any]:
    return {"region": "street-1", "matter": "appearance", "kind": "exposed-waste", "title": "暴露垃圾", **changes}


def report(data: dict[str, Any] | None = None, **attributes: Any) -> bytes:
    return event(reported() if data is None else data, type="cn.tongguan.report.v1", **attributes)


def refused(judged: object) -> Refused:
    assert isinstance(judged, Refused), judged
    problem = judged.problem
    assert problem.code
    assert problem.message
    assert problem.hint
    assert max(len(problem.where), len(problem.message), len(problem.hint)) <= SAID
    return judged


def observed(judged: object) -> wire.Observation:
    assert isinstance(judged, wire.Observation), judged
    wire.to_contract(judged)
    return judged


# What is taken


def test_an_observation_takes_the_registry_s_word_for_street_and_domain(judge: Judge):
    taken = observed(judge(event(measured(values={"flow": 12, "pressure": 0.3}, quality={"flow": "good", "pressure": "fault"}))))
    assert (taken.id, taken.source, taken.department) == ("e1", "/departments/water/scada", "water")
    assert (taken.sensor, taken.street, taken.domain, taken.statistic, taken.origin) == ("dma-01", "street-1", "water", "instant", "real")
    assert taken.values == {"flow": 12.0, "pressure": 0.3}
    assert all(type(value) is float for value in taken.values.values())
    assert taken.quality == {"pressure": "fault"}
    assert wire.from_micros(taken.end) == datetime(2026, 11, 22, tzinfo=UTC) == wire.from_micros(taken.start)
    assert wire.from_micros(taken.received) == NOW


def test_the_time_may_be_the_event_s(judge: Judge):
    data = measured()
    del data["end"]
    assert wire.from_micros(observed(judge(event(data, time="2026-11-22T00:00:01Z"))).end) == NOW - timedelta(seconds=9)
    assert wire.from_micros(observed(judge(event(time="2026-11-22T00:00:01Z"))).end) == NOW - timedelta(seconds=10), "data.end wins"


def test_a_trace_is_carried_when_it_is_one(judge: Judge):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert observed(judge(event(traceparent=trace))).traceparent == trace
    assert observed(judge(event(traceparent="junk"))).traceparent is None


def test_the_region_may_be_named(judge: Judge):
    assert observed(judge(event(measured(region="street-1")))).street == "street-1"


@pytest.mark.parametrize(
    "attributes", [{"subject": "x"}, {"datacontenttype": "application/json"}, {"extension": {"deep": [1]}}, {"dataschema": "urn:x"}]
)
def test_other_attributes_are_no_harm(judge: Judge, attributes: dict[str, Any]):
    observed(judge(event(**attributes)))


def test_64_metrics_are_taken(judge: Judge):
    assert len(observed(judge(event(measured(values=dict.fromkeys(METRICS[:64], 1))))).values) == 64


@pytest.mark.parametrize("period_s", [1, 5, 30, 60, 600, 900, 3_600, 7_200, 43_200, 86_400, 604_800])
def test_periods_that_are_series(judge: Judge, period_s: int):
    taken = observed(judge(event(measured(statistic="mean", start=(datetime(2026, 11, 22, tzinfo=UTC) - timedelta(seconds=period_s)).isoformat()))))
    assert wire.period_s(taken.start, taken.end) == period_s


@pytest.mark.parametrize("end", [NOW + LIMITS.future, NOW - LIMITS.past, NOW])
def test_the_edges_of_the_times(judge: Judge, end: datetime):
    assert wire.from_micros(observed(judge(event(measured(end=end.isoformat())))).end) == end


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("00:00:00.1234567Z", 123_456), ("00:00:00.123456999999999Z", 123_456), ("08:00:00.9999999+08:00", 999_999), ("00:00:00.5Z", 500_000)],
)
def test_a_time_is_cut_to_microseconds_never_rounded_on(judge: Judge, text: str, microseconds: int):
    taken = observed(judge(event(measured(end=f"2026-11-22T{text}", start=f"2026-11-22T{text}"))))
    assert wire.from_micros(taken.end) == wire.from_micros(taken.start) == datetime(2026, 11, 22, microsecond=microseconds, tzinfo=UTC)


def test_a_report_is_taken(judge: Judge):
    taken = judge(report(reported(longitude=103.8, latitude=36, description="x\ny"), time="2026-11-22T08:00:00+08:00"))
    assert isinstance(taken, Report)
    assert (taken.id, taken.department, taken.matter, taken.latitude) == ("e1", "water", Matter.APPEARANCE, 36.0)
    assert taken.occurred == datetime(2026, 11, 22, tzinfo=UTC)
    assert taken.received == NOW


def test_a_report_without_a_time_is_of_now_and_its_own_time_wins(judge: Judge):
    now, own = judge(report()), judge(report(reported(occurred="2026-11-21T00:00:00Z"), time="2026-11-22T00:00:00Z"))
    assert isinstance(now, Report)
    assert isinstance(own, Report)
    assert now.occurred == NOW
    assert own.occurred == datetime(2026, 11, 21, tzinfo=UTC)


# What is refused, by whom it must be mended

FUTURE, OLD = (NOW + LIMITS.future + timedelta(microseconds=1)).isoformat(), (NOW - LIMITS.past - timedelta(microseconds=1)).isoformat()
REFUSALS: list[tuple[str, bytes, str, str]] = [
    ("not JSON", b"{", "malformed_json", ""),
    ("empty", b"", "malformed_json", ""),
    ("not UTF-8", event().replace(b"e1", b"\xff"), "malformed_json", ""),
    ("a control character", event().replace(b"e1", b"e\x01"), "malformed_json", ""),
    ("a lone surrogate", event().replace(b"e1", b"\\ud800"), "malformed_json", ""),
    ("a list", b"[]", "bad_envelope", ""),
    ("null", b"null", "bad_envelope", ""),
    ("an attribute of another type", event(id=5), "bad_envelope", "id"),
    ("no id", event().replace(b'"id"', b'"di"'), "bad_envelope", ""),
    ("an empty id", event(id=""), "bad_envelope", "id"),
    ("a long id", event(id="x" * 257), "bad_envelope", "id"),
    ("a control character in the source", event(source="a\tb"), "bad_envelope", "source"),
    ("another version", event(specversion="0.3"), "bad_envelope", "specversion"),
    ("another type", event(type="com.example.thing"), "unknown_type", "type"),
    ("a type of ours that is no input", event(type="cn.tongguan.warning.v1"), "unknown_type", "type"),
    ("no data", json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "cn.tongguan.observation.v1"}).encode(), "bad_envelope", "data"),
    ("data in base64", event(data_base64="e30=").replace(b'"data"', b'"other"'), "bad_envelope", "data"),
    ("data is null", event(b"null"), "bad_data", "data"),
    ("data is a list", event(b"[]"), "bad_data", "data"),
    ("data is text", event(json.dumps(json.dumps(measured())).encode()), "bad_data", "data"),
    ("no sensor", event({"values": {"flow": 1}}), "bad_data", "data.sensor"),
    ("a misspelt field", event(measured(vaules={})), "bad_data", "data.vaules"),
    ("no values", event(measured(values={})), "bad_data", "data.values"),
    ("65 values", event(measured(values=dict.fromkeys(METRICS[:65], 1))), "bad_data", "data.values"),
    ("text for a number", event(measured(values={"flow": "12.5"})), "bad_data", "data.values.flow"),
    ("a boolean for a number", event(measured(values={"flow": True})), "bad_data", "data.values.flow"),
    ("null for a number", event(measured(values={"flow": None})), "bad_data", "data.values.flow"),
    ("NaN", event(b'{"sensor":"dma-01","values":{"flow":NaN}}'), "malformed_json", ""),
    ("an infinity", event(b'{"sensor":"dma-01","values":{"flow":-Infinity}}'), "malformed_json", ""),
    ("a number past all floats", event(b'{"sensor":"dma-01","values":{"flow":1e999}}'), "bad_data", "data.values.flow"),
    ("an integer past all floats", event(b'{"sensor":"dma-01","values":{"flow":' + b"9" * 400 + b"}}"), "bad_data", "data.values.flow"),
    ("a quality that is none", event(measured(quality={"flow": "fine"})), "bad_data", "data.quality.flow"),
    ("a quality without a value", event(measured(quality={"level": "fault"})), "bad_data", "data.quality"),
    ("another statistic", event(measured(statistic="median")), "bad_data", "data.statistic"),
    ("another origin", event(measured(origin="Real")), "bad_data", "data.origin"),
    ("a sensor that is no code", event(measured(sensor="a b")), "bad_data", "data.sensor"),
    ("a metric that is no code", event(measured(values={"fl ow": 1})), "bad_data", "data.values.fl ow.[key]"),
    ("an unknown sensor", event(measured(sensor="x9")), "unknown_sensor", "data.sensor"),
    ("another department's sensor", event(measured(sensor="well-01", values={"level": 1})), "not_yours", "data.sensor"),
    ("an unknown region", event(measured(region="street-9")), "unknown_region", "data.region"),
    ("a region that is no code", event(measured(region="a b")), "bad_data", "data.region"),
    ("another region", event(measured(region="street-2")), "other_region", "data.region"),
    ("an unknown metric", event(measured(values={"flow": 1, "level": 2})), "unknown_metric", "data.values.level"),
    ("no time", event({"sensor": "dma-01", "values": {"flow": 1}}), "no_time", "data.end"),
    ("no zone", event(measured(end="2026-11-22T08:00:00")), "bad_time", "data.end"),
    ("no zone in the event's time", event({"sensor": "dma-01", "values": {"flow": 1}}, time="2026-11-22T08:00:00"), "bad_time", "time"),
    ("no time at all", event(measured(end="yesterday")), "bad_time", "data.end"),
    ("a leap second", event(measured(end="2026-11-21T23:59:60Z")), "bad_time", "data.end"),
    ("a number for a time", event(measured(end=1_790_000_000)), "bad_data", "data.end"),
    ("before the year 1", event(measured(end="0001-01-01T00:00:00+08:00")), "bad_time", "data.end"),
    ("start after end", event(measured(start="2026-11-22T08:00:01+08:00")), "bad_time", "data.start"),
    ("an instant over a period", event(measured(start="2026-11-22T07:59:00+08:00")), "bad_time", "data.start"),
    ("a mean over no time", event(measured(statistic="mean")), "odd_period", "data.start"),
    ("a mean over 61 s", event(measured(statistic="mean", start="2026-11-22T07:58:59+08:00")), "odd_period", "data.start"),
    ("a mean over half a second", event(measured(statistic="mean", start="2026-11-22T07:59:59.5+08:00")), "odd_period", "data.start"),
    ("a sum over a year", event(measured(statistic="sum", start="2025-11-22T08:00:00+08:00")), "odd_period", "data.start"),
    ("the future", event(measured(end=FUTURE)), "in_the_future", "data.end"),
    ("too old", event(measured(end=OLD)), "too_old", "data.end"),
    ("years ago", event(measured(end="1999-12-31T23:59:59Z")), "too_old", "data.end"),
    ("a report of no known matter", report(reported(matter="noise")), "bad_data", "data.matter"),
    ("a report of an unknown region", report(reported(region="nowhere")), "unknown_region", "data.region"),
    ("a report off the map", report(reported(longitude=181)), "bad_data", "data.longitude"),
    ("a report with a title of two lines", report(reported(title="a\nb")), "bad_data", "data.title"),
    ("a report of the future", report(time=FUTURE), "in_the_future", "time"),
    ("a report of years ago", report(reported(occurred="1999-12-31T23:59:59Z")), "too_old", "data.occurred"),
    ("an event's time in the future", event({"sensor": "dma-01", "values": {"flow": 1}}, time=FUTURE), "in_the_future", "time"),
    ("a report without a zone", report(reported(occurred="2026-11-22T08:00:00")), "bad_data", "data.occurred"),
    ("a report with a long description", report(reported(description="x" * 4097)), "bad_data", "data.description"),
]


@pytest.mark.parametrize(("item", "code", "where"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_a_refusal_says_what_and_where(judge: Judge, item: bytes, code: str, where: str):
    judged = refused(judge(item))
    assert (judged.problem.code, judged.problem.where) == (code, where)
    assert judged.item == item


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("data", "sensor"),
    [
        (measured(values={"level": 2}), "dma-01"),
        (measured(end=FUTURE), "dma-01"),
        (measured(vaules={}), "dma-01"),
        (measured(sensor="well-01"), "well-01"),
        (measured(sensor="x9"), "x9"),
        (measured(sensor="a b"), None),
        ({"values": {"flow": 1}}, None),
    ],
)
def test_whatever_is_wrong_the_sensor_is_named_by_which_refusals_are_found(judge: Judge, data: dict[str, Any], sensor: str | None):
    found = judge(event(data))
    assert isinstance(found, Refused)
    assert found.sensor == sensor


@pytest.mark.parametrize(
    "item",
    [
        DEEP,
        DEEP[:100_000],
        event(DEEP),
        event(b'{"sensor":"dma-01","values":' + DEEP + b"}"),
        event(b'{"sensor":"dma-01","values":{"flow":1},"x":' + DEEP + b"}"),
        b'{"x":' + DEEP + b"," + event()[1:],
    ],
    ids=["the event", "cut off", "the data", "the values", "an unknown field", "an extension"],
)
def test_deep_nesting_is_refused(judge: Judge, item: bytes):
    refused(judge(item))


@pytest.mark.parametrize(
    "item",
    [
        event(type="t" * 1_000_000),
        event(specversion="9" * 1_000_000),
        event(id="i" * 1_000_000),
        event(measured(**{"x" * 1_000_000: 1})),
        event(measured(values={"m" * 1_000_000: 1})),
        event(measured(values={"flow": "1" * 1_000_000})),
        event(measured(quality={"q" * 1_000_000: "fault"})),
        event(measured(end="2" * 1_000_000)),
        event(measured(sensor="s" * 1_000_000)),
        event(measured(region="r" * 1_000_000)),
        report(reported(matter="m" * 1_000_000)),
    ],
    ids=lambda item: item[-40:].decode(),
)
def test_a_megabyte_where_a_word_belongs_is_not_quoted_whole(judge: Judge, item: bytes):
    judged = refused(judge(item))
    assert judged.id is None or len(judged.id) <= ID_CHARS


def test_a_field_given_twice_is_read_as_the_contract_reads_it(judge: Judge):
    taken = observed(judge(event(b'{"sensor":"dma-01","values":5,"values":{"flow":2},"end":"2026-11-22T00:00:00Z"}')))
    assert taken.values == {"flow": 2.0}
    assert wire.from_micros(taken.end) == datetime(2026, 11, 22, tzinfo=UTC)


# The fast decoder and the contract agree


class Literal:
    """JSON as it stands, however bad."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text[:60]


def dumps(value: Any) -> str:
    """JSON of pairs (keys may repeat), lists, literals and plain values."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list):
        return "{" + ",".join(f"{name.text if isinstance(name, Literal) else json.dumps(name)}:{dumps(one)}" for name, one in value) + "}"
    return json.dumps(value)


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["-0", "0.1e1", "5e-324", "1e-400", "1e308", "9007199254740993", "18446744073709551616", "1E5", "1e+5"]),
).map(Literal)
BAD_NUMBERS = st.sampled_from(
    [
        "NaN",
        "-Infinity",
        "1e999",
        "-1e999",
        "9" * 60,
        "9" * 400,
        "9" * 5000,
        "true",
        "false",
        "null",
        '"1"',
        '""',
        "[1]",
        "{}",
        "01",
        "1.",
        ".5",
        "+1",
        "0x1",
        "1_0",
        "-",
        "1e",
        "",
    ]
).map(Literal)
TIMES_GOOD = st.sampled_from(
    [
        "2026-11-22T08:00:00+08:00",
        "2026-11-22T08:00:00+0800",
        "2026-11-22t00:00:00z",
        "2026-11-22 00:00:00Z",
        "2026-11-22T00:00:00.5Z",
        "2026-11-22T00:00:00.1234567Z",
        "2026-11-21T23:59:59.9999999999Z",
        "2026-11-22T08:00:00.123456789+08:00",
        "2026-11-21T14:30:00.000001-09:30",
        "1999-01-01T00:00:00Z",
        "2100-01-01T00:00:00Z",
    ]
)
TIMES_BAD = st.sampled_from(
    [
        "2026-11-22T08:00:00",
        "2026-11-22",
        "2026-11-22T08:00Z",
        "2026-11-22_08:00:00Z",
        "2026-11-22T23:59:60Z",
        "2026-11-22T24:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-22T08:00:00,5Z",
        "2026-11-22T08:00:00.Z",
        "2026-11-22T08:00:00−08:00",
        "2026-11-22T08:00:00+24:00",
        "2026-11-22T08:00:00+08:60",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "1790000000",
        "1e9",
        "-1",
        "",
        " 2026-11-22T00:00:00Z",
        "2026-11-22T00:00:00Z\n",
        "2026-11-22T00:00:00.1234567",
    ]
)
SENSOR_IDS = st.sampled_from(["dma-01"] * 8 + ["well-01", "x9", "a:b", "x" * 96])
BAD_CODES = st.one_of(st.sampled_from(["", " ", "a b", "-a", "水", "a\n", "x" * 97, "a\x00"]), st.text(max_size=4))
STRANGE = st.sampled_from(
    ["null", "true", "5", "[]", "{}", '"x"', '"\\ud800"', '"a\x01"', "[" * 300 + "]" * 300, "[" * 20_000 + "]" * 20_000, '{"a":{"a":{}}}', '"\ufeff"']
).map(Literal)
FIELDS = ("sensor", "values", "end", "start", "statistic", "quality", "origin", "region")


@st.composite
def good_payloads(draw: st.DrawFn) -> dict[str, Any]:
    metrics = draw(st.lists(st.sampled_from(METRICS[:5]), min_size=1, max_size=4, unique=True))
    payload: dict[str, Any] = {"sensor": draw(SENSOR_IDS), "values": {metric: draw(NUMBERS) for metric in metrics}}
    optional = {
        "end": TIMES_GOOD | st.none(),
        "start": TIMES_GOOD | st.none(),
        "statistic": st.sampled_from(Statistic).map(str),
        "quality": st.dictionaries(st.sampled_from(metrics), st.sampled_from(Quality).map(str)),
        "origin": st.sampled_from(["real", "replayed", "simulated", "exercise"]),
        "region": st.sampled_from(["street-1", "street-2", "nowhere"]) | st.none(),
    }
    for name, strategy in optional.items():
        if draw(st.booleans()):
            payload[name] = draw(strategy)
    return dict(draw(st.permutations(sorted(payload.items()))))


def put(payload: dict[str, Any], field: str, **values: Any) -> dict[str, Any]:
    """The payload with some entries more in one of its objects."""
    return {**payload, field: {**payload.get(field, {}), **values}}


MUTATIONS: list[Callable[[st.DrawFn, dict[str, Any], str], Any]] = [
    lambda _, payload, field: {name: value for name, value in payload.items() if name != field},
    lambda draw, payload, _: {**payload, draw(st.text(max_size=5)): draw(STRANGE)},
    lambda draw, payload, field: {**payload, field: draw(STRANGE)},
    lambda draw, payload, _: put(payload, "values", flow=draw(BAD_NUMBERS)),
    lambda draw, payload, _: put(payload, "values", **{draw(BAD_CODES): 1.5}),
    lambda draw, payload, _: {**payload, draw(st.sampled_from(["end", "start"])): draw(TIMES_BAD | st.text(max_size=30))},
    lambda draw, payload, _: {**payload, draw(st.sampled_from(["sensor", "region"])): draw(BAD_CODES)},
    lambda draw, payload, _: put(
        payload, "quality", **{draw(st.sampled_from(METRICS[:6]) | BAD_CODES): draw(st.sampled_from(["good", "fault", "fine", "", "Good"]))}
    ),
    lambda draw, payload, _: {**payload, "values": dict.fromkeys(METRICS[: draw(st.sampled_from([0, 1, 64, 65]))], 1)},
    lambda draw, payload, field: draw(st.permutations([*payload.items(), (field, draw(STRANGE))])),
    lambda draw, payload, _: draw(st.permutations([*payload.items(), draw(st.sampled_from(sorted(payload.items(), key=str)))])),
    lambda _, payload, field: [(Literal(f'"\\u{ord(name[0]):04x}{name[1:]}"') if name == field else name, value) for name, value in payload.items()],
    lambda _, payload, field: {name.title() if name == field else name: value for name, value in payload.items()},
]


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Mostly good, often with one or two things wrong, sometimes cut or with a byte changed."""
    payload: Any = draw(good_payloads())
    for _ in range(draw(st.integers(0, 2))):
        if isinstance(payload, dict) and isinstance(payload.get("values"), dict) and isinstance(payload.get("quality", {}), dict):
            payload = draw(st.sampled_from(MUTATIONS))(draw, payload, draw(st.sampled_from(FIELDS)))
    raw = dumps(payload).encode("utf-8", "surrogatepass")
    match draw(st.sampled_from(["whole"] * 8 + ["cut", "byte", "after"])):
        case "cut":
            return raw[: draw(st.integers(0, len(raw)))]
        case "byte":
            at = draw(st.integers(0, len(raw) - 1))
            return raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at + 1 :]
        case "after":
            return raw + draw(st.sampled_from([b" ", b"\n", b"x", b",", b"}", b"\x00", b"\xef\xbb\xbf"]))
    return raw


BEYOND_THE_CONTRACT = {
    "unknown_sensor",
    "not_yours",
    "unknown_region",
    "other_region",
    "unknown_metric",
    "no_time",
    "in_the_future",
    "too_old",
    "start is after end",
    "an instant has no period",
    "odd_period",
}
"""Codes, or messages of `bad_time`, by which good data are refused for what the registry or the clock says."""


@settings(max_examples=500)
@given(payloads())
def test_the_fast_decoder_and_the_contract_agree(judge: Judge, raw: bytes):
    judged = judge(event(raw))
    try:
        contract = Measurement.model_validate_json(raw)
    except ValidationError:
        refused(judged)
        return
    if isinstance(judged, Refused):
        problem = judged.problem
        assert {problem.code, problem.message} & BEYOND_THE_CONTRACT, problem
        return
    taken = observed(judged)
    assert taken.values == contract.values
    assert taken.quality == {metric: flag.value for metric, flag in contract.quality.items() if flag is not Quality.GOOD}
    assert (taken.sensor, taken.statistic, taken.origin) == (contract.sensor, contract.statistic.value, contract.origin.value)
    assert contract.end is not None
    assert wire.from_micros(taken.end) == contract.end
    assert wire.from_micros(taken.start) == (contract.start or contract.end)


@given(good_payloads())
def test_good_data_are_never_called_bad(judge: Judge, payload: dict[str, Any]):
    judged = judge(event(dumps(payload).encode()))
    if isinstance(judged, Refused):
        assert {judged.problem.code, judged.problem.message} & BEYOND_THE_CONTRACT, judged.problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sensor", "values", "id", "data", "time", *FIELDS]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
def test_nothing_crashes_it(judge: Judge, item: bytes):
    refused(judge(item))


@given(st.sampled_from(["specversion", "id", "source", "type", "time", "subject", "traceparent", "data", "datacontenttype"]), JSON)
def test_no_attribute_crashes_it(judge: Judge, name: str, value: Any):
    judged = judge(json.dumps({**json.loads(event()), name: value}).encode("utf-8", "surrogatepass"))
    if isinstance(judged, Refused):
        refused(judged)
    else:
        observed(judged)


@given(
    st.dictionaries(st.sampled_from(["region", "matter", "kind", "title", "description", "occurred", "longitude", "latitude", "origin", "x"]), JSON)
)
def test_no_report_crashes_it(judge: Judge, data: dict[str, Any]):
    judged = judge(event(json.dumps({**reported(), **data}).encode("utf-8", "surrogatepass"), type="cn.tongguan.report.v1"))
    if isinstance(judged, Refused):
        refused(judged)
    else:
        assert isinstance(judged, Report)
