"""Random histories through real rules processes, a real broker and a real database, against the oracle, while owners die, hang, come and go.

`python -m tests.integration.rules.rounds --rounds 1000 [--seed 0] [--size 500]` plays 24 histories side by side, each in a partition of its own,
and prints the first record at which a partition tells something else than the oracle; with `--all` it goes on then.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import CollectorRegistry

from schemas import wire
from services.cli import folder
from services.kit.errors import Unavailable
from services.kit.producer import Producer
from services.kit.topics import OBSERVATIONS, WARNINGS
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import made_anew, partition_for, publish_records, write_city
from tests.integration.rules.workers import position
from tests.unit.rules.histories import HERE, RULES, SENSORS, THERE, changed, random_history
from tests.unit.rules.oracle import Oracle, Told
from tests.unit.rules.rounds import Difference, compare, normal

SIZE = 600
"""Records of a history."""
SIDE_BY_SIDE = 24
"""As many as `city.observations` has partitions."""
HELD_BACK = 0.15
"""Of a history: comes after the last disturbance."""
SESSION_S = 6.0
"""Of a member of the group: `services.kit.consumer.SESSION_MS`."""
SETTLED_S = 90.0
"""Within so long after the last record all is told and written down."""
FAULTS = ("crashed", "record_failed", "undecodable_record", "unreadable_snapshot", "records_lost_to_retention")
"""What no log of an owner may have."""

Revisions = Mapping[tuple[str, int], Told]
"""By id and rev."""


# Histories in partitions of their own.


@dataclass(frozen=True)
class Round:
    """A history on streets of one partition; its rules and sensors have names that no other round has, so no other has its warnings."""

    seed: int
    partition: int
    log: list[wire.Record]

    def owns(self, told: Told) -> bool:
        return str(told["rule"]).endswith(f"-{self.seed}")


def place(seed: int, partition: int, size: int = SIZE) -> Round:
    """Return the history of a seed in a partition."""
    streets = {street: _street(street, partition) for street in (HERE, THERE)}
    names = streets | {one: f"{one}-{seed}" for one in (*SENSORS, *RULES)}
    log = [_renamed(record, names) for record in random_history(seed, size)]
    # In the end nothing waits for time any more.
    end = max(record.time for record in log if isinstance(record, wire.Tick))
    ahead = (10, 100, 1_000, 4_000)
    return Round(seed, partition, [*log, *(wire.Tick(time=end + seconds * 1_000_000, node="n1", adapters={}) for seconds in ahead)])


def _street(street: str, partition: int) -> str:
    """Return a street of the same district whose code is the partition's."""
    district = street[:6]
    return next(code for at in range(1, 1_000) if partition_for(code := f"{district}{at:03}") == partition)


def _renamed(record: wire.Record, names: Mapping[str, str]) -> wire.Record:
    """Return a record with other names of sensors, rules and streets, wherever it has them."""
    fields = {each: _replaced(getattr(record, each), names) for each in ("sensor", "street", "rule") if hasattr(record, each)}
    if isinstance(record, wire.Sensor | wire.Activation):
        fields["body"] = json.dumps(_replaced(json.loads(record.body), names)).encode()
    new: wire.Record = changed(record, **fields)
    return new


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case str():
            return names.get(value, value)
        case dict():
            return {name: _replaced(one, names) for name, one in value.items()}
        case list():
            return [_replaced(one, names) for one in value]
        case _:
            return value


# What is done to the owners, the broker and the database.


@dataclass
class Platform:
    """Two or three owners on servers of their own, and what is done to them, drawn by a seed."""

    servers: Servers
    dsn: str
    database: asyncpg.Connection
    folder: Path
    rng: Random
    started: list[Service] = field(default_factory=list)
    owners: list[Service] = field(default_factory=list)
    """Those that are to live."""
    done: list[str] = field(default_factory=list)

    def start(self) -> Service:
        pace = self.rng.choice(("0.3", "1", "4"))
        told = {"KAFKA": self.servers.kafka, "DATABASE": self.dsn, "CITY": str(self.folder / "city"), "RULES__SNAPSHOT_S": pace}
        self.started.append(Service("rules", self.folder, {f"TONGGUAN_{name}": value for name, value in told.items()}))
        return self.started[-1]

    async def disturb(self) -> None:
        """Do all there is, in any order, each once or twice."""
        todo = [self.kill, self.kill, self.hang, self.visit, self.cut, self.cut, self.restart_broker]
        self.rng.shuffle(todo)
        for one in todo:
            await asyncio.sleep(self.rng.uniform(0, 1.5))
            self.done.append(one.__name__)
            await one()

    async def kill(self) -> None:
        """Kill one with -9; another comes at once, or after others have taken over."""
        owner = self._any()
        owner.kill()
        self.owners.remove(owner)
        await asyncio.sleep(self.rng.choice((0.0, 0.5, 2.0, SESSION_S + 1)))
        self.owners.append(self.start())

    async def hang(self) -> None:
        """Stop one for longer than its session: it wakes up as a zombie, while others own what it thinks is its own."""
        owner = self._any()
        owner.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION_S + self.rng.uniform(0.5, 2.5))
        owner.process.send_signal(signal.SIGCONT)

    async def visit(self) -> None:
        """One more joins and leaves: two rebalances."""
        guest = self.start()
        await guest.ready()
        await asyncio.sleep(self.rng.uniform(0, 2))
        code = await asyncio.to_thread(guest.stop)
        assert code == 0, f"a guest ended with {code}:\n{guest.log}"

    async def cut(self) -> None:
        """Cut all connections to the database, some times in a row."""
        for _ in range(self.rng.randint(1, 5)):
            await self.database.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            )
            await asyncio.sleep(self.rng.uniform(0, 0.4))

    async def restart_broker(self) -> None:
        """Kill the broker with -9, and start it on its data."""
        self.servers.broker.kill()
        await asyncio.sleep(self.rng.uniform(0, 0.5))
        await self.servers.broker.start()

    def _any(self) -> Service:
        return self.rng.choice(self.owners)

    def problems(self) -> Iterator[str]:
        """Stop the owners; yield what is wrong with any that has lived."""
        for owner in self.owners:
            if (code := owner.stop()) != 0:
                yield f"an owner ended with {code}"
        for owner in self.started:
            yield from (f"an owner's log says {event}" for name in FAULTS for event in owner.events(name))

    def count(self, event: str) -> int:
        """Return how often the logs tell of an event."""
        return sum(len(owner.events(event)) for owner in self.started)


@contextlib.asynccontextmanager
async def platform(servers: Servers, dsn: str, room: Path, rng: Random) -> AsyncIterator[Platform]:
    """Yield two or three owners, ready; whatever is started ends here."""
    database = await asyncpg.connect(dsn)
    write_city(room / "city")
    made = Platform(servers, dsn, database, room, rng)
    try:
        made.owners += [made.start() for _ in range(rng.randint(2, 3))]
        for owner in made.owners:
            await owner.ready()
        yield made
    finally:
        for one in made.started:
            one.kill()
        await database.close()


# Playing.


@dataclass
class Played:
    """What came of some rounds."""

    problems: list[str]
    warnings: int
    disturbances: list[str]
    assigned: int
    """How often an owner was given partitions."""


async def play(servers: Servers, dsn: str, room: Path, rounds: Sequence[Round]) -> Played:
    """Play rounds side by side on a database and topics that are made anew."""
    rng = Random(rounds[0].seed)
    warnings, observations = await Tape.of(servers.kafka, WARNINGS), await Tape.of(servers.kafka, OBSERVATIONS)
    async with platform(servers, dsn, room, rng) as made, Producer(servers.kafka, CollectorRegistry()) as producer:
        calm = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for one in rounds:
                tasks.create_task(_publish(producer, one, calm))
            await made.disturb()
            calm.set()
        logs = _logs(await observations.records())
        problems = [*_lost(rounds, logs)]
        await _settled(made.database, {partition: len(log) for partition, log in logs.items()})
        rows = [json.loads(row["body"]) for row in await made.database.fetch("select body from rules.warnings")]
        published = await warnings.records()
        problems += made.problems()
        told = {(one["id"], one["rev"]): one for one in rows}
        problems += differences(rounds, logs, told)
        problems += misprinted(published, told)
        return Played(problems, len(told), made.done, made.count("assigned"))


async def _publish(producer: Producer, one: Round, calm: asyncio.Event) -> None:
    """Publish a history in order, in bursts; its last part only after the last disturbance."""
    rng = Random(one.seed)
    held = round(len(one.log) * (1 - HELD_BACK))
    at = 0
    while at < len(one.log):
        if at >= held:
            await calm.wait()
        burst = one.log[at : at + rng.randint(1, 10)]
        await _until_there(lambda burst=burst: publish_records(producer, one.partition, burst))  # type: ignore[misc]
        at += len(burst)
        if not calm.is_set():
            await asyncio.sleep(rng.uniform(0, 0.6))


async def _until_there(publish: Callable[[], Awaitable[None]]) -> None:
    """Publish until Kafka says that it is there; as ingest does, perhaps twice."""
    while True:
        try:
            return await publish()
        except Unavailable:
            await asyncio.sleep(0.2)


def _logs(records: Iterable[ConsumerRecord]) -> dict[int, list[bytes]]:
    """Return what stands in each partition."""
    logs: dict[int, list[bytes]] = {}
    for record in records:
        assert record.value is not None
        logs.setdefault(record.partition, []).append(record.value)
    return logs


async def _settled(database: asyncpg.Connection, ends: Mapping[int, int]) -> None:
    """Return once all records have been seen, and what they brought about was published."""

    async def settled() -> bool:
        reached = [await position(database, TopicPartition(OBSERVATIONS, partition)) for partition in ends]
        return reached == list(ends.values()) and not await database.fetchval("select count(*) from rules.outbox")

    await eventually(settled, f"offsets {ends} and an empty outbox", SETTLED_S)


# What is found.


def _lost(rounds: Iterable[Round], logs: Mapping[int, Sequence[bytes]]) -> Iterator[str]:
    """Yield the rounds whose histories do not stand in Kafka in order; the broker's death may have put some records there twice."""
    for one in rounds:
        rest = iter(logs.get(one.partition, ()))
        if not all(wire.encode(record) in rest for record in one.log):
            yield f"seed {one.seed}: partition {one.partition} does not hold the history as it was published"


def differences(rounds: Sequence[Round], logs: Mapping[int, Sequence[bytes]], told: Revisions) -> Iterator[str]:
    """Yield of each round the first record of its partition at which something else was told than by the oracle."""
    for one in rounds:
        log = [wire.decode(value) for value in logs.get(one.partition, ())]
        found = first_difference(log, {key: revision for key, revision in told.items() if one.owns(revision)})
        if found is not None:
            alone = "differs, too" if compare(log) is not None else "does not"
            yield f"seed {one.seed}, partition {one.partition}: the processes differ (the engine by itself, undisturbed, {alone}) at\n{found}"
    if strange := [key for key, revision in told.items() if not any(one.owns(revision) for one in rounds)]:
        yield f"warnings of no round: {strange}"


def first_difference(log: Sequence[wire.Record], told: Revisions) -> Difference | None:
    """Return the first record at which what was told is not what the oracle tells; what it never tells differs at the last."""
    oracle = Oracle()
    rest = dict(told)
    for at, record in enumerate(log):
        wanted = normal(oracle.take(record))
        found = normal(rest.pop(key) for one in wanted if (key := (one["id"], one["rev"])) in rest)
        if found != wanted:
            return Difference(at, False, record, found, wanted)
    return Difference(len(log) - 1, False, log[-1], normal(rest.values()), []) if rest else None


def misprinted(published: Iterable[ConsumerRecord], told: Revisions) -> Iterator[str]:
    """Yield where `city.warnings` is not what was told: each at least once, always the same, and each id's in order."""
    newest: Counter[str] = Counter()
    for record in published:
        body = json.loads(record.value or b"")
        key = body["id"], body["rev"]
        where = f"{WARNINGS}/{record.partition} at {record.offset}: {key}"
        if body != told.get(key):
            yield f"{where} says\n{body}\nand the table\n{told.get(key)}"
        if record.key != body["subject"].encode():
            yield f"{where} has the key {record.key!r}"
        if body["rev"] > newest[body["id"]] + 1:
            yield f"{where} comes after rev {newest[body['id']]}"
        newest[body["id"]] = max(newest[body["id"]], body["rev"])
    for id_, last in Counter(id_ for id_, _ in told).items():
        if newest[id_] != last:
            yield f"{WARNINGS} has {newest[id_]} of {last} revisions of {id_}"


def main(argv: list[str] | None = None) -> int:
    """Play rounds, mostly until one differs."""
    parser = argparse.ArgumentParser(description="Real processes against the oracle.")
    parser.add_argument("--rounds", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--all", action="store_true", help="go on after a difference")
    given = parser.parse_args(argv)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of each try while the broker is away
    data = folder.open_throwaway()
    servers = Servers(data.path)
    last = given.seed + given.rounds
    problems, played_to = 0, given.seed
    try:
        asyncio.run(servers.start())
        for first in range(given.seed, last, SIDE_BY_SIDE):
            begun = time.monotonic()
            seeds = range(first, min(first + SIDE_BY_SIDE, last))
            rounds = [place(seed, partition, given.size) for partition, seed in enumerate(seeds)]
            with made_anew(servers) as dsn:
                played = asyncio.run(play(servers, dsn, _room(data.path, first), rounds))
            print(
                f"seeds {first} to {seeds[-1]}: {played.warnings} revisions, {len(played.problems)} problems, {played.assigned} assignments through"
                f" {', '.join(played.disturbances)}; {time.monotonic() - begun:.0f} s",
                flush=True,
            )
            problems, played_to = problems + len(played.problems), seeds[-1] + 1
            if played.problems:
                print("\n".join(played.problems), flush=True)
                if not given.all:
                    break
    finally:
        servers.kill()
        data.close()
    print(f"{problems} problems in {played_to - given.seed} rounds")
    return 1 if problems else 0


def _room(data: Path, first: int) -> Path:
    room = data / f"rounds-{first}"
    room.mkdir()
    return room


if __name__ == "__main__":
    sys.exit(main())
