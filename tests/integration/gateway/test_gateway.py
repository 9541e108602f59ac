"""The gateway as a process, on one port: REST, live sessions, who sees what, and who is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import websockets
from prometheus_client import CollectorRegistry
from websockets.exceptions import InvalidStatus

from schemas import wire
from schemas.health import Heartbeat
from schemas.live import LiveValue
from schemas.partitioner import partition_of
from schemas.tiers import Tier
from schemas.warning import Warning, WarningState  # noqa: A004 - the field's own word
from services.gateway.http import SECURITY_HEADERS
from services.history.store import Logged
from services.history.store import Store as History
from services.kit import database as kit_database
from services.kit.producer import Outgoing, Producer
from services.kit.topics import HEALTH, OBSERVATIONS, SENSORS, WARNINGS
from tests.integration.gateway.session import closed_with, connected, hello, live_url, narrow, session
from tests.integration.gateway.told import notify
from tests.integration.parts import Servers, Service, eventually
from tests.integration.rooms import TOKENS, all_partitions, partition_for, publish_records, publish_warnings, write_city, write_secrets
from tests.unit.gateway.city import (
    CITY,
    DISTRICT,
    MICROS,
    NOW,
    OTHER_DISTRICT,
    OTHER_STREET,
    SIBLING,
    STREET,
    STREETS,
    TREE,
    name,
    observation,
    sensor,
    warning,
)

OURS = {CITY: {1, 3, 5}, DISTRICT: {1}, STREET: {1}}
"""By region: which of the warnings that are open before the gateway starts are seen."""
UNSEEN = 77
"""On the topic before the position that history has come to, and not in history: so it is never read."""


async def before(servers: Servers, dsn: str) -> None:
    """What happened before the gateway starts: history and alerts hold it."""
    pool = await kit_database.open_pool(dsn)
    async with Producer(servers.kafka, CollectorRegistry()) as producer:
        for at, street in enumerate(STREETS):
            one = sensor(f"s{at}", street)
            await producer.publish(SENSORS, [Outgoing(one.model_dump_json().encode(), key=one.id.encode())])
        await producer.publish(SENSORS, [Outgoing(b"no sensor", key=b"x")])
        await publish_warnings(producer, [warning(UNSEEN)])
        history = History(pool)
        claims = await history.take([*all_partitions(WARNINGS), *all_partitions(OBSERVATIONS)])
        warnings = [
            warning(1),
            warning(2),
            warning(2, 2, state="cleared"),
            warning(3, street=OTHER_STREET),
            warning(5, street=OTHER_STREET),
            warning(5, 2, street=OTHER_STREET, tier=Tier.RED, change="raised"),
        ]
        logged = [Logged(observation(f"s{at}", street=street, flow=at + 0.5), 0, at) for at, street in enumerate(STREETS)]
        read = {tp: 1 for tp in claims if tp.topic == WARNINGS and tp.partition == partition_of(b"s1/flow", 24)}
        await history.commit(claims, read, logged, warnings)
        for one, screens in ((warnings[0], STREET), (warnings[3], OTHER_STREET), (warnings[4], OTHER_STREET), (warnings[5], CITY)):
            await notify(pool, one.id, f"region/{screens}", one, "flow", at=NOW)
    pool.terminate()


@pytest.fixture(scope="module")
def gateway(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    asyncio.run(before(servers, database))
    environment = {
        "TONGGUAN_KAFKA": servers.kafka,
        "TONGGUAN_DATABASE": database,
        "TONGGUAN_CITY": str(write_city(folder / "city")),
        "TONGGUAN_SECRETS": str(write_secrets(folder / "secrets.json")),
        "TONGGUAN_GATEWAY__SLOW_BYTES": "262144",
    }
    service = Service("gateway", folder, environment)
    try:
        asyncio.run(service.ready())
        yield service
        assert service.stop() == 0
        assert service.events("crashed") == []
    finally:
        service.kill()


def bearer(region: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[region]}"}


def numbers(warnings: Any) -> set[int]:
    return {one.id.int for one in warnings}


# What there is from before


@pytest.mark.parametrize("region", OURS)
async def test_a_snapshot_holds_what_was_there_before_the_gateway_started(gateway: Service, region: str):
    async with session(gateway, region) as one:
        assert numbers(one.snapshot.warnings) & {1, 2, 3, 4, 5} == OURS[region]
        seen = {f"s{at}" for at, street in enumerate(STREETS) if TREE.covers(region, street)}
        assert {each.id for each in one.snapshot.sensors} == seen
        assert {each.sensor for each in one.snapshot.values} == seen
        assert one.snapshot.region.code == region
        assert UNSEEN not in numbers(one.snapshot.warnings)


async def test_rest_and_the_socket_share_a_port_and_the_truth(gateway: Service, client: httpx.AsyncClient):
    async with session(gateway, DISTRICT) as one:
        answer = await client.get(f"/v1/regions/{DISTRICT}/warnings", headers=bearer(CITY))
        assert [Warning.model_validate(body) for body in answer.json()] == list(one.snapshot.warnings)
        answer = await client.get(f"/v1/regions/{DISTRICT}/values", headers=bearer(DISTRICT))
        assert [LiveValue.model_validate(body) for body in answer.json()] == list(one.snapshot.values)


# Deltas


async def test_what_happens_is_told_to_the_regions_on_its_path(gateway: Service, producer: Producer):
    async with session(gateway, CITY) as city, session(gateway, DISTRICT) as district, session(gateway, STREET) as street:
        await publish_warnings(producer, [warning(10, street=SIBLING), warning(11, street=OTHER_STREET), b"no warning", warning(12)])
        for one, street_ in (("s1", SIBLING), ("s2", OTHER_STREET), ("s0", STREET)):
            readings = [observation(one, at, street=street_, flow=100.0 + at) for at in (1, 3, 2)]
            await publish_records(producer, partition_for(street_), [b"no record", *readings])
        for told, seen, sensors in ((city, {10, 11, 12}, {"s0", "s1", "s2"}), (district, {10, 12}, {"s0", "s1"}), (street, {12}, {"s0"})):
            await told.until(lambda one, wanted=seen: numbers(one.warnings) >= wanted, f"warnings {seen}")
            newest = {(id_, "flow", "instant", 0) for id_ in sensors}
            await told.until(lambda one, keys=newest: all(one.values[key].value == 103.0 for key in keys), f"values of {sensors}")
            assert numbers(told.warnings) == seen
            assert {key[0] for key in told.values} == sensors


async def test_an_older_revision_that_comes_again_changes_nothing(gateway: Service, producer: Producer):
    async with session(gateway, STREET) as one:
        story = [warning(20), warning(20, 2, tier="red"), warning(20), warning(20, 3, state="cleared"), warning(20, 2), warning(21)]
        await publish_warnings(producer, story)
        await one.until(lambda one: 21 in numbers(one.warnings), "the last")
        assert [each.rev for each in one.warnings if each.id.int == 20] == [1, 2, 3]
        assert UUID(int=20) not in one.open
    async with session(gateway, STREET) as later:
        assert UUID(int=20) not in later.open
        assert UUID(int=21) in later.open


async def test_a_new_sensor_is_told(gateway: Service, producer: Producer):
    async with session(gateway, STREET) as one, session(gateway, CITY) as city:
        new = sensor("s9")
        await producer.publish(SENSORS, [Outgoing(new.model_dump_json().encode(), key=b"s9")])
        await publish_records(producer, partition_for(STREET), [observation("s9", flow=9.0)])
        for told in (one, city):
            await told.until(lambda one: ("s9", "flow", "instant", 0) in one.values, "its value")
    async with session(gateway, STREET) as later:
        assert "s9" in {each.id for each in later.snapshot.sensors}


async def test_the_age_is_told_once_all_partitions_have_ticked(gateway: Service, producer: Producer):
    async with session(gateway, STREET) as one:
        await one.until(lambda one: one.heartbeat is not None, "a heartbeat")
        assert one.heartbeat is not None
        assert one.heartbeat.pipeline_time is None
        for tp in all_partitions(OBSERVATIONS):
            await publish_records(producer, tp.partition, [wire.Tick(MICROS + 1_000_000 * (1 + tp.partition), "n1", {})])
        rules = Heartbeat(service="rules", node="n7", time=NOW, ready=False, reason="database: away", lag=7, event_time=None)
        await producer.publish(HEALTH, [Outgoing(b"no heartbeat", key=b"x"), Outgoing(rules.model_dump_json().encode(), key=b"rules")])
        await one.until(lambda one: one.heartbeat and one.heartbeat.pipeline_time == NOW + timedelta(seconds=1), "the pipeline's time")
        await one.until(lambda one: one.heartbeat and rules in one.heartbeat.services, "the heartbeat of rules")
        assert {each.service for each in one.heartbeat.services} == {"rules", "gateway"}


# Who is refused


@pytest.mark.parametrize("region", [CITY, DISTRICT, SIBLING, OTHER_DISTRICT, OTHER_STREET, "nowhere"])
async def test_a_region_that_is_not_the_tokens_is_refused(gateway: Service, region: str):
    async with connected(gateway) as socket:
        await socket.send(hello(region, TOKENS[STREET]))
        assert await closed_with(socket) == 4403


@pytest.mark.parametrize("region", [DISTRICT, SIBLING, STREET])
async def test_a_token_is_good_for_all_that_lies_below(gateway: Service, region: str):
    async with session(gateway, region, TOKENS[DISTRICT]) as one:
        assert one.snapshot.region.code == region


@pytest.mark.parametrize("token", ["tgr_nobody", "tgr_city ", "x" * 200])
async def test_a_token_of_nobody_is_refused(gateway: Service, token: str):
    async with connected(gateway) as socket:
        await socket.send(hello(CITY, token))
        assert await closed_with(socket) == 4401


@pytest.mark.parametrize(
    "first",
    [
        "",
        "hello",
        "[]",
        "{}",
        b"\xff\x00",
        hello(CITY, protocol=2),
        hello(CITY, more=1),
        hello(CITY, **{"region ": CITY}),
        hello(CITY, type="resume"),
        hello(CITY, "\u0000"),
    ],
)
async def test_what_is_no_hello_is_refused(gateway: Service, first: str | bytes):
    async with connected(gateway) as socket:
        await socket.send(first)
        assert await closed_with(socket) == 4400


async def test_a_client_says_hello_and_nothing_else(gateway: Service):
    async with session(gateway, STREET) as one:
        await one.socket.send("more")
        assert await closed_with(one.socket) == 4400
    async with connected(gateway) as socket:
        await socket.send(hello(CITY, padding="x" * 5_000))
        assert await closed_with(socket) == 1009


@pytest.mark.parametrize("path", ["/v1/liv", "/v1/live/", "/", "/assets/page.js", "/v1/regions/990000"])
async def test_the_socket_is_at_one_path(gateway: Service, path: str):
    with pytest.raises(InvalidStatus) as refused:
        async with websockets.connect(gateway.url.replace("http", "ws") + path, proxy=None):
            pass
    assert refused.value.response.status_code == 404
    assert b"/v1/live" in (refused.value.response.body or b"")


async def test_pages_of_another_origin_may_not_connect(gateway: Service):
    for origin in ("https://evil.example", "null", gateway.url + ".evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            async with connected(gateway, origin=origin):
                pass
        assert refused.value.response.status_code == 403
    async with session(gateway, STREET, origin=gateway.url) as one:
        assert one.snapshot.region.code == STREET


async def test_a_handshake_that_is_none_is_refused(gateway: Service, client: httpx.AsyncClient):
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    kinds: list[tuple[dict[str, str], int]] = [
        ({}, 400),
        (key | {"Sec-WebSocket-Key": "short"}, 400),
        (key | {"Sec-WebSocket-Version": "8"}, 400),
        (key | {"Origin": gateway.url, "origin": "https://evil.example"}, 403),
    ]
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    answers = await asyncio.gather(*(client.get("/v1/live", headers=upgrade | kind) for kind, _ in kinds))
    assert [answer.status_code for answer in answers] == [status for _, status in kinds]
    assert "Traceback" not in gateway.log
    assert "never retrieved" not in gateway.log


async def test_the_path_may_have_a_query(gateway: Service):
    async with websockets.connect(live_url(gateway) + "?x=1", proxy=None) as socket:
        await socket.send(hello(STREET))
        assert json.loads(await socket.recv())["type"] == "snapshot"


async def test_a_client_behind_a_proxy_is_told_apart(gateway: Service):
    async with session(gateway, STREET, additional_headers={"X-Forwarded-For": "10.9.9.9, 203.0.113.9"}):
        pass
    async with connected(gateway, additional_headers={"X-Forwarded-For": "203.0.113.10"}) as socket:
        await socket.send("x")
        await closed_with(socket)
    addresses = {event["event"]: event["address"] for event in gateway.events() if event.get("address", "").startswith("203.")}
    assert addresses == {"live_session": "203.0.113.9", "live_refused": "203.0.113.10"}


async def test_what_does_not_come_in_time_is_given_up(gateway: Service, client: httpx.AsyncClient, pool: asyncpg.Pool):
    async def no_hello() -> int:
        async with connected(gateway) as socket:
            return await closed_with(socket)

    async def no_database() -> httpx.Response:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("lock table history.warnings in access exclusive mode")
            return await client.get(f"/v1/warnings/{UUID(int=1)}", headers=bearer(CITY))

    code, answer = await asyncio.gather(no_hello(), no_database())
    assert code == 4408
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["title"]) == (503, "2", "unavailable")


async def test_a_client_that_does_not_read_is_cut_and_harms_no_other(gateway: Service, producer: Producer):
    cut = 'tongguan_live_closed_total{code="1013"}'
    before_ = gateway.metric(cut)
    long = name("长" * 256)
    async with session(gateway, STREET) as good, connected(gateway, **await narrow(gateway, 4096)) as stuck:
        await stuck.send(hello(STREET))
        revs = 0

        async def more() -> bool:
            nonlocal revs
            told = [warning(30, revs + 1 + at, sensor_name=long, rule_name=long, state="cleared") for at in range(200)]
            revs += len(told)
            await publish_warnings(producer, told)
            await good.until(lambda one: one.warnings and one.warnings[-1].rev == revs, f"revision {revs}")
            return await asyncio.to_thread(gateway.metric, cut) > before_

        await eventually(more, "the client that does not read to be cut")
        assert [each.rev for each in good.warnings] == list(range(1, revs + 1))
        with contextlib.suppress(TimeoutError):
            assert await closed_with(stuck) == 1006
    assert gateway.events("live_cut_slow")
    await eventually(lambda: _sessions(gateway, 0), "the sessions to end")


async def test_a_snapshot_of_any_size_can_be_read(gateway: Service, producer: Producer):
    """It is larger than what may wait for a client, and than what the kernel takes."""
    long = name("长" * 256)
    many = [warning(10_000 + at, street=OTHER_STREET, sensor_name=long, rule_name=long, sensor=f"s{at:090}") for at in range(1_500)]
    async with session(gateway, OTHER_STREET, TOKENS[CITY]) as first:
        await publish_warnings(producer, many)
        await first.until(lambda one: len(one.open) >= len(many), "all warnings")
        async with session(gateway, OTHER_STREET, TOKENS[CITY]) as one:
            assert len(one.snapshot.warnings) >= len(many)
            assert len(one.snapshot.model_dump_json().encode()) > 5_000_000
            await one.until(lambda one: one.heartbeat, "a heartbeat after it")
            await publish_warnings(producer, [each.model_copy(update={"rev": 2, "state": WarningState.CLEARED}) for each in many])
            await one.until(lambda one: len(one.open) < len(many), "their end")


async def _sessions(gateway: Service, count: int) -> bool:
    return await asyncio.to_thread(gateway.metric, "tongguan_live_sessions") == count


# REST


PUBLIC = {("/v1/sign-in", "get"), ("/v1/session", "post"), ("/v1/oidc/start", "get"), ("/v1/oidc/callback", "get")}
PUBLIC |= {("/v1/links/{token}", "get"), ("/v1/links/{token}", "post")}
"""How one signs in, and what a message's link says of itself; all else asks who one is."""
NO_TOKENS = {("/v1/session", "get"), ("/v1/session", "delete"), ("/v1/session/password", "put")}
"""Only a browser has a session."""
OWN = {"/v1/field", "/v1/photos", "/v1/departments", "/v1/kinds"}
"""Of whoever asks, wherever they are."""
DAY = {"since": "2026-11-22T00:00:00Z", "until": "2026-11-23T00:00:00Z", "reason": "x"}
REGISTRIES = ("/v1/users", "/v1/audit", "/v1/sensors", "/v1/unknown", "/v1/uploads")
"""Whose scope has tests of its own."""
SENSOR = {
    "id": "nobodys",
    "name": {"zh": "x", "en": "x"},
    "domain": "water",
    "department": "d",
    "street": STREET,
    "metrics": {"flow": {"unit": "L/s", "name": {"zh": "x", "en": "x"}}},
}
BODIES = {
    "/v1/sensors/{sensor}": SENSOR,
    "/v1/departments/{department}/devices/{device}/patrols": {},
    "/v1/departments/{department}/keys": {"label": "x"},
    "/v1/departments/{department}/keys/{key}/replacement": {},
    "/v1/departments/{department}/refused/again": {"rejected": [str(UUID(int=3))]},
    "/v1/departments/{department}/refused/discard": {"rejected": [str(UUID(int=3))]},
    "/v1/regions/{code}/mutes": {"name": "hand", "minutes": 5, "warnings": []},
    "/v1/regions/{code}/silences": DAY | {"match": {}},
    "/v1/regions/{code}/handovers": {"note": ""},
    "/v1/warnings/{warning}/acknowledgement": {"rev": 1},
    "/v1/warnings/{warning}/assignment": {"rev": 1, "to": "somebody"},
    "/v1/warnings/{warning}/comments": {"rev": 1, "note": "x"},
    "/v1/warnings/{warning}/clearance": {"rev": 1, "reason": "x"},
    "/v1/alerts/{alert}/answers": {"command": str(UUID(int=1)), "message": 1, "deed": "acknowledge"},
    "/v1/teams/{team}/overrides": DAY | {"person": "somebody"},
}
THINGS = ("warning", "alert", "silence", "handover", "rejected", "report", "command")


def filled(path: str) -> str:
    """Return a path of things that others have."""
    path = (
        path.replace("{department}", "d")
        .replace("{door}", "http")
        .replace("{sensor}", "nobodys")
        .replace("{key}", "k1")
        .replace("{device}", "0" * 12)
        .replace("{form}", "csv")
    )
    for thing in THINGS:
        path = path.replace(f"{{{thing}}}", str(UUID(int=3)))
    return path.replace("{user}", "somebody").replace("{person}", "somebody").replace("{team}", "crew").replace("{digest}", "0" * 64)


async def test_every_path_asks_for_a_token_and_keeps_to_its_region(client: httpx.AsyncClient):
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert len(paths) >= 30
    for path, methods in paths.items():
        assert path.startswith("/v1/")
        for method in methods:
            if (path, method) in PUBLIC:
                continue
            url = filled(path)
            for authorization in ("", "Bearer", "Bearer tgr_nobody", f"Basic {TOKENS[CITY]}", TOKENS[CITY]):
                answer = await client.request(method, url.replace("{code}", STREET), headers={"Authorization": authorization}, json=BODIES.get(path))
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (path, authorization)
                assert answer.headers["content-type"] == "application/problem+json"
            if path in OWN or (path, method) in NO_TOKENS or path.startswith(REGISTRIES):
                continue
            for region in (CITY, DISTRICT, SIBLING, OTHER_DISTRICT, OTHER_STREET, "nowhere"):
                answer = await client.request(method, url.replace("{code}", region), headers=bearer(STREET), json=BODIES.get(path))
                assert answer.status_code == (403 if "{code}" in path or "{department}" in path else 404), (path, region)
                assert answer.json()["type"].startswith("urn:tongguan:problem:")


async def test_a_region_with_its_path_and_children(client: httpx.AsyncClient):
    answer = (await client.get(f"/v1/regions/{DISTRICT}", headers=bearer(DISTRICT))).json()
    assert answer["region"]["code"] == DISTRICT
    assert [one["code"] for one in answer["path"]] == [DISTRICT, CITY]
    assert [one["code"] for one in answer["children"]] == [STREET, SIBLING]


async def test_revisions_are_those_of_ones_own_regions(client: httpx.AsyncClient):
    path = f"/v1/warnings/{UUID(int=5)}"
    answer = await client.get(path, headers=bearer(CITY))
    assert [(one["rev"], one["tier"]) for one in answer.json()] == [(1, "blue"), (2, "red")]
    assert (await client.get(path, headers=bearer(DISTRICT))).status_code == 404
    assert (await client.get(f"/v1/warnings/{UUID(int=404)}", headers=bearer(CITY))).status_code == 404


async def test_a_desk_sees_what_it_was_told(client: httpx.AsyncClient):
    answer = await client.get(f"/v1/regions/{STREET}/notifications", headers=bearer(DISTRICT))
    assert {(one["recipient"], one["street"]) for one in answer.json()} == {(f"region/{STREET}", STREET)}
    answer = await client.get(f"/v1/regions/{CITY}/notifications", headers=bearer(CITY))
    assert [(one["warning"], one["warning_rev"]) for one in answer.json()] == [(str(UUID(int=5)), 2)]
    assert (await client.get(f"/v1/regions/{DISTRICT}/notifications", headers=bearer(DISTRICT))).json() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/warnings/no-uuid", 422),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/live", 404),
        ("GET", "/assets/../../settings.py", 404),
        ("GET", "/assets/%2e%2e/index.html", 404),
        ("GET", "/assets/nothing.js", 404),
        ("POST", f"/v1/regions/{CITY}", 405),
    ],
)
async def test_errors_are_problems(client: httpx.AsyncClient, method: str, path: str, status: int):
    answer = await client.request(method, path, headers=bearer(CITY))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/assets/nothing.js", "/v1/regions/990000", "/openapi.json"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str):
    answer = await client.get(path)
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
