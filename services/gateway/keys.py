"""Routes about departments' keys: listed by their names, made, replaced and revoked. A key itself is in one answer, once, and nowhere else.

A key speaks for its department in the whole city, so it is for who has the department's events in the whole city: somebody whose grant is for a
district could else publish for the others.
"""

from __future__ import annotations

import secrets
from uuid import uuid4

from fastapi import APIRouter, Response

from schemas.base import Code, Text, Time
from schemas.command import KeyScope, MakeKey, RevokeKey
from schemas.outcome import Decided, Outcome
from schemas.rest import KeyMade, KeyMaking, KeyReplacing, KeyShown
from services.gateway import commands
from services.gateway.domain.access import Scope, digest
from services.gateway.errors import Conflict, NotFound, Unfit
from services.gateway.events import answer, require, status
from services.gateway.http import Audited, From, Reader, Sources, Trail

PREFIX = "tgk_"
"""Of a key: so that one that is found where it should not be is known for what it is."""
RANDOM_BYTES = 32

routes = APIRouter(prefix="/v1/departments/{department}/keys")


@routes.get("", summary="A department's keys")
async def keys(department: str, scope: Reader, sources: From) -> list[KeyShown]:
    """Return those that are good, or ended within 90 days, the newest first; those of a node's secrets file are not among them."""
    require(department, scope, sources)
    return await sources.keyring.of([department])


@routes.post("", summary="Make a key for a department", response_model=KeyMade)
async def make(department: str, asked: KeyMaking, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return the key, which nobody can show again; 202 when it is not decided yet: it is good once the list has it."""
    require(department, scope, sources)
    _require_sense(asked.scope, asked.expires, sources)
    return await _made(scope, sources, audited, department=department, label=asked.label, limits=asked.scope, expires=asked.expires)


@routes.post("/{key}/replacement", summary="Replace a key by a new one", response_model=KeyMade)
async def replace(department: str, key: str, asked: KeyReplacing, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return the new key, of the same label and scope; the old one is good for `overlap_s` more. 202 as when one is made."""
    require(department, scope, sources)
    old = await _good(department, key, sources)
    _require_sense(old.scope, asked.expires, sources)
    replaces = (old.id, asked.overlap_s)
    return await _made(scope, sources, audited, department=department, label=old.label, limits=old.scope, expires=asked.expires, replaces=replaces)


@routes.delete("/{key}", summary="Revoke a key", response_model=Decided)
async def revoke(department: str, key: str, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what was decided, 202 when that takes longer. Nodes refuse the key within about a second of it."""
    require(department, scope, sources)
    known = await _known(department, key, sources)
    command = RevokeKey(id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), department=department, key=known.id)
    told = {"department": department, "label": known.label}
    one = commands.Asked(command=command, subject=f"key/{known.id}", action="key.revoke", region=scope.tree.root.code, detail=told)
    return await answer(one, sources, audited)


async def _made(
    scope: Scope,
    sources: Sources,
    audited: Trail,
    *,
    department: str,
    label: Text,
    limits: KeyScope,
    expires: Time | None,
    replaces: tuple[Code, int] | None = None,
) -> Response:
    secret, key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES), f"key-{secrets.token_hex(6)}"
    old, overlap_s = replaces or (None, 0)
    command = MakeKey(
        id=uuid4(),
        actor=commands.actor(scope),
        at=sources.clock.now(),
        department=department,
        key=key,
        digest=digest(secret).hex(),
        label=label,
        scope=limits,
        expires=expires,
        replaces=old,
        overlap_s=overlap_s,
    )
    told = {"department": department, "label": label, "scope": limits.model_dump_json(exclude_none=True)[:200]}
    told |= ({} if expires is None else {"expires": expires.isoformat()}) | ({} if old is None else {"replaces": old, "overlap_s": str(overlap_s)})
    one = commands.Asked(command=command, subject=f"key/{key}", action="key.make", region=scope.tree.root.code, detail=told)
    await commands.done(one, audited)
    decided = await sources.ingest.outcome(command.id)
    made = KeyMade(decided=decided, key=key, secret=None if decided.outcome is Outcome.REFUSED else secret)
    return Response(made.model_dump_json(), status(decided), {"Cache-Control": "no-store"}, media_type="application/json")


async def _known(department: str, key: str, sources: Sources) -> KeyShown:
    found = next((one for one in await sources.keyring.of([department]) if one.id == key), None)
    if found is None:
        raise NotFound(f"{department} has no key of that name")
    return found


async def _good(department: str, key: str, sources: Sources) -> KeyShown:
    found = await _known(department, key, sources)
    if found.revoked_at is not None or (found.expires_at is not None and found.expires_at <= sources.clock.now()):
        raise Conflict("the key is good for nothing any more: make a new one")
    return found


def _require_sense(scope: KeyScope, expires: Time | None, sources: Sources) -> None:
    if frozenset() in {scope.types, scope.sensors, scope.domains}:
        raise Unfit("scope: an empty list lets nothing through; leave out what shall not be limited")
    if expires is not None and expires <= sources.clock.now():
        raise Unfit("expires: a key ends in the future")
