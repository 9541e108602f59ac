"""Routes about silences: in a region nobody is told of what matches, for a time."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from fastapi import APIRouter, Response

from schemas.command import EndSilence, Silence
from schemas.rest import Answered, SilenceShown, Silencing
from services.gateway import commands
from services.gateway.domain.access import Capability, Scope
from services.gateway.errors import NotFound, Unfit
from services.gateway.http import Audited, From, Reader

LONGEST = timedelta(days=7)
"""From now: what has to be silent for longer is a maintenance window, or a rule to be mended."""

routes = APIRouter(prefix="/v1")


@routes.get("/regions/{code}/silences", summary="The silences that touch a region")
async def silences(code: str, scope: Reader, sources: From) -> list[SilenceShown]:
    """Return those of the region and all below it, and of the reader's regions above; to come, in force, or over since a day."""
    scope.require(code)
    found = await sources.alerts.silences(around(code, scope), sources.clock.now())
    return [one for one in found if scope.concerns(one.region, one.match.departments)]


@routes.post("/regions/{code}/silences", summary="Silence what matches in a region for a time", response_model=Answered)
async def silence(code: str, asked: Silencing, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what was decided, `command` being the silence's id; 202 when that takes longer. For some departments give `match.departments`."""
    scope.require(code, Capability.DIRECT)
    scope.require_for(code, Capability.DIRECT, asked.match.departments)
    now = sources.clock.now()
    since = max(asked.since or now, now)
    if not since < asked.until <= now + LONGEST:
        raise Unfit(f"until: a silence ends after it begins, and at most {LONGEST.days} days from now")
    _require_places(asked, code, scope)
    id_ = uuid4()
    who = commands.actor(scope)
    command = Silence(id=id_, actor=who, at=now, region=code, match=asked.match, since=since, until=asked.until, reason=asked.reason)
    told = {"until": asked.until.isoformat(), "reason": asked.reason, "match": asked.match.model_dump_json(exclude_defaults=True)}
    one = commands.Asked(command=command, subject=f"silence/{id_}", action="silence.make", region=code, detail=told)
    return await commands.of_other(one, sources, audited)


@routes.delete("/silences/{silence}", summary="End a silence before its time", response_model=Answered)
async def end(silence: UUID, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what was decided; 202 when that takes longer."""
    scope.require_somewhere(Capability.WATCH)
    known = await sources.alerts.silence(silence)
    if known is None or not scope.concerns(known.region, known.match.departments):
        raise NotFound(f"there is no silence {silence} in your regions")
    scope.require_for(known.region, Capability.DIRECT, known.match.departments)
    command = EndSilence(id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), silence=silence, region=known.region)
    region = known.region if known.region in scope.tree else None
    one = commands.Asked(command=command, subject=f"silence/{silence}", action="silence.end", region=region)
    return await commands.of_other(one, sources, audited)


def around(code: str, scope: Scope) -> list[str]:
    """Return a region with those above and below it that the reader may watch."""
    tree = scope.tree
    lines = [*tree.path(code), *(one.code for one in tree if one.code != code and tree.covers(code, one.code))]
    return [one for one in lines if scope.concerns(one, None)]


def _require_places(asked: Silencing, code: str, scope: Scope) -> None:
    """Raise `Unfit` for a silence that would never silence anything."""
    match = asked.match
    if match.regions is not None and not any(scope.tree.covers(code, one) or scope.tree.covers(one, code) for one in match.regions):
        raise Unfit(f"match.regions: none of them lies in region {code}")
    if frozenset() in {match.regions, match.departments, match.domains, match.tiers, match.rules, match.origins}:
        raise Unfit("match: an empty list matches nothing; leave out what shall match all")
