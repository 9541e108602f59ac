"""Routes of phones: what somebody in the field was told and given, and their answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, Response

from schemas.action import Deed
from schemas.command import AnswerAlert
from schemas.rest import Answered, Answering, FieldAlert, FieldView
from services.gateway import commands
from services.gateway.domain import field
from services.gateway.domain.access import Capability, Scope, Verdict, lowest
from services.gateway.domain.field import Share
from services.gateway.errors import AnotherUser, Forbidden, NotFound, Unfit
from services.gateway.http import Audited, From, Reader, Sources

CLOSED_SHOWN = timedelta(hours=12)
"""An alert that is over is shown so long after."""
MOST = 200
"""Alerts of one person."""
OLDEST = timedelta(days=7)
"""An answer that a phone kept for longer counts as given then: its clock may be wrong."""
_DERIVED = 5
"""The version of the UUIDs that the platform makes."""

routes = APIRouter(prefix="/v1")


@routes.get("/field", summary="What a phone shows: the alerts that one was told of, and those with warnings that one was given")
async def view(scope: Reader, sources: From) -> FieldView:
    """Return those that are open or were closed within 12 hours, unanswered and gravest first; of each only the reader's warnings."""
    scope.require_somewhere(Capability.WATCH)
    who, now = scope.principal.id, sources.clock.now()
    heard = await sources.alerts.heard(who, now - CLOSED_SHOWN, MOST)
    ids = list(dict.fromkeys([*heard, *await sources.alerts.assigned(who, now - CLOSED_SHOWN, MOST)]))
    shares = await sources.alerts.shares(ids)
    mine = _by_alert([share for share in shares if scope.sees(share.street, share.department)])
    whole = {id_ for id_, of in _by_alert(shares).items() if len(of) == len(mine[id_])}
    shown = [
        field.shown(seen, field.Reader(who, mine[seen.id], seen.id in whole, heard.get(seen.id)), sources.view.sensor)
        for seen in await sources.alerts.seen([id_ for id_ in ids if mine[id_]], [share for of in mine.values() for share in of])
    ]
    return FieldView(now=now, alerts=tuple(sorted(shown, key=_urgency)))


@routes.post("/alerts/{alert}/answers", summary="Answer for all warnings of an alert, maybe from a phone that was offline", response_model=Answered)
async def answer(alert: UUID, given: Answering, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what was decided; 202 when that takes longer. Sent again with the same `command` it is the same answer."""
    _require_giver(given, scope)
    shares = await _answerable(alert, scope, sources)
    _require_sense(given)
    await sources.album.require(given.photos)
    now = sources.clock.now()
    command = AnswerAlert(
        id=given.command,
        actor=commands.actor(scope),
        at=await _given_at(alert, given, now, sources),
        alert=alert,
        message=given.message,
        deed=given.deed,
        note=given.note,
        position=given.position,
        photos=given.photos,
    )
    region = lowest((share.street for share in shares), scope.tree)
    return await commands.once(answering(command, region), sources, audited)


def answering(command: AnswerAlert, region: str | None, **detail: str) -> commands.Asked:
    """Return an answer with what the audit tells of it: that a position came, not which."""
    told = {"deed": command.deed, "message": str(command.message), "photos": str(len(command.photos)), **commands.noted(command.note), **detail}
    if command.position is not None:
        told["located"] = "true"
    return commands.Asked(command=command, subject=f"alert/{command.alert}", action="alert.answer", region=region, detail=told)


def clamped(at: datetime | None, now: datetime) -> datetime:
    """Return when an answer was given: what a phone's clock says, but neither ahead of ours nor too long ago."""
    return now if at is None else min(now, max(at, now - OLDEST))


def placed(at: datetime, sent_at: datetime, seen_at: datetime | None, now: datetime) -> datetime:
    """Return when an answer was given by our clock: so long before now as the phone's clock says that it was before its sending.

    That holds however wrong that clock is. `seen_at` is when what was answered was told: nobody answered before.
    """
    ago = min(max(sent_at - at, timedelta(0)), OLDEST)
    return min(now, max(now - ago, seen_at or now - ago))


async def _given_at(alert: UUID, given: Answering, now: datetime, sources: Sources) -> datetime:
    if given.at is None or given.sent_at is None:
        return clamped(given.at, now)
    return placed(given.at, given.sent_at, await sources.alerts.told_at(alert, given.message), now)


def _require_giver(given: Answering, scope: Scope) -> None:
    """Raise `AnotherUser` for an answer that a phone kept from one user and sends when another is signed in."""
    if given.given_by is not None and given.given_by != scope.principal.id:
        raise AnotherUser("given_by: the answer was given by another user than the one who is signed in: it is sent when they have signed in")


def _require_sense(given: Answering) -> None:
    if given.command.version == _DERIVED:
        raise Unfit("command: a UUID of version 5 is one of the platform's own; make a random one")
    if given.deed is Deed.COMMENT and given.note is None:
        raise Unfit("note: a comment needs one")


async def _answerable(alert: UUID, scope: Scope, sources: Sources) -> list[Share]:
    """Return an alert's shares when the reader may answer for all of its warnings; raises `NotFound` when they see none, `Forbidden`."""
    scope.require_somewhere(Capability.WATCH)
    shares = await sources.alerts.shares([alert])
    seen = [share for share in shares if scope.sees(share.street, share.department)]
    if not seen:
        raise NotFound(f"there is no alert {alert} in your regions")
    if not all(scope.holds(Capability.ACKNOWLEDGE, share.street, share.department) for share in shares):
        mine = all(scope.holds(Capability.ACKNOWLEDGE, share.street, share.department) for share in seen)
        verdict = Verdict.NOT_YOUR_REGION if mine else Verdict.NOT_YOUR_ROLE
        at = scope.place(seen[0].street)
        raise Forbidden("the alert has warnings that are not yours to answer for", capability="acknowledge", verdict=verdict, region=at)
    return shares


def _by_alert(shares: Sequence[Share]) -> defaultdict[UUID, list[Share]]:
    found: defaultdict[UUID, list[Share]] = defaultdict(list)
    for share in shares:
        found[share.alert].append(share)
    return found


def _urgency(alert: FieldAlert) -> tuple[bool, bool, int, float]:
    return alert.closed_at is not None, not alert.unanswered, -alert.tier.gravity, -alert.opened_at.timestamp()
