"""What people ask for, decided: SQL around `services.alerts.domain.acting`, in the transaction of the poll that brought it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from schemas.action import Decision, Deed, WarningActions
from schemas.command import Acknowledge, Answer, AnswerAlert, Comment, EndSilence, HandOver, OfWarning, Override, Silence, TakeOver, ToAlerts
from schemas.regions import RegionTree
from schemas.rest import FieldAnswer, HandOverShown, SilenceShown
from schemas.tiers import TIERS
from services.alerts import rows
from services.alerts.domain.acting import act, deed_of, noted
from services.alerts.domain.known import Known
from services.alerts.gathering import Change
from services.kit.database import Connection

NEWCOMERS = 7_403_164
"""The advisory lock by which those who meet a warning first and those who decide a command for one that has not come yet know of each other."""

_FRESH = "insert into alerts.commands (id, subject) select * from unnest($1::uuid[], $2::text[]) on conflict do nothing returning id"
_DECIDED = "update alerts.commands c set outcome = t.outcome from unnest($1::uuid[], $2::text[]) as t (id, outcome) where c.id = t.id"
_RECORDS = "select warning, body from alerts.actions where warning = any($1)"
_OF_ALERTS = """
select
    m.alert, m.warning, m.told, case when w.raised_rev <= m.told_rev then w.rev else m.told_rev end as told_rev,
    m.told_message, m.first_message, w.street, w.department, w.gravity
from alerts.members m join alerts.warnings w on w.id = m.warning where m.alert = any($1) and m.first_message > 0
order by m.warning
"""
"""A revision that came since and did not make it graver is answered for, too."""
_ANSWER = "insert into alerts.answers (command, warning, alert, at, body) values ($1, $2, $3, $4, $5) on conflict do nothing"
_SILENCE = "insert into alerts.silences (id, region, since, until, body) values ($1, $2, $3, $4, $5)"
_END_SILENCE = """
update alerts.silences set until = greatest(since, $2), body = body || jsonb_build_object('until', greatest(since, $2), 'ended_by', $3::jsonb)
where id = $1 and until > $2 returning true
"""
_OVERRIDE = "insert into alerts.overrides (id, team, person, instead_of, since, until, body) values ($1, $2, $3, $4, $5, $6, $7)"
_HAND_OVER = "insert into alerts.handovers (id, region, at, body) values ($1, $2, $3, $4)"
_TAKE_OVER = """
update alerts.handovers set body = body || jsonb_build_object('taken_by', $3::jsonb, 'taken_at', $4::timestamptz)
where id = $1 and region = $2 and body ->> 'taken_by' is null returning true
"""


@dataclass
class Answered:
    """What was decided."""

    actions: list[WarningActions] = field(default_factory=list)
    """Each revision of a record that was made, in order."""
    warnings: list[UUID] = field(default_factory=list)
    """Of these the alerts are to be looked at."""
    changes: list[Change] = field(default_factory=list)
    """Warnings that ask for something again, because a clearing by hand took the place of one that held."""
    decisions: dict[UUID, Decision] = field(default_factory=dict)
    """By the command's id."""


async def decide(connection: Connection, commands: Sequence[ToAlerts], tree: RegionTree, now: datetime) -> Answered:
    """Decide commands in order; one that was decided before changes nothing. The records that are made are the caller's to keep."""
    fresh = {row["id"] for row in await connection.fetch(_FRESH, [one.id for one in commands], [subject(one) for one in commands])}
    new = list({one.id: one for one in reversed(commands) if one.id in fresh}.values())[::-1]
    answered = Answered()
    await _act(connection, [one for one in new if isinstance(one, OfWarning | AnswerAlert)], answered, tree)
    for one in new:
        if not isinstance(one, OfWarning | AnswerAlert):
            answered.decisions[one.id] = await _HANDLERS[type(one)](connection, one, now)
    await connection.execute(_DECIDED, list(answered.decisions), [decision.value for decision in answered.decisions.values()])
    return answered


def subject(command: ToAlerts) -> str:
    """Return the key of a command."""
    match command:
        case AnswerAlert():
            return f"alert/{command.alert}"
        case Silence():
            return f"silence/{command.id}"
        case EndSilence():
            return f"silence/{command.silence}"
        case Override():
            return f"team/{command.team}"
        case HandOver() | TakeOver():
            return f"region/{command.region}"
        case _:
            return f"warning/{command.warning}"


# Of warnings and alerts


async def _act(connection: Connection, commands: Sequence[OfWarning | AnswerAlert], answered: Answered, tree: RegionTree) -> None:
    if not commands:
        return
    members = await _members(connection, [one for one in commands if isinstance(one, AnswerAlert)])
    single = [(one, [(one, True)] if isinstance(one, OfWarning) else _each(one, members.get(one.alert, ()))) for one in commands]
    ids = sorted({each.warning for _, of_it in single for each, _ in of_it})
    known = await _hold(connection, ids, tree)
    before = dict(known)
    records = {row["warning"]: WarningActions.model_validate_json(row["body"]) for row in await connection.fetch(_RECORDS, ids)}
    for command, of_it in single:
        decisions = set()
        for each, seen in of_it:
            acted = (act if seen else noted)(known.get(each.warning), records.get(each.warning), each)
            records[each.warning] = acted.actions
            answered.actions.append(acted.actions)
            decisions.add(acted.actions.outcome)
            if acted.known is not None:
                known[each.warning] = acted.known
        answered.decisions[command.id] = next((one for one in Decision if one in decisions), Decision.TOO_LATE)
        await _keep(connection, command)
    await rows.change(connection, [known[id_] for id_ in ids if id_ in known])
    answered.warnings += ids
    answered.changes += [Change(was, known[id_]) for id_, was in before.items() if known[id_].live and not was.live]


async def _hold(connection: Connection, ids: Sequence[UUID], tree: RegionTree) -> dict[UUID, Known]:
    """Return what is known of warnings, held; of one that has not come yet, whoever brings it first waits for us."""
    known = await rows.hold(connection, ids, tree)
    if missing := [id_ for id_ in ids if id_ not in known]:
        await connection.execute("select pg_advisory_xact_lock($1)", NEWCOMERS)
        known |= await rows.hold(connection, missing, tree)
    return known


async def _members(connection: Connection, commands: Sequence[AnswerAlert]) -> dict[UUID, list[Any]]:
    members: dict[UUID, list[Any]] = {}
    for row in await connection.fetch(_OF_ALERTS, [one.alert for one in commands]) if commands else ():
        members.setdefault(row["alert"], []).append(row)
    return members


def _each(command: AnswerAlert, members: Iterable[Any]) -> list[tuple[OfWarning, bool]]:
    """Return the commands for the warnings of an alert that its message told of, each with whether that told of it as it is."""
    return [(_one(command, row), row["told_message"] <= command.message) for row in members if row["first_message"] <= command.message]


def _one(command: AnswerAlert, row: Any) -> OfWarning:
    shared: dict[str, Any] = {
        "id": uuid5(command.id, str(row["warning"])),
        "actor": command.actor,
        "at": command.at,
        "warning": row["warning"],
        "street": row["street"],
        "department": row["department"],
        "seen_rev": row["told_rev"],
        "tier": TIERS[(row["told"] or row["gravity"]) - 1],
        "note": command.note,
    }
    match command.deed:
        case Deed.ACKNOWLEDGE:
            return Acknowledge(**shared)
        case Deed.COMMENT:
            return Comment(**shared | {"note": command.note or "-"})
        case _:
            return Answer(**shared, step=command.deed, position=command.position, photos=command.photos)


async def _keep(connection: Connection, command: OfWarning | AnswerAlert) -> None:
    """Keep the position and the photos of a field answer apart from what every screen sees."""
    if not isinstance(command, Answer | AnswerAlert) or not (command.position or command.photos):
        return
    deed = command.deed if isinstance(command, AnswerAlert) else deed_of(command)
    shown = FieldAnswer(command=command.id, deed=deed, by=command.actor, at=command.at, position=command.position, photos=command.photos)
    warning, alert = (None, command.alert) if isinstance(command, AnswerAlert) else (command.warning, None)
    await connection.execute(_ANSWER, command.id, warning, alert, command.at, shown.model_dump_json())


# Of silences, duty and desks


async def _silence(connection: Connection, one: Silence, now: datetime) -> Decision:
    del now
    shown = SilenceShown(id=one.id, region=one.region, match=one.match, since=one.since, until=one.until, reason=one.reason, by=one.actor)
    await connection.execute(_SILENCE, one.id, one.region, one.since, one.until, shown.model_dump_json())
    return Decision.APPLIED


async def _end_silence(connection: Connection, one: EndSilence, now: datetime) -> Decision:
    ended = await connection.fetchval(_END_SILENCE, one.silence, now, one.actor.model_dump_json())
    return Decision.APPLIED if ended else Decision.TOO_LATE


async def _override(connection: Connection, one: Override, now: datetime) -> Decision:
    if one.until <= now:
        return Decision.TOO_LATE
    await connection.execute(_OVERRIDE, one.id, one.team, one.person, one.instead_of, one.since, one.until, one.model_dump_json())
    return Decision.APPLIED


async def _hand_over(connection: Connection, one: HandOver, now: datetime) -> Decision:
    del now
    shown = HandOverShown(id=one.id, region=one.region, day=one.day, at=one.at, by=one.actor, note=one.note, open=one.open, unanswered=one.unanswered)
    await connection.execute(_HAND_OVER, one.id, one.region, one.at, shown.model_dump_json())
    return Decision.APPLIED


async def _take_over(connection: Connection, one: TakeOver, now: datetime) -> Decision:
    del now
    taken = await connection.fetchval(_TAKE_OVER, one.handover, one.region, one.actor.model_dump_json(), one.at)
    return Decision.APPLIED if taken else Decision.ALREADY


_HANDLERS: dict[type, Callable[..., Any]] = {
    Silence: _silence,
    EndSilence: _end_silence,
    Override: _override,
    HandOver: _hand_over,
    TakeOver: _take_over,
}
