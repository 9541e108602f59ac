"""Routes about devices that keep a connection, and about calling whoever is on duty where one stands (查岗)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Path, Query, Response

from schemas.command import Patrol
from schemas.outcome import Decided
from schemas.rest import DeviceShown, PatrolAsked, PatrolShown
from services.gateway import commands
from services.gateway.events import answer, require
from services.gateway.http import Audited, From, Reader

routes = APIRouter(prefix="/v1/departments/{department}")

Device = Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="The device's six bytes of address as it sends them")]


@routes.get("/devices", summary="The devices behind a department's sensors, and whether they are connected")
async def devices(department: str, scope: Reader, sources: From) -> list[DeviceShown]:
    """Return monitors (HJ 212) and fire transmission devices (GB/T 26875.3), those that were never heard, too."""
    require(department, scope, sources)
    return await sources.devices.of(department)


@routes.post("/devices/{device}/patrols", summary="Call whoever is on duty at a building (查岗)", response_model=Decided)
async def call(department: str, device: Device, asked: PatrolAsked, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return whether the call goes out, `command` being its id; what came of it the list of patrols says."""
    require(department, scope, sources)
    command = Patrol(id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), device=device, department=department, within_s=asked.within_s)
    told = {"department": department, "within_s": str(asked.within_s)}
    one = commands.Asked(command=command, subject=f"device/{device}", action="device.patrol", region=scope.tree.root.code, detail=told)
    return await answer(one, sources, audited)


@routes.get("/patrols", summary="Patrol checks and what came of them, the newest first")
async def patrols(
    department: str,
    scope: Reader,
    sources: From,
    device: Annotated[str | None, Query(pattern="^[0-9a-f]{12}$")] = None,
    before: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[PatrolShown]:
    """Return them; with `before`, those before one."""
    require(department, scope, sources)
    return await sources.devices.patrols(department, device, before, limit)
