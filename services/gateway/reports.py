"""Routes about cases and events as they were reported."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from schemas.base import Code, Text
from schemas.kind import Kind
from schemas.report import Channel, Matter
from schemas.rest import ReportShown
from services.gateway.archive import Asked, When
from services.gateway.domain.access import Capability
from services.gateway.errors import NotFound
from services.gateway.http import From, Reader

routes = APIRouter(prefix="/v1")


@routes.get("/kinds", summary="The city's catalogue of kinds of reports")
async def kinds(scope: Reader, sources: From) -> list[Kind]:
    """Return it in its order; empty where the city takes any kind."""
    del scope  # whoever is signed in
    return list(sources.kinds.values())


@routes.get("/regions/{code}/reports", summary="What was reported in a region, what occurred last first")
async def reports(  # noqa: PLR0917 - they are query parameters
    code: str,
    scope: Reader,
    sources: From,
    department: Code | None = None,
    matter: Matter | None = None,
    kind: Code | None = None,
    channel: Channel | None = None,
    text: Annotated[Text | None, Query(description="Found in title, description, address or the event's id")] = None,
    since: When | None = None,
    until: When | None = None,
    before: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[ReportShown]:
    """Return the reader's; with `before`, those before one. Times are of the occurrence."""
    asked = Asked(department=department, matter=matter, kind=kind, channel=channel, text=text, since=since, until=until)
    return await sources.archive.reports(code, asked, scope, before, limit)


@routes.get("/reports/{report}", summary="One report")
async def report(report: UUID, scope: Reader, sources: From) -> ReportShown:
    """Return it, if it is the reader's."""
    scope.require_somewhere(Capability.WATCH)
    found = await sources.archive.report(report)
    if found is None or not scope.sees(found.report.region, found.report.department):
        raise NotFound(f"there is no report {report} in your regions")
    return found
