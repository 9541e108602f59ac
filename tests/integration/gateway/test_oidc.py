"""Signing in by a provider of identities, from our page to the provider and back, with local users beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from schemas.rest import Session, SignIn, User
from services.kit.clock import SystemClock
from services.kit.http import serve
from tests.integration.gateway.people import Browser, browser
from tests.integration.gateway.session import closed_with, connected
from tests.integration.parts import Service
from tests.lanes import free_plan
from tests.unit.gateway.city import DISTRICT, OTHER_DISTRICT, STREET
from tests.unit.gateway.small_provider import CLIENT, SECRET, SmallProvider

GRANTS = {"duty": [f"district:{DISTRICT}", f"department:{DISTRICT}:d"], "other": [f"district:{OTHER_DISTRICT}"]}


@pytest.fixture(scope="module")
def port() -> int:
    return free_plan().database


@pytest.fixture(name="gateway", scope="module")
def with_provider(environment: dict[str, str], port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    told = _told(environment, port) | {"TONGGUAN_GATEWAY__OIDC__NAME": "市统一认证"}
    service = Service("gateway", tmp_path_factory.mktemp("gateway"), told)
    try:
        asyncio.run(service.ready())
        yield service
        assert service.stop() == 0
    finally:
        service.kill()


@asynccontextmanager
async def running(port: int) -> AsyncIterator[SmallProvider]:
    there = SmallProvider(f"http://127.0.0.1:{port}", lambda: SystemClock().now().timestamp())
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve(there.app, host="127.0.0.1", port=port, stop=stop, ready=ready.set))
    await ready.wait()
    try:
        yield there
    finally:
        stop.set()
        await task


@pytest.fixture
async def there(port: int) -> AsyncIterator[SmallProvider]:
    async with running(port) as one:
        yield one


async def back(one: Browser, to: str = "#/regions/990100") -> str:
    """Go to the provider; returns where it sends the browser then."""
    start = await one.client.get("/v1/oidc/start", params={"to": to})
    assert start.status_code == 303, start.text
    async with httpx.AsyncClient() as elsewhere:  # cookies of ours do not go there
        answer = await elsewhere.get(start.headers["location"])
    return str(answer.headers["location"])


async def sign_in(one: Browser, to: str = "#/regions/990100") -> httpx.Response:
    answer = await one.get(await back(one, to))
    if answer.status_code == 303:
        one.session = Session.model_validate((await one.get("/v1/session")).json())
    return answer


async def refused(pool: asyncpg.Pool, address: str) -> list[tuple[str, str]]:
    rows = await pool.fetch(
        "select body->>'actor' as actor, body->>'reason' as reason from gateway.audit "
        "where body->>'action' = 'session.refuse' and body->>'address' = $1 order by seq",
        address,
    )
    return [(row["actor"], row["reason"]) for row in rows]


async def test_one_goes_there_and_comes_back_to_the_page_that_was_asked_for(gateway: Service, there: SmallProvider):
    async with browser(gateway) as one:
        told = SignIn.model_validate((await one.get("/v1/sign-in")).json())
        assert told.oidc is not None
        assert (told.oidc.name, told.oidc.url) == ("市统一认证", "/v1/oidc/start")
        answer = await sign_in(one)
        assert (answer.status_code, answer.headers["location"]) == (303, "/#/regions/990100")
        assert one.session is not None
        assert (one.session.user, one.session.name.zh) == ("oidc:li.wei", "李伟")
        assert [region.code for region in one.session.regions] == [DISTRICT]
        assert list(dict(one.client.cookies)) == ["tongguan"]
        assert (await one.get(f"/v1/regions/{OTHER_DISTRICT}")).status_code == 403


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/x\r\nSet-Cookie: a=b", "#//x y"]
)
async def test_nobody_is_sent_elsewhere(gateway: Service, there: SmallProvider, to: str):
    async with browser(gateway) as one:
        answer = await sign_in(one, to)
        location = answer.headers["location"]
        assert location.startswith("/#/")
        assert not urlsplit(location).netloc
        assert "evil" not in location or location == "/#//evil.example"


async def test_what_was_begun_elsewhere_or_has_ended_opens_nothing(gateway: Service, there: SmallProvider, pool: asyncpg.Pool):
    async with browser(gateway, address="10.6.0.1") as one, browser(gateway, address="10.6.0.2") as victim:
        location = await back(one)
        assert (await victim.get(location)).status_code == 400
        await back(victim)
        assert (await victim.get(location)).status_code == 400
        assert "tongguan" not in dict(victim.client.cookies)
        held = one.cookie
        assert (await one.get(location)).status_code == 303
        assert (await one.get(location)).status_code == 400
        assert (await one.client.get(location, headers=held)).status_code == 403
        assert (await one.get("/v1/oidc/callback")).status_code == 400
    assert await refused(pool, "10.6.0.2") == [("(unknown)", "begin_again")]


async def test_an_issuer_that_is_another_is_refused(gateway: Service, there: SmallProvider):
    """So that nobody who runs another provider has its codes spent at ours (RFC 9207)."""
    async with browser(gateway) as one:
        location = await back(one)
        issuer = parse_qs(urlsplit(location).query)["iss"][0]
        assert (await one.get(location.replace(str(httpx.QueryParams({"iss": issuer})), "iss=https://evil.example"))).status_code == 403


@pytest.mark.parametrize(
    ("spoil", "status", "reason"),
    [
        ({"nonce": "another"}, 502, ("(unknown)", "bad_token")),
        ({"aud": "another"}, 502, ("(unknown)", "bad_token")),
        ({"exp": 1}, 502, ("(unknown)", "bad_token")),
        ({"groups": ["nothing"]}, 403, ("oidc:li.wei", "no_grant")),
    ],
)
async def test_who_is_not_let_in_is_told_so_on_a_page(
    gateway: Service, there: SmallProvider, pool: asyncpg.Pool, spoil: dict[str, object], status: int, reason: tuple[str, str]
):
    there.spoil = spoil
    address = f"10.6.1.{sum(map(ord, str(spoil))) % 250}"
    async with browser(gateway, address=address) as one:
        answer = await sign_in(one)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert "/#/sign-in" in answer.text
        assert not one.client.cookies
    assert await refused(pool, address) == [reason]


async def test_who_says_no_at_the_provider_is_not_let_in(gateway: Service, there: SmallProvider):
    there.refusing = True
    async with browser(gateway) as one:
        assert (await sign_in(one)).status_code == 403
        assert not one.client.cookies


async def test_other_groups_end_the_sessions_before(gateway: Service, there: SmallProvider):
    async with browser(gateway) as first, browser(gateway) as second, browser(gateway) as third:
        await sign_in(first)
        await sign_in(second)
        assert (await first.get("/v1/session")).status_code == 200
        async with connected(gateway, additional_headers=first.cookie) as socket:
            await socket.send(json.dumps({"type": "hello", "region": STREET}))
            await socket.recv()
            there.user = {**there.user, "groups": ["other"]}
            await sign_in(third)
            assert await closed_with(socket) == 4401
        assert (await second.get("/v1/session")).status_code == 401
        assert third.session is not None
        assert [region.code for region in third.session.regions] == [OTHER_DISTRICT]


async def test_a_user_of_the_provider_is_disabled_here_and_granted_there(gateway: Service, there: SmallProvider):
    there.user = {"sub": "zhang", "groups": ["duty"]}
    async with browser(gateway) as one, browser(gateway, "district-admin") as admin:
        assert (await sign_in(one)).status_code == 303
        shown = {each["id"]: User.model_validate(each) for each in (await admin.get("/v1/users")).json()}
        assert shown["oidc:zhang"].provider == there.issuer
        for change in ({"password": "x" * 12}, {"grants": []}, {"grants": [{"role": "street", "region": STREET}]}):
            assert (await admin.ask("PATCH", "/v1/users/oidc:zhang", change)).status_code in {403, 409}
        assert (await one.sign_in("oidc:zhang", "x" * 12)).status_code == 401
        assert (await admin.ask("PATCH", "/v1/users/oidc:zhang", {"disabled": True})).status_code == 200
        assert (await one.get("/v1/session")).status_code == 401
        answer = await sign_in(one)
        assert (answer.status_code, "停用" in answer.text) == (403, True)
        assert (await admin.ask("PATCH", "/v1/users/oidc:zhang", {"disabled": False})).status_code == 200
        assert (await sign_in(one)).status_code == 303


async def test_without_its_provider_local_users_go_on(gateway: Service, port: int, environment: dict[str, str], start: Callable[..., Service]):
    fresh = start("gateway", **_told(environment, port))
    await fresh.ready()
    async with browser(fresh) as one:
        answer = await one.get("/v1/oidc/start")
        assert (answer.status_code, "/#/sign-in" in answer.text) == (502, True)
        assert (await one.sign_in("street")).status_code == 200
        async with running(port):
            assert (await sign_in(one)).status_code == 303


def _told(environment: dict[str, str], port: int) -> dict[str, str]:
    oidc = {"ISSUER": f"http://127.0.0.1:{port}", "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET, "GRANTS": json.dumps(GRANTS)}
    return environment | {f"TONGGUAN_GATEWAY__OIDC__{name}": value for name, value in oidc.items()}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"GRANTS": '{"duty": ["emperor:990000"]}'}, "role:region"),
        ({"GRANTS": '{"duty": ["district:990000"]}'}, "of level city"),
        ({"ISSUER": "http://identity.example"}, "not https"),
    ],
)
async def test_settings_that_cannot_work_are_told_at_the_start(
    environment: dict[str, str], port: int, start: Callable[..., Service], told: dict[str, str], said: str
):
    service = start("gateway", **_told(environment, port) | {f"TONGGUAN_GATEWAY__OIDC__{name}": value for name, value in told.items()})
    assert await asyncio.to_thread(service.process.wait, 60) == 78
    assert said in service.log
