"""Routes of a desk's day: the brief, and handing over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from pydantic import TypeAdapter

from schemas.base import Time
from schemas.command import HandOver, TakeOver
from schemas.rest import Answered, Brief, HandingOver, HandOverShown
from services.gateway import commands
from services.gateway.domain import briefs, duty
from services.gateway.domain.access import Capability, Extent, Scope, Verdict
from services.gateway.domain.briefs import Span, Told
from services.gateway.domain.view import live_region
from services.gateway.duty import turns_of
from services.gateway.errors import NotFound, Unfit
from services.gateway.http import Audited, From, Reader, Sources

LONGEST = timedelta(days=7)
"""A brief of more would read all that was."""
FAR = timedelta(days=3_650)
"""From now: nothing is kept for so long, and a calendar ends."""
HANDOVERS = 50
_TOLD = TypeAdapter(Told)

routes = APIRouter(prefix="/v1")


@routes.get("/regions/{code}/brief", summary="The brief of a region: what was, what stands, who was on duty")
async def brief(code: str, scope: Reader, sources: From, since: Time | None = None, until: Time | None = None) -> Brief:
    """Return it for a time, by default the last whole duty day, 08:00 to 08:00 of the city; `since` alone is until now. As things are now."""
    scope.require(code)
    tree, now = scope.tree, sources.clock.now()
    _require_times(now, since=since, until=until)
    of = briefs.span(since, until, now, ZoneInfo(sources.city.city.timezone))
    if not timedelta(0) < of.until - of.since <= LONGEST:
        raise Unfit(f"since, until: a brief is of {LONGEST.days} days at most, and ends after it begins")
    below = [one.code for one in tree if tree.covers(code, one.code)]
    bodies = await sources.alerts.brief(below, of.since, of.until)
    counts = await asyncio.to_thread(lambda: briefs.counted(_theirs(bodies, scope), of, code, tree))
    turns = await turns_of([code, *(one.code for one in tree.children(code))], of.since, of.until, scope, sources)
    return Brief(
        region=live_region(tree[code]),
        since=of.since,
        until=of.until,
        made_at=now,
        duty=tuple(duty.teams(turns, of.until, {}, ())),
        handovers=await _handed_over(code, of, scope, sources),
        **counts,
    )


@routes.get("/regions/{code}/handovers", summary="The newest hand-overs of a region's desk")
async def handovers(code: str, scope: Reader, sources: From) -> list[HandOverShown]:
    """Return them, the newest first, to who directs the region for all departments: a note is of all of them."""
    scope.require(code, Capability.DIRECT, Extent.ALL)
    return await sources.alerts.handovers(code, HANDOVERS)


@routes.post("/regions/{code}/handovers", summary="Hand the desk of a region over", response_model=Answered)
async def hand_over(code: str, asked: HandingOver, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what was decided, `command` being the hand-over's id; 202 when that takes longer. How many warnings stand is counted here."""
    scope.require(code, Capability.DIRECT, Extent.ALL)
    now = sources.clock.now()
    day = briefs.duty_day(now, ZoneInfo(sources.city.city.timezone))
    open_, unanswered = sources.view.standing(scope.reach(code))
    who = commands.actor(scope)
    command = HandOver(id=uuid4(), actor=who, at=now, region=code, day=day, note=asked.note, open=open_, unanswered=unanswered)
    told = {"day": day.isoformat(), "open": str(open_), "unanswered": str(unanswered)}
    one = commands.Asked(command=command, subject=f"region/{code}", action="desk.hand_over", region=code, detail=told)
    return await commands.of_other(one, sources, audited)


@routes.post("/handovers/{handover}/taking", summary="Take the desk that was handed over", response_model=Answered)
async def take_over(handover: UUID, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what was decided; 202 when that takes longer."""
    scope.require_somewhere(Capability.WATCH)
    known = await sources.alerts.handover(handover)
    if known is None or not scope.concerns(known.region, None):
        raise NotFound(f"there is no hand-over {handover} in your regions")
    at = scope.place(known.region)
    scope.require(at, Capability.DIRECT, Extent.ALL)
    command = TakeOver(id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), region=known.region, handover=handover)
    one = commands.Asked(command=command, subject=f"region/{known.region}", action="desk.take_over", region=at, detail={"handover": str(handover)})
    return await commands.of_other(one, sources, audited)


def _require_times(now: datetime, **given: datetime | None) -> None:
    for field, at in given.items():
        if at is not None and abs(at - now) > FAR:
            raise Unfit(f"{field}: a brief is of a time within {FAR.days} days of now")


def _theirs(bodies: list[str], scope: Scope) -> list[Told]:
    """Return the warnings that are the reader's."""
    told = map(_TOLD.validate_json, bodies)
    return [one for one in told if scope.sees(one.street, one.department)]


async def _handed_over(code: str, of: Span, scope: Scope, sources: Sources) -> tuple[HandOverShown, ...]:
    if scope.decide(Capability.DIRECT, code, Extent.ALL) is not Verdict.ALLOWED:
        return ()
    return tuple(one for one in await sources.alerts.handovers(code, HANDOVERS) if of.since <= one.at < of.until)
