"""A small provider of identities: OpenID Connect with code, PKCE and signed ID tokens, as FastAPI and joserfc make it. It trusts who comes."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "tongguan", "a secret: with / and ü"
KEY = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
OTHER_KEY = RSAKey.generate_key(2048, {"kid": KEY.kid, "use": "sig", "alg": "RS256"})


class SmallProvider:
    """What it says is set by whoever tests with it."""

    def __init__(self, issuer: str, now: Callable[[], float]) -> None:
        self.issuer = issuer
        self.now = now
        self.user: dict[str, Any] = {"sub": "li.wei", "name": "李伟", "groups": ["duty"]}
        self.signing = KEY
        self.algorithm = "RS256"
        self.spoil: dict[str, Any] = {}
        """Claims of the ID token that are set otherwise, or with None left out."""
        self.userinfo: dict[str, Any] | None = None
        self.refusing = False
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self.app = self._app()

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.get("/.well-known/openid-configuration")(self._configuration)
        app.get("/keys")(self._keys)
        app.get("/authorize")(self._authorize)
        app.post("/token")(self._token)
        app.get("/userinfo")(self._userinfo)
        return app

    async def _configuration(self) -> dict[str, Any]:
        self.asked.append("configuration")
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys", "userinfo_endpoint": "userinfo"}
        return {"issuer": self.issuer} | {name: f"{self.issuer}/{path}" for name, path in names.items()}

    async def _keys(self) -> dict[str, Any]:
        self.asked.append("keys")
        return dict(KeySet([self.signing if self.signing is not OTHER_KEY else KEY]).as_dict())

    async def _authorize(
        self, client_id: str, redirect_uri: str, state: str, nonce: str, code_challenge: str, code_challenge_method: str, response_type: str
    ) -> RedirectResponse:
        assert (client_id, code_challenge_method, response_type) == (CLIENT, "S256", "code")
        if self.refusing:
            return RedirectResponse(f"{redirect_uri}?{urlencode({'error': 'access_denied', 'state': state})}", 302)
        code = secrets.token_urlsafe()
        self._codes[code] = {"nonce": nonce, "challenge": code_challenge, "redirect_uri": redirect_uri}
        return RedirectResponse(f"{redirect_uri}?{urlencode({'code': code, 'state': state, 'iss': self.issuer})}", 302)

    async def _token(self, request: Request) -> dict[str, Any]:
        form = dict(parse_qsl((await request.body()).decode()))
        issued = self._codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if issued is None or issued["challenge"] != challenge or issued["redirect_uri"] != form["redirect_uri"]:
            raise HTTPException(400, "invalid_grant")
        if request.headers.get("authorization") != "Basic " + base64.b64encode(f"{CLIENT}:{quote(SECRET, safe='')}".encode()).decode():
            raise HTTPException(401, "invalid_client")
        return {"id_token": self.token(issued["nonce"]), "access_token": "opaque", "token_type": "Bearer"}

    async def _userinfo(self, authorization: Annotated[str, Header()]) -> dict[str, Any]:
        assert authorization == "Bearer opaque"
        return self.userinfo or {"sub": self.user["sub"]}

    def token(self, nonce: str) -> str:
        """Return an ID token."""
        now = int(self.now())
        claims = {"iss": self.issuer, "aud": CLIENT, "nonce": nonce, "iat": now, "exp": now + 300, **self.user, **self.spoil}
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
            return f"{head}.{jwt.encode({'alg': 'RS256'}, claims, KEY).split('.')[1]}."
        return jwt.encode({"alg": self.algorithm, "kid": self.signing.kid}, claims, self.signing)
