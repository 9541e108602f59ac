"""Kafka or PostgreSQL away, at the start and in flight, and stopping at any of these times: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from services.ingest.domain.cloudevents import STRUCTURED
from services.kit.topics import OBSERVATIONS
from tests.integration.ingest.conftest import KEYS, Department, has, observation, observations
from tests.integration.parts import Server, Servers, Service, Tape, eventually, gate_to

Start = Callable[..., Service]


async def unready(service: Service, *words: str) -> None:
    """Return once the service lives, is not ready, and says why in these words."""

    async def told() -> bool:
        problems = await asyncio.to_thread(service.problems)
        return problems is not None and all(any(word in problem for problem in problems) for word in words)

    await eventually(told, f"{words} in its problems")
    assert await asyncio.to_thread(service.problems, "/livez") == []


class Stream:
    """Departments that publish all the time; what was answered with 202 is in `taken`, by the time of its answer."""

    def __init__(self, service: Service, client: httpx.AsyncClient) -> None:
        self._department = Department(service, KEYS["water"], client)
        self.taken: list[str] = []
        self.refused: list[httpx.Response] = []
        self.broken = 0
        self._tasks = [asyncio.create_task(self._publish()) for _ in range(4)]

    async def _publish(self) -> None:
        while True:
            event = observation()
            try:
                answer = await self._department.one(event)
            except httpx.TransportError:
                self.broken += 1
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 202:
                self.taken.append(event["id"])
            else:
                self.refused.append(answer)
                await asyncio.sleep(0.05)

    async def more(self, count: int = 20) -> None:
        """Return once so many more were taken."""
        enough = len(self.taken) + count

        async def reached() -> bool:
            return len(self.taken) >= enough

        await eventually(reached, f"{count} more events to be taken", 60)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def streaming(service: Service, client: httpx.AsyncClient) -> AsyncIterator[Stream]:
    stream = Stream(service, client)
    try:
        yield stream
    finally:
        await stream.end()


@pytest.fixture
async def tape(servers: Servers, database: str) -> Tape:
    return await Tape.of(servers.kafka, OBSERVATIONS)


async def test_kafka_in_flight(servers: Servers, broker: Server, start: Start, environment: dict[str, str], client: httpx.AsyncClient, tape: Tape):
    service = start("ingest", **environment, TONGGUAN_INGEST__ACKNOWLEDGE_S="1")
    await service.ready()
    async with streaming(service, client) as stream:
        await stream.more()
        broker.kill()

        async def refused() -> bool:
            return len(stream.refused) > 5

        await eventually(refused, "refusals")
        await unready(service, "kafka:")
        await broker.start()
        await stream.more()
        await service.ready()
    for answer in stream.refused:
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["title"]) == (503, "2", "not_taken")
        assert "send it again" in answer.json()["detail"]
    await tape.until(has(*stream.taken), "all that was acknowledged")
    assert stream.broken == 0
    assert service.stop() == 0, service.log


async def test_kafka_away_at_the_start(servers: Servers, broker: Server, start: Start, environment: dict[str, str], client: httpx.AsyncClient):
    broker.kill()
    service, stopped = start("ingest", **environment), start("ingest", **environment)
    await unready(service, "kafka: not started")
    await unready(stopped, "kafka: not started")
    assert stopped.stop() == 0, stopped.log
    assert service.events("kafka_unavailable")
    with pytest.raises(httpx.ConnectError):
        await Department(service, KEYS["water"], client).one(observation())
    await broker.start()
    await service.ready()
    assert (await Department(service, KEYS["water"], client).one(observation())).status_code == 202


async def test_stopping_while_kafka_is_away(
    servers: Servers, broker: Server, start: Start, environment: dict[str, str], client: httpx.AsyncClient, tape: Tape
):
    """A request that waits for Kafka is told to come again, and what was acknowledged before is there."""
    service = start("ingest", **environment)
    await service.ready()
    async with streaming(service, client) as stream:
        await stream.more()
        broker.kill()
        waiting = asyncio.create_task(Department(service, KEYS["water"], client).one(observation()))
        await asyncio.sleep(0.2)
        code = await asyncio.to_thread(service.stop)
        with contextlib.suppress(httpx.TransportError):
            assert (await waiting).status_code == 503
    assert code == 0, service.log
    assert {answer.status_code for answer in stream.refused} <= {503}
    await broker.start()
    await tape.until(has(*stream.taken), "all that was acknowledged")


async def test_postgresql_in_flight(
    servers: Servers, database: str, start: Start, environment: dict[str, str], client: httpx.AsyncClient, tape: Tape
):
    """Departments do not notice; only time stands still."""
    async with gate_to(database) as (gate, through):
        service = start("ingest", **{**environment, "TONGGUAN_DATABASE": through})
        await service.ready()
        async with streaming(service, client) as stream:
            await stream.more()
            await gate.shut()
            await unready(service, "database: PostgreSQL does not answer", "ticks: no tick", "outbox: cannot publish the outbox")
            await stream.more(100)
            await gate.open()
            await service.ready()
            await gate.shut()
            code = await asyncio.to_thread(service.stop)
        assert code == 0, service.log
        assert stream.refused == []
    await tape.until(has(*stream.taken), "all that was acknowledged")
    assert not [line for line in service.events() if line["level"] in {"error", "critical"}], service.log


async def test_postgresql_away_at_the_start(servers: Servers, database: str, start: Start, environment: dict[str, str], client: httpx.AsyncClient):
    async with gate_to(database) as (gate, through):
        await gate.shut()
        service, stopped = (start("ingest", **{**environment, "TONGGUAN_DATABASE": through}) for _ in range(2))
        await unready(service, "database: not started")
        await unready(stopped, "database: not started")
        assert stopped.stop() == 0, stopped.log

        async def told() -> bool:
            return any(line["what"] == "connect to PostgreSQL" for line in service.events("database_unavailable"))

        await eventually(told, "a warning in its log")
        await gate.open()
        await service.ready()
        assert (await Department(service, KEYS["water"], client).one(observation())).status_code == 202


async def test_stopping_answers_requests_under_way(
    servers: Servers, start: Start, environment: dict[str, str], client: httpx.AsyncClient, tape: Tape
):
    service = start("ingest", **environment)
    await service.ready()
    event = observation()
    body = json.dumps(event).encode()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield body[:10]
        asked.set()
        await go_on.wait()
        yield body[10:]

    async with streaming(service, client) as stream:
        await stream.more()
        asking = asyncio.create_task(Department(service, KEYS["water"], client).send(parts(), STRUCTURED))
        await asked.wait()
        await stream.more()
        stopping = asyncio.create_task(asyncio.to_thread(service.stop))

        async def closed() -> bool:
            return stream.broken > 0

        await eventually(closed, "the door to be shut")
        go_on.set()
        assert (await asking).status_code == 202
        assert await stopping == 0, service.log
    assert {one.id for one in observations(await tape.records())} >= {event["id"], *stream.taken}
    assert stream.refused == []


async def test_stopping_while_the_registry_is_waited_for(servers: Servers, database: str, start: Start, environment: dict[str, str], pool):
    """Another transaction holds the registry's lock."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('ingest.sensors'))")
        service = start("ingest", **environment)
        await unready(service, "registry: not started")
        assert service.stop() == 0, service.log
    assert not service.events("crashed")


def ended(service: Service) -> int:
    return service.process.wait(30)


async def test_what_cannot_work_is_told_and_not_tried_again(servers: Servers, start: Start, environment: dict[str, str], city):
    (city / "regions.yaml").write_text("[]")
    wrong = {
        "regions.yaml: there must be one region without a parent": {"TONGGUAN_CITY": str(city)},
        "/none.json: cannot read department_keys": {"TONGGUAN_SECRETS": "/none.json"},
        "TONGGUAN_SETTINGS names /none.toml, which is not there": {"TONGGUAN_SETTINGS": "/none.toml"},
        "max_body": {"TONGGUAN_INGEST__MAX_BODY": "1"},
    }
    services = {words: start("ingest", **{**environment, **changes}) for words, changes in wrong.items()}
    for words, service in services.items():
        assert ended(service) == 78, service.log
        (line,) = service.events("misconfigured")
        assert line["level"] == "critical"
        assert words in line["error"]


async def test_a_port_that_is_taken_is_told(servers: Servers, start: Start, environment: dict[str, str]):
    service = start("ingest", **environment)
    await service.ready()
    second = start("ingest", **environment, TONGGUAN_INGEST__PORT=str(service.ports.ingest))
    assert ended(second) == 1
    assert any(f"cannot listen on 127.0.0.1:{service.ports.ingest}" in line["error"] for line in second.events("crashed")), second.log
