"""A provider of identities by OpenID Connect Core 1.0: authorization code with PKCE (RFC 7636), state and nonce; ID tokens are verified.

Its address and keys are asked for when they are needed and kept for an hour: a provider that is away stops nobody who signs in otherwise.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ValidationError

from schemas.access import Grant
from services.gateway.domain.identity import Identity, display_name, granted, user_id
from services.gateway.domain.repeats import UNKNOWN
from services.gateway.settings import OidcSettings
from services.kit.clock import Clock

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures by keys that only the provider holds; none that a client could make."""
KEPT_S = 3_600.0
KEYS_AGAIN_S = 30.0
"""A token with a key that is not known makes us ask for the keys again, but not more often than this."""
LEEWAY_S = 60
"""By how much the provider's clock may differ from ours."""
TIMEOUT_S = 5.0
AT_A_TIME = 8
"""Questions to the provider under way: nobody can have us ask it without end."""


class Trouble(StrEnum):
    """Why somebody could not sign in by the provider."""

    UNREACHABLE = "provider_unreachable"
    REFUSED = "provider_refused"
    BEGIN_AGAIN = "begin_again"
    """It was begun in another browser, too long ago, or twice."""
    BAD_TOKEN = "bad_token"  # noqa: S105 - no password
    NO_GRANT = "no_grant"


class ProviderError(Exception):
    """Somebody could not sign in by the provider."""

    def __init__(self, trouble: Trouble, detail: str, user: str = UNKNOWN) -> None:
        super().__init__(f"{trouble}: {detail}")
        self.trouble = trouble
        self.detail = detail
        self.user = user


@dataclass(frozen=True)
class Attempt:
    """What a browser keeps while its user is at the provider's; it comes back with the state, and the ID token with the nonce."""

    state: str
    nonce: str
    verifier: str
    to: str

    @classmethod
    def begin(cls, to: str) -> Attempt:
        """Return a new one, which ends at one of our pages."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), to)


class _Discovered(BaseModel):
    """OpenID Connect Discovery 1.0, section 3, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic",)


class _Answer(BaseModel):
    """What the token endpoint says."""

    id_token: str
    access_token: str | None = None


class Provider:
    """The city's provider."""

    def __init__(self, settings: OidcSettings, grants: Mapping[str, Sequence[Grant]], client: httpx.AsyncClient, clock: Clock) -> None:
        """`grants` are by group."""
        self._settings = settings
        self._grants = grants
        self._client = client
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._discovered: tuple[float, _Discovered] | None = None
        self._keys: tuple[float, KeySet] | None = None

    @property
    def issuer(self) -> str:
        """Who vouches."""
        return self._settings.issuer

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Return where the browser is to go. Raises `ProviderError`."""
        found = await self._discover()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._settings.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in found.authorization_endpoint else "?"
        return f"{found.authorization_endpoint}{joint}{urlencode(asked)}"

    async def identity(self, attempt: Attempt, code: str, redirect_uri: str) -> Identity:
        """Return whom a code stands for. Raises `ProviderError`."""
        found = await self._discover()
        answer = await self._exchange(found, attempt, code, redirect_uri)
        claims = await self._verified(found, answer.id_token, attempt.nonce)
        if self._settings.groups_claim not in claims and found.userinfo_endpoint and answer.access_token:
            claims = {**await self._userinfo(found.userinfo_endpoint, answer.access_token, claims["sub"]), **claims}
        user = user_id(claims.get(self._settings.user_claim))
        if user is None:
            raise ProviderError(Trouble.BAD_TOKEN, f"no {self._settings.user_claim}")
        grants = granted(claims.get(self._settings.groups_claim), self._grants)
        if not grants:
            raise ProviderError(Trouble.NO_GRANT, "no group of theirs is granted anything", user)
        return Identity(user, display_name(claims.get(self._settings.name_claim), user), grants)

    # -- the provider's answers

    async def _discover(self) -> _Discovered:
        now = self._clock.monotonic()
        if self._discovered is not None and now - self._discovered[0] < KEPT_S:
            return self._discovered[1]
        said = await self._ask("GET", self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
        try:
            found = _Discovered.model_validate(said)
        except ValidationError as error:
            raise ProviderError(Trouble.UNREACHABLE, f"its configuration cannot be used: {error.errors()[0]['loc']}") from error
        if found.issuer != self._settings.issuer:
            raise ProviderError(Trouble.UNREACHABLE, f"it calls itself {found.issuer}, the settings call it {self._settings.issuer}")
        self._discovered = now, found
        return found

    async def _exchange(self, found: _Discovered, attempt: Attempt, code: str, redirect_uri: str) -> _Answer:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": attempt.verifier}
        secret, headers = self._settings.client_secret, {}
        if secret is not None and "client_secret_basic" in found.token_endpoint_auth_methods_supported:
            pair = f"{quote(self._settings.client_id, safe='')}:{quote(secret.get_secret_value(), safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self._settings.client_id
            form |= {} if secret is None else {"client_secret": secret.get_secret_value()}
        said = await self._ask("POST", found.token_endpoint, data=form, headers=headers)
        try:
            return _Answer.model_validate(said)
        except ValidationError as error:
            raise ProviderError(Trouble.BAD_TOKEN, "its answer has no ID token") from error

    async def _verified(self, found: _Discovered, token: str, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token (OpenID Connect Core, section 3.1.3.7)."""
        try:
            try:
                decoded = jwt.decode(token, await self._key_set(found, KEPT_S), algorithms=ALGORITHMS)
            except InvalidKeyIdError:
                decoded = jwt.decode(token, await self._key_set(found, KEYS_AGAIN_S), algorithms=ALGORITHMS)
            self._claims(nonce).validate(decoded.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise ProviderError(Trouble.BAD_TOKEN, repr(error)) from error
        claims: dict[str, Any] = decoded.claims
        audience, party = claims["aud"], claims.get("azp")
        if party != self._settings.client_id and (party is not None or (isinstance(audience, list) and len(audience) > 1)):
            raise ProviderError(Trouble.BAD_TOKEN, "it was made for another")
        return claims

    def _claims(self, nonce: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )

    async def _key_set(self, found: _Discovered, younger_than_s: float) -> KeySet:
        now = self._clock.monotonic()
        if self._keys is None or now - self._keys[0] >= younger_than_s:
            said = await self._ask("GET", found.jwks_uri)
            try:
                self._keys = now, KeySet.import_key_set({"keys": said["keys"]})
            except (JoseError, KeyError, ValueError, TypeError) as error:
                raise ProviderError(Trouble.UNREACHABLE, f"its keys cannot be used: {error!r}") from error
        return self._keys[1]

    async def _userinfo(self, url: str, access_token: str, subject: str) -> dict[str, Any]:
        said = await self._ask("GET", url, headers={"Authorization": f"Bearer {access_token}"})
        if said.get("sub") != subject:
            raise ProviderError(Trouble.BAD_TOKEN, "it speaks of somebody else")
        return said

    async def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        """Return the JSON object that an endpoint answers."""
        if not trustworthy(url):
            raise ProviderError(Trouble.UNREACHABLE, f"{url} is not https")
        try:
            async with self._slots, asyncio.timeout(TIMEOUT_S):
                answer = await self._client.request(method, url, **options)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise ProviderError(Trouble.UNREACHABLE, f"{url}: {error!r}") from error
        if answer.is_client_error:
            raise ProviderError(Trouble.REFUSED, f"{url} answered {answer.status_code}")
        try:
            said = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise ProviderError(Trouble.UNREACHABLE, f"{url}: {error!r}") from error
        if not isinstance(said, dict):
            raise ProviderError(Trouble.UNREACHABLE, f"{url} answered no object")
        return said


def trustworthy(url: str) -> bool:
    """Say whether nobody on the way can change what is said: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname or ""))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
