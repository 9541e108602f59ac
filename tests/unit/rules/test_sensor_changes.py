"""What a change of a sensor's record leaves as it was and what it does not, by histories that once went wrong."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from services.rules.domain import controls, core
from services.rules.domain.step import Partition
from tests.unit.rules.histories import HERE, MIDNIGHT, THERE, activation, name, reading, rule, sensor, tick, way
from tests.unit.rules.oracle import Told
from tests.unit.rules.rounds import compare, told

DIGGING, ROOF = {"phase": "digging"}, {"phase": "roof"}


def phased(limit: float, digging: float) -> dict[str, Any]:
    return {"default": limit, "cases": [{"limit": digging, "attributes": {"phase": ["digging"]}}]}


def restored(partition: Partition, pages: dict[int, bytes]) -> Partition:
    """Write down what changed beside the pages of before, and begin again from all of it."""
    partition.begin_snapshot()
    while some := partition.take_pages(1 << 20):
        pages |= some
    return Partition.restore(pages, source=partition.source, sources=partition.sources)


def run(*log: wire.Record) -> list[Told]:
    """Return what the engine tells, which is what the oracle tells, before and after a restore at any record."""
    assert (difference := compare(list(log))) is None, difference
    partition = Partition()
    pages: dict[int, bytes] = {}
    found: list[Told] = []
    for record in log:
        found += told(partition, record)
        partition = restored(partition, pages)
    return found


@pytest.mark.parametrize(("value", "changes"), [(50, ["opened", "recovered"]), (75, ["opened", "recovered", "reopened"])])
def test_a_reading_after_the_change_still_counts_for_a_dwell_that_was_decided_without_it(value: float, changes: list[str]):
    """The reading at 14 s comes when 20 s of low ones were taken to have passed, and the sensor has another version since."""
    news = run(
        sensor(),
        activation(rule({"yellow": (way(70), way(60, dwell=20))})),
        reading(0, flow=75),
        reading(4, flow=50),
        tick(29),
        sensor(version=2),
        reading(14, flow=value),
    )
    assert [one["change"] for one in news] == changes


@pytest.mark.parametrize("again", [1, 2, 3])
def test_a_reading_that_waits_for_a_dwell_is_judged_by_the_limits_of_its_time(again: int):
    """The reading at 7 s is past what clears it in the pit and not on the roof; it came before the sensor was on the roof."""
    news = run(
        sensor(attributes=DIGGING),
        activation(rule({"red": (way(80, dwell=5), way(phased(50, 70)))})),
        reading(1, flow=95),
        reading(2, flow=90),
        reading(7, flow=60),
        *(sensor(version=1 + change, attributes=ROOF if change % 2 else DIGGING) for change in range(1, again + 1)),
        tick(20),
    )
    assert [(one["change"], one["evidence"]["observed_at"][-3:]) for one in news] == [("opened", "22Z"), ("recovered", "27Z")]
    assert news[1]["evidence"]["limit"] == 70.0
    assert news[0]["evidence"]["clears"]["limit"] == (50.0 if again % 2 else 70.0)


def test_a_condition_is_explained_by_the_limits_that_it_met():
    when = {"all": [{"measure": "main", "above": phased(90, 60)}]}
    (opened,) = run(
        sensor(attributes=DIGGING),
        activation(rule({"red": (way(when, dwell=10), way(20))})),
        reading(1, flow=70),
        sensor(version=2, attributes=ROOF),
        tick(30),
    )
    assert [(part["limit"], part["holds"]) for part in opened["evidence"]["parts"]] == [(60.0, True)]


@pytest.mark.parametrize("begins", [-1, 0])
@pytest.mark.parametrize("aggregate", ["count", "mean"])
def test_of_windows_on_a_grid_all_that_has_come_stays(begins: float, aggregate: str):
    """The tracker begins with a reading that it does not use: a late one, or one that is told again."""
    measure = {"kind": "window", "aggregate": aggregate, "length": 30, "every": 30, "at_least": 0 if aggregate == "count" else 1}
    run(
        sensor(),
        reading(0, flow=1),
        activation(rule({"red": (way(60), way(70))}, measure=measure, direction="below")),
        reading(begins, flow=1),
        tick(1010),
        sensor(version=2),
        reading(20, flow=50),
        tick(1060),
        reading(1065, flow=50),
        tick(1200),
    )


def test_a_late_exceedance_counts_though_the_day_is_over_since():
    news = run(
        sensor(),
        activation(rule({"orange": (way(1), way(0))}, measure={"kind": "exceedances", "over": 60.0})),
        reading(MIDNIGHT - 400, flow=0),
        tick(MIDNIGHT + 600),
        sensor(version=2),
        reading(MIDNIGHT - 300, flow=80),
    )
    assert [one["change"] for one in news] == ["opened", "recovered"]


AGREE = {"kind": "agreement", "past": 50.0, "within": 300, "place": "street"}


def test_a_place_ends_when_the_last_leaves_it_who_was_read_though_elsewhere():
    """s3 was read on the roof, and never in the pit, where it is the last one."""
    measure = {"kind": "agreement", "past": 50.0, "within": 300, "place": "attribute:phase"}
    news = run(
        sensor("s2", attributes=DIGGING),
        sensor("s3", attributes=ROOF),
        activation(rule({"blue": (way(0), way(2))}, measure=measure, direction="below")),
        reading(1, sensor="s3", flow=10),
        reading(2, sensor="s2", flow=90),
        sensor("s3", version=2, attributes=DIGGING),
        sensor("s2", version=2, attributes={}),
        sensor("s3", version=3, attributes=ROOF),
    )
    assert [(one["subject"], one["change"]) for one in news if "digging" in one["subject"]] == [
        ("990100001:digging/flow", "opened"),
        ("990100001:digging/flow", "sensor_moved"),
    ]


def test_a_count_begins_with_its_own_first_reading_whatever_another_rule_has_read():
    count = {"kind": "window", "aggregate": "count", "length": 30, "every": 30, "at_least": 0}
    other = {"other": {"metric": "level", "measure": {"kind": "value"}}}
    counts = rule({"red": (way(0), way(4))}, measure=count, direction="below")
    condition = rule({"red": (way({"measure": "other", "above": 90.0}), way(0))}, "r2", also=other)
    log = [sensor(), activation(counts), reading(1000, level=0), tick(1010), sensor(version=2), reading(20, flow=50), tick(1060)]
    alone = run(*log)
    assert alone == [one for one in run(*log[:2], activation(condition), *log[2:]) if one["rule"] == "r1"] != []


def test_what_a_sensor_read_before_it_joined_does_not_count_after_its_department_changes_either():
    news = run(
        sensor("s1", attributes=DIGGING),
        sensor("s2", attributes=ROOF),
        activation(rule({"blue": (way(1), way(0))}, measure={**AGREE, "place": "attribute:phase"})),
        reading(10, sensor="s1", flow=10),
        reading(100, sensor="s2", flow=90),
        sensor("s2", version=2, attributes=DIGGING),
        sensor("s2", version=3, attributes=DIGGING, department="e"),
        reading(50, sensor="s2", flow=90),
    )
    assert [one["subject"] for one in news if one["change"] == "opened"] == ["990100001:roof/flow"]


def test_who_was_read_in_another_street_keeps_no_place_alive():
    """s2's flow was read in another street; here only its level was, of which a condition on flow makes use."""
    news = run(
        sensor("s1"),
        sensor("s2", street=THERE),
        activation(rule({"blue": (way(0), way(2))}, measure=AGREE, direction="below")),
        activation(rule({"red": (way({"measure": "other", "above": 90.0}), way(0))}, "r2", also={"other": {"metric": "level"}})),
        reading(1, sensor="s2", street=THERE, flow=90),
        sensor("s2", version=2),
        reading(2, sensor="s2", level=10),
        reading(3, sensor="s1", flow=90),
        sensor("s1", version=2, street=THERE),
    )
    assert ("990100001/flow", "sensor_moved") in [(one["subject"], one["change"]) for one in news]


def test_a_place_that_begins_again_at_the_same_time_has_an_id_of_its_own():
    """The first warning begins at 6 s by its dwell, the second by two readings of that time."""
    news = run(
        sensor("s1"),
        sensor("s2"),
        activation(rule({"blue": (way(1, dwell=5), way(0)), "orange": (way(2), way(1))}, measure=AGREE)),
        reading(1, sensor="s1", flow=90),
        tick(12),
        sensor("s1", version=2, department="e"),
        reading(6, sensor="s1", flow=90),
        reading(6, sensor="s2", flow=90),
        tick(30),
    )
    assert [(one["rev"], one["change"]) for one in news] == [(1, "opened"), (2, "sensor_moved"), (1, "opened")]
    assert news[0]["id"] == news[1]["id"] != news[2]["id"]


def test_a_late_reading_that_nobody_watched_was_read_all_the_same():
    agrees = rule({"blue": (way(0), way(2))}, measure=AGREE, direction="below")
    news = run(
        sensor("s1"),
        sensor("s2", street=THERE),
        reading(100, sensor="s2", street=THERE, flow=90),
        sensor("s2", version=2),
        reading(50, sensor="s2", flow=90),
        activation(agrees),
        reading(120, sensor="s1", flow=90),
        sensor("s1", version=2, street=THERE),
    )
    assert [one["change"] for one in news] == ["opened"]


# A rule that fails.


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value 13 makes whatever looks at it fail."""
    take = Partition._take

    def broken(self: Partition, one: Any, series: Any, end: int, value: float, *, late: bool) -> Any:
        if value == 13:
            raise ArithmeticError("a fault of the engine")
        return take(self, one, series, end, value, late=late)

    monkeypatch.setattr(Partition, "_take", broken)


@pytest.mark.usefixtures("_broken")
@pytest.mark.parametrize("restarts", [False, True])
def test_a_rule_that_failed_goes_on_with_its_next_version_whether_or_not_there_was_a_restart(restarts: bool):  # noqa: FBT001 - parametrized
    failing = rule({"red": (way(80, dwell=5), way(50))})
    partition, pages = Partition(), dict[int, bytes]()
    for record in (sensor(), activation(failing), reading(1, flow=90), reading(2, flow=13)):
        told(partition, record)
    partition = restored(partition, pages) if restarts else partition
    told(partition, activation(failing.model_copy(update={"version": 2, "name": name("again")}), meaning=1))
    partition = restored(partition, pages) if restarts else partition
    assert [one["change"] for one in told(partition, tick(30))] == ["opened"]


@pytest.mark.parametrize("meaning", [1, 2])
def test_a_sensor_leaves_the_places_of_a_rule_that_can_no_longer_be_read_too(meaning: int):
    agrees, value = rule({"blue": (way(2), way(1))}, measure=AGREE), rule({"red": (way(95), way(50))}, "r2")
    partition = Partition()
    for record in (
        sensor("s1"),
        sensor("s2"),
        activation(agrees),
        activation(value),
        reading(1, sensor="s1", flow=90),
        reading(2, sensor="s2", flow=10),
    ):
        told(partition, record)
    partition.bodies = dict.fromkeys(partition.bodies, b'{"of": "an older version"}')
    partition = restored(partition, {})
    assert set(partition.aside) == {"r1", "r2"}
    told(partition, sensor("s1", version=2, street=THERE))
    told(partition, activation(agrees.model_copy(update={"version": 2}), meaning=meaning))
    told(partition, reading(4, sensor="s1", street=THERE, flow=90))
    assert told(partition, reading(5, sensor="s2", flow=90)) == []


@pytest.mark.usefixtures("_broken")
@pytest.mark.parametrize("sources", [1, 2])
def test_a_sensor_leaves_the_places_of_a_rule_that_has_failed_too(sources: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(core, "MOST_FAILED", 1)
    monkeypatch.setattr(controls, "partition_of", lambda street, _: [HERE, THERE].index(street.decode()))
    agrees = rule({"blue": (way(2), way(1))}, measure=AGREE)
    partition = Partition(source=0, sources=sources)
    for record in (
        sensor("s1"),
        sensor("s2"),
        activation(agrees),
        activation(rule({"red": (way(80), way(50))}, "r2")),
        reading(1, sensor="s1", flow=95),
        reading(2, sensor="s2", flow=13),
        sensor("s1", version=2, street=THERE),
    ):
        told(partition, record)
    assert set(partition.aside) == {"r1", "r2"}
    partition = restored(partition, {})
    told(partition, activation(agrees.model_copy(update={"version": 2, "name": name("again")}), meaning=1))
    told(partition, reading(4, sensor="s1", street=THERE, flow=95))
    assert told(partition, reading(5, sensor="s2", flow=96)) == []
