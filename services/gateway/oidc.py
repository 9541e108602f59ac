"""Routes to sign in by a provider of identities: the browser goes there and comes back."""

from __future__ import annotations

import hmac
import html
import re
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from itsdangerous import BadData, URLSafeTimedSerializer

from services.gateway.domain.identity import Identity
from services.gateway.errors import NotFound, WrongCredentials
from services.gateway.http import From, Sources, address, cookie_name, session_cookie, set_session
from services.gateway.provider import Attempt, Provider, ProviderError, Trouble
from services.kit import logs

_log = logs.get(__name__)

ATTEMPT_S = 600
"""How long somebody may take at the provider's."""
_ROUTE = re.compile(r"/[A-Za-z0-9/_.:?=&-]{0,255}")
_SAID = {
    Trouble.UNREACHABLE: (
        502,
        "身份认证服务暂时无法访问，请稍后再试，或用本地账号登录。",
        "The identity provider cannot be reached; try later, or sign in here.",
    ),
    Trouble.REFUSED: (403, "身份认证服务拒绝了这次登录。", "The identity provider refused this sign-in."),
    Trouble.BEGIN_AGAIN: (400, "这次登录已过期或不是从本浏览器开始的，请重新登录。", "This sign-in is too old or was begun elsewhere; begin again."),
    Trouble.BAD_TOKEN: (502, "身份认证服务的答复无法核实。", "What the identity provider says cannot be verified."),
    Trouble.NO_GRANT: (403, "您的账号在本系统中没有任何权限，请联系管理员。", "Your account is granted nothing here; ask the administrator."),
}
_DISABLED = (403, "您的账号在本系统中已停用，请联系管理员。", "Your account is disabled here; ask the administrator.")

routes = APIRouter(prefix="/v1/oidc")


@routes.get("/start", status_code=303, summary="Go to the provider of identities")
async def start(request: Request, sources: From, to: Annotated[str, Query(max_length=256)] = "/") -> Response:
    """Send the browser to the provider; it comes back to a page of ours."""
    provider, attempt = _provider(sources), Attempt.begin(_route(to))
    try:
        there = await provider.address(attempt, _redirect_uri(request, sources))
    except ProviderError as error:
        return _refusal(error)
    response = RedirectResponse(there, 303)
    response.set_cookie(
        _cookie(request), _signer(sources).dumps(vars(attempt)), ATTEMPT_S, path="/", httponly=True, samesite="lax", secure=_secure(request)
    )
    return response


@routes.get("/callback", status_code=303, summary="Come back from the provider of identities")
async def callback(
    request: Request,
    sources: From,
    *,
    state: Annotated[str, Query(max_length=4_096)] = "",
    code: Annotated[str, Query(max_length=4_096)] = "",
    error: Annotated[str, Query(max_length=4_096)] = "",
    iss: Annotated[str | None, Query(max_length=4_096)] = None,
) -> Response:
    """Open a session for whom the provider vouches."""
    provider = _provider(sources)
    try:
        attempt = _attempt(request, sources, state)
        if error or iss not in {None, provider.issuer}:
            raise ProviderError(Trouble.REFUSED, error or "another issuer")
        who = await provider.identity(attempt, code, _redirect_uri(request, sources))
    except ProviderError as refused:
        await sources.accounts.refused(refused.user, address(request), refused.trouble)
        response = _refusal(refused)
    else:
        response = await _welcome(request, sources, provider, who, attempt.to)
    response.delete_cookie(_cookie(request), path="/", httponly=True, samesite="lax", secure=_secure(request))
    return response


async def _welcome(request: Request, sources: Sources, provider: Provider, who: Identity, to: str) -> Response:
    """Open the session, unless the account is disabled here."""
    try:
        signed_in = await sources.accounts.vouched_for(
            who.user, who.name, who.grants, provider=provider.issuer, address=address(request), replaces=session_cookie(request)
        )
    except WrongCredentials:
        await sources.accounts.refused(who.user, address(request), "disabled")
        return _page(*_DISABLED)
    response = RedirectResponse(f"/#{quote(to, safe='/?=&:')}", 303)
    set_session(request, response, signed_in, sources.settings.gateway.session_longest.total_seconds())
    return response


def _attempt(request: Request, sources: Sources, state: str) -> Attempt:
    """Return what this browser began."""
    try:
        attempt = Attempt(**_signer(sources).loads(request.cookies.get(_cookie(request), ""), max_age=ATTEMPT_S))
    except BadData as error:
        raise ProviderError(Trouble.BEGIN_AGAIN, repr(error)) from error
    if not hmac.compare_digest(attempt.state.encode(), state.encode()):
        raise ProviderError(Trouble.BEGIN_AGAIN, "another state")
    return attempt


def _provider(sources: Sources) -> Provider:
    if sources.provider is None:
        raise NotFound("no provider of identities is used here")
    return sources.provider


def _signer(sources: Sources) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(sources.session_key, salt="oidc")


def _redirect_uri(request: Request, sources: Sources) -> str:
    ours = sources.settings.gateway.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return ours.rstrip("/") + "/v1/oidc/callback"


def _route(to: str) -> str:
    """Return a route of our pages; what is none is the first page, so that nobody is sent elsewhere."""
    route = to.removeprefix("#")
    return route if _ROUTE.fullmatch(route) else "/"


def _cookie(request: Request) -> str:
    return cookie_name(request.url.scheme) + "-oidc"


def _secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _refusal(error: ProviderError) -> Response:
    _log.warning("provider_sign_in_failed", trouble=error.trouble, detail=error.detail)
    return _page(*_SAID[error.trouble])


def _page(status: int, zh: str, en: str) -> Response:
    """Return a page of its own, for the browser has left ours."""
    return HTMLResponse(
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>统管 Tongguan</title><h1>未能登录</h1><p>{html.escape(zh)}</p><p lang="en">{html.escape(en)}</p>'
        '<p><a href="/#/sign-in">返回登录页 Back to sign-in</a></p></html>',
        status,
    )
