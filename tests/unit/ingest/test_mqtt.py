from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import wire
from schemas.base import Domain, Name
from schemas.link import Mqtt
from schemas.mqtt import Mappings
from schemas.rejected import Rejected
from schemas.sensor import Metric, Sensor
from services.ingest.domain.mqtt import MAX_REFUSALS, Heard, Mapper, content_type, topic_of
from services.ingest.domain.registry import Registry
from services.ingest.doors.mqtt import Session, terms
from services.ingest.intake import Origin, _rejected
from services.ingest.settings import MqttSettings
from services.ingest.units import conversion
from services.kit import city, documents
from tests.unit.ingest.conftest import LIMITS, NOW

WELL: dict[str, Any] = {
    "id": "well",
    "department": "drainage",
    "topic": "city/{kind}/{device}/up",
    "device": "topic.device",
    "time": {"path": "payload.t", "format": "s"},
    "metrics": {"level": {"path": "payload.level", "unit": "cm"}, "gas": {"path": "payload.gas"}},
}
T = 1_795_305_600  # NOW less 10 s
NAME = Name(zh="井", en="well")


def mapper(*mappings: Mapping[str, Any], **changes: Any) -> Mapper:
    given = Mappings.model_validate({"mappings": [*mappings, *([WELL | changes] if changes or not mappings else [])]})
    return Mapper(given, zone=ZoneInfo("Asia/Shanghai"), convert=conversion, limits=LIMITS)


@pytest.fixture(scope="session")
def wells(registry: Registry) -> Registry:
    """Two sensors behind W1, one of them another's; and W2 with a sensor of water."""

    def sensor(name: str, department: str, device: str, **units: str) -> Sensor:
        return Sensor(
            id=name,
            name=NAME,
            domain=Domain.SEWAGE,
            department=department,
            street="street-1",
            metrics={metric: Metric(unit=unit, name=NAME) for metric, unit in units.items()},
            adapter="mqtt",
            link=Mqtt(mapping="well", device=device),
        )

    linked = [
        sensor("w1", "drainage", "W1", level="m", gas="%{LEL}"),
        sensor("w1b", "water", "W1", level="m"),
        sensor("w2", "water", "W2", level="m"),
    ]
    return Registry(registry.regions, linked, conversion)


def hear(wells: Registry, payload: Any, topic: str = "city/well/W1/up", mapped: Mapper | None = None) -> Heard:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    heard = (mapped or mapper()).hear("drainage", topic, body, wells, NOW)
    assert heard is not None
    return heard


def one(heard: Heard) -> wire.Observation:
    (observation,), refused = heard.observations, heard.refused
    assert refused == []
    return observation


def refusal(heard: Heard) -> tuple[str, str | None]:
    assert not heard.observations
    (refused,) = heard.refused
    assert refused.problem.message
    assert refused.problem.hint
    return refused.problem.code, refused.sensor


def test_a_reading_of_the_departments_sensor_in_its_units(wells: Registry):
    observation = one(hear(wells, {"t": T, "level": 83, "gas": 3, "battery": 99}))
    assert (observation.sensor, observation.department, observation.values) == ("w1", "drainage", {"level": pytest.approx(0.83), "gas": 3.0})
    assert wire.from_micros(observation.end) == datetime.fromtimestamp(T, UTC)
    assert (observation.start, observation.statistic, observation.origin) == (observation.end, "instant", "real")


def test_a_message_that_comes_twice_is_one_reading(wells: Registry):
    first, again = (mapper().hear("drainage", "city/well/W1/up", b'{"t": %d, "level": 1}' % T, wells, NOW + timedelta(seconds=s)) for s in (0, 9))
    assert first
    assert again
    assert one(first).id == one(again).id
    assert one(first).end == one(again).end


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\xff\xfe", "malformed_json"),
        (b'{"t":', "malformed_json"),
        (b"[" * 60_000 + b"]" * 5_000, "malformed_json"),
        (b" " * 70_000, "too_large"),
        ({"level": 1}, "no_time"),
        ({"t": "1795219200", "level": 1}, "bad_time"),
        ({"t": True, "level": 1}, "bad_time"),
        ({"t": 1e300, "level": 1}, "bad_time"),
        ({"t": T + 3_600, "level": 1}, "in_the_future"),
        ({"t": 1_000, "level": 1}, "too_old"),
        ({"t": T}, "no_values"),
        ({"t": T, "battery": 1}, "no_values"),
        ({"t": T, "level": "83"}, "not_a_number"),
        ({"t": T, "level": [83]}, "not_a_number"),
        ({"t": T, "level": 10**400}, "not_a_number"),
        (b"12.5", "no_time"),
    ],
)
def test_a_message_that_cannot_be_taken(wells: Registry, payload: Any, code: str):
    assert refusal(hear(wells, payload))[0] == code


def test_devices_that_are_not_ours_are_named_for_adoption(wells: Registry):
    assert refusal(hear(wells, {"t": T, "level": 1}, "city/well/W9/up")) == ("unknown_device", "mqtt:well/W9")
    assert refusal(hear(wells, {"t": T, "level": 1}, "city/well/W2/up")) == ("not_yours", "mqtt:well/W2")
    assert refusal(hear(wells, {"t": T, "level": 1}, "city/well//up")) == ("bad_device", None)
    assert refusal(hear(wells, {"level": 1})) == ("no_time", "mqtt:well/W1")


def test_a_mapping_may_name_our_sensor(wells: Registry):
    by_id = mapper({key: value for key, value in WELL.items() if key != "device"} | {"sensor": "join('', ['w', payload.n])"})
    assert one(hear(wells, {"t": T, "level": 1, "n": "1"}, mapped=by_id)).sensor == "w1"
    assert refusal(hear(wells, {"t": T, "level": 1, "n": "7"}, mapped=by_id)) == ("unknown_sensor", "w7")
    assert refusal(hear(wells, {"t": T, "level": 1, "n": 7}, mapped=by_id)) == ("bad_path", None)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("rfc3339", "2026-11-22T08:00:00+08:00"),
        ("s", T),
        ("ms", T * 1000.0),
        ("%Y%m%d%H%M%S", "20261122080000"),
        ("%Y-%m-%d %H:%M:%S%z", "2026-11-22 00:00:00+0000"),
    ],
)
def test_forms_of_time(wells: Registry, written: str, said: object):
    mapped = mapper(time={"path": "payload.t", "format": written})
    assert wire.from_micros(one(hear(wells, {"t": said, "level": 1}, mapped=mapped)).end) == datetime(2026, 11, 22, tzinfo=UTC)
    assert refusal(hear(wells, {"t": "gestern", "level": 1}, mapped=mapped))[0] == "bad_time"


def test_a_device_without_a_clock_speaks_of_now(wells: Registry):
    assert wire.from_micros(one(hear(wells, {"level": 1}, mapped=mapper(time=None))).end) == NOW


def test_numbers(wells: Registry):
    mapped = mapper(metrics={"level": {"path": "to_number(payload.level)", "scale": 0.1}, "gas": {"path": "payload.state == 'open'"}})
    assert one(hear(wells, {"t": T, "level": "25", "state": "open"}, mapped=mapped)).values == {"level": 2.5, "gas": 1.0}
    assert one(hear(wells, {"t": T, "level": "much", "state": "shut"}, mapped=mapped)).values == {"gas": 0.0}
    assert refusal(hear(wells, {"t": T, "level": "nan"}, mapped=mapped))[0] == "not_a_number"


def test_a_unit_that_does_not_fit_is_told(wells: Registry):
    mapped = mapper(metrics={"level": {"path": "payload.level", "unit": "kPa"}})
    assert refusal(hear(wells, {"t": T, "level": 1}, mapped=mapped)) == ("wrong_unit", "mqtt:well/W1")


def test_flags(wells: Registry):
    known = {"0": "good", "1": "fault", "true": "maintenance"}
    mapped = mapper(
        quality={"path": "payload.q", "values": known},
        metrics={"level": {"path": "payload.level"}, "gas": {"path": "payload.gas", "quality": {"path": "payload.g", "values": {"x": "stuck"}}}},
    )
    both = {"t": T, "level": 1, "gas": 2}
    assert one(hear(wells, both, mapped=mapped)).quality == {}
    assert one(hear(wells, both | {"q": 1}, mapped=mapped)).quality == {"level": "fault"}
    assert one(hear(wells, both | {"q": True, "g": "x"}, mapped=mapped)).quality == {"level": "maintenance", "gas": "stuck"}
    assert one(hear(wells, both | {"q": "0"}, mapped=mapped)).quality == {}
    assert refusal(hear(wells, both | {"q": 7}, mapped=mapped))[0] == "unknown_flag"


def test_several_readings_in_one_message(wells: Registry):
    mapped = mapper(readings="payload.list", device="item.d", time={"path": "item.t", "format": "s"}, metrics={"level": {"path": "item.v"}})
    items = [{"d": "W1", "t": T - n, "v": n} for n in range(3)]
    heard = hear(wells, {"list": [*items, {"d": "W9", "t": T}, {"d": "W9", "t": T}, {"d": "W1"}]}, mapped=mapped)
    assert [one.values["level"] for one in heard.observations] == [0.0, 1.0, 2.0]
    assert len({one.id for one in heard.observations}) == 3
    assert [(one.problem.code, one.sensor) for one in heard.refused] == [("unknown_device", "mqtt:well/W9"), ("no_time", "mqtt:well/W1")]
    assert refusal(hear(wells, {"list": {"d": 1}}, mapped=mapped))[0] == "no_readings"
    assert refusal(hear(wells, {"list": [0] * 1_001}, mapped=mapped))[0] == "too_many"
    assert len(hear(wells, {"list": [{"d": f"X{n}"} for n in range(100)]}, mapped=mapped).refused) == MAX_REFUSALS
    assert hear(wells, {"list": []}, mapped=mapped) == Heard([], [])


def test_statistics_of_a_period(wells: Registry):
    minutes = mapper(statistic="mean", period="PT10M")
    observation = one(hear(wells, {"t": T, "level": 1}, mapped=minutes))
    assert (observation.statistic, observation.end - observation.start) == ("mean", 600_000_000)
    started = mapper(statistic="max", start={"path": "payload.t0", "format": "s"})
    assert one(hear(wells, {"t": T, "t0": T - 60, "level": 1}, mapped=started)).start == (T - 60) * 1_000_000
    assert refusal(hear(wells, {"t": T, "t0": T - 61, "level": 1}, mapped=started))[0] == "odd_period"
    assert refusal(hear(wells, {"t": T, "t0": T + 60, "level": 1}, mapped=started))[0] == "bad_time"


def test_the_origin_a_simulator_gives(wells: Registry):
    mapped = mapper(origin="payload.origin")
    assert one(hear(wells, {"t": T, "level": 1, "origin": "simulated"}, mapped=mapped)).origin == "simulated"
    assert refusal(hear(wells, {"t": T, "level": 1, "origin": {}}, mapped=mapped))[0] == "bad_origin"


def test_the_first_mapping_whose_condition_is_true_counts(wells: Registry):
    alive = WELL | {"id": "alive", "when": "payload.type == 'alive'", "sensor": "'w1'", "device": None, "metrics": {"gas": {"path": "payload.gas"}}}
    mapped = mapper(alive, WELL | {"when": "payload.type == 'data'"})
    assert one(hear(wells, {"t": T, "type": "alive", "gas": 1}, mapped=mapped)).source == "/mqtt/alive/w1"
    assert one(hear(wells, {"t": T, "type": "data", "gas": 1}, mapped=mapped)).source == "/mqtt/well/w1"
    assert mapped.hear("drainage", "city/well/W1/up", b"{}", wells, NOW) is None
    assert mapped.hear("drainage", "city/W1/up", b"{}", wells, NOW) is None


@pytest.mark.parametrize(
    ("pattern", "topic", "levels"),
    [
        ("a/{x}/c", "a/b/c", {"x": "b"}),
        ("a/{x}/c", "a/b/b/c", None),
        ("a/+/{y}", "a//z", {"y": "z"}),
        ("a/{x}/#", "a/b/c/d", {"x": "b"}),
        ("a/{x}/#", "a/b", {"x": "b"}),
        ("#", "a/b", {}),
        ("a.b/{x}", "aXb/c", None),
        ("{x}", "井\n", {"x": "井\n"}),
    ],
)
def test_topics(pattern: str, topic: str, levels: dict[str, str] | None):
    mapped = mapper(topic=pattern, device="'d'")
    assert mapped._mappings["drainage"][0].levels(topic) == levels


async def test_a_message_that_our_mistake_keeps_us_from_judging_is_kept_and_holds_up_no_other(wells: Registry):
    class Broken(Mapper):
        def hear(self, department: str, topic: str, payload: bytes, registry: Registry, now: datetime) -> Heard | None:
            return super().hear(department, topic, payload, registry, now) if payload != b"1" else 1 / 0  # type: ignore[return-value]

    mapped: Any = Broken(Mappings.model_validate({"mappings": [WELL]}), zone=ZoneInfo("Asia/Shanghai"), convert=conversion, limits=LIMITS)
    others: Any = SimpleNamespace(known=wells, labels=lambda *_: None)
    session = Session(
        "drainage",
        terms=terms(MqttSettings(url="mqtt://broker"), node="node", secrets=None),
        filters=[],
        mapper=mapped,
        intake=others,
        door=others,
        clock=others,
        told=others,
        count=others,
    )
    held: Any = [SimpleNamespace(topic="city/well/W1/up", payload=body, now=NOW) for body in (b"1", json.dumps({"t": T, "level": 1}).encode())]
    kept, taken = session._judged(held)
    assert [(one.problem.code, one.item) for one in kept.judged.refused] == [("our_mistake", b"1")]
    assert len(taken.judged.observations) == 1


def test_filters_are_subscribed_to_once():
    assert mapper(WELL, WELL | {"id": "other", "topic": "city/{a}/+/up"}).filters == {"drainage": ["city/+/+/up"]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"topic": "$share/g/a"}, "name the topic alone"),
        ({"topic": "a/#/b"}, "a level is text"),
        ({"topic": "a/b{x}"}, "a level is text"),
        ({"topic": "{x}/{x}"}, "two levels have one name"),
        ({"device": "a..b"}, "no JMESPath"),
        ({"device": None}, "one of the two"),
        ({"sensor": "topic.device"}, "one of the two"),
        ({"period": "PT1M"}, "an instant has no"),
        ({"statistic": "mean"}, "a statistic needs"),
        ({"statistic": "mean", "period": "PT1M", "time": None}, "a statistic needs"),
        ({"time": {"path": "a", "format": "iso"}}, "pattern"),
    ],
)
def test_a_mapping_that_cannot_work_is_told(changes: dict[str, Any], says: str):
    with pytest.raises(ValidationError, match=says):
        mapper(**changes)


def test_a_refused_message_is_judged_again_when_the_registry_is_mended(registry: Registry, wells: Registry):
    nobody = Registry(registry.regions, [], conversion)
    body, kind = b'{"t": %d, "level": 1}' % T, content_type("city/well/W1/up")
    mapped = mapper()
    assert refusal(mapped.judge(body, kind, "drainage", nobody, NOW)) == ("unknown_device", "mqtt:well/W1")
    assert one(mapped.judge(body, kind, "drainage", wells, NOW)).id == one(hear(wells, body)).id
    assert refusal(mapped.judge(body, kind, "water", wells, NOW)) == ("no_mapping", None)
    assert refusal(mapped.judge(body, "application/json", "drainage", wells, NOW)) == ("no_mapping", None)
    clockless = mapper(time=None)
    came = NOW - timedelta(hours=1)
    assert wire.from_micros(one(clockless.judge(body, kind, "drainage", wells, NOW, received=came)).end) == came


def test_a_topic_that_no_content_type_holds_is_refused(wells: Registry):
    assert refusal(hear(wells, {"t": T, "level": 1}, f"city/well/{'W' * 300}/up"))[0] == "long_topic"


@given(st.text(min_size=1, max_size=30).filter(lambda text: len(content_type(text)) > 40))
def test_a_content_type_gives_the_topic_back(topic: str):
    assert topic_of(content_type(topic)) == topic


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["t", "level", "gas", "d", "q", "list", "origin"]), inner, max_size=6)
    ),
    max_leaves=12,
)
PATHS = st.sampled_from(["payload.t", "payload.list", "item.level", "length(payload)", "payload.list[].t | [0]", "to_number(item.t)", "@"])
LISTS = st.sampled_from([None, "payload.list", "[payload]"])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), PATHS, PATHS, PATHS, LISTS)
def test_no_payload_and_no_path_breaks_it(wells: Registry, payload: bytes, device: str, level: str, time: str, readings: str | None):
    mapped = mapper(
        readings=readings,
        device=device,
        time={"path": time, "format": "ms"},
        metrics={"level": {"path": level}},
        quality={"path": level, "values": {"1": "fault"}},
        origin=time,
    )
    heard = hear(wells, payload, mapped=mapped)
    for refused in heard.refused:
        record = _rejected(refused, Origin("drainage", "broker", content_type("city/well/W1/up")), "mqtt@node", NOW)
        assert "\x00" not in (Rejected.model_validate_json(record.value).sensor or "")
    for observation in heard.observations:
        assert wire.decode(wire.encode(observation)) == observation


def test_lanzhous_mappings_take_what_their_comments_show(registry: Registry):
    folder = Path(__file__).parents[3] / "cities" / "620100"
    place = city.load(folder)
    mapped = Mapper(documents.read(folder / "mqtt.yaml", Mappings).model, zone=ZoneInfo("Asia/Shanghai"), convert=conversion, limits=LIMITS)
    assert mapped.filters.keys() <= {department.id for department in place.city.departments}

    def sensor(department: str, mapping: str, device: str, **units: str) -> Sensor:
        metrics = {metric: Metric(unit=unit, name=NAME) for metric, unit in units.items()}
        link = Mqtt(mapping=mapping, device=device)
        return Sensor(id=device, name=NAME, domain=Domain.WATER, department=department, street="street-1", metrics=metrics, adapter="mqtt", link=link)

    linked = [
        sensor("drainage", "manhole", "MH-0001", level="m", h2s="mg/m3", gas="%{LEL}"),
        sensor("water", "hydrant", "HY-0001", pressure="MPa"),
    ]
    devices = Registry(registry.regions, linked, conversion)
    manhole = mapped.hear(
        "drainage", "city/manhole/MH-0001/up", b'{"ts": %d, "level_cm": 83, "h2s": 1.2, "lel": 3, "state": 1}' % (T * 1000), devices, NOW
    )
    assert manhole
    assert one(manhole).values == {"level": pytest.approx(0.83), "h2s": 1.2, "gas": 3.0}
    assert one(manhole).quality == {"level": "fault", "h2s": "fault", "gas": "fault"}
    batch = b'{"id": "HY-0001", "batch": [{"t": "2026-11-22T08:00:00+08:00", "kpa": 312.5}, {"t": "2026-11-22T07:00:00+08:00", "kpa": 300}]}'
    hydrant = mapped.hear("water", "city/hydrant/HY-0001/up", batch, devices, NOW)
    assert hydrant
    assert [one.values["pressure"] for one in hydrant.observations] == [pytest.approx(0.3125), pytest.approx(0.3)]
    assert mapped.hear("water", "city/hydrant/HY-0001/up", b'{"type": "alive"}', devices, NOW) is None
