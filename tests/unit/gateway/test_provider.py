"""Signing in by a provider of identities: what is believed of it, and what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from schemas.access import Grant, Role
from services.gateway.domain.identity import Identity
from services.gateway.provider import KEPT_S, KEYS_AGAIN_S, Attempt, Provider, ProviderError, Trouble, trustworthy
from services.gateway.settings import OidcSettings
from tests.unit.gateway.city import NOW, name
from tests.unit.gateway.small_provider import CLIENT, KEY, OTHER_KEY, SECRET, SmallProvider

ISSUER = "https://identity.example"
BACK = "https://city.example/v1/oidc/callback"
DUTY = Grant(role=Role.CITY, region="990000")


class HandClock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.passed = 1_000.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def there(clock: HandClock) -> SmallProvider:
    return SmallProvider(ISSUER, lambda: clock.now().timestamp())


@pytest.fixture
async def client(there: SmallProvider) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(there.app)) as opened:
        yield opened


@pytest.fixture
def provider(client: httpx.AsyncClient, clock: HandClock) -> Provider:
    settings = OidcSettings.model_validate({"issuer": ISSUER, "client_id": CLIENT, "client_secret": SECRET, "grants": {"duty": ["city:990000"]}})
    return Provider(settings, {"duty": [DUTY]}, client, clock)


async def code_of(provider: Provider, client: httpx.AsyncClient, attempt: Attempt) -> str:
    """Go to the provider as a browser does; returns the code with which it sends the browser back."""
    answer = await client.get(await provider.address(attempt, BACK))
    told = parse_qs(urlsplit(answer.headers["location"]).query)
    assert told["state"] == [attempt.state]
    return told["code"][0]


async def sign_in(provider: Provider, client: httpx.AsyncClient) -> Identity:
    attempt = Attempt.begin("/")
    return await provider.identity(attempt, await code_of(provider, client, attempt), BACK)


async def refused(provider: Provider, client: httpx.AsyncClient) -> Trouble:
    with pytest.raises(ProviderError) as error:
        await sign_in(provider, client)
    return error.value.trouble


async def test_somebody_in_a_group_is_known(provider: Provider, client: httpx.AsyncClient):
    assert await sign_in(provider, client) == Identity("oidc:li.wei", name("李伟"), (DUTY,))


SPOILT: list[dict[str, Any]] = [
    {"nonce": "another"},
    {"nonce": None},
    {"iss": "https://evil.example"},
    {"iss": ISSUER + "/"},
    {"aud": "another"},
    {"aud": None},
    {"aud": [CLIENT, "another"]},
    {"aud": CLIENT, "azp": "another"},
    {"exp": None},
    {"exp": int(NOW.timestamp()) + 1_000 - 61},
    {"exp": "soon"},
    {"iat": None},
    {"iat": int(NOW.timestamp()) + 1_000 + 61},
    {"nbf": int(NOW.timestamp()) + 1_000 + 61},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
]


@pytest.mark.parametrize("spoilt", SPOILT, ids=str)
async def test_a_token_that_is_not_right_is_not_believed(provider: Provider, there: SmallProvider, client: httpx.AsyncClient, spoilt: dict[str, Any]):
    there.spoil = spoilt
    assert await refused(provider, client) is Trouble.BAD_TOKEN
    there.spoil = {}
    assert (await sign_in(provider, client)).user == "oidc:li.wei"


@pytest.mark.parametrize("right", [{"aud": [CLIENT]}, {"aud": [CLIENT, "x"], "azp": CLIENT}, {"exp": int(NOW.timestamp()) + 1_000 - 30}], ids=str)
async def test_what_the_standard_allows_is_believed(provider: Provider, there: SmallProvider, client: httpx.AsyncClient, right: dict[str, Any]):
    there.spoil = right
    assert (await sign_in(provider, client)).user == "oidc:li.wei"


async def test_a_token_that_another_has_signed_is_not_believed(provider: Provider, there: SmallProvider, client: httpx.AsyncClient):
    there.signing = OTHER_KEY
    assert await refused(provider, client) is Trouble.BAD_TOKEN
    there.signing, there.algorithm = KEY, "none"
    assert await refused(provider, client) is Trouble.BAD_TOKEN


async def test_a_code_is_good_once_and_for_who_began(provider: Provider, client: httpx.AsyncClient):
    attempt, other = Attempt.begin("/"), Attempt.begin("/")
    code = await code_of(provider, client, attempt)
    with pytest.raises(ProviderError) as error:
        await provider.identity(other, code, BACK)
    assert error.value.trouble is Trouble.REFUSED
    code = await code_of(provider, client, attempt)
    await provider.identity(attempt, code, BACK)
    with pytest.raises(ProviderError) as error:
        await provider.identity(attempt, code, BACK)
    assert error.value.trouble is Trouble.REFUSED


async def test_who_is_in_no_group_that_is_granted_anything_is_told_apart(provider: Provider, there: SmallProvider, client: httpx.AsyncClient):
    for groups in (["other"], [], None, "", {"duty": True}, 7):
        there.user = {"sub": "li.wei", "groups": groups}
        assert await refused(provider, client) is Trouble.NO_GRANT


async def test_groups_may_stand_in_what_it_says_of_the_user(provider: Provider, there: SmallProvider, client: httpx.AsyncClient):
    there.user, there.userinfo = {"sub": "li.wei"}, {"sub": "li.wei", "groups": ["duty"], "name": "李"}
    assert await sign_in(provider, client) == Identity("oidc:li.wei", name("李"), (DUTY,))
    there.userinfo = {"sub": "somebody else", "groups": ["duty"]}
    assert await refused(provider, client) is Trouble.BAD_TOKEN


async def test_its_configuration_and_keys_are_kept_for_an_hour(provider: Provider, there: SmallProvider, client: httpx.AsyncClient, clock: HandClock):
    for _ in range(3):
        await sign_in(provider, client)
    assert there.asked == ["configuration", "keys"]
    clock.passed += KEPT_S
    await sign_in(provider, client)
    assert there.asked == ["configuration", "keys"] * 2


async def test_a_new_key_is_asked_for_but_not_without_end(provider: Provider, there: SmallProvider, client: httpx.AsyncClient, clock: HandClock):
    await sign_in(provider, client)
    there.signing = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
    for _ in range(3):
        assert await refused(provider, client) is Trouble.BAD_TOKEN
    assert there.asked.count("keys") == 1
    clock.passed += KEYS_AGAIN_S
    assert (await sign_in(provider, client)).user == "oidc:li.wei"


async def test_another_that_answers_in_its_place_is_not_believed(provider: Provider, there: SmallProvider, client: httpx.AsyncClient):
    there.issuer = "https://evil.example"
    assert await refused(provider, client) is Trouble.UNREACHABLE


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://x.example/", True),
        ("http://x.example/", False),
        ("http://127.0.0.1:5000/", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("http://127.0.0.1.evil.example/", False),
        ("ftp://127.0.0.1/", False),
        ("", False),
    ],
)
def test_what_it_says_cannot_be_changed_on_the_way(url: str, trusted: bool):  # noqa: FBT001
    assert trustworthy(url) is trusted
