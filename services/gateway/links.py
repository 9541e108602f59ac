"""Routes behind the links in messages: whoever has one answers by it, once, without signing in.

A link is of one notification to one person. It shows those warnings that the alert had told of by then, for which the person answers by it, and is
good for a day. Somebody who has an account must be allowed to answer for all of them; who said what of them is shown to who signs in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid5

from fastapi import APIRouter, Request, Response

from schemas.action import Actor, Decision
from schemas.command import AnswerAlert
from schemas.rest import Answered, FieldAlert, Link, LinkUse
from services.gateway import commands
from services.gateway.alerts import PERSON
from services.gateway.domain import field
from services.gateway.domain.access import Capability, Principal, Scope, lowest
from services.gateway.domain.field import Heard, Share
from services.gateway.domain.proxies import network
from services.gateway.domain.repeats import UNKNOWN, Act
from services.gateway.errors import Conflict, GatewayError, NotFound, TooMany
from services.gateway.field import answering
from services.gateway.http import From, Sources, Trail, address
from services.gateway.store import Account
from services.kit import links

GOOD_FOR = timedelta(hours=24)

routes = APIRouter(prefix="/v1")


@dataclass(frozen=True)
class _Found:
    """What a link leads to."""

    notification: UUID
    who: Actor
    heard: Heard
    shares: list[Share]
    alert: FieldAlert
    used_as: Decision | None

    @property
    def command(self) -> UUID:
        """The command that it gives: always the same one."""
        return command_of(self.notification)

    @property
    def until(self) -> datetime:
        return self.heard.at + GOOD_FOR

    def state(self, now: datetime) -> Literal["open", "used", "expired", "over"]:
        if self.used_as is not None:
            return "used"
        if now >= self.until:
            return "expired"
        return "open" if self.alert.closed_at is None else "over"


def command_of(notification: UUID) -> UUID:
    """Return the id of the command that a notification's link gives."""
    return uuid5(notification, "link")


@routes.get("/links/{token}", summary="What a link from a message leads to")
async def look(token: str, request: Request, sources: From) -> Link:
    """Change nothing: previews of messages look, too. After a day it no longer shows any warning."""
    found, now = await _found(token, request, sources), sources.clock.now()
    alert = found.alert if now < found.until else found.alert.model_copy(update={"warnings": ()})
    city, state = sources.city.city.name, found.state(now)
    return Link(city=city, person=found.who.name, state=state, until=found.until, used_as=found.used_as, alert=alert)


@routes.post("/links/{token}", summary="Answer by a link from a message", response_model=Answered)
async def use(token: str, given: LinkUse, request: Request, sources: From) -> Response:
    """Return what was decided; 202 when that takes longer. A link that was used answers with what was decided then."""
    found, now = await _found(token, request, sources), sources.clock.now()
    trail = Trail(sources.audit, found.who.id, address(request))
    subject, region = f"alert/{found.alert.id}", lowest((share.street for share in found.shares), sources.view.regions)
    if (state := found.state(now)) in {"expired", "over"}:
        await trail.refused("link.refuse", subject, region=region, reason=state)
        raise Conflict({"expired": "the link is too old", "over": "the alert is over"}[state])
    command = AnswerAlert(
        id=found.command,
        actor=found.who,
        at=now,
        alert=found.alert.id,
        message=found.heard.notification.message,
        deed=given.deed,
        note=given.note,
    )
    return await commands.once(answering(command, region, by="link"), sources, trail)


async def _found(token: str, request: Request, sources: Sources) -> _Found:
    """Return what a link leads to; raises `NotFound`, and `TooMany` for who comes too often with what is no link."""
    notification = links.read(sources.session_key, token)
    if notification is None:
        raise await _refused("unknown_link", request, sources)
    heard = await sources.alerts.notification(notification)
    if heard is None or not heard.notification.recipient.startswith(PERSON):
        raise await _refused("no_such_message", request, sources)
    id_ = heard.notification.recipient.removeprefix(PERSON)
    name, account = await sources.alerts.person(id_), await sources.accounts.user(id_)
    if name is None or (account is not None and account.disabled):
        raise await _refused("not_a_person" if name is None else "disabled", request, sources, id_)
    alert, message = heard.notification.alert, heard.notification.message
    shares = await sources.alerts.shares([alert], message)
    seen = await sources.alerts.seen([alert], shares, message)
    if not seen or not shares:
        raise NotFound("the alert is kept no longer")
    if account is not None and not _answers(account, shares, sources):
        raise await _refused("not_theirs", request, sources, id_)
    used = await sources.alerts.decided([command_of(notification)])
    shown = field.shown(field.untrailed(seen[0]), field.Reader(id_, shares, whole=True, heard=heard), sources.view.sensor)
    return _Found(notification, Actor(id=id_, name=name), heard, shares, shown, used.get(command_of(notification)))


def _answers(account: Account, shares: Iterable[Share], sources: Sources) -> bool:
    """Say whether a user may answer for all that a message told of, as a signed-in one would have to."""
    scope = Scope(Principal(account.id, account.name, account.grants), sources.view.regions)
    return all(scope.holds(Capability.ACKNOWLEDGE, share.street, share.department) for share in shares)


async def _refused(reason: str, request: Request, sources: Sources, who: str = UNKNOWN) -> GatewayError:
    """Audit that a link was refused; returns what to raise."""
    at = address(request)
    await sources.audit.refused(Act(who, "link.refuse", "link", at, reason=reason))
    if wait := sources.wrong_links.wait(network(at), sources.clock.monotonic()):
        return TooMany(math.ceil(wait))
    return NotFound("there is no such link")
