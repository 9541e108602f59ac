"""The public application: what routes share, the pages, errors as problem+json, and the headers of every answer.

Who asks is told by `Reader`: a Bearer token, or the session cookie. A change that comes with a cookie must bring the session's CSRF token;
whatever says its origin must say ours. Each answer about a region passes through `Scope`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Asked

from schemas import asyncapi, problem
from schemas.control import RuleActivation
from schemas.kind import Kind
from services.gateway.accounts import Accounts, SignedIn
from services.gateway.album import Album
from services.gateway.alerts import Alerts
from services.gateway.answers import Answers, Outcomes
from services.gateway.archive import Archive
from services.gateway.audit import Audit, With
from services.gateway.devices import Devices
from services.gateway.domain.access import Principal, Scope, Tokens
from services.gateway.domain.outlines import Outlines
from services.gateway.domain.pace import Pace
from services.gateway.domain.proxies import Proxies
from services.gateway.domain.repeats import UNKNOWN, Act
from services.gateway.domain.view import View
from services.gateway.errors import (
    AnotherUser,
    Conflict,
    Forbidden,
    Forged,
    GatewayError,
    Locked,
    NotFound,
    TooMany,
    Unauthorised,
    Unfit,
    WrongCredentials,
)
from services.gateway.ingest import Ingest
from services.gateway.keyring import Keyring
from services.gateway.provider import Provider
from services.gateway.reads import Reads
from services.gateway.registered import Registered
from services.gateway.settings import Settings
from services.gateway.uploads import Uploads
from services.kit.city import CityFolder
from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.outbox import Posting

CONTENT_POLICY = (
    "default-src 'self'; worker-src 'self' blob:; img-src 'self' data: blob:; object-src 'none'; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
TRANSPORT_SECURITY = "max-age=31536000"
BODY_BYTES = 64 << 10
"""Of a request: a user with all their grants takes a tenth of it."""
PHOTO_BYTES = 4 << 20
"""Of a photo, which a phone makes smaller before it sends it."""
HEARD_OUT = 16 << 20
"""A body of so many bytes may be sent to its end, though it is thrown away."""
UPLOAD_BYTES = 16 << 20
"""Of a file to be imported: 10,000 sensors as GeoJSON take half of it."""
PHOTOS = "/v1/photos"
UPLOADS = "/v1/uploads"
LINKS = "/v1/links/"
COOKIE = "tongguan"
SECURE_COOKIE = "__Host-tongguan"
"""Over https: browsers take it from this host alone, and only with Secure and without a domain."""
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BESIDE = {"/sw.js": "text/javascript", "/manifest.webmanifest": "application/manifest+json"}
"""By which a phone opens the page without a network; browsers take a service worker for the whole origin from `/` alone."""
_HASHED = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.\w+$")
"""A name in which the builder put a hash of the content."""
NOT_BUILT = "The pages are not built. `./tongguan up` builds them from a clone of the sources; a released wheel contains them.\n"


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What answers are made of."""

    settings: Settings
    city: CityFolder
    clock: Clock
    view: View
    rules: Mapping[str, RuleActivation]
    """The rules in force, by id."""
    tokens: Tokens
    accounts: Accounts
    audit: Audit
    reads: Reads
    alerts: Alerts
    ingest: Ingest
    keyring: Keyring
    archive: Archive
    kinds: Mapping[str, Kind]
    """Of reports, by code; none where the city takes any."""
    registered: Registered
    devices: Devices
    uploads: Uploads
    album: Album
    outlines: Outlines
    answers: Answers
    outcomes: Outcomes
    wrong_links: Pace
    """How often an address may come with a link that is none."""
    provider: Provider | None
    """Of identities, where there is one."""
    proxies: Proxies
    session_key: str = field(repr=False)
    """Signs what a browser keeps for us, and the links in messages."""


def _sources(request: Request) -> Sources:
    sources: Sources = request.app.state.sources
    return sources


From = Annotated[Sources, Depends(_sources)]


def address(request: Request) -> str:
    """Return where a request came from; behind proxies that are trusted, what they say."""
    return request.client.host if request.client else "unknown"


def session_cookie(request: Request) -> str | None:
    """Return the session's id that a browser holds."""
    return request.cookies.get(_cookie(request)) or None


async def _principal(request: Request, sources: From) -> Principal:
    """Return who asks; raises `Unauthorised` or `Forged`."""
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    if scheme:
        return sources.tokens.principal(token.strip() if scheme.lower() == "bearer" else "")
    signed_in = await _signed_in(request, sources)
    return signed_in.principal


async def _signed_in(request: Request, sources: From) -> SignedIn:
    """Return the session of a browser; raises `Unauthorised` or `Forged`."""
    id_ = session_cookie(request)
    if id_ is None:
        raise Unauthorised("not signed in")
    signed_in = await sources.accounts.session(id_)
    request.state.principal = signed_in.principal
    if request.method in _CHANGES and not hmac.compare_digest(request.headers.get("x-csrf-token", "").encode(), signed_in.csrf.encode()):
        raise Forged("X-CSRF-Token is missing, or is not this session's")
    return signed_in


async def _scope(request: Request, sources: From, principal: Annotated[Principal, Depends(_principal)]) -> Scope:
    request.state.principal = principal
    return Scope(principal, sources.view.regions)


Browser = Annotated[SignedIn, Depends(_signed_in)]
"""The session, for what only a browser asks."""
Reader = Annotated[Scope, Depends(_scope)]
"""Who asks, and what is theirs."""


@dataclass(frozen=True)
class Trail:
    """Writes to the audit what the reader of a request did."""

    audit: Audit
    actor: str
    address: str

    async def done(
        self,
        action: str,
        subject: str,
        *,
        region: str | None,
        detail: Mapping[str, str] | None = None,
        postings: Sequence[Posting] = (),
        with_: With | None = None,
    ) -> bool:
        """Write that it was done, and in the same transaction what goes with it: see `Audit.done`."""
        return await self.audit.done(Act(self.actor, action, subject, self.address, region, detail=detail or {}, proven=True), postings, with_)

    async def refused(self, action: str, subject: str, *, region: str | None, reason: str) -> None:
        """Write that it was refused; the like of it within a minute is only counted."""
        await self.audit.refused(Act(self.actor, action, subject, self.address, region, reason, proven=True))


def _trail(request: Request, scope: Reader, sources: From) -> Trail:
    return Trail(sources.audit, scope.principal.id, address(request))


Audited = Annotated[Trail, Depends(_trail)]
"""The audit, told who asks and from where."""


_WHO = [
    Security(HTTPBearer(auto_error=False, scheme_name="token")),
    Security(APIKeyCookie(name=SECURE_COOKIE, auto_error=False, scheme_name="session")),
]
"""For the OpenAPI document only: who somebody is, and what they may, each route asks by itself."""


def app(sources: Sources, routes: Sequence[APIRouter]) -> FastAPI:
    """Return the public application.

    `/openapi.json` and `/asyncapi.json` need no session: they say what these sources say, and nothing of a city.
    """
    public = FastAPI(title="Tongguan", version=metadata.version("tongguan"), responses=problem.RESPONSES, docs_url=None, redoc_url=None)
    public.state.sources = sources
    for router in routes:
        public.include_router(router, dependencies=_WHO)
    events_document = asyncapi.FILE.read_bytes()

    @public.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi_document() -> Response:
        return Response(events_document, media_type=asyncapi.MEDIA_TYPE)

    add_pages(public, Path(str(resources.files("services.gateway"))) / "page")
    public.add_middleware(_Forwarded, proxies=sources.proxies)
    return public


def add_pages(public: FastAPI, page: Path) -> None:
    """Serve the pages that were built into a folder, guard all that is served, and tell errors as problems."""
    _add_errors(public)
    public.add_middleware(_Guard)

    @public.get("/", include_in_schema=False)
    async def index() -> Response:
        file = page / "index.html"
        return FileResponse(file) if file.is_file() else PlainTextResponse(NOT_BUILT, 503)

    for path, media in _BESIDE.items():
        public.get(path, include_in_schema=False)(_beside(page / path[1:], media))
    public.mount("/assets", _Assets(directory=page / "assets", check_dir=False))


def _beside(file: Path, media: str) -> Callable[[], Response]:
    """Return a route that serves a file beside the page."""

    def serve() -> Response:
        return FileResponse(file, media_type=media) if file.is_file() else PlainTextResponse(NOT_BUILT, 503)

    return serve


class _Assets(StaticFiles):
    async def check_config(self) -> None:
        """Accept a folder that is not there: pages that are not built, or are just being built anew, are missing and no fault."""


class _Forwarded:
    """Outermost: tells where a request came from and how, by the same proxies' word as the live socket."""

    def __init__(self, inner: ASGIApp, proxies: Proxies) -> None:
        self._inner = inner
        self._proxies = proxies

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> None:
        if asked["type"] == "http" and asked["client"]:
            (peer, port), headers = asked["client"], Headers(scope=asked)
            client = self._proxies.client(peer, headers.getlist("x-forwarded-for"))
            asked = {**asked, "client": (client, port), "scheme": self._proxies.scheme(peer, headers.getlist("x-forwarded-proto"))}
        await self._inner(asked, receive, send)


class _Guard:
    """Around everything: other origins and endless bodies are refused, and each answer gets its headers."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, asked: Asked, receive: Receive, send: Send) -> None:
        if asked["type"] != "http":
            await self._inner(asked, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), asked, message["status"])
            await send(message)

        headers = Headers(scope=asked)
        if asked["method"] in _CHANGES and not _same_origin(headers):
            await self._refuse_origin(asked, headers)
            await _problem(403, "forged", "pages of another origin may change nothing", {})(asked, receive, guarded)
        elif (length := headers.get("content-length", "0")).isdecimal() and int(length[:20]) > _most(asked):
            await _too_large(_most(asked), int(length[:20]))(asked, receive, guarded)
        else:
            await self._inner(asked, _bounded(receive, _most(asked)), guarded)

    @staticmethod
    async def _refuse_origin(asked: Asked, headers: Headers) -> None:
        sources: Sources | None = getattr(asked["app"].state, "sources", None)
        if sources is not None:
            await sources.audit.refused(other_origin(asked["path"], address(Request(asked)), headers.getlist("origin")))


def other_origin(path: str, address: str, origins: Sequence[str]) -> Act:
    """Return what a page of another origin was refused; whose browser it was in, nobody has asked."""
    told = f"{LINKS}…" if path.startswith(LINKS) else path  # a link's token is a secret
    return Act(UNKNOWN, "request.refuse", told, address, None, "other_origin", {"origin": ",".join(origins)})


def _most(asked: Asked) -> int:
    """Return how many bytes a request's body may have."""
    return {PHOTOS: PHOTO_BYTES, UPLOADS: UPLOAD_BYTES}.get(asked["path"], BODY_BYTES)


def _bounded(receive: Receive, most: int) -> Receive:
    """Return a `receive` that ends a body which is longer than it may be, whatever its header said."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, f"a body may have {most} bytes")
        return message

    return bounded


def _too_large(most: int, length: int) -> Response:
    """Return the refusal of a body. Who is cut off while sending never reads it, so only what is far too long is."""
    return _problem(413, "content_too_large", f"a body may have {most} bytes", {"Connection": "close"} if length > HEARD_OUT else {})


def _same_origin(headers: Headers) -> bool:
    """Say whether a request comes from a page of ours, or from no page; a browser always says from which."""
    origins, hosts = headers.getlist("origin"), headers.getlist("host")
    return [origin.partition("://")[2] for origin in origins] in ([], hosts)


def _add_headers(headers: MutableHeaders, asked: Asked, status: int) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if asked["scheme"] == "https":
        headers["Strict-Transport-Security"] = TRANSPORT_SECURITY
    if asked["path"].startswith("/assets/") and _HASHED.search(asked["path"]) and status in {200, 206, 304}:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        headers["Cache-Control"] = "no-cache" if asked["path"] in {"/", *_BESIDE} else "no-store"


def set_session(request: Request, response: Response, signed_in: SignedIn, seconds: float) -> None:
    """Give a browser its session."""
    response.set_cookie(
        _cookie(request), signed_in.id, max_age=int(seconds), path="/", httponly=True, samesite="lax", secure=request.url.scheme == "https"
    )


def drop_session(request: Request, response: Response) -> None:
    """Take a browser's session away."""
    response.delete_cookie(_cookie(request), path="/", httponly=True, samesite="lax", secure=request.url.scheme == "https")


def cookie_name(scheme: str) -> str:
    """Return the name of the session's cookie: over https no other is looked at, for a page without it could set one."""
    return SECURE_COOKIE if scheme == "https" else COOKIE


def _cookie(request: Request) -> str:
    return cookie_name(request.url.scheme)


# Errors

_ANSWERS: Mapping[type[Exception], tuple[int, str, dict[str, str]]] = {
    Unauthorised: (401, "unauthorised", {"WWW-Authenticate": "Bearer"}),
    WrongCredentials: (401, "wrong_credentials", {}),
    Locked: (429, "locked", {}),
    TooMany: (429, "too_many", {}),
    Forbidden: (403, "forbidden", {}),
    Forged: (403, "forged", {}),
    NotFound: (404, "not_found", {}),
    Conflict: (409, "conflict", {}),
    AnotherUser: (409, "another_user", {}),
    Unfit: (422, "unfit", {}),
    Unavailable: (503, "unavailable", {"Retry-After": "2"}),
}
_DOORS = {
    "watch": "region",
    "acknowledge": "warning",
    "direct": "direction",
    "rules": "rule",
    "audit": "audit",
    "users": "user",
    "events": "events",
    "registry": "registry",
}
"""What is refused, by the capability that was missing."""


def _add_errors(public: FastAPI) -> None:
    for kind in _ANSWERS:
        public.add_exception_handler(kind, _refuse)
    public.add_exception_handler(HTTPException, _http_problem)
    public.add_exception_handler(RequestValidationError, _bad_request)


async def _refuse(request: Request, error: Exception) -> Response:
    kind = next(kind for kind in type(error).__mro__ if kind in _ANSWERS)
    status, code, headers = _ANSWERS[kind]
    if isinstance(error, GatewayError):
        await _audit_refusal(request, error)
    if isinstance(error, Locked | TooMany):
        headers = {"Retry-After": str(error.seconds)}
    return _problem(status, code, str(error), headers)


async def _audit_refusal(request: Request, error: GatewayError) -> None:
    """Note who was refused what. Who only is not signed in yet was not refused anything."""
    principal: Principal | None = getattr(request.state, "principal", None)
    actor = principal.id if principal else UNKNOWN
    if isinstance(error, Unauthorised) and not request.headers.get("authorization"):
        return
    act = _refusal(error, Act(actor, "request.refuse", request.url.path, address(request), proven=principal is not None))
    if act is not None:
        await _sources(request).audit.refused(act)


def _refusal(error: GatewayError, act: Act) -> Act | None:
    """Return what is told of a refusal, None when nothing is; `act` says whose it was and of what."""
    if isinstance(error, Forbidden):
        subject = f"region/{error.region}" if error.region else act.subject
        return replace(act, action=f"{_DOORS[error.capability]}.refuse", subject=subject, region=error.region, reason=error.verdict)
    if isinstance(error, Forged):
        return replace(act, reason="forged")
    if isinstance(error, Unauthorised):
        return replace(act, action="token.refuse", reason="unknown_token")
    if act.proven and isinstance(error, NotFound | TooMany):
        return replace(act, reason=_ANSWERS[type(error)][1])
    if act.proven and isinstance(error, Conflict | Unfit):
        return replace(act, reason=_ANSWERS[type(error)][1], detail={"why": str(error)})
    return None


async def _http_problem(_: Request, error: Exception) -> Response:
    """What the framework itself refuses: a path or a method that is not there."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    code = HTTPStatus(error.status_code).name.lower()
    return _problem(error.status_code, code, str(error.detail), dict(error.headers or {}))


async def _bad_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    places = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return _problem(422, "bad_request", "; ".join(places), {})


def _problem(status: int, code: str, detail: str, headers: dict[str, str]) -> Response:
    body = {"type": f"urn:tongguan:problem:{code}", "title": code, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def json_list(items: Sequence[bytes]) -> Response:
    """Return an answer of things that are JSON already."""
    return Response(b"[" + b",".join(items) + b"]", media_type="application/json")
