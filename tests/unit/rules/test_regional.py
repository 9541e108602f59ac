"""Districts and the city: several partitions of observations and one of derived series, driven by hand, against a plain calculation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from schemas import wire
from schemas.rule import Rule
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.rules.domain import tracker as folding
from services.rules.domain.outcome import Reason
from services.rules.domain.revision import Forward, Revision
from services.rules.domain.step import Partition
from tests.unit.rules.histories import HERE, MIDNIGHT, THERE, activation, changed, name, reading, rule, sensor, tick, way

WINDOW = 600
FIRST = MIDNIGHT
DISTRICT, OTHER, CITY = "990100", "990200", "990000"
STREETS = (HERE, THERE)


@pytest.fixture(autouse=True)
def _in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each of two sources one street; by their codes both would be in one."""
    monkeypatch.setattr("services.rules.domain.controls.partition_of", lambda street, sources: STREETS.index(street.decode()) % sources)


class City:
    """Sources by street, and the one partition of derived series: what a source forwards comes to it at once."""

    def __init__(self, *rules: Rule, sources: int = 2) -> None:
        self.sources = [Partition(source=number, sources=sources) for number in range(sources)]
        self.derived = Partition(derived=True)
        self.pages: list[dict[int, bytes]] = [{} for _ in range(sources + 1)]
        self.log: list[Forward] = []
        self.told: list[Warning] = []
        self.give(*(activation(one) for one in rules), tick(FIRST))

    def give(self, *records: wire.Record) -> list[Warning]:
        """Give ticks and rules to all sources, the rest to that of its street; returns what is told."""
        told: list[Warning] = []
        for record in records:
            for source in self._of(record):
                told += self._take(source.step(record)[1])
        self.told += told
        return told

    def _of(self, record: wire.Record) -> list[Partition]:
        if not isinstance(record, wire.Observation | wire.Sensor):
            return self.sources
        here = self.sources[STREETS.index(record.street) % len(self.sources)]
        knows = [source for source in self.sources if isinstance(record, wire.Sensor) and record.sensor in source.sensors and source is not here]
        return [*knows, here]

    def _take(self, outputs: Iterable[Any]) -> list[Warning]:
        told: list[Warning] = []
        for one in outputs:
            if isinstance(one, Forward):
                self.log.append(one)
                told += self._take(self.derived.step(one.record)[1])
            else:
                assert isinstance(one, Revision)
                told.append(Warning.model_validate_json(one.json()))
        return told

    def restart(self) -> None:
        """Write all partitions down and read them again."""
        for known, one in zip(self.pages, (*self.sources, self.derived), strict=True):
            known.update(_changed(one))
        *of_sources, of_derived = self.pages
        self.sources = [Partition.restore(pages, source=one.source, sources=one.sources) for pages, one in zip(of_sources, self.sources, strict=True)]
        self.derived = Partition.restore(of_derived, derived=True)


def _changed(partition: Partition) -> dict[int, bytes]:
    partition.begin_snapshot()
    pages: dict[int, bytes] = {}
    while taken := partition.take_pages(1 << 20):
        pages |= dict(taken)
    return pages


def region(up: Any = 80, down: Any = 70, *, level: str = "district", aggregate: str = "mean", at_least: int = 1, **fields: Any) -> Rule:
    measure = {"kind": "regional", "level": level, "aggregate": aggregate, "length": WINDOW, "at_least": at_least}
    ways = [one if isinstance(one, dict) else way(one) for one in (up, down)]
    return rule({"red": (ways[0], ways[1])}, **{"measure": measure, **fields})


def background(up: float = 30, down: float = 20, *, level: str = "district", **fields: Any) -> Rule:
    more = {key: fields.pop(key) for key in ("cap", "stations", "at_least") if key in fields}
    return rule({"red": (way(up), way(down))}, measure={"kind": "background", "level": level, "length": WINDOW, **more}, **fields)


def end(window: int) -> float:
    """Return when a window ends, in seconds after the start; its readings end after the one before and up to it."""
    return FIRST + (window + 1) * WINDOW


def close(window: int) -> wire.Tick:
    return tick(end(window) + 5)


def within(window: int, number: int = 0, **fields: Any) -> wire.Observation:
    return reading(end(window) - WINDOW + 10 + number, **fields)


def stand(*where: tuple[str, str], **fields: Any) -> list[wire.Sensor]:
    return [sensor(id_, street=street, named=True, **fields) for id_, street in where]


def brief(told: Iterable[Warning]) -> list[tuple[str, int, str, float]]:
    return [(one.subject, one.rev, one.change.value, one.evidence.value) for one in told]


# Against a plain calculation.

PLAIN: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda means: sum(means) / len(means),
    "min": min,
    "max": max,
    "sum": sum,
    "count": lambda means: float(len(means)),
}
OF_ONE: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max, "sum": sum}


@pytest.mark.parametrize("level", ["district", "city"])
@pytest.mark.parametrize("aggregate", PLAIN)
def test_a_regions_number_is_what_a_plain_calculation_makes_of_its_sensors(aggregate: str, level: str):
    """A tier that is always entered and left by the next window tells each window's number."""
    rng = Random(f"{aggregate} {level}")
    sensors = [(f"s{number}", STREETS[number % 3 == 0]) for number in range(9)]
    city = City(region(way({"above": -1}), way({"below": 1e9}), aggregate=aggregate, level=level), sources=2)
    city.give(*stand(*sensors))
    regions = {id_: CITY if level == "city" else DISTRICT if street == HERE else OTHER for id_, street in sensors}
    for window in range(6):
        values: dict[str, dict[str, list[float]]] = {}
        for number in range(30):
            id_, street = rng.choice(sensors)
            value = rng.uniform(0, 100)
            city.give(within(window, number * 10, sensor=id_, street=street, flow=value))
            values.setdefault(regions[id_], {}).setdefault(id_, []).append(value)
        told = city.give(close(window))
        one_each = OF_ONE.get(aggregate, PLAIN["mean"])
        expected = {code: PLAIN[aggregate]([one_each(own) for own in of.values()]) for code, of in values.items()}
        assert {one.subject for one in told} == {f"{code}/flow/{aggregate}.600s" for code in expected}
        assert {one.street: one.evidence.value for one in told} == pytest.approx(expected)
        assert {one.sensor for one in told} == {None}


def test_a_warning_of_a_district_says_all_of_itself():
    city = City(region(standard="GB 1"))
    city.give(*stand(("s1", HERE), ("s2", HERE)), within(0, flow=90), within(0, sensor="s2", flow=80))
    (told,) = city.give(close(0))
    assert (told.subject, told.sensor, told.street, told.sensor_name.en) == (f"{DISTRICT}/flow/mean.600s", None, DISTRICT, f"region {DISTRICT}")
    assert (told.domain, told.department, told.origin, told.state, told.tier) == ("water", "d", "real", "open", "red")
    evidence = told.evidence
    assert (evidence.measure, evidence.value, evidence.limit, evidence.window_s, evidence.clears_at) == ("regional", 85, 80, 600, 70)
    assert (evidence.statistic, evidence.period_s, evidence.standard and evidence.standard.en) == ("mean", 600, "GB 1")
    assert wire.to_micros(told.began_at) == wire.to_micros(evidence.observed_at) == within(0).start + (WINDOW - 10) * 1_000_000


def test_a_chatty_sensor_counts_no_more_than_another():
    city = City(region(50, 40))
    city.give(*stand(("s1", HERE), ("s2", HERE)))
    city.give(*(within(0, number, flow=100) for number in range(99)), within(0, sensor="s2", flow=0))
    assert brief(city.give(close(0))) == [(f"{DISTRICT}/flow/mean.600s", 1, "opened", 50)]


def test_too_few_sensors_say_nothing_and_clear_nothing():
    city = City(region(at_least=2))
    city.give(*stand(("s1", HERE), ("s2", HERE)))
    assert city.give(within(0, flow=99), close(0)) == []
    assert len(city.give(within(1, flow=99), within(1, sensor="s2", flow=99), close(1))) == 1
    assert city.give(within(2, flow=0), close(2)) == []
    assert city.give(close(3)) == []
    assert brief(city.give(within(4, flow=0), within(4, sensor="s2", flow=0), close(4)))[0][1:] == (2, "recovered", 0)


def test_a_window_holds_what_ended_in_it_and_not_what_ended_at_its_beginning():
    city = City(region(50, 40))
    city.give(*stand(("s1", HERE)), reading(FIRST, flow=0), reading(end(0), flow=60), reading(end(0) + 0.001, flow=0))
    assert brief(city.give(close(0)))[0][2:] == ("opened", 60)


# When windows are judged.


def test_a_window_is_judged_once_all_sources_have_closed_it():
    city = City(region(level="city"), sources=2)
    city.give(*stand(("s1", HERE), ("s2", THERE)), within(0, flow=90), within(0, sensor="s2", street=THERE, flow=74))
    first, second = city.sources
    assert city._take(first.step(close(0))[1]) == []
    assert brief(city._take(second.step(close(0))[1])) == [(f"{CITY}/flow/mean.600s", 1, "opened", 82)]


def test_a_source_without_a_sensor_closes_windows_too():
    city = City(region(), sources=2)
    city.give(*stand(("s1", HERE)), within(0, flow=90))
    assert city._take(city.sources[0].step(close(0))[1]) == []
    assert len(city._take(city.sources[1].step(close(0))[1])) == 1


def test_windows_wait_the_grace_of_the_slowest_series():
    for applies, grace in (({}, 5), ({"statistic": "mean", "period": timedelta(seconds=60)}, 120), ({"statistic": "mean"}, 900)):
        city = City(region(applies={"metric": "flow", **applies}))
        period = 60 if applies else 0
        city.give(*stand(("s1", HERE)), reading(end(0) - 100, flow=90, period=period))
        assert city.give(tick(end(0) + grace - 0.1)) == []
        assert len(city.give(tick(end(0) + grace))) == 1


def test_windows_that_a_long_gap_of_ticks_has_passed_are_all_judged_in_order():
    city = City(region(way(80, readings=2), 70))
    city.give(*stand(("s1", HERE)), within(0, flow=90), within(1, flow=90), within(2, flow=0), within(3, flow=90))
    told = city.give(close(3))
    assert [(one.change, wire.to_micros(one.changed_at)) for one in told] == [("opened", tick(end(1)).time), ("recovered", tick(end(2)).time)]


# Late data.


def test_a_late_reading_has_its_window_told_again():
    city = City(region())
    city.give(*stand(("s1", HERE), ("s2", HERE)), within(0, flow=90), close(0), within(1, flow=90), close(1))
    (told,) = city.give(within(0, sensor="s2", flow=0), tick(end(1) + 6))
    assert (told.rev, told.change, wire.to_micros(told.began_at)) == (2, "revised", tick(end(1)).time)
    (again,) = city.give(within(0, sensor="s2", flow=80), tick(end(1) + 7))
    assert (again.id, again.rev, again.change, wire.to_micros(again.began_at)) == (told.id, 3, "revised", tick(end(0)).time)


def test_a_correction_retracts_and_what_comes_later_stays():
    city = City(region())
    city.give(*stand(("s1", HERE)), within(0, flow=90), close(0))
    (told,) = city.give(changed(within(0), values={"flow": 10.0}), tick(end(0) + 6))
    assert (told.rev, told.change, told.state) == (2, "retracted", "cleared")


def test_a_region_first_heard_of_late_is_judged_for_the_window_in_which_it_spoke():
    city = City(region())
    city.give(*stand(("s1", HERE)), close(0), close(1))
    told = city.give(within(0, flow=90), tick(end(1) + 6))
    assert [(one.change, wire.to_micros(one.began_at)) for one in told] == [("opened", tick(end(0)).time)]


def test_a_record_that_comes_twice_changes_nothing():
    city = City(region())
    city.give(*stand(("s1", HERE)), within(0, flow=90), close(0), within(1, flow=10), close(1))
    assert [one for again in city.log for one in city.derived.step(again.record)[1]] == []


# Dwells.


def test_readings_count_windows():
    city = City(region(way(80, readings=2), way(70, readings=2)))
    city.give(*stand(("s1", HERE)))
    told = [len(city.give(within(window, flow=value), close(window))) for window, value in enumerate((90, 60, 90, 90, 60, 60))]
    assert told == [0, 0, 0, 1, 0, 1]


def test_a_dwell_over_windows_is_decided_when_its_time_has_come():
    city = City(region(way(80, dwell=2 * WINDOW), 70))
    city.give(*stand(("s1", HERE)))
    told = [city.give(within(window, flow=90), close(window)) for window in range(3)]
    assert [len(one) for one in told] == [0, 0, 1]
    assert wire.to_micros(told[2][0].began_at) == tick(end(2)).time


def test_a_dwell_over_windows_needs_no_further_reading():
    city = City(region(way(80, dwell=2 * WINDOW), 70))
    city.give(*stand(("s1", HERE)), within(0, flow=90), close(0), within(1, flow=90), close(1))
    (told,) = city.give(close(2))
    assert (told.change, wire.to_micros(told.began_at), told.evidence.dwell_s) == ("opened", tick(end(2)).time, 1200)


def test_a_held_end_over_windows_needs_no_further_reading():
    city = City(region(flapping={"begins": 2, "within": 7200, "hold": 2 * WINDOW}))
    city.give(*stand(("s1", HERE)))
    told = [one.change for window, value in enumerate((90, 0, 90, 0)) for one in city.give(within(window, flow=value), close(window))]
    assert told == ["opened", "recovered", "opened"]
    assert city.give(close(4)) == []
    (over,) = city.give(close(5))
    assert (over.change, wire.to_micros(over.changed_at)) == ("recovered", tick(end(5)).time)


# Kept apart.


def test_origins_are_judged_apart():
    city = City(region())
    city.give(*stand(("s1", HERE), ("s2", HERE)), within(0, flow=0), changed(within(0, sensor="s2", flow=99), origin="exercise"))
    (told,) = city.give(close(0))
    assert (told.subject, told.origin, told.evidence.value) == (f"{DISTRICT}/flow/mean.600s@exercise", "exercise", 99)


def test_each_district_is_judged_for_itself():
    city = City(region())
    city.give(*stand(("s1", HERE), ("s2", THERE)), within(0, flow=90), within(0, sensor="s2", street=THERE, flow=10))
    assert [one.street for one in city.give(close(0))] == [DISTRICT]


def test_a_rule_counts_only_the_sensors_to_which_it_applies():
    city = City(region(applies={"metric": "flow", "tags": ["rain"]}))
    city.give(*stand(("s1", HERE), tags=["rain"]), *stand(("s2", HERE)), within(0, flow=90), within(0, sensor="s2", flow=0))
    assert brief(city.give(close(0)))[0][2:] == ("opened", 90)


# Backgrounds.


def test_a_sensor_is_compared_with_the_mean_of_its_district():
    city = City(background())
    city.give(*stand(("s1", HERE), ("s2", HERE), ("s3", HERE), ("s4", THERE)))
    city.give(within(0, flow=90), within(0, sensor="s2", flow=30), within(0, sensor="s3", flow=30), within(0, sensor="s4", street=THERE, flow=500))
    (told,) = city.give(close(0))
    assert (told.subject, told.sensor, told.street, told.sensor_name) == ("s1/flow/mean.600s", "s1", HERE, name("s1"))
    assert (told.evidence.measure, told.evidence.value, told.evidence.background, told.evidence.limit) == ("background", 40, 50, 30)


def test_the_background_counts_at_most_its_cap():
    city = City(background(cap=10))
    city.give(*stand(("s1", HERE), ("s2", HERE)), within(0, flow=45), within(0, sensor="s2", flow=35))
    told = city.give(close(0))
    assert [(one.sensor, one.evidence.value, one.evidence.background) for one in told] == [("s1", 35, 10)]


def test_stations_make_the_background_and_sites_are_compared_with_it():
    city = City(background(stations=["station"], applies={"metric": "flow", "tags": ["site"]}))
    city.give(*stand(("s1", HERE), ("s2", HERE), tags=["site"]), *stand(("b1", HERE), ("b2", HERE), tags=["station"]), *stand(("x1", HERE)))
    for id_, value in (("s1", 90), ("s2", 49), ("b1", 10), ("b2", 30), ("x1", 500)):
        city.give(within(0, sensor=id_, flow=value))
    told = city.give(close(0))
    assert [(one.sensor, one.evidence.value, one.evidence.background) for one in told] == [("s1", 70, 20)]


def test_with_too_few_stations_nothing_is_compared():
    city = City(background(stations=["station"], at_least=2))
    city.give(*stand(("s1", HERE)), *stand(("b1", HERE), ("b2", HERE), tags=["station"]))
    assert city.give(within(0, flow=90), within(0, sensor="b1", flow=1), close(0)) == []
    assert len(city.give(within(1, flow=90), within(1, sensor="b1", flow=1), within(1, sensor="b2", flow=1), close(1))) == 1


def test_the_citys_background_is_made_of_all_sources():
    city = City(background(level="city"))
    city.give(*stand(("s1", HERE), ("s2", THERE)), within(0, flow=90), within(0, sensor="s2", street=THERE, flow=10))
    assert [(one.sensor, one.evidence.value, one.evidence.background) for one in city.give(close(0))] == [("s1", 40, 50)]


def test_a_late_reading_of_a_station_revises_the_sites():
    city = City(background(stations=["station"]))
    city.give(*stand(("s1", HERE)), *stand(("b1", HERE), ("b2", HERE), tags=["station"]))
    (told,) = city.give(within(0, flow=90), within(0, sensor="b1", flow=50), close(0))
    (again,) = city.give(within(0, sensor="b2", flow=90), tick(end(0) + 6))
    assert (again.id, again.rev, again.change) == (told.id, 2, "retracted")


def test_a_dwell_against_a_background_needs_no_further_reading():
    measure = {"kind": "background", "level": "district", "length": WINDOW}
    city = City(rule({"red": (way(30, dwell=2 * WINDOW), way(20))}, measure=measure))
    city.give(*stand(("s1", HERE), ("s2", HERE)))
    for window in range(2):
        assert city.give(within(window, flow=90), within(window, sensor="s2", flow=10), close(window)) == []
    (told,) = city.give(close(2))
    assert (told.change, told.sensor, wire.to_micros(told.began_at)) == ("opened", "s1", tick(end(2)).time)


# A sensor that moves, a rule that changes.


def test_a_sensor_that_moves_counts_for_its_new_district_only():
    city = City(region(at_least=1))
    city.give(*stand(("s1", HERE)), within(0, flow=10), within(0, 1, flow=10), sensor(version=2, street=THERE, named=True))
    told = city.give(within(0, 2, street=THERE, flow=90), close(0))
    assert [(one.street, one.evidence.value) for one in told] == [(OTHER, 90)]


def test_a_moved_sensor_is_not_counted_again_in_its_old_partition_after_a_restart():
    city = City(region())
    city.give(*stand(("s1", HERE), ("s2", HERE)), within(0, flow=0), within(0, sensor="s2", flow=90))
    city.give(sensor(version=2, street=THERE, named=True))
    city.restart()
    assert [(one.street, one.evidence.value) for one in city.give(close(0))] == [(DISTRICT, 90)]


def test_a_compared_sensor_that_moves_closes_and_is_not_raised_again_by_its_old_windows():
    city = City(background(level="city"))
    city.give(*stand(("s1", HERE), ("s2", THERE)), within(0, flow=90), within(0, sensor="s2", street=THERE, flow=10))
    (told,) = city.give(close(0))
    (closed,) = city.give(sensor(version=2, street=THERE, named=True))
    assert (closed.id, closed.rev, closed.change, closed.street) == (told.id, 2, "sensor_moved", HERE)
    assert city.give(within(0, 1, sensor="s2", street=THERE, flow=12), tick(end(0) + 6)) == []


@pytest.mark.parametrize("made", [region, background])
def test_a_rule_that_changes_its_meaning_closes_and_begins_anew(made: Callable[..., Rule]):
    city = City(made())
    city.give(*stand(("s1", HERE), ("s2", HERE), ("s3", HERE)))
    numbers = {"s1": 400, "s2": 90, "s3": 80}
    (told,) = city.give(*(within(0, sensor=id_, flow=value) for id_, value in numbers.items()), close(0))
    (closed,) = city.give(activation(made(31, 20, version=2)))
    assert (closed.id, closed.rev, closed.change, closed.rule_version) == (told.id, 2, "rule_changed", 1)
    (again,) = city.give(*(within(1, sensor=id_, flow=value) for id_, value in numbers.items()), close(1))
    assert (again.rev, again.meaning, again.evidence.limit, again.id == told.id) == (1, 2, 31, False)
    (closed,) = city.give(activation(made(31, 20, version=3, enabled=False)))
    assert closed.change == "rule_changed"
    assert city.give(*(within(2, sensor=id_, flow=value) for id_, value in numbers.items()), close(2), close(3)) == []


def test_a_new_text_keeps_the_warning():
    city = City(region())
    city.give(*stand(("s1", HERE)), within(0, flow=90), close(0))
    assert city.give(activation(region(version=2, name=name("new")), meaning=1)) == []
    (over,) = city.give(within(1, flow=0), close(1))
    assert (over.rev, over.rule_name.en, over.rule_version) == (2, "new", 2)


def test_what_an_old_meaning_sent_late_is_not_taken():
    city = City(region())
    city.give(*stand(("s1", HERE)), within(0, flow=90), close(0))
    old = list(city.log)
    city.give(activation(region(version=2)), within(1, flow=0), close(1))
    assert {city.derived.step(one.record)[0] for one in old} == {Reason.OLD_VERSION}


# Restarts.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("made", [region, background])
def test_after_a_restart_of_both_sides_all_is_told_as_without_one(made: Callable[..., Rule], seed: int):
    one = made(55 if made is region else 10, 45 if made is region else 5, level="city" if seed % 2 else "district")
    records = _random(Random(seed))
    going, stopped = City(one), City(one)
    rng = Random(seed + 1)
    for record in records:
        assert _sorted(going.give(record)) == _sorted(stopped.give(record))
        if rng.random() < 0.04:
            stopped.restart()
    assert going.log == stopped.log
    assert {told.change.value for told in going.told} >= {"opened", "recovered"}


def _sorted(told: list[Warning]) -> list[Warning]:
    return sorted(told, key=lambda one: (one.id, one.rev))


def _random(rng: Random) -> list[wire.Record]:
    """Windows of readings, some late, with sensors that move."""
    streets = {f"s{number}": STREETS[number % 2] for number in range(5)}
    versions = dict.fromkeys(streets, 1)
    records: list[wire.Record] = [*stand(*streets.items())]
    for window in range(8):
        level = rng.choice([20, 80])
        for _ in range(25):
            id_ = rng.choice(list(streets))
            back = rng.choice([0, 0, 0, 0, 1, 2])
            value = min(100, max(0, rng.gauss(level, 30)))
            records.append(within(window - back, rng.randrange(WINDOW - 20), sensor=id_, street=streets[id_], flow=value))
            if rng.random() < 0.02:
                versions[id_] += 1
                streets[id_] = STREETS[streets[id_] == HERE]
                records.append(sensor(id_, versions[id_], street=streets[id_], named=True))
            if rng.random() < 0.2:
                records.append(tick(end(window) - rng.randrange(1, WINDOW)))
        records.append(close(window))
    return records


@pytest.mark.parametrize("seed", range(3))
def test_late_data_end_where_data_in_time_do(seed: int):
    """The newest revision of what is not taken back is the same whether readings came before their window was closed or after."""
    rng = Random(seed)
    readings = [within(window, number, sensor=f"s{number % 4}", flow=rng.uniform(0, 100)) for window in range(5) for number in range(12)]
    closes = [close(window) for window in range(7)]

    def result(records: list[wire.Record]) -> set[Any]:
        city = City(region(50, 50))
        city.give(*stand(*((f"s{number}", HERE) for number in range(4))), *records)
        newest = {one.id: one for one in city.told}
        kept = [one for one in newest.values() if one.change not in {"retracted", "merged"}]
        return {(one.began_at, one.cleared_at, one.state) for one in kept}

    in_time: list[wire.Record] = []
    for window in range(5):
        in_time += readings[window * 12 : window * 12 + 12]
        in_time.append(closes[window])
    in_time += closes[5:]
    late = list(readings)
    rng.shuffle(late)
    mixed: list[wire.Record] = [*late[:20], *closes[:4], *late[20:], *closes[4:]]
    assert result(mixed) == result(in_time) != set()


# What the relay sends again, and what comes in another order from two sources.


@pytest.mark.parametrize("made", [region, background])
def test_what_is_sent_again_after_a_crash_undoes_nothing_newer(made: Callable[..., Rule]):
    city = City(made(30, 20), sources=1)
    city.give(*stand(("s1", HERE), ("s2", HERE)), within(0, flow=99), within(0, sensor="s2", flow=9), close(0))
    city.give(within(0, 1, sensor="s2", flow=0), tick(end(0) + 6))
    assert len({one.record.sequence for one in city.log if isinstance(one.record, wire.Partial)}) == 2
    newest = {one.id: one.model_dump() for one in city.told}
    assert [one for again in city.log for one in city.derived.step(again.record)[1]] == []
    assert brief(city.give(within(1, flow=0), within(1, sensor="s2", flow=0), close(1)))[0][2] == "recovered"
    assert len(newest) == 1


def test_a_window_that_is_settled_is_not_opened_again_by_a_repetition():
    city = City(region(), sources=1)
    city.give(*stand(("s1", HERE)), within(0, flow=90), close(0))
    (old,) = [one.record for one in city.log if isinstance(one.record, wire.Partial)]
    for window in range(1, 12):
        city.give(within(window, flow=0), close(window))
    reason, told = city.derived.step(old)
    assert (reason, *told) == (Reason.TOO_LATE,)


def test_a_repeated_leaving_ends_nothing_of_a_sensor_that_came_back():
    city = City(background(applies={"metric": "flow", "tags": ["site"]}, stations=["station"]), sources=1)
    city.give(*stand(("s1", HERE), tags=["site"]), *stand(("b1", HERE), tags=["station"]))
    city.give(within(0, flow=90), within(0, sensor="b1", flow=0), close(0))
    assert brief(city.give(*stand(("s1", HERE), version=2)))[0][1:3] == (2, "sensor_moved")
    city.give(*stand(("s1", HERE), version=3, tags=["site"]))
    (told,) = city.give(within(1, flow=90), within(1, sensor="b1", flow=0), close(1))
    (left,) = [one.record for one in city.log if isinstance(one.record, wire.Left)]
    assert told.state == "open"
    assert [one for repeated in [*(one.record for one in city.log), left] for one in city.derived.step(repeated)[1]] == []
    assert brief(city.give(within(2, flow=0), within(2, sensor="b1", flow=0), close(2)))[0][1:3] == (2, "recovered")


def _told_elsewhere() -> tuple[Partition, Callable[..., wire.Record]]:
    """Return a partition of two districts and two sources, where a sensor was compared in one and is now in the other."""
    derived = Partition(derived=True)
    derived.step(activation(background()))

    def partial(code: str, source: int, window: int, sites: tuple[str, ...], mean: float = 90, sequence: float | None = None) -> wire.Record:
        there = tuple(wire.Site(id_, {"zh": id_, "en": id_}, STREETS[source], "water", "d", mean) for id_ in sites)
        by = close(window).time if sequence is None else tick(sequence).time
        of = ("r1", 1, code, {"zh": code, "en": code}, "water", "d", "real", tick(end(window)).time)
        return wire.Partial(source, *of, 4, 100.0, 0.0, 90.0, there, by)

    return derived, partial


def _take(derived: Partition, *records: wire.Record) -> list[Warning]:
    return [Warning.model_validate_json(one.json()) for record in records for one in derived.step(record)[1] if isinstance(one, Revision)]


def _closes(window: int) -> list[wire.Record]:
    return [wire.Closed(source, 2, "r1", 1, tick(end(window)).time) for source in range(2)]


@pytest.mark.parametrize("restarts", [False, True])
def test_leaving_the_old_district_ends_nothing_of_the_new_one(restarts: bool):  # noqa: FBT001 - a case
    derived, partial = _told_elsewhere()
    (told,) = _take(derived, partial(DISTRICT, 0, 0, ("s1",)), *_closes(0))
    moved, again = _take(derived, partial(OTHER, 1, 1, ("s1",)), *_closes(1))
    assert (moved.id, moved.rev, moved.change, moved.street) == (told.id, 2, "sensor_moved", HERE)
    assert (again.change, again.street) == ("opened", THERE)
    if restarts:
        derived = Partition.restore(_changed(derived), derived=True)
    assert _take(derived, wire.Left("r1", DISTRICT, "s1", 0, close(1).time)) == []
    assert _take(derived, partial(DISTRICT, 0, 0, ("s1",), 10, end(1) + 5)) == []
    (over,) = _take(derived, wire.Left("r1", OTHER, "s1", 1, close(1).time))
    assert (over.id, over.change) == (again.id, "sensor_moved")


def test_a_station_stays_in_the_background_when_something_else_of_it_changes():
    city = City(background(stations=["station"], applies={"metric": "flow", "tags": ["site"]}), sources=1)
    city.give(*stand(("s1", HERE), tags=["site"]), *stand(("b1", HERE), tags=["station"]), within(0, flow=90), within(0, sensor="b1", flow=20))
    city.give(*stand(("b1", HERE), tags=["station"], version=2, attributes={"a": "b"}))
    (told,) = city.give(close(0))
    assert (told.sensor, told.evidence.value, told.evidence.background) == ("s1", 70, 20)


def test_a_sensor_that_is_compared_no_more_closes_and_goes_on_as_a_station():
    city = City(background(stations=["station"], applies={"metric": "flow", "tags": ["site"]}), sources=1)
    city.give(*stand(("s1", HERE), ("s2", HERE), tags=["site", "station"]), within(0, flow=99), within(0, sensor="s2", flow=9), close(0))
    (closed,) = city.give(*stand(("s1", HERE), tags=["station"], version=2))
    assert (closed.sensor, closed.change) == ("s1", "sensor_moved")
    (told,) = city.give(within(1, flow=-99), within(1, sensor="s2", flow=9), close(1))
    assert (told.sensor, told.evidence.background) == ("s2", -45)


@pytest.mark.parametrize("made", [region, background])
def test_a_rule_that_becomes_another_kind_is_withdrawn_from_the_regions(made: Callable[..., Rule]):
    city = City(made(30, 20))
    city.give(*stand(("s1", HERE), ("s2", HERE)), within(0, flow=99), within(0, sensor="s2", flow=9))
    (told,) = city.give(close(0))
    closed = city.give(activation(rule({"red": (way(500), way(20))}, version=2)))
    assert [(one.id, one.rev, one.change) for one in closed] == [(told.id, 2, "rule_changed")]
    city.restart()
    old = [one.record for one in city.log]
    assert city.give(within(1, flow=99), within(1, sensor="s2", flow=9), close(1)) == []
    assert [one for record in old for one in city.derived.step(record)[1]] == []
    assert (city.derived.regions.known, city.derived.regions.closing, city.sources[0].statistics.state) == ({}, {}, {})


def test_a_restart_counts_a_sensor_by_the_rules_that_have_met_it_and_no_other():
    city, going = (City(region(id_="tagged", applies={"metric": "flow", "tags": ["t"]}), region(id_="all"), sources=1) for _ in range(2))
    for one in (city, going):
        one.give(*stand(("s1", HERE), tags=["t"]), within(0, flow=90), sensor(version=2, named=True), activation(region(id_="late")))
    city.restart()
    for one in (city, going):
        one.give(close(0), sensor(version=3, tags=["t"], named=True), close(1), tick(end(1) + 6))
    assert city.log == going.log
    assert {one.record.rule for one in city.log if isinstance(one.record, wire.Partial)} == {"all"}
    assert city.told == going.told


def test_many_sites_go_in_several_records_and_are_judged_as_if_in_one(monkeypatch: pytest.MonkeyPatch):
    told: list[list[Any]] = []
    for most in (500, 3):
        monkeypatch.setattr("services.rules.domain.kinds.regional.MOST_SITES", most)
        city = City(background(), sources=1)
        city.give(*stand(*((f"s{number}", HERE) for number in range(10))))
        for window in range(3):
            city.give(*(within(window, sensor=f"s{number}", flow=10 * number * (window != 2)) for number in range(10)), close(window))
            city.restart()
            city.give(within(window, 1, sensor="s0", flow=80 * (window == 0)), tick(end(window) + 6))
        told.append(_sorted(city.told))
        sent = [one.record for one in city.log if isinstance(one.record, wire.Partial)]
        assert {(one.part, one.parts, len(one.sites)) for one in sent} == (
            {(0, 1, 10)} if most == 500 else {(0, 4, 3), (1, 4, 3), (2, 4, 3), (3, 4, 1)}
        )
        assert [one for again in city.log for one in city.derived.step(again.record)[1]] == []
    assert told[0] == told[1] != []


def test_time_is_passed_only_to_what_waits_for_it(monkeypatch: pytest.MonkeyPatch):
    measure = {"kind": "background", "level": "district", "length": WINDOW}
    city = City(rule({"red": (way(30, dwell=2 * WINDOW), way(20))}, measure=measure), sources=1)
    numbers = {f"s{number}": 90 if number == 0 else 0 for number in range(20)}
    city.give(*stand(*((id_, HERE) for id_ in numbers)), *(within(0, sensor=id_, flow=value) for id_, value in numbers.items()), close(0))
    city.restart()
    looked: list[str] = []
    tick_of = folding.tick
    monkeypatch.setattr(folding, "tick", lambda one, *rest: looked.append(one.owner.subject) or tick_of(one, *rest))
    assert city.give(close(1)) == []
    assert looked == ["s0/flow/mean.600s"]
    city.derived.step(next(one.record for one in reversed(city.log) if isinstance(one.record, wire.Closed)))
    assert looked == ["s0/flow/mean.600s"]


@pytest.mark.parametrize("kind", [{"kind": "regional", "aggregate": "mean"}, {"kind": "background"}])
@pytest.mark.parametrize(("length", "good"), [(1, False), (9, False), (10, True), (420, False), (600, True), (86_400, True), (172_800, False)])
def test_windows_of_regions_fit_into_a_day(kind: dict[str, str], length: int, good: bool):  # noqa: FBT001 - a case
    measure = {**kind, "level": "city", "length": length}
    if good:
        assert rule({"red": (way(2), way(1))}, measure=measure).measure.kind == kind["kind"]
        return
    with pytest.raises(ValidationError, match="a day must be a multiple of it: take PT10M"):
        rule({"red": (way(2), way(1))}, measure=measure)


# What no number holds.


@pytest.mark.parametrize("aggregate", ["mean", "sum", "max"])
def test_a_broken_sensor_whose_values_add_up_to_no_number_harms_no_region(aggregate: str):
    city = City(region(aggregate=aggregate))
    city.give(*stand(("a", HERE), ("b", HERE), ("c", THERE)))
    told = city.give(*(within(0, number, sensor="a", flow=1.7e308) for number in range(3)), within(0, sensor="b", flow=90), close(0))
    assert [one.change.value for one in told] == ["opened"]
    assert [source.aside for source in (*city.sources, city.derived)] == [{}, {}, {}]
    told = city.give(*(within(1, sensor=id_, street=street, flow=1.7e308) for id_, street in (("a", HERE), ("b", HERE), ("c", THERE))), close(1))
    assert [source.aside for source in (*city.sources, city.derived)] == [{}, {}, {}]
    assert all(one.evidence.value < float("inf") for one in told)
    assert [one.change.value for one in city.give(within(2, sensor="b", flow=10), close(2))] == ["recovered"]


@pytest.mark.parametrize("where", STREETS)
def test_the_gravest_value_of_a_region_is_one_whose_sum_with_another_is_beyond_a_float(where: str):
    """In whichever partition that other stands."""
    city = City(region(aggregate="max", level="city"))
    city.give(*stand(("a", HERE), ("b", where)))
    told = city.give(within(0, sensor="a", flow=1.7e308), within(0, sensor="b", street=where, flow=1.7e308), close(0))
    assert [(one.change.value, one.evidence.value) for one in told] == [("opened", 1.7e308)]
