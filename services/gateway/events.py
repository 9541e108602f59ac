"""Routes by which a department sees what became of its events, mends what was refused and sends it again."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Response

from schemas.base import Code, Text
from schemas.city import Department
from schemas.command import Command, Discard, ReopenDoor, SendAgain
from schemas.outcome import Decided
from schemas.rest import Discarding, DoorShown, EventFate, EventsSummary, RefusalBody, RefusalShown, SendingAgain
from services.gateway import commands
from services.gateway.archive import Sought, When
from services.gateway.domain.access import Capability, Scope
from services.gateway.errors import NotFound, Unfit
from services.gateway.http import Audited, From, Reader, Sources, Trail
from services.gateway.ingest import Asked

DAY = timedelta(days=1)
LONGEST = timedelta(days=31)
"""Of a summary: by hour and door these are some thousand rows."""
AROUND = timedelta(minutes=5)
"""What a sensor said is looked for so far before and after a time."""
OF_SENSOR = timedelta(days=1)
"""An event of a sensor that is named is looked for so far before and after a time; readings go by sensor and time."""
OF_ANY = timedelta(hours=1)
"""The same where no sensor is named: all of the department's are looked at."""
FOUND = 20
BODY_POLICY = "default-src 'none'; sandbox"
"""Whatever somebody sent, nothing of it runs."""

routes = APIRouter(prefix="/v1/departments")

Name = Annotated[str, Query(pattern=r"^[^\x00-\x1f\x7f]{1,256}$")]
Door = Literal["http", "inbound", "hj212", "gb26875", "mqtt"]


@routes.get("", summary="The departments whose events the reader may look after")
async def departments(scope: Reader, sources: From) -> list[Department]:
    """Return them in the city's order."""
    return [one for one in sources.city.city.departments if scope.holds(Capability.EVENTS, None, one.id)]


@routes.get("/{department}/summary", summary="What became of a department's events, in numbers")
async def summary(department: str, scope: Reader, sources: From, since: When | None = None, until: When | None = None) -> EventsSummary:
    """Return the counts of a time of 31 days at most, of the last day unless it is given; those of the last seconds come with the next writing."""
    require(department, scope, sources)
    until = until or sources.clock.now()
    since = since or until - DAY
    if not since < until <= since + LONGEST:
        raise Unfit(f"until: a summary ends after it begins, and at most {LONGEST.days} days later")
    hours = await sources.ingest.flow(department, since, until)
    return EventsSummary(
        department=department,
        since=since,
        until=until,
        observations=sum(one.observations for one in hours),
        reports=sum(one.reports for one in hours),
        refused=sum(one.refused for one in hours),
        late=sum(one.late for one in hours),
        hours=tuple(hours),
        reasons=tuple(await sources.ingest.reasons(department, since, until)),
        left_out=await sources.ingest.left_out(department),
        warned=await sources.archive.warned(department, since, until),
    )


@routes.get("/{department}/refused", summary="What was refused, the newest first")
async def refused(  # noqa: PLR0917 - they are query parameters
    department: str,
    scope: Reader,
    sources: From,
    reason: Code | None = None,
    sensor: Annotated[Name | None, Query(description="A sensor's id, or a device as `<protocol>:<name>`")] = None,
    state: Literal["kept", "sent_again", "discarded"] | None = None,
    door: Door | None = None,
    text: Annotated[Text | None, Query(description="Found in what is told, or in the bytes as they came")] = None,
    since: When | None = None,
    until: When | None = None,
    before: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[RefusalShown]:
    """Return them without their bytes; with `before`, those before one."""
    require(department, scope, sources)
    asked = Asked(reason=reason, sensor=sensor, state=state, door=door, text=text, since=since, until=until)
    return await sources.ingest.refused(department, asked, before, limit)


@routes.get("/{department}/refused/{rejected}", summary="One refusal, with what came")
async def refusal(department: str, rejected: UUID, scope: Reader, sources: From) -> RefusalBody:
    """Return the bytes as text where they are UTF-8, else as hexadecimal digits."""
    shown, body = await _refusal(department, rejected, scope, sources)
    try:
        return RefusalBody(refusal=shown, text=body.decode("utf-8"), hex=None)
    except UnicodeDecodeError:
        return RefusalBody(refusal=shown, text=None, hex=body.hex())


@routes.get("/{department}/refused/{rejected}/body", summary="The bytes of a refusal, as they came", response_class=Response)
async def body(department: str, rejected: UUID, scope: Reader, sources: From) -> Response:
    """Return a file; of what was larger than 64 KiB only the beginning."""
    _, content = await _refusal(department, rejected, scope, sources)
    headers = {"Content-Disposition": f'attachment; filename="{rejected}.bin"', "Content-Security-Policy": BODY_POLICY}
    return Response(content, media_type="application/octet-stream", headers=headers)


@routes.post("/{department}/refused/again", summary="Send again what was refused, as it came or one of it mended", response_model=Decided)
async def again(department: str, asked: SendingAgain, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what became of each once ingest has judged them anew; 202 when that takes longer: each refusal then says it."""
    require(department, scope, sources)
    mended = _mended(asked)
    command = SendAgain(
        id=uuid4(),
        actor=commands.actor(scope),
        at=sources.clock.now(),
        department=department,
        rejected=asked.rejected,
        mended=None if mended is None else base64.b64encode(mended).decode(),
    )
    told = {"count": str(len(asked.rejected)), "mended": "no" if mended is None else "yes"} | _some(asked.rejected)
    return await _ask(command, "send_again", told, scope, sources, audited)


@routes.post("/{department}/refused/discard", summary="Say that nothing is to be done any more about what was refused", response_model=Decided)
async def discard(department: str, asked: Discarding, scope: Reader, sources: From, audited: Audited) -> Response:
    """Answer as for sending again. It stays kept for its time."""
    require(department, scope, sources)
    command = Discard(
        id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), department=department, rejected=asked.rejected, note=asked.note
    )
    told = {"count": str(len(asked.rejected))} | _some(asked.rejected) | commands.noted(asked.note)
    return await _ask(command, "discard", told, scope, sources, audited)


@routes.get("/{department}/doors", summary="The ways by which a department is heard, and whether they are stopped for it")
async def doors(department: str, scope: Reader, sources: From) -> list[DoorShown]:
    """Return those of the last 30 days."""
    require(department, scope, sources)
    return await sources.ingest.doors(department)


@routes.post("/{department}/doors/{door}/opening", summary="Open a stopped door again", response_model=Decided)
async def reopen(department: str, door: Door, scope: Reader, sources: From, audited: Audited) -> Response:
    """Answer as for sending again. What comes is then refused as ever: the door is not stopped again before most was accepted."""
    require(department, scope, sources)
    command = ReopenDoor(id=uuid4(), actor=commands.actor(scope), at=sources.clock.now(), door=door, department=department)
    root = scope.tree.root.code
    one = commands.Asked(command=command, subject=f"door/{door}", action="door.reopen", region=root, detail={"department": department, "door": door})
    return await answer(one, sources, audited)


@routes.get("/{department}/events", summary="What became of one event, or of what a sensor said at a time")
async def event(  # noqa: PLR0917 - they are query parameters
    department: str,
    scope: Reader,
    sources: From,
    source: Name | None = None,
    id: Name | None = None,  # noqa: A002 - the attribute's own name
    sensor: Code | None = None,
    at: When | None = None,
) -> EventFate:
    """Give the event's `source` and `id`, or `sensor` and `at`.

    A reading goes by sensor and time: an event without `sensor` is looked for an hour around `at`, with it a day around, and `at` is now unless
    it is given. A reading that was corrected since stands under the event that corrected it. Refusals and reports are found at any time.
    """
    require(department, scope, sources)
    named = (source, id) if source is not None and id is not None else None
    if named is None and (sensor is None or at is None):
        raise Unfit("give source and id of the event, or sensor and at")
    time = at or sources.clock.now()
    around = AROUND if named is None else OF_ANY if sensor is None else OF_SENSOR
    sensors = [sensor] if sensor is not None else _sensors(department, sources)
    sought = Sought(department=department, sensors=sensors, since=time - around, until=time + around, event=named)
    accepted = await sources.archive.accepted(sought, FOUND)
    asked = Asked(event=id) if named is not None else Asked(sensor=sensor, since=sought.since, until=sought.until)
    warned = {warning.id: warning for reading in accepted for warning in await sources.archive.warned_by(department, reading)}
    return EventFate(
        since=sought.since,
        until=sought.until,
        accepted=tuple(accepted),
        report=None if named is None else await sources.archive.report_of(department, *named),
        refused=tuple(await sources.ingest.refused(department, asked, None, FOUND)),
        warned=tuple(warned.values()),
    )


def require(department: str, scope: Scope, sources: Sources) -> None:
    """Raise `Forbidden` for another's department, `NotFound` where the city has none of that name.

    What was refused stands in no region, so it is for who looks after the department in the whole city.
    """
    scope.require(scope.tree.root.code, Capability.EVENTS, department)
    if department not in {one.id for one in sources.city.city.departments}:
        raise NotFound(f"there is no department {department[:64]}")


async def _refusal(department: str, rejected: UUID, scope: Scope, sources: Sources) -> tuple[RefusalShown, bytes]:
    require(department, scope, sources)
    found = await sources.ingest.refusal(department, rejected)
    if found is None:
        raise NotFound("the department has no such refusal, or it is kept no longer")
    return found


def _mended(asked: SendingAgain) -> bytes | None:
    """Return the bytes that take the place of what is sent again; raises `Unfit`."""
    if asked.mended is not None and asked.mended_hex is not None:
        raise Unfit("mended, mended_hex: give one of the two")
    if (asked.mended is not None or asked.mended_hex is not None) and len(asked.rejected) != 1:
        raise Unfit("rejected: one is mended at a time")
    try:
        return binascii.unhexlify(asked.mended_hex) if asked.mended_hex is not None else None if asked.mended is None else asked.mended.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Unfit(f"mended: {error}") from error


async def answer(asked: commands.Asked, sources: Sources, audited: Trail) -> Response:
    """Write a command to ingest; returns what was decided, 202 when that takes longer than a person waits."""
    await commands.done(asked, audited)
    decided = await sources.ingest.outcome(asked.command.id)
    return Response(decided.model_dump_json(), status(decided), media_type="application/json")


def status(decided: Decided) -> int:
    """Return the status with which what was decided is answered."""
    return 202 if decided.outcome is None else 200


async def _ask(command: SendAgain | Discard, action: str, told: dict[str, str], scope: Scope, sources: Sources, audited: Trail) -> Response:
    given: Command = command
    one = commands.Asked(command=given, subject=f"rejected/{command.department}", action=f"events.{action}", region=scope.tree.root.code, detail=told)
    return await answer(one, sources, audited)


def _some(rejected: tuple[UUID, ...]) -> dict[str, str]:
    """Return the first of them for the audit."""
    return {f"rejected.{at}": str(one) for at, one in enumerate(rejected[:20], 1)}


def _sensors(department: str, sources: Sources) -> list[str]:
    view = sources.view
    return [id_ for id_ in view.sensors if (one := view.sensor(id_)) is not None and one.department == department]
