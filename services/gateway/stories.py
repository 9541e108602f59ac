"""Routes that tell of one warning, and about the map of a region and its sound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from schemas.control import RuleActivation
from schemas.explain import explain
from schemas.identifier import identifier
from schemas.rest import Mute, Point, RegionMap, WarningStory
from schemas.rule import Applies, Rule
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway import cap
from services.gateway.domain.access import Capability, Scope
from services.gateway.errors import NotFound
from services.gateway.http import Audited, From, Reader, Sources

BEFORE = timedelta(minutes=30)
"""What led to a warning stands in the half hour before it; of longer periods in sixty of them, of a window in a little more than it."""
AFTER = timedelta(minutes=10)
LONGEST = timedelta(hours=6)
"""Of a warning that lasts longer its beginning, its decision and its end are shown: months of readings would be read for a line of pixels."""
POINTS = 2_000
"""More than a chart has pixels; of each of the parts shown."""

routes = APIRouter(prefix="/v1")


@routes.get("/regions/{code}/map", summary="The outlines of a region and of those right below it")
async def region_map(code: str, scope: Reader, sources: From) -> RegionMap:
    """Return GeoJSON; what has no known boundary is drawn schematically and says so."""
    scope.require(code)
    return sources.outlines.of(code)


@routes.get("/warnings/{warning}/story", summary="A warning's revisions, the values around it, and its rule")
async def story(warning: UUID, scope: Reader, sources: From) -> WarningStory:
    """Return what is needed to understand a warning at a glance."""
    revisions = await revisions_of(warning, scope, sources)
    newest = revisions[-1]
    evidence = newest.evidence
    points: list[Point] = []
    there = 0
    parts = around(newest, sources.clock.now())
    for since, until in parts:
        found, total = await sources.reads.series(newest, since, until, POINTS)
        points, there = [*points, *found], there + total
    zone = ZoneInfo(sources.city.city.timezone)
    return WarningStory(
        identifier=identifier(revisions[0], sources.city.city, zone),
        explanation=explain(newest, zone),
        revisions=tuple(revisions),
        metric=evidence.metric,
        statistic=evidence.statistic,
        period_s=evidence.period_s,
        unit=sources.view.unit(newest.sensor, evidence.metric) or evidence.unit,
        points=tuple(points),
        thinned=there > len(points) or len(parts) > 1,
        rule=rule_of(newest, sources.rules.get(newest.rule)),
    )


@routes.get("/warnings/{warning}/cap", summary="A warning as a message of the Common Alerting Protocol 1.2", response_class=Response)
async def alert(warning: UUID, scope: Reader, sources: From, rev: Annotated[int | None, Query(ge=1)] = None) -> Response:
    """Return the message of a revision, the newest unless `rev` says which."""
    told = [one for one in await revisions_of(warning, scope, sources) if rev is None or one.rev <= rev]
    if rev is not None and (not told or told[-1].rev != rev):
        raise NotFound(f"the warning has no revision {rev}")
    place = sources.city
    issuer = cap.Issuer(place.city, place.regions, ZoneInfo(place.city.timezone))
    return Response(cap.message(told, issuer), media_type=cap.MEDIA_TYPE)


@routes.post("/regions/{code}/mutes", status_code=204, summary="Say that a screen's sound was switched off, and by whom")
async def mute(code: str, asked: Mute, scope: Reader, audited: Audited) -> None:
    """Only the audit learns of it: other screens go on sounding."""
    scope.require(code)
    named = {"name": asked.name, "minutes": str(asked.minutes), "warnings": str(len(asked.warnings))}
    some = {f"warning.{at}": str(one) for at, one in enumerate(asked.warnings[:20], 1)}
    await audited.done("screen.mute", f"region/{code}", region=code, detail=named | some)


def around(warning: Warning, now: datetime) -> list[tuple[datetime, datetime]]:
    """Return from when to when the values tell of a warning: one part, or of a long one up to three that do not overlap, in order."""
    evidence = warning.evidence
    before = max(BEFORE, timedelta(seconds=max(60 * evidence.period_s, 1.25 * (evidence.window_s or 0))))
    longest = max(LONGEST, 4 * before)
    begin = min(warning.began_at, evidence.observed_at) - before
    end = max(begin, now if warning.cleared_at is None else warning.cleared_at + AFTER)
    if end - begin <= longest:
        return [(begin, end)]
    third = longest / 3
    decided = evidence.observed_at - third / 2
    parts = [(begin, begin + third), (decided, decided + third), (end - third, end)]
    return _joined(sorted((max(since, begin), min(until, end)) for since, until in parts))


def _joined(parts: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return parts in order with those that meet made one, the others as they are."""
    joined = [parts[0]]
    for since, until in parts[1:]:
        last = joined[-1]
        if since <= last[1]:
            joined[-1] = (last[0], max(last[1], until))
        else:
            joined.append((since, until))
    return joined


def rule_of(warning: Warning, activation: RuleActivation | None) -> Rule | None:
    """Return the rule in force when it still means what it meant when it raised the warning: its limits are drawn beside the values.

    Where else it applies is left out: that names sensors and regions which may not be the reader's.
    """
    if activation is None or activation.meaning != warning.meaning:
        return None
    rule = activation.rule
    told = rule.applies
    return rule.model_copy(update={"applies": Applies(metric=told.metric, domain=told.domain, statistic=told.statistic, period=told.period)})


async def revisions_of(warning: UUID, scope: Scope, sources: Sources) -> list[Warning]:
    """Return a warning's revisions as far as they are the reader's, oldest first; raises `NotFound` when none is."""
    scope.require_somewhere(Capability.WATCH)
    found = [Warning.model_validate_json(body) for body in await sources.reads.revisions(warning, scope)]
    newest = sources.view.warning(warning)
    if newest is not None and not scope.sees(newest.street, newest.department):
        found = []  # it has become another's
    elif newest is not None and (not found or newest.rev > found[-1].rev):
        found.append(newest)  # history has not written it yet
    if not found:
        raise NotFound(f"there is no warning {warning} in your regions")
    return found
