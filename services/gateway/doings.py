"""Routes about what people do of one warning, and who was told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Response

from schemas.action import Actor, WarningActions
from schemas.base import Name
from schemas.command import Acknowledge, Assign, Clear, Comment, Digest, OfWarning
from schemas.notification import Notification, Why
from schemas.rest import Acknowledging, Assigning, ClearingByHand, Commenting, FieldAnswer
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway import commands
from services.gateway.alerts import PERSON
from services.gateway.domain.access import Capability, Principal, Scope
from services.gateway.errors import NotFound, Unfit
from services.gateway.http import Audited, From, Reader, Sources, Trail
from services.gateway.stories import revisions_of

TOLD = 200
"""Notifications of a warning, the newest."""
SOMEBODY = Name(zh="有人未能告知", en="Somebody could not be told")
IMAGE_POLICY = "default-src 'none'; sandbox"
"""Whatever a photo holds, nothing of it runs."""

routes = APIRouter(prefix="/v1")


@routes.post("/warnings/{warning}/acknowledgement", summary="Take note of a warning and answer for it", response_model=WarningActions)
async def acknowledge(warning: UUID, seen: Acknowledging, scope: Reader, sources: From, audited: Audited) -> Any:
    """Return what was done of the warning once alerts has decided; 202 when that takes longer: every screen sees it when it comes."""
    one = await _seen(warning, seen.rev, Capability.ACKNOWLEDGE, scope, sources)
    return await _do(Acknowledge(**_given(one, scope, sources), note=seen.note), scope, sources, audited)


@routes.post("/warnings/{warning}/assignment", summary="Give a warning to somebody", response_model=WarningActions)
async def assign(warning: UUID, asked: Assigning, scope: Reader, sources: From, audited: Audited) -> Any:
    """Answer as for an acknowledgement. Whom it is given to must be one who may watch it."""
    one = await _seen(warning, asked.rev, Capability.DIRECT, scope, sources)
    to = await _watcher(asked.to, one, scope, sources)
    return await _do(Assign(**_given(one, scope, sources), to=to, note=asked.note), scope, sources, audited, to=to.id)


@routes.post("/warnings/{warning}/comments", summary="Say something of a warning", response_model=WarningActions)
async def comment(warning: UUID, said: Commenting, scope: Reader, sources: From, audited: Audited) -> Any:
    """Answer as for an acknowledgement."""
    one = await _seen(warning, said.rev, Capability.ACKNOWLEDGE, scope, sources)
    return await _do(Comment(**_given(one, scope, sources), note=said.note), scope, sources, audited)


@routes.post("/warnings/{warning}/clearance", summary="Clear a warning by hand", response_model=WarningActions)
async def clear(warning: UUID, asked: ClearingByHand, scope: Reader, sources: From, audited: Audited) -> Any:
    """Answer as for an acknowledgement. The rule's episode goes on: a rise in tier opens it again."""
    one = await _seen(warning, asked.rev, Capability.DIRECT, scope, sources)
    return await _do(Clear(**_given(one, scope, sources), note=asked.reason), scope, sources, audited)


@routes.get("/warnings/{warning}/notifications", summary="Who was told of a warning, newest first")
async def notifications(warning: UUID, scope: Reader, sources: From) -> list[Notification]:
    """Return the notifications of its alerts, as far as they tell of this warning; of single persons only to users who may answer for it."""
    newest = (await revisions_of(warning, scope, sources))[-1]
    told = await sources.alerts.told(warning, TOLD)
    others = await with_others(told, scope, sources)
    shown = [told_of(one, newest, scope, whole=one.alert not in others) for one in told]
    if knows_people(scope, newest.street, newest.department):
        return shown
    return [impersonal(one) for one in shown if not one.recipient.startswith(PERSON)]


@routes.get("/warnings/{warning}/answers", summary="Where somebody stood who answered from the field, and their photos")
async def answers(warning: UUID, scope: Reader, sources: From, audited: Audited) -> list[FieldAnswer]:
    """Return them in their order. That somebody looked is audited."""
    newest = await _personal(warning, scope, sources)
    found = await sources.alerts.answers(warning)
    await audited.done("warning.answers.look", f"warning/{warning}", region=_region(newest, scope), detail={"answers": str(len(found))})
    return found


@routes.get("/warnings/{warning}/photos/{digest}", summary="A photo from the field", response_class=Response)
async def photo(warning: UUID, digest: Digest, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return the image, if it came with an answer to this warning. That somebody looked is audited."""
    newest = await _personal(warning, scope, sources)
    its = {one for answer in await sources.alerts.answers(warning) for one in answer.photos}
    found = await sources.album.photo(digest) if digest in its else None
    if found is None:
        raise NotFound("the warning has no such photo, or it is kept no longer")
    await audited.done("photo.look", f"warning/{warning}", region=_region(newest, scope), detail={"photo": digest})
    return Response(found.body, media_type=found.media, headers={"Content-Disposition": "inline", "Content-Security-Policy": IMAGE_POLICY})


async def with_others(told: Iterable[Notification], scope: Scope, sources: Sources) -> set[UUID]:
    """Return which of the alerts that were told have warnings of which some are not the reader's."""
    shares = await sources.alerts.shares(sorted({one.alert for one in told}))
    return {share.alert for share in shares if not scope.sees(share.street, share.department)}


def knows_people(scope: Scope, street: str, department: str) -> bool:
    """Say whether the reader is told which persons were told of something, and which could not be: a user who may answer for it."""
    return scope.is_user and scope.holds(Capability.ACKNOWLEDGE, street, department)


def told_of(one: Notification, warning: Warning, scope: Scope, *, whole: bool) -> Notification:
    """Return a notification as a reader of a warning may see it.

    It was told of an alert. Unless the `whole` of that is theirs, it may name others' warnings and places and count them: then it is shown as one
    of this warning.
    """
    if whole and scope.sees(one.street, one.department):
        return one
    mine = {"warning": warning.id, "warning_rev": warning.rev, "street": warning.street, "department": warning.department}
    return one.model_copy(update=mine | {"tier": warning.tier, "text": warning.rule_name, "warnings": 1})


def impersonal(one: Notification) -> Notification:
    """Return a notification as those see it to whom nobody's name is told: that somebody could not be told, not who and why."""
    return one.model_copy(update={"text": SOMEBODY, "reason": None}) if one.why is Why.UNDELIVERED else one


async def _seen(warning: UUID, rev: int, capability: Capability, scope: Scope, sources: Sources) -> Warning:
    """Return a warning as somebody saw it who may do something of it as it is; raises `NotFound`, `Forbidden`, `Unfit`."""
    revisions = await revisions_of(warning, scope, sources)
    newest = revisions[-1]
    scope.require(scope.place(newest.street), capability, newest.department)
    for one in revisions:
        if one.rev == rev:
            return one
    raise Unfit(f"the warning has no revision {rev}; the newest is {newest.rev}")


async def _personal(warning: UUID, scope: Scope, sources: Sources) -> Warning:
    """Return a warning of which the reader may see what is personal; raises `NotFound`, `Forbidden`."""
    newest = (await revisions_of(warning, scope, sources))[-1]
    scope.require(scope.place(newest.street), Capability.DIRECT, newest.department)
    scope.require_person(newest.street)
    return newest


async def _watcher(user: str, warning: Warning, scope: Scope, sources: Sources) -> Actor:
    """Return a user who may watch a warning; raises `Unfit` alike for one who may not and for one who is not there."""
    account = await sources.accounts.user(user)
    if account is None or account.disabled or not _watches(Principal(account.id, account.name, account.grants), warning, scope):
        raise Unfit(f"there is nobody {user} who may watch this warning")
    return Actor(id=account.id, name=account.name)


def _watches(who: Principal, warning: Warning, scope: Scope) -> bool:
    return Scope(who, scope.tree).sees(warning.street, warning.department)


def _given(one: Warning, scope: Scope, sources: Sources) -> dict[str, Any]:
    """Return what all commands about a warning have, as it was seen."""
    return {
        "id": uuid4(),
        "actor": commands.actor(scope),
        "at": sources.clock.now(),
        "warning": one.id,
        "street": one.street,
        "department": one.department,
        "seen_rev": one.rev,
        "tier": one.tier,
    }


async def _do(command: OfWarning, scope: Scope, sources: Sources, audited: Trail, **detail: str) -> WarningActions | Response:
    region = command.street if command.street in scope.tree else None
    told = {"rev": str(command.seen_rev), **commands.noted(command.note), **detail}
    subject = f"warning/{command.warning}"
    asked = commands.Asked(command=command, subject=subject, action=f"warning.{command.kind}", region=region, detail=told)
    return await commands.of_warning(asked, sources, audited)


def _region(warning: Warning, scope: Scope) -> str | None:
    return warning.street if warning.street in scope.tree else None
