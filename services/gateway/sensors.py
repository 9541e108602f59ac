"""Routes about the registry: sensors as they are registered and how they are, changed one by one or by a file, and devices that nobody knows yet.

Read is what one may watch or may change; changes are decided by ingest, which answers with what they come to.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from schemas import sheet
from schemas.base import Code, Domain, Text
from schemas.command import ChangeSensor, ImportSensors, Within
from schemas.outcome import Decided, Outcome
from schemas.registration import FaultCode, Registration
from schemas.rest import Draft, Importing, SensorPage, SensorShown, Stored, UnknownShown
from schemas.sensor import Life, Sensor
from services.gateway import commands, store
from services.gateway.domain import adoption
from services.gateway.domain.access import Capability, Extent, Scope, Verdict, decide
from services.gateway.errors import NotFound, Unfit
from services.gateway.http import UPLOADS, Audited, From, Reader, Sources, Trail
from services.gateway.registered import Asked, Visible, shown
from services.kit.database import Connection

READ = (Capability.WATCH, Capability.REGISTRY)
UNKNOWN = 2_000
_TAG = re.compile(r'(?:W/)?"([0-9]{1,10})"')
_KINDS = {"csv": "text/csv; charset=utf-8", "geojson": "application/geo+json"}

routes = APIRouter(prefix="/v1")

Health = Literal["well", "doubtful", "silent", "unheard", "unused"]
Protocol = Annotated[str, Query(pattern="^[a-z0-9]{1,16}$")]


# -- reading


def _question(  # noqa: PLR0917 - they are query parameters
    department: Code | None = None,
    domain: Domain | None = None,
    life: Life | None = None,
    station: Code | None = None,
    protocol: Protocol | None = None,
    health: Health | None = None,
    text: Annotated[Text | None, Query(description="Found in id, name, place, station, CIM id or link")] = None,
) -> Asked:
    return Asked(department=department, domain=domain, life=life, station=station, protocol=protocol, health=health, text=text)


Question = Annotated[Asked, Depends(_question)]


@routes.get("/sensors", summary="The sensors of the registry, by id")
async def sensors(
    asked: Question,
    scope: Reader,
    sources: From,
    region: Code | None = None,
    after: Annotated[Code | None, Query(description="The last one of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> SensorPage:
    """Return those of the reader's regions and departments, with how they are."""
    visible, now = _visible(scope, sources, region), sources.clock.now()
    rows = await sources.registered.sensors(visible, asked, after, limit + 1, now)
    found = [shown(row, now) for row in rows[:limit]]
    told = tuple(SensorShown(sensor=sensor, health=how, changeable=_changeable(scope, sensor)) for sensor, how in found)
    return SensorPage(sensors=told, after=told[-1].sensor.id if len(rows) > limit else None)


@routes.get("/sensors.{form}", summary="The sensors of the registry as a file", response_class=Response)
async def export(form: Literal["csv", "geojson"], asked: Question, scope: Reader, sources: From, region: Code | None = None) -> Response:
    """Return what the same question lists, at most 10,000, as `/v1/sensors/imports` takes it; positions in CGCS2000."""
    visible, now = _visible(scope, sources, region), sources.clock.now()
    rows = await sources.registered.sensors(visible, asked, None, sheet.MOST_ROWS + 1, now)
    if len(rows) > sheet.MOST_ROWS:
        raise Unfit(f"more than {sheet.MOST_ROWS} sensors: ask for a part of them, such as a region's")

    def write() -> bytes:
        found = [shown(row, now)[0] for row in rows]
        return sheet.write_csv(found) if form == "csv" else sheet.write_geojson(found)

    headers = {"Content-Disposition": f'attachment; filename="sensors.{form}"'}
    return Response(await asyncio.to_thread(write), media_type=_KINDS[form], headers=headers)


@routes.get("/sensors/{sensor}", summary="A sensor, and how it is")
async def one(sensor: Code, scope: Reader, sources: From, response: Response) -> SensorShown:
    """Return its newest version, which is its ETag."""
    _require_reader(scope)
    found = await sources.registered.sensor(sensor, sources.clock.now())
    if found is None or not any(scope.holds(each, found[0].street, found[0].department) for each in READ):
        raise NotFound(f"there is no sensor {sensor} in your regions")
    response.headers["ETag"] = f'"{found[0].version}"'
    return SensorShown(sensor=found[0], health=found[1], changeable=_changeable(scope, found[0]))


# -- changing


@routes.put("/sensors/{sensor}", summary="Register a sensor, or change it as a whole", response_model=Decided)
async def change(  # noqa: PLR0917 - as REST has them
    sensor: Code,
    body: Sensor,
    scope: Reader,
    sources: From,
    audited: Audited,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    if_match: Annotated[str | None, Header(description='The ETag that was seen, such as `"3"`; to change a sensor')] = None,
    if_none_match: Annotated[str | None, Header(description="`*`, to register a new one")] = None,
) -> Response:
    """Return what it comes to (`schemas.registration.Registration`), with `dry_run` what it would; 202 when that takes longer.

    It is refused with 409 when the sensor was changed since it was seen, and with 422 for other faults. The version of the body does not matter.
    """
    scope.require_somewhere(Capability.REGISTRY)
    if body.id != sensor:
        raise Unfit(f"id: the body is of sensor {body.id}")
    if body.street in scope.tree:
        scope.require(body.street, Capability.REGISTRY, body.department)
    new = body.model_copy(update={"version": _seen(if_match, if_none_match) + 1})
    command = ChangeSensor(id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), sensor=new, within=_within(scope), dry_run=dry_run)
    told = {"version": str(new.version), "life": new.life.value, "street": new.street, "department": new.department}
    region = new.street if new.street in scope.tree else None
    asked = commands.Asked(command=command, subject=f"sensor/{sensor}", action=_action("change", dry_run=dry_run), region=region, detail=told)
    return await _decided(asked, sources, audited)


@routes.post(
    UPLOADS.removeprefix("/v1"),
    status_code=201,
    summary="Send a file to be imported",
    openapi_extra={"requestBody": {"required": True, "content": {"*/*": {}}}},
)
async def upload(request: Request, scope: Reader, sources: From, audited: Audited) -> Stored:
    """Keep the bytes as they came, at most 16 MiB, by their SHA-256; the same file again is the same."""
    scope.require_somewhere(Capability.REGISTRY)
    await sources.uploads.keep_pace(scope.principal.id)
    body = await request.body()
    if not body:
        raise Unfit("the file is empty")
    digest, adding = sources.uploads.adding(body, scope.principal.id)
    detail = {"bytes": str(len(body))}
    await audited.done("file.send", f"file/{digest}", region=scope.regions(Capability.REGISTRY)[0], detail=detail, with_=adding)
    return Stored(digest=digest)


@routes.post("/sensors/imports", summary="Register and change the sensors of a file, all or none", response_model=Decided)
async def bring(
    asked: Importing,
    scope: Reader,
    sources: From,
    audited: Audited,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a query parameter
) -> Response:
    """Answer as for a single sensor. A large file takes some seconds: then `/v1/sensors/outcomes/{command}` tells what came of it."""
    scope.require_somewhere(Capability.REGISTRY)
    await sources.uploads.require(asked.file)
    command = ImportSensors(
        id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), within=_within(scope), dry_run=dry_run, **asked.model_dump()
    )
    told = {"form": asked.form, "system": asked.system.value}
    region = scope.regions(Capability.REGISTRY)[0]
    one = commands.Asked(command=command, subject=f"file/{asked.file}", action=_action("import", dry_run=dry_run), region=region, detail=told)
    return await _decided(one, sources, audited)


@routes.get("/sensors/outcomes/{command}", summary="What came of a change that took longer", response_model=Decided)
async def outcome(command: UUID, scope: Reader, sources: From) -> Response:
    """Return what was decided of a command that the reader gave; 202 while nothing is."""
    scope.require_somewhere(Capability.REGISTRY)
    if await sources.uploads.giver(command) != scope.principal.id:
        raise NotFound(f"you gave no command {command}")
    return _answer(await sources.ingest.outcome(command))


# -- who is heard and not registered


@routes.get("/unknown", summary="Devices and sensors that were heard and that nobody registered, the last heard first")
async def unknown(
    scope: Reader,
    sources: From,
    protocol: Protocol | None = None,
    text: Annotated[Text | None, Query(description="Found in the device's name")] = None,
    limit: Annotated[int, Query(ge=1, le=UNKNOWN)] = 200,
) -> list[UnknownShown]:
    """Return those of departments whose registry is the reader's in the whole city: of an unknown device nobody knows where it stands."""
    return await sources.registered.unknown(_departments(scope, sources), protocol, text, limit)


@routes.get("/unknown/draft", summary="The sensor for a device that nobody registered, as far as it is known")
async def draft(protocol: Protocol, device: Text, department: Text, scope: Reader, sources: From) -> Draft:
    """Return what is to be completed and given to `PUT /v1/sensors/{sensor}`, which adopts the device."""
    found = await sources.registered.unknown(_departments(scope, sources), protocol, device, UNKNOWN)
    for one in found:
        if (one.device, one.department) == (device, department):
            return adoption.draft(one)
    raise NotFound(f"no unknown device {device} of {protocol} was heard")


# -- whose it is


def _require_reader(scope: Scope) -> None:
    if not scope.may(Capability.REGISTRY):
        scope.require_somewhere(Capability.WATCH)


def _visible(scope: Scope, sources: Sources, region: str | None) -> Visible:
    """Return what the reader sees of the registry, in a region or everywhere. Raises `Forbidden`."""
    tree, departments = scope.tree, [department.id for department in sources.city.city.departments]
    if region is None:
        _require_reader(scope)
    elif scope.decide(Capability.REGISTRY, region) is not Verdict.ALLOWED:
        scope.require(region)
    top = region or tree.root.code
    here = [one.code for one in tree if tree.covers(top, one.code) and _reads(scope, one.code, Extent.ANY)]
    whole = [code for code in here if _reads(scope, code, Extent.ALL)]
    some = [(code, department) for code in set(here) - set(whole) for department in departments if _reads(scope, code, department)]
    known = [one.code for one in tree] if tree.root.code in whole else None
    return Visible(whole, [code for code, _ in some], [department for _, department in some], known)


def _reads(scope: Scope, region: str, department: str | Extent) -> bool:
    return any(scope.decide(capability, region, department) is Verdict.ALLOWED for capability in READ)


def _changeable(scope: Scope, sensor: Sensor) -> bool:
    return scope.holds(Capability.REGISTRY, sensor.street, sensor.department)


def _within(scope: Scope) -> tuple[Within, ...]:
    """Return the parts of the city whose registry is the actor's, which is one at least."""
    able = [one for one in scope.principal.grants if decide([one], scope.tree, Capability.REGISTRY, one.region) is Verdict.ALLOWED]
    return tuple(dict.fromkeys(Within(region=one.region, departments=one.departments) for one in able))


def _departments(scope: Scope, sources: Sources) -> list[str] | None:
    """Return the departments whose registry is the reader's in the whole city; None where that is all, and what is of none."""
    scope.require_somewhere(Capability.REGISTRY)
    if scope.holds(Capability.REGISTRY, None, None):
        return None
    return [one.id for one in sources.city.city.departments if scope.holds(Capability.REGISTRY, None, one.id)]


# -- commands


def _seen(if_match: str | None, if_none_match: str | None) -> int:
    """Return the version that was seen, 0 of none; raises `Unfit`."""
    if if_match is None and if_none_match == "*":
        return 0
    tag = _TAG.fullmatch(if_match or "")
    if tag is None or if_none_match is not None or not 0 < int(tag[1]) < 2**31 - 1:
        raise Unfit('give the ETag that you have seen, If-Match: "3", or If-None-Match: * to register a new sensor')
    return int(tag[1])


def _action(what: str, *, dry_run: bool) -> str:
    return "sensor.preview" if dry_run else f"sensor.{what}"


async def _decided(asked: commands.Asked, sources: Sources, audited: Trail) -> Response:
    """Write a command; returns what ingest decided, 202 when that takes longer."""
    id_, actor = asked.command.id, asked.command.actor.id

    async def give(connection: Connection) -> bool:
        return await store.give(connection, id_, actor, sources.clock.now()) is None

    await commands.done(asked, audited, give)
    return _answer(await sources.ingest.outcome(id_))


def _answer(decided: Decided) -> Response:
    return Response(decided.model_dump_json(), _status(decided), media_type="application/json")


def _status(decided: Decided) -> int:
    if decided.outcome is None:
        return 202
    if decided.outcome is not Outcome.REFUSED:
        return 200
    faults = Registration.model_validate(decided.detail).faults
    return 409 if any(fault.code is FaultCode.CHANGED for fault in faults) else 422
