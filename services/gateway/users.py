"""Routes to the users, for administrators. One administers those all of whose grants lie within one's own, and grants nothing beyond these."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fastapi import APIRouter, Request

from schemas.access import Grant, Role
from schemas.base import Code
from schemas.rest import NewUser, User, UserChange
from services.gateway.domain.access import Capability, Scope, Verdict, digest
from services.gateway.domain.identity import PREFIX
from services.gateway.errors import Conflict, Forbidden, NotFound, Unfit
from services.gateway.http import From, Reader, Sources, address, session_cookie
from services.gateway.store import Account
from services.kit.city import CityFolder, grant_problem

routes = APIRouter(prefix="/v1")


@routes.get("/users", summary="The users that one administers")
async def users(scope: Reader, sources: From) -> list[User]:
    """Return them by id."""
    scope.require_somewhere(Capability.USERS)
    now = sources.clock.now()
    return [_shown(account, now) for account in await sources.accounts.users() if scope.administers(account.grants)]


@routes.post("/users", status_code=201, summary="Make a local user")
async def create(user: NewUser, request: Request, scope: Reader, sources: From) -> User:
    """Return the user as it was made."""
    _require_grants(user.grants, scope, sources.city)
    if user.id.startswith(PREFIX):
        raise Unfit(f"ids that begin with {PREFIX} are the provider's")
    made = await sources.accounts.create(user, scope.principal.id, address(request))
    return _shown(made, sources.clock.now())


@routes.patch("/users/{user}", summary="Change a user")
async def change(user: Code, change: UserChange, request: Request, scope: Reader, sources: From) -> User:
    """Return the user as it is now. What a session stands on ends it when it changes: password, grants, being disabled."""
    before = await _administered(user, scope, sources)
    if change.grants is not None:
        _require_grants(change.grants, scope, sources.city)
    _require_sense(before, change, scope)
    own = session_cookie(request) if user == scope.principal.id else None
    after = await sources.accounts.change(before, change, scope.principal.id, address(request), digest(own) if own else b"")
    return _shown(after, sources.clock.now())


async def _administered(user: str, scope: Scope, sources: Sources) -> Account:
    """Return a user that the reader administers; raises `NotFound` when there is none such."""
    scope.require_somewhere(Capability.USERS)
    account = await sources.accounts.user(user)
    if account is None or not scope.administers(account.grants):
        raise NotFound("there is no such user among those that you administer")
    return account


def _require_sense(before: Account, change: UserChange, scope: Scope) -> None:
    """Raise `Conflict` for a change that would lock the administrator out, or that the provider would undo."""
    if before.id == scope.principal.id and (change.grants is not None or change.disabled):
        raise Conflict("nobody changes their own grants or disables themselves: ask another administrator")
    if before.provider is not None and (change.grants is not None or change.password is not None):
        raise Conflict(f"{before.provider} says this user's grants and checks the password")


def _require_grants(grants: Iterable[Grant], scope: Scope, place: CityFolder) -> None:
    """Raise `Unfit` for grants that make no sense in the city, `Forbidden` for those that the reader may not give."""
    held = list(grants)
    scope.require_somewhere(Capability.USERS)
    for grant in held:
        if not scope.gives(grant):
            known = grant.region if grant.region in scope.tree else None
            verdict = Verdict.NOT_YOUR_REGION if not scope.holds(Capability.USERS, grant.region, None) else Verdict.NOT_YOUR_DEPARTMENT
            raise Forbidden(f"you may not grant {grant.role} in {grant.region}", capability="users", verdict=verdict, region=known)
        problem = grant_problem(grant, place)
        if grant.role is Role.AUDITOR and grant.departments is not None:
            problem = "an auditor's grant is for all departments: entries do not say whose they are"
        if problem is not None:
            raise Unfit(problem)
    if not scope.administers(held):
        verdict = Verdict.NOT_YOUR_REGION
        raise Forbidden("only administrators of the city make users without grants", capability="users", verdict=verdict, region=None)


def _shown(account: Account, now: datetime) -> User:
    locked = account.locked_until if account.locked_until is not None and account.locked_until > now else None
    return User(
        id=account.id,
        name=account.name,
        grants=account.grants,
        disabled=account.disabled,
        locked_until=locked,
        provider=account.provider,
        last_seen=account.last_seen,
    )
