"""Routes about regions and their warnings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response

from schemas.live import LiveValue
from schemas.notification import Notification
from schemas.regions import Region
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.doings import impersonal, knows_people, with_others
from services.gateway.domain.access import Capability, Scope
from services.gateway.domain.field import UNNAMED
from services.gateway.errors import NotFound
from services.gateway.http import From, Reader, Sources, json_list

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


@routes.get("/regions/{code}/warnings", summary="The open warnings of a region", response_model=list[Warning])
async def warnings(code: str, scope: Reader, sources: From) -> Response:
    """Return the newest revision of each open warning."""
    return json_list(sources.view.open_warnings(scope.reach(code)))


@routes.get("/regions/{code}/values", summary="The newest value of each series of a region", response_model=list[LiveValue])
async def values(code: str, scope: Reader, sources: From) -> Response:
    """Return values as the live socket sends them."""
    return json_list(sources.view.values(scope.reach(code)))


@routes.get("/regions/{code}/notifications", summary="What the region's desk was told, newest first", response_model=list[Notification])
async def notifications(code: str, scope: Reader, sources: From) -> Response:
    """Return the newest notifications of the region's own desk, as far as they are the reader's."""
    scope.require(code)
    found = await sources.reads.notifications([f"region/{code}"], scope, NOTIFICATIONS)
    told = [Notification.model_validate_json(body) for body in found]
    others = await with_others(told, scope, sources)
    return json_list([_told(one, scope, sources, whole=one.alert not in others).model_dump_json().encode() for one in told])


@routes.get("/warnings/{warning}", summary="All revisions of a warning", response_model=list[Warning])
async def warning_revisions(warning: UUID, scope: Reader, sources: From) -> Response:
    """Return a warning's revisions, oldest first."""
    scope.require_somewhere(Capability.WATCH)
    found = await sources.reads.revisions(warning, scope)
    if not found:
        raise NotFound(f"there is no warning {warning} in your regions")
    return json_list([body.encode() for body in found])


def _told(one: Notification, scope: Scope, sources: Sources, *, whole: bool) -> Notification:
    """Return a notification, whose gravest warning is the reader's, as they may see it: see `services.gateway.doings.told_of`."""
    if not whole:
        gravest = sources.view.warning(one.warning)
        one = one.model_copy(update={"text": gravest.rule_name if gravest is not None else UNNAMED, "warnings": 1})
    return one if knows_people(scope, one.street, one.department) else impersonal(one)


def _region(region: Region) -> dict[str, Any]:
    return region.model_dump(mode="json")
