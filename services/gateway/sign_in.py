"""Routes to sign in and out."""

from __future__ import annotations

from importlib import metadata

from fastapi import APIRouter, Request, Response

from schemas.rest import Credentials, May, OwnPassword, Provider, Session, SignIn
from services.gateway.accounts import SignedIn
from services.gateway.domain.access import Capability, Scope, digest
from services.gateway.domain.view import live_region
from services.gateway.http import Browser, From, Sources, address, drop_session, session_cookie, set_session

VERSION = metadata.version("tongguan")

routes = APIRouter(prefix="/v1")


@routes.get("/sign-in", summary="How one can sign in")
async def sign_in(sources: From) -> SignIn:
    """Tell anybody what they need to sign in."""
    oidc = sources.settings.gateway.oidc
    provider = None if oidc is None else Provider(name=oidc.name, url="/v1/oidc/start")
    return SignIn(city=sources.city.city.name, version=VERSION, oidc=provider)


@routes.post("/session", summary="Sign in with a password")
async def open_session(credentials: Credentials, request: Request, response: Response, sources: From) -> Session:
    """Open a session, which the cookie of the answer holds."""
    signed_in = await sources.accounts.sign_in(credentials, address(request), session_cookie(request))
    set_session(request, response, signed_in, sources.settings.gateway.session_longest.total_seconds())
    return _session(signed_in, sources)


@routes.get("/session", summary="Who is signed in")
async def session(signed_in: Browser, sources: From) -> Session:
    """Return the session of the cookie."""
    return _session(signed_in, sources)


@routes.delete("/session", status_code=204, summary="Sign out")
async def close_session(signed_in: Browser, request: Request, response: Response, sources: From) -> None:
    """End the session."""
    await sources.accounts.sign_out(signed_in.id, address(request))
    drop_session(request, response)


@routes.put("/session/password", status_code=204, summary="Change one's own password")
async def change_password(wanted: OwnPassword, signed_in: Browser, request: Request, sources: From) -> None:
    """Change the password of a local user who knows the present one; their other sessions end."""
    await sources.accounts.change_own_password(signed_in.principal.id, wanted, address(request), digest(signed_in.id))


def _session(signed_in: SignedIn, sources: Sources) -> Session:
    tree, city = sources.view.regions, sources.city.city
    scope = Scope(signed_in.principal, tree)
    return Session(
        user=signed_in.principal.id,
        name=signed_in.principal.name,
        grants=signed_in.principal.grants,
        regions=tuple(live_region(tree[code]) for code in scope.regions()),
        may=May(**{capability.value: scope.may(capability) for capability in Capability}),
        csrf=signed_in.csrf,
        expires_at=signed_in.expires_at,
        city=live_region(tree.root),
        timezone=city.timezone,
        departments=city.departments,
    )
