"""What the fleet's devices say is what was measured: each message goes through the platform's own doors' judgement and comes out the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from feeds.field.faults import Faults, Luck
from feeds.field.mqtt import check
from feeds.field.mqtt import message as mqtt_message
from feeds.field.speakers import Doors, Speakers
from feeds.field.words import NoWord, number
from feeds.simulated.chance import Chance
from feeds.simulated.folder import load
from feeds.simulated.simulation import Schedule, sources
from protocols import gb26875, hj212
from schemas.base import Origin
from schemas.mqtt import Mappings
from schemas.observation import Measurement, Quality, Statistic
from schemas.sensor import Metric
from services.ingest.domain.accept import TimeLimits
from services.ingest.domain.gb26875 import Hearing
from services.ingest.domain.hj212 import Terms, hear
from services.ingest.domain.mqtt import Mapper
from services.ingest.domain.registry import Registry
from services.ingest.units import conversion

LANZHOU = Path(__file__).parents[3] / "cities" / "620100"
LIMITS = TimeLimits(future=timedelta(minutes=1), past=timedelta(days=90))
START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
DOORS = Doors(hj212=("127.0.0.1", 1), gb26875=("127.0.0.1", 1), mqtt="mqtt://127.0.0.1:1")


@cache
def place():
    return load(LANZHOU)


@cache
def registry():
    return Registry(place().regions, [one.sensor for one in place().sensors], conversion)


def speakers(faults=None, sensors=None, **named):
    """Return the fleet's devices without faults, or with these."""
    told = {"doors": DOORS, "faults": faults or Faults(), "chance": Chance(1), "name": "test", "clock": lambda: START}
    told |= {"mappings": place().mappings, "zone": place().zone} | named
    return Speakers(sensors or [one.sensor for one in place().sensors], **told)


def device(sensor, **named):
    return speakers(**named)._voices[sensor].device


def measured(sensor, *, time=START, start=None, quality=None, origin=Origin.SIMULATED, **values):
    statistic = Statistic.INSTANT if start is None else Statistic.MEAN
    return Measurement(sensor=sensor, values=values, end=time, start=start, statistic=statistic, quality=quality or {}, origin=origin)


def heard(all_, measurement, now=START):
    """Return the observations that the platform makes of how a device says a reading."""
    voice = all_._voices[measurement.sensor]
    if hasattr(voice, "mapping"):
        said = mqtt_message(voice.mapping, voice.sensor, measurement, zone=place().zone)
        told = Mapper(Mappings(mappings=place().mappings), zone=place().zone, convert=conversion, limits=LIMITS).hear(
            voice.sensor.department, said.topic, said.payload, registry(), now
        )
        assert not told.refused
        return list(told.observations)
    found = []
    for message in voice.device.messages(measurement, now):
        if hasattr(voice.device, "mn"):
            packet = hj212.decode(message.data)
            told = hear(packet, registry().heard_by("hj212", packet.mn), Terms(place().zone, LIMITS), now)
            assert not told.left
            assert not told.problems
        else:
            told = Hearing(place().zone, LIMITS).hear(gb26875.Frame.decode(message.data), registry(), now)
            assert not told.refused
        found += told.observations
    return found


def test_each_sensor_of_the_fleet_is_heard_as_what_was_measured():
    all_, now = speakers(), START + timedelta(seconds=61)
    schedule = Schedule(
        sources(replace(place(), sensors=tuple(one for one in place().sensors if one.sensor.link)), [], start=START, seed=1, pace=1.0)
    )
    first = {reading.measurement.sensor: reading.measurement for reading in schedule.until(now, stale=timedelta(days=1))}
    assert len(first) == 640
    for sensor, measurement in first.items():
        values, ends = {}, set()
        for observation in heard(all_, measurement, now):
            assert observation.sensor == sensor
            values |= observation.values
            ends.add(observation.end // 1_000_000)
        assert values.keys() == measurement.values.keys()
        # An analogue of GB/T 26875.3 has a tenth of a degree or of a kilopascal.
        assert values == pytest.approx(measurement.values, abs=0.051 if "temperature" in values else 1e-4)
        assert ends == {int(measurement.end.timestamp())}


@pytest.mark.parametrize("sensor", ["lz-dust-hj-001", "lz-sewage-mq-well-01", "lz-fire-mq-hydrant-01"])
def test_what_is_simulated_is_heard_as_simulated(sensor):
    metrics = registry().get(sensor).metrics
    (observation,) = heard(speakers(), measured(sensor, **dict.fromkeys(metrics, 1.0)))
    assert observation.origin == "simulated"


@pytest.mark.parametrize("id_", ["lz-dust-hj-001", "lz-fire-gb-001-smoke", "lz-sewage-mq-well-01"])
def test_nobody_speaks_in_the_name_of_a_device_that_is_taken_for_real(id_):
    sensor = registry().get(id_).sensor
    assert id_ in speakers()
    if sensor.link.protocol == "mqtt":
        assert id_ not in speakers(mappings=[mapping.model_copy(update={"origin": None}) for mapping in place().mappings])
    else:
        real = sensor.model_copy(update={"link": sensor.link.model_copy(update={"origin": Origin.REAL})})
        assert id_ not in speakers(sensors=[real])


@pytest.mark.parametrize(
    ("hours", "command", "period"), [(1 / 12, "2051", timedelta(minutes=5)), (1, "2061", timedelta(hours=1)), (24, "2031", timedelta(days=1))]
)
def test_means_are_uploaded_with_the_start_of_their_period(hours, command, period):
    start = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    mean = measured("lz-dust-hj-002", time=start + timedelta(hours=hours), start=start, tsp=0.2, pm10=90.0, leq=60.0)
    (message,) = device("lz-dust-hj-002").messages(mean, START)
    packet = hj212.decode(message.data)
    assert (packet.cn, packet.st, packet.value("DataTime"), packet.value("a34002-Avg")) == (command, "39", "20261123000000", "0.09")
    (observation,) = heard(speakers(), mean)
    assert (observation.statistic, observation.end - observation.start) == ("mean", period.total_seconds() * 1_000_000)


def test_a_period_that_the_device_does_not_have_is_not_said():
    mean = measured("lz-dust-hj-001", time=START, start=START - timedelta(minutes=15), tsp=0.2)
    assert device("lz-dust-hj-001").messages(mean, START) == []


@pytest.mark.parametrize(("quality", "letter"), [(Quality.FAULT, "D"), (Quality.MAINTENANCE, "M"), (Quality.CALIBRATION, "C"), (Quality.STUCK, "D")])
def test_quality_is_a_letter_of_hj_212(quality, letter):
    measurement = measured("lz-dust-hj-001", tsp=0.2, leq=50.0, quality={"tsp": quality})
    packet = hj212.decode(device("lz-dust-hj-001").messages(measurement, START)[0].data)
    assert (packet.value("a34001-Flag"), packet.value("Leq-Flag")) == (letter, "N")


def test_no_two_packets_of_a_device_have_one_qn():
    monitor = device("lz-dust-hj-001")
    names = [monitor.messages(measured("lz-dust-hj-001", tsp=0.2), START)[0].key for _ in range(5)]
    assert len(set(names)) == 5


def test_a_clock_that_is_wrong_is_wrong_in_instants_and_not_in_periods():
    monitor = device("lz-dust-hj-001", faults=Faults(skewed=1, skew=timedelta(seconds=45)))
    ahead = monitor.ahead
    assert timedelta(0) != abs(ahead) <= timedelta(seconds=45)
    instant = hj212.decode(monitor.messages(measured("lz-dust-hj-001", tsp=0.2), START)[0].data)
    assert instant.value("DataTime") == f"{START.astimezone(place().zone) + ahead:%Y%m%d%H%M%S}"
    mean = hj212.decode(monitor.messages(measured("lz-dust-hj-001", start=START - timedelta(minutes=5), tsp=0.2), START)[0].data)
    assert mean.value("DataTime") == "20261124095500"


def test_the_platform_can_set_a_monitor_s_clock():
    monitor = device("lz-dust-hj-001", faults=Faults(skewed=1))
    station = hj212.Station(mn=monitor.mn, st="39", pw=monitor.pw)
    list(monitor.hear(b"", START))
    answers = list(monitor.hear(hj212.encode(hj212.set_clock(station, at=START.astimezone(place().zone))), START))
    assert [hj212.decode(answer.data).cn for answer in answers] == ["9011", "9012"]
    assert monitor.ahead == timedelta(0)


def state(transmitter, measurement):
    """Return the component's state that the first frame for a reading tells."""
    frame = gb26875.Frame.decode(transmitter.messages(measurement, START)[0].data)
    return gb26875.unit_of(frame.unit).objects[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fire": 0.0, "fault": 0.0}, {"NORMAL"}),
        ({"fire": 1.0, "fault": 0.0}, {"NORMAL", "FIRE"}),
        ({"fire": 0.0, "fault": 0.0, "quality": {"fire": Quality.FAULT}}, {"NORMAL", "FAULT"}),
        ({"fire": 1.0, "fault": 0.0, "origin": Origin.EXERCISE}, {"FIRE"}),
        ({"fire": 0.0, "fault": 0.0, "origin": Origin.EXERCISE}, set()),
    ],
)
def test_a_component_s_state_has_the_bits_of_the_reading_and_an_exercise_is_the_test_mode(fields, words):
    told = state(device("lz-fire-gb-001-smoke"), measured("lz-fire-gb-001-smoke", **fields))
    assert {bit.name for bit in told.state} == words
    assert (told.component, told.text.startswith("示例联网建筑 1 号")) == (42, True)


def test_a_drill_is_a_fire_in_test_mode_and_afterwards_test_mode_until_all_is_over():
    faults = Faults(drills=1_440, drill=timedelta(minutes=1))
    assert device("lz-fire-gb-001-call", faults=faults).luck.drilling(START)
    seldom = Luck("d", Faults(drills=20, drill=timedelta(minutes=3)), Chance(1))
    minutes = [START + timedelta(minutes=at) for at in range(3_000)]
    drills = [at for at in range(3, 2_990) if seldom.drilling(minutes[at]) and not seldom.drilling(minutes[at + 3])]
    assert drills
    assert all(seldom.tested(minutes[at + later]) for at in drills for later in (0, 3, 5))
    (observation,) = heard(speakers(faults), measured("lz-fire-gb-001-call", fire=0.0, fault=0.0))
    assert (observation.values["fire"], observation.origin) == (1.0, "exercise")


def test_a_flagged_value_is_no_analogue():
    reading = {"fire": 0.0, "fault": 0.0, "temperature": 20.0}
    transmitter = device("lz-fire-gb-001-heat")
    assert len(transmitter.messages(measured("lz-fire-gb-001-heat", **reading), START)) == 2
    assert len(transmitter.messages(measured("lz-fire-gb-001-heat", **reading, quality={"temperature": Quality.FAULT}), START)) == 1


def test_the_same_seed_gives_the_same_devices_and_faults():
    faults = Faults(skewed=0.5, old=0.5, duplicates=0.1, damaged=0.1, outages=10)

    def told(seed):
        all_ = speakers(faults, chance=Chance(seed))
        return [
            (line.device.ahead, [line.luck.damaged(n) or line.luck.duplicate(n) for n in range(9)], line.luck.away(START)) for line in all_._lines
        ]

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_faults_come_about_as_often_as_they_are_said_to():
    lucks = [Luck(f"d{at}", Faults(cuts=2, outages=2, outage=timedelta(minutes=5), damaged=0.1), Chance(1)) for at in range(20)]
    minutes = [START + timedelta(minutes=at) for at in range(1_440)]
    assert sum(luck.cut(minute) for luck in lucks for minute in minutes) == pytest.approx(40, rel=0.5)
    assert sum(luck.away(minute) for luck in lucks for minute in minutes) == pytest.approx(200, rel=0.5)
    assert sum(luck.damaged(at) for luck in lucks for at in range(500)) == pytest.approx(1_000, rel=0.2)


def test_a_storm_breaks_all_connections_in_the_same_minute():
    lucks = [Luck(f"d{at}", Faults(storms=20), Chance(1)) for at in range(5)]
    cuts = [{at for at in range(1_440) if luck.cut(START + timedelta(minutes=at))} for luck in lucks]
    assert cuts[0]
    assert all(cut == cuts[0] for cut in cuts)


METRIC = Metric(unit="ug/m3", name={"zh": "甲", "en": "a"})


def test_a_unit_that_is_not_known_is_told():
    assert number(80.0, METRIC, unit="mg/m3", scale=0.001) == 80.0
    with pytest.raises(NoWord, match="ug/m3 in kg/m3"):
        number(1.0, METRIC, unit="kg/m3", scale=1)
    with pytest.raises(NoWord, match="scale of 0"):
        number(1.0, METRIC, unit=None, scale=0)


def test_a_mapping_that_no_message_can_be_made_for_is_told():
    sensor = registry().get("lz-sewage-mq-well-01").sensor
    mapping = next(one for one in place().mappings if one.id == "manhole")
    check(mapping, sensor)
    with pytest.raises(NoWord, match="names with dots"):
        check(mapping.model_copy(update={"origin": "payload.a || payload.b"}), sensor)
