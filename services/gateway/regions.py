"""Routes about regions and their warnings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from schemas.regions import Region
from services.gateway.domain.access import Capability
from services.gateway.errors import NotFound
from services.gateway.http import From, Reader, json_list

NOTIFICATIONS = 200
"""Shown of a desk, the newest."""

routes = APIRouter(prefix="/v1")


@routes.get("/regions/{code}", summary="A region with its path and children")
async def region(code: str, scope: Reader) -> dict[str, Any]:
    """Return a region of the reader's."""
    scope.require(code)
    tree = scope.tree
    return {
        "region": _region(tree[code]),
        "path": [_region(tree[one]) for one in tree.path(code)],
        "children": [_region(one) for one in tree.children(code)],
    }


@routes.get("/regions/{code}/warnings", summary="The open warnings of a region")
async def warnings(code: str, scope: Reader, sources: From) -> Response:
    """Return the newest revision of each open warning."""
    return json_list(sources.view.open_warnings(scope.reach(code)))


@routes.get("/regions/{code}/values", summary="The newest value of each series of a region")
async def values(code: str, scope: Reader, sources: From) -> Response:
    """Return values as the live socket sends them."""
    return json_list(sources.view.values(scope.reach(code)))


@routes.get("/regions/{code}/notifications", summary="What the region's desk was told, newest first")
async def notifications(code: str, scope: Reader, sources: From) -> Response:
    """Return the newest notifications of the region's own desk, as far as they are the reader's."""
    scope.require(code)
    found = await sources.reads.notifications([f"region/{code}"], scope, NOTIFICATIONS)
    return json_list([body.encode() for body in found])


@routes.get("/warnings/{warning}", summary="All revisions of a warning")
async def warning_revisions(warning: UUID, scope: Reader, sources: From) -> Response:
    """Return a warning's revisions, oldest first."""
    scope.require_somewhere(Capability.WATCH)
    found = await sources.reads.revisions(warning, scope)
    if not found:
        raise NotFound(f"there is no warning {warning} in your regions")
    return json_list([body.encode() for body in found])


def _region(region: Region) -> dict[str, Any]:
    return region.model_dump(mode="json")
