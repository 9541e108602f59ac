"""When an alert is told, and to whom: one function, `look`, says what is due now and when to look again.

An alert is told first when it has been gathered for its `wait`; then about changes, at most once in an `interval`; then by the steps of its
escalation until somebody has answered for all of it, and again as often as the plan says; and at last that it is over. What is urgent waits for
neither. Nobody keeps a timer: the row says when to look again, and looking too early or twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from schemas.alerting import Escalation, Plan, Target
from schemas.notification import Why
from schemas.tiers import TIERS
from services.alerts.domain.known import Known
from services.alerts.domain.routing import Way


@dataclass(frozen=True, slots=True)
class Member:
    """A warning of an alert."""

    known: Known
    told: int = 0
    """The gravity that was told last; 0: nobody was told, or that it is over."""
    told_rev: int = 0
    muted_until: datetime | None = None
    """It is not told now; until when at the latest, so that it is looked at then."""
    muted: bool = False

    @property
    def worse(self) -> bool:
        """Whether it is graver than was told, or was over since and began anew."""
        return self.known.gravity > self.told or self.told_rev < self.known.raised_rev

    @property
    def asks(self) -> bool:
        """Whether it is to be told."""
        return self.known.live and not self.muted


@dataclass(frozen=True, slots=True)
class Run:
    """An escalation under way."""

    since: datetime
    gravity: int
    step: int = 0
    """So many steps were told."""
    last: datetime | None = None
    """When the last of them, or a repetition, was told."""


@dataclass(frozen=True, slots=True)
class State:
    """What of an alert is remembered between looks."""

    opened_at: datetime
    messages: int = 0
    peak: int = 0
    """The gravest that was told."""
    shown: int = 0
    """The gravity that was told last."""
    told_at: datetime | None = None
    """When something new was told last, or an escalation began."""
    run: Run | None = None
    audience: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Who was told, and by which channels besides the app."""
    closed: bool = False


class Reason(StrEnum):
    """Why something was told, or nothing."""

    TOLD = "told"
    NOTHING_NEW = "nothing_new"
    GATHERING = "gathering"
    """It is not gathered long enough."""
    MUTED = "muted"
    NEVER_TOLD = "never_told"
    """It was over before anybody was told."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Due:
    """What is told now."""

    why: Why
    to: tuple[tuple[Target, tuple[str, ...]], ...]
    """Targets of steps, each with the channels of its step."""
    audience: bool
    """Whether all who were told before are told as well: of a first message, who was told by an alert that its warnings have left."""
    step: int


@dataclass(frozen=True, slots=True)
class Look:
    """What was decided."""

    reason: Reason
    state: State
    due: Due | None
    again_at: datetime | None
    """When to look again, if nothing happens before; None: only when something happens."""
    unanswered: bool
    fresh: bool = False
    """Whether what was told holds all that is new."""
    ran_out: UUID | None = None
    """The gravest warning that asks again because an answer has run out."""


def look(state: State, members: Sequence[Member], way: Way, escalation: Escalation, now: datetime) -> Look:
    """Decide what is due of an alert now."""
    asking = [member for member in members if member.asks]
    if not asking:
        return _nothing_asks(state, members, way, now)
    gravity = max(member.known.gravity for member in asking)
    open_to_answer = [one for one in asking if not _is_answered(one.known, escalation, now)]
    worse = any(one.worse for one in asking)
    milder = gravity < state.shown
    new = (worse or milder) and _may_tell_new(state, worse, gravity, way, now)
    if state.messages == 0 and not new:
        return Look(Reason.GATHERING, state, None, state.opened_at + way.wait, unanswered=bool(open_to_answer))
    may_begin = new or (not worse and now >= _hold(state, way))
    run = _run(state.run, max((one.known.gravity for one in open_to_answer), default=0), may_begin, now)
    plan = escalation.plan(TIERS[(run.gravity if run else gravity) - 1])
    first = state.messages == 0
    run, to, repeats = _steps(run, plan, now)
    if run is None and first:  # nobody has to answer: the first step is all
        to = _targets(plan, 0, 1)
    why = _why(first=first, step=run.step if run else 1, taken=bool(to) and not repeats, new=new, repeats=repeats)
    due = None if why is None else Due(why, to, audience=bool(new or (first and state.audience)), step=max((run.step if run else 1) - 1, 0))
    told_new = why is not None and (new or first)
    after = replace(
        state,
        messages=state.messages + (due is not None),
        peak=max(state.peak, gravity) if told_new else state.peak,
        shown=gravity if told_new else state.shown,
        told_at=now if told_new or (run is not None and run.since == now) else state.told_at,
        run=run,
    )
    unled = max((one.known.gravity for one in open_to_answer), default=0) > (run.gravity if run else 0)
    pending = ((worse or milder) and not told_new) or unled
    again_at = _again_at(after, members, way, escalation, pending=pending, now=now)
    ran_out = max((one.known for one in open_to_answer if one.known.answered), key=lambda known: known.gravity, default=None)
    return Look(
        Reason.TOLD if due else Reason.NOTHING_NEW,
        after,
        due,
        again_at,
        unanswered=bool(open_to_answer),
        fresh=told_new,
        ran_out=None if ran_out is None else ran_out.id,
    )


def _nothing_asks(state: State, members: Sequence[Member], way: Way, now: datetime) -> Look:
    """Nothing of an alert is to be told: it is over, or all that goes on is muted."""
    calm = replace(state, run=None)
    muted = [member for member in members if member.known.live]
    if muted:
        return Look(Reason.MUTED, calm, None, _muted_until(muted), unanswered=False)
    if state.messages == 0 or not members:  # all have gone to other alerts, which tell of them
        return Look(Reason.NEVER_TOLD, replace(calm, closed=True), None, None, unanswered=False)
    hold = _hold(state, way)
    if now < hold:
        return Look(Reason.GATHERING, calm, None, hold, unanswered=False)
    over = replace(calm, messages=state.messages + 1, shown=0, told_at=now, closed=True)
    return Look(Reason.OVER, over, Due(Why.ENDED, (), audience=True, step=0), None, unanswered=False, fresh=True)


def _hold(state: State, way: Way) -> datetime:
    """Return until when nothing new is told that is not urgent."""
    return state.opened_at + way.wait if state.told_at is None else state.told_at + way.interval


def _may_tell_new(state: State, worse: bool, gravity: int, way: Way, now: datetime) -> bool:  # noqa: FBT001 - as its caller has it
    return now >= _hold(state, way) or (worse and gravity > state.peak and way.is_urgent(gravity))


def _is_answered(one: Known, escalation: Escalation, now: datetime) -> bool:
    """Say whether nobody has to answer for a warning now."""
    plan = escalation.plan(one.tier)
    if not plan.answer:
        return True
    if not one.answered:
        return False
    return one.done or plan.answered_for is None or one.acked_at is None or now < one.acked_at + plan.answered_for


def _run(run: Run | None, gravity: int, may_begin: bool, now: datetime) -> Run | None:  # noqa: FBT001 - as its caller has it
    """Return the escalation that goes on: none when all is answered; a graver tier begins its own."""
    if gravity == 0:
        return None
    if run is not None and gravity <= run.gravity:
        return run
    return Run(now, gravity) if may_begin else run


def _steps(run: Run | None, plan: Plan, now: datetime) -> tuple[Run | None, tuple[tuple[Target, tuple[str, ...]], ...], bool]:
    """Return an escalation with what is due of its steps taken, their targets, and whether it is a repetition of all steps."""
    if run is None:
        return None, (), False
    reached = sum(now >= run.since + step.after for step in plan.steps)
    if reached > run.step:
        return replace(run, step=reached, last=now), _targets(plan, run.step, reached), False
    if reached == len(plan.steps) and plan.repeat is not None and run.last is not None and now >= run.last + plan.repeat:
        return replace(run, last=now), _targets(plan, 0, reached), True  # whoever is on duty by now, not who was
    return run, (), False


def _targets(plan: Plan, since: int, until: int) -> tuple[tuple[Target, tuple[str, ...]], ...]:
    return tuple((target, step.channels) for step in plan.steps[since:until] for target in step.tell)


def _why(*, first: bool, step: int, taken: bool, new: bool, repeats: bool) -> Why | None:
    if first:
        return Why.OPENED
    if taken and step > 1:
        return Why.ESCALATED
    if new or taken:
        return Why.CHANGED
    return Why.REPEATED if repeats else None


def _again_at(state: State, members: Sequence[Member], way: Way, escalation: Escalation, *, pending: bool, now: datetime) -> datetime | None:
    """Return when something may be due next."""
    times = [] if not pending else [_hold(state, way)]
    if (run := state.run) is not None:
        plan = escalation.plan(TIERS[run.gravity - 1])
        times += [run.since + step.after for step in plan.steps[run.step : run.step + 1]]
        if run.step >= len(plan.steps) and plan.repeat is not None and run.last is not None:
            times.append(run.last + plan.repeat)
    for one in (member.known for member in members if member.asks):
        held = escalation.plan(one.tier).answered_for
        if held is not None and one.answered and not one.done and one.acked_at is not None:
            times.append(one.acked_at + held)
    until = _muted_until([member for member in members if member.muted and member.known.live])
    times += [] if until is None else [until]
    later = [time for time in times if time > now]
    return min(later, default=None)


def _muted_until(muted: Sequence[Member]) -> datetime | None:
    return min((member.muted_until for member in muted if member.muted_until is not None), default=None)
