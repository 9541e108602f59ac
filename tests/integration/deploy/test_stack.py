"""The proof of deploy/: the services run as compose.yaml says, on three brokers and a database, behind nginx, and outlive a broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import httpx
import pytest
import websockets
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from schemas.control import SensorRecord
from schemas.live import Snapshot
from schemas.partitioner import partition_of
from services.cli import folder
from services.cli.banner import concerns, limits_at_once
from services.kit import city, topics
from services.kit.clock import SystemClock
from services.kit.topics import OBSERVATIONS
from tests.integration.deploy.compose import ROOMS
from tests.integration.deploy.stack import BROKERS, Stack
from tests.integration.gateway.session import Session
from tests.integration.parts import ROOT, eventually

LANZHOU = ROOT / "cities" / "620100"
TOKEN = "tgr_of_a_screen"
PASSWORD = "of-the-desk-of-the-city"
CLIENT = "127.0.0.9"
"""Where the tests' clients are, so that nginx's own address is another."""
_numbers = count(1)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    data = folder.open_throwaway()
    try:
        started = Stack(data.path)
        _let_in(started)
        try:
            asyncio.run(started.start())
            yield started
        finally:
            started.kill()
    finally:
        data.close()


def _let_in(stack: Stack) -> None:
    """Let a machine and a person see the city, as docs/operations.md says."""
    file = stack.secrets / "secrets.json"
    content = json.loads(file.read_text()) | {"region_tokens": {"620100": TOKEN}}
    content["users"].append(
        {"id": "desk", "name": {"zh": "值班", "en": "Desk"}, "password": PASSWORD, "grants": [{"role": "city", "region": "620100"}]}
    )
    file.unlink()
    file.write_text(json.dumps(content))


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of nginx, from an address of its own."""
    transport = httpx.AsyncHTTPTransport(verify=stack.trust, local_address=CLIENT)
    async with httpx.AsyncClient(base_url=stack.origin, transport=transport, timeout=40) as opened:
        yield opened


@contextlib.asynccontextmanager
async def watching(stack: Stack) -> AsyncIterator[Session]:
    """Yield a live session of the city through nginx."""
    url = stack.origin.replace("https", "wss", 1) + "/v1/live"
    async with websockets.connect(url, ssl=stack.trust, compression=None, max_size=64 << 20, proxy=None, local_addr=(CLIENT, 0)) as socket:
        one = Session(socket)
        await one.begin("620100", TOKEN)
        yield one


def samples() -> Iterator[tuple[SensorRecord, str, float]]:
    """Yield sensors of the city with a value of a metric that raises a warning at once, each sensor once."""
    place = city.load(LANZHOU)
    records = [SensorRecord(sensor=sensor, path=place.regions.path(sensor.street)) for sensor in city.sensors(LANZHOU, place)[0]]
    seen: set[str] = set()
    for rule in city.rules(LANZHOU)[0]:
        metric = rule.applies.metric
        limits = limits_at_once(rule)
        for one in records:
            if limits and rule.enabled and one.sensor.id not in seen and concerns(rule.applies, one.sensor, place.regions):
                seen.add(one.sensor.id)
                yield one, metric, limits[0]


async def publish(stack: Stack, client: httpx.AsyncClient, sample: tuple[SensorRecord, str, float], seconds: float = 60) -> str:
    """Publish a reading as its department does, again until it is taken; return the event's id."""
    one, metric, value = sample
    department = one.sensor.department
    key = json.loads((stack.secrets / "secrets.json").read_text())["department_keys"][department]
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"deploy-{next(_numbers)}",
        "type": "cn.tongguan.observation.v1",
        "source": f"/departments/{department}/deploy",
        "time": SystemClock().now().isoformat(),
        "data": {"sensor": one.sensor.id, "values": {metric: value}, "origin": "exercise"},
    }
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents+json"}

    async def taken() -> bool:
        answer = await client.post("/v1/events", content=json.dumps(event), headers=headers)
        assert answer.status_code in {202, 503}, answer.text
        return answer.status_code == 202

    await eventually(taken, f"{one.sensor.id} to be taken", seconds)
    return str(event["id"])


async def test_topics_have_three_copies_and_are_made_once(stack: Stack) -> None:
    copies = await stack.replicas()
    assert {name for name, _ in copies} == set(topics.load())
    assert {len(in_step) for _, in_step in copies.values()} == {3}
    again = await asyncio.to_thread(stack.run, "prepare")
    said = [json.loads(line)["event"] for line in again.stderr.splitlines()]
    assert (again.returncode, said) == (0, ["departments", "prepared"])


async def test_prepare_says_which_server_it_waited_for_in_vain(stack: Stack) -> None:
    too_many = await asyncio.to_thread(stack.run, "prepare", TONGGUAN_PREPARE__REPLICATION="4", TONGGUAN_PREPARE__WAIT_S="1")
    assert too_many.returncode == 1
    assert "Kafka was not ready within 1 s: 3 of 4 brokers are there" in too_many.stderr


async def test_pages_and_rest_come_over_tls(stack: Stack, client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert "<html" in page.text
    assert page.headers.get_list("strict-transport-security") == ["max-age=31536000"]
    assert "default-src 'self'" in page.headers["content-security-policy"]
    script = await client.get(re.findall(r'src="(/assets/[^"]+\.js)"', page.text)[0], headers={"Accept-Encoding": "gzip"})
    assert (script.status_code, script.headers["content-encoding"]) == (200, "gzip")
    region = await client.get("/v1/regions/620100", headers={"Authorization": f"Bearer {TOKEN}"})
    assert region.json()["region"]["name"]["zh"] == "兰州市"


async def test_plain_http_is_sent_to_tls(stack: Stack) -> None:
    async with httpx.AsyncClient() as plain:
        answer = await plain.get(f"http://{stack.address['nginx']}:8080/v1/regions/620100?a=b", headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.headers["location"]) == (308, f"{stack.origin}/v1/regions/620100?a=b")


async def test_the_client_s_address_reaches_the_logs_and_a_claimed_one_does_not(stack: Stack, client: httpx.AsyncClient) -> None:
    claimed = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    refused = await client.post("/v1/events", content="{}", headers=claimed | {"Authorization": "Bearer wrong"})
    assert refused.status_code == 401
    async with watching(stack):
        pass
    for room, event in (("ingest", "unauthorised"), ("gateway", "live_session")):
        lines = [json.loads(line) for line in stack.log(room).splitlines() if line.startswith("{")]
        assert {line["address"] for line in lines if line["event"] == event} == {CLIENT}
        assert "203.0.113.7" not in stack.log(room)


async def test_a_browser_signs_in_and_watches_over_tls(stack: Stack, client: httpx.AsyncClient) -> None:
    """Its cookie goes over TLS only, for this host only, to no script."""
    client.headers["Origin"] = stack.origin
    session = await client.post("/v1/session", json={"user": "desk", "password": PASSWORD})
    assert session.status_code == 200, session.text
    cookie, *rules = session.headers["set-cookie"].split("; ")
    assert cookie.startswith("__Host-")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {rule.lower() for rule in rules}
    url = stack.origin.replace("https", "wss", 1) + "/v1/live"
    headers = {"Cookie": cookie}
    async with websockets.connect(
        url, ssl=stack.trust, proxy=None, max_size=64 << 20, origin=Origin(stack.origin), additional_headers=headers
    ) as socket:
        await socket.send(json.dumps({"type": "hello", "protocol": 1, "region": "620100"}))
        assert Snapshot.model_validate_json(await socket.recv()).region.code == "620100"
    assert (await client.delete("/v1/session")).status_code == 403  # without its X-CSRF-Token
    assert (await client.delete("/v1/session", headers={"X-CSRF-Token": session.json()["csrf"]})).status_code == 204
    assert (await client.get("/v1/session", headers=headers)).status_code == 401


async def test_the_first_administrator_gets_in(stack: Stack, client: httpx.AsyncClient) -> None:
    administrator = json.loads((stack.secrets / "secrets.json").read_text())["users"][0]
    credentials = {"user": administrator["id"], "password": administrator["password"]}
    session = await client.post("/v1/session", json=credentials, headers={"Origin": stack.origin})
    assert session.json()["may"]["users"] is True
    assert "desk" in {user["id"] for user in (await client.get("/v1/users")).json()}


async def test_a_socket_from_a_foreign_page_is_refused(stack: Stack) -> None:
    """nginx hands on the host that the browser asked for, with its port: the gateway compares a page's origin with it."""
    url = stack.origin.replace("https", "wss", 1) + "/v1/live"
    async with websockets.connect(url, ssl=stack.trust, proxy=None, origin=Origin(stack.origin)):
        pass
    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(url, ssl=stack.trust, proxy=None, origin=Origin("https://elsewhere.example"))
    assert refused.value.response.status_code == 403


async def test_bodies_are_bounded(stack: Stack, client: httpx.AsyncClient) -> None:
    """Of events by ingest, which says so in its own words; of everything else by nginx."""
    key = json.loads((stack.secrets / "secrets.json").read_text())["department_keys"]["water"]
    events = await client.post("/v1/events", content=b" " * (4 * 1024 * 1024 + 1), headers={"Authorization": f"Bearer {key}"})
    assert (events.status_code, events.json()["title"]) == (413, "too_large")
    assert (await client.post("/v1/session", content=b" " * 300_000)).status_code == 413


async def test_a_gateway_that_is_away_is_said_to_be(stack: Stack, client: httpx.AsyncClient) -> None:
    assert stack.stop("gateway") == 0
    answer = await client.get("/v1/regions/620100")
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["title"]) == (503, "2", "unavailable")
    stack.start_room("gateway")
    await stack.until_ready("gateway")
    assert (await client.get("/")).status_code == 200  # at once: nginx has not set it aside


async def test_a_warning_is_seen_and_after_the_loss_of_a_broker_the_next_one_too(stack: Stack, client: httpx.AsyncClient) -> None:
    (first, second, *_) = samples()
    async with watching(stack) as screen:
        await publish(stack, client, first)
        await screen.until(lambda session: first[0].sensor.id in {one.sensor for one in session.open.values()}, "the first warning")
        # The broker that leads the second sensor's partition: the event must wait until another takes it over.
        partition = partition_of(second[0].sensor.street.encode(), topics.load()[OBSERVATIONS].partitions)
        leader, _ = (await stack.replicas())[OBSERVATIONS, partition]
        stack.brokers[BROKERS[leader - 1]].kill()
        await publish(stack, client, second)
        await screen.until(lambda session: second[0].sensor.id in {one.sensor for one in session.open.values()}, "the second warning")
    await stack.brokers[BROKERS[leader - 1]].start()

    async def in_step() -> bool:
        return {len(copies) for _, copies in (await stack.replicas()).values()} == {3}

    await eventually(in_step, "the broker to catch up", 60)


async def test_a_room_that_waits_for_the_database_says_so_in_its_metrics(stack: Stack) -> None:
    """It answers, so that `up` is 1: without this figure no alert would tell of it."""

    async def told() -> bool:
        with contextlib.suppress(httpx.TransportError):
            text = (await stack.admin("rules", "/metrics")).text
            return "tongguan_ready 0.0" in text and 'tongguan_check_ok{check="database"} 0.0' in text
        return False

    assert stack.stop("rules") == 0
    stack.postgres.kill()
    stack.start_room("rules")
    await eventually(told, "rules to say that it is not ready", 30)
    await stack.postgres.start()
    for room in ROOMS:
        await stack.until_ready(room)
    assert "tongguan_ready 1.0" in (await stack.admin("rules", "/metrics")).text


def _in_postgres() -> list[list[str]]:
    """Return the commands of docs/operations.md that are run in the database's container: the dump, the role, the restoring."""
    text = (ROOT / "docs" / "operations.md").read_text()
    lines = re.findall(r"^docker compose exec -T postgres (.+?)(?: +[<>#].*)?$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


async def test_a_lost_database_comes_back_from_its_dump_and_kafka(stack: Stack, client: httpx.AsyncClient) -> None:
    """What came after the dump is worked off again: the warnings are the same ones as before."""
    dump, role, restore = _in_postgres()
    (_, _, third, fourth, *_) = samples()
    saved = await asyncio.to_thread(stack.in_postgres, dump)
    async with watching(stack) as screen:
        await publish(stack, client, third)
        await screen.until(lambda session: third[0].sensor.id in {one.sensor for one in session.open.values()}, "the warning after the dump")
        before = {(one.id, one.rev, one.sensor) for one in screen.open.values()}
    for room in ROOMS:
        stack.stop(room)
    await stack.lose_database()
    await asyncio.to_thread(stack.in_postgres, role)
    await asyncio.to_thread(stack.in_postgres, restore, saved)
    await stack.start_rooms()
    async with watching(stack) as screen:
        await publish(stack, client, fourth)
        await screen.until(lambda session: fourth[0].sensor.id in {one.sensor for one in session.open.values()}, "a warning after the restoring")
        assert before <= {(one.id, one.rev, one.sensor) for one in screen.open.values()}
