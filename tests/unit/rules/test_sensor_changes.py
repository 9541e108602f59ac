"""What a change of a sensor's record leaves as it was and what it does not, by histories that once went wrong."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import wire
from services.rules.domain.step import Partition
from tests.unit.rules.histories import activation, reading, rule, sensor, tick, way
from tests.unit.rules.oracle import Told
from tests.unit.rules.rounds import compare, told

DIGGING, ROOF = {"phase": "digging"}, {"phase": "roof"}


def phased(limit: float, digging: float) -> dict[str, Any]:
    return {"default": limit, "cases": [{"limit": digging, "attributes": {"phase": ["digging"]}}]}


def run(*log: wire.Record) -> list[Told]:
    """Return what the engine tells, which is what the oracle tells, before and after a restore at any record."""
    assert (difference := compare(list(log))) is None, difference
    partition = Partition()
    pages: dict[int, bytes] = {}
    found: list[Told] = []
    for record in log:
        found += told(partition, record)
        partition.begin_snapshot()
        while some := partition.take_pages(1 << 20):
            pages |= some
        partition = Partition.restore(pages)
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
