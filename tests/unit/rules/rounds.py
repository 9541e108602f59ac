"""Rounds of the engine against the oracle on made-up histories, with snapshots and crashes at random points.

`python -m tests.unit.rules.rounds --rounds 1000 [--seed 0] [--size 200] [--shapes value,window]` prints the first difference on the shortest
history that still shows it.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

from schemas import wire
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.rules.domain.revision import Revision
from services.rules.domain.step import Partition
from tests.unit.rules.histories import SHAPES, START, random_history
from tests.unit.rules.oracle import Oracle, Told

SIZES = (40, 120, 250)


def told(partition: Partition, record: wire.Record) -> list[Told]:
    """Return the warnings that the engine gives out on a record."""
    _, outputs = partition.step(record)
    return [Warning.model_validate_json(one.json()).model_dump(mode="json") for one in outputs if isinstance(one, Revision)]


def normal(warnings: Iterable[Told]) -> list[Told]:
    """As they are compared: of different warnings no order is promised, and numbers are equal to nine digits."""
    whole = [Warning.model_validate(one).model_dump(mode="json") for one in warnings]
    return sorted((_rounded(one) for one in whole), key=lambda one: (one["id"], one["rev"]))


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.9g}")
        case dict():
            return {name: _rounded(one) for name, one in value.items()}
        case list():
            return [_rounded(one) for one in value]
        case _:
            return value


@dataclass
class Owner:
    """Who runs a partition: takes snapshots while records come, and begins again from the newest whole one."""

    engine: type[Partition] = Partition
    partition: Partition = field(init=False)
    offset: int = 0
    """Of the newest whole snapshot: how many records it has."""
    pages: dict[int, bytes] = field(default_factory=dict)
    """Of the newest whole snapshot."""
    taking: dict[int, bytes] | None = None
    begun: int = 0

    def __post_init__(self) -> None:
        self.partition = self.engine()

    def snapshot(self, count: int, rng: Random) -> None:
        """After `count` records, perhaps begin a snapshot, or go on with the one that is being taken."""
        if self.taking is None:
            if rng.random() < 0.15:
                self.partition.begin_snapshot()
                self.taking, self.begun = {}, count
            return
        if rng.random() < 0.5:
            pages = self.partition.take_pages(rng.choice([1, 2_000, 100_000]))
            self.taking |= dict(pages)
            if not pages:
                assert not self.partition.snapshotting
                self.pages, self.offset, self.taking = {**self.pages, **self.taking}, self.begun, None

    def crash(self) -> None:
        """Lose all but the newest whole snapshot."""
        self.taking = None
        self.partition = self.engine.restore(self.pages) if self.pages else self.engine()


@dataclass
class Difference:
    """The first record at which the engine says something else."""

    at: int
    replayed: bool
    record: wire.Record
    engine: list[Told]
    oracle: list[Told]
    error: str = ""

    def __str__(self) -> str:
        head = f"record {self.at}{' when replayed after a crash' if self.replayed else ''}: {shown(self.record)}"
        if self.error:
            return f"{head}\n{self.error}"
        return "\n".join([head, *_both(self.engine, self.oracle)])


def compare(
    log: list[wire.Record], rng: Random | None = None, changes: Counter[str] | None = None, engine: type[Partition] = Partition
) -> Difference | None:
    """Return the first difference; with an `rng` there are snapshots and crashes. Counts in `changes` what the oracle tells, by kind of change."""
    oracle, owner = Oracle(), Owner(engine)
    expected: list[list[Told]] = []
    for at, record in enumerate(log):
        expected.append(normal(oracle.take(record)))
        if changes is not None:
            changes.update(one["change"] for one in expected[at])
        if (difference := _step(owner, at, record, expected[at], replayed=False)) is not None:
            return difference
        if rng is None:
            continue
        owner.snapshot(at + 1, rng)
        if rng.random() < 0.02:
            owner.crash()
            for again in range(owner.offset, at + 1):
                if (difference := _step(owner, again, log[again], expected[again], replayed=True)) is not None:
                    return difference
                owner.snapshot(again + 1, rng)
    return None


def _step(owner: Owner, at: int, record: wire.Record, expected: list[Told], *, replayed: bool) -> Difference | None:
    try:
        got = normal(told(owner.partition, record))
    except Exception:  # noqa: BLE001 - whatever the engine raises is a difference
        return Difference(at, replayed, record, [], expected, traceback.format_exc())
    return Difference(at, replayed, record, got, expected) if got != expected else None


def rounds(
    seeds: Iterable[int], size: int | None = None, shapes: tuple[str, ...] = tuple(SHAPES)
) -> Iterator[tuple[int, Difference | None, Counter[str]]]:
    """Yield seed by seed the first difference, and how many changes of each kind there were. Without a size they vary."""
    for seed in seeds:
        log = history(seed, size, shapes)
        changes: Counter[str] = Counter()
        difference = compare(log, Random(seed), changes)
        yield seed, difference, changes


def history(seed: int, size: int | None = None, shapes: tuple[str, ...] = tuple(SHAPES)) -> list[wire.Record]:
    return random_history(seed, size or SIZES[seed % len(SIZES)], shapes)


def shortest(log: list[wire.Record], seed: int | None, engine: type[Partition] = Partition) -> tuple[list[wire.Record], Difference]:
    """Leave out what the difference does not need; with a seed, crashes are drawn anew each time."""

    def differs(some: list[wire.Record]) -> Difference | None:
        return compare(some, None if seed is None else Random(seed), engine=engine)

    found = differs(log)
    assert found is not None
    log = log[: found.at + 1]
    part = max(1, len(log) // 2)
    while True:
        at = 0
        while at < len(log):
            fewer = log[:at] + log[at + part :]
            if fewer and (difference := differs(fewer)) is not None:
                log, found = fewer[: difference.at + 1], difference
            else:
                at += part
        if part == 1:
            return log, found
        part //= 2


# How it is shown.


def shown(record: wire.Record) -> str:
    """Return a record on one line, times in seconds after the start."""
    match record:
        case wire.Observation():
            period = f" over {(record.end - record.start) // 1_000_000} s" if record.end > record.start else ""
            flags = f" {record.quality}" if record.quality else ""
            origin = f" {record.origin}" if record.origin != "real" else ""
            return f"{record.sensor}@{record.street} {_seconds(record.end)} {record.statistic}{period} {record.values}{flags}{origin} ({record.id})"
        case wire.Tick():
            return f"tick {_seconds(record.time)} { ({name: _seconds(time) for name, time in record.adapters.items()}) }"
        case wire.Sensor():
            body = json.loads(record.body)
            words = {name: body["sensor"].get(name) for name in ("street", "department", "tags", "attributes")} if body else "spoiled"
            return f"sensor {record.sensor} v{record.version} {words}"
        case wire.Activation():
            body = json.loads(record.body)
            if not body:
                return f"rule {record.rule} v{record.version} spoiled"
            left_out = ("id", "version", "kind", "name", "unit", "standard")
            fields = {name: value for name, value in body["rule"].items() if name not in left_out}
            return f"rule {record.rule} v{record.version} meaning {body['meaning']} {json.dumps(_short(fields))}"
        case _:
            return repr(record)


def _short(value: Any) -> Any:
    """Leave out what says nothing: nulls, empty things, a run of one, a limit without cases."""
    if isinstance(value, list):
        return [_short(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"default", "cases"} and not value["cases"]:
        return value["default"]
    short = {name: _short(one) for name, one in value.items()}
    return {
        name: one for name, one in short.items() if one not in (None, {}, []) and (name, one) != ("readings", 1) and (name, one) != ("enabled", True)
    }


def _seconds(time: int) -> float:
    return (time - START) / 1_000_000


def _both(engine: list[Told], oracle: list[Told]) -> Iterator[str]:
    """Pair by (id, rev); of a pair only what differs."""
    ours, theirs = ({(one["id"], one["rev"]): one for one in some} for some in (engine, oracle))
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(name), theirs.get(name)
        if here is None or there is None:
            one = here or there or {}
            yield f"  only the {'oracle' if here is None else 'engine'} tells {_line(one)}"
        elif here != there:
            yield f"  both tell {_line(there)}"
            yield from (f"    {path}: engine {mine!r}, oracle {other!r}" for path, mine, other in _differing("", here, there))


def _line(one: Told) -> str:
    times = f"began {_of(one['began_at'])} changed {_of(one['changed_at'])}"
    return f"{one['rule']} {one['subject']} rev {one['rev']} {one['change']} {one['tier']} {times} {one['id']}"


def _of(time: str) -> float:
    return _seconds(wire.to_micros(datetime.fromisoformat(time)))


def _differing(path: str, here: Any, there: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(here, dict) and isinstance(there, dict):
        for name in here:
            yield from _differing(f"{path}.{name}".lstrip("."), here[name], there.get(name))
    elif here != there:
        yield path, here, there


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The engine against the oracle.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--all", action="store_true", help="go on after a difference, and only count them")
    given = parser.parse_args(argv)
    shapes = tuple(given.shapes.split(","))
    total: Counter[str] = Counter()
    different = []
    for seed, difference, changes in rounds(range(given.seed, given.seed + given.rounds), given.size, shapes):
        total += changes
        if difference is None:
            continue
        different.append(seed)
        if given.all:
            print(f"seed {seed}: {len(different)} differ; {str(difference).splitlines()[0][:150]}")
            continue
        log = history(seed, given.size, shapes)
        print(f"seed {seed} differs at record {difference.at} of {len(log)}; the shortest history that does:")
        short, found = shortest(log, None if compare(log) is not None else seed)
        for at, record in enumerate(short):
            print(f"{at:4} {shown(record)}")
        print(found)
        return 1
    print(f"{given.rounds} rounds, {len(different)} differ; told: {dict(total.most_common())}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
