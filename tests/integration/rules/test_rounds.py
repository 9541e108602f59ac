"""Ten seeded rounds of the oracle on real processes; `python -m tests.integration.rules.rounds --rounds 1000` plays more."""

from __future__ import annotations

import json
from pathlib import Path

from aiokafka import ConsumerRecord

from schemas import wire
from services.kit.topics import WARNINGS
from services.rules.domain.step import Partition
from tests.integration.parts import Server, Servers
from tests.integration.rooms import partition_for
from tests.integration.rules.rounds import Round, differences, misprinted, place, play
from tests.unit.rules.oracle import Told
from tests.unit.rules.rounds import told

ROUNDS = 10


async def test_ten_rounds_on_real_processes_tell_what_the_oracle_tells(servers: Servers, database: str, broker: Server, tmp_path: Path):
    played = await play(servers, database, tmp_path, [place(seed, partition) for partition, seed in enumerate(range(ROUNDS))])
    assert not played.problems, "\n".join(played.problems)
    assert played.warnings > 500
    assert len(played.disturbances) == 7
    assert played.assigned > 3


def test_a_history_is_placed_whole_in_its_partition_under_names_of_its_own():
    one, other = place(3, 7), place(4, 8)
    for each in (one, other):
        streets = {record.street for record in each.log if isinstance(record, wire.Sensor | wire.Observation)}
        assert {partition_for(street) for street in streets} == {each.partition}
        assert len(streets) == 2
    warnings = alone(one)
    assert warnings
    assert all(one.owns(revision) and not other.owns(revision) for revision in warnings)
    assert not {(each["id"]) for each in warnings} & {each["id"] for each in alone(other)}


def test_what_is_lost_doubled_or_changed_is_found():
    one = place(1, 0)
    whole = {(each["id"], each["rev"]): each for each in alone(one)}
    logs = {0: [wire.encode(record) for record in one.log]}
    assert not list(differences([one], logs, whole))
    some = list(whole)[len(whole) // 2]
    (lost,) = differences([one], logs, {key: each for key, each in whole.items() if key != some})
    assert "seed 1, partition 0" in lost
    assert "only the oracle tells" in lost
    (changed,) = differences([one], logs, whole | {some: {**whole[some], "street": "990100999"}})
    assert "street: engine '990100999'" in changed
    doubled = {**whole[some], "id": "00000000-0000-5000-8000-000000000000"}
    (more,) = differences([one], logs, whole | {(doubled["id"], doubled["rev"]): doubled})
    assert "only the engine tells" in more
    (strange,) = differences([one], logs, whole | {("x", 1): {**whole[some], "rule": "r1"}})
    assert "of no round" in strange


def test_what_is_published_otherwise_than_told_is_found():
    whole = {(each["id"], each["rev"]): each for each in alone(place(1, 0))}
    good = [printed(each) for each in whole.values()]
    assert not list(misprinted([*good, *good], whole))
    again = next(at for at, each in enumerate(whole.values()) if each["rev"] == 2)
    first = next(at for at, (id_, rev) in enumerate(whole) if rev == 1 and id_ == list(whole)[again][0])
    swapped = list(good)
    swapped[first], swapped[again] = good[again], good[first]
    assert "comes after rev 0" in next(misprinted(swapped, whole))
    assert f"of {sum(id_ == list(whole)[-1][0] for id_, _ in whole)} revisions" in next(misprinted(good[:-1], whole))
    assert "and the table" in next(misprinted([*good, printed({**next(iter(whole.values())), "tier": "red!"})], whole))


def alone(one: Round) -> list[Told]:
    """Return what the engine tells of a history by itself."""
    partition = Partition()
    return [revision for record in one.log for revision in told(partition, record)]


def printed(revision: Told) -> ConsumerRecord:
    value = json.dumps(revision).encode()
    return ConsumerRecord(WARNINGS, 0, 0, 0, 0, revision["subject"].encode(), value, None, 0, len(value), ())
