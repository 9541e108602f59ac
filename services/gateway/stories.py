"""Routes about one warning and what people do of it, and about the map of a region and its sound."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Body, Response

from schemas.action import Actor, WarningActions
from schemas.command import Acknowledge
from schemas.envelope import EventType, to_headers
from schemas.rest import Mute, Note, RegionMap, WarningStory
from schemas.rule import Rule
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.domain.access import Capability, Scope
from services.gateway.errors import NotFound
from services.gateway.http import Audited, From, Reader, Sources
from services.kit.outbox import Posting
from services.kit.producer import Outgoing
from services.kit.topics import COMMANDS

ANSWER_S = 2.0
"""How long a person waits for the outcome; then they are told that it is on its way."""
BEFORE = timedelta(minutes=30)
"""What led to a warning stands in the half hour before it; of longer periods in sixty of them."""
AFTER = timedelta(minutes=10)
POINTS = 2_000
"""More than a chart has pixels."""

routes = APIRouter(prefix="/v1")


@routes.get("/regions/{code}/map", summary="The outlines of a region and of those right below it")
async def region_map(code: str, scope: Reader, sources: From) -> RegionMap:
    """Return GeoJSON; what has no known boundary is drawn schematically and says so."""
    scope.require(code)
    return sources.outlines.of(code)


@routes.get("/warnings/{warning}/story", summary="A warning's revisions, the values around it, and its rule")
async def story(warning: UUID, scope: Reader, sources: From) -> WarningStory:
    """Return what is needed to understand a warning at a glance."""
    revisions = await _revisions(warning, scope, sources)
    newest = revisions[-1]
    evidence = newest.evidence
    since, until = around(newest, sources.clock.now())
    points, total = await sources.reads.series(newest, since, until, POINTS)
    return WarningStory(
        revisions=tuple(revisions),
        metric=evidence.metric,
        statistic=evidence.statistic,
        period_s=evidence.period_s,
        unit=evidence.unit,
        points=tuple(points),
        thinned=total > len(points),
        rule=rule_of(newest, sources.rules.get(newest.rule)),
    )


@routes.post("/warnings/{warning}/acknowledgement", summary="Take note of a warning and answer for it", response_model=WarningActions)
async def acknowledge(warning: UUID, note: Annotated[Note, Body()], scope: Reader, sources: From, audited: Audited) -> Any:
    """Return what was done of the warning once alerts has decided; 202 when that takes longer: every screen sees it when it comes."""
    newest = (await _revisions(warning, scope, sources))[-1]
    scope.require(newest.street if newest.street in scope.tree else scope.tree.root.code, Capability.ACKNOWLEDGE, newest.department)
    command = _command(newest, note, scope, sources.clock.now())
    with sources.answers.expect(command.id) as answer:
        await audited.done(
            "warning.acknowledge",
            f"warning/{warning}",
            region=newest.street if newest.street in scope.tree else None,
            detail={"command": str(command.id), **({"note": note.note} if note.note else {})},
            postings=[_posting(command)],
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            return Response(status_code=202)


@routes.post("/regions/{code}/mutes", status_code=204, summary="Say that a screen's sound was switched off, and by whom")
async def mute(code: str, asked: Mute, scope: Reader, audited: Audited) -> None:
    """Only the audit learns of it: other screens go on sounding."""
    scope.require(code)
    named = {"name": asked.name, "minutes": str(asked.minutes), "warnings": str(len(asked.warnings))}
    some = {f"warning.{at}": str(one) for at, one in enumerate(asked.warnings[:20], 1)}
    await audited.done("screen.mute", f"region/{code}", region=code, detail=named | some)


def around(warning: Warning, now: datetime) -> tuple[datetime, datetime]:
    """Return from when to when the values tell of a warning."""
    before = max(BEFORE, timedelta(seconds=60 * warning.evidence.period_s))
    until = now if warning.cleared_at is None else warning.cleared_at + AFTER
    return min(warning.began_at, warning.evidence.observed_at) - before, until


def rule_of(warning: Warning, rule: Rule | None) -> Rule | None:
    """Return the rule in force when it still means what it meant when it raised the warning: its limits are drawn beside the values."""
    return rule if rule is not None and rule.version == warning.rule_version else None


async def _revisions(warning: UUID, scope: Scope, sources: Sources) -> list[Warning]:
    """Return a warning's revisions as far as they are the reader's, oldest first; raises `NotFound` when none is."""
    scope.require_somewhere(Capability.WATCH)
    found = [Warning.model_validate_json(body) for body in await sources.reads.revisions(warning, scope)]
    newest = sources.view.warning(warning)
    if newest is not None and scope.sees(newest.street, newest.department) and (not found or newest.rev > found[-1].rev):
        found.append(newest)  # history has not written it yet
    if not found:
        raise NotFound(f"there is no warning {warning} in your regions")
    return found


def _command(warning: Warning, note: Note, scope: Scope, now: datetime) -> Acknowledge:
    who = scope.principal
    return Acknowledge(
        id=uuid4(),
        warning=warning.id,
        street=warning.street,
        department=warning.department,
        tier=warning.tier,
        actor=Actor(id=who.id, name=who.name),
        at=now,
        note=note.note,
    )


def _posting(command: Acknowledge) -> Posting:
    subject = f"warning/{command.warning}"
    headers = to_headers(id=str(command.id), type=EventType.COMMAND, source="/services/gateway", subject=subject, time=command.at)
    return Posting(COMMANDS, Outgoing(command.model_dump_json().encode(), key=subject.encode(), headers=headers))
