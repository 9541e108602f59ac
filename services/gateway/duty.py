"""Routes about who is on duty, and how they are reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from fastapi import APIRouter, Response

from schemas.alerting import Team
from schemas.base import Code
from schemas.command import Override
from schemas.rest import Answered, Contacts, DutyTeam, Overriding
from services.gateway import commands
from services.gateway.domain import duty
from services.gateway.domain.access import Capability, Scope, Verdict
from services.gateway.domain.duty import Turn
from services.gateway.errors import Forbidden, NotFound, Unfit
from services.gateway.http import Audited, From, Reader, Sources
from services.gateway.silences import around

AHEAD = timedelta(days=7)
LONGEST = timedelta(days=31)
"""An override for longer is a change of the roster."""

routes = APIRouter(prefix="/v1")


@routes.get("/regions/{code}/duty", summary="Who is on duty, now and in the next seven days")
async def on_duty(code: str, scope: Reader, sources: From) -> list[DutyTeam]:
    """Return the teams of the region, of all below it, and of the reader's regions above; masked addresses of those that the reader directs."""
    scope.require(code)
    now = sources.clock.now()
    turns = await turns_of(around(code, scope), now, now + AHEAD, scope, sources)
    led = {turn.team.id for turn in turns if scope.is_user and scope.directs(turn.team.region, turn.team.departments)}
    contacts = await sources.alerts.contacts(sorted({turn.person for turn in turns if turn.person is not None and turn.team.id in led}))
    return duty.teams(turns, now, contacts, led)


@routes.get("/people/{person}/contacts", summary="Somebody's whole addresses")
async def contacts(person: Code, scope: Reader, sources: From, audited: Audited) -> Contacts:
    """Return them to who directs a region in which they have a team. That somebody looked is audited."""
    team = await _led(person, scope, sources)
    found = await sources.alerts.contacts([person])
    await audited.done("person.contacts.look", f"person/{person}", region=_region(team, scope), detail={"team": team.id})
    return Contacts(person=person, contacts=found.get(person, {}))


@routes.post("/teams/{team}/overrides", summary="Put somebody on duty in a team for a time", response_model=Answered)
async def override(team: Code, asked: Overriding, scope: Reader, sources: From, audited: Audited) -> Response:
    """Return what was decided; 202 when that takes longer."""
    scope.require_somewhere(Capability.WATCH)
    known = await sources.alerts.team(team)
    if known is None or not scope.concerns(known.region, known.departments):
        raise NotFound("there is no such team in your regions")
    scope.require_for(known.region, Capability.DIRECT, known.departments)
    now = sources.clock.now()
    if not asked.since < asked.until or asked.until <= now or asked.until - asked.since > LONGEST or asked.since > now + LONGEST:
        raise Unfit(f"since, until: an override ends after it begins and after now, begins and lasts {LONGEST.days} days at most")
    await _require_people(asked, known, scope, sources)
    command = Override(
        id=uuid4(),
        actor=commands.actor(scope),
        at=now,
        team=team,
        person=asked.person,
        instead_of=asked.instead_of,
        since=asked.since,
        until=asked.until,
        reason=asked.reason,
    )
    told = {"person": asked.person, "instead_of": asked.instead_of or "-", "since": asked.since.isoformat(), "until": asked.until.isoformat()}
    one = commands.Asked(
        command=command, subject=f"team/{team}", action="team.override", region=_region(known, scope), detail=told | {"reason": asked.reason}
    )
    return await commands.of_other(one, sources, audited)


async def turns_of(regions: Sequence[str], since: datetime, until: datetime, scope: Scope, sources: Sources) -> list[Turn]:
    """Return who is on duty in a time in those teams of some regions that are the reader's."""
    return [turn for turn in await sources.alerts.turns(regions, since, until) if scope.concerns(turn.team.region, turn.team.departments)]


async def _led(person: str, scope: Scope, sources: Sources) -> Team:
    """Return a team of somebody that the reader directs; raises `NotFound` when they see none, `Forbidden` when they direct none."""
    scope.require_somewhere(Capability.WATCH)
    teams = [team for team in await sources.alerts.teams_of(person) if scope.concerns(team.region, team.departments)]
    if not teams:
        raise NotFound("there is nobody of that id in a team of your regions")
    for team in teams:
        if scope.directs(team.region, team.departments):
            scope.require_person(team.region)
            return team
    verdict, at = Verdict.NOT_YOUR_ROLE, scope.place(teams[0].region)
    raise Forbidden("whole addresses are shown to who directs the team's region", capability=Capability.DIRECT, verdict=verdict, region=at)


async def _require_people(asked: Overriding, team: Team, scope: Scope, sources: Sources) -> None:
    """Raise `Unfit` for somebody who is not the reader's to put on duty, alike whether there is nobody of that id."""
    if not await _is_theirs(asked.person, scope, sources):
        raise Unfit(f"person: {asked.person} is in no team that you direct: give a member, by alerting.yaml, of one of your teams")
    other = asked.instead_of
    if other is not None and not (await _is_on_duty(other, asked, team, sources) or await _is_theirs(other, scope, sources)):
        raise Unfit(f"instead_of: {other} is neither on duty in the team in that time nor in another team that you direct")


async def _is_theirs(person: str, scope: Scope, sources: Sources) -> bool:
    return any(scope.directs(team.region, team.departments) for team in await sources.alerts.teams_of(person))


async def _is_on_duty(person: str, asked: Overriding, team: Team, sources: Sources) -> bool:
    turns = await sources.alerts.turns([team.region], asked.since, asked.until)
    return any(turn.team.id == team.id and turn.person == person for turn in turns)


def _region(team: Team, scope: Scope) -> str | None:
    return team.region if team.region in scope.tree else None
