"""Control records: sensors and rules' activations in the partitions where they are needed, and the ticks of one node."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import ConsumerRecord
from prometheus_client import CollectorRegistry

from schemas import wire
from schemas.control import RuleActivation, SensorRecord
from schemas.partitioner import partition_of
from schemas.sensor import Sensor
from services.ingest.controls import LEASE, Ticker
from services.ingest.domain.accept import Sender, TimeLimits
from services.ingest.domain.registry import Registry
from services.ingest.door import Door
from services.ingest.flow import Flow
from services.ingest.intake import Intake, Request
from services.ingest.stopping import Stops
from services.ingest.store import Store
from services.ingest.units import conversion
from services.kit import city as city_folder
from services.kit import topics
from services.kit.clock import SystemClock
from services.kit.health import Health
from services.kit.producer import Outgoing, Producer
from services.kit.topics import OBSERVATIONS, RULES, SENSORS
from tests.integration.conftest import quiet
from tests.integration.ingest.conftest import KEYS, STREET, Department, has, observation
from tests.integration.parts import ROOT, Servers, Service, Tape, delete_topics, eventually

Start = Callable[..., Service]
PARTITIONS = topics.load()[OBSERVATIONS].partitions


@pytest.fixture
async def tape(servers: Servers, database: str) -> Tape:
    return await Tape.of(servers.kafka, OBSERVATIONS)


@pytest.fixture(autouse=True)
async def forgetful(pool: asyncpg.Pool, servers: Servers) -> None:
    """Each test begins with an empty registry and no lease."""
    await pool.execute("truncate ingest.sensors, ingest.activations, ingest.outbox, ingest.adapters, ingest.leases, ingest.ticks")


def of_kind(records: Sequence[ConsumerRecord], kind: type) -> list[tuple[ConsumerRecord, Any]]:
    decoded = ((record, wire.decode(record.value)) for record in records)
    return [(record, value) for record, value in decoded if isinstance(value, kind)]


def edit(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text("utf-8"), count=1, flags=re.DOTALL)
    assert count
    file.write_text(text, "utf-8")


# Sensors


async def test_every_sensor_is_told_to_all_and_to_its_street_before_its_first_reading(
    servers: Servers, start: Start, environment: dict[str, str], client: httpx.AsyncClient, tape: Tape
):
    registry = await Tape.of(servers.kafka, SENSORS)
    service = start("ingest", **environment)
    await service.ready()
    event = observation()
    assert (await Department(service, KEYS["water"], client).one(event)).status_code == 202
    place = city_folder.load(ROOT / "cities" / "620100")
    wanted = {sensor.id: sensor for sensor in city_folder.sensors(ROOT / "cities" / "620100", place)[0]}
    assert {record.key.decode(): Sensor.model_validate_json(record.value) for record in await registry.records()} == wanted
    records = await tape.records()
    told = of_kind(records, wire.Sensor)
    assert {value.sensor: SensorRecord.model_validate_json(value.body).sensor for _, value in told} == wanted
    for record, value in told:
        street = wanted[value.sensor].street
        assert record.partition == partition_of(street.encode(), PARTITIONS)
        told_of = SensorRecord.model_validate_json(value.body)
        assert told_of.path == place.regions.path(street)
        assert told_of.names == tuple(place.regions[code].name for code in told_of.path)
    (reading,) = (record for record, value in of_kind(records, wire.Observation) if value.id == event["id"])
    assert min(record.offset for record, value in told if value.sensor == "lz-water-dma-01") < reading.offset


@pytest.mark.parametrize(
    "holding", ["select pg_advisory_xact_lock(hashtext('ingest.outbox'))", "lock table ingest.activations"], ids=["sensors", "activations"]
)
async def test_no_reading_is_taken_before_what_it_needs_is_told(
    servers: Servers, start: Start, environment: dict[str, str], pool: asyncpg.Pool, tape: Tape, holding: str
):
    await activate(servers, rule(1))
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(holding)
        service = start("ingest", **environment)
        await eventually(lambda: logged(service, "sensors_registered"), "the registration")
        await asyncio.sleep(1)
        assert any(problem.startswith("registry:") for problem in await asyncio.to_thread(service.problems) or [])
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", service.ports.ingest)
        await transaction.rollback()
    await service.ready()
    records = await tape.records()
    assert {record.partition for record, value in of_kind(records, wire.Activation) if value.rule == "test.rule"} == set(range(PARTITIONS))
    assert len({value.sensor for _, value in of_kind(records, wire.Sensor)}) == len(await sensors_of(servers))


async def logged(service: Service, event: str) -> bool:
    return bool(service.events(event))


async def test_a_restart_tells_nothing_again(servers: Servers, start: Start, environment: dict[str, str]):
    first = start("ingest", **environment)
    await first.ready()
    assert first.stop() == 0
    tape, registry = await Tape.of(servers.kafka, OBSERVATIONS), await Tape.of(servers.kafka, SENSORS)
    second = start("ingest", **environment)
    await second.ready()
    assert of_kind(await tape.records(), wire.Sensor) == []
    assert await registry.records() == []


async def test_a_sensor_that_moved_is_told_to_its_old_street_and_its_new(
    servers: Servers, start: Start, environment: dict[str, str], client: httpx.AsyncClient, city: Path
):
    first = start("ingest", **environment)
    await first.ready()
    assert first.stop() == 0
    edit(city / "sensors.yaml", r"(id: lz-water-dma-01\n)(.*?street: )\"620102001\"", r'\1  version: 2\n\2"620103001"')
    tape = await Tape.of(servers.kafka, OBSERVATIONS)
    second = start("ingest", **environment, TONGGUAN_CITY=str(city))
    await second.ready()
    told = of_kind(await tape.records(), wire.Sensor)
    assert {(value.sensor, value.version, value.street) for _, value in told} == {("lz-water-dma-01", 2, "620103001")}
    assert sorted(record.partition for record, _ in told) == sorted({partition_of(street, PARTITIONS) for street in (b"620102001", b"620103001")})
    event = observation()
    await Department(second, KEYS["water"], client).one(event)
    (taken,) = (value for _, value in of_kind(await tape.records(), wire.Observation) if value.id == event["id"])
    assert taken.street == "620103001"


async def test_a_sensor_changed_without_a_new_version_is_named_and_the_registered_one_stays(
    start: Start, environment: dict[str, str], pool: asyncpg.Pool, city: Path
):
    first = start("ingest", **environment)
    await first.ready()
    assert first.stop() == 0
    before = await pool.fetch("select id, body from ingest.sensors order by id")
    edit(city / "sensors.yaml", "Example metered-area inlet 1", "Another name")
    second = start("ingest", **environment, TONGGUAN_CITY=str(city))
    await second.ready()
    (line,) = second.events("sensor_set_aside")
    assert line["problem"] == "sensor lz-water-dma-01 was changed without raising its version 1; the registered one stays"
    assert await pool.fetch("select id, body from ingest.sensors order by id") == before


async def test_topics_that_were_made_anew_are_told_everything_again(servers: Servers, start: Start, environment: dict[str, str], database: str):
    first = start("ingest", **environment)
    await first.ready()
    await activate(servers, rule(1))
    await eventually(lambda: activated(first, 1), "the activation")
    assert first.stop() == 0
    await delete_topics(servers.kafka, OBSERVATIONS, SENSORS)
    await topics.apply(servers.kafka, database, quiet)
    second = start("ingest", **environment)
    await second.ready()
    records = await (await Tape.of(servers.kafka, OBSERVATIONS, from_the_start=True)).records()
    assert len({value.sensor for _, value in of_kind(records, wire.Sensor)}) == len(await sensors_of(servers))
    assert {record.partition for record, _ in of_kind(records, wire.Activation)} == set(range(PARTITIONS))


async def sensors_of(servers: Servers) -> set[bytes]:
    return {record.key for record in await (await Tape.of(servers.kafka, SENSORS, from_the_start=True)).records()}


async def test_a_registered_sensor_whose_region_went_is_named_and_harms_no_other(
    servers: Servers, database: str, pool: asyncpg.Pool, producer: Producer
):
    """The city's regions are another's now."""
    place = city_folder.load(ROOT / "cities" / "620100")
    store = Store(pool, SystemClock(), place.regions, PARTITIONS)
    sensors = city_folder.sensors(ROOT / "cities" / "620100", place)[0]
    await store.register([*sensors, sensors[0].model_copy(update={"id": "lost", "street": STREET})])
    await pool.execute("update ingest.sensors set body = jsonb_set(body, '{street}', '\"620999999\"') where id = 'lost'")
    await pool.execute("truncate ingest.outbox")
    await store.resend()
    assert await pool.fetchval("select count(*) from ingest.outbox where topic = $1", SENSORS) == len(sensors)


# Activations


def rule(version: int, identity: str = "test.rule") -> RuleActivation:
    written = {
        "id": identity,
        "version": version,
        "name": {"zh": "规则", "en": "rule"},
        "applies": {"metric": "flow", "sensors": ["nobody"]},
        "direction": "above",
        "unit": "L/s",
        "tiers": {"red": {"up": {"limit": version}, "down": {"limit": 0}}},
    }
    return RuleActivation.model_validate({"rule": written, "meaning": 1})


async def activate(servers: Servers, *activations: RuleActivation | bytes) -> None:
    async with Producer(servers.kafka, CollectorRegistry()) as producer:
        for one in activations:
            body = one if isinstance(one, bytes) else one.model_dump_json(by_alias=True).encode()
            await producer.publish(RULES, [Outgoing(body, key=b"test.rule")])


async def activated(service: Service, version: int) -> bool:
    return any(line["rule"] == "test.rule" and line["version"] == version for line in service.events("rule_activated"))


async def test_each_version_of_a_rule_is_activated_once_in_every_partition(servers: Servers, start: Start, environment: dict[str, str], tape: Tape):
    service, other = start("ingest", **environment), start("ingest", **environment)
    await service.ready()
    await other.ready()
    await activate(servers, rule(11), rule(11), b"no rule", rule(12), rule(11), rule(13))

    def complete(records: list[ConsumerRecord]) -> bool:
        return len(of_test(records)) >= 3 * PARTITIONS

    found = of_test(await tape.until(complete, "the activations"))
    assert Counter((value.version, record.partition) for record, value in found) == {
        (version, partition): 1 for version in (11, 12, 13) for partition in range(PARTITIONS)
    }
    for partition in range(PARTITIONS):
        assert [value.version for record, value in found if record.partition == partition] == [11, 12, 13]
    assert RuleActivation.model_validate_json(found[-1][1].body) == rule(13)
    assert service.events("undecodable_rule")

    assert service.stop() == 0
    after = await Tape.of(servers.kafka, OBSERVATIONS)
    again = start("ingest", **environment)
    await again.ready()
    assert of_test(await after.records()) == []


def of_test(records: Sequence[ConsumerRecord]) -> list[tuple[ConsumerRecord, Any]]:
    return [(record, value) for record, value in of_kind(records, wire.Activation) if value.rule == "test.rule" and value.version > 10]


# Ticks


def ticks(records: Sequence[ConsumerRecord]) -> dict[int, list[wire.Tick]]:
    found: dict[int, list[wire.Tick]] = defaultdict(list)
    for record, value in of_kind(records, wire.Tick):
        found[record.partition].append(value)
    return found


def enough(count: int, *nodes: str) -> Callable[[Sequence[ConsumerRecord]], bool]:
    """So many ticks by one of these nodes are in every partition."""

    def there(records: Sequence[ConsumerRecord]) -> bool:
        found = ticks(records)
        return all(sum(tick.node in nodes for tick in found[partition]) >= count for partition in range(PARTITIONS))

    return there


def names_both(records: Sequence[ConsumerRecord]) -> bool:
    found = ticks(records)
    return all(found[partition] and found[partition][-1].adapters.keys() >= {"http@n1", "http@n2"} for partition in range(PARTITIONS))


async def test_one_of_two_nodes_ticks_and_the_other_takes_over(servers: Servers, start: Start, environment: dict[str, str], tape: Tape):
    nodes = {name: start("ingest", **environment, TONGGUAN_NODE=name) for name in ("n1", "n2")}
    for node in nodes.values():
        await node.ready()
    seen = ticks(await tape.until(enough(3, "n1", "n2"), "ticks"))
    names = {tick.node for found in seen.values() for tick in found}
    assert len(names) == 1, "one node ticks, and it keeps the lease"
    (leader,) = names
    for found in seen.values():
        times = [tick.time for tick in found]
        assert times == sorted(set(times))
        assert times[-1] - times[0] >= (len(times) - 2) * 1_000_000, "no more than one a second"

    await tape.until(names_both, "each door that listens is named")

    nodes[leader].kill()
    follower = "n2" if leader == "n1" else "n1"
    await (await Tape.of(servers.kafka, OBSERVATIONS)).until(enough(2, follower), "ticks by the other node")

    revived = start("ingest", **environment, TONGGUAN_NODE=leader)
    await revived.ready()
    assert nodes[follower].stop() == 0
    await (await Tape.of(servers.kafka, OBSERVATIONS)).until(enough(2, leader), "ticks by the first again, which was given the lease")


class Skewed(SystemClock):
    """A clock that is off."""

    off = timedelta(seconds=0)

    def now(self) -> datetime:
        return super().now() + self.off


async def test_a_node_whose_clock_is_off_gives_the_lease_away(pool: asyncpg.Pool, producer: Producer, tape: Tape):
    place = city_folder.load(ROOT / "cities" / "620100")
    clock = Skewed()
    health = Health(clock)
    store = Store(pool, clock, place.regions, PARTITIONS)
    ticker = Ticker(store, producer, clock, "skewed", [], health.check("ticks", max_age=10))
    await ticker._turn()
    assert health.unready() == []
    assert enough(1, "skewed")(await tape.records())
    assert await pool.fetchval("select api_ingest.ticked()") is None  # Kafka has it, and nobody has said so yet
    await ticker._turn()
    first, _ = next(iter(ticks(await tape.records()).values()))
    assert await pool.fetchval("select api_ingest.ticked()") == datetime.fromtimestamp(first.time / 1_000_000, UTC)
    for off in (timedelta(seconds=-3), timedelta(seconds=3)):
        clock.off = off
        await ticker._turn()
        assert any("our clock is 3.0 s off" in problem for problem in health.unready())
        assert (await store.lease(LEASE, "another")).held
        await store.release(LEASE, "another")
    assert all(len(found) == 2 for found in ticks(await tape.records()).values())


class Held(Producer):
    """A producer whose broker answers when it is let."""

    let = asyncio.Event()

    async def publish(self, topic: str, records: Sequence[Outgoing]) -> None:
        if records and topic == OBSERVATIONS:
            await self.let.wait()
        await super().publish(topic, records)


@pytest.fixture
async def held(servers: Servers, database: str) -> AsyncIterator[Held]:
    Held.let = asyncio.Event()
    async with Held(servers.kafka, CollectorRegistry()) as producer:
        yield producer


async def test_an_adapter_says_no_more_than_what_is_on_kafka(held: Held, tape: Tape, pool: asyncpg.Pool):
    """A tick names the adapters; all that they took before that time must stand before the tick."""
    place = city_folder.load(ROOT / "cities" / "620100")
    clock = SystemClock()
    intake = Intake(
        producer=held,
        clock=clock,
        limits=TimeLimits(timedelta(minutes=5), timedelta(days=90)),
        max_items=10,
        acknowledge_s=30,
        stops=Stops(pool, clock, Health(clock).check("doors", max_age=1), CollectorRegistry()),
        flow=Flow(Store(pool, clock, place.regions, 24)),
        metrics=CollectorRegistry(),
    )
    intake.registry = Registry(place.regions, city_folder.sensors(ROOT / "cities" / "620100", place)[0], conversion)
    door = Door("http", "n1", clock)
    before = clock.now()
    assert door.acknowledged_until() >= before
    events = [observation(), observation()]
    taking = []
    for event in events:
        body = httpx.Request("POST", "http://x", json=event).content
        taking.append(asyncio.create_task(intake.take(Request(body, "application/cloudevents+json", {}, Sender("water"), "127.0.0.1"), door)))
        await asyncio.sleep(0.01)
    first = door.acknowledged_until()
    assert before <= first <= clock.now() - timedelta(milliseconds=10), "the oldest that is under way"
    await asyncio.sleep(0.05)
    assert door.acknowledged_until() == first, "it stands while that waits"
    held.let.set()
    assert [answer.accepted for answer in await asyncio.gather(*taking)] == [1, 1]
    assert door.acknowledged_until() > first
    assert has(*(event["id"] for event in events))(await tape.records())
