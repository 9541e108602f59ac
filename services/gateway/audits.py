"""The route to the audit."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from schemas.audit import AuditEntry
from services.gateway.domain.access import Capability
from services.gateway.http import From, Reader, json_list

routes = APIRouter(prefix="/v1")


@routes.get("/audit", summary="Who did what, newest first", response_model=list[AuditEntry])
async def audit(scope: Reader, sources: From, before: UUID | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
    """Return the entries of the auditor's regions; with `before`, those before an entry."""
    scope.require_somewhere(Capability.AUDIT)
    citys = scope.holds(Capability.AUDIT, None, None)
    found = await sources.audit.entries(scope.streets(Capability.AUDIT), before, limit, citys=citys)
    return json_list([body.encode() for body in found])
